"""Scans into a fresh workspace, against the decode limit, and what they find."""

from __future__ import annotations

import math
import shutil

import geopandas as gpd
import shapely
from shapely.geometry.base import BaseGeometry

from benchmarks import composite
from benchmarks.measure import Measurement, choose_best
from benchmarks.outlines import Frame
from benchmarks.results import CPU, Row, Run, compare, list_stages
from benchmarks.series import Series, find_frame
from minewatch.alerts.read import read_alerts
from minewatch.areas.aoi import Aoi
from minewatch.areas.grid import make_grid
from minewatch.core.text import count_of
from minewatch.core.workspace import Workspace

SHARE = 0.3
"""Of a mine that confirmed alerts must cover, and of an alert that must lie on mines or within RIM metres."""

RIM = 20
SHARED = "shared"
"""Name of the folder of a workspace that parts share."""

OWN_SERIES = 4096
"""Pixels a side up to which a size has a series of its own; and the size that the goals are about."""

UNALIGNED = (301, 521, 211, 99)
"""Rows and columns that the other area leaves out: top, left, bottom, right; in 1/2048 of the side."""


def measure_cold(run: Run) -> list[Row]:
    """Measure every size, and the flatness of memory over them; then an area that cuts through blocks, and a river."""
    rows: list[Row] = []
    memory = {}
    for size in run.sizes:
        # The large sizes are corners of the largest series: one is enough to write and to keep.
        series = run.series(size if size <= OWN_SERIES else max(run.sizes), run.scenes)
        found, memory[size] = measure_size(run, series, size)
        rows += found
    if len(memory) > 1:
        sizes = " to ".join(str(size) for size in (min(memory), max(memory)))
        spread = max(memory.values()) / min(memory.values())
        rows.append(Row(f"cold scan, memory: largest / smallest of {sizes}", spread, "", goal="memory-spread"))
    series = run.series(run.size, run.scenes)
    return [*rows, *_measure_unaligned(run, series), *_measure_river(run, series)]


def measure_size(run: Run, series: Series, size: int) -> tuple[list[Row], int]:
    """Measure decoding and scanning of the upper left corner of a series.

    Workspaces are kept until the part ends: for minutes after ten thousand files were deleted, ext4 searches longer for a place
    for each new one, which made evidence a quarter dearer than it is.
    """
    rounds, area = run.rounds_for(size), series.area(frame=(0, 0, size, size))
    title = f"{size} × {size}, {len(series.items)} scenes"
    results, limits = [], []
    for number in range(rounds):  # in turn, so that a busy minute of the machine falls on both
        limits.append(measure_limit(run, series, area))
        done, workspace = scan_fresh(run, series, f"cold-{size}-{number}", area)
        results.append(done)
    limits.append(measure_limit(run, series, area))
    limit, done = choose_best(limits), choose_best(results)
    recall, false = find_recall(series, workspace, area)
    goals = ("cold-wall", "cold-cpu") if size == OWN_SERIES else ("cold-other-wall", "cold-other-cpu")
    rows = [
        Row(f"decode limit, {title}", limit.seconds, "s", cpu=limit.cpu),
        *compare(f"cold scan, {title}", done, limit, "decode limit", *goals),
        Row(f"cold scan, {title}: memory", done.memory / 1e9, "GB", goal="memory"),
        Row(f"cold scan, {title}: alerts", done.facts["alerts"], "alerts"),
        Row(f"cold scan, {title}: mines found", 100 * recall, "%", goal="recall"),
        Row(f"cold scan, {title}: false alarms", false, "alerts"),
    ]
    if size == run.size:
        rows += _measure_composite(run, series, done)
    return rows + _list_parts(done, title), done.memory


def measure_limit(run: Run, series: Series, area: Aoi, rounds: int = 1) -> Measurement:
    """Decode what the grid over an area needs."""
    return run.job("decode", rounds, series=series.folder, areas=[find_frame(area)])


def scan_fresh(run: Run, series: Series, name: str, area: Aoi | None = None) -> tuple[Measurement, Workspace]:
    """Scan an area of a series, or all of it, in a new workspace."""
    folder = run.work / name
    shutil.rmtree(folder, ignore_errors=True)
    workspace = series.workspace(folder, [area or series.area()])
    return run.job("scan", **run.scan_settings(series, workspace)), workspace


