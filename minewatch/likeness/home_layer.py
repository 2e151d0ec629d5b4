"""A layer of one's own on top of the frozen networks: what a workspace's reviews say of their scores and features.

A logistic regression on the logit of the shipped score and on the few directions in which chips differ most.  Its penalty pulls
it to the shipped score itself, so that few reviews change little, and many what they agree on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

DIRECTIONS = 8
"""Of the features' space that are looked at."""

SURE = 1e-4
"""Scores nearer to 0 or 1 count as this near."""

PENALTIES = (4.0, 0.5, 10.0)
"""Of the slope's distance from 1, of the intercept and of each direction, which has a mean square of 1; reviews count 1 each.

They say what is likely before the first review: that all directions together move a logit by about 1, the intercept by about 1.4.
"""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class HomeLayer:
    """What was learnt from reviews; it goes with one version of the weights."""

    base: str
    """Version of the weights below it."""

    slope: float
    """On the logit of the shipped score."""

    weights: Numbers
    """(features,)."""

    intercept: float
    """Added to both."""


def apply_home_layer(layer: HomeLayer, score: ArrayLike, features: ArrayLike) -> NDArray[np.float32]:
    """Return (n,) scores after the layer, 0 to 1.

    ``score`` (n,) and ``features`` (n, features) are what the model of version ``layer.base`` says, fresh or from the record:
    features count as float16 in both cases, so that the result is the same.
    """
    kept = np.asarray(features, np.float16).astype(np.float64)
    logit = layer.slope * _find_logit(score) + kept @ layer.weights + layer.intercept
    return np.asarray(0.5 + 0.5 * np.tanh(logit / 2), np.float32)


def fit_home_layer(base: str, score: ArrayLike, features: ArrayLike, mine: NDArray[np.bool_], axes: ArrayLike) -> HomeLayer:
    """Return the layer that fits reviewed alerts best.

    ``score`` (n,) and ``features`` (n, features) are the model's, ``mine`` (n,) what people said, ``axes`` (features, k) the
    directions in which training chips differ, the widest first.
    """
    logit, kept = _find_logit(score), np.asarray(features, np.float16).astype(np.float64)
    directions, typical = np.asarray(axes, np.float64)[:, :DIRECTIONS], kept.mean(axis=0)
    placed = (kept - typical) @ directions
    spread = np.sqrt(np.square(placed).mean(axis=0)) + 1e-9
    design = np.column_stack([logit, np.ones(len(logit)), placed / spread])
    penalty = np.array([*PENALTIES[:2], *([PENALTIES[2]] * placed.shape[1])])
    start = np.eye(1, design.shape[1])[0]  # the shipped score as it is

    def judge(line: Numbers) -> tuple[float, Numbers]:
        found = design @ line
        loss = (np.logaddexp(0, found) - mine * found).sum() + 0.5 * (penalty * (line - start) ** 2).sum()
        return float(loss), design.T @ (0.5 + 0.5 * np.tanh(found / 2) - mine) + penalty * (line - start)

    line = np.asarray(minimize(judge, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x, np.float64)
    weights = directions @ (line[2:] / spread)
    return HomeLayer(base, float(line[0]), weights, float(line[1] - typical @ weights))


def _find_logit(score: ArrayLike) -> Numbers:
    share = np.clip(np.asarray(score, np.float64), SURE, 1 - SURE)
    return np.asarray(np.log(share / (1 - share)), np.float64)
