"""One pass of the watch: scans what is due, tells whom it concerns, and shows that it lives."""

from __future__ import annotations

import datetime as dt
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from minewatch.alerts.read import read_areas
from minewatch.areas.aoi import read_aoi
from minewatch.core.errors import AlertsError, BusyError, MinewatchError, SourceError, describe
from minewatch.core.logging import log_event
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.collection import collect
from minewatch.operations.notify.delivery import Delivery, deliver
from minewatch.operations.notify.outbox import list_messages
from minewatch.operations.plan import ScanRequest, plan_area
from minewatch.operations.scan import scan
from minewatch.operations.scan_report import ScanReport
from minewatch.operations.schedule import Due, Timetable, explain_empty, read_timetable
from minewatch.operations.status import write_heartbeat
from minewatch.operations.watch_log import ScheduledRun, append_runs, describe_run, read_runs
from minewatch.settings.document import read_settings

Dates = Mapping[str, tuple[dt.date, dt.date]]
"""Area to the first day that may raise an alert and to the as-of date of its table."""

Scan = Callable[[Workspace, ScanRequest, Reporter], ScanReport]
"""What scans areas."""


@dataclass(frozen=True)
class Cycle:
    """What one pass did."""

    now: dt.datetime
    """When it began, UTC."""

    rounds: Sequence[ScheduledRun] = ()
    """Scans."""

    busy: str = ""
    """Why what is due was left for the next pass: somebody else works in the workspace."""

    collected: int = 0
    """Messages that were put into the outbox."""

    delivery: Delivery = field(default_factory=Delivery)
    """What became of those that wait there."""

    faults: Sequence[str] = ()
    """What somebody has to look after, beside areas: a line each."""

    next_due: dt.datetime | None = None
    """When something is due next, UTC; None = never."""

    next_try: dt.datetime | None = None
    """When a message that waits is tried again, UTC; None = none waits."""

    @property
    def failed(self) -> dict[str, str]:
        """Areas that were not scanned, and why."""
        return {aoi: reason for one in self.rounds for aoi, reason in one.failed.items()}

    @property
    def is_well(self) -> bool:
        """Whether everything was done that was to be done."""
        return not (self.failed or self.busy or self.faults or self.delivery.dead)


@dataclass(frozen=True)
class Batch:
    """Areas that are scanned by one call, so that they share searches and scenes."""

    apart: str
    """Name of the schedule whose pipeline is not the areas' own, so that the result is written apart; '' = it is."""

    pipeline: str | None
    """In place of the areas' own."""

    until: dt.date
    """As-of date."""

    asked: dict[str, list[Due]] = field(default_factory=dict)
    """Area to what asked for it."""


def watch_once(workspace: Workspace, now: dt.datetime, reporter: Reporter | None = None, run: Scan = scan) -> Cycle:
    """Scan what is due at ``now`` (UTC), tell whom it concerns, and try again what could not be told earlier.

    Raises MinewatchError where settings or files of the workspace cannot be used; what fails in an area is in the result.
    """
    reporter = reporter or Reporter()
    settings = read_settings(workspace)
    timetable = read_timetable(workspace, read_runs(workspace))
    rounds, busy = _scan_due(workspace, timetable, now, reporter, run)
    collected, delivery, faults = _tell(workspace, now)
    if rounds:
        faults += [line for one in timetable.schedules if (line := explain_empty(one))]
    timetable = read_timetable(workspace, read_runs(workspace))
    done = Cycle(now, rounds, busy, collected, delivery, faults, timetable.find_next(now), _find_next_try(workspace, now))
    done = replace(done, faults=[*faults, *write_heartbeat(workspace, settings.watch, describe_pass(done))])
    for line in (*done.faults, *delivery.notes, *filter(None, [busy])):
        reporter.note(line)
    return done


