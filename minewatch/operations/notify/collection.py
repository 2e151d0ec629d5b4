"""Puts into the outbox what is new: first the events, then the messages, then how far each rule has got.

Whatever a crash leaves undone is done by the next look, and what was done is not done twice.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

from minewatch.core.workspace import Workspace
from minewatch.operations.notify.event import Event
from minewatch.operations.notify.event_store import append_findings, find_events, read_findings
from minewatch.operations.notify.outbox import (
    DEAD,
    WAITING,
    Message,
    holding,
    list_messages,
    make_message,
    put_message,
    read_deliveries,
    sweep_leftovers,
)
from minewatch.operations.notify.rule import (
    Rule,
    RuleProgress,
    choose_events,
    list_rules,
    name_kind,
    read_memory,
    take_due,
    write_memory,
)
from minewatch.operations.notify.state import read_state
from minewatch.settings.document import read_settings

PLACES = frozenset({"lat", "lon", "concession", "protected_area", "territory", "admin_unit", "review_note", "reason"})
"""Facts that say where something is, or may: people write positions into notes, and reasons may name files of a place."""

MOST_EVENTS = 500
"""Of one message; more make another."""


def collect(workspace: Workspace, now: dt.datetime) -> int:
    """Put messages about what is new into the outbox; gives how many.

    Raises MinewatchError where table or outbox cannot be read or written; what is new is found again then.
    """
    rules = find_rules(workspace)
    if not rules:
        return 0
    folder = workspace.outbox
    with holding(folder, "collect"):
        sweep_leftovers(folder)
        findings = read_findings(folder)
        earlier = findings.events[-1].number if findings.events else 0
        memories = {rule.name: _read_or_begin(folder, rule, earlier) for rule in rules}
        fresh = find_events(read_state(workspace), findings, [rule.table.unseen_days for rule in rules], now)
        if fresh:
            append_findings(folder, fresh)
        return sum(_collect(folder, rule, memories[rule.name], findings.events, now) for rule in rules)


def _read_or_begin(folder: Path, rule: Rule, earlier: int) -> RuleProgress:
    """Read how far a rule has got; one that is new hears of what is new, not of what others heard long ago."""
    memory = read_memory(folder, rule)
    if memory is None:
        memory = RuleProgress(earlier)
        write_memory(folder, rule, memory)  # before anything is found, so that a crash in between loses nothing
    return memory


def find_rules(workspace: Workspace) -> list[Rule]:
    """Return the rules of the settings, by name."""
    return list_rules(sorted(read_settings(workspace).notify.items()))


def _collect(folder: Path, rule: Rule, memory: RuleProgress, events: list[Event], now: dt.datetime) -> int:
    """Put the messages of one rule into the outbox."""
    before = (memory.number, memory.begun)
    due = take_due(rule, events, memory, now)
    first_told = dict(memory.told_ha)
    chosen = choose_events(rule, due, memory)
    known = _list_told(folder, rule) if chosen else set()
    chosen = [hide_places(event, rule) for event in chosen if event.event_id not in known]
    kinds = [name_kind(event, is_first=event.alert_id not in first_told) for event in chosen]
    messages = [
        make_message(rule.name, chosen[start : start + MOST_EVENTS], kinds[start : start + MOST_EVENTS], now)
        for start in range(0, len(chosen), MOST_EVENTS)
    ]
    for message in messages:
        put_message(folder, message)
    if due:
        memory.number = due[-1].number
    if (memory.number, memory.begun) != before:
        write_memory(folder, rule, memory)
    return len(messages)


def hide_places(event: Event, rule: Rule) -> Event:
    """Take out what says where something is, for a recipient who must not know: it does not even reach the outbox."""
    if rule.table.coordinates:
        return event
    return replace(event, facts={name: value for name, value in event.facts.items() if name not in PLACES}, geometry=None)


def _list_told(folder: Path, rule: Rule) -> set[str]:
    """Return the events that wait for a rule, or were told: in this order, which is that in which messages move."""
    messages: list[Message] = []
    for place in (WAITING, DEAD):
        messages += list_messages(folder, place)[0]
    ids = {event_id for message in messages if message.rule == rule.name for event_id in message.event_ids}
    return ids | {event_id for line in read_deliveries(folder) if line.rule == rule.name for event_id in line.event_ids}
