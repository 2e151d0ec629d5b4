"""Matches alerts with the external alerts that agree with them in place and time, and measures how far away those are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.context.region import FINE, AlertSite, flatten, make_projection, unwrap, widen
from minewatch.alerts.corroboration.record import ExternalSources, read_sightings
from minewatch.alerts.corroboration.sighting import NO_DAY, Sightings, to_date, to_day
from minewatch.areas.aoi import GEODESIC
from minewatch.core.errors import ExternalAlertError


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


Matches = Mapping[str, list[Agreement]]
"""Alert id to its agreements, one for each source."""


def match_external_alerts(
    known: ExternalSources, folder: Path, aoi: str, until: dt.date, sites: Mapping[str, AlertSite]
) -> tuple[Matches, list[str]]:
    """Match the alerts of an area with all sources that count on a date; also return notes on sources that cannot be read."""
    found: dict[str, dict[str, list[Agreement]]] = {alert_id: {} for alert_id in sites}
    notes = [f"line {number} of witnesses.jsonl cannot be read and has no effect" for number in known.damaged]
    for source in known.of(aoi, until) if sites else ():
        try:
            sightings = read_sightings(folder / source.sightings)
        except ExternalAlertError as error:
            notes.append(f"witness {source.name!r} cannot be asked: {error}")
            continue
        if not len(sightings):
            continue
        index = SightingIndex(sightings, float(sightings.shapes[0].bounds[0]))
        for alert_id, site in sites.items():
            if agreement := index.match(site, source.name, source.distance_m, source.days):
                found[alert_id].setdefault(source.name, []).append(agreement)
    return {key: [choose_agreement(own, sites[key].first_seen) for own in names.values()] for key, names in found.items()}, notes


def describe_agreements(agreements: Iterable[Agreement]) -> str:
    """Write the column ``witnesses`` of an alert: its agreements by name of the source."""
    return "; ".join(str(agreement) for agreement in sorted(agreements, key=lambda agreement: agreement.name))


def choose_agreement(agreements: Iterable[Agreement], first_seen: dt.date) -> Agreement:
    """Choose the nearest in space, among those the nearest in time to when the alert was first seen; the undated come last."""

    def rank(agreement: Agreement) -> tuple[float, dt.timedelta, dt.date]:
        if agreement.seen is None:
            return agreement.distance_m, dt.timedelta.max, dt.date.max
        return agreement.distance_m, abs(agreement.seen - first_seen), agreement.seen

    return min(agreements, key=rank)


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

    def match(self, site: AlertSite, name: str, distance_m: float, days: int) -> Agreement | None:
        """Return the nearest sighting within ``distance_m`` of an alert and ``days`` of the time it was seen; None for none.

        Sightings without a date agree with every time.
        """
        outline = unwrap(site.outline, self.centre)
        box = shapely.box(*widen(outline.bounds, distance_m + 1))
        near = np.sort(self.index.query(box))
        seen = self.sightings.days[near]
        near = near[(seen == NO_DAY) | ((seen >= to_day(site.first_seen) - days) & (seen <= to_day(site.last_seen) + days))]
        metres = _measure(outline, shapely.intersection(self.sightings.shapes[near], box))
        nearest = float(metres.min(initial=np.inf))
        if nearest > distance_m:
            return None
        dates = np.unique(self.sightings.days[near[metres <= min(nearest + 0.05, distance_m)]])
        return choose_agreement([Agreement(name, to_date(int(day)), round(nearest, 1)) for day in dates], site.first_seen)


def _measure(outline: BaseGeometry, shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    """Measure the metres to each shape: found in a projection around the outline, measured on the ellipsoid."""
    project = make_projection(outline)
    here, there = flatten(outline, project, FINE), flatten(shapes, project, FINE)
    shapely.prepare(here)
    metres: NDArray[np.float64] = np.where(shapely.is_empty(there), np.inf, shapely.distance(here, there))
    apart = np.isfinite(metres) & (metres > 0)
    if apart.any():
        ends = shapely.get_coordinates(shapely.shortest_line(here, there[apart])).reshape(-1, 2, 2)
        lon, lat = project(ends[..., 0], ends[..., 1], inverse=True)
        metres[apart] = GEODESIC.inv(lon[:, 0], lat[:, 0], lon[:, 1], lat[:, 1])[2]
    return metres