def describe_pass(done: Cycle) -> dict[str, Any]:
    """Return a pass as plain data, for ``--json`` and the heartbeat."""
    return {
        "time": done.now.isoformat(),
        "rounds": [describe_run(one) for one in done.rounds],
        "failed": done.failed,
        "busy": done.busy,
        "collected": done.collected,
        "delivery": asdict(done.delivery),
        "faults": list(done.faults),
        "next_due": done.next_due.isoformat() if done.next_due else None,
        "next_try": done.next_try.isoformat() if done.next_try else None,
    }


def _scan_due(
    workspace: Workspace, timetable: Timetable, now: dt.datetime, reporter: Reporter, run: Scan
) -> tuple[list[ScheduledRun], str]:
    """Scan everything that is due; what is written down is not due again.  Gives why it stopped, too."""
    begun = time.monotonic()
    rounds = [ScheduledRun(due.schedule.name, due.slot, now, now, None) for due in timetable.find_idle(now)]
    append_runs(workspace, rounds)
    for batch in plan_batches(workspace, timetable.find_due(now), now.date(), reporter):
        started = _add_seconds(now, time.monotonic() - begun)
        try:
            for run_id, reasons in _run_batch(workspace, batch, reporter, run):
                ended = _add_seconds(now, time.monotonic() - begun)
                made = _make_rounds(batch, started, ended, run_id, reasons)
                append_runs(workspace, made)
                rounds += made
                for one in made:
                    log_event("round", **describe_run(one))
        except BusyError as error:
            return rounds, f"{describe(error)}; what is due is scanned then"
    return rounds, ""


def plan_batches(workspace: Workspace, dues: Sequence[Due], today: dt.date, reporter: Reporter) -> list[Batch]:
    """Put areas together that one call can scan, the most urgent first; an area that two schedules ask for is scanned once."""
    batches: dict[tuple[int, str, dt.date], Batch] = {}
    home: dict[tuple[str, str], Batch] = {}
    tables: dict[str, Dates] = {}
    for due in dues:
        for aoi in due.areas:
            apart = due.schedule.name if _is_apart(workspace, due, aoi) else ""
            if (aoi, apart) not in home:
                if apart not in tables:
                    tables[apart] = _read_dates(_choose_output(workspace, apart))
                until = _find_until(tables[apart], aoi, today, reporter)
                key = due.schedule.priority, apart, until
                home[aoi, apart] = batches.setdefault(key, Batch(apart, due.schedule.pipeline if apart else None, until))
            home[aoi, apart].asked.setdefault(aoi, []).append(due)
    return list(batches.values())


def _is_apart(workspace: Workspace, due: Due, aoi: str) -> bool:
    """True if a schedule's pipeline is not the area's own."""
    if due.schedule.pipeline is None:
        return False
    try:
        return read_aoi(workspace, aoi).pipeline != due.schedule.pipeline
    except MinewatchError:  # told when it is scanned
        return False


def _choose_output(workspace: Workspace, apart: str) -> Workspace:
    return replace(workspace, output_root=workspace.what_ifs / apart) if apart else workspace


def _read_dates(workspace: Workspace) -> Dates:
    """Read the dates of the table; none where it cannot be read, which the scan tells, for each area."""
    try:
        return read_areas(workspace.alerts)
    except AlertsError:
        return {}


def _find_until(table: Dates, aoi: str, today: dt.date, reporter: Reporter) -> dt.date:
    """Return the as-of date: today, or that of the table where it is later, since a scan before it would be a what-if."""
    last = table[aoi][1] if aoi in table else today
    if last > today:
        reporter.note(
            f"{aoi}: its table is as of {last}, which is in the future; was the clock wrong?  "
            f"If it is right now, correct the table with: minewatch scan {aoi} --until {today}"
        )
    return max(today, last)


