"""Searches a source for scenes over an area."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pystac
from shapely.geometry.base import BaseGeometry

from minewatch.areas.aoi import GridHint
from minewatch.areas.area_plan import Query
from minewatch.core.errors import SceneError, SourceError
from minewatch.core.limits import FARTHEST
from minewatch.core.url_policy import is_web, resolve_href
from minewatch.settings.credits import DataTerms, parse_terms, parse_url
from minewatch.settings.providers import infer_provider
from minewatch.sources.footprint import has_footprint, read_footprint
from minewatch.sources.georeferencing import read_code
from minewatch.sources.scene import Scene, name_assets, parse_scene
from minewatch.sources.skipped import SkippedCount, SkippedScene
from minewatch.sources.stac import Source
from minewatch.sources.stac_io import FAULT


@dataclass(frozen=True)
class SearchResult:
    """The result of a search."""

    scenes: tuple[Scene, ...]
    """Usable scenes, by time and id."""

    refused: tuple[SkippedScene, ...] = ()
    """Items that lack an asset or have an address that is not allowed."""

    cloudy: tuple[str, ...] = ()
    """Ids left out for the cloud cover of their tile."""


Track = Callable[[Iterator[pystac.Item]], Iterator[pystac.Item]]


def find_scenes(source: Source, query: Query, track: Track = iter) -> SearchResult:
    """Search a source; ``track`` may wrap the items, to show progress.

    Raises SourceError where items were found but none is a Sentinel-2 L2A scene with the required bands.
    """
    scenes, refused, cloudy = [], [], []
    for item in track(source.items(query)):
        try:
            scene = make_scene(item, source)
        except SceneError as error:
            refused.append(SkippedScene(item.id, str(error), is_refused=True))
            continue
        if scene.cloud_cover > query.max_cloud_cover:
            cloudy.append(scene.id)
        else:
            scenes.append(scene)
    if refused and not scenes and not cloudy:
        raise SourceError(f"source {source.name} has no usable Sentinel-2 L2A scene: {SkippedCount.of(refused).describe()}")
    scenes.sort(key=lambda scene: (scene.time, scene.id))
    return SearchResult(tuple(scenes), tuple(refused), tuple(sorted(cloudy)))


def make_scene(item: pystac.Item, source: Source) -> Scene:
    """Return an item of a source as a Scene.

    Raises SceneError where it cannot be used, SourceError where its collection cannot be read.
    """
    if FAULT in item.extra_fields:
        raise SceneError(str(item.extra_fields[FAULT]))
    try:
        provider = infer_provider(source.provider, item.properties, [asset.href for asset in item.assets.values()])
        scene = parse_scene(item, source.name, resolve_hrefs(item, source), provider, _find_shared_fields(item, source))
        place = item.get_self_href()
        # On the web the item itself says where it is; on this machine that is the file that was read.
        href = parse_url(place) if source.is_api or is_web(source.root) else str(place or "")
        return replace(scene, href=href, terms=_find_terms(item, source))
    except (SceneError, SourceError):
        raise
    except Exception as error:  # text in place of numbers, lists in place of objects
        raise SceneError(f"item {item.id} holds something that cannot be read ({type(error).__name__})") from error


def _find_terms(item: pystac.Item, source: Source) -> DataTerms:
    """Return what an item states on its data, else what its collection does."""
    own = parse_terms({"type": "Feature", "properties": item.properties, "links": _list_licenses(item)})
    if source.is_api:
        return own.or_else(source.read_terms())
    parent = _find_parent(item)
    if parent is None:
        return own
    # Not the whole collection, whose links to all its items would be written out for each of them.
    providers = [provider.to_dict() for provider in parent.providers or ()]
    return own.or_else(parse_terms({"license": parent.license, "providers": providers, "links": _list_licenses(parent)}))


def _list_licenses(document: pystac.STACObject) -> list[dict[str, Any]]:
    return [link.to_dict(transform_href=False) for link in document.get_links(pystac.RelType.LICENSE)]


def _find_parent(item: pystac.Item) -> pystac.Collection | None:
    """Return an item's collection in a static catalogue, which was walked down to the item: nothing is read for it."""
    link = item.get_single_link(pystac.RelType.PARENT)
    return link.target if link and isinstance(link.target, pystac.Collection) else None


def _find_shared_fields(item: pystac.Item, source: Source) -> Mapping[str, Any]:
    """Return what a collection states on the assets of all its items, by the asset's name."""
    parent = None if source.is_api else _find_parent(item)
    shared = source.read_collection().get("item_assets") if source.is_api else parent and parent.extra_fields.get("item_assets")
    return shared if isinstance(shared, Mapping) else {}


def has_scenes(source: Source, area: BaseGeometry) -> bool:
    """True if a source has any scene over an area, of any date."""
    query = Query(area, dt.date(2015, 1, 1), dt.date(2100, 1, 1))
    return any(has_footprint(item.geometry) for item in source.items(query))


def resolve_hrefs(item: pystac.Item, source: Source) -> dict[str, str]:
    """Return the address of each band; raises SceneError where one is missing or not allowed."""
    hrefs = {}
    for band, name in name_assets(item, source.provider.assets).items():
        href = item.assets[name].href
        base = item.get_self_href() or source.root
        hrefs[band] = resolve_href(href, base, source.root, f"item {item.id}, asset {name}", source.provider.hosts)
    return hrefs


def find_grid_hint(source: Source, area: BaseGeometry) -> GridHint:
    """Return the pixel lattice of a source's scenes over an area, from the first item with metadata about it.

    Raises SourceError where there is none.
    """
    query = Query(area, dt.date(2015, 1, 1), dt.date(2100, 1, 1))
    for item in source.items(query):
        try:
            read_footprint(item.geometry, item.id)
            name = name_assets(item, source.provider.assets)["scl"]
        except SceneError:
            continue
        if hint := _read_hint(item.properties | item.assets[name].extra_fields):
            return hint
    raise SourceError(f"source {source.name} has no scene over the area that gives its pixel grid (proj:code and proj:transform)")


def _read_hint(fields: Mapping[str, Any]) -> GridHint | None:
    code = read_code(fields)
    try:
        transform = fields["proj:transform"]
        _, _, x, _, _, y = (float(number) for number in (transform[:6] if isinstance(transform, list) else ()))
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    is_position = max(abs(x), abs(y)) <= FARTHEST  # False for NaN
    return GridHint(code, (x, y)) if is_position and code is not None else None
