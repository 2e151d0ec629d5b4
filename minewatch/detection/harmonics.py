"""Annual harmonics: the terms of a seasonal curve, and how many of them a number of looks can carry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import subroutine

YEAR = 365.25
"""Days."""

HARMONICS = 3
"""Annual harmonics at most; leaf-out within three weeks needs the third."""

TERMS = 1 + 2 * HARMONICS
"""A level, then cosine and sine of each harmonic."""

PAIRS = TERMS * (TERMS + 1) // 2
"""Products of two terms."""

FIRST_HARMONIC, SECOND_HARMONIC, THIRD_HARMONIC = 12, 24, 36
"""Clear looks that each harmonic needs."""

UNIT = 1 << 14
"""Products of terms are kept as whole numbers of 1 / UNIT: their sums are exact in any order."""

Floats = NDArray[np.float64]


def harmonic_terms(days: NDArray[np.int32]) -> Floats:
    """Return the regressors of days since 1970-01-01: (time, TERMS)."""
    angle = 2 * np.pi * np.asarray(days, np.float64) / YEAR
    waves = [wave(k * angle) for k in range(1, HARMONICS + 1) for wave in (np.cos, np.sin)]
    return np.stack([np.ones(len(angle)), *waves], axis=1)


def multiply_terms(terms: Floats) -> NDArray[np.int32]:
    """Return the products of each look's terms, the lower triangle row by row: (time, PAIRS), in 1 / UNIT."""
    rows, columns = np.tril_indices(TERMS)
    return np.rint(UNIT * terms[:, rows] * terms[:, columns]).astype(np.int32)


@subroutine
def count_terms(looks: int) -> int:
    """Return how many terms a number of looks can carry."""
    if looks >= THIRD_HARMONIC:
        return 7
    if looks >= SECOND_HARMONIC:
        return 5
    return 3 if looks >= FIRST_HARMONIC else 1


@subroutine
def evaluate(row: Floats | Sequence[float], coefficients: Floats) -> float:
    """Return the curve's value on the day whose terms are ``row``."""
    total = 0.0
    for k in range(TERMS):
        total += row[k] * coefficients[k]
    return total


@subroutine
def evaluate_day(day: int, coefficients: Floats) -> float:
    """Return the curve's value on a day since 1970-01-01."""
    total: float = coefficients[0]
    for k in range(1, HARMONICS + 1):
        angle = k * (2 * np.pi * day / YEAR)
        total += np.cos(angle) * coefficients[2 * k - 1]
        total += np.sin(angle) * coefficients[2 * k]
    return total
