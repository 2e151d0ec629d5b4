"""Reads windows of scenes and datatakes onto an area's grid."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import Any, Self, TypeVar, overload
from urllib.parse import urlsplit

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from minewatch.areas.grid import COARSE_PIXEL, PIXEL, Grid, Window
from minewatch.core.errors import SceneError
from minewatch.core.http import RangeError, get_fetch_pool, is_remote
from minewatch.core.limits import REFLECTANCE_DTYPES
from minewatch.core.text import show
from minewatch.core.traffic import ByteCounter
from minewatch.core.units import NODATA
from minewatch.raster.blocks import BlockCache, BlockFile, Prefetcher, prefetch_blocks
from minewatch.raster.credentials import Access
from minewatch.raster.gdal import READ_ERRORS, HeaderError, find_driver, gdal_environment, open_file
from minewatch.raster.gdal_vsi import Stream
from minewatch.raster.reflectance import find_mixable
from minewatch.raster.resampling import fill_classes, write_reflectance
from minewatch.raster.tiff_directory import BlockError
from minewatch.raster.tiff_header import Box, Layout, is_left_to_gdal, read_layout
from minewatch.raster.warp import PixelReader, Warp, find_known_epsg, make_warp
from minewatch.sources.scene import Datatake, Scene

T = TypeVar("T")

MOST_APART = 3
"""Pixels, of the coarser band, between the corners of two bands of a scene: cut-outs are rounded for each size of pixel."""

READ_ATTEMPTS = 2
"""Attempts at reading a window, including opening the file; each request has further attempts of its own."""

RETRY_PAUSE = 0.5
"""Seconds between them."""

DATATAKE_SECONDS = 7200.0
"""Longest time for reading a datatake, all scenes and areas; then it is skipped, reported, and left to the next scan.
Otherwise a line that brings 4 MB in each request's 120 s would keep a scan busy for a day."""


@dataclass(frozen=True)
class OpenBand:
    """An open file and its position."""

    source: PixelReader
    """Reads its pixels."""

    crs: str
    """WKT."""

    transform: Affine
    """Pixel to map."""

    shape: tuple[int, int]
    """Rows and columns."""

    dtype: str
    """Type of its numbers."""

    nodata: tuple[int, ...] = ()
    """Numbers other than 0 that file or item declare as no data."""

    def read(self, warp: Warp, window: Window) -> NDArray[np.uint16]:
        """Read a window through a warp onto a grid: (y, x) uint16, 0 = no data."""
        return warp.read(_Blanked(self.source, self.nodata) if self.nodata else self.source, window)


@dataclass(frozen=True)
class _Blanked:
    """Reads pixels, 0 where they have one of some numbers."""

    source: PixelReader
    nodata: tuple[int, ...]

    def read(self, box: Box) -> NDArray[np.uint16]:
        numbers = self.source.read(box)
        for number in self.nodata:
            numbers[numbers == number] = 0
        return numbers

    def close(self) -> None:
        self.source.close()


def lie_together(one: OpenBand, other: OpenBand) -> bool:
    """True if two bands of a scene have their corners in the same places, to a few of the coarser one's pixels."""
    if one.crs != other.crs:
        return find_known_epsg(one.crs) == find_known_epsg(other.crs)
    reach = MOST_APART * max(abs(one.transform.a), abs(other.transform.a))
    corners = [[band.transform @ (x, y) for x, y in ((0, 0), (band.shape[1], band.shape[0]))] for band in (one, other)]
    return all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= reach for a, b in zip(*corners, strict=True))


