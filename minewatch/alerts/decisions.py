"""What people decided about alerts: an append-only file, one JSON object a line, that outlives every table.

It is a chained log (``core/chained_log.py``), so that ``verify`` finds lines that were changed, added or removed.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from minewatch.core.chain_check import END_UNKNOWN, LogKind
from minewatch.core.chained_log import append_chained
from minewatch.core.errors import AlertsError
from minewatch.core.files import read_lines

CONFIRM, DISMISS, NEEDS_VISIT, NOTHING = "confirmed", "dismissed", "needs-visit", ""
REVIEWS = (CONFIRM, DISMISS, NEEDS_VISIT, NOTHING)
"""What ``review`` can be; the last withdraws an earlier decision."""

COMMAND, QGIS = "command", "table"
"""Where a decision was made: by ``alerts review``, or by editing the table."""

DECISION_LOG = LogKind("decisions", may_begin_unchained=True)
"""The kind of log that the file is; earlier versions did not chain the lines."""


TIMES = ("decided", "found_at", "made_after")
"""Times of a decision; which of them are known depends on where it was made."""


@dataclass(frozen=True)
class Decision:
    """What a person decided about one alert, and the outline within which it acts."""

    alert_id: str
    """As it was called then."""

    aoi: str
    """Name of the area."""

    review: str
    """One of REVIEWS."""

    reason: str
    """Why an alert was dismissed, '' otherwise."""

    note: str
    """Anything else."""

    by: str
    """Who; '' where an edit of the table does not say."""

    decided: dt.datetime | None
    """When, UTC, by the clock; None for an edit of the table, of which only a range is known."""

    effective: dt.date
    """As-of date of the table it was made on: from then on it acts."""

    outline: BaseGeometry
    """The alert's outline then, lon/lat."""

    via: str = COMMAND
    """COMMAND or QGIS."""

    found_at: dt.datetime | None = None
    """Of an edit: when a scan or command found it, UTC; it was saved before."""

    made_after: dt.datetime | None = None
    """Of an edit: when the table was last known to be without it, UTC; None where that is not recorded."""

    @property
    def text(self) -> str:
        """Reason and note as the table shows them."""
        return "; ".join(filter(None, (self.reason, self.note)))

    @property
    def columns(self) -> tuple[str, str, str]:
        """The columns review, review_note and reviewed_by."""
        return self.review, self.text, self.by

    @property
    def recorded(self) -> dt.datetime:
        """When it came on record, UTC: the decision itself on the command line, the finding of an edit."""
        moment = self.decided or self.found_at
        assert moment is not None, "a decision has one of them"
        return moment

    @property
    def times(self) -> dict[str, Any]:
        """The columns of the table and its history that say when it was made."""
        return {"decided_at": self.decided, "found_at": self.found_at, "made_after": self.made_after}


@dataclass(frozen=True)
class Decisions:
    """All that was decided, in the order in which it was."""

    all: tuple[Decision, ...] = ()
    """Of every area."""

    damaged: tuple[int, ...] = ()
    """Lines that cannot be read, counted from 1: a write was cut off there, or somebody edited the file."""

    def of(self, aoi: str, until: dt.date) -> list[Decision]:
        """Return those of an area that act on a date, the latest first."""
        known = [decision for decision in reversed(self._by_area.get(aoi, ())) if decision.effective <= until]
        return sorted(known, key=lambda decision: decision.effective, reverse=True)  # keeps the order of the same date

    def on(self, alert_id: str) -> Sequence[Decision]:
        """Return those that were made on an alert under this id."""
        return self._by_alert.get(alert_id, ())

    @cached_property
    def _by_area(self) -> dict[str, list[Decision]]:
        return _group(self.all, lambda decision: decision.aoi)

    @cached_property
    def _by_alert(self) -> dict[str, list[Decision]]:
        return _group(self.all, lambda decision: decision.alert_id)


def _group(decisions: Iterable[Decision], key: Callable[[Decision], str]) -> dict[str, list[Decision]]:
    groups: dict[str, list[Decision]] = defaultdict(list)
    for decision in decisions:
        groups[key(decision)].append(decision)
    return groups


def read_decisions(path: Path) -> Decisions:
    """Read the file; empty where there is none.  Raises AlertsError where it cannot be read."""
    try:
        found, damaged = read_lines(path, _parse)
    except OSError as error:
        raise AlertsError(f"{path} cannot be read: {error.strerror}") from error
    return Decisions(tuple(decision for decision in found if decision), damaged)


def append_decisions(path: Path, decisions: Sequence[Decision]) -> list[Decision]:
    """Add decisions, which are on the disk when this returns; return them as they will be read.

    Raises AlertsError where they cannot be written.
    """
    lines = [_render(decision) for decision in decisions]
    try:
        append_chained(path, lines, DECISION_LOG)
    except OSError as error:
        raise AlertsError(f"the decision could not be written to {path}: {error.strerror}; nothing was changed") from error
    return [decision for line in lines if (decision := _parse(json.loads(json.dumps(line))))]


def _render(decision: Decision) -> dict[str, Any]:
    fields = dict(vars(decision))
    outline = mapping(shapely.set_precision(fields.pop("outline"), 1e-7))  # degrees: to a centimetre
    times = {name: fields[name] and fields[name].isoformat(timespec="seconds") for name in TIMES}
    return {**fields, **times, "effective": fields["effective"].isoformat(), "outline": outline}


def _parse(document: dict[str, Any]) -> Decision | None:
    """Return a decision; None for the line of a writer that did not find the end of the file as it should be."""
    if END_UNKNOWN in document:
        return None
    review = document["review"]
    if review not in REVIEWS:
        raise ValueError(review)
    texts: dict[str, Any] = {name: str(document[name]) for name in ("alert_id", "aoi", "reason", "note", "by", "via")}
    try:
        outline = shapely.make_valid(shape(document["outline"]))
    except shapely.GEOSException as error:
        raise ValueError("no outline") from error
    times: dict[str, Any] = {name: dt.datetime.fromisoformat(text) if (text := document.get(name)) else None for name in TIMES}
    if texts["via"] == QGIS and not times["found_at"]:  # older versions called the finding of an edit its decision
        times = {"decided": None, "found_at": times["decided"], "made_after": None}
    if not (times["decided"] or times["found_at"]):
        raise ValueError("no time")
    effective = dt.date.fromisoformat(document["effective"])
    return Decision(review=review, effective=effective, outline=outline, **texts, **times)
