"""Finds new events and keeps them in an append-only file, each once.

Events are found by comparing the current state with the events found so far, so that a table made anew, a repeated run or a
crash between two steps makes none twice.  The history of the table gives the states that an alert passed in between.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.history import NEW, HistoryEvent, follow_renames, list_renames
from minewatch.alerts.record import DISMISSED
from minewatch.alerts.table import GROWTH_HA
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import append_lines, read_lines
from minewatch.operations.notify.current_state import CurrentState, Row
from minewatch.operations.notify.event import (
    CLOSED,
    CONFIRMED,
    GROWN,
    PLACED,
    PROVISIONAL,
    RENAMED,
    REPORTED,
    REVIEWED,
    SCAN_FAILED,
    STATES,
    UNSEEN,
    WITHDRAWN,
    Event,
    name_event,
    parse_event,
)

FILE = "events.jsonl"
"""In the folder of the outbox."""

_DATES = {PROVISIONAL: "first_seen", CONFIRMED: "confirmed_on", CLOSED: "last_seen"}
"""State to the column with its date."""


@dataclass
class _AlertHistory:
    """What was found of one alert so far."""

    state: str = ""
    """The last of STATES."""

    closed: str = ""
    """Id of the last event that closed it."""

    area: float = 0.0
    """The largest area found, hectares."""

    legal: str = ""
    """Legal status, as last found."""

    last: Event | None = None
    """The last event."""

    def learn(self, event: Event) -> None:
        """Add an event."""
        if event.event in STATES:
            self.state = event.event
        if event.event == CLOSED:
            self.closed = event.event_id
        self.area = max(self.area, float(event.facts.get("area_ha") or 0))
        self.legal = str(event.facts.get("legal_status") or "")
        self.last = event


@dataclass
class EventStore:
    """All events found so far."""

    events: list[Event] = field(default_factory=list)
    """In the order of their numbers."""

    ids: set[str] = field(default_factory=set)
    """Of the events."""

    alerts: dict[str, _AlertHistory] = field(default_factory=dict)
    """By the id that the alert had in its last event."""

    def add(self, event: Event) -> None:
        """Add an event."""
        self.events.append(event)
        self.ids.add(event.event_id)
        if event.event == RENAMED:
            self.alerts[event.alert_id] = self.alerts.pop(str(event.facts["former"]), _AlertHistory())
        elif event.alert_id:
            self.alerts.setdefault(event.alert_id, _AlertHistory()).learn(event)


def read_events(folder: Path) -> EventStore:
    """Read the events; a line that a crash cut off is left out.  Raises WorkspaceError."""
    path = folder / FILE
    try:
        events, _ = read_lines(path, parse_event)
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
    store = EventStore()
    for event in events:
        store.add(event)
    return store


def append_events(folder: Path, events: Sequence[Event]) -> None:
    """Append events; they are on the disk when this returns.  Raises WorkspaceError."""
    path = folder / FILE
    try:
        append_lines(path, [json.dumps(asdict(event), ensure_ascii=False) for event in events])
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be written: {error.strerror}; new events will be found again later") from error


def find_events(state: CurrentState, store: EventStore, limits: Iterable[int], now: dt.datetime) -> list[Event]:
    """Find new events and add them to ``store``; ``limits`` are the days after which rules report an area as unseen."""
    found = []
    for event in _list_candidates(state, store, sorted(set(limits)), now):
        if event.event_id not in store.ids:
            number = store.events[-1].number + 1 if store.events else 1
            found.append(replace(event, recorded=now.isoformat(timespec="seconds"), number=number))
            store.add(found[-1])
    return found


def _list_candidates(state: CurrentState, store: EventStore, limits: Sequence[int], now: dt.datetime) -> Iterator[Event]:
    renames = list_renames(state.history)
    former = {new: old for old, new in renames.items()}
    passed = _read_reached_states(state.history)
    for alert_id, row in state.alerts.items():
        name = follow_renames(alert_id, former, store.alerts.__contains__) or alert_id
        if name != alert_id:
            yield Event(name_event(alert_id, RENAMED, name), RENAMED, row["aoi"], alert_id, {"former": name})
        known = store.alerts.get(alert_id, _AlertHistory())
        yield from _find_alert(alert_id, row, state.outlines.get(alert_id), known, passed.get(alert_id, set()))
    yield from _find_withdrawn(state, store)
    yield from _find_reviews(state, renames)
    yield from _find_failures(state)
    yield from _find_unseen(state, limits, now)
    yield from _find_reported(state, store)


# --- alerts ----------------------------------------------------------------------------------------------------------


def _read_reached_states(history: Sequence[HistoryEvent]) -> dict[str, set[str]]:
    """Return the states that each alert was in, from the history of the table."""
    passed: dict[str, set[str]] = {}
    for event in history:
        passed.setdefault(event.alert_id, set()).add(event.to_status if event.event == NEW else event.event)
    return passed


def _find_alert(alert_id: str, row: Row, outline: Any, known: _AlertHistory, passed: set[str]) -> Iterator[Event]:
    """Find the states that an alert reached since its last event, its growth, and a change of its legal status."""

    def make(event: str, *truth: object, **more: Any) -> Event:
        name = name_event(alert_id, event, *truth)
        return Event(name, event, row["aoi"], alert_id, dict(row) | more, outline, str(row["run_id"] or ""))

    status, before = row["status"], known.state
    area, legal, had = float(row["area_ha"] or 0), known.legal, known.area
    if before == CLOSED and status in (PROVISIONAL, CONFIRMED):
        yield make(status, row[_DATES[status]], "again", known.closed)
    elif status in STATES:
        reached = STATES[STATES.index(before) + 1 if before else 0 : STATES.index(status) + 1]
        for state in reached:
            if state == status or state in passed:
                yield make(state, row[_DATES[state]])
    if not before or status in (CLOSED, DISMISSED):
        return
    if area - had >= GROWTH_HA:
        yield make(GROWN, f"{area:.2f}", gained_ha=round(area - had, 4))
    if legal != str(row["legal_status"] or ""):
        yield make(PLACED, row["legal_status"], legal)


def _find_withdrawn(state: CurrentState, store: EventStore) -> Iterator[Event]:
    """Find alerts that are no longer in the table: later looks did not support them."""
    for alert_id, known in list(store.alerts.items()):
        last = known.last
        if last is None or known.state in ("", CLOSED) or last.aoi not in state.areas or alert_id in state.alerts:
            continue
        name = name_event(alert_id, CLOSED, WITHDRAWN, known.state, last.facts.get("last_seen"))
        run_id = str(state.areas[last.aoi]["run_id"] or "")
        facts = {**last.facts, "status": WITHDRAWN}
        yield replace(last, event_id=name, event=CLOSED, alert_id=alert_id, facts=facts, run_id=run_id)


def _find_reviews(state: CurrentState, renames: Mapping[str, str]) -> Iterator[Event]:
    """Find decisions about alerts of the table, by their present ids."""
    for decision in state.decisions:
        alert_id = follow_renames(decision.alert_id, renames, state.alerts.__contains__)
        if alert_id is None:
            continue
        row = state.alerts[alert_id]
        said = {"review": decision.review, "review_note": decision.text, "reviewed_by": decision.by}
        name = name_event(decision.alert_id, REVIEWED, *said.values(), decision.recorded.isoformat(timespec="seconds"))
        times = {"decided": decision.decided, "found_at": decision.found_at, "made_after": decision.made_after}
        said |= {key: time.isoformat(timespec="seconds") if time else "" for key, time in times.items()}
        said["effective"] = decision.effective.isoformat()
        outline, run_id = state.outlines.get(alert_id), str(row["run_id"] or "")
        yield Event(name, REVIEWED, decision.aoi, alert_id, {**row, **said}, outline, run_id)


# --- areas -----------------------------------------------------------------------------------------------------------


def _find_failures(state: CurrentState) -> Iterator[Event]:
    """Find the first of the consecutive failures of an area."""
    failing: set[str] = set()
    for one in state.runs:
        for aoi, reason in one.areas.items():
            if reason and aoi not in failing:
                since = one.started.isoformat(timespec="seconds")
                facts = {"reason": reason, "since": since, "schedule": one.schedule}
                yield Event(name_event(aoi, SCAN_FAILED, since), SCAN_FAILED, aoi, "", facts, None, one.run_id or "")
            failing = failing | {aoi} if reason else failing - {aoi}


def _count_skipped(row: Row) -> int:
    """Return the scenes of an area's last scan that were refused or could not be read; tables of earlier versions say none."""
    return sum(int(row.get(name) or 0) for name in ("scenes_refused", "scenes_unreadable"))


