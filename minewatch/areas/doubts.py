"""What is implausible about an area: said to the person who registers it, who may know better."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from minewatch.areas.aoi import GEODESIC, LARGEST_KM2, Aoi
from minewatch.areas.land import find_land
from minewatch.areas.location import Location, describe_size
from minewatch.areas.number_order import NORTHERNMOST, SOUTHERNMOST, suggest_order, suggest_swap
from minewatch.core.text import format_place
from minewatch.settings.pipeline import Pipeline

NARROW_KM = 0.1
"""Ten pixels."""

FIRST_YEAR = dt.date(2017, 1, 1)
"""Before, one satellite alone flew, since June 2015, and took few images in most of the world."""


def list_doubts(aoi: Aoi, where: Location, pipeline: Pipeline, today: dt.date) -> list[str]:
    """Return what is implausible about place, size and dates of an area, a line each."""
    return [*_doubt_place(aoi, where), *_doubt_size(aoi, where, pipeline), *_doubt_date(aoi, pipeline, today)]


def _doubt_place(aoi: Aoi, where: Location) -> Iterator[str]:
    place, coast = format_place(where.lat, where.lon), find_land(aoi.geometry)
    if not SOUTHERNMOST <= where.lat <= NORTHERNMOST:
        doubt = f"{place} is ice, sea or tundra: there is no vegetation whose loss could be seen"
    elif coast is not None:
        _, _, metres = GEODESIC.inv(where.lon, where.lat, coast.x, coast.y)
        far = f"some {round(metres / 1000, -1):,.0f} km from land"
        doubt = f"{place} lies at sea, {far} by a coarse map of the world that lacks small islands"
    else:
        return
    swap = suggest_swap(aoi.joined.bounds, is_box=aoi.is_box)
    yield f"{doubt}; {swap}" if swap else doubt


def _doubt_size(aoi: Aoi, where: Location, pipeline: Pipeline) -> Iterator[str]:
    smallest = pipeline.alerts.min_area_ha
    if min(where.width_km, where.height_km) < NARROW_KM or 100 * aoi.area_km2 < smallest:
        yield (
            f"{describe_size(where.width_km, where.height_km)} is a few pixels of 10 m, and an alert has at least "
            f"{smallest:g} ha: register the place with its surroundings"
        )
    if aoi.area_km2 > 10 * LARGEST_KM2:
        hint = suggest_order(aoi.joined.bounds) if aoi.is_box else ""
        yield f"{aoi.area_km2:,.0f} km² is as large as a country; {hint or 'is that meant?'}"


def _doubt_date(aoi: Aoi, pipeline: Pipeline, today: dt.date) -> Iterator[str]:
    if aoi.monitor_from > today:
        yield f"monitor_from {aoi.monitor_from} is in the future: scans are refused until then"
    elif aoi.monitor_from < FIRST_YEAR:
        years = pipeline.detector.baseline_years
        yield (
            f"monitor_from {aoi.monitor_from} leaves few or no images for its baseline, the {years} years before: "
            "Sentinel-2 flies since June 2015, as a pair since March 2017"
        )
