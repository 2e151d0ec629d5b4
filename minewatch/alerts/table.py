"""Brings the alerts table to what the replay says, without losing what people wrote into it."""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.columns import AOIS, HISTORY, LAYER, REVIEW_COLUMNS, RUNS, Value
from minewatch.alerts.geopackage import (
    create_geopackage,
    decode_geometry,
    delete,
    insert,
    recover,
    refresh_extent,
    select,
    update,
    updating,
)
from minewatch.alerts.record import Alert
from minewatch.errors import AlertsError
from minewatch.files import publish_bytes
from minewatch.text import is_formula

GROWTH_HA = 0.1
"""An alert that gained this much since the table's last state is told as grown: ten pixels."""

CSV_COLUMNS = (
    "alert_id", "aoi", "status", "date", "area_ha", "lat", "lon", "confirmed_on", "last_seen", "ndvi_change", "bsi_change",
    "looks", "scene_before", "scene_after", "merged_into", "split_from", "pipeline", "as_of", "review", "review_note",
    "reviewed_by",
)  # fmt: skip
"""Columns of alerts.csv; ``date`` is first_seen."""


@dataclass(frozen=True)
class AreaResult:
    """What one scan says of one area: everything the table needs."""

    aoi: str
    """Name of the area."""

    outline: BaseGeometry
    """Lon/lat."""

    alerts: Sequence[Alert]
    """From the replay, by id."""

    scenes: Mapping[str, tuple[str, str]]
    """Alert id to the ids of the scenes before and after."""

    facts: Mapping[str, Value]
    """The other cells of its row in layer ``aois``."""

    what_if: bool = False
    """True for a scan with settings other than the area's own, or with an older as-of date."""


@dataclass
class Tally:
    """What an update changed."""

    events: Counter[str] = field(default_factory=Counter)
    """Event to number of alerts: new, confirmed, grown, closed, merged, reopened, renamed, withdrawn, unchanged."""


def update_table(path: Path, results: Sequence[AreaResult], run: Mapping[str, Value]) -> dict[str, Tally]:
    """Write the results of one scan in one transaction; gives a tally for each area.

    Raises AlertsError where the table is locked or damaged; nothing is changed then.
    """
    if not path.exists():
        create_geopackage(path)
    recover(path)
    tallies = {}
    with updating(path) as connection:
        for result in results:
            tallies[result.aoi] = _update_area(connection, result, run)
        new = sum(tally.events["new"] for tally in tallies.values())
        insert(connection, RUNS, {**run, "alerts_new": new})
        for layer in (LAYER, AOIS):
            refresh_extent(connection, layer)
    return tallies


def _update_area(connection: Any, result: AreaResult, run: Mapping[str, Value]) -> Tally:
    tally = Tally()
    common = {"pipeline": result.facts["pipeline"], "as_of": result.facts["as_of"], "run_id": run["run_id"]}
    old = {row["alert_id"]: row for row in select(connection, LAYER, "aoi = ?", (result.aoi,))}
    gone = {alert_id: row for alert_id, row in old.items() if alert_id not in {a.alert_id for a in result.alerts}}

    def record(alert_id: str, event: str, detail: str = "") -> None:
        tally.events[event] += 1
        note = "; ".join(filter(None, [detail, "what-if" if result.what_if else ""]))
        row = {"run_id": common["run_id"], "alert_id": alert_id, "event": event, "detail": note, "as_of": common["as_of"]}
        if event != "unchanged":
            insert(connection, HISTORY, row)

    for alert in result.alerts:
        cells = _alert_cells(alert, result.scenes.get(alert.alert_id, ("", ""))) | common
        row = old.get(alert.alert_id)
        if row is None and (former := _find_former(alert, gone)):
            row = gone.pop(former)
            record(alert.alert_id, "renamed", f"{former} -> {alert.alert_id}")
        if row is None:
            insert(connection, LAYER, cells | dict.fromkeys(REVIEW_COLUMNS, ""), alert.geometry)
            record(alert.alert_id, "new", alert.status)
        else:
            update(connection, LAYER, row["fid"], cells, alert.geometry)
            for event, detail in _compare(row, alert):
                record(alert.alert_id, event, detail)
    for alert_id, row in gone.items():
        delete(connection, LAYER, row["fid"])
        review = "; ".join(f"{name}: {row[name]}" for name in REVIEW_COLUMNS if row[name])
        record(alert_id, "withdrawn", review)
    _update_aoi_row(connection, result, run)
    return tally


