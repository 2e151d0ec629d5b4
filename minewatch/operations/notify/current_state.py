"""The current state: alerts and areas of the table, decisions, and the run log of the watch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyogrio
import shapely
from shapely.geometry import mapping

from minewatch.alerts.cells import plain_cell
from minewatch.alerts.columns import AOIS, RUNS
from minewatch.alerts.corroboration.unseen import ReportedPlace, find_reported_places
from minewatch.alerts.database import recover
from minewatch.alerts.decisions import Decision, read_decisions
from minewatch.alerts.history import HistoryEvent, read_history
from minewatch.alerts.read import read_alerts
from minewatch.areas.area_files import list_aois
from minewatch.core.workspace import Workspace
from minewatch.operations.run_log import ScheduledRun, read_runs

KEPT = (
    "alert_id", "aoi", "status", "last_normal", "first_seen", "confirmed_on", "last_seen", "closed_on", "area_ha",
    "lat", "lon", "merged_into", "legal_status", "legal_reason", "concession", "protected_area", "territory", "admin_unit",
    "pipeline", "as_of", "run_id", "mine_score", "mine_reasons",
)  # fmt: skip
"""Columns of an alert that messages may contain."""

_DIGITS = 1e-7
"""Precision of outlines in degrees: about a centimetre."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class CurrentState:
    """What events are found from."""

    alerts: Mapping[str, Row]
    """Alert id to its row; '' or None where a value is missing."""

    outlines: Mapping[str, Mapping[str, Any]]
    """Alert id to its outline as GeoJSON."""

    areas: Mapping[str, Row]
    """Area to its row in the table, without those that a what-if scan wrote last."""

    history: Sequence[HistoryEvent] = ()
    """What scans changed, without what-if scans, in order."""

    decisions: Sequence[Decision] = ()
    """Of people, in order."""

    runs: Sequence[ScheduledRun] = ()
    """Scheduled runs, without what-if scans, in order."""

    known_areas: frozenset[str] = field(default_factory=frozenset)
    """Areas of the workspace; the table may still hold one that was removed."""

    reported: Sequence[ReportedPlace] = ()
    """Places of these areas that other systems report, and that could not be seen."""


def read_current_state(workspace: Workspace) -> CurrentState:
    """Read the current state; raises MinewatchError where table, decisions or run log cannot be read."""
    runs = [one for one in read_runs(workspace) if not one.what_if]
    known = frozenset(list_aois(workspace))
    decisions = read_decisions(workspace.decisions).all
    if not workspace.alerts.exists():
        return CurrentState({}, {}, {}, (), decisions, runs, known)
    recover(workspace.alerts)
    trials = {row["run_id"] for row in _read_rows(workspace, RUNS) if row["what_if"]}
    areas = {str(row["aoi"]): row for row in _read_rows(workspace, AOIS) if row["run_id"] not in trials}
    frame = read_alerts(workspace.alerts)
    frame = frame[frame["aoi"].isin(areas)]
    rows = {row["alert_id"]: {name: _plain(row[name]) for name in KEPT} for row in frame.to_dict("records")}
    outlines = {
        alert_id: mapping(shapely.set_precision(geometry, _DIGITS))
        for alert_id, geometry in zip(frame["alert_id"], frame.geometry, strict=True)
        if geometry is not None
    }
    history = [event for event in read_history(workspace.alerts) if not event.what_if]
    places, _ = find_reported_places(workspace)
    reported = [place for place in places if place.aoi in areas and place.aoi in known]
    return CurrentState(rows, outlines, areas, history, decisions, runs, known, reported)


def _read_rows(workspace: Workspace, layer: str) -> list[dict[str, Any]]:
    frame: pd.DataFrame = pyogrio.read_dataframe(workspace.alerts, layer=layer, read_geometry=False)
    return [{str(name): _plain(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    """Return a table value as JSON has it: dates as ISO 8601, '' for a missing one."""
    value = plain_cell(value)
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    return value.item() if hasattr(value, "item") else value
