"""Drafts: rasters that are written, and how the scan that holds the workspace makes them part of the archive."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pystac import Asset, Item
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from minewatch.archive.item import ARCHIVE_FORMAT, Observation, describe_grid, parse_item, sign_item
from minewatch.areas.antimeridian import find_bounds
from minewatch.areas.grid import Grid
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import AnyPath, delete_files, list_names, publish_bytes, upload
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.sources.reflectance_offset import OffsetCheck
from minewatch.sources.scene import Datatake, Scene


@dataclass(frozen=True)
class TempRaster:
    """A raster that was written and is not yet part of the archive."""

    take: Datatake
    """What it shows."""

    path: AnyPath
    """Temporary file in the archive's folder; an object store has it under its own name at once."""

    sha256: str
    """Of the file."""

    size: int
    """Bytes of the file."""

    classes: Mapping[int, int]
    """Pixels of each SCL class inside the area; 0 = no data."""

    unread_cells: int
    """Cells in which indices were left unread under cloud."""

    checks: Mapping[str, OffsetCheck]
    """By id of a scene, used or refused: whether its pixels agree with the offset of its metadata."""

    refused: tuple[Scene, ...]
    """Scenes that were left out since they do not."""


@dataclass
class WriteStats:
    """What is noted while a draft is written."""

    classes: Counter[int] = field(default_factory=Counter)
    """Pixels of each SCL class inside the area; 0 = no data."""

    unread_cells: int = 0
    """Cells in which indices were left unread under cloud."""

    checks: dict[str, OffsetCheck] = field(default_factory=dict)
    """By id of a scene: whether its pixels agree with the offset of its metadata."""

    refused: list[Scene] = field(default_factory=list)
    """Scenes left out."""


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hand_over(take: Datatake, path: Path, folder: AnyPath, findings: WriteStats) -> TempRaster:
    """Make a draft of a raster that is whole.

    On a disk it keeps its temporary name.  Into an object store, which cannot rename, it is put under the name made from
    its content: it is part of the archive only with its item, and who writes it twice writes the same.
    """
    sha256, size = hash_file(path), path.stat().st_size
    target: AnyPath = path
    if not isinstance(folder, Path):
        target = folder / name_raster(take, sha256)
        upload({path: target})
    classes = dict(sorted(findings.classes.items()))
    refused = tuple(sorted(findings.refused, key=lambda scene: scene.id))
    return TempRaster(take, target, sha256, size, classes, findings.unread_cells, findings.checks, refused)


def name_raster(take: Datatake, sha256: str) -> str:
    """Name a raster by what it shows and by its content."""
    return f"{take.key}_{sha256[:12]}.tif"


def publish(draft: TempRaster, grid: Grid, area: BaseGeometry, folder: AnyPath, version: int) -> Observation:
    """Make a draft part of the archive; only the scan that holds the workspace calls this."""
    raster = folder / name_raster(draft.take, draft.sha256)
    item_path = folder / f"{raster.stem}_v{version}.json"
    if isinstance(draft.path, Path):
        try:
            draft.path.replace(str(raster))
        except OSError as error:
            raise WorkspaceError(f"cannot write in {folder}: {error.strerror}") from error
    document = _make_item(draft, grid, area, raster, version).to_dict(include_self_link=False, transform_hrefs=False)
    publish_bytes(item_path, sign_item(document))
    return parse_item(item_path, document)


def _make_item(draft: TempRaster, grid: Grid, area: BaseGeometry, raster: AnyPath, version: int) -> Item:
    take = draft.take
    item = Item(
        id=f"{raster.stem}_v{version}",
        geometry=mapping(area),
        bbox=list(find_bounds(area)),
        datetime=take.time,
        properties={
            "platform": take.key.split("_")[0],
            "constellation": "sentinel-2",
            "version": str(version),
            "proj:code": f"EPSG:{grid.epsg}",
            "proj:shape": list(grid.shape),
            "proj:transform": list(grid.transform)[:6],
            "minewatch:key": take.key,
            "minewatch:grid": describe_grid(grid),
            "minewatch:digest": ARCHIVE_FORMAT,
            "minewatch:sources": [_describe_source(scene, draft.checks.get(scene.id)) for scene in take.scenes],
            "minewatch:refused": [_describe_source(scene, draft.checks.get(scene.id)) for scene in draft.refused],
            "minewatch:scl_pixels": {str(code): count for code, count in draft.classes.items()},
            "minewatch:unread_cells": draft.unread_cells,
        },
        stac_extensions=[
            "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
            "https://stac-extensions.github.io/file/v2.1.0/schema.json",
            "https://stac-extensions.github.io/version/v1.2.0/schema.json",
        ],
    )
    extra = {"file:checksum": f"1220{draft.sha256}", "file:size": draft.size}
    media = "image/tiff; application=geotiff; profile=cloud-optimized"
    item.add_asset("observation", Asset(f"./{raster.name}", media_type=media, roles=["data"], extra_fields=extra))
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
    """Delete what an interrupted scan left; only for the scan that holds the workspace."""
    delete_files(folder / name for name in list_names(folder) if name.startswith(TEMPORARY_PREFIX))
