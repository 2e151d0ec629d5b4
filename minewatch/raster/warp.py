"""Warps from a file's pixels to an area's grid: aligned, or resampled."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import ProjError

from minewatch.areas.grid import PIXEL, Grid, Window, find_transformer
from minewatch.raster.resampling import CONTROL_SPACING, resample_bilinear, resample_nearest, upsample2
from minewatch.raster.tiff_directory import BlockError
from minewatch.raster.tiff_header import Box

FALSE_NORTHING = 10_000_000.0
"""Metres added to northings in the southern half of a UTM zone."""

LARGEST_BOX = 2**24
"""Pixels of a file for one part; Sentinel-2 never needs more."""

ANY_DATA = (1, 2**16 - 1)
"""Numbers that are averaged where nothing is known of them: all but 0, which is no data."""


class PixelReader(Protocol):
    """An open file of one band."""

    def read(self, box: Box) -> NDArray[np.uint16]:
        """Read a box: (y, x) uint16, 0 outside the file."""

    def close(self) -> None:
        """Close it."""


@dataclass(frozen=True)
class AlignedGrid:
    """The file's pixels are those of the grid, or each fills several of them."""

    row: int
    """Row of the grid's corner, in fine pixels from the file's corner."""

    column: int
    """Column likewise."""

    factor: int
    """Pixels of the grid along one of the file's: 1 or 2."""

    def locate(self, window: Window) -> Iterator[Box]:
        """Yield the box of the file that a window needs."""
        top, left = self.row + window.row, self.column + window.column
        bottom, right = top + window.height, left + window.width
        yield top // self.factor, left // self.factor, -(-bottom // self.factor), -(-right // self.factor)

    def read(self, source: PixelReader, window: Window) -> NDArray[np.uint16]:
        """Read a window: (y, x) uint16, 0 = no data."""
        (box,) = self.locate(window)
        coarse = source.read(box)
        if self.factor == 1:
            return coarse
        out = np.empty(window.shape, np.uint16)
        row, column = self.row + window.row - box[0] * self.factor, self.column + window.column - box[1] * self.factor
        upsample2(coarse, row, column, out)
        return out


