"""``minewatch init``, ``scan`` and ``demo``."""

from __future__ import annotations

import datetime as dt
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minewatch.alerts.record import CLOSED, DISMISSED, PROVISIONAL
from minewatch.cli.complete import complete_area, complete_pipeline, complete_source
from minewatch.cli.output import Session, common_options, echo, print_json, print_table, say
from minewatch.cli.values import DataSize, Day
from minewatch.core.progress import reporting
from minewatch.core.text import count_of, format_day
from minewatch.core.traffic import format_bytes, parse_speed
from minewatch.core.workspace import find_enclosing

if TYPE_CHECKING:
    from minewatch.core.workspace import Workspace
    from minewatch.operations.plan import ScanRequest
    from minewatch.operations.scan_report import AreaReport, ScanReport


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

    outer = find_enclosing(folder)
    workspace = init_workspace(folder)
    if outer:
        say(f"this workspace lies inside another one, {outer}: commands below {workspace.root} take the inner one, and no other")
    if session.as_json:
        print_json({"workspace": str(workspace.root)} | ({"inside": str(outer)} if outer else {}))
    else:
        say(f"workspace made in {workspace.root}; next: minewatch aoi add NAME FILE")


@click.command("scan")
@click.argument("names", nargs=-1, metavar="[AOI ...]", shell_complete=complete_area)
@click.option("--pipeline", help="Pipeline in place of each area's own.", shell_complete=complete_pipeline)
@click.option(
    "--source",
    metavar="NAME|URL|PATH",
    help="Provider, STAC API or static catalogue in place of the areas' own.",
    shell_complete=complete_source,
)
@click.option("--switch-source", is_flag=True, help="Read looks again that the archive has from another source.")
@click.option("--since", type=Day(), help="First acquisition that may raise an alert, in place of each area's monitor_from.")
@click.option("--until", type=Day(), help="As-of date: nothing acquired later has any influence.  [default: today]")
@click.option("--into", type=click.Path(path_type=Path), metavar="DIR", help="Write table and rasters there; the archive stays.")
@click.option("--replace", is_flag=True, help="Write a what-if over the workspace's own alerts.")
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
    switch_source: bool,
    since: dt.datetime | None,
    until: dt.datetime | None,
    into: Path | None,
    replace: bool,
    scheduler: str | None,
    overrides: tuple[str, ...],
    check_archive: bool,
    budget: int | None,
    estimate: bool,
    line: float | None,
) -> None:
    """Scan areas (all of them without names): fetch new scenes, find changes, update the alerts.

    With another --since, --pipeline or --set than an area's own, or an earlier --until than its table's, it is a what-if, which
    needs --into or --replace, and sends no message.  What leaves the table, gets another id or changes its status is listed.

    Exit code 3: done, but some scenes could not be read, some areas not searched, or some evidence not written; the next
    scan tries them again.

    A scan from another source than the archive's that would read looks again says how many, and reads nothing for that area
    without --switch-source.
    With --estimate nothing is stored and nothing changes: headers and scene classes of some overpasses are read to say what
    the scan would read.  --budget is for the years of the first baseline and the first year of monitoring, and is split by
    calendar quarter; what it leaves unread is named.

    \b
    Example:
      minewatch scan la-pampa
      minewatch scan la-pampa --estimate --line 2Mbit/s
      minewatch scan la-pampa --budget 1GB
      minewatch scan --since 2024-01-01 --until 2024-06-30 --into what-if --set alerts.min_area_ha=0.5
      minewatch scan la-pampa --until 2024-06-30 --replace
      minewatch scan la-pampa --source ./my-catalogue --json
      minewatch scan la-pampa --source cdse --switch-source
    """
    from minewatch.operations.plan import ScanRequest, set_apart
    from minewatch.operations.scan import scan
    from minewatch.operations.scan_report import describe_scan

    if since and until and until < since:
        raise click.UsageError(f"--until {until:%Y-%m-%d} is before --since {since:%Y-%m-%d}")
    if joined := next((name for name in names if "," in name), None):
        raise click.UsageError(f"give areas with blanks between them: minewatch scan {' '.join(joined.split(','))}")
    if (into and replace) or (line and not estimate):
        raise click.UsageError("give either --into or --replace" if into and replace else "--line is for --estimate")
    window = since and since.date(), until and until.date()
    switches: dict[str, Any] = {"check_archive": check_archive, "replace": replace, "switch_source": switch_source}
    request = ScanRequest(names, pipeline, overrides, source, *window, scheduler, budget, **switches)
    workspace = session.workspace
    if estimate:
        _estimate(session, workspace, request, line)
        return
    if into:
        workspace = set_apart(workspace, into)
    with reporting() as reporter:
        report = scan(workspace, request, reporter)
    if session.as_json:
        print_json(describe_scan(report))
    else:
        print_summary(report)
        _say_where(report, workspace, into)
    if report.failures:
        say(f"{count_of(report.failures, 'scene')} could not be used; details in {report.record}")
    for failed in report.failed_areas:
        say(f"{failed.aoi}: not scanned, its alerts stay as they were: {failed.reason}")
    if report.failures or report.failed_areas or report.evidence_missing:
        sys.exit(3)