@dataclass
class SceneFiles:
    """The files of a scene, opened on first use; belongs to one thread."""

    scene: Scene
    """The scene."""

    cache: BlockCache = field(default_factory=BlockCache)
    """Decompressed blocks, shared by the scenes of a datatake."""

    prefetcher: Prefetcher = field(default_factory=Prefetcher)
    """Shared likewise."""

    pixel: float = PIXEL
    """Metres; where coarser pixels are enough, overviews are read instead."""

    received: ByteCounter = field(default_factory=ByteCounter)
    """Bytes fetched, shared likewise."""

    deadline: float = field(default_factory=lambda: time.monotonic() + DATATAKE_SECONDS)
    """Time on the monotonic clock at which reading ends."""

    _open: dict[str, OpenBand] = field(default_factory=dict)
    """Band to file."""

    _headers: dict[str, Future[Layout | Stream | None]] = field(default_factory=dict)
    """Band to the header being fetched."""

    @cached_property
    def access(self) -> Access:
        """How the files are accessed."""
        return Access(self.scene.signing, self.scene.s3, self.scene.token, self.received)

    @cached_property
    def fault(self) -> str:
        """What is missing to read any of them; '' where nothing is."""
        return self.access.find_fault(self.scene.hrefs.values())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.prefetcher.close()
        for band in list(self._open):
            self.close_band(band)

    def on(self, grid: Grid, offset: int | None = None) -> SceneReader:
        """Return a reader of these files on a grid; ``offset`` replaces the scene's."""
        return SceneReader(self, grid, self.scene.offset if offset is None else offset)

    def read(self, band: str, action: Callable[[OpenBand], T]) -> T:
        """Call ``action`` with a band's file, and again if it fails.  Raises SceneError where the file cannot be read."""
        for attempt in range(1, READ_ATTEMPTS + 1):
            if time.monotonic() > self.deadline:
                raise self._refuse(band, f"given up, the overpass took over {DATATAKE_SECONDS / 60:.0f} minutes")
            try:
                return action(self.open(band))
            except READ_ERRORS as error:
                self.close_band(band)
                # GDAL's message may contain a signed address, so only the type of the error is reported, without its cause.
                reason = str(error) if isinstance(error, (RangeError, BlockError)) else type(error).__name__
            if attempt < READ_ATTEMPTS:
                time.sleep(RETRY_PAUSE)
        raise self._refuse(band, f"cannot be read ({reason})")

    def _refuse(self, band: str, reason: str) -> SceneError:
        return SceneError(f"scene {self.scene.id}, {band}: {reason}", scene_id=self.scene.id)

    def open(self, band: str) -> OpenBand:
        """Open a band's file; raises SceneError where it is not a band of a scene, else OSError or RasterioError."""
        if self.fault:
            raise self._refuse(band, self.fault)
        if band not in self._open:
            header = self._read_header(band)
            self._open[band] = opened = self._open_level(band, self._choose_level(header))
            try:
                self._check_kind(band, opened)
                self._check_place(band, opened, header)
            except SceneError:
                self.close_band(band)  # else the next area would take it unchecked
                raise
        return self._open[band]

    def _choose_level(self, header: Layout | Stream | None) -> Layout | Stream | None:
        """Return the layout of the overview that is enough, or the header itself."""
        return header.overview if isinstance(header, Layout) and header.overview and self.pixel > PIXEL else header

    def _open_level(self, band: str, level: Layout | Stream | None) -> OpenBand:
        if not isinstance(level, Layout):
            return self._open_dataset(band, level)
        file, nodata = BlockFile(level, self.cache, self.prefetcher), self._list_nodata(band, level.empty)
        return OpenBand(file, level.crs, level.transform, level.shape, level.dtype.name, nodata)

    def _list_nodata(self, band: str, of_file: float | None) -> tuple[int, ...]:
        stated = {of_file, self.scene.nodata.get(band)}
        return tuple(sorted(int(number) for number in stated if number is not None and 0 < number < 2**16))

    def _check_kind(self, band: str, opened: OpenBand) -> None:
        """Raise SceneError where a band has the numbers of classes or of a picture: reflectance does not fit into a byte."""
        if band != "scl" and opened.dtype not in REFLECTANCE_DTYPES:
            kinds = " or ".join(REFLECTANCE_DTYPES)
            raise self._refuse(band, f"its numbers are of type {opened.dtype}, and those of reflectance of {kinds}")

    def _check_place(self, band: str, opened: OpenBand, header: Layout | Stream | None) -> None:
        """Raise SceneError where the file lies elsewhere than its item states, or than another band of the scene.

        Of overviews that GDAL opens, nobody says where their file lies.
        """
        if self.pixel > PIXEL and not isinstance(header, Layout):
            return
        for other, known in self._open.items():
            if other != band and not lie_together(opened, known):
                raise self._refuse(band, f"it lies elsewhere than {other} of the same scene; one of the files may be damaged")
        stated = self.scene.grids.get(band)
        if stated is None:
            return
        place = header if isinstance(header, Layout) else opened
        if fault := stated.find_contradiction(find_known_epsg(place.crs), place.transform, place.shape):
            name = show(PurePosixPath(urlsplit(self.scene.hrefs[band]).path).name)
            raise self._refuse(band, f"{name} contradicts its item: {fault[0].lower()}{fault[1:]}; the file may be damaged")

    def close_band(self, band: str) -> None:
        """Close a band's file and drop all that was read of it."""
        self._headers.pop(band, None)
        self.prefetcher.release(self.scene.hrefs[band])
        if band in self._open:
            self._open.pop(band).source.close()

    def prefetch(self, band: str, locate: Callable[[Layout], Iterable[Box]]) -> None:
        """Start fetching a remote file: first its header, then the boxes that ``locate`` returns for its layout."""
        href = self.scene.hrefs.get(band, "")
        if not is_remote(href) or find_driver(href) != "GTiff" or self.fault:
            return
        self._request_header(band).add_done_callback(partial(self._prefetch_boxes, locate))

    def _request_header(self, band: str) -> Future[Layout | Stream | None]:
        if band not in self._headers:
            self._headers[band] = get_fetch_pool().submit(_read_remote_header, self.scene.hrefs[band], self.access, self.pixel)
        return self._headers[band]

    def _prefetch_boxes(self, locate: Callable[[Layout], Iterable[Box]], header: Future[Layout | Stream | None]) -> None:
        # Errors are reported when the band is read.
        if (
            not header.cancelled()
            and header.exception() is None
            and isinstance(layout := self._choose_level(header.result()), Layout)
        ):
            with contextlib.suppress(OSError):
                prefetch_blocks(layout, locate(layout), self.cache, self.prefetcher)

    def _read_header(self, band: str) -> Layout | Stream | None:
        href = self.scene.hrefs[band]
        if is_remote(href):
            return self._request_header(band).result()
        return read_layout(href, coarsest=max(self.pixel, COARSE_PIXEL)) if find_driver(href) == "GTiff" else None

    def _open_dataset(self, band: str, stream: Stream | None) -> OpenBand:
        try:
            file = open_file(self.scene.hrefs[band], stream, self.pixel)
        except HeaderError as error:
            raise self._refuse(band, str(error)) from None
        dataset = file.dataset
        nodata = self._list_nodata(band, dataset.nodata)
        return OpenBand(file, dataset.crs.to_wkt(), dataset.transform, dataset.shape, dataset.dtypes[0], nodata)


