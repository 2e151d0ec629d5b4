"""Updates the alerts table from the replay, without losing what people wrote into it."""

from __future__ import annotations

import datetime as dt
import functools
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.apply_decisions import DecisionIndex, ReviewedStatus, apply_decisions
from minewatch.alerts.columns import AOIS, LAYER, REVIEW_COLUMNS, RUNS, Value
from minewatch.alerts.context.place import Cells
from minewatch.alerts.database import delete, insert, parse_date, recover, select_areas, update
from minewatch.alerts.decisions import Decisions
from minewatch.alerts.geopackage import add_outline, create_geopackage, decode_geometry, refresh_extent, updating
from minewatch.alerts.history import (
    GROWN,
    LEGAL_STATUS,
    MERGED,
    NEW,
    RENAMED,
    REOPENED,
    TIMES,
    WHAT_IF,
    HistoryEvent,
    read_time,
    record_events,
)
from minewatch.alerts.record import CLOSED, CONFIRMED, DISMISSED, PROVISIONAL, Alert
from minewatch.alerts.reviews import Harvest, delete_review, harvest_edits, make_review_cells, record_reviews, record_shown
from minewatch.alerts.schema import upgrade_schema
from minewatch.settings.pipeline import AlertSettings

GROWTH_HA = 0.1
"""Hectares gained since the table was last written from which an alert counts as grown: ten pixels."""


@dataclass(frozen=True)
class AreaResult:
    """The result of one scan for one area."""

    aoi: str
    """Name of the area."""

    outline: BaseGeometry
    """Lon/lat."""

    alerts: Sequence[Alert]
    """From the replay, by id."""

    scenes: Mapping[str, tuple[str, str]]
    """Alert id to the ids of the scenes before and after."""

    facts: Mapping[str, Value]
    """The other columns of its row in layer ``aois``."""

    settings: AlertSettings = field(default_factory=AlertSettings)
    """The pipeline's settings for alerts."""

    what_if: bool = False
    """True for a scan with settings other than the area's own, or with an older as-of date."""

    context: Mapping[str, Cells] = field(default_factory=dict)
    """Alert id to its columns on context and likeness."""


@dataclass
class TableChanges:
    """What an update changed."""

    events: Counter[str] = field(default_factory=Counter)
    """Event to number of alerts: new, confirmed, grown, closed, merged, dismissed, reopened, reviewed, renamed, withdrawn,
    legal status, unchanged."""

    alerts: list[Alert] = field(default_factory=list)
    """With their status after decisions."""

    changed: list[HistoryEvent] = field(default_factory=list)
    """All changes, in the order of the alerts."""

    notes: list[str] = field(default_factory=list)
    """Lines for the user."""

    def count_alerts(self) -> dict[str, int]:
        """Count the alerts of the table by what is new of them, each once: new, else grown, else changed, else unchanged."""
        events = defaultdict(set)
        for event in self.changed:
            events[event.alert_id].add(event.event)
        news = Counter(
            NEW if NEW in of_one else GROWN if GROWN in of_one else "changed" if of_one else "unchanged"
            for of_one in (events.get(alert.alert_id, set()) for alert in self.alerts)
        )
        return {name: news[name] for name in (NEW, GROWN, "changed", "unchanged")}

    def after(self, first: TableChanges | None) -> TableChanges:
        """Return the changes of two updates by one scan, this one the second."""
        if first is None:
            return self
        events = first.events + self.events
        events["unchanged"] = max(0, self.events["unchanged"] - first.events["new"])  # they are new in this scan
        return replace(self, events=events, changed=[*first.changed, *self.changed])


