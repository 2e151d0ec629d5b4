"""``minewatch init``, ``scan`` and ``demo``."""

from __future__ import annotations

import datetime as dt
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minewatch.alerts.record import PROVISIONAL
from minewatch.cli.output import DAY, Session, common_options, echo, print_json, print_table, say
from minewatch.core.progress import reporting
from minewatch.core.text import count_of, format_day
from minewatch.core.traffic import format_bytes, parse_bytes, parse_speed

if TYPE_CHECKING:
    from minewatch.core.workspace import Workspace
    from minewatch.operations.plan import ScanRequest
    from minewatch.operations.scan_report import AreaReport, ScanReport


class DataSize(click.ParamType[int]):
    """An amount of data."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return its bytes."""
        try:
            return parse_bytes(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class LineSpeed(click.ParamType[float]):
    """The speed of a line."""

    name = "SPEED"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return its bytes per second."""
        try:
            return parse_speed(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("init")
@click.argument("folder", type=click.Path(path_type=Path), default=".", metavar="[DIR]")
@common_options
def init(session: Session, folder: Path) -> None:
    """Make DIR (the current folder) a workspace: settings, the default pipeline, empty folders.

    \b
    Example:
      minewatch init watch-peru
    """
    from minewatch.settings.document import init_workspace

    workspace = init_workspace(folder)
    if session.as_json:
        print_json({"workspace": str(workspace.root)})
    else:
        say(f"workspace made in {workspace.root}; next: minewatch aoi add NAME FILE")


@click.command("scan")
@click.argument("names", nargs=-1, metavar="[AOI ...]")
@click.option("--pipeline", help="Pipeline in place of each area's own.")
@click.option("--source", metavar="NAME|URL|PATH", help="Provider, STAC API or static catalogue in place of the workspace's.")
@click.option("--since", type=DAY, help="First acquisition that may raise an alert, in place of each area's monitor_from.")
@click.option("--until", type=DAY, help="As-of date: nothing acquired later has any influence.  [default: today]")
@click.option("--into", type=click.Path(path_type=Path), metavar="DIR", help="Write table and rasters there; the archive stays.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on this Dask cluster (tcp://host:port) in place of local threads.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a setting of the pipeline for this scan.")
@click.option("--check-archive", is_flag=True, help="First compare every file of the archive with its checksum.")
@click.option(
    "--budget", type=DataSize(), help="Read no more than this of the clearest looks, as 1GB, in place of each area's own."
)
@click.option("--estimate", is_flag=True, help="Only say what the scan would cost: scenes, bytes, time, disk.")
@click.option("--line", type=LineSpeed(), help="With --estimate: speed of the line, as 2Mbit/s.  [default: measured]")
@common_options
def scan_command(
    session: Session,
    names: tuple[str, ...],
    pipeline: str | None,
    source: str | None,
    since: dt.datetime | None,
    until: dt.datetime | None,
    into: Path | None,
    scheduler: str | None,
    overrides: tuple[str, ...],
    check_archive: bool,
    budget: int | None,
    estimate: bool,
    line: float | None,
) -> None:
    """Scan areas (all of them without names): fetch new scenes, find changes, update the alerts.

    Exit code 3: done, but some scenes could not be read, some areas not searched, or some evidence not written; the next
    scan tries them again.

    With --estimate nothing is stored and nothing changes: headers and scene classes of some overpasses are read to say what
    the scan would read.  --budget is for the years of the first baseline and the first year of monitoring, and is split by
    calendar quarter; what it leaves unread is named.  docs/slow-lines.md explains both.

    \b
    Example:
      minewatch scan la-pampa
      minewatch scan la-pampa --estimate --line 2Mbit/s
      minewatch scan la-pampa --budget 1GB
      minewatch scan --since 2024-01-01 --until 2024-06-30 --into what-if --set alerts.min_area_ha=0.5
      minewatch scan la-pampa --source ./my-catalogue --json
    """
    from minewatch.operations.plan import ScanRequest
    from minewatch.operations.scan import scan
    from minewatch.operations.scan_report import describe_scan

    if since and until and until < since:
        raise click.UsageError(f"--until {until:%Y-%m-%d} is before --since {since:%Y-%m-%d}")
    window = since and since.date(), until and until.date()
    request = ScanRequest(names, pipeline, overrides, source, *window, scheduler, budget, check_archive)
    workspace = session.workspace
    if line and not estimate:
        raise click.UsageError("--line is for --estimate")
    if estimate:
        _estimate(session, workspace, request, line)
        return
    if into:
        workspace = replace(workspace, output_root=into.resolve())
    with reporting() as reporter:
        report = scan(workspace, request, reporter)
    if session.as_json:
        print_json(describe_scan(report))
    else:
        print_summary(report)
        say(f"alerts: {workspace.alerts} and {workspace.alerts_csv}")
        if report.received:
            say(f"{format_bytes(report.received)} came over the line")
    if report.failures:
        say(f"{count_of(report.failures, 'scene')} could not be used; details in {report.record}")
    for failed in report.failed_areas:
        say(f"{failed.aoi}: not scanned, its alerts stay as they were: {failed.reason}")
    if report.failures or report.failed_areas or report.evidence_missing:
        sys.exit(3)


def _estimate(session: Session, workspace: Workspace, request: ScanRequest, line: float | None) -> None:
    """Print what a scan would cost."""
    from minewatch.operations.estimate import estimate_scan

    with reporting() as reporter:
        found = estimate_scan(workspace, request, line, reporter)
    if session.as_json:
        print_json(found.as_data())
        return
    columns = ("area", "scenes", "looks", "archived", "not read: budget", "to read", "disk")
    rows = [
        (a.aoi, a.scenes, a.looks, a.archived, a.left_unread, format_bytes(a.size), format_bytes(a.disk)) for a in found.areas
    ]
    print_table(columns, rows)
    echo(found.describe())
    echo(f"estimated from {found.basis}, for which {format_bytes(found.spent)} were read")
    for note in found.notes:
        say(note)


def print_summary(report: ScanReport) -> None:
    """Print what a scan did: one line an area, then what could not be seen."""
    work, events = ("area", "scenes", "read", "used", "skipped"), ("new", "grown", "unchanged")
    columns = (*work, "confirmed", "still bare", "green again", "provisional", *events, "unseen %")
    print_table(columns, [_summarise(area) for area in report.areas])
    for area in report.areas:
        provisional = sum(alert.status == PROVISIONAL for alert in area.alerts)
        more = f"; {provisional} provisional" if provisional else ""
        echo(
            f"{area.plan.aoi.name}, as of {format_day(area.plan.until)}: {area.fates.describe(area.plan.monitor_from)}{more}; "
            f"{area.visibility}"
        )
        for note in [*area.notes, *(f"skipped {failure.id}: {failure.reason}" for failure in area.failures)]:
            echo(f"  {note}")
        if area.found.cloudy:
            echo(f"  skipped {count_of(len(area.found.cloudy), 'scene')} with more cloud than the pipeline allows")


def _summarise(area: AreaReport) -> Sequence[str | int | float]:
    events = area.table_changes.events
    skipped = len(area.failures) + len(area.found.cloudy)
    status = Counter(alert.status for alert in area.alerts)
    return (
        area.plan.aoi.name,
        area.scenes_found,
        area.fetched,
        len(area.observations),
        skipped,
        area.fates.confirmed,
        area.fates.still_bare,
        area.fates.green_again,
        status[PROVISIONAL],
        events["new"],
        events["grown"],
        events["unchanged"],
        round(100 * area.coverage.unseen, 1),
    )


@click.command("demo")
@click.argument("folder", type=click.Path(path_type=Path), default="demo", metavar="[DIR]")
@common_options
def demo(session: Session, folder: Path) -> None:
    """Make a workspace in DIR (demo) with simulated scenes, scan it, and show the alerts.  Needs no network.

    \b
    Example:
      minewatch demo /tmp/minewatch-demo
    """
    from minewatch.alerts.rows import read_rows
    from minewatch.cli.listing import print_alerts
    from minewatch.operations.demo import run_demo
    from minewatch.operations.scan_report import describe_scan

    with reporting() as reporter:
        result = run_demo(folder, reporter)
    alerts = read_rows(result.workspace.alerts)
    files = {
        "alerts": result.workspace.alerts,
        "table": result.workspace.alerts_csv,
        "picture": result.picture,
        "truth": result.truth,
    }
    if session.as_json:
        print_json(describe_scan(result.report) | {"files": {name: str(path) for name, path in files.items()}})
        return
    print_alerts(alerts)
    print_summary(result.report)
    for name, path in files.items():
        echo(f"{name:8} {path}")
