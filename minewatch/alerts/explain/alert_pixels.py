"""The pixels of an alert, tracked once more by the code that found it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.archive.item import Observation
from minewatch.archive.stack import Stack, read_stack
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import Grid, Window, lonlat_to, reproject
from minewatch.areas.vectorize import find_centres
from minewatch.core.errors import AlertsError
from minewatch.core.parallel import start_engine
from minewatch.core.progress import Reporter
from minewatch.detection.inputs import TileInput
from minewatch.detection.mask import margin_pixels
from minewatch.detection.parallel_tiles import assess_areas
from minewatch.detection.rules import make_rules
from minewatch.detection.scene_quality import SceneQuality
from minewatch.detection.series import SCALES, Series
from minewatch.detection.tiles import Task, make_tile
from minewatch.detection.track import TrackResult, track_pixels


@dataclass(frozen=True)
class AlertLook:
    """An alert as a whole at one look."""

    clear_pixels: int
    """Its pixels that are clear."""

    confirmed_pixels: int
    """Its pixels that are confirmed after it."""

    ndvi: float | None
    """Median over the clear pixels; None where there are none."""

    bsi: float | None
    """The same for the bare soil index."""


@dataclass(frozen=True)
class AlertPixels:
    """The pixels of an alert through time, traced."""

    tile: TileInput
    """The window of the alert."""

    series: Series
    """The alert's pixels, one after the other."""

    scenes: SceneQuality
    """What each look is like as a whole."""

    tracked: TrackResult
    """Their history, traced."""

    classes: NDArray[np.uint8]
    """(observation, y, x) SCL codes of the window, in order of acquisition."""

    @cached_property
    def looks(self) -> tuple[AlertLook, ...]:
        """The alert as a whole at each look."""
        confirmed, closed = (self.tracked.episodes[name] for name in ("confirmed_on", "closed_on"))
        days = self.series.days[:, None]
        counts = ((confirmed > 0) & (confirmed <= days) & ((closed == 0) | (closed > days))).sum(axis=1).tolist()
        clear, sizes = self.series.clear, self.series.clear.sum(axis=1)
        codes = np.full((2, clear.shape[0], clear.shape[1] + 1), 255, np.uint8)  # codes lie in the order of their values
        np.copyto(codes[:, :, 1:], self.series.codes[:2], where=clear)
        codes.sort(axis=2)
        # The medians; numpy's own takes ten times as long for so few.
        middles = np.stack([(sizes - 1) // 2, sizes // 2], axis=1)
        values = SCALES[:2, :1, None] + SCALES[:2, 1:, None] * np.take_along_axis(codes, middles[None], axis=2)
        medians = ((values[:, :, 0] + values[:, :, 1]) / 2).tolist()
        looks = zip(sizes.tolist(), counts, *medians, strict=True)
        return tuple(AlertLook(size, count, *(ndvi, bsi) if size else (None, None)) for size, count, ndvi, bsi in looks)


def assess_area(observations: Sequence[Observation], area: AreaPlan, reporter: Reporter) -> SceneQuality:
    """Assess the scenes as a scan does: over the whole area."""
    with start_engine() as engine:
        (scenes,) = assess_areas([Task(observations, area)], engine, reporter)
    return scenes


def find_pixels(alert: Mapping[str, Any], grid: Grid) -> tuple[Window, NDArray[np.bool_]]:
    """Return the alert's pixels and the window around them."""
    shape = reproject(alert["geometry"], lonlat_to(grid.epsg))
    left, bottom, right, top = shape.bounds
    (column, row), (end, below) = ~grid.transform @ (left, top), ~grid.transform @ (right, bottom)
    first = max(0, round(row)), max(0, round(column))
    last = min(grid.shape[0], round(below)), min(grid.shape[1], round(end))
    window = Window(*first, max(0, last[0] - first[0]), max(0, last[1] - first[1]))
    members = find_centres(shape, grid.transform_of(window), window.shape) if min(window.shape) else np.zeros((0, 0), bool)
    if not members.any():
        raise AlertsError(f"alert {alert['alert_id']!r} lies outside area {alert['aoi']!r} as it is now; scan the area again")
    return window, members


def choose_pixel(alert: Mapping[str, Any], grid: Grid, window: Window, members: NDArray[np.bool_]) -> int:
    """Return the number, in the window, of the alert's pixel nearest to its position."""
    x, y = lonlat_to(grid.epsg).transform(alert["lon"], alert["lat"])
    column, row = ~grid.transform_of(window) @ (x, y)
    rows, columns = np.nonzero(members)
    nearest = int(np.argmin((rows + 0.5 - row) ** 2 + (columns + 0.5 - column) ** 2))
    return int(rows[nearest]) * window.width + int(columns[nearest])


def find_surroundings(area: AreaPlan, window: Window) -> Window:
    """Return a window with the pixels around it that the mask needs."""
    return window.grow(margin_pixels(area.pipeline.mask), area.grid.shape)


def trace_pixels(
    observations: Sequence[Observation], area: AreaPlan, scenes: SceneQuality, window: Window, members: NDArray[np.bool_]
) -> AlertPixels:
    """Track the alert's pixels as a scan does, and trace the outcome of each look."""
    return trace_stack(read_stack(observations, find_surroundings(area, window)), area, scenes, window, members)


def trace_stack(stack: Stack, area: AreaPlan, scenes: SceneQuality, window: Window, members: NDArray[np.bool_]) -> AlertPixels:
    """Track the alert's pixels in its looks, as :func:`find_surroundings` has them."""
    inner = window.within(find_surroundings(area, window))
    loaded = make_tile(stack.days, [stack.scl], stack.codes[:, :, *inner], area, window)
    tile = replace(loaded, inside=members & loaded.inside)
    series = Series.of(tile)
    tracked = track_pixels(series, scenes, make_rules(tile.settings), traced=True)
    return AlertPixels(tile, series, scenes, tracked, stack.scl[:, *inner])
