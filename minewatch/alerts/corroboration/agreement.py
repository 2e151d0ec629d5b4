"""Tells whether others saw something where and when an alert is, and how far away."""

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

from minewatch.alerts.context.ground import unwrap, widen
from minewatch.alerts.corroboration.sighting import NO_DAY, Sightings, to_date, to_day
from minewatch.areas.aoi import GEODESIC

_STEP = 0.01
"""Degrees between corners of what is projected: over some kilometres a straight line stays one to a millimetre."""


@dataclass(frozen=True)
class AlertExtent:
    """An alert, as far as witnesses are concerned."""

    outline: BaseGeometry
    """Polygons, degrees."""

    first_seen: dt.date
    """The first day it was seen."""

    last_seen: dt.date
    """The last day it was seen."""


@dataclass(frozen=True)
class Agreement:
    """What one witness saw of one alert."""

    name: str
    """Who."""

    seen: dt.date | None
    """When; None where the witness does not say."""

    distance_m: float
    """Metres on the ellipsoid, 0 where it overlaps the alert."""

    def __str__(self) -> str:
        """Write it as the table shows it."""
        metres = f"{self.distance_m:.0f} m"
        return f"{self.name}{f' {self.seen}' if self.seen else ''} ({metres if self.distance_m else 'inside'})"


def describe_agreements(agreements: Iterable[Agreement]) -> str:
    """Write the cell of an alert: every witness once, by name."""
    return "; ".join(str(agreement) for agreement in sorted(agreements, key=lambda agreement: agreement.name))


def choose_agreement(agreements: Iterable[Agreement], first_seen: dt.date) -> Agreement:
    """Choose the nearest in space, among those the nearest in time to when the alert was first seen."""
    return min(agreements, key=lambda agreement: (agreement.distance_m, _rank_day(to_day(agreement.seen), first_seen)))


def _rank_day(day: int, first_seen: dt.date) -> tuple[int, int]:
    return (abs(day - to_day(first_seen)), day) if day != NO_DAY else (np.iinfo(np.int32).max, day)


@dataclass(frozen=True)
class SightingIndex:
    """The sightings of one witness near one area, ready to be asked."""

    sightings: Sightings
    """As kept."""

    centre: float
    """Longitude around which they are written."""

    @cached_property
    def index(self) -> shapely.STRtree:
        """Finds them by their boxes."""
        return shapely.STRtree(self.sightings.shapes)

    def ask(self, subject: AlertExtent, name: str, distance_m: float, days: int) -> Agreement | None:
        """Return what was seen nearest to an alert, within a distance and within days of when it was seen; None for nothing."""
        outline = unwrap(subject.outline, self.centre)
        box = shapely.box(*widen(outline.bounds, distance_m + 1))
        near = np.sort(self.index.query(box))
        near = near[_agree_in_time(self.sightings.days[near], subject, days)]
        if not near.size:
            return None
        metres = _measure(outline, shapely.intersection(self.sightings.shapes[near], box))
        near, metres = near[metres <= distance_m], metres[metres <= distance_m]
        found = [
            Agreement(name, to_date(int(day)), 0.0 if metre == 0 else round(float(metre), 1))
            for day, metre in _pick(self.sightings.days[near], metres)
        ]
        return choose_agreement(found, subject.first_seen) if found else None


def _agree_in_time(seen: NDArray[np.int32], subject: AlertExtent, days: int) -> NDArray[np.bool_]:
    """Tell which days lie within ``days`` of the time in which an alert was seen; those without a date always do."""
    first, last = to_day(subject.first_seen), to_day(subject.last_seen)
    agree: NDArray[np.bool_] = (seen == NO_DAY) | ((seen >= first - days) & (seen <= last + days))
    return agree


def _pick(days: NDArray[np.int32], metres: NDArray[np.float64]) -> list[tuple[int, float]]:
    """Keep what can be the nearest: all days of the smallest distance."""
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
