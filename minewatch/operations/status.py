"""The state of the watch: when each area was scanned, the age of its newest scene, what fails."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from minewatch.alerts.cells import is_empty
from minewatch.alerts.columns import AOIS, LAYER
from minewatch.alerts.database import recover
from minewatch.alerts.lifetime import FateCount
from minewatch.alerts.rows import Row, read_layer, reading
from minewatch.areas.area_files import explain_unmatched
from minewatch.core.errors import AlertsError, RunRecordError, WorkspaceError, describe
from minewatch.core.files import AnyPath, read_files
from minewatch.core.lock import Lease, find_holder
from minewatch.core.run_record import read_run_record
from minewatch.core.text import parse_json
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.outbox import count_messages
from minewatch.operations.notify.rule import find_rules, list_unmatched
from minewatch.operations.run_log import ScheduledRun, read_runs
from minewatch.operations.schedule import Timetable, explain_empty, explain_schedules, read_timetable
from minewatch.products.evidence.timestamps import StampRound, describe_stamps, find_waiting, is_late
from minewatch.raster.damage import find_damage
from minewatch.sources.skipped import SkippedCount

LATE = dt.timedelta(hours=2)
"""Longer due than this is late, unless a process works in the workspace; so is what never ran."""


@dataclass(frozen=True)
class AreaStatus:
    """The state of one area."""

    aoi: str
    """Its name."""

    schedules: tuple[str, ...] = ()
    """Schedules that request it."""

    last: dt.datetime | None = None
    """When it was last scanned, UTC: when a scheduled scan ended, or one by hand began; None = never."""

    next: dt.datetime | None = None
    """When it is due next, UTC; in the past where it is due now; None = never."""

    late: bool = False
    """Due for too long, or never scanned though a schedule requests it."""

    failures: int = 0
    """Scheduled scans in a row that failed, since the last one by hand."""

    reason: str = ""
    """Why the last one failed."""

    as_of: dt.date | None = None
    """As-of date of its alerts; None = it was never scanned."""

    newest: dt.date | None = None
    """Acquisition of its newest scene in the archive."""

    lag: int | None = None
    """Age of that scene in days."""

    unseen: float | None = None
    """Share of its area without a clear look in the 30 days before the as-of date."""

    why_unseen: str = ""
    """Why, where it is known: a kind of reason."""

    skipped: SkippedCount = field(default_factory=SkippedCount)
    """Scenes of its last scan that were refused or could not be read."""

    received: int | None = None
    """Bytes that its last scan read of it; None where its record does not say."""

    budget: int | None = None
    """Bytes that its last scan was allowed for baseline and first year; None = no limit."""

    left_unread: int = 0
    """Looks that this budget left unread."""

    last_clear: dt.date | None = None
    """The latest clear look at any part of it."""

    lasting: float | None = None
    """Share of clearings of LASTING_DAYS on its watched ground that would have been confirmed."""

    blind_from: dt.date | None = None
    """First onset of the longest time in which at least half of them would not have been."""

    blind_to: dt.date | None = None
    """Last onset of that time."""

    blind: float | None = None
    """Share of those of that time that would not have been."""

    alerts: Mapping[str, int] = field(default_factory=dict)
    """Status to alerts."""

    monitor_from: dt.date | None = None
    """First acquisition that may raise an alert, by its last scan."""

    fates: FateCount = field(default_factory=FateCount)
    """Those ever confirmed, by what became of them."""

    @property
    def is_well(self) -> bool:
        """True if it needs no attention."""
        return not (self.late or self.failures)


@dataclass(frozen=True)
class WatchStatus:
    """The state of the watch of a workspace."""

    now: dt.datetime
    """UTC."""

    areas: Sequence[AreaStatus]
    """By name."""

    holder: Lease | None = None
    """The process that works in the workspace now."""

    waiting: int = 0
    """Messages in the outbox."""

    dead: int = 0
    """Messages that were given up."""

    stamps: StampRound = field(default_factory=StampRound)
    """Hashes that wait for a time stamp."""

    notes: Sequence[str] = ()
    """Lines a person should read."""

    faults: Sequence[str] = ()
    """Problems apart from areas and messages."""

    @property
    def is_well(self) -> bool:
        """True if nothing needs attention."""
        return all(area.is_well for area in self.areas) and not self.dead and not self.faults


def find_status(workspace: Workspace, now: dt.datetime) -> WatchStatus:
    """Return the state at ``now`` (UTC); raises WorkspaceError where settings or files cannot be read."""
    runs = [one for one in read_runs(workspace) if not one.what_if]
    timetable = read_timetable(workspace, read_runs(workspace))
    holder = find_holder(workspace.lock_file)
    table = _read_table(workspace.alerts)
    areas = [_describe_area(workspace, aoi, now, runs, timetable, table, busy=holder is not None) for aoi in timetable.areas]
    faults = [line for one in timetable.schedules if (line := explain_empty(one, timetable.areas))]
    ahead = [(aoi, row["as_of"]) for aoi, row in table.rows.items() if row["as_of"] > now.date()]
    faults += [f"the table of {aoi} is as of {day}, which is in the future; was a clock wrong?" for aoi, day in ahead]
    faults += [table.fault] if table.fault else []
    notes = [note for note in explain_schedules(timetable.schedules, [area.aoi for area in areas]) if note not in faults]
    rules = {
        rule.name: explain_unmatched(list_unmatched(rule, timetable.areas), timetable.areas) for rule in find_rules(workspace)
    }
    notes += [f"notify {name!r}: {unmatched}" for name, unmatched in rules.items() if unmatched]
    stamps = find_waiting(workspace)
    (faults if is_late(stamps, now) else notes).extend(filter(None, [stamps.describe()]))
    faults += stamps.notes
    faults += _list_damage(workspace, table)
    return WatchStatus(now, areas, holder, *count_messages(workspace.outbox), stamps, notes, faults)


def _list_damage(workspace: Workspace, table: _Table) -> Iterator[str]:
    """Yield a line for each record of a scan, and each change raster, that cannot be read."""
    for run_id in sorted({row["run_id"] for row in table.rows.values()} - {""}):
        try:
            read_run_record(workspace, run_id)
        except RunRecordError as error:
            yield f"{error}; scan again"
    for aoi in sorted(table.rows):
        folder = workspace.changes(aoi)
        paths = sorted(folder.glob("[!.]*.tif")) if isinstance(folder, Path) else []  # a running scan writes others
        if damaged := [fault for path in paths if (fault := find_damage(path))]:
            more = f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            yield f"a change raster of {aoi} cannot be read: {damaged[0]}{more}; scan it again"


def _describe_area(
    workspace: Workspace,
    aoi: str,
    now: dt.datetime,
    runs: Sequence[ScheduledRun],
    timetable: Timetable,
    table: _Table,
    *,
    busy: bool,
) -> AreaStatus:
    row = table.rows.get(aoi)
    own = [one for one in runs if aoi in one.areas]
    latest = _find_start(str(row["run_id"]) if row else "", now)
    since = [one for one in own if latest is None or one.ended >= latest]
    failed = list(takewhile(bool, (one.areas[aoi] for one in reversed(since))))
    ended = [one.ended for one in own if not one.areas[aoi]]
    schedules = tuple(one.name for one in timetable.schedules if aoi in one.areas)
    due = [found.slot for found in timetable.find_due(now) if aoi in found.areas]
    upcoming = [one.find_next(now) for one in timetable.schedules if aoi in one.areas]
    newest = _find_newest(workspace.archive(aoi))
    return AreaStatus(
        aoi,
        schedules,
        max([*ended, *([latest] if latest else [])], default=None),
        min(due, default=min(upcoming, default=None)),
        late=not busy and any(timetable.find_delay(one, aoi, now) > LATE for one in timetable.schedules if aoi in one.areas),
        failures=len(failed),
        reason=failed[0] if failed else "",
        as_of=row["as_of"] if row else None,
        newest=newest,
        lag=(now.date() - newest).days if newest else None,
        unseen=row["share_unseen"] if row else None,
        why_unseen=row["why_unseen"] if row else "",
        skipped=row["skipped"] if row else SkippedCount(),
        received=_read_received(workspace, row["run_id"], aoi) if row else None,
        budget=row["budget"] if row else None,
        left_unread=row["left_unread"] if row else 0,
        last_clear=row["last_clear"] if row else None,
        lasting=row["share_lasting"] if row else None,
        blind_from=row["blind_from"] if row else None,
        blind_to=row["blind_to"] if row else None,
        blind=row["share_blind"] if row else None,
        alerts=table.alerts.get(aoi, {}),
        monitor_from=row["monitor_from"] if row else None,
        fates=table.fates.get(aoi, FateCount()),
    )


def _find_start(run_id: str, now: dt.datetime) -> dt.datetime | None:
    """Return when the scan of a table's rows began, by its id; None where there is none, or the clock was wrong then."""
    try:
        started = dt.datetime.strptime(run_id.rpartition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    except ValueError:
        return None
    return started if started <= now else None


def _read_received(workspace: Workspace, run_id: str, aoi: str) -> int | None:
    """Return the bytes that a scan read of an area; None where its record is gone, damaged, or of an earlier version."""
    try:
        return next(int(area["bytes"]) for area in (read_run_record(workspace, run_id) or {})["areas"] if area["aoi"] == aoi)
    except (RunRecordError, LookupError, TypeError, ValueError, StopIteration):
        return None


def _find_newest(folder: AnyPath) -> dt.date | None:
    """Return the day of the newest acquisition in the archive's collection; None where there is none."""
    try:
        (data,) = read_files([folder / "collection.json"])
        return dt.datetime.fromisoformat(parse_json(data)["extent"]["temporal"]["interval"][0][1]).date()
    except (OSError, WorkspaceError, ValueError, KeyError, IndexError, TypeError):
        return None


@dataclass(frozen=True)
class _Table:
    """What the alerts table says of each area."""

    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Area to the first day of its monitoring, as-of date, and what could be seen and found."""

    alerts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Area to status to alerts."""

    fates: Mapping[str, FateCount] = field(default_factory=dict)
    """Area to its alerts ever confirmed."""

    fault: str = ""
    """Why it cannot be read."""


def _read_table(path: Path) -> _Table:
    """Read what the table says of each area, or why it cannot be read."""
    if not path.exists():
        return _Table()
    try:
        recover(path)
        with reading(path) as connection:
            areas, alerts = (read_layer(connection, layer) for layer in (AOIS, LAYER))
    except AlertsError as error:
        return _Table(fault=f"the alerts table cannot be read: {describe(error)}")
    by_area: defaultdict[str, list[Row]] = defaultdict(list)
    for row in alerts:
        by_area[row["aoi"]].append(row)
    counts = {aoi: Counter(row["status"] for row in found) for aoi, found in by_area.items()}
    fates = {aoi: FateCount.of(found) for aoi, found in by_area.items()}
    return _Table({row["aoi"]: _plain_row(row) for row in areas}, counts, fates)


def _plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    shares = {name: _read_cell(row, name) for name in ("share_unseen", "share_lasting", "share_blind")}
    days = {name: _read_cell(row, name) for name in ("last_clear", "blind_from", "blind_to")}
    return {
        "run_id": str(row.get("run_id") or ""),
        "as_of": row["as_of"],
        "monitor_from": row["monitor_from"],
        "why_unseen": str(_read_cell(row, "why_unseen") or ""),
        "skipped": SkippedCount(
            int(_read_cell(row, "scenes_refused") or 0),
            int(_read_cell(row, "scenes_unreadable") or 0),
            str(_read_cell(row, "skipped_reason") or ""),
        ),
        "budget": None if (budget := _read_cell(row, "budget")) is None else int(budget),
        "left_unread": int(_read_cell(row, "left_unread") or 0),
        **{name: None if share is None else float(share) for name, share in shares.items()},
        **days,
    }


def _read_cell(row: Mapping[str, Any], name: str) -> Any:
    """Return a cell; None where it is empty, or the table is older than the column."""
    return None if is_empty(cell := row.get(name)) else cell


def describe_status(status: WatchStatus) -> dict[str, Any]:
    """Return the state as plain data, for ``--json``."""
    return {
        "time": status.now.isoformat(),
        "well": status.is_well,
        "areas": [
            {
                "aoi": area.aoi,
                "well": area.is_well,
                "schedules": list(area.schedules),
                "last_run": area.last and area.last.isoformat(),
                "next_run": area.next and area.next.isoformat(),
                "late": area.late,
                "failures_in_a_row": area.failures,
                "reason": area.reason,
                "as_of": area.as_of and area.as_of.isoformat(),
                "newest_scene": area.newest and area.newest.isoformat(),
                "lag_days": area.lag,
                "share_unseen": area.unseen,
                "why_unseen": area.why_unseen,
                "scenes_refused": area.skipped.refused,
                "scenes_unreadable": area.skipped.unreadable,
                "bytes": area.received,
                "budget": area.budget,
                "not_read_budget": area.left_unread,
                "last_clear": area.last_clear and area.last_clear.isoformat(),
                "share_lasting": area.lasting,
                "blind_from": area.blind_from and area.blind_from.isoformat(),
                "blind_to": area.blind_to and area.blind_to.isoformat(),
                "share_blind": area.blind,
                "alerts": dict(sorted(area.alerts.items())),
                "ever_confirmed": area.fates.as_data(),
            }
            for area in status.areas
        ],
        "working": {"doing": holder.doing, "host": holder.host, "pid": holder.pid, "since": holder.since}
        if (holder := status.holder)
        else None,
        "outbox": {"waiting": status.waiting, "dead": status.dead},
        "time_stamps": describe_stamps(status.stamps),
        "faults": list(status.faults),
        "notes": list(status.notes),
    }
