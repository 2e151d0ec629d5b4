"""Chips of evidence: rasters in the archive's format whose blocks are mostly empty."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
import rasterio
import zstandard
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.io import MemoryFile
from shapely.geometry import box

from minewatch.archive.chip import BLOCK_BYTES, ChipWriter, extend_frame, read_chip
from minewatch.archive.raster import make_compressor
from minewatch.areas.grid import ARCHIVE_BLOCK, Grid, Window

RNG = np.random.default_rng(3)


def fill_rows(rows: int, kind: str) -> NDArray[np.uint8]:
    codes = np.zeros((rows, ARCHIVE_BLOCK), np.uint8)
    if kind == "noise":
        codes[:] = RNG.integers(0, 256, codes.shape)
    elif kind == "one value":
        codes[:] = 7
    elif kind == "few":
        codes[0, :3] = 9
    return codes


@pytest.mark.parametrize("rows", [1, 2, 56, 255, 256, 257, 511, 512])
@pytest.mark.parametrize("kind", ["noise", "one value", "few"])
def test_rows_that_were_left_out_are_read_as_zeros(rows: int, kind: str) -> None:
    codes = fill_rows(rows, kind)
    frame = extend_frame(make_compressor(has_checksum=False).compress(codes.tobytes()), codes.size)
    expected = codes.tobytes() + bytes(BLOCK_BYTES - codes.size)
    assert bytes(imagecodecs.zstd_decode(frame)) == expected
    assert zstandard.ZstdDecompressor().decompressobj().decompress(frame) == expected  # piece by piece, as libtiff does
    assert zstandard.get_frame_parameters(frame).content_size == BLOCK_BYTES


@pytest.mark.parametrize("shape", [(1, 1), (53, 56), (300, 20), (512, 512), (513, 700), (1100, 30)])
def test_gdal_and_minewatch_read_a_chip_of_any_size(shape: tuple[int, int]) -> None:
    grid = Grid(GeoBox(shape, Affine(10, 0, 415_490, 0, -10, 8_582_140), "EPSG:32719"), box(0, 0, 1, 1))
    codes = RNG.integers(0, 256, (5, *shape)).astype(np.uint8)
    codes[1] = 0
    writer = ChipWriter(grid)
    data = writer.write(codes)
    assert writer.write(codes) == data
    with MemoryFile(data) as memory, memory.open() as raster:
        assert np.array_equal(raster.read(), codes)
        assert (raster.crs, raster.transform) == (rasterio.CRS.from_epsg(32719), grid.transform)
        assert raster.descriptions[:2] == ("scl", "ndvi")
    assert np.array_equal(read_chip(data, shape, Window(0, 0, *shape)), codes)
