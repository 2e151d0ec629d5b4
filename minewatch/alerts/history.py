"""The layer ``alert_history``: what scans and people changed, as data in columns and as a sentence."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minewatch.alerts.columns import HISTORY, Value
from minewatch.alerts.database import insert_rows, parse_date, recover, select, update
from minewatch.alerts.record import STATES

NEW, RENAMED, MERGED, GROWN, REOPENED, REVIEWED = "new", "renamed", "merged", "grown", "reopened", "reviewed"
"""Events with data of their own; an event named as a status says what an alert became."""

TIMES = ("decided_at", "found_at", "made_after")
"""Columns that say when a review was made."""

_TEXTS = (
    "alert_id", "event", "detail", "run_id", "former_id", "from_status", "to_status", "merged_into", "review", "by", "reason",
    "note",
)  # fmt: skip
"""Columns that hold text."""

LEGAL_STATUS = "legal status"
"""The event of a changed legal status."""

WHAT_IF = "what-if"
"""Mark in a sentence of what a what-if scan changed."""


@dataclass(frozen=True)
class HistoryEvent:
    """One row: a change of one alert."""

    alert_id: str
    """As it was called after the event."""

    event: str
    """The kind of change."""

    detail: str = ""
    """What changed, in words for people; programs take the fields below."""

    former_id: str = ""
    """What a renamed alert was called before."""

    from_status: str = ""
    """Status before, or legal status where the event is of that."""

    to_status: str = ""
    """Status after, or legal status."""

    merged_into: str = ""
    """The alert that took it in."""

    gained_ha: float | None = None
    """Hectares by which it grew, to two digits."""

    area_ha: float | None = None
    """Hectares that it had grown to, to two digits."""

    what_if: bool = False
    """True where a what-if scan changed it."""

    run_id: str = ""
    """The scan; '' for none."""

    as_of: dt.date | None = None
    """As-of date of the scan; of a review the date from which it acts, which is not the day on which it was made."""

    review: str = ""
    """What a person decided; of a withdrawn alert, what had been decided."""

    by: str = ""
    """Who decided."""

    reason: str = ""
    """Why it was dismissed, where that was told apart from the note."""

    note: str = ""
    """What else was written."""

    decided_at: dt.datetime | None = None
    """When it was decided, UTC; None for edits of the table, and for reviews that an older version recorded."""

    found_at: dt.datetime | None = None
    """When an edit of the table was found, UTC."""

    made_after: dt.datetime | None = None
    """When the table was last known to be without that edit, UTC."""


def record_event(connection: sqlite3.Connection, event: HistoryEvent) -> None:
    """Add an event to the history."""
    record_events(connection, [event])


def record_events(connection: sqlite3.Connection, events: Iterable[HistoryEvent]) -> None:
    """Add events to the history, in their order."""
    insert_rows(connection, HISTORY, [vars(event) | {"what_if": int(event.what_if)} for event in events])


def read_history(path: Path) -> list[HistoryEvent]:
    """Read the history of a table that exists, in its order."""
    recover(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return list_events(connection)


def list_events(connection: sqlite3.Connection, where: str = "1") -> list[HistoryEvent]:
    """Read the events that meet an SQL condition, in their order; it may use only columns that older tables have too."""
    return [_parse(row) for row in select(connection, HISTORY, where)]


def _parse(row: Mapping[str, Any]) -> HistoryEvent:
    cells = {**row, **_read_old_detail(row)} if row.get("what_if") is None else row  # only rows of older versions lack it
    values: dict[str, Any] = {name: str(cells.get(name) or "") for name in _TEXTS}
    values |= {name: read_time(cells.get(name)) for name in TIMES}
    values["as_of"] = parse_date(cells["as_of"]) if cells["as_of"] else None
    return HistoryEvent(**values, gained_ha=cells["gained_ha"], area_ha=cells["area_ha"], what_if=bool(cells["what_if"]))


def read_time(cell: Any) -> dt.datetime | None:
    """Return a time of the table; None where there is none, or somebody wrote what is none."""
    try:
        return dt.datetime.fromisoformat(str(cell)) if cell else None
    except ValueError:
        return None


# --- ids that alerts had -----------------------------------------------------------------------------------------------


def list_renames(events: Iterable[HistoryEvent]) -> dict[str, str]:
    """Map the id that an alert had to the next one; the latest counts."""
    return {event.former_id: event.alert_id for event in events if event.event == RENAMED and event.former_id}


def list_names(alert_id: str, renames: Mapping[str, str]) -> set[str]:
    """Return every id that an alert has had, its present one included."""
    names = found = {alert_id}
    while found := {former for former, name in renames.items() if name in found} - names:
        names = names | found
    return names


def follow_renames(alert_id: str, renames: Mapping[str, str], is_known: Callable[[str], bool]) -> str | None:
    """Return the first known one of an id and those that it leads to; None where there is none."""
    seen: set[str] = set()
    name: str | None = alert_id
    while name is not None and name not in seen:
        if is_known(name):
            return name
        seen.add(name)
        name = renames.get(name)
    return None


# --- rows of older versions --------------------------------------------------------------------------------------------


def migrate_history(connection: sqlite3.Connection) -> None:
    """Fill the columns of rows that an older version wrote."""
    for row in select(connection, HISTORY, "what_if IS NULL"):
        update(connection, HISTORY, row["fid"], _read_old_detail(row))


def _read_old_detail(row: Mapping[str, Any]) -> dict[str, Value]:
    """Return the data in the sentence of an older version; only this function knows its format."""
    event, parts = str(row["event"] or ""), str(row["detail"] or "").split("; ")
    before, arrow, after = parts[0].partition(" -> ")
    cells: dict[str, Value] = dict.fromkeys(("former_id", "from_status", "to_status", "merged_into"), "")
    cells |= {"gained_ha": None, "area_ha": None, "what_if": int(parts[-1] == WHAT_IF and event != REVIEWED)}
    if event == NEW:
        cells["to_status"] = before
    elif event == RENAMED and arrow:
        cells["former_id"] = before
    elif event == MERGED:
        cells["merged_into"] = before.removeprefix("into ")
    elif event == GROWN and (grown := re.fullmatch(r"([+-][\d.]+) ha to ([\d.]+) ha", parts[0])):
        cells |= {"gained_ha": float(grown[1]), "area_ha": float(grown[2])}
    elif event in (*STATES, REOPENED, LEGAL_STATUS) and arrow:
        cells |= {"from_status": before, "to_status": after}
    return cells
