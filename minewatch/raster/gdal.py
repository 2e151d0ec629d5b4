"""Reads files through GDAL: JPEG 2000 and GeoTIFFs that :mod:`.blocks` cannot read, by their own driver only."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.session import DummySession
from rasterio.windows import Window as RasterWindow

from minewatch.core.certificates import CertificateError, find_ca_bundle
from minewatch.core.files import AnyPath
from minewatch.core.limits import find_external_file, find_header_fault
from minewatch.raster.gdal_vsi import Stream
from minewatch.raster.reflectance import convert_signed
from minewatch.raster.tiff_header import Box

P = ParamSpec("P")
T = TypeVar("T")

DRIVERS = {".jp2": "JP2OpenJPEG"}
"""Driver by file extension, GTiff else.  No other is used for untrusted addresses: a VRT could name any file."""

GDAL_OPTIONS = {
    # Listing the folder of a remote file costs up to ten requests and is never needed.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    # GDAL would look for side-car files (.ovr, .aux.xml, .msk); Sentinel-2 products have none.
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif,.tiff,.jp2",
    # The header fits in the first 32 kB, so one request opens the file, after one for the size (without HEAD, GDAL would
    # request the whole file and abort).
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    # Neighbouring blocks come in one request.
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_HTTP_VERSION": "2",
    # Busy servers answer 429 or 5xx; without retries GDAL calls the file unreadable.  GDAL_HTTP_RETRY_CODES is not set, since
    # it would exclude errors of the connection.
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "0.5",
    # Limits: 30 s without data, 120 s for one request.
    "GDAL_HTTP_CONNECTTIMEOUT": "15",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "100",
    "GDAL_HTTP_TIMEOUT": "120",
    # Threads that decode JPEG 2000 tiles do not have these options, and their errors are lost: a damaged file would give
    # wrong pixels.  Scenes are read concurrently already.
    "GDAL_NUM_THREADS": "1",
    # The log of each request would show signatures and keys.
    "CPL_CURL_VERBOSE": "NO",
    # Blocks are used once; a small cache (bytes) keeps memory flat, and VSI_CACHE would hold their bytes a second time.
    "GDAL_CACHEMAX": 128 * 2**20,
}
"""Options for files that GDAL reads, each with its reason.

Those of the network apply where GDAL fetches bytes itself (``is_left_to_gdal``): never with a signature or a login."""

READ_ERRORS = (RasterioError, OSError, UnicodeDecodeError)
"""Raised by reading a file; UnicodeDecodeError for malformed names in its header."""


class HeaderError(Exception):
    """A file that cannot be a band of a scene."""


@contextlib.contextmanager
def gdal_environment() -> Iterator[None]:
    """Set GDAL's options for reading scenes for the duration of a block."""
    try:
        bundle = find_ca_bundle()
    except CertificateError:  # said by the requests, and of no account for local files
        bundle = ""
    # rasterio names its own certificates in the first, which goes before those of the environment.
    trust = {"GDAL_CURL_CA_BUNDLE": bundle, "CURL_CA_BUNDLE": bundle} if bundle else {}
    with rasterio.Env(session=DummySession(), **GDAL_OPTIONS, **trust):  # keys in the environment are not for scenes
        yield


@dataclass(frozen=True)
class GdalFile:
    """A file that GDAL reads; belongs to one thread, since GDAL's handles must not be shared."""

    dataset: DatasetReader
    """The open dataset."""

    stream: Stream | None = None
    """Provides its bytes; None where GDAL reads them itself."""

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
        numbers = np.asarray(self.dataset.read(1, window=window))
        return convert_signed(numbers, self.dataset.nodata) if numbers.dtype.kind == "i" else numbers

    def close(self) -> None:
        """Close the dataset."""
        run_gdal(self.stream, self.dataset.close)


def open_file(href: str, stream: Stream | None, pixel: float) -> GdalFile:
    """Open a file, or an overview of it whose pixels are not larger than ``pixel`` metres.

    Raises MisfitError where it is no band of a scene, else one of READ_ERRORS.
    """
    dataset = run_gdal(stream, _open_coarse, stream.path if stream else href, find_driver(href), pixel)
    if fault := run_gdal(stream, _find_fault, dataset):
        run_gdal(stream, dataset.close)
        raise HeaderError(fault)
    return GdalFile(dataset, stream)


