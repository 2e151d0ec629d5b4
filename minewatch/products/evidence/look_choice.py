"""Chooses the looks that are shown of an alert: before its ground changed, in the same season of an earlier year, and after."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.lifetime import find_last_before
from minewatch.alerts.record import Alert, AlertStage
from minewatch.archive.item import Observation, sort_observations
from minewatch.archive.stack import iterate_scl
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import PIXEL, Grid, Window, lonlat_to, reproject
from minewatch.areas.vectorize import find_centres
from minewatch.core.errors import EvidenceError
from minewatch.core.text import format_day
from minewatch.core.units import add_years
from minewatch.detection.mask import find_clear, margin_pixels
from minewatch.products.evidence.manifest import AFTER, BEFORE, BEFORE_SEASON

MARGIN = 500
"""Metres around an alert that its images show, as far as the area's grid reaches."""

SEASON = dt.timedelta(days=30)
"""Around the day of the confirming look, a year or two earlier: what was acquired then is of the same season."""


@dataclass(frozen=True)
class EvidenceLooks:
    """The looks that are shown of an alert."""

    images: Mapping[str, Observation]
    """Name of the image to its look."""

    not_shown: Mapping[str, str]
    """Name of an image that there is not, to the reason."""

    window: Window
    """The window of all images, on the area's grid."""


def choose_looks(
    area: AreaPlan, observations: Sequence[Observation], alert: Alert, stage: AlertStage, listed: Collection[str]
) -> EvidenceLooks:
    """Choose the looks of a confirmed alert as of its confirming look; ``listed`` are the scenes that the source still has.

    Raises EvidenceError where the source no longer has the confirming look, which the next scan may find again.
    """
    after = choose_look(area, observations, stage, stage.date, listed)
    if isinstance(after, str):
        raise EvidenceError(f"the confirming look cannot be shown: {after}")
    images, not_shown = {AFTER: after}, {}
    normal = _choose_before(area, observations, alert, stage, listed)
    season = _choose_season(area, observations, alert, stage, listed)
    for name, found in ((BEFORE, normal), (BEFORE_SEASON, season)):
        if isinstance(found, str):
            not_shown[name] = found
        else:
            images[name] = found
    return EvidenceLooks(images, not_shown, find_window(area.grid, stage.geometry))


def choose_look(
    area: AreaPlan, observations: Sequence[Observation], stage: AlertStage, day: dt.date, listed: Collection[str]
) -> Observation | str:
    """Return the look of a day that shows most of an alert, or why there is none."""
    ranked = rank_looks(area, [o for o in observations if o.time.date() == day], stage.geometry)
    if not ranked:
        return f"the archive has no look of {format_day(day)} that shows its ground"
    found = next((o for o in ranked if set(o.source_ids) <= set(listed)), None)
    return found or f"the source no longer lists {', '.join(sorted(set(ranked[0].source_ids) - set(listed)))}"


def _choose_before(
    area: AreaPlan, observations: Sequence[Observation], alert: Alert, stage: AlertStage, listed: Collection[str]
) -> Observation | str:
    if alert.last_normal is None:
        return "no look is known at which its ground was judged normal"
    return choose_look(area, observations, stage, alert.last_normal, listed)


def _choose_season(
    area: AreaPlan, observations: Sequence[Observation], alert: Alert, stage: AlertStage, listed: Collection[str]
) -> Observation | str:
    """Return the clearest look of the confirming look's season, one year earlier or else two, before its ground changed."""
    last = find_last_before(alert.last_normal, area.monitor_from)
    for years in (1, 2):
        day = add_years(stage.date, -years)
        near = [o for o in observations if abs(o.time.date() - day) <= SEASON and o.time.date() <= last]
        ranked = rank_looks(area, [o for o in near if set(o.source_ids) <= set(listed)], stage.geometry)
        if ranked:
            return ranked[0]
    return "no look of the same season in the two years before shows its ground"


def find_window(grid: Grid, outline: BaseGeometry, margin: int = MARGIN) -> Window:
    """Return the window of the grid that holds an outline in lon/lat and so many metres around it."""
    shape = reproject(outline, lonlat_to(grid.epsg))
    left, top = ~grid.transform @ (shape.bounds[0], shape.bounds[3])
    right, bottom = ~grid.transform @ (shape.bounds[2], shape.bounds[1])
    row, column = max(0, math.floor(top)), max(0, math.floor(left))
    height, width = min(grid.shape[0], math.ceil(bottom)) - row, min(grid.shape[1], math.ceil(right)) - column
    return Window(row, column, height, width).grow(math.ceil(margin / PIXEL), grid.shape)


def rank_looks(area: AreaPlan, observations: Sequence[Observation], outline: BaseGeometry) -> list[Observation]:
    """Return the observations that show some of an outline, the best first.

    They are sorted by the share shown, to a tenth; then by whether half of what lies around is clear; then by day, the latest
    first.
    """
    grid, settings = area.grid, area.pipeline.mask
    window = find_window(grid, outline).grow(margin_pixels(settings), grid.shape)
    inside = rasterize_outline(grid, window, outline)
    ordered = sort_observations(observations)
    clear = [find_clear(scl[None], settings)[0] for scl in iterate_scl(ordered, window)]
    shares = [(float(one[inside].mean()) if inside.any() else 0.0, float(one.mean()) >= 0.5) for one in clear]
    ranked = sorted(range(len(ordered)), key=lambda n: (round(shares[n][0], 1), shares[n][1], n), reverse=True)
    return [ordered[number] for number in ranked if shares[number][0] > 0]


def rasterize_outline(grid: Grid, window: Window, outline: BaseGeometry) -> NDArray[np.bool_]:
    """Return which pixels of a window have their centre within an outline in lon/lat: (y, x)."""
    return find_centres(reproject(outline, lonlat_to(grid.epsg)), grid.transform_of(window), window.shape)
