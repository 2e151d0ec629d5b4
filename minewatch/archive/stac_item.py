"""The STAC side of an observation: links, collection, providers, licence and named bands.

Nothing here decides whether an observation is used: descriptions may change without ARCHIVE_FORMAT.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from minewatch.archive.item import ITEM_CHECKSUM, Observation, describe_grid, parse_item, read_terms
from minewatch.areas.antimeridian import cut_halves, find_bounds
from minewatch.areas.grid import Grid, lonlat_from, reproject
from minewatch.core.errors import MinewatchError
from minewatch.core.files import AnyPath, publish_bytes, read_files
from minewatch.core.text import render_json
from minewatch.core.url_policy import is_web
from minewatch.raster.indices import EMPTY, LAYERS
from minewatch.settings.credits import SENTINEL_TERMS, UNSTATED, DataTerms, credit_data, list_license_links
from minewatch.settings.providers import BANDS, PROVIDERS

COLLECTION = "collection.json"
"""Name of the collection, which lies beside its items and is their root."""

ROOT = f"./{COLLECTION}"

ITEM_TYPE, JSON_TYPE = "application/geo+json", "application/json"

COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"

EXTENSIONS = tuple(
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in ("projection/v2.0.0", "file/v2.1.0", "version/v1.2.0", "eo/v2.0.0", "raster/v2.0.0")
)
"""Extensions of STAC whose fields an item has."""


GRID_FIELDS = ("proj:code", "proj:shape", "proj:transform", "minewatch:grid")
"""Properties of an item that say on which grid its raster lies."""

ASSET_FIELDS = ("href", "file:checksum", "file:size")
"""Fields of an asset that say which file it is."""


@dataclass(frozen=True)
class AssetFile:
    """A file that an item names."""

    href: str
    """Relative to the item, ``./NAME.tif``."""

    sha256: str
    """Of its bytes, hexadecimal."""

    size: int
    """Bytes."""

    def as_fields(self) -> dict[str, Any]:
        """Return it as STAC's file extension has it: a multihash, sha2-256 of 32 bytes."""
        return dict(zip(ASSET_FIELDS, (self.href, f"1220{self.sha256}", self.size), strict=True))


def list_bands() -> list[dict[str, Any]]:
    """Return the bands of an observation's raster in order, as STAC 1.1 has them."""
    layers = [
        {
            "name": layer.name,
            "description": layer.description,
            "data_type": "uint8",
            "nodata": EMPTY,
            "raster:scale": round(layer.step, 12),
            "raster:offset": round(layer.low - layer.step, 12),
        }
        | ({"eo:common_name": layer.name} if layer.name in BANDS else {})
        for layer in LAYERS
    ]
    return [{"name": "scl", "description": "scene classification of Sen2Cor", "data_type": "uint8", "nodata": 0}, *layers]


def describe_terms(terms: Sequence[DataTerms]) -> dict[str, Any]:
    """Return license and providers; where a catalogue states none, those of Sentinel data."""
    stated = [one.or_else(DataTerms(license="other") if one.is_simulated else SENTINEL_TERMS) for one in terms]
    known = stated or [SENTINEL_TERMS]
    names = {one.license for one in known}
    providers = {provider.name: provider.as_record() for one in known for provider in one.providers}
    return {"license": names.pop() if len(names) == 1 else "other", "providers": list(providers.values())}


def complete_item(document: dict[str, Any], collection: str, terms: Sequence[DataTerms], sources: Mapping[str, str]) -> None:
    """Give an item collection, links, bands, providers and licence; ``sources`` are ids and addresses of its source items."""
    document["stac_extensions"] = list(EXTENSIONS)
    document["collection"] = collection
    document["links"] = [
        {"rel": "self", "href": f"./{document['id']}.json", "type": ITEM_TYPE},
        *({"rel": rel, "href": ROOT, "type": JSON_TYPE} for rel in ("root", "parent", "collection")),
        *({"rel": "derived_from", "href": href, "type": ITEM_TYPE, "title": name} for name, href in sources.items() if href),
        *list_license_links(terms or [SENTINEL_TERMS]),
    ]
    document["properties"] |= describe_terms(terms)
    document["assets"]["observation"]["bands"] = list_bands()


def locate_from(href: str, folder: AnyPath) -> str:
    """Return the address of a source item, relative to a folder where both lie on this machine."""
    if not href or is_web(href) or "://" in href:
        return href
    return Path(os.path.relpath(href, folder)).as_posix() if isinstance(folder, Path) else Path(href).resolve().as_uri()