def find_driver(href: str) -> str:
    """Return the only driver that may open a file, by its extension."""
    return DRIVERS.get(Path(urlsplit(href).path).suffix.lower(), "GTiff")


def _open_coarse(path: str, driver: str, pixel: float) -> DatasetReader:
    dataset = rasterio.open(path, driver=driver)
    levels = [] if _find_fault(dataset) else dataset.overviews(1)
    fine = [index for index, factor in enumerate(levels) if abs(dataset.transform.a) * factor <= pixel]
    if not fine:
        return dataset
    dataset.close()
    return rasterio.open(path, driver=driver, overview_level=fine[-1])


def _find_fault(dataset: DatasetReader) -> str:
    """Return why a file cannot be a band of a scene, by its header alone; '' where it can."""
    if dataset.crs is None or not dataset.count:
        return "it has no CRS" if dataset.count else "it has no band"
    fault = find_header_fault(
        dataset.shape,
        dataset.block_shapes[0],
        dataset.dtypes,
        dataset.transform,
        is_metric=dataset.crs.is_projected,
        driver=dataset.driver,
    )
    return fault or find_external_file(dataset.tag_namespaces())


def run_gdal(stream: Stream | None, action: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Call ``action``, which uses a file of GDAL, through its stream if it has one."""
    return stream.run(action, *arguments, **options) if stream else action(*arguments, **options)


# --- rasters of whole numbers that are no scenes -----------------------------------------------------------------------

INTEGERS = ("uint8", "uint16", "int16", "uint32", "int32")
"""Types of their numbers."""

MOST_BANDS = 4
"""Of one of them."""


@dataclass(frozen=True)
class NumberRaster:
    """An open GeoTIFF of whole numbers; of its pixels only the blocks that a box meets are read."""

    dataset: DatasetReader
    """The open dataset."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.dataset.height, self.dataset.width

    @property
    def crs(self) -> str:
        """WKT."""
        return str(self.dataset.crs.to_wkt())

    @property
    def transform(self) -> Affine:
        """Pixel to map."""
        return Affine(*self.dataset.transform[:6])

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands; '' where one has none."""
        return tuple(name or "" for name in self.dataset.descriptions)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Type of the numbers of each band."""
        return tuple(self.dataset.dtypes)

    @property
    def nodata(self) -> float | None:
        """Number that the file declares as no data."""
        return None if self.dataset.nodata is None else float(self.dataset.nodata)

    @property
    def tags(self) -> dict[str, str]:
        """Metadata of the file."""
        return {str(name): str(value) for name, value in self.dataset.tags().items()}

    def read(self, box: Box, band: int = 1) -> NDArray[np.integer]:
        """Read a box within the file: (y, x) in the file's own type.  Raises OSError or RasterioError."""
        top, left, bottom, right = box
        return np.asarray(self.dataset.read(band, window=RasterWindow(left, top, right - left, bottom - top)))


@contextlib.contextmanager
def open_numbers(path: AnyPath) -> Iterator[NumberRaster]:
    """Yield an open GeoTIFF of whole numbers; one in an object store is fetched first.

    Raises HeaderError where it is none, or claims what cannot be, else one of READ_ERRORS.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(gdal_environment())
        if isinstance(path, Path):
            dataset = stack.enter_context(rasterio.open(path, driver="GTiff"))
        else:
            memory = stack.enter_context(MemoryFile(path.read_bytes(), ext=".tif"))
            dataset = stack.enter_context(memory.open(driver="GTiff"))
        if fault := _find_number_fault(dataset):
            raise HeaderError(fault)
        yield NumberRaster(dataset)


def _find_number_fault(dataset: DatasetReader) -> str:
    """Return why a file cannot be read as whole numbers on the map, by its header alone; '' where it can."""
    if not 1 <= dataset.count <= MOST_BANDS:
        return f"it has {dataset.count} bands"
    if dataset.crs is None or dataset.transform.is_identity:
        return "it does not say where on earth it lies (no CRS)"
    if others := sorted(set(dataset.dtypes) - set(INTEGERS)):
        return f"its numbers are of type {others[0]}, and should be whole: {', '.join(INTEGERS)}"
    fault = find_header_fault(
        dataset.shape, dataset.block_shapes[0], ["uint8"], dataset.transform, is_metric=dataset.crs.is_projected
    )
    return fault or find_external_file(dataset.tag_namespaces())
