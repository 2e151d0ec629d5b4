"""Reads windows of scenes onto the area's grid."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window as RasterWindow

from minewatch.errors import SceneError
from minewatch.grid import PIXEL, Grid, Window
from minewatch.scene import Datatake, Scene
from minewatch.units import NODATA

T = TypeVar("T")

DRIVERS = {".jp2": "JP2OpenJPEG"}
"""Format by file ending, GTiff else.  Strangers' addresses are opened with these only: a VRT could point anywhere."""

GDAL_OPTIONS = {
    # Listing the folder of a remote file costs a request or ten, and its answer is never needed.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # GDAL would look for side-car files (.ovr, .aux.xml, .msk); Sentinel-2 products have none.
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif,.tiff,.jp2",
    # The header of a COG fits in the first 32 kB, so one request opens it.
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    # Neighbouring blocks come in one request.
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_HTTP_VERSION": "2",
    # Servers that are busy for a moment answer 429 or 5xx; without this GDAL calls the file unreadable.
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    # A stalled line ends: nothing for 30 s, or 120 s in all for one request.
    "GDAL_HTTP_CONNECTTIMEOUT": "15",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "100",
    "GDAL_HTTP_TIMEOUT": "120",
    # Blocks are used once; a small cache (bytes) keeps memory flat.
    "GDAL_CACHEMAX": 128 * 2**20,
}
"""Set once for every read, each with its reason."""

READ_ATTEMPTS = 2
"""Attempts of our own on top of GDAL's, for faults that it does not repeat (a body cut short)."""

PAUSE = 0.5
"""Seconds between them."""


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Set GDAL up for reading scenes; wrap every use of SceneReader in it."""
    with rasterio.Env(**GDAL_OPTIONS):
        yield


@dataclass
class SceneReader:
    """An open scene; belongs to one thread, since GDAL's handles must not be shared."""

    scene: Scene
    """What is read."""

    grid: Grid
    """Where the pixels go."""

    _open: dict[str, DatasetReader | WarpedVRT] = field(default_factory=dict)
    """Band to dataset, opened when first needed."""

    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """Closes them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def read(self, band: str, window: Window) -> NDArray[np.uint16]:
        """Read one band: (y, x) uint16 digital numbers, 0 = no data or outside the scene.

        Pixels of the same lattice come as they are (a 20 m pixel fills four of 10 m); others are warped, bilinear
        over valid pixels, SCL nearest.  Raises SceneError where the file cannot be read.
        """
        return self._attempt(band, lambda: self._read(band, window))

    def _read(self, band: str, window: Window) -> NDArray[np.uint16]:
        dataset = self._dataset(band)
        if isinstance(dataset, WarpedVRT):
            return np.asarray(
                dataset.read(1, window=RasterWindow(window.column, window.row, window.width, window.height)), np.uint16
            )
        return _read_aligned(dataset, self.grid, window)

    def _dataset(self, band: str) -> DatasetReader | WarpedVRT:
        if band not in self._open:
            href = self.scene.hrefs[band]
            driver = DRIVERS.get(Path(urlsplit(href).path).suffix.lower(), "GTiff")
            source = self._stack.enter_context(rasterio.open(href, driver=driver))
            if source.crs is None or source.count != 1 or np.dtype(source.dtypes[0]).kind != "u":
                raise SceneError(f"scene {self.scene.id}, {band}: not one band of whole numbers with a CRS")
            self._open[band] = (
                source if is_aligned(source, self.grid) else self._stack.enter_context(_warp(source, self.grid, band))
            )
        return self._open[band]

    def _attempt(self, band: str, action: Callable[[], T]) -> T:
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                return action()
            except (RasterioError, OSError) as error:
                self._stack.close()
                self._open.clear()
                if attempt == READ_ATTEMPTS:
                    # GDAL's text may hold a signed address, so only the file's name is told.
                    raise SceneError(f"scene {self.scene.id}, {band}: cannot be read ({type(error).__name__})") from error
                time.sleep(PAUSE)
        raise AssertionError("unreachable")


def is_aligned(dataset: DatasetReader, grid: Grid) -> bool:
    """Tell whether a dataset lies on the grid's lattice, at 10 m or at 20 m."""
    if dataset.crs.to_epsg() != grid.epsg or grid.transform.a != PIXEL:
        return False
    transform = dataset.transform
    size = transform.a
    if size not in (10.0, 20.0) or transform.e != -size or transform.b or transform.d:
        return False
    steps = ((transform.c - grid.transform.c) / size, (transform.f - grid.transform.f) / size)
    return all(abs(step - round(step)) < 1e-4 for step in steps)


