"""The archive of observations: one datatake on the area's grid is one COG and its STAC item.

It only grows.  A worker writes the raster under a temporary name; the scan that holds the workspace renames it to
a name made from its content and then writes the item, last and by rename.  Readers take the newest version of each key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pystac import Asset, Item
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter
from rasterio.windows import Window as RasterWindow
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from minewatch.errors import ArchiveError, WorkspaceError
from minewatch.files import TEMPORARY_PREFIX, make_private_folder, publish_json, sync
from minewatch.grid import CELL, PIXEL, Grid, Window
from minewatch.indices import LAYERS, Layer
from minewatch.read import DatatakeReader, open_datatake
from minewatch.scene import Datatake
from minewatch.units import to_day

UNREAD_CLASSES = (0, 9, 10)
"""SCL classes under which indices may be left unread: no data, high-probability cloud, cirrus."""

UNREAD_MARGIN_M = 200
"""... where they fill a cell and this much around it."""

FORMAT = 1
"""Changes when files are written in another way; part of the digest."""

SCL_BAND = 1
"""Band of the raster that holds SCL; the layers follow in the order of LAYERS."""


def archive_digest(layers: Sequence[Layer] = LAYERS) -> str:
    """Name the settings that shape an observation; another digest means it is made anew."""
    shape = [FORMAT, CELL, UNREAD_MARGIN_M, UNREAD_CLASSES, [(x.name, x.bands, x.low, x.high, x.description) for x in layers]]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]


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
    """The settings that shaped it."""

    grid: str
    """The grid it lies on, as :func:`describe_grid` says."""

    sources: tuple[Mapping[str, Any], ...]
    """What it was made from: id, source, baseline, offset, offset_reason."""

    clear_share: float
    """Share of the area's pixels whose SCL is vegetation, bare, water or unclassified; for choosing pictures."""

    raster: Path
    """The COG."""

    item: Path
    """Its STAC item."""

    @property
    def day(self) -> int:
        """Acquisition date in days since 1970-01-01."""
        return to_day(self.time.date())

    @property
    def source_ids(self) -> tuple[str, ...]:
        """Ids of the source items."""
        return tuple(str(source["id"]) for source in self.sources)


@dataclass(frozen=True)
class Draft:
    """A raster that was written and is not yet part of the archive."""

    take: Datatake
    """What it shows."""

    path: Path
    """Temporary file in the archive's folder."""

    sha256: str
    """Of the file."""

    classes: Mapping[int, int]
    """Pixels of each SCL class inside the area; 0 = no data."""

    unread_cells: int
    """Cells in which indices were left unread under cloud."""


def describe_grid(grid: Grid) -> str:
    """Name a grid by CRS, corner and shape."""
    left, _, _, top = grid.bounds
    return f"EPSG:{grid.epsg} {left:.3f} {top:.3f} {grid.shape[0]}x{grid.shape[1]}"


