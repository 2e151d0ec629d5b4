"""The tiles of Sentinel-2 over an area, by formula: no list of them is needed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import shapely
from shapely.affinity import translate
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from minewatch.areas.antimeridian import FULL_TURN, HALF_TURN, join_halves, wrap_longitude
from minewatch.areas.coordinates import SQUARE, UTM_NORTH, UTM_SOUTH, find_band, name_square
from minewatch.areas.grid import find_utm_epsg, lonlat_from, lonlat_to, reproject

TILE = 109_800.0
"""Side of a tile, metres: some 10 km more than the square that it is named after, to the east and the south (ESA)."""

TILE_LATTICE = 60
"""Tiles begin at multiples of this in x and y, metres, so that bands of 10, 20 and 60 m share their corners."""

STEP = 0.02
"""Degrees between the points of an outline that is projected."""

SIDE_POINTS = 5
"""Points of a square's side that are asked for their zone."""


def list_tiles(geometry: BaseGeometry) -> list[str]:
    """Return the names of the tiles that an area in lon/lat meets, as '19LDF', in alphabetical order.

    A tile is that of a 100 km square of MGRS with any part in its zone; the letter of the band is that of its middle.  Tiles
    over open sea, which are never made, are named too.
    """
    joined = shapely.segmentize(join_halves(geometry), STEP)
    west, south, east, north = joined.bounds
    lats = sorted({lat for lat in (south, (south + north) / 2, north) if UTM_SOUTH <= lat < UTM_NORTH})
    reach = TILE / 111_000 / math.cos(math.radians(max(map(abs, (south, north)))))  # of a tile into the next zone, degrees
    lons = np.append(np.arange(west - reach, east + reach, 1.0), east + reach)
    zones = {find_utm_epsg(wrap_longitude(float(lon)), lat) for lon in lons for lat in lats}
    return sorted({name for epsg in zones for name in _list_in_zone(joined, epsg)})


def _list_in_zone(joined: BaseGeometry, epsg: int) -> Iterator[str]:
    """Yield the tiles of a zone that meet an area."""
    middle = 6 * (epsg % 100) - 183
    turn = round((joined.centroid.x - middle) / FULL_TURN) * FULL_TURN
    shape = reproject(translate(joined, -turn), lonlat_to(epsg))
    left, bottom, right, top = shape.bounds
    if not all(map(math.isfinite, shape.bounds)):
        return
    for east in range(int((left - TILE) // SQUARE) * SQUARE, int(right) + 1, SQUARE):
        for north in range(int(bottom // SQUARE) * SQUARE, int(top + TILE) + 1, SQUARE):
            x, y = east // TILE_LATTICE * TILE_LATTICE, -(-(north + SQUARE) // TILE_LATTICE) * TILE_LATTICE
            if box(x, y - TILE, x + TILE, y).intersects(shape) and _is_in_zone(epsg, east, north):
                _, lat = lonlat_from(epsg).transform(east + SQUARE / 2, north + SQUARE / 2)
                yield f"{epsg % 100:02d}{find_band(lat)}{name_square(epsg % 100, east, north)}"


def _is_in_zone(epsg: int, east: int, north: int) -> bool:
    """True if any part of a 100 km square lies in its zone."""
    if not SQUARE <= east < 9 * SQUARE:
        return False
    side = np.linspace(1, SQUARE - 1, SIDE_POINTS)
    x, y = (grid.ravel() for grid in np.meshgrid(east + side, north + side))
    lons, lats = lonlat_from(epsg).transform(x, y)
    known = [(lon, lat) for lon, lat in zip(lons, lats, strict=True) if abs(lon) <= HALF_TURN and UTM_SOUTH <= lat < UTM_NORTH]
    return any(find_utm_epsg(lon, lat) == epsg for lon, lat in known)
