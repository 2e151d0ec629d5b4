"""Where items and areas lie in longitude and latitude, and which of them meet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from minewatch.areas.antimeridian import FULL_TURN, HALF_TURN, Bounds, cut_halves, join_halves
from minewatch.core.errors import SceneError

WIDEST = 45.0
"""Degrees of longitude that a scene may span: more than a tile (10 at 84° latitude), and than a swath of 290 km there (26)."""

MOST_POINTS = 10_000
"""Of an outline; those of real items have 5 to some hundred."""

MOST_REPAIRED_POINTS = 50
"""Points of an outline that crosses itself and is mended; a scribble of 300 would take seconds, and each takes 8 times twice."""

TILE_DEGREES = 1.1
"""Degrees of a great circle along the side of an MGRS tile (109.8 km), and some more."""


def read_footprint(geometry: Mapping[str, Any] | None, name: str = "") -> BaseGeometry:
    """Turn an item's geometry into a valid outline in lon/lat, cut at 180°; its bbox is never asked.

    Items across 180° often have outlines that run round the world the long way; each step is taken the short way.  Raises
    SceneError where the item has no outline, or none that a scene can have.
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
    except Exception as error:  # strangers' coordinates: shapely raises many kinds
        reason = str(error) if type(error) is ValueError else type(error).__name__
        raise SceneError(f"{f'item {name}' if name else 'an item'} has a geometry that cannot be used ({reason})") from error


def has_footprint(geometry: Mapping[str, Any] | None) -> bool:
    """True if an item's geometry is an outline that can be used."""
    try:
        read_footprint(geometry)
    except SceneError:
        return False
    return True


def _repair(outline: BaseGeometry) -> BaseGeometry:
    """Make an outline valid: one whose line crosses itself keeps all that it encloses."""
    if shapely.get_num_coordinates(outline) > MOST_REPAIRED_POINTS and not outline.is_valid:
        raise ValueError("its outline crosses itself")
    polygons = [part for part in shapely.get_parts(shapely.make_valid(outline)) if part.area > 0]
    if not polygons:
        raise ValueError("it encloses nothing")
    return polygons[0] if len(polygons) == 1 else shapely.union_all(polygons)


def list_boxes(area: BaseGeometry) -> list[Bounds]:
    """Return the boxes that a search for an area sends: one, or two near 180°, which together hold the area.

    Items across 180° are often listed with an outline that runs round the world the long way, from their eastern corners
    to their western ones, and leaves out the place itself.  So a search within a tile's width of 180° asks for that width
    on both sides; what it brings too much is sorted out by the footprint.
    """
    west, south, east, north = join_halves(area).bounds
    reach = TILE_DEGREES / math.cos(math.radians(min(84, max(-south, north))))
    if -HALF_TURN + reach < west and east < HALF_TURN - reach:
        return [(west, south, east, north)]
    if west < 0:  # the area lies east of 180°
        west, east = HALF_TURN, east + FULL_TURN
    return [
        (min(west, HALF_TURN - reach), south, HALF_TURN, north),
        (-HALF_TURN, south, max(east - FULL_TURN, reach - HALF_TURN), north),
    ]
