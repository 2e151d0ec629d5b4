"""What a year of real series of Rondônia, Brazil, looks like, and the same numbers of any series.

The real ones: Sentinel-2 series of 964 points, every tenth day from August 2018 to July 2019, from the repository
albhasan/deforestation-sentinel2 (MIT; contains modified Copernicus Sentinel data).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REAL: Mapping[str, tuple[float, float, float]] = {
    # name: real value, and the least and the largest that a simulation of one small place may have
    "clear share": (0.45, 0.38, 0.52),
    "longest gap, days": (90, 60, 120),
    "hazy share": (0.04, 0.01, 0.06),
    "shift p90": (0.065, 0.03, 0.1),
    "low share": (0.08, 0.04, 0.12),
    "forest NDVI": (0.83, 0.79, 0.87),
    "forest BSI q90": (-0.17, -0.27, -0.12),
    "cleared NDVI q10": (0.37, 0.31, 0.43),
    "cleared NDVI q50": (0.51, 0.45, 0.57),
    "cleared NDVI q90": (0.63, 0.57, 0.69),
    "cleared BSI q10": (0.01, -0.06, 0.07),
    "cleared BSI q50": (0.11, 0.05, 0.17),
    "cleared BSI q90": (0.21, 0.15, 0.27),
}
"""Of untouched forest: share of the looks that are clear; median over pixels of the longest gap between clear looks; of the
clear looks the share with a blue reflectance more than 0.04 above the pixel's median, and with an NDVI more than 0.1 below it;
90 % quantile over scenes of the scene's median distance of NDVI from the pixels' medians, either way; median NDVI and upper BSI
of clear looks.  Of ground cleared within the last 60 days: quantiles of clear looks."""

FRESH = 60
"""Days for which ground counts as cleared of late."""

FEW = 0.03
"""Share of the pixels that must be clear for a scene to have a shift."""

Values = NDArray[np.float32]


@dataclass(frozen=True)
class PixelSeries:
    """Pixels through time."""

    days: NDArray[np.int64]
    """(time,), ordinals."""
    clear: NDArray[np.bool_]
    """(time, pixel)."""
    blue: Values
    """(time, pixel), reflectance."""
    ndvi: Values
    """(time, pixel)."""
    bsi: Values
    """(time, pixel)."""


def measure_forest(forest: PixelSeries) -> dict[str, float]:
    """Measure the sky over untouched forest."""
    clear, seen = forest.clear, forest.clear.sum(axis=0) > 1
    gaps = [np.diff(forest.days[looks]).max() for looks in clear[:, seen].T]
    ndvi, blue = (np.where(clear, values, np.nan)[:, seen] for values in (forest.ndvi, forest.blue))
    clear = clear[:, seen]
    fall, haze = ndvi - np.nanmedian(ndvi, axis=0), blue - np.nanmedian(blue, axis=0)
    shifts = [abs(np.nanmedian(scene)) for scene in fall[clear.mean(axis=1) >= FEW]]
    return {
        "clear share": float(forest.clear.mean()),
        "longest gap, days": float(np.median(gaps)),
        "hazy share": float((haze[clear] > 0.04).mean()),
        "shift p90": float(np.quantile(shifts, 0.9)),
        "low share": float((fall[clear] < -0.1).mean()),
        "forest NDVI": float(np.median(ndvi[clear])),
        "forest BSI q90": float(np.quantile(forest.bsi[:, seen][clear], 0.9)),
    }


def measure_cleared(cleared: PixelSeries, onset: NDArray[np.int64]) -> dict[str, float]:
    """Measure cleared ground in its first days; ``onset``: ordinal of each pixel."""
    age = cleared.days[:, None] - onset
    fresh = cleared.clear & (age >= 0) & (age <= FRESH)
    quantiles = {"q10": 0.1, "q50": 0.5, "q90": 0.9}
    indices = {"NDVI": cleared.ndvi[fresh], "BSI": cleared.bsi[fresh]}
    return {
        f"cleared {index} {name}": float(np.quantile(values, q))
        for index, values in indices.items()
        for name, q in quantiles.items()
    }
