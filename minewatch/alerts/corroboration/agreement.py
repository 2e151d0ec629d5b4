"""Matches alerts with the external alerts that agree with them in place and time, and measures how far away those are."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.context.region import FINE, AlertSite, flatten, make_projection, unwrap, widen
from minewatch.alerts.corroboration.record import ExternalSources, read_sightings
from minewatch.alerts.corroboration.sighting import LEVELS, NO_DAY, UNSTATED, Sightings, to_date, to_day
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

    first: dt.date | None = None
    """The first day on which the source saw anything that agrees; None where it does not say."""

    level: int = UNSTATED
    """The highest of LEVELS among what agrees."""

    def __str__(self) -> str:
        """Write it as the table shows it."""
        place = f"{self.distance_m:.0f} m" if self.distance_m else "inside"
        sure = f", {LEVELS[self.level]}" if self.level else ""
        return f"{self.name}{f' {self.seen}' if self.seen else ''} ({place}{sure})"


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


def make_cells(agreements: Iterable[Agreement], site: AlertSite) -> dict[str, Any]:
    """Return the cells of an alert that say who else saw it, by column of the table."""
    known = sorted(agreements, key=lambda agreement: agreement.name)
    first = min((agreement.first for agreement in known if agreement.first), default=None)
    basis = [describe_agreement(agreement, site.first_seen, site.confirmed_on) for agreement in known]
    return {
        "witnesses": describe_agreements(known),
        "witness_first": first,
        "witness_lead": None if first is None else float((site.first_seen - first).days),
        "witness_basis": json.dumps(basis, ensure_ascii=False) if basis else "",
    }


def describe_agreement(agreement: Agreement, first_seen: dt.date, confirmed_on: dt.date | None) -> dict[str, Any]:
    """Return an agreement as plain data; days are counted from the first day of theirs to ours, below 0 where theirs is later."""
    first = agreement.first
    return {
        "name": agreement.name,
        "seen": agreement.seen.isoformat() if agreement.seen else None,
        "first": first.isoformat() if first else None,
        "confidence": LEVELS[agreement.level] or None,
        "distance_m": agreement.distance_m,
        "inside": agreement.distance_m == 0,
        "days_before_first_seen": (first_seen - first).days if first else None,
        "days_before_confirmed": (confirmed_on - first).days if first and confirmed_on else None,
    }


def choose_agreement(agreements: Sequence[Agreement], first_seen: dt.date) -> Agreement:
    """Choose the nearest in space, among those the nearest in time to when the alert was first seen; the undated come last.

    It has the first day and the highest level of all.
    """

    def rank(agreement: Agreement) -> tuple[float, dt.timedelta, dt.date]:
        if agreement.seen is None:
            return agreement.distance_m, dt.timedelta.max, dt.date.max
        return agreement.distance_m, abs(agreement.seen - first_seen), agreement.seen

    first = min((agreement.first for agreement in agreements if agreement.first), default=None)
    return replace(min(agreements, key=rank), first=first, level=max(agreement.level for agreement in agreements))


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
        agreeing = near[metres <= distance_m]
        dated = self.sightings.days[agreeing]
        dated = dated[dated != NO_DAY]
        first = to_date(int(dated.min())) if dated.size else None
        level = int(self.sightings.levels[agreeing].max())
        found = [Agreement(name, to_date(int(day)), round(nearest, 1), first, level) for day in dates]
        return choose_agreement(found, site.first_seen)


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
