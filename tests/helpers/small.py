"""One small simulated area for many tests: made once per test session, scanned in about a second."""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from shapely.geometry import box

from minewatch.areas.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.areas.grid import Grid
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map import RASTERS
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.operations.scan_report import ScanReport
from minewatch.products.images.quicklook import draw_quicklook
from minewatch.settings.document import init_workspace
from minewatch.simulation.series import SimulatedSeries, simulate_series
from minewatch.simulation.settings import Simulation

SMALL = Simulation(
    seed=1,
    width=96,
    height=96,
    first=dt.date(2022, 1, 1),
    last=dt.date(2023, 3, 31),
    changes_from=dt.date(2022, 10, 15),
    revisit_days=10,
    missing=0.05,
    cloudiness=0.25,
    mines=2,
    clearings=0,
    burns=0,
    landslides=0,
)
"""About a square kilometre with two mines of 1.4 and 0.3 ha, 43 scenes."""

MONITOR_FROM = dt.date(2022, 10, 1)
UNTIL = SMALL.last
NAME = "spot"

SHARED: dict[Path, dict[Path, tuple[int, int]]] = {}
"""Folders that tests share, each with the stock of its files."""


def make_series(factory: pytest.TempPathFactory) -> SimulatedSeries:
    """Simulate the small area; the second call gives the same files, so nobody may change them."""
    return _simulate(factory.getbasetemp())


def make_scanned(factory: pytest.TempPathFactory) -> tuple[Workspace, ScanReport]:
    """Scan the small area; the second call gives the same workspace, so nobody may change it."""
    return _scan(factory.getbasetemp())


@functools.cache
def _simulate(folder: Path) -> SimulatedSeries:
    series = simulate_series(folder / "small-series", SMALL)
    SHARED[series.catalog.parent] = take_stock(series.catalog.parent)
    return series


@functools.cache
def _scan(folder: Path) -> tuple[Workspace, ScanReport]:
    workspace = make_workspace(folder / "small-scanned", _simulate(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minewatch.operations.scan.draw_quicklook", draw_quicklook)  # the test that asks first may have none
        report = scan_small(workspace)
    SHARED[workspace.root] = take_stock(workspace.root)
    return workspace, report


def take_stock(folder: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of the last change of every file below a folder."""
    files = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in files.items()}


def list_spoilt() -> list[Path]:
    """Return the files of what tests share that a test has changed, added or removed since this was last asked."""
    spoilt = []
    for folder, before in SHARED.items():
        SHARED[folder] = now = take_stock(folder)
        spoilt += sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))
    return spoilt


def make_workspace(root: Path, series: SimulatedSeries, source: str | None = None) -> Workspace:
    """Make a workspace that watches the small area."""
    workspace = init_workspace(root, source=source or str(series.catalog))
    write_aoi(workspace, Aoi(NAME, bbox_geometry(series.bbox), MONITOR_FROM))
    return workspace


def copy_workspace(workspace: Workspace, root: Path) -> Workspace:
    """Copy a workspace, archive and all, to change the copy."""
    shutil.copytree(workspace.root, root)
    return Workspace(root)


def copy_series(series: SimulatedSeries, folder: Path, names: list[str] | None = None) -> SimulatedSeries:
    """Copy a catalogue, to change the copy; ``names`` says which scenes it lists."""
    shutil.copytree(series.catalog.parent, folder)
    copied = replace(series, catalog=folder / "catalog.json", truth=folder / "truth.gpkg")
    if names is not None:
        list_scenes(copied, names)
    return copied


def name_scenes(series: SimulatedSeries) -> list[str]:
    """Name the scenes on disk, by date."""
    return sorted((path.parent.name for path in series.catalog.parent.glob("*/S2*.json")), key=lambda name: name.split("_")[2])


def list_scenes(series: SimulatedSeries, names: list[str]) -> None:
    """Let a catalogue list these scenes and no others, in this order."""
    path = series.catalog.parent / "collection.json"
    collection = json.loads(path.read_text())
    links = [link for link in collection["links"] if link["rel"] != "item"]
    collection["links"] = links + [{"rel": "item", "href": f"./{name}/{name}.json"} for name in names]
    path.write_text(json.dumps(collection))


def scan_small(workspace: Workspace, until: dt.date = UNTIL, **choices: Any) -> ScanReport:
    """Scan the small area as of a date; a what-if goes over the table."""
    return scan(workspace, ScanRequest(until=until, replace=True, **choices))


def read_result(workspace: Workspace) -> dict[str, Any]:
    """Return all that the law covers: the bytes of the rasters, and the table without the names of runs."""
    rasters = {name: (workspace.changes(NAME) / f"{name}.tif").read_bytes() for name in RASTERS}
    alerts = gpd.read_file(workspace.alerts, layer="alerts").drop(columns="run_id").sort_values("alert_id")
    rows = json.loads(alerts.to_json(default=str, drop_id=True))["features"]
    areas = pyogrio.read_dataframe(workspace.alerts, layer="aois", read_geometry=False).drop(columns="run_id")
    csv = workspace.alerts_csv.read_text()
    return rasters | {"alerts": rows, "aois": areas.astype(str).to_dict("records"), "csv": csv}


def read_layer(path: Path, layer: str) -> list[dict[str, Any]]:
    """Read a layer without geometry as plain rows."""
    rows: list[dict[str, Any]] = pyogrio.read_dataframe(path, layer=layer, read_geometry=False).to_dict("records")
    return rows


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def make_flat_grid(height: int, width: int) -> Grid:
    """Lay a grid of 10 m pixels in Peru, all of it inside its area."""
    transform = Affine(10, 0, 400_000, 0, -10, 8_590_000)
    area = box(400_000, 8_590_000 - 10 * height, 400_000 + 10 * width, 8_590_000)
    return Grid(GeoBox((height, width), transform, "EPSG:32719"), area)


def plain_environment(**more: str) -> dict[str, str]:
    """Return an environment for a child process: no workspace of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MINEWATCH_")}
    return kept | {"COLUMNS": "110"} | more
