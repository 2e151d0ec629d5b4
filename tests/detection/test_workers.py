"""What a worker loads for its work: a fresh process is given the very tasks that a scan submits."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minewatch import __version__
from minewatch.archive.item import list_observations, select_observations
from minewatch.archive.stack import sample_rows
from minewatch.archive.writer import Target, write_temp_rasters
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.task import run_task
from minewatch.core.workspace import Workspace
from minewatch.detection.scene_quality import assess_scenes
from minewatch.detection.tiles import Task, detect_tile, list_tiles, measure_rows
from minewatch.operations.plan import ScanRequest, plan_scan
from minewatch.sources.scene import group_scenes
from minewatch.sources.search import find_scenes
from tests.helpers.small import UNTIL, make_scanned, plain_environment

Call = tuple[Callable[..., Any], tuple[Any, ...]]
"""A task and what it is called with."""

WORK = """
import json, pickle, sys
before = set(sys.modules)
for task, job in pickle.load(sys.stdin.buffer):
    result = task(*job)
    assert not isinstance(result, Exception), result
print(json.dumps(sorted(set(sys.modules) - before)))
"""

HEAVY = {
    "pandas", "geopandas", "pyogrio", "sqlite3", "requests", "pystac_client", "matplotlib", "apprise", "structlog", "rich",
    "babel", "cryptography",
}  # fmt: skip
"""What no worker needs.  jinja2 is missing here since Dask itself loads it, and pydantic since pipelines are made of it."""

GROUND = {"core", "settings", "areas"}
"""Rooms that every worker stands on."""

DETECTION = GROUND | {"raster", "archive", "detection"}
"""For one tile, from the archive to its changes."""

READING = GROUND | {"sources", "raster", "archive"}
"""For one overpass, from the scenes to the archive."""

CATALOGUE = {"sources.stac", "sources.stac_io", "sources.search", "sources.check"}
"""Modules that ask catalogues: the scan does, its workers do not."""


def load_for(calls: list[Call]) -> set[str]:
    """Do some tasks in a fresh process; gives the modules it loaded for them."""
    command = [sys.executable, "-c", WORK]
    done = subprocess.run(command, input=pickle.dumps(calls), env=plain_environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return set(json.loads(done.stdout))


def find_libraries(modules: set[str]) -> set[str]:
    return {name.split(".")[0] for name in modules}


def find_own(modules: set[str]) -> set[str]:
    """Name the rooms of minewatch."""
    return {name.split(".")[1] for name in modules if name.startswith("minewatch.")}


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, AreaPlan]:
    workspace = make_scanned(tmp_path_factory)[0]
    return workspace, plan_scan(workspace, ScanRequest(until=UNTIL)).areas[0]


@pytest.fixture(scope="module")
def detection(scanned: tuple[Workspace, AreaPlan]) -> list[Call]:
    """The two tasks that detection submits."""
    workspace, area = scanned
    observations = select_observations(list_observations(workspace.archive(area.aoi.name), area.grid).values(), area)
    (rows,), tile = sample_rows(area.grid), list_tiles(area)[0]
    scenes = assess_scenes(measure_rows(observations, area, rows), area.pipeline.detector)
    return [(measure_rows, (observations, area, rows)), (detect_tile, (Task(observations, area), tile, scenes))]


@pytest.fixture(scope="module")
def reading(scanned: tuple[Workspace, AreaPlan], tmp_path_factory: pytest.TempPathFactory) -> Call:
    """The task that reads an overpass."""
    workspace, area = scanned
    source = plan_scan(workspace, ScanRequest(until=UNTIL)).source
    take = next(iter(group_scenes(find_scenes(source, area.query).scenes)))
    folder: Path = tmp_path_factory.mktemp("archive")
    return write_temp_rasters, ([Target(take, area.grid, folder)],)


def test_detection_loads_the_archive_and_itself(detection: list[Call]) -> None:
    loaded = load_for(detection)
    assert find_libraries(loaded) & (HEAVY | {"pystac", "distributed"}) == set()
    assert find_own(loaded) == DETECTION
    assert not {"minewatch.archive.writer", "minewatch.archive.publication"} & loaded


def test_reading_loads_no_catalogue_and_no_table(reading: Call) -> None:
    loaded = load_for([reading])
    assert find_libraries(loaded) & (HEAVY | {"distributed"}) == set()
    assert find_own(loaded) == READING
    assert not {f"minewatch.{name}" for name in CATALOGUE} & loaded


def test_nothing_heavy_comes_with_what_dask_is_given(detection: list[Call], reading: Call) -> None:
    loaded = load_for([(run_task, (__version__, task, *job)) for task, job in [*detection, reading]])
    assert find_libraries(loaded) & HEAVY == set()
    assert find_own(loaded) == DETECTION | READING
