"""Reads images in red, green and blue from files of unknown origin, no finer than is needed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj.exceptions import ProjError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window as RasterWindow

from minewatch.areas.grid import Grid, Window, find_transformer
from minewatch.core.errors import SceneError
from minewatch.core.http import RangeError, get_fetch_pool, is_remote
from minewatch.core.limits import COARSEST, UNSIGNED, find_external_file, find_header_fault
from minewatch.raster.credentials import Access
from minewatch.raster.gdal import READ_ERRORS, GdalFile, find_driver, gdal_environment, run_gdal
from minewatch.raster.gdal_vsi import Stream
from minewatch.raster.tiff_directory import BlockError
from minewatch.raster.tiff_header import is_left_to_gdal
from minewatch.raster.warp import ResampledGrid, find_epsg

FINEST = 0.01
"""Metres: the smallest pixel that is read."""

MOST_BANDS = 16
"""Of one file; images have three or four."""

STRIP = 256
"""Rows that are read at a time."""

RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


@dataclass(frozen=True)
class BandReader(GdalFile):
    """One band of an open file: 0 = no data or outside the file; black pixels with data are 1."""

    band: int = 1
    """Number of the band, from 1."""

    def _read_part(self, window: RasterWindow) -> NDArray[np.uint16]:
        part: NDArray[np.uint16] = self.dataset.read(self.band, window=window).astype(np.uint16)
        if MaskFlags.all_valid in self.dataset.mask_flag_enums[self.band - 1]:
            return part  # without a mask, zero in all bands is taken for no data
        known = self.dataset.read_masks(self.band, window=window) > 0
        return np.where(known, np.maximum(part, 1), 0).astype(np.uint16)


@dataclass(frozen=True)
class _ImageWarp(ResampledGrid):
    """The warp of a file in any CRS, also one in degrees or with a varying scale."""

    pixel: float = 1.0
    """Metres of a pixel of the file where the grid lies."""

    @property
    def radius(self) -> float:
        """Of the bilinear kernel, in the file's pixels: more than 1 where the grid is coarser than the file."""
        return max(1.0, self.grid.transform.a / self.pixel)


@dataclass(frozen=True)
class OpenImage:
    """Red, green and blue as open files, and the grid on which they are read."""

    layers: tuple[BandReader, ...]
    """Red, green, blue."""

    native: float
    """Metres of a pixel of the files."""

    grid: Grid
    """Covers the frame; its pixels are those of the files, or coarser where there would be too many."""

    @property
    def dtype(self) -> str:
        """Type of the pixels: uint8 or uint16."""
        return str(self.layers[0].dataset.dtypes[self.layers[0].band - 1])

    def read(self) -> NDArray[np.uint16]:
        """Read it, strip by strip: (y, x, 3) uint16, 0 = no data.  Raises SceneError where that fails."""
        values = np.empty((*self.grid.shape, len(self.layers)), np.uint16)
        with _translating_errors():
            warps = [_make_warp(layer.dataset, self.grid) for layer in self.layers]
            for row in range(0, self.grid.shape[0], STRIP):
                window = Window(row, 0, min(STRIP, self.grid.shape[0] - row), self.grid.shape[1])
                for index, (layer, warp) in enumerate(zip(self.layers, warps, strict=True)):
                    values[window.slices][..., index] = warp.read(layer, window)
        return values


@contextlib.contextmanager
def open_image(hrefs: Sequence[str], access: Access, frame: Grid, most: int) -> Iterator[OpenImage]:
    """Open one file with red, green and blue, or three, to read a frame in at most ``most`` pixels.

    Raises SceneError where they cannot be read or are no images.
    """
    if fault := access.find_fault(hrefs):
        raise SceneError(fault)
    with gdal_environment(), contextlib.ExitStack() as stack:
        with _translating_errors():
            files = [_File.find(href, access) for href in hrefs]
            datasets = [stack.enter_context(file.open()) for file in files]
            native = _measure_pixel(datasets[0], frame)
            left, bottom, right, top = frame.bounds
            pixel = max(native, math.sqrt((right - left) * (top - bottom) / most))
            grid = _make_grid(frame, pixel, datasets[0])
            if pixel > native:
                pairs = zip(files, datasets, strict=True)
                datasets = [_use_overview(stack, file, dataset, pixel / native) for file, dataset in pairs]
            layers = [BandReader(dataset, file.stream) for dataset, file in zip(datasets, files, strict=True)]
            if len(layers) == 1:
                layers = [replace(layers[0], band=band) for band in _find_rgb_bands(datasets[0])]
        yield OpenImage(tuple(layers), native, grid)


@contextlib.contextmanager
def _translating_errors() -> Iterator[None]:
    """Raise SceneError without the messages of GDAL, which may hold a signed address."""
    try:
        yield
    except (RangeError, BlockError) as error:
        raise SceneError(str(error)) from None
    except (*READ_ERRORS, ValueError, ProjError) as error:
        raise SceneError(f"it cannot be read ({type(error).__name__})") from None