def _alert_cells(alert: Alert, scenes: tuple[str, str]) -> dict[str, Value]:
    return {
        "alert_id": alert.alert_id,
        "aoi": alert.aoi,
        "status": alert.status,
        "first_seen": alert.first_seen,
        "confirmed_on": alert.confirmed_on,
        "last_seen": alert.last_seen,
        "area_ha": alert.area_ha,
        "lat": alert.lat,
        "lon": alert.lon,
        "ndvi_change": alert.ndvi_change,
        "bsi_change": alert.bsi_change,
        "looks": alert.looks,
        "scene_before": scenes[0],
        "scene_after": scenes[1],
        "merged_into": alert.merged_into,
        "split_from": alert.split_from,
    }


def _find_former(alert: Alert, gone: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Find the vanished row whose ground this new alert covers most."""
    shared = {alert_id: decode_geometry(row["geom"]).intersection(alert.geometry).area for alert_id, row in gone.items()}
    best = max(shared, key=lambda alert_id: (shared[alert_id], alert_id), default=None)
    return best if best and shared[best] > 0 else None


def _compare(row: Mapping[str, Any], alert: Alert) -> list[tuple[str, str]]:
    """Name what changed between the table's row and the replay's."""
    events = []
    if alert.merged_into and not row["merged_into"]:
        events.append(("merged", f"into {alert.merged_into}"))
    elif alert.status != row["status"]:
        events.append(("reopened" if row["status"] == "closed" else alert.status, f"{row['status']} -> {alert.status}"))
    gained = alert.area_ha - float(row["area_ha"] or 0)
    if gained >= GROWTH_HA:
        events.append(("grown", f"{gained:+.2f} ha to {alert.area_ha:.2f} ha"))
    return events or [("unchanged", "")]


def _update_aoi_row(connection: Any, result: AreaResult, run: Mapping[str, Value]) -> None:
    cells = {"aoi": result.aoi, "run_id": run["run_id"], **result.facts}
    rows = select(connection, AOIS, "aoi = ?", (result.aoi,))
    if rows:
        update(connection, AOIS, rows[0]["fid"], cells, result.outline)
    else:
        insert(connection, AOIS, cells, result.outline)


def read_alerts(path: Path) -> gpd.GeoDataFrame:
    """Read the alerts as a table, ordered by area and id; raises AlertsError where there is none."""
    if not path.exists():
        raise AlertsError(f"there is no alerts table yet ({path}); make one with: minewatch scan")
    recover(path)
    try:
        frame = gpd.read_file(path, layer=LAYER)
    except (DataSourceError, DataLayerError) as error:
        raise AlertsError(f"{path} is no alerts table: it has no layer {LAYER!r}; move it away and scan again") from error
    for name in frame.columns[frame.dtypes.astype(str).isin(["object", "str", "string"])]:
        frame[name] = frame[name].fillna("")
    return frame.sort_values(["aoi", "alert_id"], ignore_index=True)


def read_areas(path: Path) -> dict[str, tuple[dt.date, dt.date]]:
    """Tell monitor_from and as-of date of each area in the table; empty where there is no table."""
    if not path.exists():
        return {}
    recover(path)
    frame = pyogrio.read_dataframe(path, layer=AOIS, read_geometry=False)
    return {str(row.aoi): (row.monitor_from.date(), row.as_of.date()) for row in frame.itertuples()}


def write_csv(alerts: gpd.GeoDataFrame, path: Path) -> None:
    """Write the table of area, date and position at once."""
    publish_bytes(path, render_csv(alerts).encode("utf-8"))


def render_csv(alerts: gpd.GeoDataFrame) -> str:
    """Render the table as CSV: one row an alert, columns CSV_COLUMNS."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")  # as RFC 4180 has it; so a bare CR in a note is quoted too
    writer.writerow(CSV_COLUMNS)
    for row in alerts.rename(columns={"first_seen": "date"}).to_dict("records"):
        writer.writerow([safe_cell(row[name]) for name in CSV_COLUMNS])
    return text.getvalue()


def plain_cell(value: Any) -> Any:
    """Give a cell as plain text or number: dates without a time, '' for nothing."""
    if pd.isna(value):
        return ""
    if hasattr(value, "date") and callable(value.date):
        return value.date().isoformat()
    return value


def safe_cell(value: Any) -> Any:
    """Give a cell for a spreadsheet: no text that it would run."""
    value = plain_cell(value)
    return f"'{value}" if isinstance(value, str) and is_formula(value) else value


def describe_position(lat: float, lon: float) -> str:
    """Write a position for people: degrees with the hemisphere."""
    return f"{abs(lat):.5f}°{'N' if lat >= 0 else 'S'} {abs(lon):.5f}°{'E' if lon >= 0 else 'W'}"