def _read_remote_header(href: str, access: Access, pixel: float) -> Layout | Stream | None:
    """Return the layout of a plain GeoTIFF, else a stream for GDAL.

    None where GDAL fetches the file itself.
    """
    if is_left_to_gdal(href, access):
        return None
    stream = Stream(href, access)
    head = stream.open()
    coarsest = max(pixel, COARSE_PIXEL)
    return (read_layout(href, access, head, coarsest) if find_driver(href) == "GTiff" else None) or stream


@dataclass(frozen=True)
class SceneReader:
    """Reads a scene on a grid; belongs to the thread of its files."""

    files: SceneFiles
    """The files of the scene."""

    grid: Grid
    """Grid of the pixels returned."""

    offset: int
    """Added to digital numbers above 0 to get reflectance x 10 000."""

    _warps: dict[tuple[str, str, Affine], Warp] = field(default_factory=dict)
    """Warps onto the grid by band, CRS and transform."""

    @property
    def scene(self) -> Scene:
        """The scene."""
        return self.files.scene

    def read(self, band: str, window: Window) -> NDArray[np.uint16]:
        """Read one band: (y, x) uint16 digital numbers, 0 = no data or outside the scene.

        Pixels of the same lattice are copied (a 20 m pixel fills four of 10 m); others are warped, bilinear over valid
        pixels, SCL nearest.  Raises SceneError where the file cannot be read.
        """
        return self.files.read(band, lambda file: file.read(self._get_warp(band, file.crs, file.transform, file.shape), window))

    def prefetch(self, bands: Iterable[str], windows: Sequence[Window]) -> None:
        """Start fetching windows that will be read soon, in this order; returns at once."""
        for band in bands:
            self.files.prefetch(band, partial(self.locate, band, windows))

    def locate(self, band: str, windows: Sequence[Window], layout: Layout | OpenBand) -> list[Box]:
        """Return the boxes of a band's file that windows need."""
        warp = self._get_warp(band, layout.crs, layout.transform, layout.shape)
        return [box for window in windows for box in warp.locate(window)]

    def _get_warp(self, band: str, crs: str, transform: Affine, shape: tuple[int, int]) -> Warp:
        key = band, crs, transform
        if key not in self._warps:
            self._warps[key] = make_warp(
                self.grid, crs, transform, shape, is_nearest=band == "scl", mixable=find_mixable(band, self.offset)
            )
        return self._warps[key]


