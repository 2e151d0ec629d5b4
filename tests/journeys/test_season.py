"""A season of a watched area: twelve monthly scans, sites that grow, merge, fade and come back, and people in between.

Every scene is painted here, so the table at the end is known to the cell.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Transformer
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from minewatch.alerts.decisions import read_decisions
from minewatch.alerts.reviews import Review, review_alert
from minewatch.areas.aoi import Aoi, GridHint, measure_area_ha, write_aoi
from minewatch.areas.grid import reproject
from minewatch.core.workspace import Workspace
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.operations.scan_report import ScanReport
from minewatch.settings.document import init_workspace
from tests.helpers.rasters import EPSG, LEFT, TOP, make_item, paint_bands, write_bands, write_catalog
from tests.helpers.small import read_layer
from tests.helpers.tables import edit, row_of

SIDE = 96
"""Pixels of the area, which is a square."""

BARE = {"blue": 1100, "green": 1500, "red": 2000, "nir": 2500, "swir16": 3600, "scl": 5}
"""Digital numbers of a pit."""

FIRST, LAST, STEP = dt.date(2021, 12, 5), dt.date(2023, 12, 31), dt.timedelta(days=10)
MONITOR_FROM = dt.date(2023, 1, 1)
MONTHS = [dt.date(2023, month, 1) + dt.timedelta(days=27) for month in range(1, 13)]


@dataclass(frozen=True)
class Pit:
    """Bare ground: rows and columns, all even, from a day on and until another."""

    top: int
    left: int
    bottom: int
    right: int
    start: dt.date
    end: dt.date = dt.date.max

    @property
    def outline(self) -> BaseGeometry:
        return box(LEFT + 10 * self.left, TOP - 10 * self.bottom, LEFT + 10 * self.right, TOP - 10 * self.top)


def day(month: int, number: int = 1) -> dt.date:
    return dt.date(2023, month, number)


NORTH = [Pit(10, 10, 18, 18, day(2)), Pit(10, 18, 18, 24, day(5))]
"""A pit, and what it grows by."""

NEIGHBOUR = [Pit(10, 44, 18, 52, day(3))]
"""Two hundred metres east of it."""

BRIDGE = [Pit(10, 24, 18, 44, day(8))]
"""What joins them."""

ROAD = [Pit(40, 10, 44, 30, day(2)), Pit(40, 30, 44, 38, day(9))]
"""Dismissed in spring; grows by a third in autumn."""

FADING = [Pit(60, 10, 68, 18, day(3), day(6)), Pit(60, 10, 68, 18, day(10))]
"""Is green again in summer, and dug anew."""

FAR = [Pit(76, 70, 82, 80, day(4))]
"""To be visited."""

PITS = [*NORTH, *NEIGHBOUR, *BRIDGE, *ROAD, *FADING, *FAR]


def acquisitions() -> Iterator[dt.date]:
    when = FIRST
    while when <= LAST:
        yield when
        when += STEP


def paint(when: dt.date) -> dict[str, Any]:
    """Paint the scene of a day."""
    bare = np.zeros((SIDE, SIDE), bool)
    for pit in PITS:
        if pit.start <= when < pit.end:
            bare[pit.top : pit.bottom, pit.left : pit.right] = True
    forest = paint_bands(SIDE, SIDE)
    coarse = bare[::2, ::2]
    return {
        band: np.where(bare if pixels.shape[0] == SIDE else coarse, BARE[band], pixels).astype(pixels.dtype)
        for band, pixels in forest.items()
    }


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("season")
    items = []
    for when in acquisitions():
        name = f"S2A_19LCF_{when:%Y%m%d}_0_L2A"
        write_bands(folder / name, paint(when))
        items.append(make_item(name, time=f"{when}T14:50:21Z", size=10 * SIDE))
    return write_catalog(folder, items)


def make_watch(folder: Path, catalog: Path) -> Workspace:
    workspace = init_workspace(folder, source=str(catalog))
    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True)
    square = reproject(box(LEFT + 1, TOP - 10 * SIDE + 1, LEFT + 10 * SIDE - 1, TOP - 1), to_lonlat)
    write_aoi(workspace, Aoi("spot", square, MONITOR_FROM, grid=GridHint(EPSG, (LEFT, TOP))))
    return workspace


def scan_until(workspace: Workspace, until: dt.date) -> ScanReport:
    return scan(workspace, ScanRequest(until=until))


def second_look(after: dt.date) -> dt.date:
    """The look on which a pit that opened on a day is there for the second time: then it becomes an alert."""
    return [when for when in acquisitions() if when >= after][1]


def first_look(after: dt.date) -> dt.date:
    return next(when for when in acquisitions() if when >= after)


def name_alert(pit: Pit) -> str:
    """Name the alert of a pit as the law says: area, day, and a hash of the place of its founding pixel."""
    place = f"{EPSG} {LEFT + 10 * pit.left:.1f} {TOP - 10 * pit.top:.1f}"
    return f"spot-{second_look(pit.start):%Y%m%d}-{hashlib.sha256(place.encode()).hexdigest()[:6]}"


def measure(*pits: Pit) -> float:
    """Measure the ground of pits on the ellipsoid, hectares."""
    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True)
    return measure_area_ha(reproject(unary_union([pit.outline for pit in pits]), to_lonlat))


def live_through(workspace: Workspace) -> list[ScanReport]:
    """Scan month by month; people review from both sides in between."""
    reports = []
    for until in MONTHS:
        reports.append(scan_until(workspace, until))
        if until.month == 4:
            road = Review("dismissed", "R. Quispe", reason="road works")
            review_alert(workspace.alerts, workspace.decisions, name_alert(ROAD[0]), road)
        if until.month == 6:
            sql = "UPDATE alerts SET review = 'needs-visit', review_note = 'ask the post', reviewed_by = 'Ana' WHERE alert_id = ?"
            edit(workspace.alerts, sql, name_alert(FAR[0]))
        if until.month == 7:
            review_alert(workspace.alerts, workspace.decisions, name_alert(NORTH[0]), Review("confirmed", "R. Quispe"))
    return reports


@pytest.fixture(scope="module")
def season(catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, list[ScanReport]]:
    workspace = make_watch(tmp_path_factory.mktemp("watch") / "watch", catalog)
    return workspace, live_through(workspace)


EXPECTED = {
    name_alert(NORTH[0]): ("confirmed", first_look(day(2)), [*NORTH, *BRIDGE, *NEIGHBOUR], "", "confirmed", "", "R. Quispe"),
    name_alert(NEIGHBOUR[0]): ("closed", first_look(day(3)), NEIGHBOUR, name_alert(NORTH[0]), "", "", ""),
    name_alert(ROAD[0]): ("confirmed", first_look(day(2)), ROAD, "", "dismissed", "road works", "R. Quispe"),
    name_alert(FADING[0]): ("confirmed", first_look(day(3)), FADING[:1], "", "", "", ""),
    name_alert(FAR[0]): ("confirmed", first_look(day(4)), FAR, "", "needs-visit", "ask the post", "Ana"),
}
"""Alert to status, first_seen, ground, merged_into and the three review cells."""


def test_the_season_ends_in_the_expected_table(season: tuple[Workspace, list[ScanReport]]) -> None:
    workspace, _ = season
    assert {row["alert_id"] for row in read_layer(workspace.alerts, "alerts")} == set(EXPECTED)
    for alert_id, (status, first_seen, ground, merged_into, *review) in EXPECTED.items():
        row = row_of(workspace.alerts, alert_id)
        assert (row["status"], row["first_seen"].date(), row["merged_into"]) == (status, first_seen, merged_into), alert_id
        assert [row[name] for name in ("review", "review_note", "reviewed_by")] == review, alert_id
        assert row["area_ha"] == pytest.approx(measure(*ground), abs=2e-4), alert_id
        assert row["confirmed_on"].date() <= row["last_seen"].date() <= MONTHS[-1], alert_id
        assert row["as_of"].date() == MONTHS[-1]


def test_every_month_told_what_happened(season: tuple[Workspace, list[ScanReport]]) -> None:
    workspace, reports = season
    told = {report.areas[0].plan.until.month: dict(report.areas[0].table_changes.events) for report in reports}
    history = [(row["as_of"].month, row["alert_id"], row["event"]) for row in read_layer(workspace.alerts, "alert_history")]
    assert told[1] == {}
    assert (3, name_alert(NEIGHBOUR[0]), "new") in history
    assert (5, name_alert(NORTH[0]), "grown") in history
    assert (8, name_alert(NEIGHBOUR[0]), "merged") in history
    assert (9, name_alert(ROAD[0]), "reopened") in history
    assert any(alert == name_alert(FADING[0]) and event == "closed" for _, alert, event in history)
    assert (10, name_alert(FADING[0]), "reopened") in history
    assert sum(event == "new" for *_, event in history) == len(EXPECTED)
    assert {event for *_, event in history} <= {
        "new",
        "confirmed",
        "grown",
        "merged",
        "closed",
        "reopened",
        "reviewed",
        "dismissed",
    }


def test_growth_is_told_in_hectares(season: tuple[Workspace, list[ScanReport]]) -> None:
    workspace, _ = season
    details = [row["detail"] for row in read_layer(workspace.alerts, "alert_history") if row["event"] == "grown"]
    assert f"{measure(NORTH[1]):+.2f} ha to {measure(*NORTH):.2f} ha" in details


def test_one_scan_with_the_same_decisions_ends_alike(
    season: tuple[Workspace, list[ScanReport]], catalog: Path, tmp_path: Path
) -> None:
    workspace, _ = season
    other = make_watch(tmp_path / "once", catalog)
    other.decisions.parent.mkdir()
    shutil.copy(workspace.decisions, other.decisions)
    scan_until(other, MONTHS[-1])
    one, many = ({row["alert_id"]: row for row in read_layer(watch.alerts, "alerts")} for watch in (other, workspace))
    for rows in (one, many):
        for row in rows.values():
            del row["run_id"]
    assert str(one) == str(many)
    assert one.keys() == many.keys()


def test_the_decisions_are_those_that_were_made(season: tuple[Workspace, list[ScanReport]]) -> None:
    workspace, _ = season
    made = [(d.alert_id, d.review, d.by, d.effective.month, d.via) for d in read_decisions(workspace.decisions).all]
    assert made == [
        (name_alert(ROAD[0]), "dismissed", "R. Quispe", 4, "command"),
        (name_alert(FAR[0]), "needs-visit", "Ana", 6, "table"),
        (name_alert(NORTH[0]), "confirmed", "R. Quispe", 7, "command"),
    ]


def test_a_dismissed_alert_raises_nothing_until_it_grows(season: tuple[Workspace, list[ScanReport]]) -> None:
    _, reports = season
    status = {
        report.areas[0].plan.until.month: next(a.status for a in report.areas[0].alerts if a.alert_id == name_alert(ROAD[0]))
        for report in reports[1:]
    }
    assert {month: status[month] for month in (4, 5, 8)} == {4: "confirmed", 5: "dismissed", 8: "dismissed"}
    assert status[12] == "confirmed"