def _say_where(report: ScanReport, workspace: Workspace, into: Path | None) -> None:
    """Say where the results of a scan are, and what that means for the table."""
    what_ifs = [area.plan.aoi.name for area in report.areas if area.plan.what_if]
    say(f"alerts: {workspace.alerts} and {workspace.alerts_csv}")
    say(f"run: {report.record}")
    if report.received:
        say(f"{format_bytes(report.received)} came over the line")
    if what_ifs and into:
        say(f"a what-if, kept apart in {into}: the workspace's own alerts are as they were, and nothing is sent")
    elif what_ifs:
        names = " ".join(what_ifs)
        say(f"a what-if, which the table now shows; nothing is sent.  To bring its own back: minewatch scan {names}")


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
    if any(area.looks and not area.size for area in found.areas):
        say("blocks of files that several areas need are read once, and counted with the first of them")
    for note in found.notes:
        say(note)


def print_summary(report: ScanReport) -> None:
    """Print what a scan did: one line an area, then what changed in the table, and what could not be seen."""
    from minewatch.operations.run_summary import list_table_changes

    rows = [_summarise(area) for area in report.areas]
    columns = [name for name in rows[0] if name not in IF_ANY or any(row[name] for row in rows)] if rows else []
    print_table(columns, [[row[name] for name in columns] for row in rows])
    for area in report.areas:
        provisional = sum(alert.status == PROVISIONAL for alert in area.alerts)
        more = f"; {provisional} provisional" if provisional else ""
        echo(
            f"{area.plan.aoi.name}, as of {format_day(area.plan.until)}: {area.fates.describe(area.plan.monitor_from)}{more}; "
            f"{area.visibility}"
        )
        for deviation in area.plan.deviations:
            echo(f"  what-if: {deviation}")
        for line in list_table_changes(area):
            echo(f"  {line}")
        for note in [*area.notes, *(f"skipped {failure.id}: {failure.reason}" for failure in area.failures)]:
            echo(f"  {note}")
        if area.found.cloudy:
            echo(f"  skipped {count_of(len(area.found.cloudy), 'scene')} with more cloud than the pipeline allows")


IF_ANY = ("replaced", "not read", "merged", "faded", "dismissed", "changed")
"""Columns of the summary that are shown where any area has such scenes or alerts."""


def _summarise(area: AreaReport) -> dict[str, str | int | float]:
    """Return the columns of the summary, which add up: each scene and each alert is counted once of its kind."""
    scenes, fates, news = area.scene_count, area.fates, area.table_changes.count_alerts()
    status = Counter(alert.status for alert in area.alerts)
    return {
        "area": area.plan.aoi.name,
        "scenes": scenes.total,
        "read": area.fetched,
        "used": scenes.used,
        "skipped": scenes.skipped,
        "replaced": scenes.replaced,
        "not read": scenes.left_unread,
        "alerts": len(area.alerts),
        "confirmed": fates.confirmed,
        "still bare": fates.still_bare,
        "green again": fates.green_again,
        "merged": fates.merged,
        "provisional": status[PROVISIONAL],
        "faded": status[CLOSED] - fates.green_again - fates.merged,
        "dismissed": status[DISMISSED],
        **news,
        "unseen %": round(100 * area.coverage.unseen, 1),
    }


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
