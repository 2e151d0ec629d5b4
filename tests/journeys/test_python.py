"""minewatch from Python: what ``import minewatch`` gives, and that it is light until something is asked."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import box

import minewatch
from minewatch.alerts.explain.alert_pixels import find_pixels
from minewatch.archive.item import list_observations
from minewatch.archive.stack import read_stack
from minewatch.areas.aoi import bbox_geometry, read_aoi
from minewatch.areas.grid import make_grid
from minewatch.core.errors import AlertsError, AoiError, PipelineError, SimulationError, WorkspaceError
from minewatch.core.workspace import Workspace
from minewatch.detection.mask import find_clear
from minewatch.settings.pipeline import MaskSettings
from tests.helpers.small import NAME, SMALL, UNTIL, make_scanned, make_series

BBOX = (-69.91, -12.76, -69.90, -12.75)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scanned workspace that no test may change."""
    return make_scanned(tmp_path_factory)[0]


@pytest.fixture(scope="module")
def alerts(workspace: Workspace) -> gpd.GeoDataFrame:
    return minewatch.read_alerts(workspace)


def list_loaded(program: str) -> set[str]:
    """Return the modules that a fresh process holds after a program."""
    program = f"{program}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(result.stdout))


def test_the_import_is_light() -> None:
    loaded = list_loaded("import minewatch; minewatch.__version__; dir(minewatch)")
    assert {name for name in loaded if name.startswith("minewatch.")} == set()
    assert loaded & {"numpy", "pandas", "geopandas", "rasterio", "numba", "dask", "distributed", "pydantic", "shapely"} == set()


def test_a_workspace_is_opened_without_numpy() -> None:
    loaded = list_loaded("import minewatch; minewatch.Workspace; minewatch.init_workspace")
    assert "minewatch.core.workspace" in loaded
    assert loaded & {"numpy", "pandas", "geopandas", "rasterio", "numba", "distributed"} == set()


@pytest.mark.parametrize("name", minewatch.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    given = getattr(minewatch, name)
    assert given.__name__ == name
    assert given.__doc__
    assert given is getattr(importlib.import_module(given.__module__), name)
    assert name in dir(minewatch)


def test_other_names_are_refused_as_in_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'minewatch' has no attribute 'score'"):
        minewatch.score  # noqa: B018
    with pytest.raises(ImportError):
        from minewatch import score  # noqa: F401, PLC0415


def test_from_pictures_to_scores_through_the_door_alone(tmp_path: Path) -> None:
    """Everything a notebook does, with paths as text."""
    series = minewatch.simulate(
        str(tmp_path / "simulated"),
        **{name: getattr(SMALL, name) for name in ("seed", "width", "height", "first", "last", "changes_from", "cloudiness")},
        **{name: getattr(SMALL, name) for name in ("missing", "mines", "clearings", "burns", "landslides")},
    )
    assert (series.settings.width, series.settings.revisit_days) == (96, 10)
    root = minewatch.init_workspace(str(tmp_path / "watch"), source=str(series.catalog)).root
    area = minewatch.add_area(root, "spot", series.bbox, monitor_from=dt.date(2022, 10, 1))
    assert area.monitor_from == dt.date(2022, 10, 1)
    report = minewatch.scan(str(root), "spot", until=UNTIL, overrides=["alerts.min_area_ha=0.2"], into=tmp_path / "apart")
    assert report.areas[0].plan.what_if
    assert (tmp_path / "apart" / "alerts.gpkg").is_file()
    assert not minewatch.find_workspace(root).alerts.exists()
    minewatch.scan(root, until=UNTIL)
    table = minewatch.read_alerts(str(root))
    assert (table["status"] == "confirmed").any()
    assert minewatch.validate(root, str(series.truth)).true_alarms == 2


def test_alerts_are_read_from_workspace_folder_and_table(workspace: Workspace, alerts: gpd.GeoDataFrame) -> None:
    for place in (workspace.root, str(workspace.root), workspace.alerts, str(workspace.alerts)):
        pd.testing.assert_frame_equal(minewatch.read_alerts(place), alerts)


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="is no workspace"):
        minewatch.read_alerts(tmp_path)
    with pytest.raises(AlertsError):
        minewatch.read_alerts(minewatch.init_workspace(tmp_path / "new"))


