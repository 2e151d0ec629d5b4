"""What a scene is like as a whole: haze, illumination and calibration move all stable ground together.

The counts are exact integers over the area's pixels, so that adding up tiles gives what one pass over the area would.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minewatch.detect.baseline import fit_baseline
from minewatch.detect.inputs import TileInput

BINS = 201
"""Residuals are counted from -1 to 1 in steps of 0.01."""

STABLE_NDVI = 0.4
"""Only ground that is expected to be at least this green says how green a scene is."""

Counts = NDArray[np.int64]
"""(time, BINS) pixels of the area by residual of NDVI."""

Shifts = NDArray[np.float32]
"""(time,) median residual of each look, 0 for looks before monitor_from and for looks without stable ground."""


def measure_scenes(tile: TileInput) -> Counts:
    """Count the NDVI residuals of each look over the tile's pixels inside the area."""
    looks = tile.looks
    counts = np.zeros((len(looks.days), BINS), np.int64)
    inside = tile.inside.ravel()
    for epoch in tile.epochs():
        baseline = fit_baseline(*tile.history("ndvi", epoch), floor=tile.settings.noise_floor)
        expected = baseline.predict(looks.days[epoch.looks])
        for index, look in enumerate(range(*epoch.looks.indices(len(looks.days)))):
            stable = inside & looks.clear[look].ravel() & (expected[index] >= STABLE_NDVI)
            residual = tile.values("ndvi", look)[stable] - expected[index][stable]
            bins = np.rint((np.clip(residual, -1, 1) + 1) * (BINS // 2)).astype(np.int64)
            counts[look] += np.bincount(bins, minlength=BINS)
    return counts


def find_shifts(counts: Counts) -> Shifts:
    """Give the median residual of each look, from the counts of all tiles."""
    total = counts.sum(axis=1)
    middle = (counts.cumsum(axis=1) * 2 < total[:, None]).sum(axis=1)
    return np.where(total > 0, middle / (BINS // 2) - 1, 0).astype(np.float32)
