"""Detection in one tile: the anomalies of its pixels, and the rasters that tell of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.changes import EPISODE, RASTERS, Episodes, Status, TileChanges
from minewatch.detect.baseline import BRIEF, LOOKS_ROW, Baselines, fit_baselines, has_vegetation
from minewatch.detect.follow import follow_pixels
from minewatch.detect.inputs import TileInput
from minewatch.detect.rules import Rules, make_rules
from minewatch.detect.scenes import Scenes
from minewatch.detect.series import SCALES, Series
from minewatch.detect.suspects import find_suspects
from minewatch.units import NODATA, to_day


def detect_changes(tile: TileInput, scenes: Scenes) -> TileChanges:
    """Find the changes of a tile."""
    series, rules = Series.of(tile), make_rules(tile.settings)
    base, suspects = _sift(series, scenes, rules)
    followed = follow_pixels(series.take(suspects), scenes, rules)
    base[:, suspects] = followed.base[:BRIEF]
    inside = np.flatnonzero(tile.inside)
    episodes = followed.episodes.copy()
    episodes["row"] = inside[suspects[episodes["row"]]]
    rasters = {name: raster.reshape(tile.window.shape) for name, raster in _draw(tile, episodes, base, rules).items()}
    missing = np.zeros(tile.window.shape, np.uint8)
    missing[tile.inside] = np.clip(tile.settings.min_looks - base[LOOKS_ROW], 0, 255)
    return TileChanges(tile.window, _place(episodes, tile), rasters, missing)


def _sift(series: Series, scenes: Scenes, rules: Rules) -> tuple[Baselines, NDArray[np.intp]]:
    """Give each pixel's latest baseline of NDVI, and the pixels that have to be followed look by look."""
    base = np.zeros((BRIEF, series.clear.shape[1]), np.int16)
    suspect, values = np.zeros(series.clear.shape[1], bool), scenes.numbers
    terms = series.terms.astype(np.float32)
    for first, start, stop in series.epochs.tolist():
        fit_baselines(series.codes, series.clear, first, start, series.terms[0], series.products, SCALES, rules, base)
        find_suspects(series.codes[0], series.clear, start, stop, base, terms, SCALES[0], values, scenes.agrees, rules, suspect)
    return base, np.flatnonzero(suspect)


def _place(episodes: Episodes, tile: TileInput) -> Episodes:
    """Turn pixel numbers into rows and columns of the grid."""
    row, column = np.divmod(episodes["row"], tile.window.width)
    placed = episodes.copy()
    placed["row"], placed["column"] = row + tile.window.row, column + tile.window.column
    return placed


def _draw(tile: TileInput, episodes: Episodes, base: Baselines, rules: Rules) -> dict[str, NDArray[Any]]:
    latest = np.zeros(tile.inside.size, EPISODE)
    latest["ndvi_change"] = latest["bsi_change"] = NODATA
    sure = episodes[episodes["provisional_on"] > 0]
    latest[sure["row"]] = sure  # of several the last one stays: they are in order
    rasters = {name: latest[name] for name in ("first_seen", "confirmed_on", "ndvi_change", "bsi_change")}
    inside, looks = tile.inside.ravel(), tile.looks
    clear = looks.clear.reshape(len(looks.days), inside.size)
    seen, last = np.zeros(inside.size, np.uint16), np.zeros(inside.size, np.int32)
    _sum_looks(clear, looks.days, looks.before(to_day(tile.monitor_from)), seen, last)
    rasters["clear_looks"] = np.where(inside, seen, RASTERS["clear_looks"].nodata).astype(np.uint16)
    rasters["last_clear"] = last
    status = np.zeros(inside.size, np.uint8)
    status[inside] = _classify(latest[inside], base, looks.covered.ravel()[inside], rules)
    rasters["status"] = status
    return rasters


@njit(nogil=True, cache=True)
def _sum_looks(
    clear: NDArray[np.bool_], days: NDArray[np.int32], start: int, seen: NDArray[np.uint16], last: NDArray[np.int32]
) -> None:
    """Count the clear looks from ``start`` on, and find the day of the last of all."""
    for t in range(clear.shape[0]):
        row, day = clear[t], days[t]
        for pixel in range(row.size):
            last[pixel] = day if row[pixel] else last[pixel]
        if t >= start:
            for pixel in range(row.size):
                seen[pixel] += row[pixel]


def _classify(latest: Episodes, base: Baselines, covered: NDArray[np.bool_], rules: Rules) -> NDArray[np.uint8]:
    """Give the status of pixels inside the area."""
    status = np.full(len(latest), Status.STABLE, np.uint8)
    status[~has_vegetation(base, rules)] = Status.NO_VEGETATION
    status[base[LOOKS_ROW] < rules.min_looks] = Status.NOT_MONITORED
    seen = latest["first_seen"] > 0
    status[seen] = np.where(latest["confirmed_on"] > 0, Status.CONFIRMED, Status.PROVISIONAL)[seen]
    status[seen & (latest["closed_on"] > 0)] = Status.CLOSED
    status[~covered] = Status.NEVER_COVERED
    return status
