"""Makes logits of held-out chips probabilities: as they are shipped, and as it is measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize


@dataclass(frozen=True)
class Judged:
    """What each chip is called by the network that never saw its label file."""

    logit: NDArray[np.float32]
    """(n,)."""

    fold: NDArray[np.intp]
    """(n,)."""


def calibrate(logit: NDArray[np.float32], mine: NDArray[np.bool_], source: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return slope and intercept that make logits probabilities; files count by the root of their size."""
    _, number, size = np.unique(source, return_inverse=True, return_counts=True)
    weight = 1 / np.sqrt(size[number])

    def loss(line: NDArray[np.float64]) -> float:
        scaled = line[0] * logit.astype(np.float64) + line[1]
        return float((weight * (np.logaddexp(0, scaled) - mine * scaled)).sum() / weight.sum())

    return np.asarray(minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-8}).x)


def calibrate_across(judged: Judged, mine: NDArray[np.bool_], source: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return (n,) scores 0 to 1, those of each fold by what the other folds' logits give."""
    score = np.empty(len(mine))
    for fold in np.unique(judged.fold):
        own = judged.fold == fold
        slope, intercept = calibrate(judged.logit[~own], mine[~own], source[~own])
        score[own] = 0.5 + 0.5 * np.tanh((slope * judged.logit[own].astype(np.float64) + intercept) / 2)
    return score
