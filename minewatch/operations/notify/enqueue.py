"""Puts messages about new events into the outbox: writes first the events, then the messages, then each rule's progress.

What a crash leaves undone is done the next time, and nothing is done twice.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

from minewatch.core.workspace import Workspace
from minewatch.operations.notify.current_state import read_current_state
from minewatch.operations.notify.event import Event
from minewatch.operations.notify.event_store import append_events, find_events, read_events
from minewatch.operations.notify.outbox import (
    DEAD,
    WAITING,
    Message,
    clean_stale,
    list_messages,
    lock_outbox,
    make_message,
    put_message,
    read_deliveries,
)
from minewatch.operations.notify.rule import (
    Rule,
    RuleProgress,
    choose_events,
    find_rules,
    name_kind,
    read_progress,
    select_due,
    write_progress,
)

LOCATION_FACTS = frozenset({"lat", "lon", "concession", "protected_area", "territory", "admin_unit", "review_note", "reason"})
"""Facts that may reveal a location: people write positions into notes, and reasons may name files of a place."""

MOST_EVENTS = 500
"""Events in one message; further ones go into another message."""


def enqueue_messages(workspace: Workspace, now: dt.datetime) -> int:
    """Put messages about new events into the outbox and return how many.

    Raises MinewatchError where table or outbox cannot be read or written; the events are found again the next time.
    """
    rules = find_rules(workspace)
    if not rules:
        return 0
    folder = workspace.outbox
    with lock_outbox(folder, "collect"):
        clean_stale(folder)
        store = read_events(folder)
        earlier = store.events[-1].number if store.events else 0
        memories = {rule.name: _read_or_start(folder, rule, earlier) for rule in rules}
        new_events = find_events(read_current_state(workspace), store, [rule.table.unseen_days for rule in rules], now)
        if new_events:
            append_events(folder, new_events)
        return sum(_enqueue_for_rule(folder, rule, memories[rule.name], store.events, now) for rule in rules)


def _read_or_start(folder: Path, rule: Rule, earlier: int) -> RuleProgress:
    """Read the progress of a rule; a new rule begins with the events found from now on."""
    progress = read_progress(folder, rule)
    if progress is None:
        progress = RuleProgress(earlier)
        write_progress(folder, rule, progress)  # before events are found, so that a crash in between loses none
    return progress


def _enqueue_for_rule(folder: Path, rule: Rule, progress: RuleProgress, events: list[Event], now: dt.datetime) -> int:
    """Put the messages of one rule into the outbox and return how many."""
    before = (progress.number, progress.begun)
    due = select_due(rule, events, progress, now)
    first_told = dict(progress.told_ha)
    chosen = choose_events(rule, due, progress)
    known = _list_known_events(folder, rule) if chosen else set()
    chosen = [hide_locations(event, rule) for event in chosen if event.event_id not in known]
    kinds = [name_kind(event, is_first=event.alert_id not in first_told) for event in chosen]
    messages = [
        make_message(rule.name, chosen[start : start + MOST_EVENTS], kinds[start : start + MOST_EVENTS], now)
        for start in range(0, len(chosen), MOST_EVENTS)
    ]
    for message in messages:
        put_message(folder, message)
    if due:
        progress.number = due[-1].number
    if (progress.number, progress.begun) != before:
        write_progress(folder, rule, progress)
    return len(messages)


def hide_locations(event: Event, rule: Rule) -> Event:
    """Remove what reveals a location, for a recipient who must not know it: it is not even written into the outbox."""
    if rule.table.coordinates:
        return event
    return replace(event, facts={name: value for name, value in event.facts.items() if name not in LOCATION_FACTS}, geometry=None)


def _list_known_events(folder: Path, rule: Rule) -> set[str]:
    """Return the ids of the events that wait for a rule or were sent; read in the order in which messages move."""
    messages: list[Message] = []
    for place in (WAITING, DEAD):
        messages += list_messages(folder, place)[0]
    ids = {event_id for message in messages if message.rule == rule.name for event_id in message.event_ids}
    return ids | {event_id for line in read_deliveries(folder) if line.rule == rule.name for event_id in line.event_ids}
