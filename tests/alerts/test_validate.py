"""Scores against known sites: by hand where it is small, and against the project's scorer where that is there."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import sys
import warnings
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
from click.testing import CliRunner
from shapely.geometry import box

from minewatch.alerts.table import AreaResult, update_table
from minewatch.alerts.validate import validate_alerts
from minewatch.alerts.validate_areas import validate_areas
from minewatch.cli import main
from minewatch.core.errors import MinewatchError
from minewatch.core.workspace import Workspace
from minewatch.settings.document import init_workspace
from tests.helpers.tables import make_alert

CRS = 32719
WATCHED = (dt.date(2024, 1, 1), dt.date(2024, 12, 31))
X, Y = 300_000, 8_600_000


def square(column: int, row: int, side: int) -> object:
    """Return a square of pixels; rows count downwards from Y."""
    return box(X + 10 * column, Y - 10 * (row + side), X + 10 * (column + side), Y - 10 * row)


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    """Two mines of 1 ha, one clearing that regrew, and ground that does not count."""
    path = tmp_path / "truth.gpkg"
    looks = json.dumps(["2024-03-05", "2024-03-15", "2024-03-25"])
    sites = gpd.GeoDataFrame(
        {
            "kind": ["mining", "mining", "temporary"],
            "onset": ["2024-03-01"] * 3,
            "first_clear": ["2024-03-05"] * 3,
            "looks": [looks] * 3,
            "area_ha": [1.0, 1.0, 1.0],
        },
        geometry=[square(10, 10, 10), square(40, 10, 10), square(10, 40, 10)],
        crs=CRS,
    )
    sites.to_file(path, layer="sites", driver="GPKG")
    gpd.GeoDataFrame(geometry=[square(60, 60, 20)], crs=CRS).to_file(path, layer="ignore", driver="GPKG")
    return path


def make_alerts(*rows: tuple[object, str, str | None]) -> gpd.GeoDataFrame:
    """Make a table from outlines, states and dates of confirmation."""
    frame = gpd.GeoDataFrame(
        {
            "alert_id": [f"a{number}" for number in range(len(rows))],
            "status": [status for _, status, _ in rows],
            "confirmed_on": pd.to_datetime([on for _, _, on in rows]),
            "merged_into": "",
        },
        geometry=[geometry for geometry, _, _ in rows],
        crs=CRS,
    )
    return frame.to_crs(4326)


def test_a_perfect_table_scores_perfectly(truth: Path) -> None:
    alerts = make_alerts((square(10, 10, 10), "confirmed", "2024-03-15"), (square(40, 10, 10), "confirmed", "2024-03-05"))
    scores = validate_alerts(alerts, truth, *WATCHED)
    assert (scores.true_alarms, scores.false_alarms, scores.fragments, scores.left_out) == (2, 0, 0, 0)
    assert scores.summary["pixel_f1"].value == 1
    assert scores.summary["area_error_median"].value == 0
    assert [site.looks for site in scores.sites] == [2, 1]
    assert [site.days for site in scores.sites] == [10, 0]
    assert scores.sites[0].within == (0, 0, 100, 100, 100, 100, 100, 100)


def test_what_is_no_mine_is_a_false_alarm_also_after_it_closed(truth: Path) -> None:
    alerts = make_alerts((square(10, 40, 10), "closed", "2024-03-15"), (square(80, 10, 5), "confirmed", "2024-03-15"))
    scores = validate_alerts(alerts, truth, *WATCHED)
    assert (scores.true_alarms, scores.false_alarms) == (0, 2)
    assert scores.false_pixels == 25
    assert scores.summary["alarm_precision"].value == 0
    assert scores.summary["site_recall"].value == 0


def test_provisional_alerts_raise_nothing(truth: Path) -> None:
    scores = validate_alerts(make_alerts((square(10, 40, 10), "provisional", None)), truth, *WATCHED)
    assert scores.false_alarms == 0
    assert scores.summary["alarm_precision"].value is None


def test_the_second_alarm_of_a_site_is_a_fragment_and_ignored_ground_is_left_out(truth: Path) -> None:
    first, second = box(X + 100, Y - 200, X + 150, Y - 100), box(X + 150, Y - 200, X + 200, Y - 100)
    alerts = make_alerts(
        (first, "confirmed", "2024-03-15"), (second, "confirmed", "2024-03-25"), (square(65, 65, 5), "confirmed", "2024-03-15")
    )
    scores = validate_alerts(alerts, truth, *WATCHED)
    assert (scores.true_alarms, scores.fragments, scores.left_out, scores.false_alarms) == (1, 1, 1, 0)
    assert scores.sites[0].hit
    assert scores.sites[0].area_error == 0


def test_an_alarm_before_the_onset_is_false(truth: Path) -> None:
    scores = validate_alerts(make_alerts((square(10, 10, 10), "confirmed", "2024-02-20")), truth, *WATCHED)
    assert (scores.true_alarms, scores.false_alarms) == (0, 1)


def test_intervals_hold_the_value_and_few_sites_leave_them_wide(truth: Path) -> None:
    alerts = make_alerts((square(10, 10, 10), "confirmed", "2024-03-15"), (square(40, 10, 10), "confirmed", "2024-03-05"))
    recall = validate_alerts(alerts, truth, *WATCHED).summary["site_recall"]
    assert recall.low is not None
    assert recall.high is not None
    assert recall.low < 0.5
    assert recall.high == recall.value == 1


def test_a_person_need_only_say_since_when_a_mine_is_there(truth: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.gpkg"
    sites, ignore = (gpd.read_file(truth, layer=layer) for layer in ("sites", "ignore"))
    sites[sites["kind"] == "mining"][["onset", "geometry"]].to_crs(4326).to_file(path, layer="sites", driver="GPKG")
    ignore.to_crs(4326).to_file(path, layer="ignore", driver="GPKG")
    alerts = make_alerts((square(10, 10, 10), "confirmed", "2024-03-15"), (square(65, 65, 5), "confirmed", "2024-03-15"))
    scores = validate_alerts(alerts, path, *WATCHED)
    assert (scores.true_alarms, scores.false_alarms, scores.left_out) == (1, 0, 1)
    assert [(site.hit, site.days, site.looks) for site in scores.sites] == [(True, 14, None), (False, None, None)]
    assert [round(site.area_ha, 2) for site in scores.sites] == [1.0, 1.0]


@pytest.mark.parametrize("lost", ["onset", "a reference system"])
def test_what_a_truth_lacks_is_named(truth: Path, tmp_path: Path, lost: str) -> None:
    path = tmp_path / "less.gpkg"
    sites, ignore = (gpd.read_file(truth, layer=layer) for layer in ("sites", "ignore"))
    less = (
        sites.drop(columns="onset")
        if lost == "onset"
        else gpd.GeoDataFrame(sites.drop(columns="geometry"), geometry=[*sites.geometry])
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyogrio says that there is no CRS
        less.to_file(path, layer="sites", driver="GPKG")
    ignore.to_file(path, layer="ignore", driver="GPKG")
    with pytest.raises(MinewatchError, match=f"its layer 'sites' lacks {lost}"):
        validate_alerts(make_alerts((square(10, 10, 10), "confirmed", "2024-03-15")), path, *WATCHED)


def test_a_file_that_is_no_truth_gets_one_line(tmp_path: Path) -> None:
    path = tmp_path / "other.gpkg"
    gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1)], crs=4326).to_file(path, layer="x", driver="GPKG")
    with pytest.raises(MinewatchError, match="is no truth file"):
        validate_alerts(make_alerts((square(10, 10, 10), "confirmed", "2024-03-15")), path, *WATCHED)


@pytest.mark.shared
def test_it_agrees_with_the_project_scorer(truth: Path, shared: Path, tmp_path: Path) -> None:
    alerts = make_alerts(
        (square(11, 10, 10), "confirmed", "2024-03-15"),
        (square(40, 10, 6), "confirmed", "2024-03-25"),
        (square(10, 40, 10), "closed", "2024-03-15"),
        (square(63, 63, 9), "confirmed", "2024-03-15"),
        (square(80, 20, 4), "confirmed", "2024-03-15"),
    )
    path = tmp_path / "alerts.gpkg"
    alerts.to_file(path, layer="alerts", driver="GPKG")
    scorer = load_scorer(shared / "tools" / "score_alerts.py")
    expected = scorer.pool([scorer.score(str(path), str(truth))])
    scores = validate_alerts(alerts, truth, *WATCHED)
    assert (scores.true_alarms, scores.false_alarms) == (expected["alarms_true"], expected["alarms_false"])
    assert (scores.fragments, scores.left_out) == (expected["fragments"], expected["left_out"])
    for name in ("pixel_f1", "pixel_precision", "pixel_recall", "site_recall", "alarm_precision"):
        assert scores.summary[name].value == pytest.approx(expected[name], abs=6e-4), name
    for name in ("looks_median", "looks_p90", "days_median", "days_p90", "area_error_median"):
        assert scores.summary[name].value == pytest.approx(expected[name], abs=6e-3), name


def load_scorer(path: Path) -> object:
    """Import the scorer from its file."""
    spec = importlib.util.spec_from_file_location("score_alerts", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


# --- several areas ---------------------------------------------------------------------------------------------------


@pytest.fixture
def watch(tmp_path: Path) -> Workspace:
    """Two areas with a mine each, of which one is found, and one far away with an alert of its own."""
    workspace = init_workspace(tmp_path / "watch")
    shapes = {
        "west": box(X, Y - 300, X + 300, Y),
        "east": box(X + 301, Y - 300, X + 600, Y),
        "far": box(X + 9e4, Y - 99, X + 9.1e4, Y),
    }
    places = gpd.GeoSeries({**shapes, "mine": square(10, 10, 10), "else": square(9000, 0, 5)}, crs=CRS).to_crs(4326)
    for area, found in (("west", "mine"), ("east", None), ("far", "else")):
        dates = (
            {"first_seen": dt.date(2024, 3, 5), "confirmed_on": dt.date(2024, 3, 15), "geometry": places[found]} if found else {}
        )
        alerts = [make_alert(1, aoi=area, alert_id=f"{area}-1", **dates)] if found else []
        facts = {"monitor_from": WATCHED[0], "as_of": WATCHED[1], "pipeline": "default", "digest": "d", "area_km2": 1.0}
        result = AreaResult(area, places[area], alerts, {alert.alert_id: ("", "") for alert in alerts}, facts)
        cells = {"run_id": "run", "started": "2025-01-01T00:00:00", "aois": area}
        update_table(workspace.alerts, [result], cells, workspace.decisions)
    return workspace


def test_each_of_several_areas_is_held_against_its_own_sites(watch: Workspace, truth: Path) -> None:
    found = validate_areas(watch, truth)
    assert found.areas == ["west", "east"]
    assert [sum(site.hit for site in scores.sites) for scores in found.by_area.values()] == [1, 0]
    assert (len(found.scores.sites), found.scores.true_alarms, found.scores.false_alarms) == (2, 1, 0)
    assert found.unplaced == 0
    west = validate_areas(watch, truth, ["west"])
    assert (len(west.scores.sites), west.unplaced, west.scores.false_alarms) == (1, 1, 0), "what lies in the east is not missed"
    assert validate_areas(watch, truth, ["far", "west"]).unplaced == 1
    with pytest.raises(MinewatchError, match="name one of the areas"):
        validate_areas(watch, truth, ["far", "far2"])


def test_a_sentence_comes_before_the_table(watch: Workspace, truth: Path) -> None:
    answer = CliRunner().invoke(main, ["-w", str(watch.root), "validate", str(truth)])
    assert answer.exit_code == 0, answer.output
    first, west, east = answer.stdout.splitlines()[:3]
    assert first == (
        "west, east, as of 31 December 2024: 1 of 2 known mines found, half of them within 10 days of the first clear look;"
        " none of 1 confirmed alert false"
    )
    assert west.startswith("  west: 1 of 1 known mine found")
    assert east == "  east: 0 of 1 known mine found; no confirmed alert"
    assert (watch.images / "west-east-validation.png").exists()
