"""A simulated world that is watched for a year: areas with mines, and a catalogue that shows at each hour what is published.

Scenes come hours after the overpass, some days late, some once more with a newer processing; on bad nights the catalogue is
gone or cut off.  The truth about the mines is known, and so is every hour.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from pyproj import Transformer
from shapely.geometry import box

from benchmarks.accuracy import simulate_case
from minewatch.areas.aoi import Aoi, GridHint, write_aoi
from minewatch.areas.grid import reproject
from minewatch.core.files import publish_bytes
from minewatch.core.workspace import Workspace
from minewatch.simulation.settings import Simulation
from minewatch.simulation.stac import SceneGrid, place_scene_grid

PLACES = ((-69.9, -12.75, "tropical"), (22.15, 45.2, "temperate"))
"""Longitude, latitude and climate of the tiles, in turn."""

ROWS = 2
"""Of areas in a tile."""

LATE, REDONE = 0.2, 0.12
"""Share of scenes that come days late, and that come again."""


@dataclass(frozen=True)
class Scope:
    """How large the world is."""

    nights: int = 365
    """Watched."""

    areas: int = 20
    """Small squares side by side."""

    columns: int = 10
    """Of areas in a tile, which has ROWS of them."""

    seed: int = 1
    """Of everything that is drawn."""

    side: int = 64
    """Of an area, pixels of 10 m."""

    years: int = 3
    """Of history before the first night."""

    revisit: int = 10
    """Days between overpasses."""

    cloudiness: float = 0.35
    """Share of the ground behind cloud."""

    mines: int = 12
    """On each tile."""

    start: dt.date = dt.date(2024, 1, 1)
    """First night, and first day that may raise an alert."""

    @property
    def last(self) -> dt.date:
        """Last night."""
        return self.start + dt.timedelta(days=self.nights - 1)


@dataclass(frozen=True)
class Tile:
    """Scenes over some areas."""

    name: str
    lattice: SceneGrid
    series: Path
    """Scenes, and truth.gpkg."""

    @property
    def truth(self) -> Path:
        """What really happened."""
        return self.series / "truth.gpkg"


@dataclass(frozen=True)
class Release:
    """An item of the catalogue."""

    name: str
    shown: dt.datetime
    """When it is published, UTC."""
    gone: dt.datetime | None = None
    """When it is taken away, since a newer one is there; None = it stays."""


def make_tiles(scope: Scope, cache: Path) -> list[Tile]:
    """Simulate the scenes of all tiles, or find those that the same code made before."""
    tiles = []
    for number in range(-(-scope.areas // (ROWS * scope.columns))):
        longitude, latitude, climate = PLACES[number % len(PLACES)]
        settings = Simulation(
            seed=100 * scope.seed + number,
            longitude=longitude + 2.5 * (number // len(PLACES)),
            latitude=latitude,
            width=scope.columns * scope.side,
            height=ROWS * scope.side,
            first=scope.start.replace(year=scope.start.year - scope.years),
            last=scope.last,
            changes_from=scope.start + dt.timedelta(days=2),
            revisit_days=scope.revisit,
            cloudiness=scope.cloudiness,
            climate="temperate" if climate == "temperate" else "tropical",
            mines=scope.mines,
            clearings=1 if scope.side >= 60 else 0,
            burns=0,
            landslides=1 if scope.side >= 60 else 0,
            offset_share=0.5,
        )
        case = simulate_case(f"year t{number}", settings, cache)
        tiles.append(Tile(f"t{number}", place_scene_grid(settings), case.catalog.parent))
    return tiles


def list_areas(scope: Scope, tiles: list[Tile]) -> Iterator[Aoi]:
    """Return the areas: each tile is cut into squares, so that a mine on a seam is seen by two."""
    count = 0
    for tile in tiles:
        project = Transformer.from_crs(tile.lattice.epsg, 4326, always_xy=True)
        for row in range(ROWS):
            for column in range(scope.columns):
                if count == scope.areas:
                    return
                count += 1
                left = tile.lattice.left + 10 * scope.side * column
                top = tile.lattice.top - 10 * scope.side * row
                square = box(left + 1, top - 10 * scope.side + 1, left + 10 * scope.side - 1, top - 1)
                hint = GridHint(tile.lattice.epsg, (tile.lattice.left, tile.lattice.top))
                name = f"{tile.name}-{'ns'[row]}{column + 1}"
                yield Aoi(name, reproject(square, project), scope.start, grid=hint)


def write_areas(workspace: Workspace, scope: Scope, tiles: list[Tile]) -> list[str]:
    """Register the areas; gives their names."""
    areas = list(list_areas(scope, tiles))
    for area in areas:
        write_aoi(workspace, area)
    return [area.name for area in areas]


class World:
    """The catalogue on the disk, as it is at an hour."""

    def __init__(self, folder: Path, scope: Scope, tiles: list[Tile]) -> None:
        self.folder, self.scope = folder, scope
        self._collection: dict[str, Any] = {}
        self._random = np.random.default_rng([scope.seed, 77])
        self.late, self.redone = 0, 0
        folder.mkdir(parents=True)
        self.releases = [release for tile in tiles for release in self._lay_out(tile)]
        links = [{"rel": "root", "href": "./catalog.json"}, {"rel": "child", "href": "./collection.json"}]
        head = {"type": "Catalog", "stac_version": "1.0.0", "id": "world", "description": "A simulated year"}
        self.catalog = folder / "catalog.json"
        self._head = json.dumps({**head, "links": links}).encode()

    def _lay_out(self, tile: Tile) -> Iterator[Release]:
        """Put the scenes of a tile into the catalogue's folder, and say when each is shown."""
        self._collection = self._collection or json.loads((tile.series / "collection.json").read_text("utf-8"))
        begin = dt.datetime.combine(self.scope.start, dt.time(), dt.UTC)
        for source in sorted(path for path in tile.series.iterdir() if path.is_dir()):
            shutil.copytree(source, self.folder / source.name, copy_function=os.link)
            item = json.loads((source / f"{source.name}.json").read_text("utf-8"))
            taken = dt.datetime.fromisoformat(item["properties"]["datetime"])
            if taken < begin:
                yield Release(source.name, taken)
                continue
            yield from self._publish(source, item, taken)

    def _publish(self, source: Path, item: dict[str, Any], taken: dt.datetime) -> Iterator[Release]:
        draw = self._random.random(2)
        days = self._random.uniform(1, 12) if draw[0] < LATE else 0.0
        shown = taken + dt.timedelta(hours=float(self._random.uniform(6, 14)), days=float(days))
        self.late += days > 0
        first = Release(source.name, shown)
        if draw[1] >= REDONE:
            yield first
            return
        self.redone += 1
        again = shown + dt.timedelta(days=float(self._random.uniform(5, 40)))
        yield replace(first, gone=again) if self.redone % 2 else first
        yield Release(self._process_again(source, item), again)

    def _process_again(self, source: Path, item: dict[str, Any]) -> str:
        """Make the scene once more, of a newer baseline and a little brighter; gives the item's id."""
        name = source.name.replace("_0_L2A", "_1_L2A")
        folder = self.folder / name
        shutil.copytree(source, folder)
        (folder / f"{source.name}.json").unlink()
        major, minor = item["properties"]["s2:processing_baseline"].split(".")
        properties = {**item["properties"], "s2:processing_baseline": f"{major}.{int(minor) + 1:02d}", "s2:sequence": "1"}
        (folder / f"{name}.json").write_text(json.dumps({**item, "id": name, "properties": properties}), "utf-8")
        for path in folder.glob("B*.tif"):
            with rasterio.open(path) as raster:
                pixels, profile = raster.read(), raster.profile
            pixels = np.where(pixels > 0, pixels + 6, 0).astype(pixels.dtype)
            kept = {key: profile[key] for key in ("dtype", "width", "height", "count", "crs", "transform", "nodata", "compress")}
            with rasterio.open(path, "w", driver="COG", blocksize=128, **kept) as raster:
                raster.write(pixels)
        return name

    def count(self, now: dt.datetime) -> int:
        """Count the items that are shown at an hour."""
        return len(self._list(now))

    def _list(self, now: dt.datetime) -> list[str]:
        return [one.name for one in self.releases if one.shown <= now and (one.gone is None or now < one.gone)]

    def show(self, now: dt.datetime, trouble: str = "") -> None:
        """Write the catalogue as it is at an hour; ``trouble``: '' none, 'gone', or 'cut' in the middle of a document."""
        publish_bytes(self.catalog, self._head)
        items = [{"rel": "item", "href": f"./{n}/{n}.json", "type": "application/geo+json"} for n in self._list(now)]
        up = [{"rel": rel, "href": "./catalog.json", "type": "application/json"} for rel in ("root", "parent")]
        extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2015-01-01T00:00:00Z", None]]}}
        text = json.dumps({**self._collection, "extent": extent, "links": [*up, *items]}).encode()
        publish_bytes(self.folder / "collection.json", text[: len(text) // 2] if trouble == "cut" else text)
        if trouble == "gone":
            self.catalog.unlink()
