"""GeoTIFFs that are written without GDAL, as GDAL reads them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile

from minewatch.raster.tiff_writer import (
    BandText,
    average_pairs,
    describe_place,
    describe_texts,
    render_cog,
    take_every_second,
)

TRANSFORM = Affine(10, 0, 415_490, 0, -10, 8_582_140)

SHAPES = [(1, 1), (1, 300), (300, 1), (16, 16), (107, 110), (256, 257), (600, 530)]


def make_noise(shape: tuple[int, ...], dtype: str) -> NDArray[np.generic]:
    limits = np.iinfo(dtype)
    return np.random.default_rng(5).integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("bands", "dtype", "nodata"), [(5, "int16", -32768), (1, "uint8", 0), (2, "uint16", None)])
def test_pixels_and_place_are_read_back(shape: tuple[int, int], bands: int, dtype: str, nodata: int | None) -> None:
    pixels = make_noise((bands, *shape), dtype)
    data = render_cog(pixels, describe_place(32719, TRANSFORM), 256, nodata=nodata, halve=take_every_second)
    with MemoryFile(data) as memory, memory.open() as raster:
        assert np.array_equal(raster.read(), pixels)
        assert (raster.crs.to_epsg(), raster.transform, raster.nodata) == (32719, TRANSFORM, nodata)
        assert set(raster.dtypes) == {dtype}
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert raster.tags()["AREA_OR_POINT"] == "Area"
        levels = raster.overviews(1)
        assert bool(levels) == (max(shape) > 256)
    if levels:
        with MemoryFile(data) as memory, memory.open(overview_level=0) as raster:
            assert np.array_equal(raster.read(), pixels[:, ::2, ::2])


def test_texts_of_strangers_are_read_back_as_they_are() -> None:
    tags = {"scenes": 'S2A <b> & "Pará" ]]>', "credit": "Contains © data", "TIFFTAG_COPYRIGHT": "© Pará", "TIFFTAG_SOFTWARE": "x"}
    described = [*describe_place(32719, TRANSFORM), *describe_texts(tags, [BandText("red reflectance", 1e-4), BandText()])]
    data = render_cog(make_noise((2, 20, 30), "int16"), described, 256, halve=take_every_second)
    with MemoryFile(data) as memory, memory.open() as raster:
        assert tags.items() <= raster.tags().items()
        assert raster.descriptions == ("red reflectance", None)
        assert (raster.scales, raster.offsets) == ((1e-4, 1.0), (0.0, 0.0))


def test_control_characters_do_not_break_the_texts() -> None:
    texts = describe_texts({"scenes": "a\0b\x1bc", "TIFFTAG_COPYRIGHT": "a\0b", "credit": "whole"})
    described = [*describe_place(32719, TRANSFORM), *texts]
    data = render_cog(make_noise((1, 20, 30), "uint8"), described, 256, halve=take_every_second)
    with MemoryFile(data) as memory, memory.open() as raster:
        assert raster.tags()["credit"] == "whole"
        assert raster.tags()["scenes"].endswith("c")


def test_a_picture_has_opacity_and_averaged_overviews() -> None:
    pixels = make_noise((4, 301, 200), "uint8")
    data = render_cog(pixels, describe_place(32719, TRANSFORM), 256, halve=average_pairs)
    with MemoryFile(data) as memory, memory.open() as raster:
        assert raster.colorinterp == (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    with MemoryFile(data) as memory, memory.open(overview_level=0) as raster:
        overview = raster.read()
    assert overview.shape == (4, 151, 100)
    assert np.array_equal(overview[:, 0, 0], (pixels[:, :2, :2].sum(axis=(1, 2)) + 2) // 4)
    assert np.array_equal(overview[:, -1, 0], (pixels[:, -1, :2].astype(int).sum(axis=1) * 2 + 2) // 4)


def test_an_image_costs_less_than_half_of_what_gdal_takes(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).normal(2000, 60, (4, 110, 107)).astype(np.int16)
    profile = {"height": 110, "width": 107, "count": 4, "dtype": "int16", "crs": "EPSG:32719", "transform": TRANSFORM}

    def write_by_gdal() -> None:
        with rasterio.open("", "w", driver="MEM", **profile) as raster:
            raster.write(pixels)
            rasterio.shutil.copy(raster, tmp_path / "a.tif", driver="COG", compress="deflate", predictor="yes", blocksize=256)

    def write() -> None:
        data = render_cog(pixels, describe_place(32719, TRANSFORM), 256, halve=take_every_second)
        (tmp_path / "b.tif").write_bytes(data)

    assert measure(write) < measure(write_by_gdal) / 2


def measure(action: Callable[[], None]) -> float:
    """Return the CPU seconds of the quickest of some runs."""
    seconds = []
    for _ in range(10):
        began = time.process_time()
        action()
        seconds.append(time.process_time() - began)
    return min(seconds)
