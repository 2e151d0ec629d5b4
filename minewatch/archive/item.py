"""Observations as STAC items: published last and by rename, read back as the newest version of each key."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pystac import Asset, Item
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from minewatch.drafts import TEMPORARY_PREFIX
from minewatch.errors import ArchiveError, WorkspaceError
from minewatch.files import Place, delete_files, list_names, publish_bytes, publish_json, read_files, upload
from minewatch.grid import Grid
from minewatch.harmonise import OffsetCheck
from minewatch.indices import LAYERS
from minewatch.meridian import find_bounds
from minewatch.scene import Datatake, Scene
from minewatch.scl import CIRRUS, CLEAR_CLASSES, CLOUD, NO_DATA
from minewatch.text import render_json
from minewatch.units import to_day

UNREAD_CLASSES = (NO_DATA, CLOUD, CIRRUS)
"""SCL classes under which indices may be left unread."""

UNREAD_MARGIN_M = 200
"""... where they fill a cell and this much around it."""

ARCHIVE_FORMAT = "c988a2f3e09018aa"
"""Change it, to "4" and so on, when an observation of the same scenes would be written otherwise: other layers, ranges, formulas,
blocks or unread cells.  Observations of other formats are made anew; descriptions may be polished without that.  This one is
called by the digest that earlier versions wrote, so that their archives hold."""

ITEM_CHECKSUM = "minewatch:checksum"
"""SHA-256 of an item's own bytes, with zeros where it stands itself; items of earlier versions have none."""

_OWN = re.compile(rb'("minewatch:checksum": ")([0-9a-f]{64})(")')


@dataclass(frozen=True)
class Observation:
    """One datatake on the grid of an area, as it lies in the archive."""

    key: str
    """Platform and start of the datatake."""

    time: dt.datetime
    """Acquisition, UTC."""

    version: int
    """1 for the first; a later version has more scenes or newer baselines."""

    digest: str
    """Format it was written in, ARCHIVE_FORMAT or an earlier one."""

    grid: str
    """The grid it lies on, as :func:`describe_grid` says."""

    sources: tuple[Mapping[str, Any], ...]
    """What it was made from: id, source, tile, baseline, offset, offset_reason, offset_check; none where all were refused."""

    clear_share: float
    """Share of the area's pixels whose SCL is one of CLEAR_CLASSES; for choosing pictures, whatever a pipeline takes as clear."""

    raster: Place
    """The COG."""

    item: Place
    """Its STAC item."""

    valid_share: float = 1.0
    """Share of the area's pixels that have data, clear or not."""

    refused: tuple[Mapping[str, Any], ...] = ()
    """Scenes that were left out because their pixels contradict the offset in their metadata."""

    @property
    def day(self) -> int:
        """Acquisition date in days since 1970-01-01."""
        return to_day(self.time.date())

    @property
    def source_ids(self) -> tuple[str, ...]:
        """Ids of the source items."""
        return tuple(str(source["id"]) for source in self.sources)


def sort_observations(observations: Iterable[Observation]) -> list[Observation]:
    """Put observations in order of acquisition; of one day by key, since its looks are joined in that order."""
    return sorted(observations, key=lambda observation: (observation.day, observation.key))


@dataclass(frozen=True)
class Draft:
    """A raster that was written and is not yet part of the archive."""

    take: Datatake
    """What it shows."""

    path: Place
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


def describe_grid(grid: Grid) -> str:
    """Name a grid by CRS, corner and shape."""
    left, _, _, top = grid.bounds
    return f"EPSG:{grid.epsg} {left:.3f} {top:.3f} {grid.shape[0]}x{grid.shape[1]}"


def is_current(digest: str, described: str, grid: Grid) -> bool:
    """True if what was written in this format, on the grid so described, counts today; what does not is made anew."""
    return digest == ARCHIVE_FORMAT and described == describe_grid(grid)