@dataclass(frozen=True)
class DatatakeReader:
    """Reads the scenes of one datatake on a grid, mosaicked."""

    readers: tuple[SceneReader, ...]
    """By scene id; of overlapping scenes the first with a valid pixel counts."""

    def prefetch(self, bands: Iterable[str], windows: Sequence[Window]) -> None:
        """Start fetching windows that will be read soon, in this order; returns at once."""
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
        """Read a band, by each pixel's scene in ``origin``: (y, x) int16 reflectance x 10 000, at least 0; -32768 = no data."""
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
    """The files of one datatake, for any number of grids; belongs to one thread."""

    scenes: tuple[SceneFiles, ...]
    """By scene id."""

    received: ByteCounter
    """Bytes fetched so far."""

    def on(self, grid: Grid, scenes: Sequence[Scene] | None = None) -> DatatakeReader:
        """Return a reader on a grid of all scenes, or of ``scenes`` with their offsets."""
        chosen = [files.scene for files in self.scenes] if scenes is None else scenes
        offsets = {scene.id: scene.offset for scene in chosen}
        return DatatakeReader(tuple(f.on(grid, offsets[f.scene.id]) for f in self.scenes if f.scene.id in offsets))


@overload
def open_datatake(datatake: Datatake, *, pixel: float = PIXEL) -> contextlib.AbstractContextManager[DatatakeFiles]: ...
@overload
def open_datatake(datatake: Datatake, grid: Grid) -> contextlib.AbstractContextManager[DatatakeReader]: ...
@contextlib.contextmanager
def open_datatake(datatake: Datatake, grid: Grid | None = None, *, pixel: float = PIXEL) -> Iterator[Any]:
    """Open the files of a datatake for one thread; with a grid, return a reader on it.

    Overviews are read where pixels of so many metres, or of the grid, are enough.
    """
    shared = BlockCache(), Prefetcher(), pixel if grid is None else grid.transform.a, (received := ByteCounter())
    with gdal_environment(), contextlib.ExitStack() as stack:
        files = DatatakeFiles(tuple(stack.enter_context(SceneFiles(scene, *shared)) for scene in datatake.scenes), received)
        yield files if grid is None else files.on(grid)
