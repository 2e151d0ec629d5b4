"""What a confirmation rests on besides the looks: settings, dates, grid and the quality of each scene as a whole.

With it, and with the looks cut to the alert's chip, the code that raised an alert raises it again: when the evidence is written,
and whenever somebody recomputes it from the folder alone.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry import box, mapping, shape

from minewatch.alerts.record import Alert
from minewatch.alerts.replay import replay_alerts
from minewatch.archive.stack import Stack
from minewatch.areas.aoi import Aoi
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import PIXEL, Grid, Window
from minewatch.core.units import to_date, to_day
from minewatch.detection.detect import find_episodes
from minewatch.detection.inputs import TileInput
from minewatch.detection.mask import margin_pixels
from minewatch.detection.rules import RULES_VERSION
from minewatch.detection.scene_quality import SceneQuality
from minewatch.detection.tiles import make_tile
from minewatch.settings.pipeline import Pipeline

FARTHEST = 1e8
"""Metres from the origin of a map of the Earth; no place lies farther."""

LONGEST_WATCH = dt.timedelta(days=60 * 366)
"""Between the first look and the last of evidence of unknown origin."""

NUMBERS = ("shift", "spread", "blue", "bsi")
"""Of each look, in the order of ``SceneQuality.numbers``."""

LoadLooks = Callable[[Window], Stack]
"""Window of the chip to the looks in it, in order of acquisition."""


@dataclass(frozen=True)
class Method:
    """All that the alerts of a chip depend on, besides the looks."""

    aoi: str
    """Name of the area."""

    pipeline_name: str
    """Stem of the pipeline's file."""

    pipeline: Pipeline
    """Every setting."""

    monitor_from: dt.date
    """First acquisition that may raise an alert."""

    until: dt.date
    """Last acquisition that is used: the confirming look."""

    grid: Grid
    """Pixels of the chip, with the part of the area's outline that lies there."""

    judged: Window
    """Pixels of the chip in which changes are found; the others only tell clouds."""

    days: NDArray[np.int32]
    """(time,) days of the looks since 1970-01-01, each once."""

    scenes: SceneQuality
    """Quality of each of those looks, over the whole area."""

    @cached_property
    def area(self) -> AreaPlan:
        """The plan of the chip."""
        aoi = Aoi(self.aoi, self.grid.area, self.monitor_from)
        return AreaPlan(aoi, self.grid, self.pipeline, self.pipeline_name, self.monitor_from, self.until)


def cut_method(
    area: AreaPlan, days: NDArray[np.int32], scenes: SceneQuality, until: dt.date, chip: Window, judged: Window
) -> Method:
    """Return the method of one chip of an area; ``days`` and ``scenes`` are those of all looks, windows on the area's grid."""
    count = int(np.searchsorted(days, to_day(until), side="right"))
    part = SceneQuality(*(getattr(scenes, name)[:count] for name in vars(scenes)))
    inner = Window(judged.row - chip.row, judged.column - chip.column, *judged.shape)
    grid = cut_grid(area.grid, chip)
    name, settings = area.pipeline_name, area.pipeline
    return Method(area.aoi.name, name, settings, area.monitor_from, until, grid, inner, days[:count], part)


def cut_grid(grid: Grid, window: Window) -> Grid:
    """Return a window of a grid as a grid of its own."""
    geobox = GeoBox(window.shape, grid.transform_of(window), f"EPSG:{grid.epsg}")
    bounds = geobox.boundingbox
    frame = box(bounds.left, bounds.bottom, bounds.right, bounds.top).buffer(PIXEL, join_style="mitre")
    return Grid(geobox, grid.area.intersection(frame))


def replay_chip(method: Method, load: LoadLooks, side: int) -> list[Alert]:
    """Return the alerts of a chip after its last look, as a scan of the area up to that day has them.

    Tiles have at most ``side`` pixels on each side; any size gives the same result.
    """
    tiles = (load_chip_tile(method, load, tile) for tile in method.judged.cut(side, side))
    episodes = np.concatenate([find_episodes(tile, method.scenes) for tile in tiles])
    return replay_alerts(episodes, method.grid, method.aoi, method.pipeline.alerts)


