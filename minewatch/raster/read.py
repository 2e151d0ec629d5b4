"""Reads windows of scenes onto the area's grid."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import ParamSpec, Protocol, Self, TypeVar, overload

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from minewatch.areas.grid import PIXEL, Grid, Window
from minewatch.core.errors import SceneError
from minewatch.core.http import RangeError, get_fetch_pool, is_remote
from minewatch.core.units import NODATA
from minewatch.raster.blocks import BlockCache, BlockFile, Prefetcher, prefetch_blocks
from minewatch.raster.credentials import Access
from minewatch.raster.gdal import READ_ERRORS, HeaderError, find_driver, gdal_environment, open_file
from minewatch.raster.gdal_vsi import Stream
from minewatch.raster.resampling import fill_classes, write_reflectance
from minewatch.raster.tiff_header import BlockError, Box, Layout, is_left_to_gdal, read_layout
from minewatch.raster.warp import Warp, make_warp
from minewatch.sources.scene import Datatake, Scene

P = ParamSpec("P")
T = TypeVar("T")


READ_ATTEMPTS = 2
"""Attempts at reading a window, from opening the file on; each request has attempts of its own below these."""

RETRY_PAUSE = 0.5
"""Seconds between them."""

DATATAKE_SECONDS = 7200.0
"""Seconds that an overpass may take in all, for all its scenes and areas; then it is given up, named, and tried by the next
scan.  A line that brings 4 MB in each request's 120 s would else keep a scan for a day."""


class BandSource(Protocol):
    """An open file of one band."""

    def read(self, box: Box) -> NDArray[np.uint16]:
        """Read a box of its pixels: (y, x) uint16, 0 outside the file."""

    def close(self) -> None:
        """Let go of it."""


@dataclass(frozen=True)
class OpenBand:
    """An open file and where it lies."""

    source: BandSource
    """Gives its pixels."""

    crs: str
    """WKT."""

    transform: Affine
    """Pixel to map."""

    shape: tuple[int, int]
    """Rows and columns."""


