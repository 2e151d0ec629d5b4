"""The sites of alerts, and the features of a layer around them: in one frame without a gap at 180°, with a spatial index."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Proj
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.context.features import Features, grow, read_features
from minewatch.alerts.context.layer import ContextLayer
from minewatch.alerts.context.terms import DISTANCES
from minewatch.alerts.database import parse_date
from minewatch.alerts.geopackage import decode_geometry
from minewatch.areas.antimeridian import Bounds
from minewatch.areas.aoi import GEODESIC

_METRES_PER_DEGREE = 110_500
"""Less than any degree of latitude has, so that boxes are never too small."""

FINE, _COARSE, _FAR_M = 0.01, 0.1, 50_000
"""Degrees between corners of what is projected, near and beyond so many metres: the error stays below 1e-5 of the distance."""


@dataclass(frozen=True)
class AlertSite:
    """The place and time of an alert."""

    outline: BaseGeometry
    """Polygons, degrees."""

    first_seen: dt.date
    """The first day it was seen."""

    last_seen: dt.date
    """The last day it was seen."""

    last_normal: dt.date | None
    """The last day on which its ground was judged normal; None where none is known."""

    confirmed_on: dt.date | None = None
    """The look that confirmed it; None where none did."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read it from a row of the table."""
        last_normal, confirmed = (parse_date(row[name]) if row[name] else None for name in ("last_normal", "confirmed_on"))
        seen = parse_date(row["first_seen"]), parse_date(row["last_seen"])
        return cls(decode_geometry(row["geom"]), *seen, last_normal, confirmed)


@dataclass(frozen=True)
class RegionFeatures:
    """The features of a layer in a region."""

    features: Features
    """As read."""

    shapes: NDArray[np.object_]
    """(n,) single polygons, lines and points, in degrees of the region's frame."""

    owners: NDArray[np.intp]
    """(n,) number of the feature that each is a part of."""

    @cached_property
    def index(self) -> shapely.STRtree:
        """Finds shapes by their boxes."""
        return shapely.STRtree(self.shapes)

    def cut(self, sites: Sequence[BaseGeometry]) -> list[dict[int, list[BaseGeometry]]]:
        """Return for each site the parts of it that lie in the layer's areas, by number of the feature."""
        places, hits = self.index.query(sites, predicate="intersects")
        order = np.lexsort((hits, places))
        places, hits = places[order], hits[order]
        common = shapely.intersection(np.array(sites, object)[places], self.shapes[hits])
        found: list[dict[int, list[BaseGeometry]]] = [{} for _ in sites]
        for place, hit, piece in zip(places, hits, common, strict=True):
            if piece.area > 0:
                found[place].setdefault(int(self.owners[hit]), []).append(piece)
        return found

    def measure_distance(self, site: BaseGeometry) -> float:
        """Measure the metres from a site to the nearest shape, on the ellipsoid; infinite where there is none."""
        if not self.shapes.size:
            return math.inf
        if self.index.query(site, predicate="intersects").size:
            return 0.0
        (nearest,) = self.index.query_nearest(site, all_matches=False)
        # The nearest in degrees may not be the nearest in metres, but its distance bounds the search.
        bound = _measure_line(shapely.get_coordinates(shapely.shortest_line(site, self.shapes[nearest])))
        box = shapely.box(*widen(site.bounds, bound + 1))
        return min(bound, _measure_nearest(site, shapely.intersection(self.shapes[self.index.query(box)], box), bound))


def _measure_line(points: NDArray[np.float64]) -> float:
    (x, y), (other_x, other_y) = points
    return float(GEODESIC.inv(x, y, other_x, other_y)[2])