def _read_aligned(dataset: DatasetReader, grid: Grid, window: Window) -> NDArray[np.uint16]:
    factor = round(dataset.transform.a / grid.transform.a)
    size = dataset.transform.a
    column0 = round((grid.transform.c - dataset.transform.c) / size)
    row0 = round((dataset.transform.f - grid.transform.f) / size)
    top, left = row0 + window.row // factor, column0 + window.column // factor
    bottom = row0 + -(-(window.row + window.height) // factor)
    right = column0 + -(-(window.column + window.width) // factor)
    coarse = _read_clipped(dataset, top, left, bottom, right)
    fine = coarse.repeat(factor, 0).repeat(factor, 1) if factor > 1 else coarse
    row, column = window.row % factor, window.column % factor
    return fine[row : row + window.height, column : column + window.width]


def _read_clipped(dataset: DatasetReader, top: int, left: int, bottom: int, right: int) -> NDArray[np.uint16]:
    pixels = np.zeros((bottom - top, right - left), np.uint16)
    rows = max(top, 0), min(bottom, dataset.height)
    columns = max(left, 0), min(right, dataset.width)
    if rows[0] < rows[1] and columns[0] < columns[1]:
        part = dataset.read(1, window=RasterWindow.from_slices(rows, columns))
        pixels[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left] = part
    return pixels


def _warp(source: DatasetReader, grid: Grid, band: str) -> WarpedVRT:
    # An exact transform, and a kernel of one size, make the result independent of the window that is asked for.
    return WarpedVRT(
        source,
        crs=grid.crs,
        transform=grid.transform,
        width=grid.shape[1],
        height=grid.shape[0],
        resampling=Resampling.nearest if band == "scl" else Resampling.bilinear,
        src_nodata=0,
        nodata=0,
        tolerance=1e-9,
        XSCALE=source.transform.a / grid.transform.a,
        YSCALE=source.transform.a / grid.transform.a,
    )


@dataclass
class DatatakeReader:
    """The open scenes of one overpass, mosaicked."""

    readers: tuple[SceneReader, ...]
    """In order of scene id: the first with a valid pixel gives it."""

    def read_scl(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
        """Read the scene classes, (y, x) uint8 with 0 = no data, and which scene each came from (-1 = none)."""
        classes = np.zeros(window.shape, np.uint8)
        origin = np.full(window.shape, -1, np.int8)
        for index, reader in enumerate(self.readers):
            part = reader.read("scl", window)
            fill = (classes == 0) & (part > 0) & (part < 12)
            classes[fill] = part[fill]
            origin[fill] = index
        return classes, origin

    def read_reflectance(self, band: str, window: Window, origin: NDArray[np.int8]) -> NDArray[np.int16]:
        """Read a band where ``origin`` says: (y, x) int16 reflectance x 10 000, not below 0; -32768 = no data."""
        out = np.full(window.shape, NODATA, np.int16)
        for index in np.unique(origin[origin >= 0]):
            reader = self.readers[index]
            numbers = reader.read(band, window)
            valid = (origin == index) & (numbers > 0)
            shifted = np.clip(numbers.astype(np.int32) + reader.scene.offset, 0, 32767)
            out[valid] = shifted[valid]
        return out


@contextlib.contextmanager
def open_datatake(take: Datatake, grid: Grid) -> Iterator[DatatakeReader]:
    """Open the scenes of an overpass for one thread."""
    with reading(), contextlib.ExitStack() as stack:
        yield DatatakeReader(tuple(stack.enter_context(SceneReader(scene, grid)) for scene in take.scenes))
