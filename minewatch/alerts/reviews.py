"""Turns reviews edited in the table into decisions, and writes decisions into the table."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minewatch.alerts.columns import AOIS, LAYER, REVIEW_COLUMNS
from minewatch.alerts.decisions import COMMAND, DISMISS, QGIS, REVIEWS, Decision, append_decisions, read_decisions
from minewatch.alerts.geopackage import decode_geometry, parse_date, require_table, select, update, updating
from minewatch.alerts.history import RENAMED, REVIEWED, HistoryEvent, follow_renames, list_events, list_renames, record_event
from minewatch.alerts.record import CLOSED, CONFIRMED, DISMISSED, PROVISIONAL
from minewatch.alerts.schema import SHOWN, upgrade_schema
from minewatch.core.errors import AlertsError


@dataclass(frozen=True)
class Harvest:
    """The reviews that people edited in the table."""

    decisions: Sequence[Decision] = ()
    """Their edits as decisions, kept in the file."""

    notes: Sequence[str] = ()
    """A line for each edit that replaced another review or cannot be understood."""

    unclear: frozenset[int] = frozenset()
    """Rows (fid) with an unknown review: their columns stay as they are."""


def harvest_edits(connection: sqlite3.Connection, aoi: str, as_of: dt.date, decisions: Path) -> Harvest:
    """Turn edits made in the table since it was last written into decisions, before anything else is changed.

    The decisions are on the disk when this returns, so an update that is cut off afterwards loses none.
    """
    shown = {fid: review for fid, *review in connection.execute(f"SELECT fid, {', '.join(REVIEW_COLUMNS)} FROM {SHOWN}")}
    found, notes, unclear = [], [], set()
    for row in select(connection, LAYER, "aoi = ?", (aoi,)):
        edited, last = [str(row[name] or "").strip() for name in REVIEW_COLUMNS], shown.get(row["fid"], ["", "", ""])
        if edited == last or not row["geom"]:
            continue
        review, note, by = edited
        if review not in REVIEWS:
            unclear.add(row["fid"])
            notes.append(
                f"{row['alert_id']}: the review {review!r} is none of {', '.join(filter(None, REVIEWS))}; it has no effect"
            )
            continue
        found.append(_make_decision(row, Review(review, by, note=note), as_of, QGIS))
        if last[0] and last[0] != review:
            words = f"{_describe_review(review, by)} in the table replaces {_describe_review(last[0], last[2])}"
            notes.append(f"{row['alert_id']}: {words}; both are in {decisions.name}")
    latest = {d.alert_id: (d.via, d.columns, d.effective) for d in read_decisions(decisions).all}
    # An update that was cut off has left them in the file, but not in the table.
    append_decisions(decisions, [d for d in found if latest.get(d.alert_id) != (d.via, d.columns, d.effective)])
    for decision in found:
        (row,) = select(connection, LAYER, "alert_id = ?", (decision.alert_id,))
        write_review(connection, int(row["fid"]), decision.columns)
    return Harvest(found, notes, frozenset(unclear))


def _make_decision(row: Mapping[str, Any], review: Review, as_of: dt.date, via: str) -> Decision:
    now, outline = dt.datetime.now(dt.UTC), decode_geometry(row["geom"])
    return Decision(row["alert_id"], row["aoi"], review.review, review.reason, review.note, review.by, now, as_of, outline, via)


def _describe_review(review: str, by: str) -> str:
    return f"{review or 'no review'} by {by}" if by else review or "no review"


def write_review(connection: sqlite3.Connection, fid: int, columns: tuple[str, str, str]) -> None:
    """Write the review columns of a row, and record that they were written here."""
    update(connection, LAYER, fid, dict(zip(REVIEW_COLUMNS, columns, strict=True)))
    connection.execute(f"INSERT OR REPLACE INTO {SHOWN} (fid, {', '.join(REVIEW_COLUMNS)}) VALUES (?, ?, ?, ?)", (fid, *columns))


def delete_review(connection: sqlite3.Connection, fid: int) -> None:
    """Delete the record of a row that leaves the table."""
    connection.execute(f"DELETE FROM {SHOWN} WHERE fid = ?", (fid,))


# --- one review ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Review:
    """What a person says of an alert."""

    review: str
    """One of REVIEWS."""

    by: str
    """Who."""

    reason: str = ""
    """Why it is dismissed."""

    note: str = ""
    """Anything else."""


@dataclass(frozen=True)
class ReviewResult:
    """The result of a review."""

    alert_id: str
    """As the alert is called now."""

    status: str
    """After the review."""

    notes: Sequence[str]
    """Lines for the user."""


def review_alert(table: Path, decisions: Path, alert_id: str, review: Review) -> ReviewResult:
    """Record a decision, and show it in the table.

    Raises AlertsError where there is no such alert or the table is locked; what was decided before that is kept.
    """
    require_table(table)
    with updating(table) as connection:
        upgrade_schema(connection)
        name = resolve_id(connection, alert_id)
        row = select(connection, LAYER, "alert_id = ?", (name,))[0]
        as_of = parse_date(select(connection, AOIS, "aoi = ?", (row["aoi"],))[0]["as_of"])
        harvest = harvest_edits(connection, row["aoi"], as_of, decisions)
        decision = _make_decision(row, review, as_of, COMMAND)
        append_decisions(decisions, [decision])
        status = row["status"]
        if review.review == DISMISS:
            status = CLOSED if status == CLOSED else DISMISSED
        elif status == DISMISSED:  # the dismissal is withdrawn
            status = CONFIRMED if row["confirmed_on"] else PROVISIONAL
        update(connection, LAYER, row["fid"], {"status": status})
        write_review(connection, row["fid"], decision.columns)
        record_reviews(connection, harvest.decisions, row["run_id"])
        change = {"from_status": row["status"], "to_status": status} if status != row["status"] else {}
        record_event(connection, replace(_make_event(decision, row["run_id"]), **change))
    notes = [f"{alert_id} is now {name}", *harvest.notes] if name != alert_id else list(harvest.notes)
    return ReviewResult(name, status, notes)


def record_reviews(connection: sqlite3.Connection, decisions: Sequence[Decision], run_id: str) -> None:
    """Note decisions in ``alert_history``."""
    for decision in decisions:
        record_event(connection, _make_event(decision, run_id))


def _make_event(decision: Decision, run_id: str) -> HistoryEvent:
    parts = (
        _describe_review(decision.review, decision.by),
        decision.text,
        f"in the {decision.via}" if decision.via == QGIS else "",
    )
    detail = "; ".join(filter(None, parts))
    return HistoryEvent(decision.alert_id, REVIEWED, detail, run_id=run_id, as_of=decision.effective)


def find_alert(table: Path, alert_id: str) -> str:
    """Return the id that an alert has now.  Raises AlertsError where there is none."""
    require_table(table)
    with contextlib.closing(sqlite3.connect(table)) as connection:
        return resolve_id(connection, alert_id)


def resolve_id(connection: sqlite3.Connection, alert_id: str) -> str:
    """Return the id that an alert has now; old ones are followed through the table's history.

    Raises AlertsError where no row has it.
    """
    renames = list_renames(list_events(connection, f"event = '{RENAMED}'"))
    name = follow_renames(alert_id, renames, lambda name: bool(select(connection, LAYER, "alert_id = ?", (name,))))
    if name is None:
        raise AlertsError(f"there is no alert {alert_id!r}; list them with: minewatch alerts list")
    return name
