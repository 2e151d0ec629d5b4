"""What a scan finds on real ground, and on real series into which real mines were cut: shares that users are promised."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import geopandas as gpd
import pytest

from benchmarks import accuracy, real_points
from minewatch.alerts.read import read_alerts

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def points(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> real_points.PointScores:
    """The blocks of Rondônia, scanned as a user would."""
    catalog = shared / "data" / "points-rondonia" / "catalog.json"
    workspace = real_points.open_points(catalog, tmp_path_factory.mktemp("points") / "watch")
    real_points.scan_points(workspace)
    return real_points.score_points(workspace)


def test_clearings_that_last_are_confirmed(points: real_points.PointScores) -> None:
    assert points.share(real_points.LASTING) >= 0.85


@pytest.mark.parametrize(("name", "most"), [("Forest", 0), ("NatNonForest", 0.016), ("Pasture", 0.01)])
def test_other_ground_is_not(points: real_points.PointScores, name: str, most: float) -> None:
    assert points.share(name) <= most


@pytest.mark.parametrize("place", ["103", "106"])
def test_the_bracket_holds_the_day_on_which_the_ground_changed(shared: Path, tmp_path: Path, place: str) -> None:
    (case,) = (
        case for case in accuracy.list_injected(shared / "data" / "injected", tmp_path) if case.catalog.parent.name == place
    )
    accuracy.score_case(case, ())
    truth = gpd.read_file(case.catalog.parent / "truth.gpkg", layer="sites")
    alerts = read_alerts(tmp_path / f"injected-{place}" / "workspace").to_crs(truth.crs)
    told = 0
    for site in truth[(truth["kind"] == "mining") & ~truth["growing"].astype(bool)].itertuples():
        covers = alerts.geometry.intersection(site.geometry).area > 0.3 * site.geometry.area
        alert = alerts[covers & alerts["confirmed_on"].notna()].iloc[0]
        onset, last_normal = read_day(site.onset), alert["last_normal"].date()
        looks = [read_day(look) for look in json.loads(site.looks)]
        assert last_normal < onset, "the ground was normal before it changed"
        assert not [look for look in looks if last_normal < look < onset], "no look lies between, on which it was normal too"
        told += 1
    assert told >= 2


def read_day(text: object) -> dt.date:
    return dt.date.fromisoformat(str(text)[:10])
