"""How long a bulletin of a hundred areas takes: ``python -m benchmarks.bulletin``.

A simulated tract of 10 x 10 km is watched as a hundred areas of a square kilometre each, for a year and a half.  Each command
runs in a process of its own, from its start to its end.  ``--small`` is for a test of this program.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.accuracy import shrink, simulate_case
from benchmarks.measure import ROOT, run_command
from benchmarks.results import CPU, Row, describe_row
from minewatch.areas.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.core.workspace import Workspace
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.settings.document import init_workspace
from minewatch.simulation.settings import Simulation, demo_simulation

TRACT = replace(
    demo_simulation(),
    seed=20,
    width=1000,
    height=1000,
    first=dt.date(2023, 1, 1),
    last=dt.date(2025, 8, 31),
    changes_from=dt.date(2024, 7, 1),
    cloudiness=0.5,
    mines=45,
    clearings=6,
    burns=3,
    landslides=3,
)
"""10 x 10 km, two and a half years, 45 mines."""

ACROSS = 10
"""Areas along each side."""

MONTH = "2025-08"
"""That the bulletin is of."""


def make_workspace(settings: Simulation, cache: Path, across: int = ACROSS) -> Workspace:
    """Simulate a tract and scan its areas, or find what was made before."""
    case = simulate_case("bulletin tract", settings, cache)
    workspace = Workspace(case.folder / "workspace")
    if not workspace.alerts.exists():
        shutil.rmtree(workspace.root, ignore_errors=True)
        init_workspace(workspace.root, source=str(case.catalog.resolve()))
        west, south, east, north = case.bbox
        xs, ys = np.linspace(west, east, across + 1).tolist(), np.linspace(north, south, across + 1).tolist()
        for row in range(across):
            for column in range(across):
                box = xs[column], ys[row + 1], xs[column + 1], ys[row]
                write_aoi(workspace, Aoi(f"sector-{chr(65 + row)}{column + 1:02d}", bbox_geometry(box), case.monitor_from))
        scan(workspace, ScanRequest(until=case.until))
    return workspace


def measure_bulletins(workspace: Workspace, month: str = MONTH) -> list[Row]:
    """Make bulletins in some formats and give the figures."""
    rows = []
    for formats in ("html", "csv,xlsx", "html,pdf,csv,xlsx"):
        folder = workspace.root / "measured"
        words = [
            "-m",
            "minewatch",
            "-w",
            str(workspace.root),
            "bulletin",
            "--month",
            month,
            "--format",
            formats,
            "-o",
            str(folder),
        ]
        done = run_command(words, workspace.root)
        name = f"bulletin as {formats}"
        rows += [
            Row(name, done.seconds, "s", goal="bulletin-time", cpu=done.cpu),
            Row(f"{name}: CPU", done.cpu, CPU),
            Row(f"{name}: memory", done.memory / 1e6, "MB"),
        ]
    return [*rows, *(Row(f"size of {path.name}", path.stat().st_size / 1e6, "MB") for path in sorted(folder.iterdir()))]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="for a test of this program")
    parser.add_argument("--cache", type=Path, default=ROOT / "benchmarks" / ".cache", help="keeps the scanned areas")
    chosen = parser.parse_args(arguments)
    chosen.cache.mkdir(parents=True, exist_ok=True)
    if chosen.small:
        settings = shrink(demo_simulation())
        workspace, month = make_workspace(settings, chosen.cache.resolve(), across=2), f"{settings.last:%Y-%m}"
    else:
        workspace, month = make_workspace(TRACT, chosen.cache.resolve()), MONTH
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for row in measure_bulletins(workspace, month):
        print(describe_row(row))


if __name__ == "__main__":
    main()
