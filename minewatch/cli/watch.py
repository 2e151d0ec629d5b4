"""``minewatch watch`` and ``status``."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from minewatch.alerts.history import NEW
from minewatch.cli.output import Session, common_options, echo, print_json, print_table, say
from minewatch.core.progress import reporting
from minewatch.core.signals import exit_process
from minewatch.core.text import count_of, format_time
from minewatch.core.traffic import format_bytes, format_exact
from minewatch.core.workspace import Workspace

if TYPE_CHECKING:
    from minewatch.core.progress import Reporter
    from minewatch.operations.status import AreaStatus, WatchStatus
    from minewatch.operations.watch import Cycle

MOST_NAMED = 3
"""New alerts of an area that are named; minewatch alerts list has them all."""

ENDED = "the watch has ended; what was finished is kept, and the next one goes on from there"


def read_clock() -> dt.datetime:
    """Return the time, UTC, in whole seconds."""
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


@click.command("watch")
@click.option("--once", is_flag=True, help="Scan what is due, send what waits, and end: for cron and systemd.")
@common_options
def watch(session: Session, once: bool) -> None:
    """Scan areas when the schedules in minewatch.toml say so, and send the messages.

    What changed in each area is printed, and nothing where nothing was due.  Without --once it goes on until it is stopped.
    Times are UTC.  Exit code 3 with --once: done, but an area could not be
    scanned, or something else needs attention.

    \b
    Example:
      minewatch watch --once
      minewatch watch
      minewatch schedule show
    """
    from minewatch.operations.schedule import explain_schedules, list_schedules
    from minewatch.operations.service import serve
    from minewatch.operations.watch import describe_cycle, watch_once

    workspace = session.workspace
    if not list_schedules(workspace):
        say(*explain_schedules((), ()))
    if once:
        with reporting(with_bars=sys.stderr.isatty()) as reporter:  # cron would send them by mail
            cycle = watch_once(workspace, read_clock(), reporter)
        _print_cycle(cycle, as_json=session.as_json)
        if not cycle.is_well:
            sys.exit(3)
        return

    def run_cycle(workspace: Workspace, now: dt.datetime, reporter: Reporter) -> Cycle:
        cycle = watch_once(workspace, now, reporter)
        if session.as_json:
            echo(json.dumps(describe_cycle(cycle)))  # a line each
        else:
            _print_cycle(cycle, as_json=False)
        return cycle

    with reporting(with_bars=False) as reporter:
        serve(workspace, reporter, read_clock, run_cycle=run_cycle)
    say(ENDED)
    exit_process(0)


def _print_cycle(cycle: Cycle, *, as_json: bool) -> None:
    """Print a line for each scan; nothing where nothing was due, lest cron send mail."""
    from minewatch.operations.watch import describe_cycle

    if as_json:
        print_json(describe_cycle(cycle))
        return
    for one in cycle.runs:
        if not one.areas:  # reported as a fault
            continue
        scanned = f"{len(one.areas) - len(one.failed)} of {count_of(len(one.areas), 'area')} scanned"
        echo(f"{format_time(one.ended)}, {one.schedule}: {scanned} ({one.run_id or 'no run'})")
    for line in describe_results(cycle.found):
        echo(f"  {line}")
    if sent := cycle.delivery.sent:
        echo(f"{format_time(cycle.now)}: {count_of(sent, 'message')} sent")


def describe_results(found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a line for each area in which something changed, and one for all others together."""
    lines, rest = [], []
    for aoi, result in found.items():
        events = {name: count for name, count in result["changes"].items() if name != "unchanged" and count}
        if not events:
            rest.append(aoi)
            continue
        ids = f" ({', '.join(result['new'])})" if 0 < len(result["new"]) <= MOST_NAMED else ""
        changed = ", ".join(f"{count} {name}{ids if name == NEW else ''}" for name, count in events.items())
        alerts = ", ".join(f"{count} {name}" for name, count in result["alerts"].items()) or "none"
        lines.append(f"{aoi}: {count_of(result['read'], 'look')} read; {changed}; alerts now: {alerts}")
    if rest:
        read = sum(found[aoi]["read"] for aoi in rest)
        who = rest[0] if len(rest) == 1 else count_of(len(rest), "area")
        lines.append(f"{who}: {count_of(read, 'look')} read; no alert changed")
    return lines


@click.command("status")
@common_options
def status(session: Session) -> None:
    """Show the state of the watch: last and next scan of each area, age of its newest scene, what fails.

    Exit code 0: all is well; 3: an area is late or fails, or messages could not be delivered.  Works while a scan runs.

    \b
    Example:
      minewatch status
      minewatch status --json
    """
    from minewatch.operations.status import describe_status, find_status

    found = find_status(session.workspace, read_clock())
    if session.as_json:
        print_json(describe_status(found))
    else:
        _print_status(found, session.workspace)
    if not found.is_well:
        sys.exit(3)


def _print_status(found: WatchStatus, workspace: Workspace) -> None:
    from minewatch.areas.area_files import explain_no_area
    from minewatch.detection.lasting import LASTING_DAYS

    columns = (
        "area",
        "state",
        "last scan (UTC)",
        "next (UTC)",
        "newest scene",
        "days ago",
        "unseen %",
        f"{LASTING_DAYS} days %",
        "blind to onsets",
        "alerts",
    )
    spare = ("blind to onsets", f"{LASTING_DAYS} days %", "days ago", "newest scene")
    print_table(
        columns, [_list_cells(area, found.now) for area in found.areas], spare=spare, wrap=True, none=explain_no_area(workspace)
    )
    for area in found.areas:
        if area.fates.confirmed:
            echo(f"{area.aoi}: {area.fates.describe(area.monitor_from)}")
        if area.unseen and (skipped := area.skipped.describe()):
            echo(f"{area.aoi}: not all was seen, and {skipped}")
        if area.received or area.budget:
            echo(f"{area.aoi}: {_describe_reading(area)}")
        if area.failures:
            echo(f"{area.aoi}: failed {count_of(area.failures, 'time')} in a row: {area.reason}")
    if holder := found.holder:
        echo(f"a {holder.doing} is running {holder.describe()}")
    echo(f"messages: {found.waiting} waiting, {found.dead} given up")
    for line in (*found.faults, *found.notes):
        say(line)


def _describe_reading(area: AreaStatus) -> str:
    """Say what the last scan read of an area, and what it left unread."""
    read = f"{format_bytes(area.received or 0)} read by its last scan"
    if area.budget is None:
        return read
    return f"{read}; not read: budget ({format_exact(area.budget)}): {count_of(area.left_unread, 'look')}"


def _list_cells(area: AreaStatus, now: dt.datetime) -> tuple[str, ...]:
    state = "failing" if area.failures else "late" if area.late else "ok" if area.schedules else "no schedule"
    alerts = ", ".join(f"{count} {name}" for name, count in sorted(area.alerts.items()))
    return (
        area.aoi,
        state,
        f"{area.last:%Y-%m-%d %H:%M}" if area.last else "never",
        "" if area.next is None else "now" if area.next <= now else f"{area.next:%Y-%m-%d %H:%M}",
        f"{area.newest}" if area.newest else "none",
        "" if area.lag is None else f"{area.lag}",
        "" if area.unseen is None else f"{100 * area.unseen:.1f}",
        "" if area.lasting is None else f"{100 * area.lasting:.1f}",
        "" if area.blind_from is None else f"{area.blind_from} to {area.blind_to}",
        alerts,
    )
