"""Jobs that monitor a series that lies in memory: minewatch, and its peers."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from benchmarks.series import Series, open_series
from minewatch.archive.item import list_observations, select_observations
from minewatch.archive.stack import sample_rows
from minewatch.core.workspace import Workspace
from minewatch.detection.detect import detect_changes
from minewatch.detection.scene_quality import assess_scenes
from minewatch.detection.tiles import list_tiles, load_tile, measure_rows
from minewatch.operations.plan import ScanRequest, plan_scan

ROUNDS = 3
"""Of the monitor, the quickest counts."""

Answer = Callable[[], dict[str, Any]]


def prepare_monitor(workspace: str, until: str) -> Answer:
    """Detect in tiles that are in memory, on two threads."""
    opened = Workspace(Path(workspace))
    area = plan_scan(opened, ScanRequest(until=dt.date.fromisoformat(until))).areas[0]
    archived = list_observations(opened.archive(area.aoi.name), area.grid)
    observations = select_observations(archived.values(), area)
    counts: Any = sum(measure_rows(observations, area, rows) for rows in sample_rows(area.grid))
    scenes = assess_scenes(counts, area.pipeline.detector)
    tiles = [load_tile(observations, area, window) for window in list_tiles(area)]
    detect_changes(tiles[0], scenes)  # compiled now

    def work() -> dict[str, Any]:
        times = []
        with ThreadPoolExecutor(2) as threads:
            for _ in range(ROUNDS):
                start = time.perf_counter()
                list(threads.map(lambda tile: detect_changes(tile, scenes), tiles))
                times.append(time.perf_counter() - start)
        return {"looks": sum(tile.looks.clear.size for tile in tiles), "seconds": min(times)}

    return work


def read_piece(series: Series, side: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read a corner of a series: (time, band, y, x) reflectance x 10 000 of blue, red, nir and swir16, and what is clear."""
    bands, clear = [], []
    for item in series.items:
        parts = []
        for name in ("blue", "red", "nir", "swir16", "scl"):
            with rasterio.open(series.file(item, name)) as dataset:
                step = round(dataset.transform.a / 10)
                part = dataset.read(1, window=((0, side // step), (0, side // step)))
            parts.append(part.repeat(step, 0).repeat(step, 1))
        bands.append(np.stack(parts[:4]).astype(np.float32))
        clear.append(np.isin(parts[4], (4, 5, 6, 7)))
    return np.stack(bands), np.stack(clear)


def prepare_nrt(series: str, side: int) -> Answer:
    """Fit and monitor NDVI with nrt's MoSum and its defaults."""
    import xarray  # noqa: PLC0415 - optional
    from nrt.monitor.mosum import MoSum  # noqa: PLC0415 - optional

    warnings.simplefilter("ignore")
    opened = open_series(Path(series))
    bands, clear = read_piece(opened, side)
    ndvi = (bands[:, 2] - bands[:, 1]) / (bands[:, 2] + bands[:, 1])
    ndvi[~clear] = np.nan
    days = np.array(opened.settings.days, "datetime64[ns]")
    data = xarray.DataArray(ndvi, dims=("time", "y", "x"), coords={"time": days}, name="ndvi")
    history = opened.settings.before

    def follow(piece: Any) -> None:
        monitor = MoSum(trend=False)
        monitor.fit(dataarray=piece[:history])
        for day, image in zip(opened.settings.days[history:], piece[history:].values, strict=True):
            monitor.monitor(array=image, date=dt.datetime.combine(day, dt.time()))

    def work() -> dict[str, Any]:
        follow(data)
        return {"looks": ndvi.size, "title": f"nrt MoSum on NDVI, {side} × {side}"}

    follow(data[:, :8, :8])  # compiled now
    return work


def prepare_pyxccd(series: str, side: int) -> Answer:
    """Detect with pyxccd's S-CCD on four bands, on two processes."""
    opened = open_series(Path(series))
    bands, clear = read_piece(opened, side)
    stack = np.ascontiguousarray(bands.astype(np.int64).transpose(2, 3, 0, 1).reshape(side * side, len(bands), 4))
    quality = np.where(clear, 0, 4).astype(np.int64).transpose(1, 2, 0).reshape(side * side, len(bands))
    days = np.array([day.toordinal() for day in opened.settings.days], np.int64)
    jobs = [(days, stack[half::2], quality[half::2]) for half in range(2)]

    def work() -> dict[str, Any]:
        with multiprocessing.get_context("fork").Pool(2) as pool:
            pool.map(_follow_pixels, jobs)
        return {"looks": quality.size, "title": f"pyxccd S-CCD on four bands, {side} × {side}"}

    return work


def _follow_pixels(job: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]) -> None:
    from pyxccd import sccd_detect_flex  # noqa: PLC0415 - optional

    days, stack, quality = job
    for pixel, codes in zip(stack, quality, strict=True):
        sccd_detect_flex(days, np.ascontiguousarray(pixel), codes, lam=20, tmask_b1_index=2, tmask_b2_index=4)
