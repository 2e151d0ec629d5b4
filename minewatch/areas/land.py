"""Land and sea by a coarse map of the world, which comes with odc-geo: Natural Earth, 1 : 110 million."""

from __future__ import annotations

from functools import cache

import shapely
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry
from shapely.ops import nearest_points

from minewatch.areas.antimeridian import HALF_TURN, join_halves

COAST = 0.3
"""Degrees by which the map's coasts may be wrong; what lies nearer to them counts as land."""


def find_land(geometry: BaseGeometry) -> Point | None:
    """Return the nearest land of an area in lon/lat that lies at sea, farther than COAST from any coast; None where it does not.

    Islands of less than some 100 km are not on the map.  None too across the 180° meridian, where the map ends.
    """
    joined = join_halves(geometry)
    west, _, east, _ = joined.bounds
    if west - COAST <= -HALF_TURN or east + COAST >= HALF_TURN:
        return None
    ocean = _read_ocean()
    if not ocean.contains(joined):
        return None
    coast, _ = nearest_points(ocean.boundary, joined)
    return coast if coast.distance(joined) > COAST else None


@cache
def _read_ocean() -> BaseGeometry:
    from odc.geo.data import ocean_geom  # noqa: PLC0415  brings Dask, which most commands never need

    ocean: BaseGeometry = shapely.union_all([part for part in shapely.get_parts(ocean_geom().geom) if part.is_valid])
    return ocean
