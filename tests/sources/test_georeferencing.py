"""A file that lies elsewhere than its item states refuses the scene, with property and values."""

from __future__ import annotations

import contextlib
import dataclasses
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from minewatch.core.errors import SceneError
from minewatch.raster.gdal import gdal_environment
from minewatch.raster.read import SceneFiles
from minewatch.sources.georeferencing import StatedGrid, read_stated_grid
from minewatch.sources.scene import Scene
from tests.helpers.rasters import EPSG, LEFT, TOP, lay_grid, paint_bands, write_scene

FINE, SHAPE = Affine(10, 0, LEFT, 0, -10, TOP), (400, 600)
COARSE, HALF = Affine(20, 0, LEFT, 0, -20, TOP), (200, 300)
ITEM = {"proj:code": f"EPSG:{EPSG}", "proj:shape": [400, 600], "proj:transform": [10, 0, LEFT, 0, -10, TOP]}
OWN = {"proj:shape": [200, 300], "proj:transform": [20, 0, LEFT, 0, -20, TOP, 0, 0, 1]}


@pytest.mark.parametrize(
    ("asset", "item", "transform", "shape"),
    [
        ({}, {}, FINE, SHAPE),
        ({}, ITEM, FINE, SHAPE),
        ({}, ITEM, COARSE, HALF),
        ({}, ITEM, Affine(60, 0, LEFT, 0, -60, TOP), (67, 100)),
        (OWN, ITEM, COARSE, HALF),
        (OWN, {}, COARSE, HALF),
        ({"proj:transform": [LEFT, 20, 0, TOP, 0, -20]}, {}, COARSE, HALF),  # GDAL's order
        ({"proj:transform": [20.0000001, 0, LEFT + 0.4, 0, -20, TOP - 0.01]}, {}, COARSE, HALF),
        ({"proj:epsg": EPSG, **OWN}, ITEM | {"proj:code": "EPSG:32631"}, COARSE, HALF),
        ({}, {"proj:code": "EPSG:None", "proj:shape": "400", "proj:transform": [1, 2, float("nan"), 4, 5, 6]}, FINE, SHAPE),
        ({"proj:shape": None, "proj:transform": None, "proj:epsg": None}, ITEM, COARSE, HALF),
    ],
    ids=str,
)
def test_what_agrees(asset: dict[str, Any], item: dict[str, Any], transform: Affine, shape: tuple[int, int]) -> None:
    assert read_stated_grid(asset, item).find_contradiction(EPSG, transform, shape) == ""


@pytest.mark.parametrize(
    ("asset", "item", "transform", "shape", "named"),
    [
        ({}, ITEM, Affine(10, 0, LEFT + 2**16, 0, -10, TOP), SHAPE, "proj:transform"),
        ({}, ITEM, Affine(10, 0, LEFT + 10, 0, -10, TOP), SHAPE, "proj:transform"),
        ({}, ITEM, Affine(20, 0, LEFT, 0, -20, TOP), SHAPE, "proj:transform"),  # the shape of 10 m with pixels of 20 m
        ({}, ITEM, FINE, (400, 344), "proj:shape"),
        (OWN, ITEM, FINE, HALF, "proj:transform"),
        (OWN, ITEM, FINE, SHAPE, "proj:shape"),
        ({}, ITEM, Affine(10, 0, LEFT, 0, 10, TOP), SHAPE, "proj:transform"),
        ({}, ITEM, Affine(10.01, 0, LEFT, 0, -10, TOP), SHAPE, "proj:transform"),
        ({}, {"proj:epsg": 32631}, FINE, SHAPE, "proj:code"),
        ({"proj:code": "EPSG:32718"}, ITEM, FINE, SHAPE, "proj:code"),
    ],
    ids=str,
)
def test_what_contradicts(
    asset: dict[str, Any], item: dict[str, Any], transform: Affine, shape: tuple[int, int], named: str
) -> None:
    fault = read_stated_grid(asset, item).find_contradiction(EPSG, transform, shape)
    assert fault.startswith(f"its item states {named} ")
    assert "and the file has" in fault


def test_a_crs_without_a_code_contradicts_none() -> None:
    assert StatedGrid(epsg=32719).find_contradiction(None, FINE, SHAPE) == ""


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
def test_flipped_bytes_in_a_header_refuse_the_scene(tmp_path: Path, driver: str) -> None:
    grid = lay_grid(40, 60)
    scene = write_scene(tmp_path, paint_bands(40, 60), driver=driver)
    stated = {
        band: read_stated_grid(
            {}, ITEM | {"proj:shape": [40, 60]} if band not in ("swir16", "scl") else OWN | {"proj:shape": [20, 30]}
        )
        for band in scene.hrefs
    }
    scene = dataclasses.replace(scene, grids=stated)
    assert (read(scene, "red") > 0).all()
    assert (read(scene, "swir16") > 0).all()
    path = Path(scene.hrefs["red"])
    before, after = struct.pack("<d", LEFT), struct.pack("<d", LEFT + 2**16)
    assert path.read_bytes().count(before) == 1
    path.write_bytes(path.read_bytes().replace(before, after))
    assert not read(dataclasses.replace(scene, grids={}), "red").any()  # silently no data, where nothing is stated
    with pytest.raises(SceneError) as caught:
        read(scene, "red")
    line = str(caught.value)
    assert line == (
        f"scene {scene.id}, red: red.tif contradicts its item: its item states proj:transform "
        f"[10, 0, {LEFT}, 0, -10, {TOP}], and the file has [10, 0, {LEFT + 2**16}, 0, -10, {TOP}]; the file may be damaged"
    )
    assert caught.value.scene_id == scene.id
    assert grid.shape == (40, 60)


@pytest.mark.parametrize(("metres", "fits"), [(0, True), (20, True), (80, False), (-3000, False)])
def test_a_band_that_lies_elsewhere_than_another_refuses_the_scene(tmp_path: Path, metres: int, fits: bool) -> None:
    scene = write_scene(tmp_path, paint_bands(40, 60))
    with rasterio.open(scene.hrefs["nir"], "r+") as file:
        file.transform = Affine.translation(metres, 0) @ file.transform
    with gdal_environment(), SceneFiles(scene) as files:
        files.open("red")
        told = "nir: it lies elsewhere than red of the same"
        for _area in range(2):
            with contextlib.nullcontext() if fits else pytest.raises(SceneError, match=told):
                files.open("nir")


def read(scene: Scene, band: str) -> np.ndarray:
    grid = lay_grid(40, 60)
    with gdal_environment(), SceneFiles(scene) as files:
        return files.on(grid).read(band, grid.window)
