"""Chooses what an alert rests on: the looks that confirmed it, and the images before and after."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from minewatch.alerts.record import Alert
from minewatch.archive import Observation, iterate_scl, sort_observations
from minewatch.errors import EvidenceError
from minewatch.grid import PIXEL, Grid, Window, reproject
from minewatch.mask import find_clear, margin_pixels
from minewatch.plan import AreaPlan

MARGIN = 500
"""Metres around an alert that its images show, as far as the area's grid reaches."""

SEARCHED = dt.timedelta(days=366)
"""Before the first sign, how far back an image without the change is looked for."""


@dataclass(frozen=True)
class Looks:
    """The observations that an alert rests on."""

    before: Observation
    """The image without the change."""

    after: Observation
    """The image with it: the latest of the clearest up to its confirmation."""

    all: tuple[Observation, ...]
    """From the look before it to the one that confirmed it, in order of acquisition."""

    window: Window
    """What the images show, on the area's grid."""


def choose_looks(area: AreaPlan, observations: Sequence[Observation], alert: Alert) -> Looks:
    """Choose the looks of an alert that was confirmed; raises EvidenceError where one is missing."""
    assert alert.confirmed_on is not None, "only confirmed alerts have evidence"
    window = find_window(area.grid, alert)
    proof = [o for o in observations if alert.first_seen <= o.time.date() <= alert.confirmed_on]
    earlier = [o for o in observations if alert.first_seen - SEARCHED <= o.time.date() < alert.first_seen]
    last_clear = [o for o in earlier if o.time.date() == alert.day_before]
    before, after = _find_clearest(area, last_clear or earlier, alert), _find_clearest(area, proof, alert)
    return Looks(before, after, tuple(sort_observations([before, *proof])), window)


def find_window(grid: Grid, alert: Alert) -> Window:
    """Give the window of the grid that holds an alert and MARGIN around it."""
    outline = reproject(alert.geometry, Transformer.from_crs(4326, grid.crs, always_xy=True))
    left, top = ~grid.transform @ (outline.bounds[0], outline.bounds[3])
    right, bottom = ~grid.transform @ (outline.bounds[2], outline.bounds[1])
    row, column = max(0, math.floor(top)), max(0, math.floor(left))
    height, width = min(grid.shape[0], math.ceil(bottom)) - row, min(grid.shape[1], math.ceil(right)) - column
    return Window(row, column, height, width).grow(MARGIN // PIXEL, grid.shape)


def _find_clearest(area: AreaPlan, observations: Sequence[Observation], alert: Alert) -> Observation:
    """Give the latest of the observations that show most of the alert's ground, to a tenth."""
    if not observations:
        raise EvidenceError("the archive has no observation of the dates that the alert names")
    grid, settings = area.grid, area.pipeline.mask
    window = find_window(grid, alert).grow(margin_pixels(settings), grid.shape)
    ground = _find_ground(grid, window, alert)
    ordered = sort_observations(observations)
    shares = [_share(find_clear(scl[None], settings)[0], ground) for scl in iterate_scl(ordered, window)]
    best = max(range(len(ordered)), key=lambda number: (round(shares[number], 1), number))
    if shares[best] == 0:
        raise EvidenceError("no observation of the dates that the alert names shows its ground")
    return ordered[best]


def _find_ground(grid: Grid, window: Window, alert: Alert) -> NDArray[np.bool_]:
    outline = reproject(alert.geometry, Transformer.from_crs(4326, grid.crs, always_xy=True))
    rows, columns = np.arange(window.height) + 0.5, np.arange(window.width) + 0.5
    corner = grid.transform_of(window)
    return np.asarray(
        shapely.contains_xy(outline, (corner.c + columns * corner.a)[None, :], (corner.f + rows * corner.e)[:, None])
    )


def _share(clear: NDArray[np.bool_], ground: NDArray[np.bool_]) -> float:
    return float((clear & ground).sum() / max(1, ground.sum()))
