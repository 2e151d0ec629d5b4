"""One thing that happened and that people may want to know: plain data, with an id made from the facts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minewatch.alerts.record import CLOSED as CLOSED_STATUS
from minewatch.alerts.record import CONFIRMED as CONFIRMED_STATUS
from minewatch.alerts.record import PROVISIONAL as PROVISIONAL_STATUS

PROVISIONAL, CONFIRMED, GROWN, CLOSED = PROVISIONAL_STATUS, CONFIRMED_STATUS, "grown", CLOSED_STATUS
REVIEWED, SCAN_FAILED, UNSEEN, REPORTED = "reviewed", "scan-failed", "unseen", "reported-unseen"
"""The names that rules use."""

PLACED = "placed"
"""An alert whose legal status changed: rules do not name this event, but it may bring an alert within their limits."""

RENAMED = "renamed"
"""An alert with a new id: nobody is notified, and nothing is sent again under the new id."""

WITHDRAWN = "withdrawn"
"""Status of an alert that is no longer in the table; it is reported as closed."""

STATES = (PROVISIONAL, CONFIRMED, CLOSED)
"""Events that give the status of an alert."""


@dataclass(frozen=True)
class Event:
    """Something that happened."""

    event_id: str
    """A hash of the facts: the same event has the same id, however often it is found."""

    event: str
    """One of the names above."""

    aoi: str
    """Name of the area."""

    alert_id: str = ""
    """'' where the event is about the area."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    """JSON values: for an alert its columns in the table, dates as ISO 8601."""

    geometry: Mapping[str, Any] | None = None
    """Outline of an alert, or of a place that others report, GeoJSON, lon/lat."""

    run_id: str = ""
    """The scan that found it."""

    recorded: str = ""
    """When it was found, UTC, ISO 8601."""

    number: int = 0
    """Number among all events, from 1."""


def name_event(*truth: object) -> str:
    """Return the id of an event, made from its facts."""
    return hashlib.sha256("\n".join(map(str, truth)).encode("utf-8", "replace")).hexdigest()[:24]


def parse_event(value: Mapping[str, Any]) -> Event:
    """Parse an event; raises KeyError, TypeError or ValueError where it is none."""
    texts = {name: str(value[name]) for name in ("event_id", "event", "aoi", "alert_id", "run_id", "recorded")}
    geometry = value["geometry"]
    if geometry is not None and not isinstance(geometry, dict):
        raise TypeError("geometry")
    return Event(facts=dict(value["facts"]), geometry=geometry, number=int(value["number"]), **texts)
