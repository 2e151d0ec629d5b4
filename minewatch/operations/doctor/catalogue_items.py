"""Items that a source lists over an area, by their metadata alone, whether or not they can be read."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pystac
from pystac.utils import str_to_datetime
from shapely.geometry.base import BaseGeometry

from minewatch.areas.area_plan import Query
from minewatch.core.errors import SceneError
from minewatch.sources.baseline import parse_baseline
from minewatch.sources.composite import find_span
from minewatch.sources.footprint import read_footprint
from minewatch.sources.scene import find_tile, make_key
from minewatch.sources.stac import Source

PUBLISHED = ("published", "created", "updated")
"""Properties with the time an item was published, the most reliable first."""

PROCESSED = ("s2:generation_time", "sentinel2:generation_time", "processing:datetime")
"""Properties with the time a product was processed."""

ORBIT = ("sat:relative_orbit", "s2:relative_orbit", "sentinel2:relative_orbit_number")
"""Properties that give the relative orbit, 1 to 143."""

NAMES = ("s2:product_uri", "sentinel2:product_title", "s2:product_title")
"""Properties that hold ESA's product name, which ends with the time of processing."""


@dataclass(frozen=True)
class CatalogueItem:
    """An item as its catalogue describes it."""

    id: str
    """Id."""

    key: str
    """Platform and start of the datatake, as in the archive."""

    time: dt.datetime
    """Acquisition, UTC."""

    tile: str
    """MGRS tile, '' where it is not given."""

    baseline: tuple[int, int]
    """Processing baseline, (0, 0) where it is not given."""

    orbit: int | None
    """Relative orbit, None where it is not given."""

    cloud_cover: float
    """Per cent of the whole tile, 0 where it is not given."""

    published: dt.datetime | None
    """When the catalogue published it, UTC."""

    processed: dt.datetime | None
    """When the product was processed, UTC."""

    footprint: BaseGeometry
    """Outline in lon/lat."""


def list_items(source: Source, query: Query) -> Iterator[CatalogueItem]:
    """Yield what a source lists over an area, in its own order; raises SourceError where it does not answer."""
    for item in source.items(query):
        if (listed := read_catalogue_item(item)) is not None:
            yield listed


def read_catalogue_item(item: pystac.Item) -> CatalogueItem | None:
    """Read the metadata of an item; None where a scan skips and reports it: it lacks a date or outline, or is a composite."""
    try:
        footprint = read_footprint(item.geometry, item.id)
    except SceneError:
        return None
    span = find_span(item, item.assets)
    if item.datetime is None or (span and span.is_composite):
        return None
    time, properties = _to_utc(item.datetime), item.properties
    names = [item.id, *(str(properties.get(name) or "") for name in NAMES)]
    ends = (_read_time(match[1]) for name in names if (match := re.search(r"_(\d{8}T\d{6})(?:\.SAFE)?$", name)))
    return CatalogueItem(
        id=item.id,
        key=make_key(properties, time),
        time=time,
        tile=find_tile(properties),
        baseline=parse_baseline(properties),
        orbit=find_orbit(properties, names),
        cloud_cover=_read_number(properties.get("eo:cloud_cover")),
        published=_find_time(properties, PUBLISHED),
        processed=_find_time(properties, PROCESSED) or next(ends, None),
        footprint=footprint,
    )


def find_orbit(properties: Mapping[str, Any], names: Sequence[str]) -> int | None:
    """Find the relative orbit in an item's properties, else in its names; None where neither has it."""
    given = next((properties[name] for name in ORBIT if str(properties.get(name, "")).isdigit()), None)
    match = next(filter(None, (re.search(r"_R(\d{3})_", name) for name in names)), None)
    return int(given) if given is not None else int(match[1]) if match else None


def _find_time(properties: Mapping[str, Any], names: tuple[str, ...]) -> dt.datetime | None:
    times = (_read_time(str(properties[name])) for name in names if properties.get(name))
    return next(filter(None, times), None)


def _read_time(text: str) -> dt.datetime | None:
    try:
        return _to_utc(str_to_datetime(text))
    except (ValueError, OverflowError):
        return None


def _read_number(value: Any) -> float:
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return 0.0


def _to_utc(time: dt.datetime) -> dt.datetime:
    return time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC)
