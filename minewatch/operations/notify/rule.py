"""Which events a rule sends, and how far it has got: its progress is one small file, replaced as a whole."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from minewatch.core.errors import WorkspaceError
from minewatch.core.files import publish_json
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.event import GROWN, PLACED, RENAMED, REPORTED, REVIEWED, STATES, UNSEEN, Event
from minewatch.settings.document import read_settings
from minewatch.settings.watching import NotifyTable

AT_ONCE, DAILY, WEEKLY = "at-once", "daily", "weekly"

FOLDER = "rules"
"""In the folder of the outbox."""


@dataclass(frozen=True)
class Rule:
    """A recipient and what is sent to it."""

    name: str
    """Of its table in the settings."""

    table: NotifyTable
    """Its settings."""

    @property
    def is_webhook(self) -> bool:
        """True if it is sent JSON."""
        return bool(self.table.webhook_variable)


@dataclass
class RuleProgress:
    """How far a rule has got."""

    number: int = 0
    """Number of the last event that it considered."""

    begun: str = ""
    """First day of the day or week whose digest comes next, ISO 8601; '' before the first one."""

    told_ha: dict[str, float] = field(default_factory=dict)
    """Alert to its area in hectares when the rule last sent it."""


def find_rules(workspace: Workspace) -> list[Rule]:
    """Return the rules of the settings, by name."""
    return [Rule(name, table) for name, table in sorted(read_settings(workspace).notify.items())]


def covers(rule: Rule, aoi: str) -> bool:
    """True if a rule covers an area."""
    return any(_fits(pattern, aoi) for pattern in rule.table.areas)


def _fits(pattern: str, aoi: str) -> bool:
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), aoi))


def list_unmatched(rule: Rule, areas: Sequence[str]) -> list[str]:
    """Return the names and patterns of a rule that fit none of the areas."""
    return [pattern for pattern in rule.table.areas if not any(_fits(pattern, aoi) for aoi in areas)]


def choose_events(rule: Rule, events: Sequence[Event], progress: RuleProgress) -> list[Event]:
    """Choose the events that a rule sends, in their order, and note them in ``progress``."""
    chosen = []
    for event in events:
        if event.event == RENAMED:
            former = progress.told_ha.pop(str(event.facts["former"]), None)
            progress.told_ha |= {} if former is None else {event.alert_id: former}
        elif covers(rule, event.aoi) and _is_wanted(rule.table, event, progress):
            chosen.append(event)
            if event.alert_id:
                progress.told_ha[event.alert_id] = float(event.facts["area_ha"] or 0)
    return chosen


def _is_wanted(table: NotifyTable, event: Event, progress: RuleProgress) -> bool:
    if event.event == UNSEEN:
        return UNSEEN in table.events and event.facts["limit"] == table.unseen_days
    if not event.alert_id:
        return event.event in table.events and (event.event != REPORTED or event.facts["area_ha"] >= table.smallest_ha)
    area, sent_ha = float(event.facts["area_ha"] or 0), progress.told_ha.get(event.alert_id)
    legal = event.facts["legal_status"] or "unknown"
    is_elsewhere = bool(table.legal_status) and legal not in table.legal_status
    if area < table.smallest_ha or is_elsewhere or (sent_ha is None and _is_unlike(table, event)):
        return False
    if event.event in (GROWN, PLACED):
        # An alert that was outside the limits is sent once it is within them, with its present status.
        if sent_ha is None:
            return event.facts["status"] in table.events or event.event in table.events
        return event.event in table.events and area - sent_ha >= table.grown_ha
    return event.event in table.events


def _is_unlike(table: NotifyTable, event: Event) -> bool:
    """True if the ground of an alert was scored and looks less like a mine than the rule asks for, and no person decided."""
    score = event.facts.get("mine_score")  # events of earlier versions have none
    if table.min_mine_score is None or event.event == REVIEWED or not isinstance(score, int | float):
        return False
    return score < table.min_mine_score


def name_kind(event: Event, *, is_first: bool) -> str:
    """Return what an event is for a recipient; ``is_first``: nothing was sent of this alert before."""
    status = str(event.facts.get("status", ""))
    return status if event.event == PLACED or (event.event == GROWN and is_first and status in STATES) else event.event


# --- digests ---------------------------------------------------------------------------------------------------------


def find_period(when: str, day: dt.date) -> dt.date:
    """Return the first day of the day or week (from Monday) that contains a day."""
    return day - dt.timedelta(days=day.weekday()) if when == WEEKLY else day


def select_due(rule: Rule, events: Sequence[Event], progress: RuleProgress, now: dt.datetime) -> list[Event]:
    """Return the events that a rule considers now, oldest first: all, or those of days or weeks that are over."""
    new_events = [event for event in events if event.number > progress.number]
    if rule.table.when == AT_ONCE:
        progress.begun = ""
        return new_events
    begin = find_period(rule.table.when, now.date()).isoformat()
    if not progress.begun or begin < progress.begun:  # the first digest, or the clock was set back
        progress.begun = begin
    if begin == progress.begun:
        return []
    progress.begun = begin
    today = now.date().isoformat()
    # Events dated in the future were found before the clock was set back.
    over = [at for at, event in enumerate(new_events, 1) if event.recorded[:10] < begin or event.recorded[:10] > today]
    return new_events[: over[-1]] if over else []


# --- the file --------------------------------------------------------------------------------------------------------


def read_progress(folder: Path, rule: Rule) -> RuleProgress | None:
    """Read the progress of a rule; None where it is new.  Raises WorkspaceError where the file cannot be used."""
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


def write_progress(folder: Path, rule: Rule, progress: RuleProgress) -> None:
    """Write the progress of a rule.  Raises WorkspaceError or OSError."""
    publish_json(folder / FOLDER / f"{rule.name}.json", asdict(progress))
