"""Many areas at once: they share searches and scenes, and each gets what it would get alone."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import shapely
from shapely.geometry import box

from minewatch import __version__
from minewatch.archive.fetch import TOGETHER, group_areas, search_areas
from minewatch.areas.aoi import Aoi, write_aoi
from minewatch.areas.area_plan import AreaPlan, Query
from minewatch.core.errors import SceneError
from minewatch.core.progress import Reporter
from minewatch.core.task import run_task
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map import RASTERS
from minewatch.operations.plan import ScanRequest, plan_scan
from minewatch.operations.scan import scan
from minewatch.raster.read import open_datatake
from minewatch.simulation.series import SimulatedSeries
from minewatch.sources.scene import Datatake
from minewatch.sources.search import SearchResult, find_scenes
from tests.helpers.small import MONITOR_FROM, UNTIL, make_series, make_workspace, scan_small


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


def cut_areas(series: SimulatedSeries) -> dict[str, Aoi]:
    """Four areas of which two overlap, one a third of the small area's width."""
    west, south, east, north = series.bbox
    width, height = (east - west) / 3, (north - south) / 3
    corners = {"a": (0, 0), "b": (1, 1), "c": (1.2, 1.4), "d": (2, 0)}
    return {
        name: Aoi(name, box(west + x * width, south + y * height, west + (x + 1) * width, south + (y + 1) * height), MONITOR_FROM)
        for name, (x, y) in corners.items()
    }


def watch(root: Path, series: SimulatedSeries, areas: dict[str, Aoi]) -> Workspace:
    workspace = make_workspace(root, series)
    for area in areas.values():
        write_aoi(workspace, area)
    return workspace


def read_rasters(workspace: Workspace, name: str) -> dict[str, bytes]:
    return {raster: (workspace.changes(name) / f"{raster}.tif").read_bytes() for raster in RASTERS}


def test_areas_scanned_together_end_as_areas_scanned_alone(
    series: SimulatedSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    areas = cut_areas(series)
    together, alone = (watch(tmp_path / name, series, areas) for name in ("together", "alone"))
    opened: list[str] = []

    def count(take: Datatake, **options: Any) -> Any:
        opened.append(take.key)
        return open_datatake(take, **options)

    monkeypatch.setattr("minewatch.archive.writer.open_datatake", count)
    report = scan(together, ScanRequest(names=tuple(areas), until=UNTIL))
    assert len(opened) == len(set(opened)) > 30, "every overpass is opened once"
    assert [area.plan.aoi.name for area in report.areas] == list(areas)
    for name in areas:
        (single,) = scan(alone, ScanRequest(names=(name,), until=UNTIL)).areas
        (shared,) = (area for area in report.areas if area.plan.aoi.name == name)
        assert read_rasters(together, name) == read_rasters(alone, name)
        assert shared.coverage == single.coverage
        assert [alert.alert_id for alert in shared.alerts] == [alert.alert_id for alert in single.alerts]
        assert sorted(o.raster.name for o in shared.observations) == sorted(o.raster.name for o in single.observations)


def test_a_new_area_reads_only_for_itself(series: SimulatedSeries, tmp_path: Path) -> None:
    areas = cut_areas(series)
    workspace = watch(tmp_path / "w", series, {name: areas[name] for name in "ab"})
    scan(workspace, ScanRequest(names=("a", "b"), until=UNTIL))
    write_aoi(workspace, areas["c"])
    report = scan(workspace, ScanRequest(names=("a", "b", "c"), until=UNTIL))
    assert [area.fetched > 0 for area in report.areas] == [False, False, True]


def test_one_search_serves_areas_that_lie_together(
    series: SimulatedSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = watch(tmp_path / "w", series, cut_areas(series))
    plan = plan_scan(workspace, ScanRequest(names=tuple("abcd"), until=UNTIL))
    asked: list[Query] = []

    def count(source: Any, query: Query, track: Any) -> SearchResult:
        asked.append(query)
        return find_scenes(source, query, track)

    monkeypatch.setattr("minewatch.archive.fetch.find_scenes", count)
    answers = search_areas(plan.source, plan.areas, Reporter())
    assert len(asked) == 1
    for area, answer in zip(plan.areas, answers, strict=True):
        assert answer == find_scenes(plan.source, area.query)


def test_each_area_keeps_its_own_dates_and_clouds(series: SimulatedSeries, tmp_path: Path) -> None:
    workspace = watch(tmp_path / "w", series, cut_areas(series))
    plan = plan_scan(workspace, ScanRequest(names=("a", "b"), until=UNTIL))
    first, second = plan.areas
    strict = second.pipeline.model_copy(update={"scenes": second.pipeline.scenes.model_copy(update={"max_cloud_cover": 10})})
    second = replace(second, pipeline=strict, until=dt.date(2022, 12, 31))
    answers = search_areas(plan.source, [first, second], Reporter())
    for area, answer in zip((first, second), answers, strict=True):
        alone = find_scenes(plan.source, area.query)
        assert (answer.scenes, answer.cloudy) == (alone.scenes, alone.cloudy)
    assert answers[1].cloudy


def place(plan: AreaPlan, *corner: float) -> AreaPlan:
    return replace(plan, aoi=replace(plan.aoi, geometry=box(*corner, corner[0] + 0.1, corner[1] + 0.1)))


def test_areas_far_apart_are_searched_apart(series: SimulatedSeries, tmp_path: Path) -> None:
    (plan,) = plan_scan(make_workspace(tmp_path / "w", series), ScanRequest(until=UNTIL)).areas
    areas = [place(plan, *corner) for corner in ((0, 0), (10, 0), (0.5, 0.5), (10.2, 0.3), (0, 9))]
    groups = group_areas(areas)
    assert sorted(map(sorted, groups)) == [[0, 2], [1, 3], [4]]
    for group in groups:
        bounds = shapely.union_all([areas[number].aoi.geometry for number in group]).bounds
        assert max(bounds[2] - bounds[0], bounds[3] - bounds[1]) <= TOGETHER


def fail_with_a_cause_that_cannot_be_sent() -> None:
    cause = OSError("a library's")
    cause.lock = threading.Lock()  # type: ignore[attr-defined]
    raise SceneError("no such word as scene", scene_id="S2A_1") from cause


def test_an_error_of_another_process_still_knows_its_scene() -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        error = pool.submit(run_task, __version__, fail_with_a_cause_that_cannot_be_sent).result()
    assert isinstance(error, SceneError)
    assert (str(error), error.scene_id, error.__cause__) == ("no such word as scene", "S2A_1", None)


def test_a_scene_that_fails_for_all_is_named_for_all(
    series: SimulatedSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minewatch.raster.read.RETRY_PAUSE", 0)
    copy = shutil.copytree(series.catalog.parent, tmp_path / "series")  # others read these scenes too
    workspace = watch(tmp_path / "w", replace(series, catalog=copy / series.catalog.name), cut_areas(series))
    plan = plan_scan(workspace, ScanRequest(names=("a", "d"), until=UNTIL))
    broken = find_scenes(plan.source, plan.areas[0].query).scenes[5]
    path = Path(broken.hrefs["nir"])
    data = path.read_bytes()
    try:
        path.write_bytes(data[: len(data) // 2])
        report = scan(workspace, ScanRequest(names=("a", "d"), until=UNTIL))
    finally:
        path.write_bytes(data)
    assert [[failure.id for failure in area.failures] for area in report.areas] == [[broken.id], [broken.id]]
    assert scan_small(workspace, names=("a", "d")).failures == 0