def _find_unseen(state: CurrentState, limits: Sequence[int], now: dt.datetime) -> Iterator[Event]:
    """Find areas without a clear look for so many days; once for each limit and last clear look."""
    for aoi, row in state.areas.items():
        last = str(row["last_clear"] or "")
        since = last or str(row["monitor_from"] or "")
        if aoi not in state.known_areas or not since:
            continue
        days = (now.date() - dt.date.fromisoformat(since)).days
        for limit in limits:
            if days >= limit:
                facts = {"last_clear": last, "days": days, "limit": limit, "share_unseen": row["share_unseen"]}
                facts |= {"skipped": skipped} if (skipped := _count_skipped(row)) else {}
                yield Event(name_event(aoi, UNSEEN, since, limit), UNSEEN, aoi, "", facts, None, str(row["run_id"] or ""))


def _find_reported(state: CurrentState, store: EventStore) -> Iterator[Event]:
    """Find places that others report on unseen ground, each once: not again where it has grown or come apart."""
    known: dict[str, list[BaseGeometry]] = {}
    for event in store.events if state.reported else ():
        if event.event == REPORTED and event.geometry:
            known.setdefault(event.aoi, []).append(shape(dict(event.geometry)))
    for place in state.reported:
        if any(place.outline.intersects(before) for before in known.get(place.aoi, ())):
            continue
        facts = {name: value for name, value in place.describe().items() if name != "aoi"}
        run_id = str(state.areas[place.aoi]["run_id"] or "")
        yield Event(name_event(place.place_id, REPORTED), REPORTED, place.aoi, "", facts, mapping(place.outline), run_id)
