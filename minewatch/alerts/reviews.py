"""Turns reviews edited in the table into decisions, and writes decisions into the table."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minewatch.alerts.columns import AOIS, CHECKED, DECISION_COLUMNS, LAYER, REVIEW_COLUMNS, SHOWN, Value
from minewatch.alerts.database import parse_date, require_table, select, select_areas, update
from minewatch.alerts.decisions import COMMAND, DISMISS, QGIS, REVIEWS, Decision, Decisions, append_decisions, read_decisions
from minewatch.alerts.geopackage import decode_geometry, updating
from minewatch.alerts.history import (
    REVIEWED,
    HistoryEvent,
    read_time,
    record_event,
    record_events,
)
from minewatch.alerts.record import CLOSED, CONFIRMED, DISMISSED, PROVISIONAL
from minewatch.alerts.rows import resolve_id
from minewatch.alerts.schema import upgrade_schema


@dataclass(frozen=True)
class Harvest:
    """The reviews that people edited in the table."""

    decisions: Sequence[Decision] = ()
    """Their edits as decisions, kept in the file."""

    notes: Sequence[str] = ()
    """A line for each edit that replaced another review or cannot be understood."""

    unclear: frozenset[int] = frozenset()
    """Rows (fid) with an unknown review: their columns stay as they are."""


def harvest_edits(
    connection: sqlite3.Connection, areas: Mapping[str, dt.date], decisions: Path
) -> tuple[dict[str, Harvest], Decisions]:
    """Turn edits made in the table since it was last written into decisions, before anything else is changed.

    ``areas``: the areas that are looked at, and the as-of date that the table states of each.  Return what was found in each,
    and all decisions, those found included: the file is read once.  They are on the disk when this returns, so an update that
    is cut off afterwards loses none.
    """
    now, known = _now(), read_decisions(decisions)
    harvests = {aoi: Harvest() for aoi in areas}
    found: list[tuple[_Edit, Decision]] = []
    for aoi, edits in _list_edits(connection, areas).items():
        judged = [(edit, _judge(edit, areas[aoi], now, known)) for edit in edits]
        understood = [(edit, decision) for edit, decision in judged if decision]
        notes = [note for edit, decision in judged if (note := _explain(edit, decision, decisions))]
        unclear = frozenset(edit.row["fid"] for edit, decision in judged if not decision)
        harvests[aoi] = Harvest([decision for _, decision in understood], notes, unclear)
        found += understood
    kept = set(map(id, known.all))
    added = append_decisions(decisions, [decision for _, decision in found if id(decision) not in kept])
    for edit, decision in found:
        write_review(connection, int(edit.row["fid"]), decision)
    _mark_checked(connection, areas, now)
    return harvests, Decisions((*known.all, *added), known.damaged)


def _judge(edit: _Edit, as_of: dt.date, now: dt.datetime, known: Decisions) -> Decision | None:
    """Return the decision that an edit is; None where its review is none."""
    return _find_kept(edit.make_decision(as_of, now, known), known) if edit.review in REVIEWS else None


def _explain(edit: _Edit, decision: Decision | None, decisions: Path) -> str:
    """Return a line on an edit that cannot be understood or replaced another review, '' for any other."""
    alert_id, known = edit.row["alert_id"], ", ".join(filter(None, REVIEWS))
    if decision is None:
        return f"{alert_id}: the review {edit.review!r} is none of {known}; it has no effect"
    if not edit.last[0] or edit.last[0] == edit.review:
        return ""
    words = _describe_review(edit.review, edit.by), _describe_review(edit.last[0], edit.last[2])
    return f"{alert_id}: {words[0]} in the table replaces {words[1]}; both are in {decisions.name}"


@dataclass(frozen=True)
class _Edit:
    """Review columns of a row that somebody has edited."""

    row: Mapping[str, Any]
    """The row of the table."""

    last: tuple[str, str, str]
    """The review columns as last written here."""

    checked: dt.datetime | None
    """When they were last known to be so, UTC."""

    review: str
    """As it is now."""

    note: str
    """As it is now."""

    by: str
    """As it is now."""

    def make_decision(self, as_of: dt.date, now: dt.datetime, known: Decisions) -> Decision:
        """Return it as a decision that is found now."""
        reason, note = self._split_note(known)
        outline = decode_geometry(self.row["geom"])
        names = self.row["alert_id"], self.row["aoi"]
        return Decision(*names, self.review, reason, note, self.by, None, as_of, outline, QGIS, now, self.checked)

    def _split_note(self, known: Decisions) -> tuple[str, str]:
        """Return reason and note: as they were told apart before, where nobody touched the cell that shows both."""
        if self.review == DISMISS and (self.review, self.note) == self.last[:2]:
            same = [decision for decision in known.on(self.row["alert_id"]) if decision.columns == self.last]
            return (same[-1].reason, same[-1].note) if same else ("", self.note)
        return "", self.note


def _list_edits(connection: sqlite3.Connection, areas: Mapping[str, object]) -> dict[str, list[_Edit]]:
    """Return the edited rows of each area, in the order of ``areas``."""
    names = ", ".join(REVIEW_COLUMNS)
    shown = {
        fid: (review, checked) for fid, checked, *review in connection.execute(f"SELECT fid, {CHECKED}, {names} FROM {SHOWN}")
    }
    edits: dict[str, list[_Edit]] = {aoi: [] for aoi in areas}
    for row in select_areas(connection, LAYER, list(areas)):
        edited = [str(row[name] or "").strip() for name in REVIEW_COLUMNS]
        last, checked = shown.get(row["fid"], (["", "", ""], None))
        if edited != last and row["geom"]:
            edits[row["aoi"]].append(_Edit(row, tuple(last), read_time(checked), *edited))
    return edits


def _find_kept(decision: Decision, known: Decisions) -> Decision:
    """Return the same decision from the file, where an update that was cut off has left it there, but not in the table."""
    latest = next(reversed(known.on(decision.alert_id)), None)
    if latest is None or (latest.via, latest.columns, latest.effective) != (decision.via, decision.columns, decision.effective):
        return decision
    return latest


def _mark_checked(connection: sqlite3.Connection, areas: Mapping[str, object], now: dt.datetime) -> None:
    """Record that no row of the areas holds an edit any more; what is saved after this update was made after ``now``."""
    rows = f"SELECT fid FROM {LAYER} WHERE aoi IN ({', '.join('?' for _ in areas)})"
    connection.execute(f"UPDATE {SHOWN} SET {CHECKED} = ? WHERE fid IN ({rows})", (now.isoformat(), *areas))


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def _describe_review(review: str, by: str) -> str:
    return f"{review or 'no review'} by {by}" if by else review or "no review"


def write_review(connection: sqlite3.Connection, fid: int, decision: Decision) -> None:
    """Write the review of a row, and record that it was written here."""
    update(connection, LAYER, fid, make_review_cells(decision))
    record_shown(connection, {fid: decision.columns})


def make_review_cells(decision: Decision | None) -> dict[str, Value]:
    """Return the columns of a row that show a decision; empty ones where there is none."""
    columns = decision.columns if decision else ("", "", "")
    cells: dict[str, Value] = dict(zip(REVIEW_COLUMNS, columns, strict=True)) | dict.fromkeys(DECISION_COLUMNS)
    return cells | {**decision.times, "effective": decision.effective} if decision else cells


def record_shown(connection: sqlite3.Connection, shown: Mapping[int, tuple[str, str, str]]) -> None:
    """Record the review columns that were written here, by fid, so that edits are recognised."""
    names, now = ", ".join((*REVIEW_COLUMNS, CHECKED)), _now().isoformat()
    rows = ((fid, *columns, now) for fid, columns in shown.items())
    connection.executemany(f"INSERT OR REPLACE INTO {SHOWN} (fid, {names}) VALUES (?, ?, ?, ?, ?)", rows)


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

    @property
    def text(self) -> str:
        """Reason and note as the table shows them."""
        return "; ".join(filter(None, (self.reason, self.note)))


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
        harvest = harvest_edits(connection, {row["aoi"]: as_of}, decisions)[0][row["aoi"]]
        outline, names = decode_geometry(row["geom"]), (row["alert_id"], row["aoi"])
        decision = Decision(*names, review.review, review.reason, review.note, review.by, _now(), as_of, outline, COMMAND)
        append_decisions(decisions, [decision])
        status = row["status"]
        if review.review == DISMISS:
            status = CLOSED if status == CLOSED else DISMISSED
        elif status == DISMISSED:  # the dismissal is withdrawn
            status = CONFIRMED if row["confirmed_on"] else PROVISIONAL
        update(connection, LAYER, row["fid"], {"status": status})
        write_review(connection, row["fid"], decision)
        record_reviews(connection, harvest.decisions, row["run_id"])
        change = {"from_status": row["status"], "to_status": status} if status != row["status"] else {}
        record_event(connection, replace(_make_event(decision, row["run_id"]), **change))
    notes = [f"{alert_id} is now {name}", *harvest.notes] if name != alert_id else list(harvest.notes)
    return ReviewResult(name, status, notes)


def record_reviews(connection: sqlite3.Connection, decisions: Sequence[Decision], run_id: str) -> None:
    """Note decisions in ``alert_history``."""
    record_events(connection, [_make_event(decision, run_id) for decision in decisions])


def _make_event(decision: Decision, run_id: str) -> HistoryEvent:
    """Return a decision as an event: everything in columns, and a sentence for those who read the table alone."""
    parts = (
        _describe_review(decision.review, decision.by),
        decision.text,
        "found in the table" if decision.via == QGIS else "",
    )
    return HistoryEvent(
        decision.alert_id,
        REVIEWED,
        "; ".join(filter(None, parts)),
        run_id=run_id,
        as_of=decision.effective,
        review=decision.review,
        by=decision.by,
        reason=decision.reason,
        note=decision.note,
        **decision.times,
    )
