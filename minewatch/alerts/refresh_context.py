"""Updates the context columns of an existing table, without a scan: for when the context layers changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from minewatch.alerts.columns import LAYER
from minewatch.alerts.context.layer import ContextLayer
from minewatch.alerts.context.place import place_sites
from minewatch.alerts.context.region import AlertSite
from minewatch.alerts.database import require_table, select, update
from minewatch.alerts.geopackage import updating
from minewatch.alerts.history import record_event
from minewatch.alerts.schema import upgrade_schema
from minewatch.alerts.table import compare_legal


@dataclass(frozen=True)
class RefreshResult:
    """The result of a refresh."""

    alerts: int
    """Rows in the table."""

    legal: Counter[str]
    """Legal status to number of alerts."""

    changes: Sequence[tuple[str, str]]
    """Alerts whose legal status is another now, and how it changed."""

    notes: Sequence[str]
    """Lines for the user."""


def refresh_context(table: Path, layers: Sequence[ContextLayer]) -> RefreshResult:
    """Write the context columns of every alert; nothing else in the table changes.

    Raises AlertsError where the table is missing, locked or damaged, ContextError where a layer cannot be read; nothing is
    changed then.
    """
    require_table(table)
    legal: Counter[str] = Counter()
    changes: list[tuple[str, str]] = []
    notes: list[str] = []
    with updating(table) as connection:
        upgrade_schema(connection)
        rows = [row for row in select(connection, LAYER) if row["geom"]]
        for aoi in sorted({row["aoi"] for row in rows}):
            own = [row for row in rows if row["aoi"] == aoi]
            placed = place_sites(layers, {row["alert_id"]: AlertSite.of(row) for row in own})
            notes += placed.notes
            for row in own:
                cells = placed.cells[row["alert_id"]]
                update(connection, LAYER, row["fid"], cells)
                legal[str(cells["legal_status"])] += 1
                for event in compare_legal(row["alert_id"], row, cells):
                    record_event(connection, replace(event, as_of=row["as_of"]))
                    changes.append((event.alert_id, event.detail))
    return RefreshResult(len(rows), legal, changes, tuple(dict.fromkeys(notes)))
