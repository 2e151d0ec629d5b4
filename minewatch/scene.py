"""One scene of a catalogue as plain data: here the differences between providers end."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pystac import Item
from shapely.geometry.base import BaseGeometry

from minewatch.errors import SceneError
from minewatch.footprint import read_footprint
from minewatch.harmonise import decide_offset

BANDS = ("blue", "green", "red", "nir", "swir16", "scl")
"""Bands by their common names; SCL is the scene classification map of Sen2Cor."""

REQUIRED_BANDS = ("blue", "red", "nir", "swir16", "scl")
"""Bands without which a scene cannot be archived; green serves pictures only."""

ASSET_NAMES: tuple[Mapping[str, str], ...] = (
    {band: band for band in BANDS},  # Earth Search
    dict(zip(BANDS, ("B02", "B03", "B04", "B08", "B11", "SCL"), strict=True)),  # Planetary Computer
    dict(zip(BANDS, ("B02_10m", "B03_10m", "B04_10m", "B08_10m", "B11_20m", "SCL_20m"), strict=True)),  # CDSE
)
"""How catalogues call the bands; the first naming that an item follows is taken."""


@dataclass(frozen=True)
class Scene:
    """A Sentinel-2 L2A product of one tile, or a part of it."""

    id: str
    """The item's id in its catalogue."""

    source: str
    """Where it was found: a provider's name, an address or a path."""

    time: dt.datetime
    """Acquisition, UTC (the item's ``datetime``; its id may disagree)."""

    key: str
    """Platform and start of the datatake: what all parts of one overpass share."""

    tile: str
    """MGRS tile, or '' where the item does not say."""

    baseline: tuple[int, int]
    """Processing baseline, (0, 0) where the item does not say."""

    hrefs: Mapping[str, str]
    """Band to address, for every band in REQUIRED_BANDS and green where there is one."""

    offset: int
    """Added to digital numbers above 0 to get reflectance x 10 000."""

    offset_reason: str
    """Why that offset."""

    footprint: BaseGeometry
    """Outline in lon/lat."""

    cloud_cover: float
    """Per cent of the whole tile; 0 where the item does not say."""


@dataclass(frozen=True)
class Datatake:
    """The scenes of one overpass over an area: what becomes one observation."""

    key: str
    """Shared by its scenes."""

    time: dt.datetime
    """The earliest acquisition time of its scenes, UTC."""

    scenes: tuple[Scene, ...]
    """The newest baseline of each tile; by id, and in that order they fill the grid."""

    @property
    def baseline(self) -> tuple[int, int]:
        """The newest processing baseline among the scenes."""
        return max(scene.baseline for scene in self.scenes)


def parse_scene(item: Item, source: str, hrefs: Mapping[str, str]) -> Scene:
    """Turn a STAC item into a Scene; raises SceneError where something it needs is missing."""
    if item.datetime is None or not item.geometry:
        raise SceneError(f"item {item.id} has no datetime or no geometry")
    time = item.datetime.replace(tzinfo=item.datetime.tzinfo or dt.UTC).astimezone(dt.UTC)
    properties = item.properties
    baseline = parse_baseline(properties)
    offset, reason = decide_offset(properties, baseline)
    return Scene(
        id=item.id,
        source=source,
        time=time,
        key=make_key(properties, time),
        tile=find_tile(properties),
        baseline=baseline,
        hrefs=hrefs,
        offset=offset,
        offset_reason=reason,
        footprint=read_footprint(item.geometry),
        cloud_cover=_number(properties.get("eo:cloud_cover") or 0, item.id),
    )


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise SceneError(f"item {name}: eo:cloud_cover is no number") from error


def name_assets(item: Item) -> dict[str, str]:
    """Map band names to the item's asset names; raises SceneError naming what is missing."""
    best = max(ASSET_NAMES, key=lambda names: sum(name in item.assets for name in names.values()))
    missing = [band for band in REQUIRED_BANDS if best[band] not in item.assets]
    if missing:
        raise SceneError(f"item {item.id} has no {', '.join(best[band] for band in missing)} asset")
    return {band: name for band, name in best.items() if name in item.assets}


def parse_baseline(properties: Mapping[str, Any]) -> tuple[int, int]:
    """Read the processing baseline, as (5, 9) for '05.09'; (0, 0) where it is not given."""
    text = str(
        properties.get("s2:processing_baseline")
        or properties.get("sentinel2:processing_baseline")
        or properties.get("processing:version")
        or ""
    )
    match = re.fullmatch(r"\D?(\d{2})\.?(\d{2})", text.strip())
    return (int(match[1]), int(match[2])) if match else (0, 0)


def make_key(properties: Mapping[str, Any], time: dt.datetime) -> str:
    """Name the overpass: platform and datatake start, else platform and minute."""
    platform = re.sub(r"sentinel-?", "s", str(properties.get("platform") or "sentinel-2").lower()).replace("-", "")
    platform = re.sub(r"[^a-z0-9]", "", platform)[:8] or "s2"
    match = re.match(r"GS2[A-Z]_(\d{8}T\d{6})_", str(properties.get("s2:datatake_id") or ""))
    return f"{platform}_{match[1] if match else time.strftime('%Y%m%dT%H%M')}"


def find_tile(properties: Mapping[str, Any]) -> str:
    """Read the MGRS tile, as '33TWN'; '' where it is not given."""
    text = str(properties.get("s2:mgrs_tile") or properties.get("grid:code") or "").upper()
    match = re.search(r"(\d{1,2}[A-Z]{3})$", text)
    return match[1].zfill(5) if match else ""


def group_scenes(scenes: Iterable[Scene]) -> list[Datatake]:
    """Sort scenes into datatakes, by time; of each tile only the newest baseline stays."""
    groups: dict[str, list[Scene]] = {}
    for scene in sorted(scenes, key=lambda s: s.id):
        groups.setdefault(scene.key, []).append(scene)
    takes = []
    for key, members in groups.items():
        newest = {tile: max(s.baseline for s in members if s.tile == tile) for tile in {s.tile for s in members}}
        kept = {s.id: s for s in members if s.baseline == newest[s.tile]}
        takes.append(Datatake(key, min(s.time for s in kept.values()), tuple(kept.values())))
    return sorted(takes, key=lambda take: (take.time, take.key))