class ItemRewriter:
    """Rewrites an item of the archive for rasters that were cut from its own: what all cuts share is rendered once."""

    def __init__(self, data: bytes, assets: Collection[str], *, item: str, folder: Path, source_folder: Path) -> None:
        """Take an item that lies in ``source_folder``, for files called ``item`` in ``folder`` or a folder beside its parent.

        Key, sources, format and counts of classes stay those of the whole observation.  Items of earlier versions get what they
        lack.  Raises ArchiveError where ``data`` is damaged.
        """
        observation = parse_item(source_folder / item, data)
        document = json.loads(data)
        mark = secrets.token_hex(16)  # no text of a catalogue holds it
        document |= {"id": Path(item).stem, "geometry": f"{mark}geometry", "bbox": f"{mark}bbox"}
        document["properties"] |= {name: mark + name for name in GRID_FIELDS}
        for name in assets:
            fields = {field: f"{mark}{name} {field}" for field in ASSET_FIELDS}
            document["assets"].setdefault(name, {"type": COG_TYPE, "roles": ["data"]}).update(fields)
        known = {str(link.get("title")): str(link["href"]) for link in document["links"] if link["rel"] == "derived_from"}
        sources = {
            name: locate_from(_resolve(known[name], source_folder) if name in known else _find_address(source), folder)
            for source in observation.sources
            for name in [str(source["id"])]
        }
        complete_item(document, f"{mark}collection", [observation.terms], sources)
        document["properties"][ITEM_CHECKSUM] = mark + ITEM_CHECKSUM
        self._parts = re.split(f'"{mark}(.*?)"', render_json(document) + "\n")

    def rewrite(self, place: Mapping[str, str], assets: Mapping[str, AssetFile]) -> bytes:
        """Return the item for a cut of this ``place``, see :func:`render_place`, with these files."""
        values = dict(place)
        for name, file in assets.items():
            values |= {f"{name} {field}": render_json(value) for field, value in file.as_fields().items()}
        values[ITEM_CHECKSUM] = f'"{"0" * 64}"'
        texts = list(self._parts)
        texts[1::2] = [values[name] for name in self._parts[1::2]]
        checksum = hashlib.sha256("".join(texts).encode()).hexdigest()
        texts[self._parts.index(ITEM_CHECKSUM)] = f'"{checksum}"'
        return "".join(texts).encode()


def render_place(grid: Grid, folder: Path) -> dict[str, str]:
    """Return what the items of cuts to ``grid``, beside each other in ``folder``, say of their place, as JSON."""
    outline = outline_grid(grid)
    fields: dict[str, Any] = {
        "proj:code": f"EPSG:{grid.epsg}",
        "proj:shape": list(grid.shape),
        "proj:transform": list(grid.transform)[:6],
        "minewatch:grid": describe_grid(grid),
    }
    top: dict[str, Any] = {
        "geometry": mapping(outline),
        "bbox": list(find_bounds(outline)),
        "collection": name_collection(folder.parent.name),
    }
    indented = ((values, "\n" + " " * depth) for depth, values in enumerate((top, fields), 1))
    return {name: render_json(value).replace("\n", indent) for values, indent in indented for name, value in values.items()}


def _resolve(href: str, folder: Path) -> str:
    return href if is_web(href) or "://" in href else str(folder / href)


def _find_address(source: Mapping[str, Any]) -> str:
    """Return the address that an API gives an item (OGC API - Features), for items that were archived without it."""
    provider = PROVIDERS.get(str(source["source"]))
    return f"{provider.root}/collections/{provider.collection}/items/{source['id']}" if provider else ""


def outline_grid(grid: Grid) -> BaseGeometry:
    """Return the rectangle of a grid in lon/lat."""
    left, bottom, right, top = grid.bounds
    return cut_halves(reproject(shapely.box(left, bottom, right, top), lonlat_from(grid.epsg)))


def credit_observations(observations: Iterable[Observation]) -> str:
    """Return the words of credit for what is made from observations."""
    known = list(observations)
    return credit_data([o.terms for o in known], [o.time.year for o in known])


# --- the collection --------------------------------------------------------------------------------------------------


def render_collection(name: str, description: str, area: BaseGeometry, observations: Iterable[Observation]) -> bytes:
    """Render the STAC collection of observations whose items lie beside it; there must be one at least."""
    listed = sorted(observations, key=lambda o: (o.time, o.key))
    terms = list(dict.fromkeys(o.terms for o in listed))
    document = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "stac_extensions": [url for url in EXTENSIONS if "/eo/" in url or "/raster/" in url],
        "id": name,
        "description": f"{description}. {credit_observations(listed)}",
        **describe_terms(terms),
        "extent": {
            "spatial": {"bbox": [list(find_bounds(area))]},
            "temporal": {"interval": [[listed[0].time.isoformat(), listed[-1].time.isoformat()]]},
        },
        "summaries": {
            "platform": sorted({o.key.split("_")[0] for o in listed}),
            "constellation": ["sentinel-2"],
        },
        "item_assets": {"observation": {"type": COG_TYPE, "roles": ["data"], "bands": list_bands()}},
        "links": [
            {"rel": "self", "href": ROOT, "type": JSON_TYPE},
            {"rel": "root", "href": ROOT, "type": JSON_TYPE},
            *list_license_links(terms),
            *({"rel": "item", "href": f"./{o.item.name}", "type": ITEM_TYPE} for o in listed),
        ],
    }
    return (render_json(document) + "\n").encode()


def name_collection(area: str) -> str:
    """Return the id of the collection of an area's archive."""
    return f"minewatch-{area}"


def write_collection(folder: AnyPath, name: str, area: BaseGeometry, observations: Iterable[Observation]) -> None:
    """Write the STAC collection that lists the newest observations, so that any STAC reader can open the archive."""
    listed = list(observations)
    if listed:
        names = ", ".join(band["name"] for band in list_bands())
        description = f"Observations of the area {name}: {names}, one byte each on its grid"
        publish_bytes(folder / COLLECTION, render_collection(name_collection(name), description, area, listed))


def read_collection_terms(folder: AnyPath) -> DataTerms:
    """Return what the collection in a folder says on its data; nothing where there is none, or a damaged one."""
    try:
        return read_terms(json.loads(read_files([folder / COLLECTION])[0].decode("utf-8")))
    except (OSError, MinewatchError, ValueError, AttributeError):
        return UNSTATED
