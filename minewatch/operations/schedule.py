"""Schedules: which areas are scanned when, and what is due."""

from __future__ import annotations

import datetime as dt
import hashlib
import platform
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from minewatch.areas.area_files import explain_unmatched, list_aois
from minewatch.core.workspace import Workspace
from minewatch.operations.run_log import ScheduledRun
from minewatch.settings.cron import find_last, find_next
from minewatch.settings.document import locate_source, read_settings


@dataclass(frozen=True)
class Schedule:
    """One schedule with its areas."""

    name: str
    """Of its table."""

    cron: str
    """UTC."""

    areas: tuple[str, ...]
    """Areas that exist, by name."""

    priority: int = 1
    """1 goes first."""

    pipeline: str | None = None
    """In place of the areas' own; None = their own."""

    source: str | None = None
    """In place of the areas' own, as ``open_source`` takes it; None = their own."""

    delay: dt.timedelta = dt.timedelta(0)
    """Start delay of this machine, so that many machines do not query a source at the same time."""

    empty: tuple[str, ...] = ()
    """Names and patterns without any area."""

    def find_slot(self, now: dt.datetime) -> dt.datetime:
        """Return the latest time of the cron expression at which it was due."""
        return find_last(self.cron, now - self.delay)

    def find_next(self, now: dt.datetime) -> dt.datetime:
        """Return the next time at which it begins on this machine."""
        return find_next(self.cron, now - self.delay) + self.delay


@dataclass(frozen=True)
class Due:
    """The areas of a schedule that are due."""

    schedule: Schedule
    """The schedule."""

    slot: dt.datetime
    """When it was due, UTC."""

    areas: tuple[str, ...]
    """Areas that were not scanned since then."""


@dataclass(frozen=True)
class Timetable:
    """All schedules of a workspace, and when they were done."""

    schedules: Sequence[Schedule] = ()
    """By priority, then by name."""

    done: Mapping[tuple[str, str], Sequence[dt.datetime]] = field(default_factory=dict)
    """Schedule and area to the cron times that were done; '' stands for a schedule without areas."""

    areas: Sequence[str] = ()
    """All areas of the workspace."""

    def find_due(self, now: dt.datetime) -> list[Due]:
        """Return what is due, the most urgent first; a schedule that missed several times is due once.

        Times after ``now`` do not count as done: the clock was wrong when they were written.
        """
        found = []
        for schedule in self.schedules:
            slot = schedule.find_slot(now)
            areas = tuple(aoi for aoi in schedule.areas if not self._is_done(schedule.name, aoi, slot, now))
            if areas:
                found.append(Due(schedule, slot, areas))
        return found

    def find_idle(self, now: dt.datetime) -> list[Due]:
        """Return the schedules that would be due but have no area, once for each of their times."""
        idle = [Due(schedule, schedule.find_slot(now), ()) for schedule in self.schedules if not schedule.areas]
        return [due for due in idle if not self._is_done(due.schedule.name, "", due.slot, now)]

    def find_next(self, now: dt.datetime) -> dt.datetime | None:
        """Return when something is due next: ``now`` where something is, None where nothing ever will be."""
        if self.find_due(now):
            return now
        return min((schedule.find_next(now) for schedule in self.schedules if schedule.areas), default=None)

    def find_delay(self, schedule: Schedule, aoi: str, now: dt.datetime) -> dt.timedelta:
        """Return the time since the first missed run; the longest possible where the area was never scanned."""
        done = [time for time in self.done.get((schedule.name, aoi), ()) if time <= now]
        if not done:
            return dt.timedelta.max
        return max(dt.timedelta(0), now - (find_next(schedule.cron, max(done)) + schedule.delay))

    def _is_done(self, name: str, aoi: str, slot: dt.datetime, now: dt.datetime) -> bool:
        return any(slot <= done <= now for done in self.done.get((name, aoi), ()))


def read_timetable(workspace: Workspace, runs: Iterable[ScheduledRun]) -> Timetable:
    """Read the schedules of a workspace; raises WorkspaceError where the settings cannot be used."""
    done = defaultdict(list)
    for one in runs:
        for aoi in one.areas or ("",):
            done[one.schedule, aoi].append(one.due)
    return Timetable(list_schedules(workspace), done, list(list_aois(workspace)))


def list_schedules(workspace: Workspace) -> list[Schedule]:
    """Return the schedules by priority and name, with the areas that exist; raises WorkspaceError."""
    settings = read_settings(workspace)
    names = list(list_aois(workspace))
    longest = dt.timedelta(minutes=settings.watch.jitter_minutes)
    schedules = []
    for name, table in settings.schedules.items():
        matches = {pattern: [aoi for aoi in names if fnmatchcase(aoi, pattern)] for pattern in table.areas}
        areas = tuple(dict.fromkeys(aoi for found in matches.values() for aoi in found))
        empty = tuple(pattern for pattern, found in matches.items() if not found)
        delay = find_delay(f"{platform.node()}:{workspace.root}:{name}", longest)
        source = table.source and locate_source(workspace, table.source, settings.sources)
        schedules.append(Schedule(name, table.cron, areas, table.priority, table.pipeline, source, delay, empty))
    return sorted(schedules, key=lambda schedule: (schedule.priority, schedule.name))


def find_delay(seed: str, longest: dt.timedelta) -> dt.timedelta:
    """Return whole seconds below ``longest``, the same for the same seed."""
    seconds = int(longest.total_seconds())
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8])
    return dt.timedelta(seconds=number % seconds if seconds else 0)


def explain_schedules(schedules: Sequence[Schedule], areas: Iterable[str]) -> list[str]:
    """Describe problems of the schedules: names without an area, areas without a schedule."""
    if not schedules:
        return ["minewatch.toml has no schedule, so nothing is scanned by itself; minewatch schedule --help shows one"]
    areas = list(areas)
    lines = [line for schedule in schedules if (line := explain_empty(schedule, areas))]
    watched = {aoi for schedule in schedules for aoi in schedule.areas}
    rest = [aoi for aoi in areas if aoi not in watched]
    return [*lines, *([f"no schedule scans {', '.join(rest)}"] if rest else [])]


def explain_empty(schedule: Schedule, areas: Collection[str]) -> str:
    """Name the names and patterns that no area has, with the area that was probably meant; '' where all have one."""
    unmatched = explain_unmatched(schedule.empty, areas)
    return f"schedule {schedule.name!r}: {unmatched}" if unmatched else ""