def scan_once(run: Run) -> Workspace:
    """Return the workspace of a scan of the short series that parts share, scanned now where it is missing."""
    series, folder = run.series(run.size, run.scenes), run.work / SHARED
    return Workspace(folder) if folder.exists() else scan_fresh(run, series, folder.name)[1]


def _list_parts(done: Measurement, title: str) -> list[Row]:
    """Return the rows of the stages of a scan, and of evidence and picture."""
    group, stages = f"Stages of the cold scan, {title}", done.facts["stages"]
    rows = list_stages(stages, group)
    if count := done.facts["folders"]:
        each = 1000 * stages["evidence"][1] / count
        name = f"evidence of {count_of(count, 'alert')}, with {done.facts['addenda']} addenda: an alert"
        rows.append(Row(name, each, "CPU ms", goal="evidence", group=group))
    rows.append(Row("quick look: processor", stages["quick look"][1], CPU, goal="quick-look", group=group))
    share = done.facts["inside"] / done.cpu
    return [*rows, Row("outline of the area, in any stage", done.facts["inside"], CPU, share, "whole scan", group=group)]


def _measure_unaligned(run: Run, series: Series) -> list[Row]:
    size = series.settings.size
    top, left, bottom, right = (2 * (edge * size // 4096) for edge in UNALIGNED)
    frame: Frame = (top, left, size - bottom, size - right)
    area = series.area(frame=frame)
    limit = measure_limit(run, series, area, run.rounds)
    done = choose_best([scan_fresh(run, series, f"unaligned-{n}", area)[0] for n in range(run.rounds)])
    name = "cold scan of an area that cuts through the blocks"
    return compare(name, done, limit, "decode limit", "cut-wall", "cut-cpu")


def _measure_river(run: Run, series: Series) -> list[Row]:
    area = series.river()
    limit = measure_limit(run, series, area)
    done, _ = scan_fresh(run, series, "river", area)
    corners, inside = shapely.get_num_coordinates(area.geometry), done.facts["inside"]
    name = f"cold scan of a river with {corners:,} corners"
    return [
        *compare(name, done, limit, "decode limit of the rectangle around it"),
        Row(f"{name}: `Grid.inside`", inside, CPU, inside / done.cpu, "whole scan", "outline"),
    ]


def _measure_composite(run: Run, series: Series, scan: Measurement) -> list[Row]:
    if not (run.peers and composite.is_installed()):
        return []
    chunks = [min(chunk, series.settings.size) for chunk in (1024, 2048)]
    found = {chunk: run.job("composite", series=series.folder, chunk=chunk) for chunk in dict.fromkeys(chunks)}
    chunk, best = min(found.items(), key=lambda pair: pair[1].seconds)
    name = f"odc-stac + xarray, difference of medians, chunks of {chunk}"
    ratio = best.seconds / scan.seconds
    return [
        Row(name, best.seconds, "s", ratio, "odc-stac / cold scan", "composite", best.cpu),
        Row(f"{name}: CPU", best.cpu, CPU, best.cpu / scan.cpu, "odc-stac / cold scan"),
        Row(f"{name}: memory", best.memory / 1e9, "GB"),
    ]


def find_recall(series: Series, workspace: Workspace, area: Aoi) -> tuple[float, int]:
    """Return the share of the area's mines that confirmed alerts cover by SHARE, and how many of these lie elsewhere."""
    sites = gpd.read_file(series.truth, layer="sites")
    outline: BaseGeometry = make_grid(area).area
    sites = sites[sites.within(outline)]
    others = gpd.read_file(series.truth, layer="ignore")
    alerts = read_alerts(workspace.alerts)
    confirmed = alerts[alerts["status"] == "confirmed"].to_crs(sites.crs).geometry
    covered = sites.geometry.intersection(shapely.union_all(confirmed.to_numpy())).area / sites.area
    every = gpd.read_file(series.truth, layer="sites").geometry  # also those that the edge of the area cuts
    mines = shapely.buffer(shapely.union_all([*every, *others.geometry]), RIM)
    false = confirmed.intersection(mines).area < SHARE * confirmed.area
    return (float((covered >= SHARE).mean()) if len(sites) else math.nan), int(false.sum())
