"""Writes synthetic Sentinel-2 series of any size as static STAC catalogues with Earth Search's layout, and their truth.

python -m benchmarks.tiles --size 4096 --scenes 30 FOLDER
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window as RasterWindow

from benchmarks import scene_pixels
from benchmarks.catalogue import describe_item, write_catalog, write_truth
from benchmarks.scene_pixels import Mine, Sky, Surface, Window, make_pixels, make_sky, make_surface
from benchmarks.series import BANDS, EPSG, LEFT, TOP, Series, Settings, choose_settings, name_item

MINE_KM = 2.0
"""One mine in each square of this side."""

BLOCK = 1024
"""Side of a block in the files."""


def find_series(settings: Settings, cache: Path) -> Series:
    """Return a series from the cache, written now where it is missing."""
    folder = cache / f"speed-{settings.size}x{settings.before + settings.after}-{settings.digest}"
    return Series(folder, settings) if folder.exists() else write_series(folder, settings)


def write_series(folder: Path, settings: Settings) -> Series:
    """Write a series; a folder that was begun and not finished is made anew."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    land = make_surface(settings.size, settings.seed)
    mines = place_mines(land, settings)
    looks: list[NDArray[np.float64]] = []
    with ThreadPoolExecutor(2) as threads:
        jobs = [threads.submit(_write_scene, part, settings, land, mines, number) for number in range(len(settings.days))]
        looks = [job.result() for job in jobs]
    write_catalog(part, settings)
    write_truth(part / "truth.gpkg", settings, mines, np.array(looks))
    (part / "series.json").write_text(json.dumps(dataclasses.asdict(settings), default=str, indent=1) + "\n")
    part.rename(folder)
    return Series(folder, settings)


def place_mines(land: Surface, settings: Settings) -> list[Mine]:
    """Spread mines of 0.3 to 5 ha over the forest, one in each square of MINE_KM."""
    random = np.random.default_rng([settings.seed, 2])
    step = min(MINE_KM * 100, settings.size / 2)
    count = int(settings.size // step)
    # A long series shows its mines one after another, a short one all at once.
    spread = (settings.after - 1) * settings.spacing_after // 2 if settings.after > 10 else 0
    mines = []
    for row in range(count):
        for column in range(count):
            area = float(np.exp(random.uniform(np.log(0.3), np.log(5.0))))
            stretch = random.uniform(1.0, 2.0)
            minor = float(np.sqrt(area * 100 / np.pi / stretch))
            major, margin = minor * stretch, minor * stretch / step + 0.03
            onset = settings.monitor_from + dt.timedelta(days=int(random.integers(0, spread + 1)))
            angle, bright = random.uniform(0, np.pi), random.uniform()
            for _ in range(20):
                y, x = (np.array([row, column]) + random.uniform(margin, 1 - margin, 2)) * step
                if scene_pixels.is_green(land, y, x, major):
                    mines.append(Mine(float(y), float(x), major, minor, float(angle), onset, float(bright)))
                    break
    return mines


def _write_scene(folder: Path, settings: Settings, land: Surface, mines: list[Mine], number: int) -> NDArray[np.float64]:
    """Write an item and its files; gives the clear share of each mine, nan before its onset."""
    day, cloudy = settings.days[number], settings.clouds[number]
    sky = make_sky(settings.size, settings.seed, number, cloudy, day)
    home = folder / name_item(day)
    home.mkdir()
    for band, (file, side) in enumerate(BANDS.values()):
        _write_band(home / f"{file}.tif", band, side, settings, land, sky, mines, day)
    item = describe_item(settings, day, cloudy)
    (home / f"{item['id']}.json").write_text(json.dumps(item, indent=1) + "\n", "utf-8")
    return np.array([_measure_clear(land, sky, mine, day) for mine in mines])


def _write_band(
    path: Path, band: int, side: int, settings: Settings, land: Surface, sky: Sky, mines: list[Mine], day: dt.date
) -> None:
    scale, classes = side // 10, band == scene_pixels.SCL
    size = settings.size // scale
    profile: dict[str, Any] = {
        "driver": "COG",
        "dtype": "uint8" if classes else "uint16",
        "nodata": 0,
        "count": 1,
        "width": size,
        "height": size,
        "crs": f"EPSG:{EPSG}",
        "transform": Affine(side, 0, LEFT, 0, -side, TOP),
        "compress": "deflate",
        "level": 6 if classes else 1,
        "blocksize": min(BLOCK, max(128, 1 << (size - 1).bit_length())),
        "overview_resampling": "nearest",
    }
    if not classes:
        profile["predictor"] = 2
    with rasterio.Env(GDAL_CACHEMAX=64 * 2**20), rasterio.open(path, "w", **profile) as target:
        for row in range(0, size, BLOCK):
            window = Window(row, 0, min(BLOCK, size - row), size, scale)
            pixels = make_pixels(band, window, land, sky, mines, day)
            place = RasterWindow(0, row, size, window.height)
            target.write(pixels.astype(np.uint8) if classes else pixels, 1, window=place)


def _measure_clear(land: Surface, sky: Sky, mine: Mine, day: dt.date) -> float:
    if day < mine.onset:
        return float("nan")
    top, left, bottom, right = (edge // 2 for edge in mine.reach())
    window = Window(top, left, bottom - top, right - left, 2)
    classes = make_pixels(scene_pixels.SCL, window, land, sky, [mine], day)[mine.covers(window)]
    return float(np.isin(classes, (4, 5, 6, 7)).mean()) if classes.size else 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Write one series."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=4096, help="pixels of 10 m along each side")
    parser.add_argument("--scenes", type=int, default=30)
    chosen = parser.parse_args(arguments)
    start = time.perf_counter()
    series = write_series(chosen.folder.resolve(), choose_settings(chosen.size, chosen.scenes))
    size = sum(path.stat().st_size for path in series.folder.rglob("*.tif"))
    print(f"{series.catalog}: {size / 1e9:.2f} GB in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
