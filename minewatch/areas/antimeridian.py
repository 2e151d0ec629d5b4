"""Outlines across the 180° meridian: joined, with longitudes beyond 180, or cut there as in GeoJSON."""

from __future__ import annotations

import math

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry.base import BaseGeometry

Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

HALF_TURN = 180.0
"""Degrees of longitude from Greenwich to the antimeridian."""

FULL_TURN = 360.0
"""Degrees of longitude around the world."""


def join_halves(geometry: BaseGeometry) -> BaseGeometry:
    """Return lon/lat polygons joined: west at least -180, east beyond 180 where they cross the antimeridian.

    The input may be cut at the antimeridian, have longitudes beyond ±180, or jump from one edge of the map to the other; a
    step of more than 180° is taken the short way.  Raises ValueError where a ring encloses a pole.
    """
    west, _, east, _ = geometry.bounds
    if west >= -HALF_TURN and east <= HALF_TURN and east - west <= HALF_TURN:
        return geometry
    parts = [_join_rings(part) for part in shapely.get_parts(geometry)]
    if max(part.bounds[2] for part in parts) - min(part.bounds[0] for part in parts) > HALF_TURN:
        parts = [translate(part, FULL_TURN) if part.bounds[0] + part.bounds[2] < 0 else part for part in parts]
    if len(parts) == 1:
        return parts[0]
    # Halves that touch along the antimeridian are merged; invalid polygons are left to the caller.
    return shapely.union_all(parts) if shapely.is_valid(parts).all() else MultiPolygon(parts)


def _join_rings(polygon: Polygon) -> Polygon:
    """Return a polygon with short steps only: west of its shell between -180 and 180, holes near the shell."""
    rings = [_join_steps(shapely.get_coordinates(ring)) for ring in (polygon.exterior, *polygon.interiors)]
    middles = [(ring[:, 0].min() + ring[:, 0].max()) / 2 for ring in rings]
    turns = math.floor((rings[0][:, 0].min() + HALF_TURN) / FULL_TURN)
    shell, *holes = (
        ring - [FULL_TURN * (turns + round((middle - middles[0]) / FULL_TURN)), 0]
        for ring, middle in zip(rings, middles, strict=True)
    )
    return Polygon(shell, holes)


def _join_steps(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    turns = np.cumsum(np.round(np.diff(ring[:, 0], prepend=ring[0, 0]) / FULL_TURN))
    if turns[-1]:
        raise ValueError("its outline goes round a pole")
    return np.column_stack([ring[:, 0] - FULL_TURN * turns, ring[:, 1]])


def cut_halves(geometry: BaseGeometry) -> BaseGeometry:
    """Return polygons of any longitudes cut at the antimeridian, between -180 and 180 (RFC 7946, 3.1.9)."""
    west, _, east, _ = geometry.bounds
    if west >= -HALF_TURN and east <= HALF_TURN:
        return geometry
    valid = geometry if geometry.is_valid else shapely.make_valid(geometry, method="structure")
    pieces: list[Polygon] = []
    for turn in range(math.floor((west + HALF_TURN) / FULL_TURN), math.ceil((east + HALF_TURN) / FULL_TURN)):
        strip = box(FULL_TURN * turn - HALF_TURN, -90, FULL_TURN * turn + HALF_TURN, 90)
        moved = translate(valid.intersection(strip), -FULL_TURN * turn)
        # An outline that only touches the antimeridian leaves a line there.
        pieces += [part for part in shapely.get_parts(moved) if part.geom_type == "Polygon"]
    return pieces[0] if len(pieces) == 1 else MultiPolygon(pieces)


def is_cut(geometry: BaseGeometry) -> bool:
    """True if no longitude is beyond 180 and no part spans more than 180°."""
    bounds = [part.bounds for part in shapely.get_parts(geometry)]
    return all(west >= -HALF_TURN and east <= HALF_TURN and east - west <= HALF_TURN for west, _, east, _ in bounds)


def find_bounds(geometry: BaseGeometry) -> Bounds:
    """Return west, south, east, north; west is greater than east across the antimeridian (RFC 7946, 5.2)."""
    west, south, east, north = join_halves(geometry).bounds
    return west, south, wrap_longitude(east), north


def wrap_longitude(longitude: float) -> float:
    """Return a longitude wrapped to -180 to 180; both ends stay as they are."""
    return longitude if abs(longitude) <= HALF_TURN else (longitude + HALF_TURN) % FULL_TURN - HALF_TURN