def update_table(path: Path, results: Sequence[AreaResult], run: Mapping[str, Value], decisions: Path) -> dict[str, TableChanges]:
    """Write the results of one scan in one transaction, after edits were harvested into ``decisions``.

    Return the changes of each area.  Raises AlertsError where the table is locked or damaged; nothing is changed then.
    """
    if not path.exists():
        create_geopackage(path)
    recover(path, whole=True)
    changes = {}
    names = [result.aoi for result in results]
    with updating(path) as connection:
        upgrade_schema(connection)
        areas = {row["aoi"]: row for row in reversed(select_areas(connection, AOIS, names))}
        harvests, known = harvest_edits(connection, {n: parse_date(areas[n]["as_of"]) for n in names if n in areas}, decisions)
        damaged = [f"{decisions}: line {number} cannot be read and has no effect" for number in known.damaged]
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in select_areas(connection, LAYER, names):
            rows[row["aoi"]].append(row)
        for result in results:
            harvest = harvests.get(result.aoi, Harvest())
            changes[result.aoi] = _Writer(connection, result, run, rows[result.aoi], harvest).write_all(known)
            changes[result.aoi].notes += [*harvest.notes, *damaged]
            _update_aoi_row(connection, result, run, areas.get(result.aoi))
        new = sum(of_area.events["new"] for of_area in changes.values())
        insert(connection, RUNS, {**run, "alerts_new": new})
        for layer in (LAYER, AOIS):
            refresh_extent(connection, layer)
    return changes


