"""One cycle of the watch: scans what is due, sends notifications and writes the heartbeat."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from minewatch.alerts.history import NEW, read_history
from minewatch.alerts.rows import read_areas
from minewatch.areas.aoi import read_aoi
from minewatch.core.errors import AlertsError, BusyError, MinewatchError, RunRecordError, SourceError, describe
from minewatch.core.logging import log_event
from minewatch.core.progress import Reporter
from minewatch.core.run_record import read_run_record
from minewatch.core.workspace import Workspace
from minewatch.operations.heartbeat import write_heartbeat
from minewatch.operations.notify.delivery import Delivery, deliver
from minewatch.operations.notify.enqueue import enqueue_messages
from minewatch.operations.notify.outbox import list_messages
from minewatch.operations.plan import ScanRequest, plan_area
from minewatch.operations.run_log import ScheduledRun, append_runs, describe_run, read_runs
from minewatch.operations.run_summary import list_table_changes
from minewatch.operations.scan import scan
from minewatch.operations.scan_report import ScanReport
from minewatch.operations.schedule import Due, Timetable, explain_empty, read_timetable
from minewatch.products.evidence.timestamps import StampRound, describe_stamps, stamp_in_passing
from minewatch.settings.document import read_settings

Dates = Mapping[str, tuple[dt.date, dt.date]]
"""Area to its first day of monitoring and the as-of date of its alerts."""

Scan = Callable[[Workspace, ScanRequest, Reporter], ScanReport]
"""What scans areas."""


@dataclass(frozen=True)
class Cycle:
    """What one cycle did."""

    now: dt.datetime
    """When it began, UTC."""

    runs: Sequence[ScheduledRun] = ()
    """Scheduled runs."""

    busy: str = ""
    """Why what is due was left for the next cycle: another process holds the workspace."""

    enqueued: int = 0
    """Messages put into the outbox."""

    delivery: Delivery = field(default_factory=Delivery)
    """The result of sending those that wait there."""

    found: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Area to what its scan found: ``read`` looks, ``changes`` of its alerts, ids of the ``new`` ones, ``alerts`` by status.

    What-ifs are left out.
    """

    faults: Sequence[str] = ()
    """Problems apart from areas, a line each."""

    next_due: dt.datetime | None = None
    """When something is due next, UTC; None = never."""

    next_try: dt.datetime | None = None
    """When the next waiting message is sent, UTC; None = none waits."""

    stamps: StampRound = field(default_factory=StampRound)
    """Time stamps that were received, and hashes that wait for one."""

    @property
    def failed(self) -> dict[str, str]:
        """Areas that were not scanned, and why."""
        return {aoi: reason for one in self.runs for aoi, reason in one.failed.items()}

    @property
    def is_well(self) -> bool:
        """True if nothing failed or was left undone."""
        return not (self.failed or self.busy or self.faults or self.delivery.dead)


@dataclass(frozen=True)
class Batch:
    """Areas that are scanned by one call, so that they share searches and scenes."""

    what_if: str
    """Name of the schedule whose pipeline is not the areas' own, so that the scan is a what-if; '' = it is their own."""

    pipeline: str | None
    """In place of the areas' own."""

    source: str | None
    """In place of the areas' own."""

    until: dt.date
    """As-of date."""

    requested_by: dict[str, list[Due]] = field(default_factory=dict)
    """Area to the due schedules that request it."""


def watch_once(workspace: Workspace, now: dt.datetime, reporter: Reporter | None = None, run: Scan = scan) -> Cycle:
    """Scan what is due at ``now`` (UTC), send new messages, and send again those that failed earlier.

    Raises MinewatchError where settings or files of the workspace cannot be used; failures of areas are in the result.
    """
    reporter = reporter or Reporter()
    settings = read_settings(workspace)
    timetable = read_timetable(workspace, read_runs(workspace))
    runs, busy = _scan_due(workspace, timetable, now, reporter, run)
    enqueued, delivery, faults = _notify(workspace, now)
    stamps = stamp_in_passing(workspace)
    if runs:
        faults += [line for one in timetable.schedules if (line := explain_empty(one, timetable.areas))]
    timetable = read_timetable(workspace, read_runs(workspace))
    next_try = _find_next_try(workspace, now)
    found = _find_results(workspace, runs)
    cycle = Cycle(now, runs, busy, enqueued, delivery, found, faults, timetable.find_next(now), next_try, stamps)
    cycle = replace(cycle, faults=[*faults, *write_heartbeat(workspace, settings.watch, describe_cycle(cycle))])
    for line in (*cycle.faults, *delivery.notes, *filter(None, [busy]), *stamps.notes, *filter(None, [stamps.describe()])):
        reporter.note(line)
    return cycle


