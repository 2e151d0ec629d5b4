"""Writes MBTiles 1.3: a picture as tiles in one file, which maps on a phone show without a network."""

from __future__ import annotations

import contextlib
import io
import sqlite3
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from minewatch.raster.web_tiles import SIDE, Tile, TileSource, opening_sources, read_tile

JPEG, PNG = "jpg", "png"
"""Forms of tiles: JPEG for pictures without holes, PNG for those whose rest is transparent."""

PAPER = 255
"""Brightness where a tile without transparency shows nothing."""

Render = Callable[[NDArray[np.generic]], NDArray[np.uint8]]


@dataclass(frozen=True)
class TileLayer:
    """A picture that becomes a file of tiles."""

    name: str
    """Stem of its file."""

    title: str
    """What people call it."""

    sources: Mapping[TileSource, Render]
    """Rasters, the later ones above, each with what makes red, green and blue, 0 to 255, of its numbers."""

    form: str
    """JPEG or PNG."""

    credit: str = ""
    """The credit that the licence of the data asks for."""


def write_mbtiles(path: Path, layer: TileLayer, tiles: Collection[Tile], quality: int) -> int:
    """Write the tiles that show anything of a layer; return how many there are.  ``quality`` is that of JPEG, 1 to 95.

    Raises ImageError where a raster cannot be read.
    """
    with contextlib.closing(sqlite3.connect(path)) as connection, connection, opening_sources(layer.sources) as opened:
        connection.execute("CREATE TABLE metadata (name TEXT, value TEXT)")
        connection.execute("CREATE TABLE tiles (zoom_level INTEGER, tile_column INTEGER, tile_row INTEGER, tile_data BLOB)")
        connection.execute("CREATE UNIQUE INDEX tile_index ON tiles (zoom_level, tile_column, tile_row)")
        written = []
        for tile in sorted(tiles):
            colours, known = np.full((SIDE, SIDE, 3), PAPER, np.uint8), np.zeros((SIDE, SIDE), bool)
            for source, raster, bounds in opened:
                if _touches(tile, bounds):
                    values, there = read_tile(source, raster, tile)
                    colours[there] = layer.sources[source](values)[there]
                    known |= there
            if known.any():
                data = _encode(colours, known, layer.form, quality)
                rows_from_south = 2**tile.zoom - 1 - tile.row
                connection.execute("INSERT INTO tiles VALUES (?, ?, ?, ?)", (tile.zoom, tile.column, rows_from_south, data))
                written.append(tile)
        connection.executemany("INSERT INTO metadata VALUES (?, ?)", _describe(layer, written).items())
    return len(written)


def _touches(tile: Tile, bounds: tuple[float, ...]) -> bool:
    west, south, east, north = find_bounds(tile)
    return west <= bounds[2] and east >= bounds[0] and south <= bounds[3] and north >= bounds[1]


def find_bounds(tile: Tile) -> tuple[float, float, float, float]:
    """Return west, south, east and north of a tile, degrees."""
    count = 2**tile.zoom
    west, east = (360 * column / count - 180 for column in (tile.column, tile.column + 1))
    north, south = (float(np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * row / count))))) for row in (tile.row, tile.row + 1))
    return west, south, east, north


def _encode(colours: NDArray[np.uint8], known: NDArray[np.bool_], form: str, quality: int) -> bytes:
    file = io.BytesIO()
    if form == JPEG:
        Image.fromarray(colours).save(file, "JPEG", quality=quality, optimize=True)
    else:
        opacity = np.where(known, 255, 0).astype(np.uint8)
        Image.fromarray(np.dstack([colours, opacity])).save(file, "PNG", optimize=True)
    return file.getvalue()


def _describe(layer: TileLayer, tiles: Collection[Tile]) -> dict[str, str]:
    zooms = sorted({tile.zoom for tile in tiles}) or [0]
    facts = {
        "name": layer.title,
        "format": layer.form,
        "type": "overlay" if layer.form == PNG else "baselayer",
        "version": "1.3",
        "attribution": layer.credit,
        "minzoom": str(zooms[0]),
        "maxzoom": str(zooms[-1]),
    }
    finest = np.array([find_bounds(tile) for tile in tiles if tile.zoom == zooms[-1]])
    if len(finest):
        box = *finest[:, :2].min(axis=0), *finest[:, 2:].max(axis=0)
        facts["bounds"] = ",".join(f"{value:.6f}" for value in box)
    return facts
