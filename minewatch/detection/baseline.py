"""The seasonal baseline of each pixel: how it is stored, and what it says of the pixel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import subroutine
from minewatch.detection.harmonics import TERMS
from minewatch.detection.rules import Rules

NOISE_FLOOR = 0.02
"""Least noise of a baseline, NDVI."""

PRECISION = 10_000
"""Baselines are integers in units of 1 / PRECISION, so that a stored one equals a new one."""

NDVI_ROW, NOISE_ROW, LOW_ROW, HIGH_ROW, LOOKS_ROW, BARE_ROW, BSI_ROW, BLUE_ROW = 0, TERMS, TERMS + 1, TERMS + 2, 10, 11, 12, 19
"""Rows of a baseline; NDVI, BSI and blue take TERMS rows each."""

BRIEF, FULL = BSI_ROW, BLUE_ROW + TERMS
"""Rows of a baseline of NDVI alone, and of a whole one."""

Baselines = NDArray[np.int16]
"""(row, pixel) x PRECISION; LOOKS_ROW holds a plain number."""

Floats = NDArray[np.float64]


class PixelBaseline(NamedTuple):
    """The baseline of one pixel."""

    ndvi: Floats
    """(term,) coefficients."""

    bsi: Floats
    """(term,) coefficients."""

    blue: Floats
    """(term,) coefficients."""

    noise: float
    """Robust standard deviation of NDVI about its curve."""

    low: float
    """Least NDVI of the curve on the days of its looks: expected NDVI is never below."""

    high: float
    """Largest NDVI of the curve on those days: expected NDVI is never above."""

    looks: int
    """Clear looks that it was fitted to."""

    bare: float
    """Share of the clear looks, hazy ones included, that show bare ground."""


@subroutine
def view_baseline(numbers: Floats) -> PixelBaseline:
    """Return the baseline of a pixel whose FULL rows are ``numbers``, in units of 1."""
    return PixelBaseline(
        numbers[NDVI_ROW : NDVI_ROW + TERMS],
        numbers[BSI_ROW : BSI_ROW + TERMS],
        numbers[BLUE_ROW : BLUE_ROW + TERMS],
        numbers[NOISE_ROW],
        numbers[LOW_ROW],
        numbers[HIGH_ROW],
        int(numbers[LOOKS_ROW] * PRECISION + 0.5),
        numbers[BARE_ROW],
    )


def unpack_baseline(column: NDArray[np.int16]) -> PixelBaseline:
    """Return the baseline of one pixel, a column of FULL rows, in plain numbers."""
    return view_baseline((column.astype(np.float64) / PRECISION).tolist())


def has_vegetation(base: Baselines, rules: Rules) -> NDArray[np.bool_]:
    """Return which pixels have vegetation to lose and were seldom bare before: (pixel,) bool."""
    high, bare = (base[row].astype(np.float64) / PRECISION for row in (HIGH_ROW, BARE_ROW))
    vegetated: NDArray[np.bool_] = (high >= rules.min_vegetation) & (bare < rules.tilled_share)
    return vegetated


def are_monitored(base: Baselines, rules: Rules) -> NDArray[np.bool_]:
    """Return which pixels have vegetation and enough looks: (pixel,) bool."""
    monitored: NDArray[np.bool_] = (base[LOOKS_ROW] >= rules.min_looks) & has_vegetation(base, rules)
    return monitored


@subroutine
def is_monitored(base: Baselines, pixel: int, rules: Rules) -> bool:
    """True if one pixel has vegetation and enough looks, see :func:`are_monitored`."""
    vegetated = (base[HIGH_ROW, pixel] / PRECISION >= rules.min_vegetation) & (
        base[BARE_ROW, pixel] / PRECISION < rules.tilled_share
    )
    monitored: bool = (base[LOOKS_ROW, pixel] >= rules.min_looks) & vegetated
    return monitored
