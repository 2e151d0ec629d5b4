"""Scans that find most of their scenes in the archive: one more scene, a late one; and the same on a cluster."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio

from benchmarks.catalogue import write_catalog
from benchmarks.cold import scan_fresh
from benchmarks.measure import Measurement
from benchmarks.results import Row, Run
from benchmarks.series import Series
from minewatch.alerts.read import read_alerts
from minewatch.core.workspace import Workspace
from tests.helpers.servers import start_dask


def measure_warm(run: Run) -> list[Row]:
    """Scan a long series at once, and again with its last or a middle scene coming later."""
    series = run.series(run.size, run.long)
    title = f"{run.size} × {run.size}, {len(series.items)} scenes"
    cold, reference = scan_fresh(run, series, "all-at-once")
    rows = [Row(f"cold scan, {title}", cold.seconds, "s"), Row(f"cold scan, {title}: memory", cold.memory / 1e9, "GB")]
    middle = series.settings.before + series.settings.after // 2
    for name, missing, goal in (("one new scene", len(series.items) - 1, 0.1), ("one late scene", middle, 0.4)):
        done, workspace = scan_twice(run, series, missing)
        rows.append(Row(f"warm scan, {name}", done.seconds, "s", done.seconds / cold.seconds, "cold scan", goal))
        rows.append(_describe_equal(f"warm scan, {name}: results equal", workspace, reference))
    return rows


def scan_twice(run: Run, series: Series, missing: int) -> tuple[Measurement, Workspace]:
    """Scan without one scene, then with it; gives the second scan."""
    view = view_series(series, run.work / f"view-{missing}")
    workspace = view.workspace(run.work / f"warm-{missing}", [view.area()])
    settings = run.scan_settings(view, workspace)
    write_catalog(view.folder, view.settings, leave_out=missing)
    first = run.job("scan", **settings)
    write_catalog(view.folder, view.settings)
    second = run.job("scan", **settings)
    assert first.facts["read"] == len(series.items) - 1
    assert second.facts["read"] == 1
    return second, workspace


def view_series(series: Series, folder: Path) -> Series:
    """Link a series into another folder, whose catalogue may change."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(series.folder, folder, copy_function=_link)
    for path in folder.glob("*.json"):
        path.unlink()
        shutil.copy2(series.folder / path.name, path)
    return replace(series, folder=folder)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def measure_cluster(run: Run) -> list[Row]:
    """Scan on two processes of a cluster, and on the threads of one."""
    series = run.series(run.size, run.scenes)
    threads, reference = scan_fresh(run, series, "threads")
    workspace = series.workspace(run.work / "cluster", [series.area()])
    with start_dask(2) as cluster:
        done = run.job("scan", scheduler=cluster.address, **run.scan_settings(series, workspace))
    name = "cluster of two processes"
    return [
        Row("scan on two threads", threads.seconds, "s"),
        Row(f"scan on a {name}", done.seconds, "s", done.seconds / threads.seconds, "threads"),
        _describe_equal(f"{name}: results equal", workspace, reference),
    ]


# --- are two results the same? ---------------------------------------------------------------------------------------


def _describe_equal(name: str, one: Workspace, other: Workspace) -> Row:
    """Compare results; 1 where all are equal."""
    return Row(name, float(not list_differences(one, other)), "(1 = yes)", goal=1, at_least=True)


def list_differences(one: Workspace, other: Workspace) -> list[str]:
    """Name the rasters and tables of two workspaces that are not the same."""
    differing = [path.name for path in _rasters(one) if not _same_raster(path, other.root / path.relative_to(one.root))]
    tables = [read_alerts(workspace.alerts).drop(columns="run_id") for workspace in (one, other)]
    same = tables[0].astype(str).equals(tables[1].astype(str))
    return differing if same else [*differing, "alerts"]


def _rasters(workspace: Workspace) -> Iterable[Path]:
    found = sorted((workspace.output / "changes").rglob("*.tif"))
    assert found, "no rasters"
    return found


def _same_raster(one: Path, other: Path) -> bool:
    if one.read_bytes() == other.read_bytes():
        return True
    # Compressed bytes may be laid out in another order; what counts is what they say.
    with rasterio.open(one) as a, rasterio.open(other) as b:
        return a.tags() == b.tags() and all(np.array_equal(a.read(band), b.read(band)) for band in a.indexes)
