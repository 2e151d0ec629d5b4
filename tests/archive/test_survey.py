"""What reading a look would take, before it is read."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from minewatch.archive.survey import HEAD, UNKNOWN_BYTES, Survey, survey_group
from minewatch.archive.writer import BAND_NAMES, Target
from minewatch.sources.scene import Datatake
from tests.helpers.rasters import COARSE, lay_grid, paint_bands, write_scene

BLOCK = 128
SIDE = 384


@pytest.mark.parametrize("wide", [SIDE, 100])
def test_of_files_that_gdal_reads_the_tiles_that_the_area_meets_are_counted(tmp_path: Path, wide: int) -> None:
    """They say nothing of their bytes, but a small file costs no whole tile of ESA's."""
    tiled = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "lzw"}
    scene = write_scene(tmp_path, paint_bands(SIDE, SIDE), **tiled)
    target = Target(Datatake("s2a_x", scene.time, (scene,)), lay_grid(SIDE, wide), tmp_path)
    (survey,) = survey_group([target]).surveys
    assert isinstance(survey, Survey)
    pixels = sum(count_pixels(*((SIDE // 2, wide // 2) if band in COARSE else (SIDE, wide))) for band in ("scl", *BAND_NAMES))
    assert survey.size == pytest.approx(UNKNOWN_BYTES * pixels + HEAD * (len(BAND_NAMES) + 1), abs=6)
    assert survey.coarse_size is None


def count_pixels(side: int, wide: int) -> int:
    """Count the pixels of the columns of blocks that hold the first ``wide`` pixels of each row."""
    return side * min(side, math.ceil(wide / BLOCK) * BLOCK)
