"""Scenes and datatakes as plain data, independent of the provider."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pystac import Item
from shapely.geometry.base import BaseGeometry

from minewatch.core.errors import SceneError
from minewatch.settings.credits import UNSTATED, DataTerms, credit_data
from minewatch.settings.providers import ASSET_NAMES, REQUIRED_BANDS, Provider, S3Login, Signing, TokenLogin
from minewatch.sources.baseline import parse_baseline
from minewatch.sources.composite import find_span
from minewatch.sources.footprint import read_footprint
from minewatch.sources.georeferencing import StatedGrid, read_stated_grid
from minewatch.sources.reflectance_offset import decide_offset, read_declared_nodata, read_declared_offset

PRODUCT = re.compile(r"S2[A-Z]_MSIL2A_\d{8}T\d{6}_(?:N\d{4}_)?R\d{3}_T\d{2}[A-Z]{3}(?=_|$)")
"""ESA's product name up to its tile; Planetary Computer's ids leave the baseline out."""

PRODUCT_PROPERTIES = ("product_uri", "product_title", "product_id", "product_name", "title")
"""Properties with the product name, after a prefix such as ``s2:`` or ``sentinel2:``."""

DATATAKE = re.compile(r"^G?S2([A-Z])_(?:MSIL2A_)?(\d{8}T\d{6})_")
"""Platform and start of the datatake, in its id and in a product name."""

MULTIHASH = re.compile(r"[0-9a-f]{8,200}", re.IGNORECASE)
"""Checksum in STAC's file extension: code of the hash, length, bytes."""

LONGEST_DATATAKE = dt.timedelta(hours=2)
"""Between start and acquisition; a datatake takes at most 40 minutes, but the times of some catalogues are rough."""


@dataclass(frozen=True)
class Scene:
    """A Sentinel-2 L2A product of one tile, or of a part of it."""

    id: str
    """The item's id in its catalogue."""

    source: str
    """Where it was found: a provider's name, an address or a path."""

    time: dt.datetime
    """Acquisition, UTC (the item's ``datetime``; its id may disagree)."""

    key: str
    """Key of the datatake: its platform and start."""

    tile: str
    """MGRS tile; '' where the item does not say."""

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

    signing: Signing = ""
    """Who signs the addresses before they are read; '' = nobody."""

    s3: S3Login | None = None
    """Login for s3:// addresses; names of variables, never keys."""

    token: TokenLogin | None = None
    """Key or token for other addresses; names of variables, never keys."""

    checksums: Mapping[str, str] = field(default_factory=dict)
    """Band to the multihash of its file, for bands with a stated checksum."""

    nodata: Mapping[str, int] = field(default_factory=dict)
    """Band to the digital number that the item declares as no data, for bands with one other than 0."""

    grids: Mapping[str, StatedGrid] = field(default_factory=dict)
    """Band to what the item states on the pixel grid of its file."""

    href: str = ""
    """Address, without secrets, or path of its item; '' where it is unknown."""

    terms: DataTerms = UNSTATED
    """What item and collection state on their data."""


@dataclass(frozen=True)
class Datatake:
    """The scenes of one datatake over an area, which become one observation."""

    key: str
    """Key of the datatake, shared by its scenes."""

    time: dt.datetime
    """The earliest acquisition time of its scenes, UTC."""

    scenes: tuple[Scene, ...]
    """Of each tile those of the newest baseline, by id, which is the order in which they fill the grid."""

    older: tuple[Scene, ...] = ()
    """Scenes of older baselines, by id, which are used where a newer one is refused."""

    @property
    def baseline(self) -> tuple[int, int]:
        """The newest processing baseline among the scenes."""
        return max((scene.baseline for scene in self.scenes), default=(0, 0))

    @property
    def ids(self) -> list[str]:
        """Ids of its scenes."""
        return [scene.id for scene in self.scenes]

    def without(self, refused: Collection[str]) -> Datatake:
        """Return the datatake without the scenes of these ids."""
        left = group_scenes(scene for scene in (*self.scenes, *self.older) if scene.id not in refused)
        return left[0] if left else Datatake(self.key, self.time, ())


def credit_scenes(scenes: Iterable[Scene], *, modified: bool = True) -> str:
    """Return the words of credit for what is made from scenes."""
    known = list(scenes)
    return credit_data([scene.terms for scene in known], [scene.time.year for scene in known], modified=modified)