def test_the_series_is_what_the_archive_holds(workspace: Workspace, alerts: gpd.GeoDataFrame) -> None:
    """Each column against the whole area, read at once."""
    row = alerts.loc[alerts["area_ha"].idxmax()]
    series = minewatch.read_series(workspace, row["alert_id"])
    grid = make_grid(read_aoi(workspace, NAME))
    observations = list_observations(workspace.archive(NAME), grid).values()
    stack = read_stack(list(observations), grid.window)
    window, members = find_pixels(row, grid)
    inside = np.zeros(grid.shape, bool)
    inside[window.row : window.row + window.height, window.column : window.column + window.width] = members
    assert [f"{day:%Y-%m-%d}" for day in series["date"]] == stack.days.astype("datetime64[D]").astype(str).tolist()
    clear = find_clear(stack.scl, MaskSettings())[:, inside].mean(axis=1)
    np.testing.assert_array_equal(series["clear_share"], clear)
    assert series["clear"].tolist() == (clear > 0.5).tolist()
    assert 0 < series["clear"].sum() < len(series)
    for name in ("ndvi", "bsi"):
        median = np.ma.median(np.ma.masked_equal(stack.layer(name)[:, inside], -32768), axis=1)
        np.testing.assert_allclose(series[name], median.filled(np.nan) / 10_000)
    assert {name for names in series["scenes"] for name in names.split(", ")} == {i for o in observations for i in o.source_ids}


def test_the_series_shows_the_loss(workspace: Workspace, alerts: gpd.GeoDataFrame) -> None:
    row = alerts.loc[alerts["area_ha"].idxmax()]
    series = minewatch.read_series(workspace.root, row["alert_id"])
    seen = series[series["clear"]]
    before, after = seen["date"] < row["first_seen"], seen["date"] >= row["confirmed_on"]
    assert seen.loc[before, "ndvi"].median() - seen.loc[after, "ndvi"].median() > 0.2
    assert seen.loc[before, "bsi"].median() < seen.loc[after, "bsi"].median()


def test_an_unknown_alert_has_no_series_and_no_explanation(workspace: Workspace) -> None:
    for ask in (minewatch.read_series, minewatch.explain):
        with pytest.raises(AlertsError, match="there is no alert 'nowhere'"):
            ask(workspace, "nowhere")


def test_an_alert_is_explained(workspace: Workspace, alerts: gpd.GeoDataFrame) -> None:
    row = alerts.loc[alerts["area_ha"].idxmax()]
    explanation = minewatch.explain(workspace.root, row["alert_id"])
    assert explanation.first_seen == row["first_seen"].date()


def test_only_an_area_of_the_table_is_scored(workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> None:
    truth = make_series(tmp_path_factory).truth
    assert minewatch.validate(workspace, truth, NAME) == minewatch.validate(workspace, truth)
    with pytest.raises(AlertsError, match=rf"name one of the areas in the table: {NAME}"):
        minewatch.validate(workspace, truth, "elsewhere")


def test_an_area_comes_from_a_box_a_polygon_or_a_file(tmp_path: Path) -> None:
    workspace = minewatch.init_workspace(tmp_path / "watch")
    file = tmp_path / "pit.geojson"
    text = {"type": "Feature", "properties": {"monitor_from": "2023-05-01"}, "geometry": box(*BBOX).__geo_interface__}
    file.write_text(json.dumps(text), "utf-8")
    areas = [minewatch.add_area(workspace, name, outline) for name, outline in {"a": BBOX, "b": box(*BBOX), "c": file}.items()]
    assert all(area.geometry.equals(bbox_geometry(BBOX)) for area in areas)
    assert areas[2].monitor_from == dt.date(2023, 5, 1)
    assert [read_aoi(workspace, area.name).monitor_from for area in areas] == [area.monitor_from for area in areas]
    later = minewatch.add_area(workspace.root, "d", str(file), monitor_from=dt.date(2024, 1, 1), large=True)
    assert (later.monitor_from, later.large) == (dt.date(2024, 1, 1), True)


def test_an_area_that_will_not_do_leaves_no_file(tmp_path: Path) -> None:
    workspace = minewatch.init_workspace(tmp_path / "watch")
    with pytest.raises(PipelineError):
        minewatch.add_area(workspace, "pit", BBOX, pipeline="nowhere")
    with pytest.raises(AoiError, match="not in lon"):
        minewatch.add_area(workspace, "pit", box(0, 0, 500_000, 500_000))
    with pytest.raises(AoiError, match="more than 20,000"):
        minewatch.add_area(workspace, "pit", (10, 0, 12, 2))
    assert list(workspace.aois.iterdir()) == []


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SimulationError, match="last date"):
        minewatch.simulate(tmp_path / "s", last=dt.date(2020, 1, 1))
    with pytest.raises(TypeError, match="widht"):
        minewatch.simulate(tmp_path / "s", widht=200)
