"""A message that is marked as a test, with an alert that is made up."""

from __future__ import annotations

import datetime as dt

from minewatch.core.workspace import Workspace
from minewatch.operations.notify.answer import DeliveryAttempt
from minewatch.operations.notify.collection import hide_places
from minewatch.operations.notify.delivery import LONGEST, send_in_time
from minewatch.operations.notify.event import CONFIRMED, Event, name_event
from minewatch.operations.notify.outbox import Message, make_message
from minewatch.operations.notify.rule import Rule

AREA = "test-area"
"""Name of an area that is none."""

LAT, LON = 0.0, 0.0
"""In the Atlantic, where nobody mines."""

_SIDE = 0.001
"""Degrees."""


def make_sample(rule: Rule, now: dt.datetime) -> Message:
    """Make a message about an alert that there is not."""
    day = now.date().isoformat()
    facts = {
        "alert_id": f"{AREA}-{day.replace('-', '')}-000000",
        "aoi": AREA,
        "status": CONFIRMED,
        "first_seen": day,
        "confirmed_on": day,
        "last_seen": day,
        "area_ha": 1.23,
        "lat": LAT,
        "lon": LON,
        "legal_status": "unknown",
    }
    ring = [[LON, LAT], [LON + _SIDE, LAT], [LON + _SIDE, LAT + _SIDE], [LON, LAT + _SIDE], [LON, LAT]]
    outline = {"type": "MultiPolygon", "coordinates": [[ring]]}
    name, moment = name_event("test", rule.name, now.isoformat()), now.isoformat(timespec="seconds")
    event = Event(name, CONFIRMED, AREA, str(facts["alert_id"]), facts, outline, "", moment)
    return make_message(rule.name, [hide_places(event, rule)], [CONFIRMED], now)


def send_sample(workspace: Workspace, rule: Rule, now: dt.datetime, seconds: float = LONGEST) -> DeliveryAttempt:
    """Send a test message to the recipient of a rule."""
    return send_in_time(workspace, make_sample(rule, now), rule, now, is_test=True, seconds=seconds)
