"""Which events a rule tells, and what it has told: the rule's own memory is one small file, replaced as a whole."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from minewatch.core.errors import WorkspaceError
from minewatch.core.files import publish_json
from minewatch.operations.notify.event import GROWN, PLACED, RENAMED, STATES, UNSEEN, Event
from minewatch.settings.watching import NotifyTable

AT_ONCE, DAILY, WEEKLY = "at-once", "daily", "weekly"

FOLDER = "rules"
"""In the folder of the outbox."""


@dataclass(frozen=True)
class Rule:
    """A recipient and what is told there."""

    name: str
    """Of its table."""

    table: NotifyTable
    """What the settings say."""

    @property
    def is_webhook(self) -> bool:
        """Whether it gets JSON."""
        return bool(self.table.webhook_variable)


@dataclass
class RuleProgress:
    """How far a rule has got."""

    number: int = 0
    """The last event that it considered."""

    begun: str = ""
    """First day of the day or week whose digest comes next, ISO 8601; '' before the first look."""

    told_ha: dict[str, float] = field(default_factory=dict)
    """Alert to its area when it was last told there."""


def list_rules(tables: Iterable[tuple[str, NotifyTable]]) -> list[Rule]:
    """Return the rules of tables, by name."""
    return [Rule(name, table) for name, table in tables]


def covers(rule: Rule, aoi: str) -> bool:
    """True if news of an area go to a rule."""
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), aoi) for pattern in rule.table.areas)


def choose_events(rule: Rule, events: Sequence[Event], memory: RuleProgress) -> list[Event]:
    """Choose what a rule tells of events, in their order; ``memory`` learns what was told."""
    chosen = []
    for event in events:
        if event.event == RENAMED:
            former = memory.told_ha.pop(str(event.facts["former"]), None)
            memory.told_ha |= {} if former is None else {event.alert_id: former}
        elif covers(rule, event.aoi) and _is_wanted(rule.table, event, memory):
            chosen.append(event)
            if event.alert_id:
                memory.told_ha[event.alert_id] = float(event.facts["area_ha"] or 0)
    return chosen


def _is_wanted(table: NotifyTable, event: Event, memory: RuleProgress) -> bool:
    if event.event == UNSEEN:
        return UNSEEN in table.events and event.facts["limit"] == table.unseen_days
    if not event.alert_id:
        return event.event in table.events
    area, told = float(event.facts["area_ha"] or 0), memory.told_ha.get(event.alert_id)
    legal = event.facts["legal_status"] or "unknown"
    if area < table.smallest_ha or (table.legal_status and legal not in table.legal_status):
        return False
    if event.event in (GROWN, PLACED):
        # An alert that the limits kept back is told once it is within them, as what it is.
        if told is None:
            return event.facts["status"] in table.events or event.event in table.events
        return event.event in table.events and area - told >= table.grown_ha
    return event.event in table.events


def name_kind(event: Event, *, is_first: bool) -> str:
    """Name what an event is for a recipient who hears of the alert for the first time, or not."""
    status = str(event.facts.get("status", ""))
    return status if event.event == PLACED or (event.event == GROWN and is_first and status in STATES) else event.event


# --- digests ---------------------------------------------------------------------------------------------------------


def find_period(when: str, day: dt.date) -> dt.date:
    """Return the first day of the day or week, from Monday on, that a day is in."""
    return day - dt.timedelta(days=day.weekday()) if when == WEEKLY else day


def take_due(rule: Rule, events: Sequence[Event], memory: RuleProgress, now: dt.datetime) -> list[Event]:
    """Take the events that a rule considers now, oldest first: all, or those of the days or weeks that are over."""
    fresh = [event for event in events if event.number > memory.number]
    if rule.table.when == AT_ONCE:
        memory.begun = ""
        return fresh
    begin = find_period(rule.table.when, now.date()).isoformat()
    if not memory.begun or begin < memory.begun:  # the first look, or a clock that was set back
        memory.begun = begin
    if begin == memory.begun:
        return []
    memory.begun = begin
    today = now.date().isoformat()
    # What seems to come from a day that is not yet was found before a clock was set back.
    over = [at for at, event in enumerate(fresh, 1) if event.recorded[:10] < begin or event.recorded[:10] > today]
    return fresh[: over[-1]] if over else []


# --- the file --------------------------------------------------------------------------------------------------------


def read_memory(folder: Path, rule: Rule) -> RuleProgress | None:
    """Read how far a rule has got; None where it is new.  Raises WorkspaceError where the file cannot be used."""
    path = folder / FOLDER / f"{rule.name}.json"
    try:
        value = json.loads(path.read_text("utf-8"))
        areas = {str(alert): float(area) for alert, area in value["told_ha"].items()}
        return RuleProgress(int(value["number"]), str(value["begun"]), areas)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WorkspaceError(f"{path} is damaged; move it away: the rule then begins anew") from error


def write_memory(folder: Path, rule: Rule, memory: RuleProgress) -> None:
    """Keep how far a rule has got.  Raises WorkspaceError or OSError."""
    publish_json(folder / FOLDER / f"{rule.name}.json", asdict(memory))