def hash_file(path: Path) -> str:
    """Give the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class Findings:
    """What is noted while a draft is written."""

    classes: Counter[int] = field(default_factory=Counter)
    """Pixels of each SCL class inside the area; 0 = no data."""

    unread_cells: int = 0
    """Cells in which indices were left unread under cloud."""

    checks: dict[str, OffsetCheck] = field(default_factory=dict)
    """By id of a scene: whether its pixels agree with the offset of its metadata."""

    refused: list[Scene] = field(default_factory=list)
    """Scenes left out."""


def hand_over(take: Datatake, path: Path, folder: Place, findings: Findings) -> Draft:
    """Make a draft of a raster that is whole.

    On a disk it keeps its temporary name.  Into an object store, which cannot rename, it is put under the name made from
    its content: it is part of the archive only with its item, and who writes it twice writes the same.
    """
    sha256, size = hash_file(path), path.stat().st_size
    target: Place = path
    if not isinstance(folder, Path):
        target = folder / name_raster(take, sha256)
        upload({path: target})
    classes = dict(sorted(findings.classes.items()))
    refused = tuple(sorted(findings.refused, key=lambda scene: scene.id))
    return Draft(take, target, sha256, size, classes, findings.unread_cells, findings.checks, refused)


def name_raster(take: Datatake, sha256: str) -> str:
    """Name a raster by what it shows and by its content."""
    return f"{take.key}_{sha256[:12]}.tif"


def publish(draft: Draft, grid: Grid, area: BaseGeometry, folder: Place, version: int) -> Observation:
    """Make a draft part of the archive; only the scan that holds the workspace calls this."""
    raster = folder / name_raster(draft.take, draft.sha256)
    item_path = folder / f"{raster.stem}_v{version}.json"
    if isinstance(draft.path, Path):
        try:
            draft.path.replace(str(raster))
        except OSError as error:
            raise WorkspaceError(f"cannot write in {folder}: {error.strerror}") from error
    document = _make_item(draft, grid, area, raster, version).to_dict(include_self_link=False, transform_hrefs=False)
    publish_bytes(item_path, _sign_item(document))
    return _parse_item(item_path, document)


def _sign_item(document: dict[str, Any]) -> bytes:
    """Render an item with its own checksum in it."""
    document["properties"][ITEM_CHECKSUM] = "0" * 64
    data = (render_json(document) + "\n").encode()
    return _OWN.sub(rb"\g<1>" + hash_item(data).encode() + rb"\g<3>", data, count=1)


def hash_item(data: bytes) -> str:
    """Give the SHA-256 of an item's bytes, with zeros where its own checksum stands."""
    return hashlib.sha256(_OWN.sub(rb"\g<1>" + b"0" * 64 + rb"\g<3>", data, count=1)).hexdigest()


def _make_item(draft: Draft, grid: Grid, area: BaseGeometry, raster: Place, version: int) -> Item:
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


def read_item(path: Place) -> Observation:
    """Read an observation's item; raises ArchiveError where it is damaged."""
    try:
        (data,) = read_files([path])
    except OSError as error:
        raise _damaged(path, error) from error
    return _parse_item(path, data)


def _damaged(path: Place, error: Exception) -> ArchiveError:
    return ArchiveError(f"{path} is damaged ({type(error).__name__}); delete it, the next scan makes it anew")


def _parse_item(path: Place, data: bytes | Mapping[str, Any]) -> Observation:
    try:
        document = json.loads(data.decode("utf-8")) if isinstance(data, bytes) else data
        properties = document["properties"]
        return Observation(
            key=properties["minewatch:key"],
            time=dt.datetime.fromisoformat(properties["datetime"]),
            version=int(properties["version"]),
            digest=properties["minewatch:digest"],
            grid=properties["minewatch:grid"],
            sources=tuple(properties["minewatch:sources"]),
            clear_share=_clear_share(properties["minewatch:scl_pixels"]),
            raster=path.parent / Path(document["assets"]["observation"]["href"]).name,
            item=path,
            valid_share=_valid_share(properties["minewatch:scl_pixels"]),
            refused=tuple(properties.get("minewatch:refused", ())),  # items of older formats have none; they are not used
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def _clear_share(classes: Mapping[str, int]) -> float:
    return sum(count for code, count in classes.items() if int(code) in CLEAR_CLASSES) / max(1, sum(classes.values()))


def _valid_share(classes: Mapping[str, int]) -> float:
    return sum(count for code, count in classes.items() if int(code) != NO_DATA) / max(1, sum(classes.values()))


def list_observations(folder: Place, grid: Grid) -> dict[str, Observation]:
    """Give the newest usable version of each key: written in today's format, on this grid, its raster there."""
    newest: dict[str, Observation] = {}
    names = list_names(folder)
    for observation in _read_items([folder / name for name in sorted(names) if _is_item(name)]):
        current = newest.get(observation.key)
        known = observation.raster.name in names
        fits = known and is_current(observation.digest, observation.grid, grid)
        if fits and (current is None or observation.version > current.version):
            newest[observation.key] = observation
    return newest


def _is_item(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(("collection", TEMPORARY_PREFIX))


def _read_items(paths: Sequence[Place]) -> list[Observation]:
    """Read many items: those of a disk one by one, those of an object store together."""
    if not paths or isinstance(paths[0], Path):
        return [read_item(path) for path in paths]
    return [_parse_item(path, data) for path, data in zip(paths, read_files(paths), strict=True)]


def write_collection(folder: Place, name: str, area: BaseGeometry, observations: Iterable[Observation]) -> None:
    """Write the STAC collection that lists the newest observations, so that any STAC reader can open the archive."""
    listed = sorted(observations, key=lambda o: (o.time, o.key))
    if not listed:
        return
    times = [listed[0].time.isoformat(), listed[-1].time.isoformat()]
    document = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": f"minewatch-{name}",
        "description": f"Observations of the area {name}: scl, {', '.join(x.name for x in LAYERS)}, one byte each on its grid",
        "license": "other",
        "extent": {"spatial": {"bbox": [list(find_bounds(area))]}, "temporal": {"interval": [times]}},
        "links": [{"rel": "item", "href": f"./{o.item.name}", "type": "application/geo+json"} for o in listed],
    }
    publish_json(folder / "collection.json", document)


def remove_drafts(folder: Place) -> None:
    """Delete what an interrupted scan left; only for the scan that holds the workspace."""
    delete_files(folder / name for name in list_names(folder) if name.startswith(TEMPORARY_PREFIX))
