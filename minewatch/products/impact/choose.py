"""Chooses the alerts whose cost is computed: some by their ids, those of an area, or all of the table."""

from __future__ import annotations

from collections.abc import Sequence

from minewatch.alerts.read import read_alerts
from minewatch.alerts.rows import find_alert, read_areas
from minewatch.core.errors import AlertsError, ImpactError
from minewatch.core.text import show, suggest
from minewatch.core.workspace import Workspace
from minewatch.products.impact.assess import (
    NEVER_CONFIRMED,
    PROVISIONAL_ONLY,
    WAS_DISMISSED,
    WAS_MERGED,
    Impact,
    Row,
    assess_impact,
    explain_exclusion,
)
from minewatch.settings.impact import ImpactTable

_REASONS = {
    PROVISIONAL_ONLY: "it is not confirmed, neither by the method nor by a person",
    NEVER_CONFIRMED: "it was closed without being confirmed",
    WAS_DISMISSED: "it was dismissed",
    WAS_MERGED: "its ground is counted with the alert into which it was merged",
}


def choose_impact(
    workspace: Workspace, assumed: ImpactTable, alert_ids: Sequence[str] = (), aoi: str | None = None
) -> tuple[Impact, list[str]]:
    """Compute the cost of some alerts, else of an area, else of the whole table; returns lines on ids that changed, too.

    Raises AlertsError where there is no such alert or area, ImpactError where an alert that was named does not count, and as
    assess_impact does.
    """
    table = read_alerts(workspace)
    rows: list[Row] = [{str(name): cell for name, cell in row.items()} for row in table.to_dict("records")]
    notes = []
    if alert_ids:
        names = {alert_id: find_alert(workspace.alerts, alert_id) for alert_id in alert_ids}
        notes = [f"{old} is now {name}" for old, name in names.items() if old != name]
        rows = [row for row in rows if row["alert_id"] in names.values()]
        _check_rows(rows)
    elif aoi is not None:
        areas = read_areas(workspace.alerts)
        if aoi not in areas:
            raise AlertsError(f"there is no area {show(aoi)} in the table{suggest(aoi, sorted(areas), 'areas')}")
        rows = [row for row in rows if row["aoi"] == aoi]
    return assess_impact(workspace, rows, assumed), notes


def _check_rows(rows: Sequence[Row]) -> None:
    for row in rows:
        if reason := explain_exclusion(row):
            merged = f" ({show(row['merged_into'])})" if reason == WAS_MERGED else ""
            raise ImpactError(f"{row['alert_id']} stands for no mining: {_REASONS[reason]}{merged}")
