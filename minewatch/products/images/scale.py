"""Lengths and directions on a map: the scale bar's length, and the way to true north.

Both are true on the ground: a projection distorts them, slightly in UTM, strongly elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyproj import CRS, Geod

from minewatch.areas.grid import Grid, lonlat_from


def find_north(crs: CRS, x: float, y: float) -> float:
    """Return the angle from the grid's north to true north at a point, degrees clockwise."""
    to_lonlat = lonlat_from(crs)
    lon, lat = to_lonlat.transform(x, y)
    step = 0.001 if lat < 89 else -0.001
    east, north = to_lonlat.transform(lon, lat + step, direction="INVERSE")
    return math.degrees(math.atan2((east - x) * step, (north - y) * step))


def measure_distance(crs: CRS, start: tuple[float, float], end: tuple[float, float]) -> float:
    """Return the metres on the ground between two points of a grid."""
    to_lonlat = lonlat_from(crs)
    lons, lats = to_lonlat.transform([start[0], end[0]], [start[1], end[1]])
    return float(Geod(ellps="WGS84").inv(lons[0], lats[0], lons[1], lats[1])[2])


def choose_length(most: float) -> float:
    """Return the largest round length, 1, 2 or 5 times a power of ten, up to ``most``."""
    power = math.floor(math.log10(most))
    return max(step * 10.0**power for step in (1, 2, 5) if step * 10.0**power <= most * (1 + 1e-9))


def describe_length(metres: float) -> str:
    """Return a length in metres as text, from 1 km on in kilometres."""
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"


@dataclass(frozen=True)
class ScaleBar:
    """A scale bar on a grid."""

    metres: float
    """Its length on the ground, which is written on it."""

    start: tuple[float, float]
    """Its left end, x and y of the grid."""

    end: tuple[float, float]
    """Its right end."""


def make_scale_bar(grid: Grid) -> ScaleBar:
    """Return a scale bar of a round length on the ground, for the lower left of a map."""
    left, bottom, right, top = grid.bounds
    sides = right - left, top - bottom
    margin = min(0.04 * max(sides), 0.2 * min(sides))
    x, y = left + margin, bottom + margin
    longest = max((right - left) / 4, min((right - left) / 2, (top - bottom) / 8))
    distance = measure_distance(grid.crs, (x, y), (x + longest, y))
    metres = choose_length(distance)
    return ScaleBar(metres, (x, y), (x + longest * metres / distance, y))
