"""Chooses the looks of an alert's evidence: those that confirmed it, and those of the images before and after.

A report shows the same look before the change: both ask ``rank_before``.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.lifetime import find_last_before
from minewatch.alerts.record import Alert
from minewatch.archive.item import Observation, sort_observations
from minewatch.archive.stack import iterate_scl
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import PIXEL, Grid, Window, lonlat_to, reproject
from minewatch.core.errors import EvidenceError
from minewatch.detection.mask import find_clear, margin_pixels

MARGIN = 500
"""Metres around an alert that its images show, as far as the area's grid reaches."""

SEARCH_PERIOD = dt.timedelta(days=366)
"""Before the last normal look: the image without the change may be that old."""


@dataclass(frozen=True)
class LookChoice:
    """The look that an image is read from, and the clearest one."""

    chosen: Observation
    """The clearest whose scenes the source still lists."""

    preferred: Observation
    """The clearest; another than ``chosen`` where the source no longer lists all of its scenes."""

    missing_scenes: tuple[str, ...] = ()
    """Ids of the scenes of ``preferred`` that the source no longer lists."""


@dataclass(frozen=True)
class EvidenceLooks:
    """The observations that an alert rests on."""

    before: LookChoice
    """The image without the change: of the alert's last normal look where it has one, else an earlier one."""

    after: LookChoice
    """The image with it: the latest of the clearest up to its confirmation."""

    all: tuple[Observation, ...]
    """From the look before it to the one that confirmed it, in order of acquisition."""

    window: Window
    """The window of both images, on the area's grid."""


def choose_looks(area: AreaPlan, observations: Sequence[Observation], alert: Alert, listed: Collection[str]) -> EvidenceLooks:
    """Choose the looks of an alert that was confirmed; ``listed`` are the ids of the scenes that the source still has.

    Raises EvidenceError where no look is left of those before, or of those with the change.
    """
    assert alert.confirmed_on is not None, "only confirmed alerts have evidence"
    proof = [o for o in observations if alert.first_seen <= o.time.date() <= alert.confirmed_on]
    before = _choose(rank_before(area, observations, alert.last_normal, alert.geometry), listed, "before the change")
    after = _choose(rank_looks(area, proof, alert.geometry), listed, "with the change")
    looks = {o.item: o for o in (before.preferred, before.chosen, *proof)}
    return EvidenceLooks(before, after, tuple(sort_observations(looks.values())), find_window(area.grid, alert.geometry))


def rank_before(
    area: AreaPlan, observations: Sequence[Observation], last_normal: dt.date | None, outline: BaseGeometry
) -> list[Observation]:
    """Return the looks that show an alert's ground before it changed, the best first; ``outline`` is in lon/lat.

    That of the last normal look comes first, then earlier ones by how much of the ground they show; none is later.
    """
    last = find_last_before(last_normal, area.monitor_from)
    earlier = [o for o in observations if last - SEARCH_PERIOD <= o.time.date() < last]
    groups = [o for o in observations if o.time.date() == last], earlier
    return [o for group in groups for o in rank_looks(area, group, outline)]


def _choose(ranked: Sequence[Observation], listed: Collection[str], period: str) -> LookChoice:
    """Return the first look whose scenes the source still lists."""
    preferred: Observation | None = None
    first_missing: tuple[str, ...] = ()
    for observation in ranked:
        missing = tuple(sorted(set(observation.source_ids) - set(listed)))
        if preferred is None:
            preferred, first_missing = observation, missing
        if not missing:
            return LookChoice(observation, preferred, first_missing)
    if preferred is None:
        raise EvidenceError(f"the archive has no look {period}, of the dates that the alert names, that shows its ground")
    raise EvidenceError(
        f"the source lists none of the looks {period} any more; the clearest was read from {', '.join(first_missing)}"
    )


def find_window(grid: Grid, outline: BaseGeometry) -> Window:
    """Return the window of the grid that holds an outline in lon/lat and MARGIN around it."""
    shape = reproject(outline, lonlat_to(grid.crs))
    left, top = ~grid.transform @ (shape.bounds[0], shape.bounds[3])
    right, bottom = ~grid.transform @ (shape.bounds[2], shape.bounds[1])
    row, column = max(0, math.floor(top)), max(0, math.floor(left))
    height, width = min(grid.shape[0], math.ceil(bottom)) - row, min(grid.shape[1], math.ceil(right)) - column
    return Window(row, column, height, width).grow(MARGIN // PIXEL, grid.shape)


def rank_looks(area: AreaPlan, observations: Sequence[Observation], outline: BaseGeometry) -> list[Observation]:
    """Return the observations that show some of an outline, the best first.

    They are sorted by the share shown, to a tenth; then by whether half of what lies around is clear; then by day, the latest
    first.
    """
    grid, settings = area.grid, area.pipeline.mask
    window = find_window(grid, outline).grow(margin_pixels(settings), grid.shape)
    inside = _rasterize_outline(grid, window, outline)
    ordered = sort_observations(observations)
    clear = [find_clear(scl[None], settings)[0] for scl in iterate_scl(ordered, window)]
    shares = [(float(one[inside].mean()) if inside.any() else 0.0, float(one.mean()) >= 0.5) for one in clear]
    ranked = sorted(range(len(ordered)), key=lambda n: (round(shares[n][0], 1), shares[n][1], n), reverse=True)
    return [ordered[number] for number in ranked if shares[number][0] > 0]


def _rasterize_outline(grid: Grid, window: Window, outline: BaseGeometry) -> NDArray[np.bool_]:
    shape = reproject(outline, lonlat_to(grid.crs))
    rows, columns = np.arange(window.height) + 0.5, np.arange(window.width) + 0.5
    corner = grid.transform_of(window)
    return np.asarray(shapely.contains_xy(shape, (corner.c + columns * corner.a)[None, :], (corner.f + rows * corner.e)[:, None]))
