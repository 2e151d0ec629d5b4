"""The items of a collection of imagery that show a frame, and how well they promise to."""

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
"""Share of a frame from which on it is covered."""

ALIKE = 1.25
"""Pixels whose sizes differ by less than this factor are as sharp as each other: of those the newer image is better."""

SIZES = (0.01, 1000.0)
"""Metres of a pixel that an item may claim."""


@dataclass(frozen=True)
class Candidate:
    """An item that shows a frame, or a part of it."""

    id: str
    """The item's id."""

    imagery: Imagery
    """Where it was found."""

    time: dt.datetime
    """Acquisition, UTC."""

    hrefs: tuple[str, ...]
    """Address of the file with red, green and blue, or of three files."""

    pixel: float | None
    """Metres of a pixel as the item says; None where it does not."""

    cloud: float | None
    """Per cent of cloud in the whole item; None where it does not say."""

    coverage: float
    """Share of the frame in its outline."""

    @property
    def is_clear(self) -> bool:
        """True if it has no more cloud than the settings allow; where it does not say, it is taken as clear."""
        return self.cloud is None or self.cloud <= self.imagery.max_cloud


def rank_candidate(candidate: Candidate) -> tuple[float, ...]:
    """Return what sorts the best first: clear, covering the whole frame, sharp, and new; of cloudy ones the least cloudy.

    One that does not tell its pixel comes behind those that do.
    """
    cloud = 0.0 if candidate.is_clear else candidate.cloud or 0.0
    missing = 0.0 if candidate.coverage >= WHOLE else round(1 - candidate.coverage, 2)
    sharp = math.inf if candidate.pixel is None else math.floor(math.log(candidate.pixel, ALIKE) + 0.5)
    return cloud, missing, sharp, -candidate.time.timestamp()


def list_candidates(
    imagery: Imagery, source: Source, query: Query, extent: BaseGeometry, refused: dict[str, str]
) -> list[Candidate]:
    """List the items of some days that show the extent of a frame, given in lon/lat.

    Those that cannot be used are added to ``refused``, id to reason.  Raises SourceError where the source does not answer.
    """
    found = []
    for item in source.items(query):
        try:
            candidate = _describe(item, imagery, source, extent)
        except SceneError as error:
            refused[item.id] = str(error)
            continue
        if candidate.coverage > 0:
            found.append(candidate)
    return found


def _describe(item: pystac.Item, imagery: Imagery, source: Source, extent: BaseGeometry) -> Candidate:
    """Read an item; raises SceneError where it cannot be used."""
    if FAULT in item.extra_fields:
        raise SceneError(str(item.extra_fields[FAULT]))
    try:
        coverage = _measure_coverage(item, extent)
        hrefs = tuple(_resolve(item, name, source) for name in imagery.assets) if coverage else ()
        time = item.datetime or dt.datetime.fromisoformat(str(item.properties["start_datetime"]))
        utc = time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC)
        return Candidate(item.id, imagery, utc, hrefs, _read_pixel(item, imagery), _read_cloud(item), coverage)
    except SceneError:
        raise
    except Exception as error:  # strangers' items: numbers that are texts, lists in the place of objects
        raise SceneError(f"item {item.id} holds something that cannot be read ({type(error).__name__})") from error


def _measure_coverage(item: pystac.Item, extent: BaseGeometry) -> float:
    return float(read_footprint(item.geometry, item.id).intersection(extent).area / extent.area)


def _resolve(item: pystac.Item, name: str, source: Source) -> str:
    """Return the address of an asset, as far as the catalogue may name it; raises SceneError."""
    if name not in item.assets:
        raise SceneError(f"item {item.id} has no asset {name!r}; it has {', '.join(list(item.assets)[:8]) or 'none'}")
    base = item.get_self_href() or source.root
    where = f"item {item.id}, asset {name}"
    return resolve_href(item.assets[name].href, base, source.root, where, source.provider.hosts)


def _read_cloud(item: pystac.Item) -> float | None:
    cloud = item.properties.get("eo:cloud_cover")
    return float(cloud) if _is_number(cloud) and 0 <= cloud <= 100 else None


def _read_pixel(item: pystac.Item, imagery: Imagery) -> float | None:
    """Return the metres of a pixel that the item states: of the asset before those of the whole."""
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