class _Writer:
    """Writes the alerts of one area over the rows of the last scan."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        result: AreaResult,
        run: Mapping[str, Value],
        rows: Sequence[Mapping[str, Any]],
        harvest: Harvest,
    ) -> None:
        self._connection, self._result, self._harvest, self._changes = connection, result, harvest, TableChanges()
        self._common = {"pipeline": result.facts["pipeline"], "as_of": result.facts["as_of"], "run_id": run["run_id"]}
        self._when: dict[str, Any] = {name: self._common[name] for name in ("run_id", "as_of")}
        self._shown: dict[int, tuple[str, str, str]] = {}
        self._events: list[HistoryEvent] = []
        self._old = {row["alert_id"]: row for row in rows}
        ids = {alert.alert_id for alert in result.alerts}
        self._gone = _GoneRows({alert_id: row for alert_id, row in self._old.items() if alert_id not in ids})

    def write_all(self, known: Decisions) -> TableChanges:
        """Write the reviews that people edited and the alerts with their decisions; return what changed."""
        until = self._result.facts["as_of"]
        assert isinstance(until, dt.date), "every scan has an as-of date"
        self._changes.events.update(["reviewed"] * len(self._harvest.decisions))
        record_reviews(self._connection, self._harvest.decisions, str(self._common["run_id"]))
        acting = DecisionIndex(known.of(self._result.aoi, until))
        for alert in self._result.alerts:
            self._write(alert, apply_decisions(alert, acting, until, self._result.settings))
        self._withdraw_rest()
        record_shown(self._connection, self._shown)
        record_events(self._connection, self._events)
        return self._changes

    def _write(self, alert: Alert, reviewed: ReviewedStatus) -> None:
        """Write one alert: into a new row, its own, or that of a vanished alert it overlaps."""
        alert = replace(alert, status=reviewed.status)
        self._changes.alerts.append(alert)
        facts = {name: value for name, value in vars(alert).items() if name not in ("geometry", "stages")}
        before, after = self._result.scenes.get(alert.alert_id, ("", ""))
        context = self._result.context.get(alert.alert_id, {})
        cells = {**facts, "scene_before": before, "scene_after": after, **context, **self._common}
        row = self._old.get(alert.alert_id)
        if row is None and (former := self._gone.find_former(alert)):
            row = self._gone.rows.pop(former)
            self._record(HistoryEvent(alert.alert_id, RENAMED, f"{former} -> {alert.alert_id}", former_id=former))
        is_unclear = row is not None and row["fid"] in self._harvest.unclear
        if not is_unclear:
            cells |= make_review_cells(reviewed.decision)
        if row is None:
            fid = insert(self._connection, LAYER, add_outline(cells, alert.geometry))
            self._record(HistoryEvent(alert.alert_id, NEW, alert.status, to_status=alert.status))
        else:
            fid = row["fid"]
            update(self._connection, LAYER, fid, add_outline(cells, alert.geometry))
            for event in _compare(row, alert, context):
                self._record(event)
        if not is_unclear:
            self._shown[fid] = reviewed.review

    def _withdraw_rest(self) -> None:
        """Delete the rows of alerts that the replay no longer has."""
        for alert_id, row in self._gone.rows.items():
            delete(self._connection, LAYER, row["fid"])
            delete_review(self._connection, row["fid"])
            reviews = "; ".join(f"{name}: {row[name]}" for name in REVIEW_COLUMNS if row[name])
            review, note, by = (str(row[name] or "") for name in REVIEW_COLUMNS)
            times: dict[str, Any] = {name: read_time(row[name]) for name in TIMES}
            self._record(HistoryEvent(alert_id, "withdrawn", reviews, review=review, note=note, by=by, **times))

    def _record(self, event: HistoryEvent) -> None:
        self._changes.events[event.event] += 1
        if event.event != "unchanged":
            self._changes.changed.append(event)
            trial = self._result.what_if
            detail = "; ".join(filter(None, [event.detail, WHAT_IF if trial else ""]))
            self._events.append(replace(event, detail=detail, what_if=trial, **self._when))


class _GoneRows:
    """Rows whose alerts the replay no longer has under their ids."""

    def __init__(self, rows: dict[str, Mapping[str, Any]]) -> None:
        self.rows = rows
        """Alert id to row; taken out as they are renamed."""

    def find_former(self, alert: Alert) -> str | None:
        """Return the id of the row that a new alert overlaps most."""
        if not self.rows:
            return None
        ids, outlines, tree = self._ground
        near = [number for number in tree.query(alert.geometry).tolist() if ids[number] in self.rows]
        shared = {ids[number]: outlines[number].intersection(alert.geometry).area for number in near}
        best = max(shared, key=lambda alert_id: (shared[alert_id], alert_id), default=None)
        return best if best and shared[best] > 0 else None

    @functools.cached_property
    def _ground(self) -> tuple[list[str], list[BaseGeometry], shapely.STRtree]:
        """The ids, their outlines, and those by place."""
        outlines = [decode_geometry(row["geom"]) for row in self.rows.values()]
        return list(self.rows), outlines, shapely.STRtree(outlines)


def _compare(row: Mapping[str, Any], alert: Alert, context: Cells) -> list[HistoryEvent]:
    """Return what changed between the table's row and the alert."""
    events = compare_legal(alert.alert_id, row, context)
    if alert.merged_into and not row["merged_into"]:
        events.append(HistoryEvent(alert.alert_id, MERGED, f"into {alert.merged_into}", merged_into=alert.merged_into))
    elif alert.status != row["status"]:
        event = alert.status if row["status"] in (PROVISIONAL, CONFIRMED) or alert.status in (CLOSED, DISMISSED) else REOPENED
        events.append(_make_change(alert.alert_id, event, row["status"], alert.status))
    gained = alert.area_ha - float(row["area_ha"] or 0)
    if gained >= GROWTH_HA:
        detail, numbers = f"{gained:+.2f} ha to {alert.area_ha:.2f} ha", (round(gained, 2), round(alert.area_ha, 2))
        events.append(HistoryEvent(alert.alert_id, GROWN, detail, gained_ha=numbers[0], area_ha=numbers[1]))
    return events or [HistoryEvent(alert.alert_id, "unchanged")]


def _make_change(alert_id: str, event: str, before: str, after: str) -> HistoryEvent:
    return HistoryEvent(alert_id, event, f"{before} -> {after}", from_status=before, to_status=after)


def compare_legal(alert_id: str, row: Mapping[str, Any], context: Cells) -> list[HistoryEvent]:
    """Return a change of the legal status as an event; a row that had none yet has not changed."""
    before, after = row["legal_status"], str(context.get("legal_status") or "")
    return [_make_change(alert_id, LEGAL_STATUS, before, after)] if before and after and before != after else []


def _update_aoi_row(
    connection: sqlite3.Connection, result: AreaResult, run: Mapping[str, Value], row: Mapping[str, Any] | None
) -> None:
    """Write the row of an area, over the one that is there."""
    cells = add_outline({"aoi": result.aoi, "run_id": run["run_id"], **result.facts}, result.outline)
    if row:
        update(connection, AOIS, row["fid"], cells)
    else:
        insert(connection, AOIS, cells)
