"""The seasonal baseline of each pixel: a robust harmonic fit to the clear looks of the years before.

Harmonic regression on the day of the year as in Zhu and Woodcock 2014 (CCDC), without its trend; robust by iteratively
reweighted least squares with Huber's weights (Huber 1964).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

YEAR = 365.2425
"""Days."""

ROUNDS = 3
"""Rounds of reweighting; more change nothing that matters."""

HUBER = 1.5
"""Residuals beyond this many sigma lose weight."""

RIDGE = 1e-3
"""Keeps seasons without looks from being extrapolated wildly (fraction of the number of looks)."""

TERMS = (1, 3, 5)
"""A level; with one harmonic; with two."""


@dataclass(frozen=True)
class Baseline:
    """What each pixel looks like in each season."""

    coefficients: NDArray[np.float32]
    """(term, pixel)."""

    sigma: NDArray[np.float32]
    """(pixel,) robust residual noise, in the layer's unit."""

    def predict(self, days: NDArray[np.int32]) -> NDArray[np.float32]:
        """Give the expected value: (time, pixel)."""
        return design(days, len(self.coefficients)) @ self.coefficients


def design(days: NDArray[np.int32], terms: int) -> NDArray[np.float32]:
    """Give the regressors (time, term): 1, cos and sin of the year, cos and sin of the half year."""
    angle = 2 * np.pi * days[:, None] / YEAR
    columns = [np.ones_like(angle), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)]
    return np.concatenate(columns[:terms], axis=1).astype(np.float32)


def fit_baseline(values: NDArray[np.float32], used: NDArray[np.bool_], days: NDArray[np.int32], floor: float) -> Baseline:
    """Fit (time, pixel) values where ``used``; pixels with few looks, or less than two years of them, get fewer terms.

    ``floor`` is the least noise that is believed.
    """
    count = used.sum(axis=0)
    first = np.where(used.any(axis=0), days[used.argmax(axis=0)], 0)
    last = np.where(used.any(axis=0), days[len(days) - 1 - used[::-1].argmax(axis=0)], 0)
    span = (last - first) / YEAR
    terms = np.where((count >= 15) & (span >= 1.8), 5, np.where((count >= 9) & (span >= 0.8), 3, 1))
    coefficients = np.zeros((TERMS[-1], values.shape[1]), np.float32)
    sigma = np.full(values.shape[1], np.inf, np.float32)
    for number in TERMS:
        chosen = (terms == number) & (count > 0)
        if chosen.any():
            part = _fit(values[:, chosen], used[:, chosen], design(days, number))
            coefficients[:number, chosen] = part[0]
            # With few looks the scatter is itself uncertain: widen it as a t distribution would.
            wide = np.sqrt(count[chosen] / np.maximum(count[chosen] - number, 1))
            sigma[chosen] = np.maximum(part[1] * wide, floor)
    return Baseline(coefficients, sigma)


def _fit(
    values: NDArray[np.float32], used: NDArray[np.bool_], regressors: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    weights = used.astype(np.float32)
    target = np.where(used, values, 0).astype(np.float32)
    products = (regressors[:, :, None] * regressors[:, None, :]).reshape(len(regressors), -1)
    size = regressors.shape[1]
    penalty = RIDGE * np.diag([0.0] + [1.0] * (size - 1)).astype(np.float32)
    for _ in range(ROUNDS + 1):
        normal = (weights.T @ products).reshape(-1, size, size)
        normal += penalty * np.maximum(weights.sum(axis=0), 1)[:, None, None]
        right = (weights * target).T @ regressors
        beta = np.linalg.solve(normal + 1e-6 * np.eye(size, dtype=np.float32), right[..., None])[..., 0]
        residual = np.where(used, values - regressors @ beta.T, np.nan)
        sigma = 1.4826 * np.nanmedian(np.abs(residual), axis=0)
        ratio = np.abs(np.nan_to_num(residual)) / np.maximum(sigma, 1e-4)
        weights = used * np.minimum(1, HUBER / np.maximum(ratio, 1e-6)).astype(np.float32)
    return beta.T.astype(np.float32), sigma.astype(np.float32)