def parse_scene(
    item: Item, source: str, hrefs: Mapping[str, str], provider: Provider | None = None, shared: Mapping[str, Any] | None = None
) -> Scene:
    """Return a STAC item as a Scene, opened as its provider says; raises SceneError where something is missing.

    ``shared`` is what its collection states on the assets of all items, by the asset's name.
    """
    span = find_span(item, item.assets)
    if span and span.is_composite:
        raise SceneError(f"item {item.id} is {span.describe()}")
    if item.datetime is None or not item.geometry:
        raise SceneError(f"item {item.id} has no datetime or no geometry")
    time = item.datetime.replace(tzinfo=item.datetime.tzinfo or dt.UTC).astimezone(dt.UTC)
    properties, provider = item.properties, provider or Provider("", "")
    product = find_product(item)
    baseline = parse_baseline(properties, product)
    names = name_assets(item, provider.assets)
    fields = {band: item.assets[name].extra_fields for band, name in names.items()}
    # What describes the numbers of a band stands in one of these places; its own fields count first.
    places = {band: (fields[band], properties, (shared or {}).get(name)) for band, name in names.items()}
    checksums = {band: str(stated.get("file:checksum", "")) for band, stated in fields.items()}
    try:
        declared = read_declared_offset(stated for band, stated in places.items() if band != "scl")
    except SceneError as error:
        raise SceneError(f"item {item.id}: {error}") from error
    collection = item.collection_id or ""
    offset, reason = decide_offset(
        properties, baseline, declared, collection=collection, provider=provider.name, rule=provider.offset
    )
    return Scene(
        id=item.id,
        source=source,
        time=time,
        key=make_key(properties, time, product),
        tile=find_tile(properties, product),
        baseline=baseline,
        hrefs=hrefs,
        offset=offset,
        offset_reason=reason,
        footprint=read_footprint(item.geometry, item.id),
        cloud_cover=_number(properties.get("eo:cloud_cover") or 0, item.id),
        signing=provider.signing,
        s3=provider.s3,
        token=provider.token,
        checksums={band: text for band, text in checksums.items() if MULTIHASH.fullmatch(text)},
        nodata={band: number for band, stated in places.items() if (number := read_declared_nodata(stated))},
        grids={band: read_stated_grid(stated, properties) for band, stated in fields.items()},
    )


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise SceneError(f"item {name}: eo:cloud_cover is no number")
    return number


def name_assets(item: Item, names: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return band to asset name of an item, by ``names`` or as recognised; raises SceneError naming what is missing."""
    best = names or max(ASSET_NAMES, key=lambda known: sum(name in item.assets for name in known.values()))
    missing = [band for band in REQUIRED_BANDS if best[band] not in item.assets]
    if missing:
        raise SceneError(f"item {item.id} has no {', '.join(best[band] for band in missing)} asset")
    return {band: name for band, name in best.items() if name in item.assets}


def find_product(item: Item) -> str:
    """Return ESA's product name, which contains datatake start, baseline and tile; '' where the item does not have it."""
    for text in (*_list_texts(item.properties, PRODUCT_PROPERTIES), item.id):
        if match := PRODUCT.search(text):
            return match[0]
    return ""


def _list_texts(properties: Mapping[str, Any], names: Collection[str]) -> Iterator[str]:
    """Yield the properties of these names with any prefix."""
    yield from (str(value) for name, value in sorted(properties.items()) if name.rpartition(":")[2] in names)


def make_key(properties: Mapping[str, Any], time: dt.datetime, product: str = "") -> str:
    """Return the key of the datatake: platform and start; platform and minute where the start is missing or implausible."""
    for text in (*_list_texts(properties, ["datatake_id"]), product):
        match = DATATAKE.search(text)
        if match and abs(_parse_start(match[2]) - time) <= LONGEST_DATATAKE:
            return f"s2{match[1].lower()}_{match[2]}"
    return f"{_name_platform(properties, product)}_{time:%Y%m%dT%H%M}"


def _parse_start(text: str) -> dt.datetime:
    try:
        return dt.datetime.strptime(f"{text}+0000", "%Y%m%dT%H%M%S%z")
    except ValueError:  # digits that are not a date
        return dt.datetime.min.replace(tzinfo=dt.UTC)


def _name_platform(properties: Mapping[str, Any], product: str) -> str:
    text = str(properties.get("platform") or product[:3] or "sentinel-2").lower()
    return re.sub(r"[^a-z0-9]", "", re.sub(r"sentinel[- ]?", "s", text))[:8] or "s2"


def find_tile(properties: Mapping[str, Any], product: str = "") -> str:
    """Read the MGRS tile, as '33TWN'; '' where it is not given."""
    parts = "".join(str(properties.get(f"mgrs:{name}", "")) for name in ("utm_zone", "latitude_band", "grid_square"))
    for text in (properties.get("s2:mgrs_tile"), properties.get("grid:code"), parts, product):
        if match := re.search(r"(\d{1,2}[A-Z]{3})$", str(text or "").upper()):
            return match[1].zfill(5)
    return ""


def group_scenes(scenes: Iterable[Scene]) -> list[Datatake]:
    """Return scenes grouped into datatakes, by time; of each tile the newest baseline is used."""
    groups: dict[str, list[Scene]] = {}
    for scene in sorted(scenes, key=lambda s: s.id):
        groups.setdefault(scene.key, []).append(scene)
    datatakes = []
    for key, members in groups.items():
        newest = {tile: max(s.baseline for s in members if s.tile == tile) for tile in {s.tile for s in members}}
        kept = {s.id: s for s in members if s.baseline == newest[s.tile]}
        older = {s.id: s for s in members if s.id not in kept}
        datatakes.append(Datatake(key, min(s.time for s in kept.values()), tuple(kept.values()), tuple(older.values())))
    return sorted(datatakes, key=lambda datatake: (datatake.time, datatake.key))
