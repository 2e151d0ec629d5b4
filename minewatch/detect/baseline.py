"""The seasonal baseline of a pixel: a robust harmonic fit to its clear looks of the years before.

Harmonic regression on the day of the year, as in Zhu and Woodcock 2014 (CCDC) but without a trend; robust by iteratively
reweighted least squares with Tukey's biweight (Beaton and Tukey 1974).  Written pixel by pixel and compiled: the result of
a pixel depends on nothing but that pixel, so no tile size can show.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

YEAR = 365.25
"""Days."""

HARMONICS = 3
"""Annual harmonics at most; leaf-out within three weeks needs the third."""

TERMS = 1 + 2 * HARMONICS
"""A level, then cosine and sine of each harmonic."""

FIRST_HARMONIC, SECOND_HARMONIC, THIRD_HARMONIC = 12, 24, 36
"""Clear looks that each harmonic needs."""

RIDGE = 0.15
"""Penalty of the second harmonic, twice that of the third, in looks: seasons without looks are not invented."""

ROUNDS = 3
"""Rounds of reweighting."""

TUKEY = 4.0
"""Residuals beyond this many robust deviations have no weight."""

NOISE_FLOOR = 0.02
"""Least noise that is believed, in the unit of the index."""

HAZE_ALLOWANCE = 0.05
"""Looks this much brighter in blue than the lower third of a pixel's looks are haze or snow, and feed no baseline."""

Floats = NDArray[np.float64]


def harmonic_terms(days: NDArray[np.int32]) -> Floats:
    """Give the regressors of days since 1970-01-01: (time, TERMS)."""
    angle = 2 * np.pi * np.asarray(days, np.float64) / YEAR
    waves = [wave(k * angle) for k in range(1, HARMONICS + 1) for wave in (np.cos, np.sin)]
    return np.stack([np.ones(len(angle)), *waves], axis=1)


@njit(nogil=True, cache=True)
def choose_looks(blue: Floats, used: NDArray[np.bool_]) -> int:
    """Leave out, in place, looks far brighter in blue than the pixel's lower third; gives how many stay."""
    level = np.sort(blue[used])
    if level.size == 0:
        return 0
    limit = level[level.size // 3] + HAZE_ALLOWANCE
    count = 0
    for t in range(used.size):
        used[t] = used[t] and blue[t] < limit
        count += used[t]
    return count


@njit(nogil=True, cache=True)
def count_terms(looks: int) -> int:
    """Give how many terms a number of looks can carry."""
    if looks >= THIRD_HARMONIC:
        return 7
    if looks >= SECOND_HARMONIC:
        return 5
    return 3 if looks >= FIRST_HARMONIC else 1


@njit(nogil=True, cache=True)
def fit_harmonics(values: Floats, used: NDArray[np.bool_], terms: Floats, size: int, coefficients: Floats) -> float:
    """Fit (time,) values with the first ``size`` terms into ``coefficients`` (TERMS,); gives the noise."""
    weight = used.astype(np.float64)
    residual = np.zeros(values.size)
    noise = 1.0
    for _ in range(ROUNDS):
        _solve(values, weight, terms, size, coefficients)
        for t in range(values.size):
            residual[t] = abs(values[t] - evaluate(terms[t], coefficients))
        kept = np.sort(residual[used])
        noise = max(1.4826 * kept[max(kept.size - 1, 0) // 2], NOISE_FLOOR)
        for t in range(values.size):
            ratio = residual[t] / (TUKEY * noise)
            weight[t] = (1 - ratio * ratio) ** 2 if used[t] and ratio < 1 else 0.0
    return noise


@njit(nogil=True, cache=True)
def evaluate(row: Floats, coefficients: Floats) -> float:
    """Give the curve's value on the day whose terms are ``row``."""
    total = 0.0
    for k in range(coefficients.size):
        total += row[k] * coefficients[k]
    return total


@njit(nogil=True, cache=True)
def _solve(values: Floats, weight: Floats, terms: Floats, size: int, coefficients: Floats) -> None:
    """Solve the weighted normal equations by Cholesky's decomposition."""
    normal = np.zeros((size, size))
    right = np.zeros(size)
    for t in range(values.size):
        if weight[t] > 0:
            for i in range(size):
                part = weight[t] * terms[t, i]
                right[i] += part * values[t]
                for j in range(i + 1):
                    normal[i, j] += part * terms[t, j]
    for i in range(size):
        normal[i, i] += 1e-6 + RIDGE * max(0, (i + 1) // 2 - 1)
        for j in range(i + 1):
            total = normal[i, j]
            for k in range(j):
                total -= normal[i, k] * normal[j, k]
            normal[i, j] = np.sqrt(max(total, 1e-12)) if i == j else total / normal[j, j]
    coefficients[:] = 0.0
    for i in range(size):
        total = right[i]
        for k in range(i):
            total -= normal[i, k] * coefficients[k]
        coefficients[i] = total / normal[i, i]
    for i in range(size - 1, -1, -1):
        total = coefficients[i]
        for k in range(i + 1, size):
            total -= normal[k, i] * coefficients[k]
        coefficients[i] = total / normal[i, i]
