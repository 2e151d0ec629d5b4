"""Nights: scans that find most of their scenes in the archive, nothing new, one more or a late one; and a cluster."""

from __future__ import annotations

import datetime as dt
import operator
import os
import shutil
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio

from benchmarks.catalogue import write_catalog
from benchmarks.cold import scan_fresh
from benchmarks.measure import Measurement
from benchmarks.processor import read_tree
from benchmarks.results import Row, Run, compare
from benchmarks.series import Series
from minewatch.alerts.read import read_alerts
from minewatch.core.parallel import start_engine
from minewatch.core.workspace import Workspace
from tests.helpers.servers import DaskCluster, start_dask

NIGHT = dt.timedelta(days=1)

TASKS = 500
"""That a scheduler is given to see how many it hands out in a second."""


def measure_warm(run: Run) -> list[Row]:
    """Scan a short and a long series at once and on the night after; the long one also with one scene coming later."""
    rows: list[Row] = []
    for count, goal in ((run.scenes, "quiet-short"), (run.long, "quiet-long")):
        series = run.series(run.size, count)
        cold, workspace = scan_fresh(run, series, f"all-{count}")
        title = f"{run.size} × {run.size}, {count} scenes"
        rows.append(Row(f"cold scan, {title}", cold.seconds, "s", cpu=cold.cpu))
        rows.append(Row(f"cold scan, {title}: memory", cold.memory / 1e9, "GB"))
        if count == run.long:
            rows += _measure_late(run, series, cold, workspace)
        night = scan_next_night(run, series, workspace)
        rows += compare(f"night with nothing new, {count} looks", night, cold, "cold scan", cpu=goal)
    return rows


def _measure_late(run: Run, series: Series, cold: Measurement, reference: Workspace) -> list[Row]:
    """Let one scene come later; goals are about CPU, since that is what a night costs."""
    rows: list[Row] = []
    last, middle = len(series.items) - 1, series.settings.before + series.settings.after // 2
    for name, missing, goal in (("one new look", last, "new"), ("one late look", middle, "late")):
        done, workspace = scan_twice(run, series, missing)
        rows += compare(f"night with {name}, {last + 1} looks", done, cold, "cold scan", cpu=goal)
        rows.append(_describe_equal(f"night with {name}: results equal", workspace, reference))
    return rows


def scan_next_night(run: Run, series: Series, workspace: Workspace) -> Measurement:
    """Scan a day later, when nothing has come."""
    done = run.job("scan", **run.scan_settings(series, workspace) | {"until": series.until + NIGHT})
    assert done.facts["read"] == 0
    return done


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
        rate, each = measure_scheduler(cluster)
        workers = [cluster.scheduler_pid, *cluster.worker_pids]
        settings = run.scan_settings(series, workspace)
        done = run.job("scan", scheduler=cluster.address, workers=workers, **settings)
    done = replace(done, cpu=done.cpu + done.facts["elsewhere"])
    name = "cluster of two processes"
    return [
        Row("scan on two threads", threads.seconds, "s", cpu=threads.cpu),
        *compare(f"scan on a {name}", done, threads, "threads"),
        _describe_equal(f"{name}: results equal", workspace, reference),
        Row(f"{name}: tasks that do nothing", rate, "tasks/s"),
        Row(f"{name}: scheduler, a task", 1000 * each, "CPU ms"),
    ]


def measure_scheduler(cluster: DaskCluster) -> tuple[float, float]:
    """Return the tasks that do nothing which a cluster runs in a second, and the CPU seconds of its scheduler for each."""
    with start_engine(cluster.address) as engine:
        start, used = time.perf_counter(), read_tree(cluster.scheduler_pid)
        assert all(result == -number for number, result in engine.run(operator.neg, [(n,) for n in range(TASKS)]))
        seconds, used = time.perf_counter() - start, read_tree(cluster.scheduler_pid) - used
    return TASKS / seconds, used / TASKS


# --- are two results the same? ---------------------------------------------------------------------------------------


def _describe_equal(name: str, one: Workspace, other: Workspace) -> Row:
    """Compare results; 1 where all are equal."""
    return Row(name, float(not list_differences(one, other)), "(1 = yes)", goal="equal")


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
