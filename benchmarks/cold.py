"""Scans into a fresh workspace, against the decode limit, and what they find."""

from __future__ import annotations

import math
import shutil

import geopandas as gpd
import shapely

from benchmarks import composite
from benchmarks.measure import Measurement
from benchmarks.results import Row, Run
from benchmarks.series import LEFT, TOP, Series
from minewatch.alerts.read import read_alerts
from minewatch.core.workspace import Workspace

SHARE = 0.3
"""Of a mine that confirmed alerts must cover, and of an alert that must lie on mines or within RIM metres."""

RIM = 20
OWN_SERIES = 4096
"""Pixels a side up to which a size has a series of its own."""

UNALIGNED = (301, 521, 211, 99)
"""Rows and columns that the other area leaves out: top, left, bottom, right; in 1/2048 of the side."""


def measure_cold(run: Run) -> list[Row]:
    """Measure every size, and the flatness of memory over them."""
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
        rows.append(Row(f"cold scan, memory: largest / smallest of {sizes}", spread, "", goal=1.2))
    return rows


def measure_size(run: Run, series: Series, size: int) -> tuple[list[Row], int]:
    """Measure decoding and scanning of the upper left corner of a series."""
    rounds, rest = run.rounds_for(size), series.settings.size - size
    title = f"{size} × {size}, {len(series.items)} scenes"
    whole = [(0, 0, size, size)]
    results, limits = [], []
    for number in range(rounds):  # in turn, so that a busy minute of the machine falls on both
        limits.append(run.job("decode", series=series.folder, areas=whole))
        results.append(scan_fresh(run, series, f"cold-{size}-{number}", (0, 0, rest, rest)))
    limits.append(run.job("decode", series=series.folder, areas=whole))
    limit = min(limits, key=lambda result: result.seconds)
    done, workspace = min(results, key=lambda result: result[0].seconds)
    recall, false = find_recall(series, workspace, size)
    rows = [
        Row(f"decode limit, {title}", limit.seconds, "s"),
        Row(f"cold scan, {title}", done.seconds, "s", done.seconds / limit.seconds, "decode limit", 1.5),
        Row(f"cold scan, {title}: memory", max(m.memory for m, _ in results) / 1e9, "GB", goal=1.2),
        Row(f"cold scan, {title}: mines found", 100 * recall, "%", goal=90, at_least=True),
        Row(f"cold scan, {title}: false alarms", false, "alerts"),
    ]
    if size == run.size:
        rows += [_measure_unaligned(run, series), *_measure_composite(run, series, done.seconds)]
    return rows, max(measurement.memory for measurement, _ in results)


def scan_fresh(
    run: Run, series: Series, name: str, shift: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> tuple[Measurement, Workspace]:
    """Scan a series in a new workspace."""
    folder = run.work / name
    shutil.rmtree(folder, ignore_errors=True)
    workspace = series.workspace(folder, [series.area(shift=shift)])
    return run.job("scan", **run.scan_settings(series, workspace)), workspace


def _measure_unaligned(run: Run, series: Series) -> Row:
    size = series.settings.size
    top, left, bottom, right = (2 * (edge * size // 4096) for edge in UNALIGNED)
    area = (top, left, size - bottom, size - right)
    limit = run.job("decode", run.rounds, series=series.folder, areas=[area])
    times = [scan_fresh(run, series, f"unaligned-{n}", (top, left, bottom, right))[0].seconds for n in range(run.rounds)]
    name = "cold scan of an area that cuts through the blocks"
    return Row(name, min(times), "s", min(times) / limit.seconds, "decode limit", 1.5)


def _measure_composite(run: Run, series: Series, seconds: float) -> list[Row]:
    if not (run.peers and composite.is_installed()):
        return []
    chunks = [min(chunk, series.settings.size) for chunk in (1024, 2048)]
    found = {chunk: run.job("composite", series=series.folder, chunk=chunk) for chunk in dict.fromkeys(chunks)}
    chunk, best = min(found.items(), key=lambda pair: pair[1].seconds)
    name = f"odc-stac + xarray, difference of medians, chunks of {chunk}"
    against = "odc-stac / cold scan"
    return [
        Row(name, best.seconds, "s", best.seconds / seconds, against, 3, at_least=True),
        Row(f"{name}: memory", best.memory / 1e9, "GB"),
    ]


def find_recall(series: Series, workspace: Workspace, size: int) -> tuple[float, int]:
    """Return the share of the corner's mines that confirmed alerts cover by SHARE, and how many of these lie elsewhere."""
    sites = gpd.read_file(series.truth, layer="sites")
    sites = sites[sites.within(shapely.box(LEFT, TOP - 10 * size, LEFT + 10 * size, TOP))]
    others = gpd.read_file(series.truth, layer="ignore")
    alerts = read_alerts(workspace.alerts)
    confirmed = alerts[alerts["status"] == "confirmed"].to_crs(sites.crs).geometry
    covered = sites.geometry.intersection(shapely.union_all(confirmed.to_numpy())).area / sites.area
    mines = shapely.buffer(shapely.union_all([*sites.geometry, *others.geometry]), RIM)
    false = confirmed.intersection(mines).area < SHARE * confirmed.area
    return (float((covered >= SHARE).mean()) if len(sites) else math.nan), int(false.sum())
