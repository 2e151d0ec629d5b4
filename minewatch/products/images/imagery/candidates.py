"""The items of an imagery collection that show a frame, and their rank by what their metadata say."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import pystac
from shapely.geometry.base import BaseGeometry

from minewatch.areas.area_plan import Query
from minewatch.core.errors import SceneError
from minewatch.core.url_policy import resolve_href
from minewatch.settings.providers import Imagery
from minewatch.sources.footprint import read_footprint
from minewatch.sources.stac import Source
from minewatch.sources.stac_io import FAULT

WHOLE = 0.995
"""Share of a frame that counts as the whole frame."""

ALIKE = 1.25
"""Factor between pixel sizes that counts as a difference; of two images as sharp, the newer one is better."""

SIZES = (0.01, 1000.0)
"""Least and largest pixel size, metres, that is believed of an item."""


@dataclass(frozen=True)
class Candidate:
    """An item that shows a frame, or a part of it."""

    id: str
    """The item's id."""

    imagery: Imagery
    """The collection that it is in."""

    time: dt.datetime
    """Acquisition, UTC."""

    hrefs: tuple[str, ...]
    """Address of the file with red, green and blue, or of three files."""

    pixel: float | None
    """Metres of a pixel, as the item states; None where it does not."""

    cloud: float | None
    """Per cent of cloud in the whole item; None where it is not stated."""

    coverage: float
    """Share of the frame in its footprint."""

    @property
    def is_clear(self) -> bool:
        """True if it has no more cloud than the settings allow, or does not state its cloud."""
        return self.cloud is None or self.cloud <= self.imagery.max_cloud


def rank_candidate(candidate: Candidate) -> tuple[float, ...]:
    """Return the sort key, best first: clear, covering the whole frame, sharp, new; of cloudy ones the least cloudy.

    An item that does not state its pixel size comes after those that do.
    """
    cloud = 0.0 if candidate.is_clear else candidate.cloud or 0.0
    missing = 0.0 if candidate.coverage >= WHOLE else round(1 - candidate.coverage, 2)
    sharp = math.inf if candidate.pixel is None else math.floor(math.log(candidate.pixel, ALIKE) + 0.5)
    return cloud, missing, sharp, -candidate.time.timestamp()


def list_candidates(
    imagery: Imagery, source: Source, query: Query, extent: BaseGeometry, refused: dict[str, str]
) -> list[Candidate]:
    """Return the items of some days that show the extent of a frame, given in lon/lat.

    Those that cannot be used are added to ``refused``, id to reason.  Raises SourceError where the source does not answer.
    """
    found = []
    for item in source.items(query):
        try:
            candidate = _read_item(item, imagery, source, extent)
        except SceneError as error:
            refused[item.id] = str(error)
            continue
        if candidate.coverage > 0:
            found.append(candidate)
    return found


def _read_item(item: pystac.Item, imagery: Imagery, source: Source, extent: BaseGeometry) -> Candidate:
    """Read an item; raises SceneError where it cannot be used."""
    if FAULT in item.extra_fields:
        raise SceneError(str(item.extra_fields[FAULT]))
    try:
        coverage = float(read_footprint(item.geometry, item.id).intersection(extent).area / extent.area)
        hrefs = tuple(_resolve(item, name, source) for name in imagery.assets) if coverage else ()
        time = item.datetime or dt.datetime.fromisoformat(str(item.properties["start_datetime"]))
        utc = time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC)
        stated = item.properties.get("eo:cloud_cover")
        cloud = float(stated) if _is_number(stated) and 0 <= stated <= 100 else None
        return Candidate(item.id, imagery, utc, hrefs, _read_pixel(item, imagery), cloud, coverage)
    except SceneError:
        raise
    except Exception as error:  # items may hold texts for numbers, or lists for objects
        raise SceneError(f"item {item.id} holds something that cannot be read ({type(error).__name__})") from error


def _resolve(item: pystac.Item, name: str, source: Source) -> str:
    """Return the address of an asset; raises SceneError where there is none, or the catalogue may not name it."""
    if name not in item.assets:
        raise SceneError(f"item {item.id} has no asset {name!r}; it has {', '.join(list(item.assets)[:8]) or 'none'}")
    base = item.get_self_href() or source.root
    where = f"item {item.id}, asset {name}"
    return resolve_href(item.assets[name].href, base, source.root, where, source.provider.hosts)


def _read_pixel(item: pystac.Item, imagery: Imagery) -> float | None:
    """Return the metres of a pixel that the asset states, else the item; None where neither does."""
    asset = item.assets[imagery.assets[0]].extra_fields if imagery.assets[0] in item.assets else {}
    sizes = [size for size in (*_list_sizes(asset), *_list_sizes(item.properties)) if _is_number(size)]
    return next((float(size) for size in sizes if SIZES[0] <= size <= SIZES[1]), None)


def _list_sizes(fields: Mapping[str, Any]) -> Iterator[Any]:
    yield fields.get("raster:spatial_resolution")
    for key in ("raster:bands", "bands"):
        bands = fields.get(key)
        if isinstance(bands, list) and bands and isinstance(bands[0], Mapping):
            yield from (bands[0].get(name) for name in ("spatial_resolution", "raster:spatial_resolution", "gsd"))
    yield fields.get("gsd")


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