@dataclass(frozen=True)
class ResampledGrid:
    """The file has another lattice; its pixels are resampled, with the same result for every window."""

    grid: Grid
    """Grid of the pixels returned."""

    crs: str
    """WKT of the file."""

    transform: Affine
    """Pixel of the file to its map."""

    shape: tuple[int, int]
    """Rows and columns of the file."""

    is_nearest: bool
    """True for classes, which are never averaged."""

    mixable: tuple[int, int] = ANY_DATA
    """Lowest and highest number that is averaged with others."""

    @property
    def radius(self) -> float:
        """Radius of the bilinear kernel in the file's pixels: more than 1 where the grid is coarser."""
        return max(1.0, self.grid.transform.a / (math.hypot(self.transform.b, self.transform.e) * measure_unit(self.crs)))

    def locate(self, window: Window) -> Iterator[Box]:
        """Yield the boxes of the file that the parts of a window need."""
        for part in window.cut(self.side, self.side):
            yield self._find_box(*self._locate_control_points(part))

    def read(self, source: PixelReader, window: Window) -> NDArray[np.uint16]:
        """Read a window: (y, x) uint16, 0 = no data.  Raises BlockError where the file's pixels are far too fine."""
        out = np.zeros(window.shape, np.uint16)
        for part in window.cut(self.side, self.side):
            columns, rows = self._locate_control_points(part)
            box = self._find_box(columns, rows)
            if box[0] < box[2] and box[1] < box[3]:
                target = np.zeros(part.shape, np.uint16)
                points = columns - box[1], rows - box[0]
                start = part.row % CONTROL_SPACING, part.column % CONTROL_SPACING
                if self.is_nearest:
                    resample_nearest(source.read(box), *points, start, target)
                else:
                    resample_bilinear(source.read(box), *points, start, self.radius, self.mixable, target)
                out[part.within(window)] = target
        return out

    @property
    def side(self) -> int:
        """Side in pixels of the parts in which a window is resampled; less where the file's pixels are finer than the grid's."""
        return max(1, int(512 / self.radius))

    def _locate_control_points(self, window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return column and row in the file of each control point around a window: (y, x) float64, whole at pixel corners."""
        x, y = project_control_points(self.grid, self.crs, window)
        back = ~self.transform
        with np.errstate(invalid="ignore"):  # positions outside the file's CRS are infinite
            return back.a * x + back.b * y + back.c, back.d * x + back.e * y + back.f

    def _find_box(self, columns: NDArray[np.float64], rows: NDArray[np.float64]) -> Box:
        """Return the box of the file around control points, widened for the kernel; empty where none is near the file."""
        known = np.isfinite(columns) & np.isfinite(rows)
        if not known.any():
            return 0, 0, 0, 0
        margin = self.radius + 1
        low, high = (
            np.array([rows[known].min(), columns[known].min()]) - margin,
            np.array([rows[known].max(), columns[known].max()]) + margin,
        )
        top, left = np.floor(np.clip(low, 0, self.shape)).astype(int)
        bottom, right = np.ceil(np.clip(high, 0, self.shape)).astype(int)
        if (bottom - top) * (right - left) > LARGEST_BOX:
            raise BlockError("its pixels are far finer than those of a scene")
        return int(top), int(left), int(bottom), int(right)


Warp = AlignedGrid | ResampledGrid
"""Reads windows of a grid from a file."""


@lru_cache(32)
def project_control_points(grid: Grid, crs: str, window: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y in ``crs`` of every CONTROL_SPACING-th pixel centre around a window: (y, x) float64.

    They are control points of the whole grid, so neighbouring windows share them and have no seam.
    """
    rows, columns = (
        np.arange(first // CONTROL_SPACING, (first + size - 1) // CONTROL_SPACING + 2) * CONTROL_SPACING + 0.5
        for first, size in ((window.row, window.height), (window.column, window.width))
    )
    transform = grid.transform
    x, y = np.meshgrid(transform.c + columns * transform.a, transform.f + rows * transform.e)
    try:
        return find_transformer(grid.crs, crs).transform(x, y)
    except ProjError as error:
        raise BlockError(f"its CRS does not meet the grid's ({type(error).__name__})") from None


@lru_cache(256)
def measure_unit(crs: str) -> float:
    """Return the metres of a unit of a CRS, such as a foot or a degree along a meridian."""
    known = CRS.from_wkt(crs)
    unit = float(known.axis_info[0].unit_conversion_factor)
    return unit * known.ellipsoid.semi_major_metre if known.is_geographic and known.ellipsoid else unit


@lru_cache(256)
def find_epsg(crs: str) -> int | None:
    """Return the EPSG code of a CRS."""
    return CRS.from_wkt(crs).to_epsg()


def find_known_epsg(crs: str) -> int | None:
    """Return the EPSG code of a CRS, None also where it is no valid one."""
    try:
        return find_epsg(crs)
    except ProjError:
        return None


def make_warp(
    grid: Grid,
    crs: str,
    transform: Affine,
    shape: tuple[int, int],
    *,
    is_nearest: bool,
    mixable: tuple[int, int] = ANY_DATA,
) -> Warp:
    """Return the warp of a file onto a grid; the grid's own lattice, at 10 m or 20 m, needs no resampling.

    Raises BlockError where the file's CRS is not valid.
    """
    try:
        north = find_northing_shift(find_epsg(crs), grid.epsg)
    except ProjError as error:
        raise BlockError(f"its CRS is not known ({type(error).__name__})") from None
    aligned = None if north is None else make_aligned_grid(grid, Affine.translation(0, north) @ transform)
    return aligned or ResampledGrid(grid, crs, transform, shape, is_nearest, mixable)


def find_northing_shift(file: int | None, grid: int) -> float | None:
    """Return what to add to a file's northings to get the grid's, by EPSG codes; None where the CRSs differ in more.

    The halves of a UTM zone differ only in the false northing, by a multiple of every lattice.
    """
    if file == grid:
        return 0.0
    if file is None or {file // 100, grid // 100} != {326, 327} or file % 100 != grid % 100 or not 1 <= grid % 100 <= 60:
        return None
    return FALSE_NORTHING if grid // 100 == 327 else -FALSE_NORTHING


def make_aligned_grid(grid: Grid, transform: Affine) -> AlignedGrid | None:
    """Return the grid's corner on a file's lattice of the same CRS; None where they are not aligned."""
    size, fine = transform.a, grid.transform
    if fine.a != PIXEL or size not in (10.0, 20.0) or transform.e != -size or transform.b or transform.d:
        return None
    row, column = (transform.f - fine.f) / size, (fine.c - transform.c) / size
    if abs(row - round(row)) >= 1e-4 or abs(column - round(column)) >= 1e-4:
        return None
    factor = round(size / PIXEL)
    return AlignedGrid(round(row) * factor, round(column) * factor, factor)