def _run_batch(workspace: Workspace, batch: Batch, reporter: Reporter, run: Scan) -> Iterator[tuple[str | None, dict[str, str]]]:
    """Scan areas together, and give the run with why each was not scanned ('' where it was); raises BusyError."""
    target = _choose_output(workspace, batch.apart)
    request = ScanRequest(pipeline=batch.pipeline, until=batch.until)
    faults = {aoi: fault for aoi in batch.asked if (fault := _find_fault(target, request, aoi))}
    if faults:
        yield None, _report(faults, reporter)
    if names := tuple(aoi for aoi in batch.asked if aoi not in faults):
        yield from _scan_together(target, replace(request, names=names), reporter, run)


def _find_fault(workspace: Workspace, request: ScanRequest, aoi: str) -> str:
    """Say why an area cannot be scanned, before it spoils the scan of the others; '' where it can."""
    assert request.until is not None, "the watch always says until when"
    try:
        plan_area(workspace, request, aoi, request.until, {})
    except MinewatchError as error:
        return describe(error)
    return ""


def _scan_together(
    workspace: Workspace, request: ScanRequest, reporter: Reporter, run: Scan
) -> Iterator[tuple[str | None, dict[str, str]]]:
    """Scan areas by one call; where that fails by one of them, each by its own, so that the others are scanned."""
    try:
        report = run(workspace, request, reporter)
    except BusyError:
        raise
    except Exception as error:  # noqa: BLE001  a night goes on, whatever fails in an area
        reason = _name(error)
        if len(request.names) == 1 or isinstance(error, SourceError):
            yield None, _report(dict.fromkeys(request.names, reason), reporter)
            return
        reporter.note(f"scanning {len(request.names)} areas together failed, each is tried on its own: {reason}")
    else:
        reasons = {missed.aoi: missed.reason for missed in report.missed}
        yield report.run_id, _report({aoi: reasons.get(aoi, "") for aoi in request.names}, reporter)
        return
    for aoi in request.names:
        yield from _scan_together(workspace, replace(request, names=(aoi,)), reporter, run)


def _report(reasons: dict[str, str], reporter: Reporter) -> dict[str, str]:
    for aoi, reason in reasons.items():
        if reason:
            reporter.note(f"{aoi}: not scanned, its alerts stay as they were: {reason}")
    return reasons


def _make_rounds(
    batch: Batch, started: dt.datetime, ended: dt.datetime, run_id: str | None, reasons: Mapping[str, str]
) -> list[ScheduledRun]:
    """Make a line for each schedule that asked for some of the areas."""
    areas: dict[tuple[str, dt.datetime], dict[str, str]] = defaultdict(dict)
    for aoi, reason in reasons.items():
        for due in batch.asked[aoi]:
            areas[due.schedule.name, due.slot][aoi] = reason
    return [ScheduledRun(name, slot, started, ended, run_id, told, bool(batch.apart)) for (name, slot), told in areas.items()]


def _add_seconds(now: dt.datetime, seconds: float) -> dt.datetime:
    return now + dt.timedelta(seconds=round(seconds))


def _tell(workspace: Workspace, now: dt.datetime) -> tuple[int, Delivery, list[str]]:
    """Put what is new into the outbox and send what waits there; gives what could not be done as lines."""
    collected, delivery, faults = 0, Delivery(), []
    try:
        collected = collect(workspace, now)
    except Exception as error:  # noqa: BLE001  what waits is sent nevertheless
        faults.append(f"new events could not be put into the outbox, and will be found again later: {_name(error)}")
    try:
        delivery = deliver(workspace, now)
    except Exception as error:  # noqa: BLE001  the heart beats, and the next round tries again
        faults.append(f"messages could not be sent, and wait in the outbox: {_name(error)}")
    return collected, delivery, faults


def _find_next_try(workspace: Workspace, now: dt.datetime) -> dt.datetime | None:
    """Return when a message that waits is tried next."""
    messages, _ = list_messages(workspace.outbox)
    return min((dt.datetime.fromisoformat(one.next_try) if one.next_try else now for one in messages), default=None)


def _name(error: Exception) -> str:
    """Describe an error; one that is not ours, by its kind too."""
    return describe(error) if isinstance(error, MinewatchError) else f"{type(error).__name__}: {describe(error)}"
