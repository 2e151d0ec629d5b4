"""Files of scenes that GDAL reads: JPEG 2000 and unusual GeoTIFFs, by their own driver and no other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.session import DummySession
from rasterio.windows import Window as RasterWindow

from minewatch.core.limits import find_external_file, find_header_fault
from minewatch.raster.gdal_vsi import Stream
from minewatch.raster.tiff_header import Box

P = ParamSpec("P")
T = TypeVar("T")

DRIVERS = {".jp2": "JP2OpenJPEG"}
"""Format by file ending, GTiff else.  Strangers' addresses are opened with these only: a VRT could point anywhere."""

GDAL_OPTIONS = {
    # Listing the folder of a remote file costs a request or ten, and its answer is never needed.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # GDAL would look for side-car files (.ovr, .aux.xml, .msk); Sentinel-2 products have none.
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif,.tiff,.jp2",
    # The header fits in the first 32 kB, so one request opens it, after one for the size (without HEAD, GDAL would ask
    # for the whole file and hang up).
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    # Neighbouring blocks come in one request.
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_HTTP_VERSION": "2",
    # Servers that are busy for a moment answer 429 or 5xx; without this GDAL calls the file unreadable.  Which answers and
    # faults of the line are worth it, GDAL knows best: GDAL_HTTP_RETRY_CODES would leave out the latter.
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    # A stalled line ends: nothing for 30 s, or 120 s in all for one request.
    "GDAL_HTTP_CONNECTTIMEOUT": "15",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "100",
    "GDAL_HTTP_TIMEOUT": "120",
    # JPEG 2000 tiles would be decoded in threads that know none of these options, and whose faults nobody hears: a damaged
    # file would give wrong pixels.  Scenes are read side by side already.
    "GDAL_NUM_THREADS": "1",
    # The log of each request would show signatures and keys.
    "CPL_CURL_VERBOSE": "NO",
    # Blocks are used once; a small cache (bytes) keeps memory flat, and VSI_CACHE would keep their bytes a second time.
    "GDAL_CACHEMAX": 128 * 2**20,
}
"""For files that GDAL reads, each with its reason: JPEG 2000 and unusual GeoTIFFs, whose bytes come by minewatch.raster.gdal_vsi.

Those of the network count where GDAL fetches bytes by itself, as is_left_to_gdal tells: never with a signature or a login."""

READ_ERRORS = (RasterioError, OSError, UnicodeDecodeError)
"""What reading a file may raise; rasterio meets names that are no text."""


class HeaderError(Exception):
    """A file that cannot be a band of a scene."""


@contextlib.contextmanager
def gdal_environment() -> Iterator[None]:
    """Set GDAL up for reading scenes; read.open_datatake does it."""
    with rasterio.Env(session=DummySession(), **GDAL_OPTIONS):  # keys of the environment are not for scenes
        yield


@dataclass(frozen=True)
class GdalFile:
    """A file that GDAL reads; belongs to one thread, since GDAL's handles must not be shared."""

    dataset: DatasetReader
    """Open."""

    stream: Stream | None = None
    """Brings its bytes; None where GDAL reads them by itself."""

    def read(self, box: Box) -> NDArray[np.uint16]:
        """Read a box: (y, x) uint16, 0 outside the file.  Raises OSError or RasterioError."""
        top, left, bottom, right = box
        pixels = np.zeros((bottom - top, right - left), np.uint16)
        rows = max(top, 0), min(bottom, self.dataset.height)
        columns = max(left, 0), min(right, self.dataset.width)
        if rows[0] < rows[1] and columns[0] < columns[1]:
            part = run_gdal(self.stream, self._read_part, RasterWindow.from_slices(rows, columns))
            pixels[rows[0] - top : rows[1] - top, columns[0] - left : columns[1] - left] = part
        return pixels

    def _read_part(self, window: RasterWindow) -> NDArray[np.uint16]:
        part: NDArray[np.uint16] = self.dataset.read(1, window=window)
        return part

    def close(self) -> None:
        """Close it."""
        run_gdal(self.stream, self.dataset.close)


def open_file(href: str, stream: Stream | None, pixel: float) -> GdalFile:
    """Open a file, or an overview of it whose pixels are not larger than ``pixel`` metres.

    Raises MisfitError where it is no band of a scene, else one of READ_ERRORS.
    """
    dataset = run_gdal(stream, _open_coarse, stream.path if stream else href, find_driver(href), pixel)
    if misfit := run_gdal(stream, _find_fault, dataset):
        run_gdal(stream, dataset.close)
        raise HeaderError(misfit)
    return GdalFile(dataset, stream)


def find_driver(href: str) -> str:
    """Name the one driver that may open a file, by its ending."""
    return DRIVERS.get(Path(urlsplit(href).path).suffix.lower(), "GTiff")


def _open_coarse(path: str, driver: str, pixel: float) -> DatasetReader:
    """Open a file, or the coarsest of its overviews whose pixels are not larger than ``pixel`` metres."""
    dataset = rasterio.open(path, driver=driver)
    levels = [] if _find_fault(dataset) else dataset.overviews(1)
    fine = [index for index, factor in enumerate(levels) if abs(dataset.transform.a) * factor <= pixel]
    if not fine:
        return dataset
    dataset.close()
    return rasterio.open(path, driver=driver, overview_level=fine[-1])


def _find_fault(dataset: DatasetReader) -> str:
    """Say why a file cannot be a band of a scene, before anything but its header is looked at."""
    if dataset.crs is None or not dataset.count:
        return "not one band of whole numbers with a CRS"
    misfit = find_header_fault(
        dataset.shape,
        dataset.block_shapes[0],
        dataset.dtypes,
        dataset.transform,
        is_metric=dataset.crs.is_projected,
        driver=dataset.driver,
    )
    return misfit or find_external_file(dataset.tag_namespaces())


def run_gdal(stream: Stream | None, action: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Do something with a file of GDAL's, which may be a stream."""
    return stream.run(action, *arguments, **options) if stream else action(*arguments, **options)
