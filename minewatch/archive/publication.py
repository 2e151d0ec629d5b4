"""Temporary rasters, and how the scan that holds the lock makes them part of the archive."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pystac import Asset, Item
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from minewatch.archive.item import ARCHIVE_FORMAT, BROKEN_PIXELS, READ_PIXEL, Observation, describe_grid, parse_item, sign_item
from minewatch.archive.stac_item import COG_TYPE, AssetFile, complete_item, locate_from, name_collection
from minewatch.areas.antimeridian import find_bounds
from minewatch.areas.grid import Grid
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import AnyPath, delete_files, list_names, publish_bytes, upload
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.sources.reflectance_offset import OffsetCheck
from minewatch.sources.scene import Datatake, Scene


@dataclass
class WriteStats:
    """Statistics of a raster, gathered while it is written."""

    read_pixel: int
    """Metres of the pixels that were asked for of bands of 10 m."""

    classes: Counter[int] = field(default_factory=Counter)
    """Pixels of each SCL class inside the area; 0 = no data."""

    broken: Counter[int] = field(default_factory=Counter)
    """Pixels inside the area, by their SCL class, that are no reflectance; they are among ``classes`` as no data."""

    received: int = 0
    """Bytes fetched over the line for it."""

    unread_blocks: int = 0
    """Blocks whose layers were left unread under cloud."""

    checks: dict[str, OffsetCheck] = field(default_factory=dict)
    """Scene id, used or refused, to whether its pixels agree with the offset in its metadata."""

    refused: list[Scene] = field(default_factory=list)
    """Scenes left out because their pixels contradict their metadata, by id."""


@dataclass(frozen=True)
class TempRaster:
    """A raster that was written and is not yet part of the archive."""

    datatake: Datatake
    """What it shows."""

    path: AnyPath
    """Temporary file in the archive's folder; an object store has it under its own name at once."""

    sha256: str
    """Of the file."""

    size: int
    """Bytes of the file."""

    stats: WriteStats
    """Of its pixels and scenes."""


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finish_temp_raster(datatake: Datatake, path: Path, folder: AnyPath, stats: WriteStats) -> TempRaster:
    """Hash a complete raster and return it as a TempRaster.

    On a disk it keeps its temporary name.  An object store cannot rename: there it is uploaded under its final name, which is
    made from its content, and becomes part of the archive with its item.
    """
    sha256, size = hash_file(path), path.stat().st_size
    target: AnyPath = path
    if not isinstance(folder, Path):
        target = folder / name_raster(datatake, sha256)
        upload({path: target})
    return TempRaster(datatake, target, sha256, size, stats)


def name_raster(datatake: Datatake, sha256: str) -> str:
    """Return the name of a raster: its datatake and the hash of its content."""
    return f"{datatake.key}_{sha256[:12]}.tif"


def publish(temp: TempRaster, grid: Grid, area: BaseGeometry, folder: AnyPath, version: int) -> Observation:
    """Make a temporary raster part of the archive; only for the scan that holds the lock."""
    raster = folder / name_raster(temp.datatake, temp.sha256)
    item_path = folder / f"{raster.stem}_v{version}.json"
    if isinstance(temp.path, Path):
        try:
            temp.path.replace(str(raster))
        except OSError as error:
            raise WorkspaceError(f"cannot write in {folder}: {error.strerror}") from error
    document = _make_item(temp, grid, area, raster, version).to_dict(include_self_link=False, transform_hrefs=False)
    scenes = temp.datatake.scenes
    sources = {scene.id: locate_from(scene.href, folder) for scene in scenes}
    complete_item(document, name_collection(folder.name), list(dict.fromkeys(scene.terms for scene in scenes)), sources)
    publish_bytes(item_path, sign_item(document))
    return parse_item(item_path, document)


def _make_item(temp: TempRaster, grid: Grid, area: BaseGeometry, raster: AnyPath, version: int) -> Item:
    datatake = temp.datatake
    item = Item(
        id=f"{raster.stem}_v{version}",
        geometry=mapping(area),
        bbox=list(find_bounds(area)),
        datetime=datatake.time,
        properties={
            "platform": datatake.key.split("_")[0],
            "constellation": "sentinel-2",
            "version": str(version),
            "proj:code": f"EPSG:{grid.epsg}",
            "proj:shape": list(grid.shape),
            "proj:transform": list(grid.transform)[:6],
            "minewatch:key": datatake.key,
            "minewatch:grid": describe_grid(grid),
            "minewatch:digest": ARCHIVE_FORMAT,
            "minewatch:sources": [_describe_source(scene, temp.stats.checks.get(scene.id)) for scene in datatake.scenes],
            "minewatch:refused": [_describe_source(scene, temp.stats.checks.get(scene.id)) for scene in temp.stats.refused],
            "minewatch:scl_pixels": {str(code): count for code, count in sorted(temp.stats.classes.items())},
            BROKEN_PIXELS: {str(code): count for code, count in sorted(temp.stats.broken.items())},
            READ_PIXEL: temp.stats.read_pixel,
            "minewatch:unread_cells": temp.stats.unread_blocks,
        },
    )
    fields = AssetFile(f"./{raster.name}", temp.sha256, temp.size).as_fields()
    item.add_asset("observation", Asset(fields.pop("href"), media_type=COG_TYPE, roles=["data"], extra_fields=fields))
    return item


def _describe_source(scene: Scene, check: OffsetCheck | None) -> dict[str, Any]:
    return {
        "id": scene.id,
        "source": scene.source,
        "tile": scene.tile,
        "cloud_cover": scene.cloud_cover,
        "baseline": "{:02d}.{:02d}".format(*scene.baseline),
        "offset": scene.offset,
        "offset_reason": scene.offset_reason,
    } | (check.as_record() if check else {})


def remove_temp_rasters(folder: AnyPath) -> None:
    """Delete what an interrupted scan left; only for the scan that holds the lock."""
    delete_files(folder / name for name in list_names(folder) if name.startswith(TEMPORARY_PREFIX))