def write_draft(take: Datatake, grid: Grid, folder: Path) -> Draft:
    """Read a datatake onto the grid and write it under a temporary name.

    Raises SceneError where a scene cannot be read; nothing is left behind then.
    """
    make_private_folder(folder)
    with tempfile.NamedTemporaryFile(prefix=TEMPORARY_PREFIX, suffix=".tif", dir=folder, delete=False) as file:
        path = Path(file.name)
    try:
        with open_datatake(take, grid) as reader, rasterio.open(path, "w", **_profile(grid)) as raster:
            _describe_bands(raster)
            classes: Counter[int] = Counter()
            unread = 0
            for strip in _strips(grid):
                counts, left_out = _copy_strip(reader, raster, grid, strip)
                classes.update(counts)
                unread += left_out
        path.chmod(0o600)
        sync(path)
        return Draft(take, path, hash_file(path), dict(sorted(classes.items())), unread)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _profile(grid: Grid) -> dict[str, Any]:
    height, width = grid.shape
    block = min(CELL, -(-max(height, width) // 16) * 16)
    return {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 1 + len(LAYERS),
        "dtype": "uint8",
        "nodata": 0,
        "crs": grid.crs,
        "transform": grid.transform,
        "tiled": True,
        "blockxsize": block,
        "blockysize": block,
        "interleave": "band",
        "compress": "zstd",
        "zstd_level": 1,
        "predictor": 2,
    }


def _describe_bands(raster: DatasetWriter) -> None:
    raster.set_band_description(SCL_BAND, "scl")
    for band, layer in enumerate(LAYERS, SCL_BAND + 1):
        raster.set_band_description(band, layer.name)
        raster.update_tags(band, meaning=layer.description)
    raster.scales = (1.0, *(layer.step for layer in LAYERS))
    raster.offsets = (0.0, *(layer.low - layer.step for layer in LAYERS))


def _strips(grid: Grid) -> Iterator[Window]:
    height, width = grid.shape
    for row in range(0, height, CELL):
        yield Window(row, 0, min(CELL, height - row), width)


def _copy_strip(reader: DatatakeReader, raster: DatasetWriter, grid: Grid, strip: Window) -> tuple[Counter[int], int]:
    margin = UNREAD_MARGIN_M // PIXEL
    around = strip.grow(margin, grid.shape)
    classes, origin = reader.read_scl(around)
    target = RasterWindow(strip.column, strip.row, strip.width, strip.height)
    inner = strip.within(around)
    raster.write(classes[inner], SCL_BAND, window=target)
    layers = np.zeros((len(LAYERS), *strip.shape), np.uint8)
    unread = 0
    for cell in _cells(strip):
        if np.isin(classes[cell.grow(margin, grid.shape).within(around)], UNREAD_CLASSES).all():
            unread += 1
        else:
            _fill_cell(reader, layers, strip, cell, origin[cell.within(around)])
    for band, layer in enumerate(layers, SCL_BAND + 1):
        raster.write(layer, band, window=target)
    counts = np.bincount(classes[inner][grid.inside(strip)], minlength=12)
    return Counter({code: int(count) for code, count in enumerate(counts) if count}), unread


def _cells(strip: Window) -> Iterator[Window]:
    for column in range(strip.column, strip.column + strip.width, CELL):
        yield Window(strip.row, column, strip.height, min(CELL, strip.column + strip.width - column))


def _fill_cell(reader: DatatakeReader, layers: NDArray[np.uint8], strip: Window, cell: Window, origin: NDArray[np.int8]) -> None:
    names = sorted({name for layer in LAYERS for name in layer.bands})
    bands = {name: reader.read_reflectance(name, cell, origin) for name in names}
    for index, layer in enumerate(LAYERS):
        layers[index][cell.within(strip)] = layer.encode(bands)


def hash_file(path: Path) -> str:
    """Give the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def publish(draft: Draft, grid: Grid, area: BaseGeometry, folder: Path, version: int) -> Observation:
    """Make a draft part of the archive; only the scan that holds the workspace calls this."""
    stem = f"{draft.take.key}_{draft.sha256[:12]}"
    raster, item_path = folder / f"{stem}.tif", folder / f"{stem}_v{version}.json"
    try:
        draft.path.replace(raster)
    except OSError as error:
        raise WorkspaceError(f"cannot write in {folder}: {error.strerror}") from error
    publish_json(
        item_path, _make_item(draft, grid, area, raster, version).to_dict(include_self_link=False, transform_hrefs=False)
    )
    return read_item(item_path)


def _make_item(draft: Draft, grid: Grid, area: BaseGeometry, raster: Path, version: int) -> Item:
    take = draft.take
    item = Item(
        id=f"{raster.stem}_v{version}",
        geometry=mapping(area),
        bbox=list(area.bounds),
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
            "minewatch:digest": archive_digest(),
            "minewatch:sources": [_describe_source(scene) for scene in take.scenes],
            "minewatch:scl_pixels": {str(code): count for code, count in draft.classes.items()},
            "minewatch:unread_cells": draft.unread_cells,
        },
        stac_extensions=[
            "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
            "https://stac-extensions.github.io/file/v2.1.0/schema.json",
            "https://stac-extensions.github.io/version/v1.2.0/schema.json",
        ],
    )
    extra = {"file:checksum": f"1220{draft.sha256}", "file:size": raster.stat().st_size}
    media = "image/tiff; application=geotiff; profile=cloud-optimized"
    item.add_asset("observation", Asset(f"./{raster.name}", media_type=media, roles=["data"], extra_fields=extra))
    return item


def _describe_source(scene: Any) -> dict[str, Any]:
    return {
        "id": scene.id,
        "source": scene.source,
        "tile": scene.tile,
        "cloud_cover": scene.cloud_cover,
        "baseline": "{:02d}.{:02d}".format(*scene.baseline),
        "offset": scene.offset,
        "offset_reason": scene.offset_reason,
    }


def read_item(path: Path) -> Observation:
    """Read an observation's item; raises ArchiveError where it is damaged."""
    try:
        document = json.loads(path.read_text("utf-8"))
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
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{path} is damaged ({type(error).__name__}); delete it, the next scan makes it anew") from error


def _clear_share(classes: Mapping[str, int]) -> float:
    return sum(count for code, count in classes.items() if code in ("4", "5", "6", "7")) / max(1, sum(classes.values()))


def list_observations(folder: Path, grid: Grid) -> dict[str, Observation]:
    """Give the newest usable version of each key: made with today's settings, on this grid, its raster there."""
    newest: dict[str, Observation] = {}
    for path in sorted(folder.glob("*.json")):
        if path.name.startswith(("collection", TEMPORARY_PREFIX)):
            continue
        observation = read_item(path)
        current = newest.get(observation.key)
        fits = observation.digest == archive_digest() and observation.grid == describe_grid(grid) and observation.raster.exists()
        if fits and (current is None or observation.version > current.version):
            newest[observation.key] = observation
    return newest


def write_collection(folder: Path, name: str, area: BaseGeometry, observations: Iterable[Observation]) -> None:
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
        "extent": {"spatial": {"bbox": [list(area.bounds)]}, "temporal": {"interval": [times]}},
        "links": [{"rel": "item", "href": f"./{o.item.name}", "type": "application/geo+json"} for o in listed],
    }
    publish_json(folder / "collection.json", document)


def remove_drafts(folder: Path) -> None:
    """Delete what an interrupted scan left; only for the scan that holds the workspace."""
    for path in folder.glob(f"{TEMPORARY_PREFIX}*"):
        path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Stack:
    """A window of the archive through time."""

    days: NDArray[np.int32]
    """(time,) days since 1970-01-01, ascending; a day may come twice (two keys)."""

    scl: NDArray[np.uint8]
    """(time, y, x) SCL codes, 0 = no data."""

    codes: NDArray[np.uint8]
    """(layer, time, y, x) codes of the layers, in the order of LAYERS, 0 = no data."""

    def layer(self, name: str) -> NDArray[np.int16]:
        """Give a layer's values, (time, y, x) int16 x 10 000, -32768 = no data."""
        index = [layer.name for layer in LAYERS].index(name)
        return LAYERS[index].decode(self.codes[index])

    def crop(self, inner: tuple[slice, slice]) -> Stack:
        """Cut a window out of it."""
        return Stack(self.days, self.scl[:, *inner], self.codes[:, :, *inner])


def read_stack(observations: Sequence[Observation], window: Window) -> Stack:
    """Read a window of the observations, in order of acquisition; raises ArchiveError where a file is damaged."""
    ordered = sorted(observations, key=lambda o: (o.day, o.key))
    codes = np.zeros((1 + len(LAYERS), len(ordered), *window.shape), np.uint8)
    for index, observation in enumerate(ordered):
        codes[:, index] = _read_codes(observation, window)
    return Stack(np.array([o.day for o in ordered], np.int32), codes[0], codes[1:])


def _read_codes(observation: Observation, window: Window) -> NDArray[np.uint8]:
    try:
        with rasterio.open(observation.raster, driver="GTiff") as raster:
            part = raster.read(window=RasterWindow(window.column, window.row, window.width, window.height))
    except (RasterioError, OSError) as error:
        raise ArchiveError(f"{observation.raster} cannot be read; delete it, the next scan fetches it again") from error
    return np.asarray(part, np.uint8)
