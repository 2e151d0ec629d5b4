"""One thing that happened and that people may want to hear of: plain data, with an id that says what is true."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minewatch.alerts.record import CLOSED as CLOSED_STATUS
from minewatch.alerts.record import CONFIRMED as CONFIRMED_STATUS
from minewatch.alerts.record import PROVISIONAL as PROVISIONAL_STATUS

PROVISIONAL, CONFIRMED, GROWN, CLOSED = PROVISIONAL_STATUS, CONFIRMED_STATUS, "grown", CLOSED_STATUS
REVIEWED, SCAN_FAILED, UNSEEN = "reviewed", "scan-failed", "unseen"
"""As the rules name them."""

PLACED = "placed"
"""An alert whose legal status is another now: no rule names it, but it may bring an alert within a rule's limits."""

RENAMED = "renamed"
"""An alert that has another id now; nobody is told, but nothing is told again under the new one."""

WITHDRAWN = "withdrawn"
"""Status of an alert that the table has no more; it is told as closed."""

STATES = (PROVISIONAL, CONFIRMED, CLOSED)
"""Events that say how an alert stands."""


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    event_id: str
    """A hash of what is true: the same fact has the same id, whoever finds it, and however often."""

    event: str
    """One of the names above."""

    aoi: str
    """Name of the area."""

    alert_id: str = ""
    """'' where it is about the area."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """What is told of it, as JSON has it: of an alert its cells in the table, dates as ISO 8601."""

    geometry: Mapping[str, Any] | None = None
    """Outline of an alert, GeoJSON, lon/lat."""

    run_id: str = ""
    """The scan that found it."""

    recorded: str = ""
    """When it was found, UTC, ISO 8601."""

    number: int = 0
    """Its place among all that was found, from 1."""


def name_event(*truth: object) -> str:
    """Make the id of an event from what is true of it."""
    return hashlib.sha256("\n".join(map(str, truth)).encode("utf-8", "replace")).hexdigest()[:24]


def parse_event(value: Mapping[str, Any]) -> Event:
    """Read an event back; raises KeyError, TypeError or ValueError for what is none."""
    texts = {name: str(value[name]) for name in ("event_id", "event", "aoi", "alert_id", "run_id", "recorded")}
    geometry = value["geometry"]
    if geometry is not None and not isinstance(geometry, dict):
        raise TypeError("geometry")
    return Event(facts=dict(value["facts"]), geometry=geometry, number=int(value["number"]), **texts)


def parse_time(text: str) -> dt.datetime:
    """Read a time back; raises ValueError."""
    return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
