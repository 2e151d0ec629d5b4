"""Finds the external alert that agrees with an alert in place and time, and its distance."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Proj
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.context.region import unwrap, widen
from minewatch.alerts.corroboration.sighting import NO_DAY, Sightings, to_date, to_day
from minewatch.areas.aoi import GEODESIC

_STEP = 0.01
"""Degrees between corners of what is projected: over some kilometres a straight line stays one to a millimetre."""


@dataclass(frozen=True)
class AlertExtent:
    """The place and time of an alert."""

    outline: BaseGeometry
    """Polygons, degrees."""

    first_seen: dt.date
    """The first day it was seen."""

    last_seen: dt.date
    """The last day it was seen."""


@dataclass(frozen=True)
class Agreement:
    """An external alert that agrees with an alert."""

    name: str
    """Of the source."""

    seen: dt.date | None
    """When; None where the source does not say."""

    distance_m: float
    """Metres on the ellipsoid, 0 where it overlaps the alert."""

    def __str__(self) -> str:
        """Write it as the table shows it."""
        metres = f"{self.distance_m:.0f} m"
        return f"{self.name}{f' {self.seen}' if self.seen else ''} ({metres if self.distance_m else 'inside'})"


def describe_agreements(agreements: Iterable[Agreement]) -> str:
    """Write the column ``witnesses`` of an alert: its agreements by name of the source."""
    return "; ".join(str(agreement) for agreement in sorted(agreements, key=lambda agreement: agreement.name))


def choose_agreement(agreements: Iterable[Agreement], first_seen: dt.date) -> Agreement:
    """Choose the nearest in space, among those the nearest in time to when the alert was first seen."""
    return min(agreements, key=lambda agreement: (agreement.distance_m, _rank_day(to_day(agreement.seen), first_seen)))


def _rank_day(day: int, first_seen: dt.date) -> tuple[int, int]:
    return (abs(day - to_day(first_seen)), day) if day != NO_DAY else (np.iinfo(np.int32).max, day)


@dataclass(frozen=True)
class SightingIndex:
    """The sightings of one source near one area, with a spatial index."""

    sightings: Sightings
    """As kept."""

    centre: float
    """Longitude around which they are written."""

    @cached_property
    def index(self) -> shapely.STRtree:
        """Finds them by their boxes."""
        return shapely.STRtree(self.sightings.shapes)

    def match(self, extent: AlertExtent, name: str, distance_m: float, days: int) -> Agreement | None:
        """Return the nearest sighting within ``distance_m`` of an alert and ``days`` of the time it was seen; None for none."""
        outline = unwrap(extent.outline, self.centre)
        box = shapely.box(*widen(outline.bounds, distance_m + 1))
        near = np.sort(self.index.query(box))
        near = near[_is_near_in_time(self.sightings.days[near], extent, days)]
        if not near.size:
            return None
        metres = _measure(outline, shapely.intersection(self.sightings.shapes[near], box))
        near, metres = near[metres <= distance_m], metres[metres <= distance_m]
        found = [
            Agreement(name, to_date(int(day)), 0.0 if metre == 0 else round(float(metre), 1))
            for day, metre in _pick(self.sightings.days[near], metres)
        ]
        return choose_agreement(found, extent.first_seen) if found else None


def _is_near_in_time(seen: NDArray[np.int32], extent: AlertExtent, days: int) -> NDArray[np.bool_]:
    """Return which days lie within ``days`` of the time in which an alert was seen; those without a date always do."""
    first, last = to_day(extent.first_seen), to_day(extent.last_seen)
    agree: NDArray[np.bool_] = (seen == NO_DAY) | ((seen >= first - days) & (seen <= last + days))
    return agree


def _pick(days: NDArray[np.int32], metres: NDArray[np.float64]) -> list[tuple[int, float]]:
    """Return every day of the smallest distance, with that distance."""
    if not metres.size:
        return []
    nearest = float(metres.min())
    return [(int(day), nearest) for day in np.unique(days[metres <= nearest + 0.05])]


def _measure(outline: BaseGeometry, shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    """Measure the metres to each shape: found in a projection true from the outline's middle, measured on the ellipsoid."""
    middle = outline.centroid
    project = Proj(proj="aeqd", lon_0=middle.x, lat_0=middle.y, ellps="WGS84")

    def flatten(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(project(points[:, 0], points[:, 1])).reshape(-1, 2)

    here = shapely.transform(shapely.segmentize(outline, _STEP), flatten)
    shapely.prepare(here)
    there = shapely.transform(shapely.segmentize(shapes, _STEP), flatten)
    metres: NDArray[np.float64] = np.where(shapely.is_empty(there), np.inf, shapely.distance(here, there))
    apart = np.isfinite(metres) & (metres > 0)
    if apart.any():
        ends = shapely.get_coordinates(shapely.shortest_line(here, there[apart])).reshape(-1, 2, 2)
        lon, lat = project(ends[..., 0], ends[..., 1], inverse=True)
        metres[apart] = GEODESIC.inv(lon[:, 0], lat[:, 0], lon[:, 1], lat[:, 1])[2]
    return metres
