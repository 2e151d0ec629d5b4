"""Chooses the looks of an alert's evidence: those that confirmed it, and those of the images before and after."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

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
    # Between the last normal look and the first with the change, a look may show the change already.
    last = alert.last_normal or area.monitor_from - dt.timedelta(days=1)
    earlier = [o for o in observations if last - SEARCH_PERIOD <= o.time.date() < last]
    before = _choose(area, ([o for o in observations if o.time.date() == last], earlier), alert, listed, "before the change")
    after = _choose(area, (proof,), alert, listed, "with the change")
    looks = {o.item: o for o in (before.preferred, before.chosen, *proof)}
    return EvidenceLooks(before, after, tuple(sort_observations(looks.values())), find_window(area.grid, alert))


def _choose(
    area: AreaPlan, groups: Sequence[Sequence[Observation]], alert: Alert, listed: Collection[str], period: str
) -> LookChoice:
    """Return the clearest look whose scenes the source still lists, of the first group that has one."""
    preferred: Observation | None = None
    first_missing: tuple[str, ...] = ()
    for observation in (o for group in groups for o in _rank(area, group, alert)):
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


def find_window(grid: Grid, alert: Alert) -> Window:
    """Return the window of the grid that holds an alert and MARGIN around it."""
    outline = reproject(alert.geometry, lonlat_to(grid.crs))
    left, top = ~grid.transform @ (outline.bounds[0], outline.bounds[3])
    right, bottom = ~grid.transform @ (outline.bounds[2], outline.bounds[1])
    row, column = max(0, math.floor(top)), max(0, math.floor(left))
    height, width = min(grid.shape[0], math.ceil(bottom)) - row, min(grid.shape[1], math.ceil(right)) - column
    return Window(row, column, height, width).grow(MARGIN // PIXEL, grid.shape)


def _rank(area: AreaPlan, observations: Sequence[Observation], alert: Alert) -> list[Observation]:
    """Return the observations that show some of the alert, sorted by the share shown, to a tenth, then the latest first."""
    grid, settings = area.grid, area.pipeline.mask
    window = find_window(grid, alert).grow(margin_pixels(settings), grid.shape)
    inside = _rasterize_alert(grid, window, alert)
    ordered = sort_observations(observations)
    size = max(1, inside.sum())
    shares = [float((find_clear(scl[None], settings)[0] & inside).sum() / size) for scl in iterate_scl(ordered, window)]
    ranked = sorted(range(len(ordered)), key=lambda number: (round(shares[number], 1), number), reverse=True)
    return [ordered[number] for number in ranked if shares[number] > 0]


def _rasterize_alert(grid: Grid, window: Window, alert: Alert) -> NDArray[np.bool_]:
    outline = reproject(alert.geometry, lonlat_to(grid.crs))
    rows, columns = np.arange(window.height) + 0.5, np.arange(window.width) + 0.5
    corner = grid.transform_of(window)
    return np.asarray(
        shapely.contains_xy(outline, (corner.c + columns * corner.a)[None, :], (corner.f + rows * corner.e)[:, None])
    )