def describe_cycle(cycle: Cycle) -> dict[str, Any]:
    """Return a cycle as plain data, for ``--json`` and the heartbeat."""
    return {
        "time": cycle.now.isoformat(),
        "rounds": [describe_run(one) for one in cycle.runs],
        "failed": cycle.failed,
        "found": dict(cycle.found),
        "busy": cycle.busy,
        "collected": cycle.enqueued,
        "delivery": asdict(cycle.delivery),
        "faults": list(cycle.faults),
        "time_stamps": describe_stamps(cycle.stamps),
        "next_due": cycle.next_due.isoformat() if cycle.next_due else None,
        "next_try": cycle.next_try.isoformat() if cycle.next_try else None,
    }


def _scan_due(
    workspace: Workspace, timetable: Timetable, now: dt.datetime, reporter: Reporter, run: Scan
) -> tuple[list[ScheduledRun], str]:
    """Scan everything that is due and write it to the run log; also returns why it stopped early, if it did."""
    began = time.monotonic()

    def read_clock() -> dt.datetime:
        return now + dt.timedelta(seconds=round(time.monotonic() - began))

    runs = [ScheduledRun(due.schedule.name, due.slot, now, now, None) for due in timetable.find_idle(now)]
    append_runs(workspace, runs)
    for batch in plan_batches(workspace, timetable.find_due(now), now.date(), reporter):
        started = read_clock()
        try:
            for run_id, reasons in _run_batch(workspace, batch, reporter, run):
                made = _make_runs(batch, started, read_clock(), run_id, reasons)
                append_runs(workspace, made)
                runs += made
                for one in made:
                    log_event("round", **describe_run(one))
        except BusyError as error:
            return runs, f"{describe(error)}; what is due is scanned then"
    return runs, ""


def plan_batches(workspace: Workspace, dues: Sequence[Due], today: dt.date, reporter: Reporter) -> list[Batch]:
    """Group areas that one call can scan, the most urgent first; one that two schedules request of one source is scanned once."""
    batches: dict[tuple[int, str, str | None, dt.date], Batch] = {}
    batch_of: dict[tuple[str, str, str | None], Batch] = {}
    tables: dict[str, Dates] = {}
    for due in dues:
        for aoi in due.areas:
            what_if, source = due.schedule.name if _is_what_if(workspace, due, aoi) else "", due.schedule.source
            if (aoi, what_if, source) not in batch_of:
                if what_if not in tables:
                    tables[what_if] = {}
                    with contextlib.suppress(AlertsError):  # which the scan reports for each area
                        tables[what_if] = read_areas(_choose_output(workspace, what_if).alerts)
                until = _find_until(tables[what_if], aoi, today, reporter)
                pipeline = due.schedule.pipeline if what_if else None
                key = due.schedule.priority, what_if, source, until
                batch_of[aoi, what_if, source] = batches.setdefault(key, Batch(what_if, pipeline, source, until))
            batch_of[aoi, what_if, source].requested_by.setdefault(aoi, []).append(due)
    return list(batches.values())


def _is_what_if(workspace: Workspace, due: Due, aoi: str) -> bool:
    """True if a schedule's pipeline is not the area's own."""
    if due.schedule.pipeline is None:
        return False
    try:
        return read_aoi(workspace, aoi).pipeline != due.schedule.pipeline
    except MinewatchError:  # reported when it is scanned
        return False


def _choose_output(workspace: Workspace, what_if: str) -> Workspace:
    return replace(workspace, output_root=workspace.what_ifs / what_if) if what_if else workspace


def _find_until(table: Dates, aoi: str, today: dt.date, reporter: Reporter) -> dt.date:
    """Return the as-of date: today, or that of the table where it is later, since a scan before it would be a what-if."""
    last = table[aoi][1] if aoi in table else today
    if last > today:
        reporter.note(
            f"{aoi}: its table is as of {last}, which is in the future; was the clock wrong?  "
            f"If it is right now, correct the table with: minewatch scan {aoi} --until {today} --replace"
        )
    return max(today, last)


def _run_batch(workspace: Workspace, batch: Batch, reporter: Reporter, run: Scan) -> Iterator[tuple[str | None, dict[str, str]]]:
    """Scan areas together; yields run ids with the reason why each area was not scanned, '' where it was.  Raises BusyError."""
    target = _choose_output(workspace, batch.what_if)
    request = ScanRequest(pipeline=batch.pipeline, source=batch.source, until=batch.until)
    faults = {aoi: fault for aoi in batch.requested_by if (fault := _find_error(target, request, aoi))}
    if faults:
        yield None, _note_failures(faults, reporter)
    if names := tuple(aoi for aoi in batch.requested_by if aoi not in faults):
        yield from _scan_together(target, replace(request, names=names), reporter, run)


