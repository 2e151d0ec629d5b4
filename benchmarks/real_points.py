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
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
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

LASTING_DAYS = 60
"""Clearings that stay bare as long as this are lasting ones."""

LASTING, SHORT, UNSEEN = "clearings bare for 60 days or more", "clearings bare for less", "clearings never seen bare"
"""Classes of cleared blocks: by the days between the first of two clear looks running with soil and the last."""


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


def scan_points(catalog: Path, workspace_folder: Path, overrides: tuple[str, ...] = ()) -> Workspace:
    """Scan a catalogue of blocks in a workspace of its own, which keeps the archive for the next time."""
    new = not (workspace_folder / "minewatch.toml").exists()
    workspace = init_workspace(workspace_folder, source=str(catalog)) if new else Workspace(workspace_folder)
    bbox = json.loads((catalog.parent / "collection.json").read_text("utf-8"))["extent"]["spatial"]["bbox"][0]
    since = dt.date.fromisoformat(read_points()["monitor_from"])
    if new:
        grid = find_grid_hint(open_source(str(catalog)), bbox_geometry(bbox))
        write_aoi(workspace, Aoi(NAME, bbox_geometry(bbox), since, grid=grid))
    workspace.alerts.unlink(missing_ok=True)
    scan(workspace, ScanRequest((NAME,), overrides=overrides, source=str(catalog), until=UNTIL))
    return workspace


def read_points() -> dict[str, Any]:
    """Read the truth."""
    points: dict[str, Any] = json.loads((FOLDER / "points.json").read_text("utf-8"))
    return points


def score_points(workspace: Workspace) -> PointScores:
    """Count the confirmed blocks of each class."""
    points, alerts = read_points(), read_alerts(workspace.alerts)
    confirmed = shapely.union_all(list(alerts[alerts["confirmed_on"].notna()].to_crs(CRS).geometry))
    hits, totals = Counter[str](), Counter[str]()
    for number, label in enumerate(points["label"]):
        block, name = outline_block(points, number), name_class(label, points["onset"][number], points["span"][number])
        totals[name] += 1
        hits[name] += confirmed.intersection(block).area >= LEAST_COVER * block.area
    return PointScores(hits, totals)


def name_class(label: str, onset: int | None, span: float | None) -> str:
    """Return the class of a block; other ground that went bare is a class of its own, since that may be a clearing too."""
    if label != "Deforestation":
        return label if onset is None else f"{label} that went bare"
    if (span or 0) >= LASTING_DAYS:
        return LASTING
    return SHORT if onset is not None else UNSEEN


def outline_block(points: Mapping[str, Any], number: int) -> shapely.Polygon:
    """Return the outline of a block."""
    row, column = divmod(number, points["W"])
    left, top = points["left"] + column * STEP_M + RIM_M, points["top"] - row * STEP_M - RIM_M
    return shapely.box(left, top - SIDE_M, left + SIDE_M, top)
