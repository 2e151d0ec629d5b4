"""The quality of each scene as a whole: haze, season and calibration shift all stable ground together.

Counts are integers, so that the sums over tiles are exactly those of one pass over the area.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import njit, subroutine
from minewatch.detection.baseline import FULL, PRECISION, Baselines, is_monitored, view_baseline
from minewatch.detection.fit import fit_baselines
from minewatch.detection.harmonics import evaluate
from minewatch.detection.inputs import TileInput
from minewatch.detection.rules import Rules, make_rules
from minewatch.detection.series import SCALES, Series
from minewatch.settings.pipeline import DetectorSettings

BINS = 400
"""Residuals are counted from -1 to 1."""

STEP = 2 / BINS
"""Width of a bin."""

Counts = NDArray[np.int64]
"""(3, time, BINS): pixels by residual of NDVI, of blue, and of BSI; for the first and the last haze-free ones only."""


@dataclass(frozen=True)
class SceneQuality:
    """How far the stable ground of each look differs from its baseline; arrays are (time,) float64."""

    shift: NDArray[np.float64]
    """Median NDVI residual of the haze-free vegetated pixels."""

    spread: NDArray[np.float64]
    """Half the distance between its quartiles."""

    blue: NDArray[np.float64]
    """Median blue residual of the clear vegetated pixels, reflectance."""

    bsi: NDArray[np.float64]
    """Median BSI residual of the haze-free vegetated pixels."""

    is_consistent: NDArray[np.bool_]
    """(time,) bool: stable ground is near enough to its baseline for the look to be used."""

    @property
    def numbers(self) -> NDArray[np.float64]:
        """The four numbers of each look: (time, 4) shift, spread, blue, BSI."""
        return np.stack([self.shift, self.spread, self.blue, self.bsi], axis=1)

    def since(self, look: int) -> SceneQuality:
        """Return the quality of the looks from ``look`` on."""
        later = slice(look, None)
        return SceneQuality(self.shift[later], self.spread[later], self.blue[later], self.bsi[later], self.is_consistent[later])


def measure_scenes(tile: TileInput) -> Counts:
    """Count the residuals of each look over the tile's pixels inside the area."""
    counts = np.zeros((3, len(tile.looks.days), BINS), np.int64)
    series, rules = Series.of(tile), make_rules(tile.settings)
    base = np.zeros((FULL, series.clear.shape[1]), np.int16)
    for first, start, stop in series.epochs.tolist():
        if series.clear[start:stop].any():
            fit_baselines(series.codes, series.clear, first, start, series.terms[0], series.products, SCALES, rules, base)
            looks = series.codes, series.clear, base, start, stop, series.terms[0]
            _count_residuals(*looks, SCALES, rules, np.empty(FULL), counts)
    return counts


def assess_scenes(counts: Counts, settings: DetectorSettings) -> SceneQuality:
    """Compute the quality of each look from the counts of all tiles; haze-free vegetated pixels are the reference pixels."""
    ndvi, blue, bsi = counts
    shift, spread = _quantile(ndvi, 0.5), (_quantile(ndvi, 0.75) - _quantile(ndvi, 0.25)) / 2
    references = ndvi.sum(axis=1)
    is_consistent = (references > 0) & (references >= settings.scene_witnesses * blue.sum(axis=1))
    is_consistent &= (shift >= -settings.scene_fall) & (shift <= settings.scene_rise) & (spread <= settings.scene_spread)
    return SceneQuality(shift, spread, _quantile(blue, 0.5), _quantile(bsi, 0.5), is_consistent)


def _quantile(counts: NDArray[np.int64], q: float) -> NDArray[np.float64]:
    """Return the centre of the bin that the quantile falls into, for each look; 0 where nothing was counted."""
    total = counts.sum(axis=1)
    reached = counts.cumsum(axis=1) > np.floor(q * np.maximum(total - 1, 0))[:, None]
    return np.where(total > 0, -1 + STEP * (reached.argmax(axis=1) + 0.5), 0.0)


@njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _count_residuals(
    codes: NDArray[np.uint8],
    clear: NDArray[np.bool_],
    base: Baselines,
    start: int,
    stop: int,
    terms: NDArray[np.float64],
    scales: NDArray[np.float64],
    rules: Rules,
    numbers: NDArray[np.float64],
    counts: Counts,
) -> None:
    """Add to ``counts``; ``numbers`` (FULL,) is overwritten."""
    for pixel in range(clear.shape[1]):
        if not is_monitored(base, pixel, rules):
            continue
        for row in range(FULL):
            numbers[row] = base[row, pixel] / PRECISION
        baseline = view_baseline(numbers)
        for t in range(start, stop):
            if clear[t, pixel]:
                day = terms[t]
                level = min(max(evaluate(day, baseline.ndvi), baseline.low), baseline.high)
                ndvi = scales[0, 0] + scales[0, 1] * codes[0, t, pixel] - level
                bsi = scales[1, 0] + scales[1, 1] * codes[1, t, pixel] - evaluate(day, baseline.bsi)
                blue = scales[2, 0] + scales[2, 1] * codes[2, t, pixel] - evaluate(day, baseline.blue)
                counts[1, t, _bin(blue)] += 1
                if blue < rules.haze_blue:
                    counts[0, t, _bin(ndvi)] += 1
                    counts[2, t, _bin(bsi)] += 1


@subroutine
def _bin(residual: float) -> int:
    return min(max(int(np.floor((residual + 1) / STEP)), 0), BINS - 1)
