"""Outlines of items, and bounding boxes of searches, in longitude and latitude."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from minewatch.areas.antimeridian import FULL_TURN, HALF_TURN, Bounds, cut_halves, join_halves
from minewatch.core.errors import SceneError

WIDEST = 45.0
"""Degrees of longitude that a scene may span: a tile has 10 at 84° latitude, a swath of 290 km has 26 there."""

MOST_POINTS = 10_000
"""Of an outline; real items have 5 to a few hundred."""

MOST_REPAIRED_POINTS = 50
"""Of an outline that crosses itself and is repaired; a random one of 300 points takes seconds, twice as many 8 times that."""

TILE_DEGREES = 1.1
"""Side of an MGRS tile (109.8 km) in degrees of a great circle, with a margin."""


def read_footprint(geometry: Mapping[str, Any] | None, name: str = "") -> BaseGeometry:
    """Return an item's geometry as a valid outline in lon/lat, cut at 180°; its bbox is never used.

    Items across 180° often have outlines around the world; each step is taken the short way.  Raises SceneError where the
    item has no outline, or one that no scene can have.
    """
    try:
        outline = shapely.geometry.shape(dict(geometry or {}))
        if outline.geom_type not in ("Polygon", "MultiPolygon") or outline.is_empty:
            raise ValueError("it has no polygon")
        if shapely.get_num_coordinates(outline) > MOST_POINTS:
            raise ValueError(f"it has more than {MOST_POINTS} points")
        bounds = outline.bounds
        if not math.isfinite(sum(bounds)) or max(-bounds[0], bounds[2]) > FULL_TURN or max(-bounds[1], bounds[3]) > 90:
            raise ValueError("it is not in lon/lat")
        joined = join_halves(shapely.force_2d(outline))
        if joined.bounds[2] - joined.bounds[0] > WIDEST:
            raise ValueError(f"it spans {joined.bounds[2] - joined.bounds[0]:.0f}° of longitude")
        return cut_halves(_repair(joined))
    except Exception as error:  # shapely raises many kinds for malformed coordinates
        reason = str(error) if type(error) is ValueError else type(error).__name__
        raise SceneError(f"{f'item {name}' if name else 'an item'} has a geometry that cannot be used ({reason})") from error


def has_footprint(geometry: Mapping[str, Any] | None) -> bool:
    """True if an item's geometry can be used."""
    try:
        read_footprint(geometry)
    except SceneError:
        return False
    return True


def _repair(outline: BaseGeometry) -> BaseGeometry:
    """Return a valid outline; one that crosses itself keeps all that it encloses."""
    if shapely.get_num_coordinates(outline) > MOST_REPAIRED_POINTS and not outline.is_valid:
        raise ValueError("its outline crosses itself")
    polygons = [part for part in shapely.get_parts(shapely.make_valid(outline)) if part.area > 0]
    if not polygons:
        raise ValueError("it encloses nothing")
    return polygons[0] if len(polygons) == 1 else shapely.union_all(polygons)


def list_boxes(area: BaseGeometry) -> list[Bounds]:
    """Return the bounding boxes that a search for an area sends: one, or two near 180°.

    Items across 180° are often listed with an outline that runs around the world the long way and leaves out their true
    position.  So a search within a tile's width of 180° requests that width on both sides; surplus items are dropped by
    their footprint.
    """
    west, south, east, north = join_halves(area).bounds
    margin = TILE_DEGREES / math.cos(math.radians(min(84, max(-south, north))))
    if -HALF_TURN + margin < west and east < HALF_TURN - margin:
        return [(west, south, east, north)]
    if west < 0:  # the area lies east of 180°
        west, east = HALF_TURN, east + FULL_TURN
    return [
        (min(west, HALF_TURN - margin), south, HALF_TURN, north),
        (-HALF_TURN, south, max(east - FULL_TURN, margin - HALF_TURN), north),
    ]
