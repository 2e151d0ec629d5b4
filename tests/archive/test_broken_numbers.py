"""Numbers that are no reflectance are no data and unseen, whatever SCL says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import Transformer

from minewatch.archive.item import Observation, list_observations
from minewatch.archive.publication import publish
from minewatch.archive.writer import Target, write_temp_rasters
from minewatch.raster.reflectance import convert_signed
from minewatch.raster.resampling import resample_bilinear
from minewatch.settings.scl import CLOUD, DARK, SHADOW, VEGETATION, WATER
from minewatch.sources.scene import Datatake, Scene
from tests.helpers.rasters import FOREST, LEFT, TIME, TOP, lay_grid, paint_bands, write_raster, write_scene

HEIGHT, WIDTH = 40, 60
GRID = lay_grid(HEIGHT, WIDTH)
KEY = "s2a_20200704T145021"
BLOCK = (slice(10, 20), slice(20, 34))
"""What is broken, in pixels of 10 m."""

LAYERS = ("blue", "red", "nir", "swir16")
NEIGHBOUR_ZONE = 32718


def archive(folder: Path, *scenes: Scene) -> Observation:
    """Archive an overpass."""
    (temp,) = write_temp_rasters([Target(Datatake(KEY, TIME, scenes), GRID, folder)])
    assert not isinstance(temp, Exception), temp
    return publish(temp, GRID, GRID.area, folder, 1)


def read_codes(observation: Observation) -> np.ndarray:
    """Return SCL and the layers' codes: (band, y, x)."""
    with rasterio.open(observation.raster) as raster:
        codes: np.ndarray = raster.read()
    return codes


def shift(offset: int, numbers: dict[str, int]) -> dict[str, Any]:
    """Return numbers that carry an offset."""
    return {band: number - offset for band, number in (FOREST | numbers).items() if band != "scl"}