def _find_error(workspace: Workspace, request: ScanRequest, aoi: str) -> str:
    """Describe why an area cannot be scanned, so that it does not fail the scan of the others; '' where it can."""
    assert request.until is not None, "the watch always sets the as-of date"
    try:
        plan_area(workspace, request, aoi, request.until, {})
    except MinewatchError as error:
        return describe(error)
    return ""


def _scan_together(
    workspace: Workspace, request: ScanRequest, reporter: Reporter, run: Scan
) -> Iterator[tuple[str | None, dict[str, str]]]:
    """Scan areas by one call; where that fails, each area alone, so that one area does not fail the others."""
    try:
        report = run(workspace, request, reporter)
    except BusyError:
        raise
    except Exception as error:  # noqa: BLE001  a failing area must not stop the cycle
        reason = _describe_error(error)
        if len(request.names) == 1 or isinstance(error, SourceError):
            yield None, _note_failures(dict.fromkeys(request.names, reason), reporter)
            return
        reporter.note(f"scanning {len(request.names)} areas together failed, each is tried on its own: {reason}")
    else:
        reasons = {failed.aoi: failed.reason for failed in report.failed_areas}
        for area in report.areas:
            for line in list_table_changes(area):
                reporter.note(f"{area.plan.aoi.name}: {line}")
        yield report.run_id, _note_failures({aoi: reasons.get(aoi, "") for aoi in request.names}, reporter)
        return
    for aoi in request.names:
        yield from _scan_together(workspace, replace(request, names=(aoi,)), reporter, run)


def _note_failures(reasons: dict[str, str], reporter: Reporter) -> dict[str, str]:
    for aoi, reason in reasons.items():
        if reason:
            reporter.note(f"{aoi}: not scanned, its alerts stay as they were: {reason}")
    return reasons


def _make_runs(
    batch: Batch, started: dt.datetime, ended: dt.datetime, run_id: str | None, reasons: Mapping[str, str]
) -> list[ScheduledRun]:
    """Make an entry of the run log for each schedule that requested some of the areas."""
    by_schedule: dict[tuple[str, dt.datetime], dict[str, str]] = defaultdict(dict)
    for aoi, reason in reasons.items():
        for due in batch.requested_by[aoi]:
            by_schedule[due.schedule.name, due.slot][aoi] = reason
    what_if = bool(batch.what_if)
    return [ScheduledRun(name, slot, started, ended, run_id, areas, what_if) for (name, slot), areas in by_schedule.items()]


def _find_results(workspace: Workspace, runs: Sequence[ScheduledRun]) -> dict[str, dict[str, Any]]:
    """Return what scans found in each area, by their records; an area whose record is gone or damaged is left out."""
    results: dict[str, dict[str, Any]] = {}
    for run_id in dict.fromkeys(one.run_id for one in runs if one.run_id and not one.what_if):
        with contextlib.suppress(RunRecordError, LookupError, TypeError):
            for area in (read_run_record(workspace, run_id) or {"areas": ()})["areas"]:
                read = area["scenes"]["observations_read"]
                results[area["aoi"]] = {"read": read, "changes": area["changes"], "new": [], "alerts": area["alerts"]}
        with contextlib.suppress(AlertsError, LookupError):  # whoever reads the table says what is wrong with it
            for event in read_history(workspace.alerts):
                if event.run_id == run_id and event.event == NEW:
                    results[event.alert_id.rsplit("-", 2)[0]]["new"].append(event.alert_id)
    return results


def _notify(workspace: Workspace, now: dt.datetime) -> tuple[int, Delivery, list[str]]:
    """Put new messages into the outbox and send what waits there; also returns what failed, a line each."""
    enqueued, delivery, faults = 0, Delivery(), []
    try:
        enqueued = enqueue_messages(workspace, now)
    except Exception as error:  # noqa: BLE001  waiting messages are sent nevertheless
        faults.append(f"new events could not be put into the outbox, and will be found again later: {_describe_error(error)}")
    try:
        delivery = deliver(workspace, now)
    except Exception as error:  # noqa: BLE001  the heartbeat is written, and the next cycle tries again
        faults.append(f"messages could not be sent, and wait in the outbox: {_describe_error(error)}")
    return enqueued, delivery, faults


def _find_next_try(workspace: Workspace, now: dt.datetime) -> dt.datetime | None:
    """Return when the next waiting message is due; None where none waits."""
    messages, _ = list_messages(workspace.outbox)
    return min((dt.datetime.fromisoformat(one.next_try) if one.next_try else now for one in messages), default=None)


def _describe_error(error: Exception) -> str:
    """Describe an error; an unexpected one with its class."""
    return describe(error) if isinstance(error, MinewatchError) else f"{type(error).__name__}: {describe(error)}"