@dataclass(frozen=True)
class _File:
    """A file that can be opened several times."""

    href: str
    """Path or address."""

    stream: Stream | None
    """Brings its bytes; None where GDAL reads them by itself."""

    @classmethod
    def find(cls, href: str, access: Access) -> Self:
        """Return the file, after reading the beginning of a remote one; raises OSError."""
        if not is_remote(href) or is_left_to_gdal(href, access):
            return cls(href, None)
        stream = Stream(href, access)
        get_fetch_pool().submit(stream.open).result()
        return cls(href, stream)

    @contextlib.contextmanager
    def open(self, level: int | None = None) -> Iterator[DatasetReader]:
        """Yield the file, or one of its overviews; raises SceneError where it is no image, else one of FAULTS."""
        options = {} if level is None else {"overview_level": level}
        path, driver = self.stream.path if self.stream else self.href, find_driver(self.href)
        dataset = run_gdal(self.stream, rasterio.open, path, driver=driver, **options)
        try:
            if misfit := run_gdal(self.stream, _find_misfit, dataset):
                raise SceneError(misfit)
            yield dataset
        finally:
            run_gdal(self.stream, dataset.close)


def _find_misfit(dataset: DatasetReader) -> str:
    """Return why a file cannot be an image, by its header alone; '' where it can."""
    kinds = set(dataset.dtypes)
    if dataset.crs is None or not 1 <= dataset.count <= MOST_BANDS or len(kinds) != 1 or not kinds <= set(UNSIGNED):
        return "it is no picture in 8 or 16 bits with a CRS"
    rows, columns = dataset.block_shapes[0]
    block = rows * dataset.count, columns  # the bands of a block may lie together
    is_metric = dataset.crs.is_projected
    misfit = find_header_fault(
        dataset.shape, block, list(kinds), dataset.transform, is_metric=is_metric, driver=dataset.driver, finest=FINEST
    )
    return misfit or find_external_file(dataset.tag_namespaces())


def _find_rgb_bands(dataset: DatasetReader) -> list[int]:
    """Return the numbers of the bands that are red, green and blue: as the file says, else the first three."""
    if dataset.count < len(RGB):
        raise SceneError(f"it has {dataset.count} bands, and a picture has red, green and blue; name three assets")
    colours = list(dataset.colorinterp)
    return [colours.index(colour) + 1 for colour in RGB] if set(RGB) <= set(colours) else [1, 2, 3]


def _use_overview(stack: contextlib.ExitStack, file: _File, dataset: DatasetReader, factor: float) -> DatasetReader:
    """Open the coarsest overview with pixels of at most ``factor`` pixels of the file; without one, return the file."""
    levels = run_gdal(file.stream, dataset.overviews, 1)
    fine = [index for index, level in enumerate(levels) if level <= factor]
    return stack.enter_context(file.open(fine[-1])) if fine else dataset


def _measure_pixel(dataset: DatasetReader, frame: Grid) -> float:
    """Return the metres of a file's pixel in the middle of a frame, on the frame's grid."""
    left, bottom, right, top = frame.bounds
    to_file = find_transformer(frame.crs, dataset.crs.to_wkt())
    own = dataset.transform
    column, row = ~own * to_file.transform((left + right) / 2, (bottom + top) / 2)
    corners = [own * place for place in ((column, row), (column + 1, row), (column, row + 1))]
    (x, y), *others = (to_file.transform(corner[0], corner[1], direction="INVERSE") for corner in corners)
    sides = [math.hypot(other[0] - x, other[1] - y) for other in others]
    if not all(FINEST <= side <= COARSEST for side in sides):  # False for NaN
        raise SceneError("its pixels have no size where the frame lies")
    # A difference of less than a millionth is rounding of the projection.
    return own.a if own.a == -own.e and abs(own.a - sides[0]) < 1e-6 * own.a else min(sides)


def _make_grid(frame: Grid, pixel: float, dataset: DatasetReader) -> Grid:
    """Return a grid over a frame, on the file's own lattice where CRS and pixels agree, so that no pixel is blended."""
    left, bottom, right, top = frame.bounds
    own = dataset.transform
    if find_epsg(dataset.crs.to_wkt()) == frame.epsg and own.a == pixel == -own.e and not own.b and not own.d:
        left, top = own.c + math.floor((left - own.c) / pixel) * pixel, own.f - math.floor((own.f - top) / pixel) * pixel
    # Less than a thousandth of a pixel is rounding.
    shape = math.ceil((top - bottom) / pixel - 1e-3), math.ceil((right - left) / pixel - 1e-3)
    return Grid(GeoBox(shape, Affine(pixel, 0, left, 0, -pixel, top), frame.geobox.crs), frame.area)


def _make_warp(dataset: DatasetReader, grid: Grid) -> _ImageWarp:
    pixel = _measure_pixel(dataset, grid)
    return _ImageWarp(grid, dataset.crs.to_wkt(), dataset.transform, dataset.shape, is_nearest=False, pixel=pixel)
