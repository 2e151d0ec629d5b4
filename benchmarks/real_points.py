"""Real tropical ground: blocks of four by four pixels of Rondônia whose history is known, scanned as a user would scan them.

The series lie in ``../shared/data/points-rondonia``; its README says where they come from.  A block counts as confirmed where
alerts that were ever confirmed cover LEAST_COVER of it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely

from minewatch.alerts.read import read_alerts
from minewatch.areas.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.core.workspace import Workspace
from minewatch.detection.lasting import LASTING_DAYS
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.operations.scan_report import ScanReport
from minewatch.settings.document import init_workspace
from minewatch.sources.search import find_grid_hint
from minewatch.sources.stac import open_source

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "points-rondonia"
"""catalog.json, and the truth in points.json."""

NAME = "points"
"""Of the area in the workspace."""

UNTIL = dt.date(2019, 7, 31)
"""As-of date."""

CRS = "EPSG:32720"
"""Of the blocks."""

SIDE_M, STEP_M, RIM_M = 40, 80, 20
"""Metres of a block, from one block to the next, and from its cell's corner to the block."""

LEAST_COVER = 0.3
"""Share of a block that confirmed alerts must cover."""

LASTING, SHORT = f"clearings bare for {LASTING_DAYS} days or more", "clearings bare for less"
UNSEEN = "clearings never seen bare"
"""Classes of cleared blocks: by the days between the first of two clear looks running with soil and the last."""


Truth = Mapping[str, Any]
"""points.json."""


@dataclass(frozen=True)
class PointScores:
    """How many blocks of each class were confirmed."""

    hits: Mapping[str, int]
    """Class to confirmed blocks."""

    totals: Mapping[str, int]
    """Class to blocks."""

    def share(self, name: str) -> float:
        """Return the share of a class that was confirmed."""
        return self.hits.get(name, 0) / self.totals[name]


def open_points(catalog: Path, folder: Path) -> Workspace:
    """Open the workspace of a catalogue of blocks, or make it; it keeps the archive for the next time."""
    if (folder / "minewatch.toml").exists():
        return Workspace(folder)
    workspace = init_workspace(folder, source=str(catalog))
    box = bbox_geometry(json.loads((catalog.parent / "collection.json").read_text("utf-8"))["extent"]["spatial"]["bbox"][0])
    since = dt.date.fromisoformat(read_points()["monitor_from"])
    write_aoi(workspace, Aoi(NAME, box, since, grid=find_grid_hint(open_source(str(catalog)), box)))
    return workspace


def scan_points(workspace: Workspace, overrides: tuple[str, ...] = (), pipeline: str | None = None) -> ScanReport:
    """Scan the blocks into a new table."""
    workspace.alerts.unlink(missing_ok=True)
    return scan(workspace, ScanRequest((NAME,), pipeline, overrides, until=UNTIL, replace=True))


def read_points() -> Truth:
    """Read the truth."""
    truth: Truth = json.loads((FOLDER / "points.json").read_text("utf-8"))
    return truth


def score_points(workspace: Workspace) -> PointScores:
    """Count the confirmed blocks of each class."""
    truth, alerts = read_points(), read_alerts(workspace.alerts)
    confirmed = shapely.union_all(list(alerts[alerts["confirmed_on"].notna()].to_crs(CRS).geometry))
    hits, totals = Counter[str](), Counter[str]()
    for number in range(len(truth["label"])):
        block, name = outline_block(truth, number), name_class(truth, number)
        totals[name] += 1
        hits[name] += confirmed.intersection(block).area >= LEAST_COVER * block.area
    return PointScores(hits, totals)


def name_class(truth: Truth, number: int) -> str:
    """Return the class of a block; other ground that went bare is a class of its own, since that may be a clearing too."""
    label, went_bare = truth["label"][number], truth["onset"][number] is not None
    if label != "Deforestation":
        return f"{label} that went bare" if went_bare else str(label)
    return LASTING if truth["span"][number] >= LASTING_DAYS else SHORT if went_bare else UNSEEN


def outline_block(truth: Truth, number: int) -> shapely.Polygon:
    """Return the outline of a block."""
    row, column = divmod(number, truth["W"])
    left, top = truth["left"] + column * STEP_M + RIM_M, truth["top"] - row * STEP_M - RIM_M
    return shapely.box(left, top - SIDE_M, left + SIDE_M, top)