@dataclass
class SceneFiles:
    """The files of a scene, opened when first needed; belongs to one thread."""

    scene: Scene
    """What is read."""

    cache: BlockCache = field(default_factory=BlockCache)
    """Inflated blocks, shared by the scenes of a datatake."""

    prefetcher: Prefetcher = field(default_factory=Prefetcher)
    """Bytes on their way, shared likewise."""

    pixel: float = PIXEL
    """Metres; where coarser pixels will do (for a picture), a file's overviews stand in for it."""

    deadline: float = field(default_factory=lambda: time.monotonic() + DATATAKE_SECONDS)
    """On the monotonic clock: when reading is given up."""

    _open: dict[str, OpenBand] = field(default_factory=dict)
    """Band to file."""

    _headers: dict[str, Future[Layout | Stream | None]] = field(default_factory=dict)
    """Band to the header that is on its way."""

    @cached_property
    def access(self) -> Access:
        """How the files are reached."""
        return Access(self.scene.signing, self.scene.s3)

    @cached_property
    def fault(self) -> str:
        """What is missing for reading any of them; '' where nothing is."""
        return self.access.find_fault(self.scene.hrefs.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.prefetcher.close()
        for band in list(self._open):
            self.close_band(band)

    def on(self, grid: Grid, offset: int | None = None) -> SceneReader:
        """Return a reader of these files on a grid; another offset may take the place of the scene's."""
        return SceneReader(self, grid, self.scene.offset if offset is None else offset)

    def read(self, band: str, action: Callable[[OpenBand], T]) -> T:
        """Do something with a band's file, again if it fails.  Raises SceneError where the file cannot be read."""
        for attempt in range(1, READ_ATTEMPTS + 1):
            if time.monotonic() > self.deadline:
                raise self._refuse(band, f"given up, the overpass took over {DATATAKE_SECONDS / 60:.0f} minutes")
            try:
                return action(self.open(band))
            except READ_ERRORS as error:
                self.close_band(band)
                # GDAL's text may hold a signed address, so only the kind of fault is told, and its cause is not shown.
                reason = str(error) if isinstance(error, (RangeError, BlockError)) else type(error).__name__
            if attempt < READ_ATTEMPTS:
                time.sleep(RETRY_PAUSE)
        raise self._refuse(band, f"cannot be read ({reason})")

    def _refuse(self, band: str, reason: str) -> SceneError:
        return SceneError(f"scene {self.scene.id}, {band}: {reason}", scene_id=self.scene.id)

    def open(self, band: str) -> OpenBand:
        """Open a band's file; raises SceneError where it is no band of a scene, else OSError or RasterioError."""
        if self.fault:
            raise self._refuse(band, self.fault)
        if band not in self._open:
            header = self._read_header(band)
            self._open[band] = self._open_blocks(header) if isinstance(header, Layout) else self._open_dataset(band, header)
        return self._open[band]

    def close_band(self, band: str) -> None:
        """Let go of all that was read of a band."""
        self._headers.pop(band, None)
        self.prefetcher.release(self.scene.hrefs[band])
        if band in self._open:
            self._open.pop(band).source.close()

    def prefetch(self, band: str, locate: Callable[[Layout], Iterable[Box]]) -> None:
        """Start fetching what is needed soon, if the file is remote: first its header, then the boxes it lies in."""
        href = self.scene.hrefs.get(band, "")
        if not is_remote(href) or find_driver(href) != "GTiff" or self.pixel > PIXEL or self.fault:
            return
        self._request_header(band).add_done_callback(partial(self._prefetch_boxes, locate))

    def _request_header(self, band: str) -> Future[Layout | Stream | None]:
        if band not in self._headers:
            self._headers[band] = get_fetch_pool().submit(_read_remote_header, self.scene.hrefs[band], self.access, self.pixel)
        return self._headers[band]

    def _prefetch_boxes(self, locate: Callable[[Layout], Iterable[Box]], header: Future[Layout | Stream | None]) -> None:
        # What cannot be read is told when the band is read.
        if not header.cancelled() and header.exception() is None and isinstance(layout := header.result(), Layout):
            with contextlib.suppress(OSError):
                prefetch_blocks(layout, locate(layout), self.cache, self.prefetcher)

    def _read_header(self, band: str) -> Layout | Stream | None:
        href = self.scene.hrefs[band]
        if is_remote(href):
            return self._request_header(band).result()
        return read_layout(href) if self.pixel == PIXEL and find_driver(href) == "GTiff" else None

    def _open_blocks(self, layout: Layout) -> OpenBand:
        return OpenBand(BlockFile(layout, self.cache, self.prefetcher), layout.crs, layout.transform, layout.shape)

    def _open_dataset(self, band: str, stream: Stream | None) -> OpenBand:
        try:
            file = open_file(self.scene.hrefs[band], stream, self.pixel)
        except HeaderError as misfit:
            raise self._refuse(band, str(misfit)) from None
        return OpenBand(file, file.dataset.crs.to_wkt(), file.dataset.transform, file.dataset.shape)


def _read_remote_header(href: str, access: Access, pixel: float) -> Layout | Stream | None:
    """Read the header of a plain GeoTIFF of which whole pixels are wanted; of others give the bytes to GDAL as a stream.

    None where GDAL fetches them by itself.
    """
    if is_left_to_gdal(href, access):
        return None
    stream = Stream(href, access)
    head = stream.open()
    is_plain = find_driver(href) == "GTiff" and pixel == PIXEL
    return (read_layout(href, access, head) if is_plain else None) or stream


@dataclass(frozen=True)
class SceneReader:
    """A scene on a grid; belongs to the thread of its files."""

    files: SceneFiles
    """What is read."""

    grid: Grid
    """Where the pixels go."""

    offset: int
    """Added to digital numbers above 0 to get reflectance x 10 000."""

    _warps: dict[tuple[str, str, Affine], Warp] = field(default_factory=dict)
    """By band, CRS and transform: how the pixels fall on the grid."""

    @property
    def scene(self) -> Scene:
        """What is read."""
        return self.files.scene

    def read(self, band: str, window: Window) -> NDArray[np.uint16]:
        """Read one band: (y, x) uint16 digital numbers, 0 = no data or outside the scene.

        Pixels of the same lattice come as they are (a 20 m pixel fills four of 10 m); others are warped, bilinear
        over valid pixels, SCL nearest.  Raises SceneError where the file cannot be read.
        """
        return self.files.read(
            band, lambda file: self._get_warp(band, file.crs, file.transform, file.shape).read(file.source, window)
        )

    def prefetch(self, bands: Iterable[str], windows: Sequence[Window]) -> None:
        """Say that these windows will be read soon, in this order; returns at once."""
        for band in bands:
            self.files.prefetch(band, partial(self._locate, band, windows))

    def _locate(self, band: str, windows: Sequence[Window], layout: Layout) -> list[Box]:
        warp = self._get_warp(band, layout.crs, layout.transform, layout.shape)
        return [box for window in windows for box in warp.locate(window)]

    def _get_warp(self, band: str, crs: str, transform: Affine, shape: tuple[int, int]) -> Warp:
        key = band, crs, transform
        if key not in self._warps:
            self._warps[key] = make_warp(self.grid, crs, transform, shape, is_nearest=band == "scl")
        return self._warps[key]


@dataclass(frozen=True)
class DatatakeReader:
    """The open scenes of one overpass on a grid, mosaicked."""

    readers: tuple[SceneReader, ...]
    """In order of scene id: the first with a valid pixel gives it."""

    def prefetch(self, bands: Iterable[str], windows: Sequence[Window]) -> None:
        """Say that these windows will be read soon, in this order: remote files begin to come; returns at once."""
        names = tuple(bands)
        for reader in self.readers:
            reader.prefetch(names, windows)

    def read_scl(self, window: Window) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
        """Read the scene classes, (y, x) uint8 with 0 = no data, and which scene each came from (-1 = none)."""
        classes = np.zeros(window.shape, np.uint8)
        origin = np.full(window.shape, -1, np.int8)
        for index, reader in enumerate(self.readers):
            fill_classes(reader.read("scl", window), index, classes, origin)
        return classes, origin

    def read_reflectance(self, band: str, window: Window, origin: NDArray[np.int8]) -> NDArray[np.int16]:
        """Read a band where ``origin`` says: (y, x) int16 reflectance x 10 000, not below 0; -32768 = no data."""
        out = np.empty(window.shape, np.int16)
        origin, is_first = np.ascontiguousarray(origin), True
        for index, reader in enumerate(self.readers):
            if len(self.readers) == 1 or (origin == index).any():
                write_reflectance(reader.read(band, window), origin, index, reader.offset, is_first, out)
                is_first = False
        if is_first:
            out.fill(NODATA)
        return out


@dataclass(frozen=True)
class DatatakeFiles:
    """The files of one overpass, for any number of grids; belongs to one thread."""

    scenes: tuple[SceneFiles, ...]
    """In order of scene id."""

    def on(self, grid: Grid, scenes: Sequence[Scene] | None = None) -> DatatakeReader:
        """Return a reader of the overpass, or of some of its scenes with the offsets they state, on a grid."""
        chosen = [files.scene for files in self.scenes] if scenes is None else scenes
        offsets = {scene.id: scene.offset for scene in chosen}
        return DatatakeReader(tuple(f.on(grid, offsets[f.scene.id]) for f in self.scenes if f.scene.id in offsets))


@contextlib.contextmanager
def _open_files(datatake: Datatake, pixel: float = PIXEL) -> Iterator[DatatakeFiles]:
    cache, prefetcher = BlockCache(), Prefetcher()
    with gdal_environment(), contextlib.ExitStack() as stack:
        yield DatatakeFiles(tuple(stack.enter_context(SceneFiles(scene, cache, prefetcher, pixel)) for scene in datatake.scenes))


@contextlib.contextmanager
def _open_reader(datatake: Datatake, grid: Grid) -> Iterator[DatatakeReader]:
    with _open_files(datatake, grid.transform.a) as files:
        yield files.on(grid)


@overload
def open_datatake(datatake: Datatake) -> contextlib.AbstractContextManager[DatatakeFiles]: ...
@overload
def open_datatake(datatake: Datatake, grid: Grid) -> contextlib.AbstractContextManager[DatatakeReader]: ...
def open_datatake(
    datatake: Datatake, grid: Grid | None = None
) -> contextlib.AbstractContextManager[DatatakeFiles | DatatakeReader]:
    """Open the files of an overpass for one thread; with a grid, give a reader on that grid at once."""
    return _open_files(datatake) if grid is None else _open_reader(datatake, grid)