def paint_block(offset: int, scl: int, usual: dict[str, int], broken: dict[str, int]) -> dict[str, np.ndarray]:
    """Paint a scene with numbers of its own, as the file has them, in BLOCK."""
    bands = paint_bands(HEIGHT, WIDTH, **shift(offset, usual), scl=scl)
    for band, number in broken.items():
        size = 2 if bands[band].shape[0] < HEIGHT else 1
        bands[band][tuple(slice(part.start // size, part.stop // size) for part in BLOCK)] = number
    return bands


ALL_ONE = dict.fromkeys(LAYERS, 1)


@pytest.mark.parametrize(
    ("offset", "broken"),
    [
        (0, ALL_ONE),
        (-1000, ALL_ONE),
        (0, {"nir": 1}),
        (0, {"red": 1}),
        (0, {"swir16": 1}),
        (-1000, {"swir16": 1}),
        (0, {"swir16": 0}),
        (0, {"blue": 0}),
        (-1000, {"red": 990, "nir": 1000}),
        (-1000, {"nir": 1000}),
        (0, dict.fromkeys(LAYERS, 65_535)),
        (0, {"blue": 64_800, "red": 64_200}),
        (-1000, {"blue": 55_537}),
        (0, {"swir16": 20_500}),
        (0, {"red": 19_999}),
        (-1000, {"nir": 13_000}),
    ],
    ids=str,
)
def test_they_are_no_data_in_all_bands(tmp_path: Path, offset: int, broken: dict[str, int]) -> None:
    scene = write_scene(
        tmp_path, paint_block(offset, VEGETATION, {}, broken), offset=offset, baseline=(5, 9) if offset else (2, 14)
    )
    observation = archive(tmp_path / "archive", scene)
    codes = read_codes(observation)
    assert not codes[:, *BLOCK].any()
    rest = np.ones((HEIGHT, WIDTH), bool)
    rest[BLOCK] = False
    assert (codes[:, rest] > 0).all()
    share = 140 / (HEIGHT * WIDTH)
    assert observation.broken_share == pytest.approx(share)
    assert observation.valid_share == observation.clear_share == pytest.approx(1 - share)


@pytest.mark.parametrize(
    ("scl", "offset", "numbers"),
    [
        (WATER, 0, {"blue": 600, "red": 900, "nir": 300, "swir16": 1}),  # a pond of a mine: muddy, black in short-wave infrared
        (WATER, -1000, {"blue": 300, "red": 200, "nir": 40, "swir16": -60}),
        (SHADOW, 0, {"blue": 1, "red": 20, "nir": 150, "swir16": 30}),
        (DARK, -1000, {"blue": -80, "red": 10, "nir": 90, "swir16": 0}),
        (VEGETATION, 0, {"blue": 1}),  # overcorrected haze
        (VEGETATION, 0, {"blue": 15_000, "red": 16_000, "nir": 19_900, "swir16": 12_000}),
    ],
    ids=str,
)
def test_water_shadow_and_brightness_are_kept(tmp_path: Path, scl: int, offset: int, numbers: dict[str, int]) -> None:
    bands = paint_bands(HEIGHT, WIDTH, **shift(offset, numbers), scl=scl)
    observation = archive(tmp_path / "archive", write_scene(tmp_path, bands, offset=offset))
    assert (read_codes(observation) > 0).all()
    assert observation.broken_share == 0


def test_numbers_of_a_byte_are_no_reflectance(tmp_path: Path) -> None:
    bands = paint_block(0, VEGETATION, {}, {})
    bands["red"] = bands["red"].clip(0, 255).astype(np.uint8)
    (error,) = write_temp_rasters([Target(Datatake(KEY, TIME, (write_scene(tmp_path, bands),)), GRID, tmp_path / "archive")])
    assert str(error).endswith("red: its numbers are of type uint8, and those of reflectance of uint16 or int16")


def test_clouds_keep_their_class(tmp_path: Path) -> None:
    bands = paint_block(0, VEGETATION, {}, dict.fromkeys(LAYERS, 65_535))
    bands["scl"][BLOCK[0].start // 2 : BLOCK[0].stop // 2, BLOCK[1].start // 2 : BLOCK[1].stop // 2] = CLOUD
    observation = archive(tmp_path / "archive", write_scene(tmp_path, bands))
    codes = read_codes(observation)
    assert (codes[0, *BLOCK] == CLOUD).all()
    assert not codes[1:, *BLOCK].any()
    assert observation.broken_share == 0


@pytest.mark.parametrize("whose", ["the file's", "the item's"])
@pytest.mark.parametrize("band", ["red", "swir16"])
def test_a_declared_number_is_no_data(tmp_path: Path, band: str, whose: str) -> None:
    bands = paint_block(0, VEGETATION, {}, {band: 200})
    scene = write_scene(tmp_path, bands, nodata=200 if whose == "the file's" else None)
    if whose == "the item's":
        scene = dataclasses.replace(scene, nodata={band: 200})
    assert not read_codes(archive(tmp_path / "archive", scene))[:, *BLOCK].any()


def test_signed_files_are_read(tmp_path: Path) -> None:
    bands = paint_block(0, VEGETATION, {}, {})
    scene = write_scene(tmp_path, bands)
    expected = read_codes(archive(tmp_path / "unsigned", scene))
    hrefs = {}
    for band, numbers in bands.items():
        signed = numbers.astype(np.int16)
        if band == "nir":
            signed[BLOCK] = -9999
        hrefs[band] = str(
            write_raster(tmp_path / f"{band}.tif", signed, size=20 if band in ("swir16", "scl") else 10, nodata=-9999)
        )
    found = read_codes(archive(tmp_path / "signed", dataclasses.replace(scene, hrefs=hrefs)))
    assert not found[:, *BLOCK].any()
    expected[:, *BLOCK] = 0
    assert np.array_equal(found, expected)
    assert convert_signed(np.array([[-9999, -1000, -40, 0, 5]], np.int16), -9999).tolist() == [[0, 0, 1, 0, 5]]


@pytest.mark.parametrize(
    "broken", [{"red": 1, "nir": 1, "swir16": 1}, {"red": 64_200}, {"swir16": 64_200}, {"red": 1}, {"nir": 800}], ids=str
)
def test_nothing_of_them_leaks_into_what_is_warped(tmp_path: Path, broken: dict[str, int]) -> None:
    """In a scene of the neighbouring zone every pixel is that of the forest around, or no data."""
    offset = -1000 if broken == {"nir": 800} else 0
    bands = paint_block(offset, VEGETATION, {}, broken)
    x, y = Transformer.from_crs(32719, NEIGHBOUR_ZONE, always_xy=True).transform(LEFT + 5 * WIDTH, TOP - 5 * HEIGHT)
    place = {"left": round(x / 20) * 20 - 300, "top": round(y / 20) * 20 + 200, "epsg": NEIGHBOUR_ZONE}
    whole = read_codes(
        archive(
            tmp_path / "whole", write_scene(tmp_path, paint_block(offset, VEGETATION, {}, {}), name="w", offset=offset, **place)
        )
    )
    found = read_codes(archive(tmp_path / "archive", write_scene(tmp_path, bands, offset=offset, **place)))
    lost = found[0] == 0
    assert 100 < (lost & (whole[0] > 0)).sum() < 200
    assert np.array_equal(np.where(lost, 0, whole), found)


def test_what_is_averaged_lies_between_its_neighbours() -> None:
    pixels = np.full((8, 8), 3000, np.uint16)
    pixels[:, 4] = 900  # below zero with an offset of 1000
    pixels[5, 1] = 65_000
    columns = np.array([[0.3, 32.3], [0.3, 32.3]])
    rows = np.array([[0.4, 0.4], [32.4, 32.4]])
    for radius in (1.0, 1.7):
        out = np.zeros((6, 6), np.uint16)
        resample_bilinear(pixels, columns, rows, (1, 0), radius, (1002, 21_000), out)
        assert set(np.unique(out)) == {900, 3000, 65_000}


def test_the_next_scene_of_an_overpass_fills_what_the_first_did_not_measure(tmp_path: Path) -> None:
    first = write_scene(tmp_path, paint_block(0, VEGETATION, {}, {"nir": 1}), name="a")
    second = write_scene(tmp_path, paint_bands(HEIGHT, WIDTH, nir=2500, scl=5), name="b")
    third = write_scene(tmp_path, paint_block(0, VEGETATION, {}, {"red": 1}), name="c")
    observation = archive(tmp_path / "archive", first, second)
    codes, plain = read_codes(observation), read_codes(archive(tmp_path / "second", second))
    assert np.array_equal(codes[:, *BLOCK], plain[:, *BLOCK])
    assert observation.broken_share == 0
    assert not read_codes(archive(tmp_path / "both", first, third))[:, *BLOCK].any()


def test_observations_of_earlier_versions_are_read_as_they_are(tmp_path: Path) -> None:
    observation = archive(tmp_path / "archive", write_scene(tmp_path, paint_bands(HEIGHT, WIDTH)))
    document = json.loads(observation.item.read_text())
    del document["properties"]["minewatch:broken_pixels"]
    observation.item.write_text(json.dumps(document))
    (found,) = list_observations(tmp_path / "archive", GRID).values()
    assert found.broken_share is None
    assert found == dataclasses.replace(observation, broken_share=None)