def load_chip_tile(method: Method, load: LoadLooks, tile: Window) -> TileInput:
    """Return a tile of a chip, with its clear pixels."""
    around = tile.grow(margin_pixels(method.pipeline.mask), method.grid.shape)
    stack = load(around)
    return make_tile(stack.days, [stack.scl], stack.codes[:, :, *tile.within(around)], method.area, tile)


# --- as JSON -----------------------------------------------------------------------------------------------------------


def describe_method(method: Method) -> dict[str, Any]:
    """Return a method as plain data, from which :func:`parse_method` makes it again."""
    grid, scenes = method.grid, method.scenes
    looks = [
        {"date": str(to_date(day)), **dict(zip(NUMBERS, map(float, row), strict=True)), "is_consistent": bool(used)}
        for day, row, used in zip(method.days.tolist(), scenes.numbers, scenes.is_consistent, strict=True)
    ]
    return {
        "rules_version": RULES_VERSION,
        "aoi": method.aoi,
        "monitor_from": method.monitor_from.isoformat(),
        "until": method.until.isoformat(),
        "pipeline": {"name": method.pipeline_name, "digest": method.pipeline.digest},
        "settings": method.pipeline.model_dump(mode="json"),
        "grid": {
            "epsg": grid.epsg,
            "transform": list(grid.transform)[:6],
            "shape": list(grid.shape),
            "judged": [method.judged.row, method.judged.column, *method.judged.shape],
            "area": mapping(grid.area),
        },
        "scenes": looks,
    }


def parse_method(document: Mapping[str, Any]) -> Method:
    """Return the method that a document describes; raises ValueError, KeyError or TypeError where it is none."""
    looks, pipeline = document["scenes"], document["pipeline"]
    days = np.array([to_day(dt.date.fromisoformat(look["date"])) for look in looks], np.int32)
    numbers = {name: np.array([float(look[name]) for look in looks]) for name in NUMBERS}
    is_consistent = np.array([bool(look["is_consistent"]) for look in looks], bool)
    if not all(np.isfinite(values).all() for values in numbers.values()) or (np.diff(days) <= 0).any():
        raise ValueError("scenes that are no series")
    grid = parse_grid(document["grid"])
    judged = Window(*map(int, document["grid"]["judged"]))
    method = Method(
        aoi=str(document["aoi"]),
        pipeline_name=str(pipeline["name"]),
        pipeline=Pipeline.model_validate(document["settings"]),
        monitor_from=dt.date.fromisoformat(document["monitor_from"]),
        until=dt.date.fromisoformat(document["until"]),
        grid=Grid(grid.geobox, shape(document["grid"]["area"])),
        judged=judged,
        days=days,
        scenes=SceneQuality(**numbers, is_consistent=is_consistent),
    )
    _check_bounds(method)
    return method


def _check_bounds(method: Method) -> None:
    """Raise ValueError where the dates or windows of a method are none that minewatch writes."""
    first, last = (to_date(int(day)) or dt.date.min for day in method.days[[0, -1]])
    if not method.until - LONGEST_WATCH < min(first, method.monitor_from) or last > method.until:
        raise ValueError("dates of no watch")
    judged = method.judged
    if min(judged.row, judged.column) < 0 or min(judged.shape) < 1 or judged.grow(0, method.grid.shape) != judged:
        raise ValueError("a window outside its grid")


def parse_grid(place: Mapping[str, Any]) -> Grid:
    """Return the grid that a document describes, without an outline; raises ValueError where it is none."""
    height, width = map(int, place["shape"])
    transform = Affine(*map(float, place["transform"]))
    is_plain = (transform.a, transform.b, transform.d, transform.e) == (PIXEL, 0, 0, -PIXEL)
    corner = abs(transform.c) + abs(transform.f)
    if not is_plain or not math.isfinite(corner) or corner >= FARTHEST or min(height, width) < 1 or height * width >= FARTHEST**2:
        raise ValueError("no grid of an area")
    geobox = GeoBox((height, width), transform, f"EPSG:{int(place['epsg'])}")
    bounds = geobox.boundingbox
    return Grid(geobox, box(bounds.left, bounds.bottom, bounds.right, bounds.top))
