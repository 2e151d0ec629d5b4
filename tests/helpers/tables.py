"""Alerts made by hand, written into a table and edited there as people do."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import Any

import pyogrio
from shapely.geometry import MultiPolygon, box

from minewatch.alerts.geopackage import updating
from minewatch.alerts.record import Alert
from minewatch.alerts.table import AreaResult, TableChanges, update_table
from tests.helpers.small import read_layer

AREA = box(-70.0, -13.0, -69.9, -12.9)
HEIRLOOM = "checked with the drone"


def make_alert(number: int, west: float | None = None, **changes: Any) -> Alert:
    """Make an alert of about 1 ha, each number at a place of its own."""
    left = -69.99 + 0.01 * number if west is None else west
    alert = Alert(
        alert_id=f"pampa-20240{number + 1}01-{number:06x}",
        aoi="pampa",
        status="confirmed",
        first_seen=dt.date(2024, number + 1, 1),
        confirmed_on=dt.date(2024, number + 1, 11),
        last_seen=dt.date(2024, 12, 1),
        area_ha=1.0,
        lat=-12.9495,
        lon=left + 0.0005,
        ndvi_change=-0.4,
        bsi_change=0.25,
        looks=7,
        last_normal=dt.date(2023, 12, 27),
        geometry=MultiPolygon([box(left, -12.95, left + 0.001, -12.949)]),
    )
    return dataclasses.replace(alert, **changes)


def put(
    path: Path, *alerts: Alert, run: str = "run-1", aoi: str = "pampa", as_of: dt.date = dt.date(2024, 12, 31), **more: Any
) -> TableChanges:
    facts = {"monitor_from": dt.date(2024, 1, 1), "as_of": as_of, "pipeline": "default", "digest": "d", "area_km2": 120.0}
    result = AreaResult(aoi, AREA, alerts, {a.alert_id: ("S2A_BEFORE", "S2B_AFTER") for a in alerts}, facts, **more)
    run_cells = {"run_id": run, "started": "2025-01-01T00:00:00", "aois": aoi}
    return update_table(path, [result], run_cells, path.parent / "decisions.jsonl")[aoi]


def edit(path: Path, sql: str, *values: Any) -> None:
    """Edit as QGIS does, through another connection that has the functions of the spatial index."""
    with updating(path) as connection:
        connection.execute(sql, values)


def review(path: Path, alert_id: str, note: str = HEIRLOOM) -> None:
    sql = "UPDATE alerts SET review = 'confirmed', review_note = ?, reviewed_by = 'Rosa' WHERE alert_id = ?"
    edit(path, sql, note, alert_id)


def row_of(path: Path, alert_id: str) -> dict[str, Any]:
    frame = pyogrio.read_dataframe(path, layer="alerts", fid_as_index=True)
    (row,) = frame[frame["alert_id"] == alert_id].reset_index().to_dict("records")
    return row


def history(path: Path) -> list[tuple[str, str, str]]:
    return [(row["alert_id"], row["event"], row["detail"]) for row in read_layer(path, "alert_history")]
