"""How long a report of over twenty alerts takes, from an archive and a local catalogue.

python -m benchmarks.report             as HTML, and as HTML with PDF
python -m benchmarks.report --small     a tiny area, for a test of this program

Each report is made in a process of its own.  The baseline is reading the same pixels with rasterio, and nothing else.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.accuracy import NAME, Case, shrink, simulate_case
from benchmarks.cold import scan_once
from benchmarks.measure import ROOT, run_job
from benchmarks.results import CPU, Row, Run, describe_row
from minewatch.alerts.read import read_alerts
from minewatch.areas.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.core.workspace import Workspace
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.products.report.options import HTML, PDF
from minewatch.settings.document import init_workspace
from minewatch.simulation.settings import Simulation, demo_simulation

MANY = replace(
    demo_simulation(),
    seed=11,
    first=dt.date(2023, 1, 1),
    changes_from=dt.date(2024, 2, 1),
    cloudiness=0.3,
    mines=26,
    clearings=0,
    burns=0,
    landslides=0,
)
"""6 x 6 km, two years, 26 mines: 64 scenes, which take a quarter of a minute to make."""

ALERTS, MANY_ALERTS = 20, 95
"""With a section of their own: those of the goals."""


def make_workspace(settings: Simulation, cache: Path) -> Workspace:
    """Simulate and scan an area, or find the one that was made before."""
    case = simulate_case("reports many", settings, cache)
    workspace = Workspace(case.folder / "workspace")
    if not workspace.alerts.exists():
        _scan(case, workspace.root)
    return workspace


def _scan(case: Case, root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)
    workspace = init_workspace(root, source=str(case.catalog.resolve()))
    write_aoi(workspace, Aoi(NAME, bbox_geometry(case.bbox), case.monitor_from))
    scan(workspace, ScanRequest((NAME,), until=case.until))


# --- what is shown ---------------------------------------------------------------------------------------------------


def measure_reports(settings: Simulation, cache: Path, alerts: int = ALERTS) -> list[Row]:
    """Make the reports and give the figures."""
    workspace = make_workspace(settings, cache)
    only = _choose_alerts(workspace, alerts)
    place = {"workspace": str(workspace.root), "only": only}
    pixels = run_job("pixels", place)
    rows = [Row(f"reading the pixels alone ({pixels.facts['reads']} windows)", pixels.seconds, "s")]
    for formats in ((HTML,), (HTML, PDF)):
        folder = workspace.output / "reports-measured"
        done = run_job("report", place | {"folder": str(folder), "formats": formats})
        name = f"{len(only)} alerts as {' and '.join(formats).upper()}"
        rows += [
            Row(name, done.seconds, "s", goal="report-time", cpu=done.cpu),
            Row(f"{name}: to the pixels alone", done.seconds, "s", done.seconds / pixels.seconds, "reading the pixels"),
            Row(f"{name}: memory", done.memory / 1e6, "MB"),
        ]
        spent = done.facts["spent"] | {"the rest": done.seconds - sum(done.facts["spent"].values())}
        rows += [Row(f"{name}: {stage}", seconds, "s") for stage, seconds in spent.items()]
        rows += [Row(f"{name}: pages", pages, "pages") for pages in done.facts["pages"]]
    for kind, size in done.facts["files"].items():
        rows.append(Row(f"size of the {kind.upper()}", size / 1e6, "MB", goal="report-size" if kind == HTML else ""))
    return rows


def measure_report(run: Run) -> list[Row]:
    """Write the report of an area with many alerts, as HTML, in the speed benchmarks' own series."""
    workspace = scan_once(run)
    only = _choose_alerts(workspace, MANY_ALERTS)
    folder = workspace.output / "reports-measured"
    done = run.job("report", workspace=workspace.root, folder=folder, formats=[HTML], only=only, area="whole")
    name, count = f"report of {len(only)} alerts as HTML", max(1, len(only))
    goal = "report" if len(only) == MANY_ALERTS else ""
    return [
        Row(name, done.seconds, "s", cpu=done.cpu),
        Row(f"{name}: CPU", done.cpu, CPU, goal=goal),
        Row(f"{name}: each alert", 1000 * done.cpu / count, "CPU ms"),
        Row(f"{name}: memory", done.memory / 1e9, "GB"),
        Row(f"{name}: size", done.facts["files"][HTML] / 1e6, "MB"),
        *(Row(f"{name}: {stage}", seconds, "s") for stage, seconds in done.facts["spent"].items()),
    ]


def _choose_alerts(workspace: Workspace, count: int) -> list[str]:
    """Choose the largest alerts that stand."""
    table = read_alerts(workspace.alerts)
    standing = table[table["status"].isin(("provisional", "confirmed"))]
    return [str(name) for name in standing.sort_values("area_ha", ascending=False)["alert_id"].head(count)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="for a test of this program")
    parser.add_argument("--cache", type=Path, default=ROOT / "benchmarks" / ".cache", help="keeps the scanned area")
    chosen = parser.parse_args(arguments)
    chosen.cache.mkdir(parents=True, exist_ok=True)
    rows = measure_reports(shrink(MANY) if chosen.small else MANY, chosen.cache.resolve())
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for row in rows:
        print(describe_row(row))


if __name__ == "__main__":
    main()