def _measure_nearest(site: BaseGeometry, shapes: NDArray[np.object_], bound: float) -> float:
    """Find the nearest in a projection around the site; measure it on the ellipsoid."""
    project, step = make_projection(site), FINE if bound < _FAR_M else _COARSE
    flat = flatten(shapes[~shapely.is_empty(shapes)], project, step)
    if not flat.size:
        return bound
    here = flatten(site, project, step)
    line = shapely.shortest_line(here, flat[int(np.argmin(shapely.distance(here, flat)))])
    ends = shapely.get_coordinates(line)
    return _measure_line(np.column_stack(project(ends[:, 0], ends[:, 1], inverse=True)))


def make_projection(site: BaseGeometry) -> Proj:
    """Return a projection that is true to distances from a site's middle."""
    return Proj(proj="aeqd", lon_0=site.centroid.x, lat_0=site.centroid.y, ellps="WGS84")


def flatten(shapes: Any, project: Proj, step: float) -> Any:
    """Return one or more shapes in a projection, with corners at most ``step`` degrees apart where lines bend."""
    finer = shapely.segmentize(shapes, step)
    return shapely.transform(finer, lambda points: np.column_stack(project(points[:, 0], points[:, 1])).reshape(-1, 2))


def read_region_features(layer: ContextLayer, region: Bounds) -> RegionFeatures:
    """Read the features of a layer in a region, given in a frame that may reach beyond 180° on either side."""
    features = read_features(layer, region)
    parts, owners = shapely.get_parts(features.shapes, return_index=True)
    west, south, east, north = shapely.bounds(parts).T
    level = (south <= region[3]) & (north >= region[1])
    shapes, numbers = [], []
    for turn in (-360, 0, 360):
        # The same place may be written with other longitudes, and a part may reach around the globe.
        near = level & (west + turn <= region[2]) & (east + turn >= region[0])
        shapes.append(shift(parts[near], turn))
        numbers.append(owners[near])
    found = np.concatenate(shapes)
    if layer.kind not in DISTANCES:
        # Large areas are clipped to the region, so that their many corners are handled only once.
        west, south, east, north = shapely.bounds(found).T
        large = (west < region[0]) | (south < region[1]) | (east > region[2]) | (north > region[3])
        found[large] = shapely.intersection(found[large], shapely.box(*region))
    return RegionFeatures(features, found, np.concatenate(numbers))


def shift(shapes: NDArray[np.object_], turn: int) -> NDArray[np.object_]:
    """Return shapes so many degrees farther east."""
    return shapely.transform(shapes, lambda points: points + np.array([turn, 0.0])) if turn else shapes


def frame_sites(sites: Sequence[BaseGeometry]) -> list[BaseGeometry]:
    """Put all sites into one frame: longitudes within 180 of the first one's, whole sites on one side of 180°."""
    centre = sites[0].centroid.x if sites[0].bounds[2] - sites[0].bounds[0] < 180 else 180.0
    return [unwrap(site, centre) for site in sites]


def unwrap(site: BaseGeometry, centre: float) -> BaseGeometry:
    """Move each part of a site by whole turns to where it is nearest to a longitude; parts that meet there are joined."""
    if site.is_empty:
        return site
    parts = shapely.get_parts(site)
    turns = [360 * round((centre - (part.bounds[0] + part.bounds[2]) / 2) / 360) for part in parts]
    if not any(turns):
        return site
    return shapely.union_all([translate(part, turn) for part, turn in zip(parts, turns, strict=True)])


def find_region(sites: Sequence[BaseGeometry], margin_m: float = 0) -> Bounds:
    """Return the box around sites of one frame, with a margin in metres."""
    west, south, east, north = map(float, shapely.total_bounds(np.array(sites, object)))
    return grow(widen((west, south, east, north), margin_m), 1e-6)


def widen(box: Bounds, margin_m: float) -> Bounds:
    """Return a box that is larger by a distance in metres on each side, at least; never more than once around the globe."""
    up = margin_m / _METRES_PER_DEGREE
    highest = min(89.0, max(abs(box[1]), abs(box[3])) + up)
    aside = min(180.0, up / math.cos(math.radians(highest)))
    return box[0] - aside, max(-90.0, box[1] - up), box[2] + aside, min(90.0, box[3] + up)
