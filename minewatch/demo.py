"""The demo: a workspace with simulated scenes, scanned."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from minewatch.aoi import Aoi, bbox_geometry, list_aois, write_aoi
from minewatch.errors import WorkspaceError
from minewatch.plan import Request
from minewatch.progress import Reporter
from minewatch.scan import ScanReport, scan
from minewatch.settings import init_workspace
from minewatch.simulate import SimulatedSeries, demo_simulation, simulate_series
from minewatch.workspace import Workspace

NAME = "demo"
"""Of the demo's area."""

SCENES = "simulated"
"""Folder of the simulated catalogue in the demo's workspace."""


@dataclass(frozen=True)
class Demo:
    """Where the demo lies."""

    workspace: Workspace
    """The workspace."""

    report: ScanReport
    """What its scan did."""

    picture: Path
    """Before and after, with the alerts outlined."""

    truth: Path
    """What was simulated."""


def run_demo(folder: Path, reporter: Reporter | None = None) -> Demo:
    """Simulate scenes in ``folder`` and scan them; a demo that is there already is scanned again.

    Raises WorkspaceError where the folder holds something else.
    """
    reporter = reporter or Reporter()
    workspace = Workspace(folder.absolute())
    truth = workspace.root / SCENES / "truth.gpkg"
    if not truth.exists():
        _make_workspace(workspace, reporter)
    report = scan(workspace, Request((NAME,), until=demo_simulation().last), reporter)
    return Demo(workspace, report, workspace.images / f"{NAME}.png", truth)


def _make_workspace(workspace: Workspace, reporter: Reporter) -> None:
    leftovers = workspace.root / SCENES
    if workspace.root.exists() and any(workspace.root.iterdir()) and not leftovers.exists():
        raise WorkspaceError(f"{workspace.root} holds something else already; give the demo an empty folder")
    settings = demo_simulation()
    shutil.rmtree(leftovers, ignore_errors=True)
    series = _simulate(leftovers, reporter.steps("simulating scenes"))
    if not workspace.settings.exists():
        init_workspace(workspace.root, source=f"{SCENES}/{series.catalog.name}")
    if NAME not in list_aois(workspace):
        place = {"source": f"simulated, seed {settings.seed}"}
        write_aoi(workspace, Aoi(NAME, bbox_geometry(series.bbox), settings.changes_start, properties=place))


def _simulate(folder: Path, step: Callable[[int, int], None]) -> SimulatedSeries:
    """Simulate beside the place and rename, so that a demo that was cut off starts afresh."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    series = simulate_series(part, demo_simulation(), step)
    part.rename(folder)
    return SimulatedSeries(folder / series.catalog.name, folder / series.truth.name, series.bbox, series.epsg, series.item_count)
