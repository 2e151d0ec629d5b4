"""Reads rasters as the square tiles of web maps: spherical Mercator (EPSG:3857), 256 pixels, numbered from the north-west."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from minewatch.core.errors import ImageError

SIDE = 256
"""Pixels of each side of a tile."""

HALF = math.pi * 6378137
"""Metres from the middle of the map to its edge."""

FARTHEST = 85.05
"""Degrees of latitude of its upper and lower edge."""

WEB_MERCATOR = "EPSG:3857"


@dataclass(frozen=True, order=True)
class Tile:
    """A tile."""

    zoom: int
    """0 = the whole earth in one; each level doubles the tiles of a side."""

    column: int
    """From 180° west."""

    row: int
    """From the north."""

    @property
    def parent(self) -> Tile:
        """The tile of the next coarser level that it lies in."""
        return Tile(self.zoom - 1, self.column // 2, self.row // 2)

    @property
    def transform(self) -> Affine:
        """Of its pixels to metres."""
        size = 2 * HALF / 2**self.zoom
        return Affine(size / SIDE, 0, self.column * size - HALF, 0, -size / SIDE, HALF - self.row * size)


def list_tiles(bounds: Sequence[float], zoom: int) -> list[Tile]:
    """Return the tiles of a level that a box touches: west, south, east, north, degrees."""
    west, south, east, north = bounds
    (left, top), (right, bottom) = (_place(west, north, zoom), _place(east, south, zoom))
    return [Tile(zoom, column, row) for row in range(top, bottom + 1) for column in range(left, right + 1)]


def _place(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    lat = min(max(lat, -FARTHEST), FARTHEST)
    x = (lon + 180) / 360
    y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    most = 2**zoom - 1
    return min(max(int(x * 2**zoom), 0), most), min(max(int(y * 2**zoom), 0), most)


@dataclass(frozen=True)
class TileSource:
    """A raster that tiles are read from."""

    path: Path
    """A GeoTIFF."""

    bands: tuple[int, ...]
    """Numbers of those that become red, green and blue, from 1."""


@contextlib.contextmanager
def opening_sources(sources: Iterable[TileSource]) -> Iterator[list[tuple[TileSource, DatasetReader, tuple[float, ...]]]]:
    """Yield the sources opened, each with its bounds in degrees.  Raises ImageError where one cannot be read."""
    with contextlib.ExitStack() as stack:
        opened = []
        for source in sources:
            try:
                raster = stack.enter_context(rasterio.open(source.path, driver="GTiff"))
                opened.append((source, raster, transform_bounds(raster.crs, "EPSG:4326", *raster.bounds)))
            except (RasterioError, ValueError, AttributeError) as error:
                raise ImageError(f"{source.path} cannot be read; it is cut off or damaged") from error
        yield opened


def read_tile(source: TileSource, raster: DatasetReader, tile: Tile) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Return (y, x, 3) numbers of a tile, and (y, x) True where there are any."""
    is_coarser = raster.transform.a < tile.transform.a  # else its pixels lie between those of the raster
    resampling = Resampling.average if is_coarser else Resampling.bilinear
    place = {"crs": WEB_MERCATOR, "transform": tile.transform, "width": SIDE, "height": SIDE}
    try:
        with WarpedVRT(raster, resampling=resampling, **place) as warped:
            values = warped.read(source.bands)
            known = warped.dataset_mask() > 0
    except RasterioError as error:
        raise ImageError(f"{source.path} cannot be read; it is cut off or damaged") from error
    return np.moveaxis(values, 0, -1), known
