"""Finds the scenes over an area, and says which of them cannot be used."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pystac
from shapely.geometry.base import BaseGeometry

from minewatch.aoi import GridHint
from minewatch.errors import SceneError, SourceError
from minewatch.scene import Scene, name_assets, parse_scene
from minewatch.source import Query, Source
from minewatch.trust import resolve_href


@dataclass(frozen=True)
class Refusal:
    """A scene that was found and cannot be used."""

    id: str
    """The item's id."""

    reason: str
    """Why, in one line."""


@dataclass(frozen=True)
class Found:
    """The answer to a search."""

    scenes: tuple[Scene, ...]
    """What can be read, by time and id."""

    refused: tuple[Refusal, ...] = ()
    """Items that lack an asset or point where they may not."""

    cloudy: tuple[str, ...] = ()
    """Ids left out for the cloud cover of their tile."""


Track = Callable[[Iterator[pystac.Item]], Iterator[pystac.Item]]


def find_scenes(source: Source, query: Query, track: Track = iter) -> Found:
    """Search a source; ``track`` may watch the items pass.

    Raises SourceError where items were found and none is a Sentinel-2 L2A scene with the bands that are needed.
    """
    scenes, refused, cloudy = [], [], []
    for item in track(source.items(query)):
        try:
            scene = parse_scene(item, source.name, resolve_hrefs(item, source))
        except SceneError as error:
            refused.append(Refusal(item.id, str(error)))
            continue
        if scene.cloud_cover > query.max_cloud_cover:
            cloudy.append(scene.id)
        else:
            scenes.append(scene)
    if refused and not scenes and not cloudy:
        raise SourceError(f"source {source.name} has no usable Sentinel-2 L2A scene: {refused[0].reason}")
    scenes.sort(key=lambda scene: (scene.time, scene.id))
    return Found(tuple(scenes), tuple(refused), tuple(sorted(cloudy)))


def has_scenes(source: Source, area: BaseGeometry) -> bool:
    """Tell whether a source has any scene over an area, whatever its date."""
    query = Query(area, dt.date(2015, 1, 1), dt.date(2100, 1, 1))
    return next(source.items(query), None) is not None


def resolve_hrefs(item: pystac.Item, source: Source) -> dict[str, str]:
    """Give the address of each band; raises SceneError where one is missing or points where it may not."""
    hrefs = {}
    for band, name in name_assets(item).items():
        href = item.assets[name].href
        base = item.get_self_href() or source.root
        hrefs[band] = resolve_href(href, base, source.root, f"item {item.id}, asset {name}")
    return hrefs


def find_lattice(source: Source, area: BaseGeometry) -> GridHint:
    """Read the pixel lattice of a source's scenes over an area, from the metadata of the first that tells it.

    Raises SourceError where none does.
    """
    query = Query(area, dt.date(2015, 1, 1), dt.date(2100, 1, 1))
    for item in source.items(query):
        try:
            name = name_assets(item)["scl"]
        except SceneError:
            continue
        fields = item.properties | item.assets[name].extra_fields
        code = str(fields.get("proj:code") or fields.get("proj:epsg") or "").removeprefix("EPSG:")
        transform = fields.get("proj:transform")
        if code.isdigit() and isinstance(transform, list) and len(transform) >= 6:
            return GridHint(int(code), (float(transform[2]), float(transform[5])))
    raise SourceError(f"source {source.name} has no scene over the area that tells its lattice (proj:code and proj:transform)")
