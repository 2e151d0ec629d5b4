"""The demo: a workspace with simulated scenes, scanned."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from minewatch.areas.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.areas.area_files import list_aois
from minewatch.core.errors import WorkspaceError
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.operations.scan_report import ScanReport
from minewatch.settings.document import init_workspace
from minewatch.simulation.series import simulate_series
from minewatch.simulation.settings import demo_simulation
from minewatch.simulation.stac import place_scene_grid

NAME = "demo"
"""Name of the demo's area."""

SCENES = "simulated"
"""Folder of the simulated catalogue in the demo's workspace."""


@dataclass(frozen=True)
class Demo:
    """Where the demo lies."""

    workspace: Workspace
    """With simulated scenes."""

    report: ScanReport
    """Of its scan."""

    picture: Path
    """Before and after, with the alerts outlined."""

    truth: Path
    """The simulated mines."""


def run_demo(folder: Path, reporter: Reporter | None = None) -> Demo:
    """Simulate scenes in ``folder`` and scan them; a demo that is there already is scanned again.

    Raises WorkspaceError where the folder holds something else.
    """
    reporter = reporter or Reporter()
    workspace = Workspace(folder.absolute())
    truth = workspace.root / SCENES / "truth.gpkg"
    _make_workspace(workspace, reporter)
    report = scan(workspace, ScanRequest((NAME,), until=demo_simulation().last), reporter)
    return Demo(workspace, report, workspace.images / f"{NAME}.png", truth)


def _make_workspace(workspace: Workspace, reporter: Reporter) -> None:
    """Make what is missing, so that an interrupted demo goes on."""
    scenes, settings = workspace.root / SCENES, demo_simulation()
    if not scenes.exists():
        _simulate(workspace.root, scenes, reporter.steps("simulating scenes"))
    if not workspace.settings.exists():
        init_workspace(workspace.root, source=f"{SCENES}/catalog.json")
    if NAME not in list_aois(workspace):
        place = {"source": f"simulated, seed {settings.seed}"}
        write_aoi(
            workspace,
            Aoi(NAME, bbox_geometry(place_scene_grid(settings).find_inner_bbox()), settings.changes_start, properties=place),
        )


def _simulate(root: Path, scenes: Path, step: Callable[[int, int], None]) -> None:
    """Simulate into a temporary folder and rename it, so that an interrupted simulation starts again."""
    part = scenes.with_name(f"{SCENES}.part")
    if root.exists() and {path.name for path in root.iterdir()} - {part.name}:
        raise WorkspaceError(f"{root} is not empty; give the demo an empty folder")
    shutil.rmtree(part, ignore_errors=True)
    simulate_series(part, demo_simulation(), step)
    part.rename(scenes)
