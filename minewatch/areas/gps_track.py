"""Outlines from GPS receivers: a track or route in a GPX file that ends where it began is one."""

from __future__ import annotations

from collections.abc import Mapping

import shapely
from shapely.geometry import LineString, MultiLineString, Polygon
from shapely.geometry.base import BaseGeometry

from minewatch.areas.aoi import GEODESIC

LINE_LAYERS = ("tracks", "routes")
"""Layers of a GPX file that hold lines; its others hold their points once more, and waypoints."""

GAP_SHARE = 0.1
"""Largest gap between the ends of a closed track, of its length: who walks around an area seldom ends on the same metre."""


def choose_lines(features: Mapping[str, int]) -> str | None:
    """Return the layer of a GPX file that holds its lines, by the number of features of each; None where none or both do."""
    filled = [name for name in LINE_LAYERS if features.get(name)]
    return filled[0] if len(filled) == 1 else None


def close_track(shape: BaseGeometry | None) -> tuple[Polygon, str] | None:
    """Return the ground that a track in degrees surrounds, and what was done; None where it does not end where it began."""
    parts = list(shape.geoms) if isinstance(shape, MultiLineString) else [shape] if isinstance(shape, LineString) else []
    points = [point for part in parts for point in part.coords]  # where reception was lost a track goes on in another part
    if len(set(points)) < 3:
        return None
    length = GEODESIC.geometry_length(LineString(points))
    (west, south), (east, north) = points[0][:2], points[-1][:2]
    _, _, gap = GEODESIC.inv(west, south, east, north)
    if gap > GAP_SHARE * length:
        return None
    return shapely.Polygon(points), f"a track of {length / 1000:.1f} km, closed over the {gap:.0f} m between its ends"
