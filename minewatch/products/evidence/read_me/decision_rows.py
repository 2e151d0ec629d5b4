"""Reads what a line of decisions.jsonl says; lines of every version can be read, fields that they lack are empty."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minewatch.alerts.decisions import QGIS


@dataclass(frozen=True)
class DecisionRow:
    """One decision of a person, as the page prints it."""

    decided: dt.datetime | None
    """When it was made, by the clock of the machine; None for an edit in QGIS, of which only a range is known."""

    since: dt.datetime | None
    """For an edit in QGIS: it was made after that; None where that is not known."""

    until: dt.datetime | None
    """For an edit in QGIS: it was found then, and so made before."""

    effective: dt.date | None
    """From which date it acts."""

    by: str
    """Who; '' where an edit in QGIS does not say."""

    review: str
    """One of REVIEWS."""

    reason: str
    """Why an alert was dismissed."""

    note: str
    """Anything else."""

    is_edit: bool
    """True if it was made by editing the table in QGIS."""


def read_decision_row(fields: Mapping[str, Any]) -> DecisionRow:
    """Return a decision from the fields of its line; a time that is none is left out."""
    is_edit = fields.get("via") == QGIS
    decided = _read_time(fields.get("decided"))
    found = _read_time(fields.get("found_at")) or (decided if is_edit else None)
    return DecisionRow(
        decided=None if is_edit else decided,
        since=_read_time(fields.get("made_after")),
        until=found,
        effective=_read_date(fields.get("effective")),
        **{name: str(fields.get(name) or "") for name in ("by", "review", "reason", "note")},
        is_edit=is_edit,
    )


def _read_time(value: Any) -> dt.datetime | None:
    with contextlib.suppress(ValueError):
        return dt.datetime.fromisoformat(str(value)).astimezone(dt.UTC) if value else None
    return None


def _read_date(value: Any) -> dt.date | None:
    with contextlib.suppress(ValueError):
        return dt.date.fromisoformat(str(value)) if value else None
    return None
