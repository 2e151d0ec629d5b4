"""What a scene is like as a whole: haze, season and calibration move all stable ground together.

The counts are exact integers over the area's pixels, so that adding up tiles gives what one pass over the area would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.detect.baseline import evaluate
from minewatch.detect.inputs import TileInput
from minewatch.detect.pixels import Pixels, Rules, fit_pixel, is_monitored, make_rules
from minewatch.pipeline import Detector

BINS = 400
"""Residuals are counted from -1 to 1."""

STEP = 2 / BINS
"""Width of a bin."""

Counts = NDArray[np.int64]
"""(3, time, BINS): pixels by residual of NDVI, of blue, and of BSI; for the first and the last haze-free ones only."""


@dataclass(frozen=True)
class Scenes:
    """What the whole scene says about each look; all arrays are (time,) float64."""

    shift: NDArray[np.float64]
    """Median NDVI residual of the haze-free vegetated pixels."""

    spread: NDArray[np.float64]
    """Half the distance of its quartiles."""

    blue: NDArray[np.float64]
    """Median blue residual of the clear vegetated pixels, reflectance."""

    bsi: NDArray[np.float64]
    """Median BSI residual of the haze-free vegetated pixels."""

    agrees: NDArray[np.bool_]
    """Stable ground agrees with its baseline: the look counts for or against a mine."""


def measure_scenes(tile: TileInput) -> Counts:
    """Count the residuals of each look over the tile's pixels inside the area."""
    counts = np.zeros((3, len(tile.looks.days), BINS), np.int64)
    pixels = Pixels.of(tile)
    _count_residuals(*pixels, make_rules(tile.settings), tile.inside.ravel(), counts)
    return counts


def judge_scenes(counts: Counts, settings: Detector) -> Scenes:
    """Judge each look from the counts of all tiles."""
    ndvi, blue, bsi = counts
    shift, spread = _quantile(ndvi, 0.5), (_quantile(ndvi, 0.75) - _quantile(ndvi, 0.25)) / 2
    witnesses = ndvi.sum(axis=1)
    agrees = (witnesses > 0) & (witnesses >= settings.scene_witnesses * blue.sum(axis=1))
    agrees &= (shift >= -settings.scene_fall) & (shift <= settings.scene_rise) & (spread <= settings.scene_spread)
    return Scenes(shift, spread, _quantile(blue, 0.5), _quantile(bsi, 0.5), agrees)


def _quantile(counts: NDArray[np.int64], q: float) -> NDArray[np.float64]:
    """Give the centre of the bin that the quantile falls into, for each look; 0 where nothing was counted."""
    total = counts.sum(axis=1)
    reached = counts.cumsum(axis=1) > np.floor(q * np.maximum(total - 1, 0))[:, None]
    return np.where(total > 0, -1 + STEP * (reached.argmax(axis=1) + 0.5), 0.0)


@njit(nogil=True, cache=True)
def _count_residuals(
    days: NDArray[np.int32],
    clear: NDArray[np.bool_],
    layers: NDArray[np.int16],
    epochs: NDArray[np.int64],
    terms: NDArray[np.float64],
    rules: Rules,
    inside: NDArray[np.bool_],
    counts: Counts,
) -> None:
    excluded = np.zeros(days.size, np.bool_)
    for pixel in range(clear.shape[0]):
        if not inside[pixel]:
            continue
        for epoch in range(epochs.shape[0]):
            first, start, stop = epochs[epoch]
            if not clear[pixel, start:stop].any():
                continue
            base = fit_pixel(clear[pixel], layers[pixel], excluded, first, start, terms[0], rules)
            if not is_monitored(base, rules):
                continue
            for t in range(start, stop):
                if clear[pixel, t]:
                    level = min(max(evaluate(terms[0, t], base.ndvi), base.low), base.high)
                    blue = layers[pixel, 2, t] / 10000 - evaluate(terms[0, t], base.blue)
                    counts[1, t, _bin(blue)] += 1
                    if blue < rules.haze_blue:
                        counts[0, t, _bin(layers[pixel, 0, t] / 10000 - level)] += 1
                        counts[2, t, _bin(layers[pixel, 1, t] / 10000 - evaluate(terms[0, t], base.bsi))] += 1


@njit(nogil=True, cache=True)
def _bin(residual: float) -> int:
    return min(max(int(np.floor((residual + 1) / STEP)), 0), BINS - 1)
