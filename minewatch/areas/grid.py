"""The pixel grid of an area, which depends on the area only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from minewatch.areas.antimeridian import wrap_longitude
from minewatch.areas.aoi import Aoi
from minewatch.core.errors import AoiError

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

Shapes = TypeVar("Shapes", BaseGeometry, NDArray[np.object_])
"""One geometry, or an array of them."""

PIXEL = 10
"""Pixel size in metres."""

COARSE_PIXEL = 20
"""Pixel size in metres in which bands of 10 m may be read to save bytes; the pixels of the grid stay as they are."""

LATTICE = 20
"""Corners are multiples of this (metres), so that bands of 10 m and 20 m in the same zone need no resampling."""

FEW_PIXELS = 64
"""A larger grid has pixels whose centre lies in its area."""

LONLAT = 4326
"""EPSG code of longitude and latitude in degrees (WGS 84)."""

EDGE_M = 1000.0
"""Longer edges of projected shapes get more corners, since a straight line there is a curve in degrees; metres."""

ZONE_EXCEPTIONS = (
    (56, 64, 3, 12, 32),
    (72, 84, 0, 9, 31),
    (72, 84, 9, 21, 33),
    (72, 84, 21, 33, 35),
    (72, 84, 33, 42, 37),
)
"""South, north, west, east in degrees and the zone there: south-west Norway and Svalbard, whose zones are not six degrees
wide (NGA.STND.0037, 2014)."""

ARCHIVE_BLOCK = 512
"""Side in pixels of the cells in which indices are left unread under cloud; never depends on the tile size."""


SCENE_BLOCK = 1024
"""Side in pixels of the blocks of a provider's files, about."""


@dataclass(frozen=True)
class Window:
    """A rectangle of a grid, in pixels."""

    row: int
    """First row, from the top."""

    column: int
    """First column, from the left."""

    height: int
    """Rows."""

    width: int
    """Columns."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """The index of this window in an array of the whole grid."""
        return slice(self.row, self.row + self.height), slice(self.column, self.column + self.width)

    def grow(self, pixels: int, limit: tuple[int, int]) -> Window:
        """Return the window widened by ``pixels`` on each side, within a grid of shape ``limit``."""
        top, left = max(0, self.row - pixels), max(0, self.column - pixels)
        bottom = min(limit[0], self.row + self.height + pixels)
        right = min(limit[1], self.column + self.width + pixels)
        return Window(top, left, bottom - top, right - left)

    @property
    def square(self) -> tuple[int, int]:
        """Row and column of the square of SCENE_BLOCK in which it begins.

        Windows are read in this order: a reader holds blocks until it has passed them, and in any other order those of a large
        area would be decompressed again and again.
        """
        return self.row // SCENE_BLOCK, self.column // SCENE_BLOCK

    def cut(self, height: int, width: int) -> Iterator[Window]:
        """Yield windows of at most ``height`` and ``width`` pixels that cover this one, row by row."""
        for row in range(0, self.height, height):
            for column in range(0, self.width, width):
                size = min(height, self.height - row), min(width, self.width - column)
                yield Window(self.row + row, self.column + column, *size)

    def intersect(self, other: Window) -> Window:
        """Return the pixels that two windows share; height or width is 0 or less where there are none."""
        row, column = max(self.row, other.row), max(self.column, other.column)
        bottom = min(self.row + self.height, other.row + other.height)
        right = min(self.column + self.width, other.column + other.width)
        return Window(row, column, bottom - row, right - column)

    def within(self, outer: Window) -> tuple[slice, slice]:
        """Return the index of this window in an array that covers ``outer``."""
        row, column = self.row - outer.row, self.column - outer.column
        return slice(row, row + self.height), slice(column, column + self.width)


@dataclass(frozen=True)
class Grid:
    """The pixel grid on which one area is archived and monitored."""

    geobox: GeoBox
    """CRS (metres), shape and transform; 10 m pixels, north up."""

    area: BaseGeometry
    """The area's outline in the grid's CRS."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        height, width = self.geobox.shape
        return int(height), int(width)

    @property
    def crs(self) -> CRS:
        """The CRS, in metres."""
        assert self.geobox.crs is not None, "a grid has a CRS"
        return self.geobox.crs.proj

    @property
    def epsg(self) -> int:
        """EPSG code of the CRS."""
        assert self.geobox.crs is not None, "a grid has a CRS"
        return int(self.geobox.crs.epsg or 0)  # kept by it

    @property
    def transform(self) -> Affine:
        """Pixel to metres."""
        return self.geobox.transform

    @property
    def window(self) -> Window:
        """The whole grid."""
        return Window(0, 0, *self.shape)

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top in metres."""
        box = self.geobox.boundingbox
        return box.left, box.bottom, box.right, box.top

    def transform_of(self, window: Window) -> Affine:
        """Return the transform of a window: pixel to metres."""
        return self.transform @ Affine.translation(window.column, window.row)

    def inside(self, window: Window, step: int = 1) -> NDArray[np.bool_]:
        """Return which pixels of a window have their centre in the area: (y, x) bool.

        With a ``step``, rows and columns of the window count every step-th one of the grid.
        """
        from minewatch.areas.outline_mask import read_mask  # noqa: PLC0415  brings rasterio, which most users of grids never need

        (top, bottom), (left, right) = ((size.start * step, size.stop * step) for size in window.slices)
        return read_mask(self.area, self.transform, self.shape, slice(top, bottom, step), slice(left, right, step))


@dataclass(frozen=True)
class GridPlan:
    """Where the grid of an area lies."""

    epsg: int
    """EPSG code of its CRS, in metres."""

    shape: tuple[int, int]
    """Rows and columns."""

    transform: Affine
    """Pixel to metres."""

    area: BaseGeometry
    """The area's outline in that CRS."""


def make_grid(aoi: Aoi) -> Grid:
    """Return the grid of an area.  Raises AoiError as :func:`plan_grid` does."""
    from odc.geo.geobox import GeoBox  # noqa: PLC0415  brings Dask: a third of a second, which lists of areas should not pay

    plan = plan_grid(aoi)
    return Grid(GeoBox(plan.shape, plan.transform, f"EPSG:{plan.epsg}"), plan.area)


def refuse_empty(aoi: Aoi, grid: Grid) -> None:
    """Raise AoiError where no pixel has its centre in an area: nothing could be seen of it."""
    if grid.shape[0] * grid.shape[1] <= FEW_PIXELS and not grid.inside(grid.window).any():
        raise AoiError(
            f"area {aoi.name!r} is {1e6 * aoi.area_km2:,.0f} m² and holds the centre of no pixel of {PIXEL} m: nothing could be"
            " seen of it; register the outline of the place with its surroundings"
        )


def plan_grid(aoi: Aoi) -> GridPlan:
    """Return where the grid of an area lies: in the UTM zone of its centroid, unless its file requests another lattice.

    Raises AoiError where the requested CRS does not exist or is not in metres.
    """
    joined = aoi.joined
    epsg = aoi.grid.epsg if aoi.grid else find_utm_epsg(wrap_longitude(joined.centroid.x), joined.centroid.y)
    origin = aoi.grid.origin if aoi.grid else (0.0, 0.0)
    crs = _check_crs(epsg, aoi.name)
    to_grid = lonlat_to(crs)
    area = reproject(shapely.segmentize(joined, 0.01), to_grid)
    if not all(map(math.isfinite, area.bounds)):
        raise AoiError(f"area {aoi.name!r} lies outside EPSG:{epsg}; correct its 'grid' property")
    left, bottom, right, top = (
        _snap(value, start, up) for value, start, up in zip(area.bounds, origin * 2, (False, False, True, True), strict=True)
    )
    shape = (round((top - bottom) / PIXEL), round((right - left) / PIXEL))
    return GridPlan(epsg, shape, Affine(PIXEL, 0, left, 0, -PIXEL, top), area)


@lru_cache(64)
def find_transformer(source: CRS | str | int, target: CRS | str | int) -> Transformer:
    """Return the transformer of x and y, in that order also for degrees; cached, since creating one is slow."""
    return Transformer.from_crs(source, target, always_xy=True)


def lonlat_to(crs: CRS | int) -> Transformer:
    """Return the transformer from longitude and latitude to a CRS."""
    return find_transformer(LONLAT, crs)


def lonlat_from(crs: CRS | int) -> Transformer:
    """Return the transformer from a CRS to longitude and latitude."""
    return find_transformer(crs, LONLAT)


def reproject(geometry: Shapes, transformer: Transformer) -> Shapes:
    """Return one or more geometries in another CRS."""
    return shapely.transform(geometry, lambda points: np.column_stack(transformer.transform(points[:, 0], points[:, 1])))


def add_corners(shapes: Shapes, crs: CRS) -> Shapes:
    """Return shapes with corners on the long edges of a projected CRS."""
    if not crs.is_projected:
        return shapes
    found: Shapes = shapely.segmentize(shapes, EDGE_M / (crs.axis_info[0].unit_conversion_factor or 1))
    return found


def is_lonlat(crs: CRS) -> bool:
    """True if coordinates are degrees of WGS 84, whichever comes first."""
    return crs.equals(CRS.from_epsg(LONLAT), ignore_axis_order=True)


def find_utm_epsg(longitude: float, latitude: float) -> int:
    """Return the EPSG code of the UTM zone of a point in degrees, as MGRS tiles have it."""
    zone = min(60, int((longitude + 180) // 6) + 1)
    for south, north, west, east, exception in ZONE_EXCEPTIONS:
        if south <= latitude < north and west <= longitude < east:
            zone = exception
    return (32600 if latitude >= 0 else 32700) + zone


def _snap(value: float, origin: float, up: bool) -> float:
    steps = (value - origin) / LATTICE
    # A corner within a millimetre of a multiple counts as one.
    steps = round(steps) if abs(steps - round(steps)) < 5e-5 else math.ceil(steps) if up else math.floor(steps)
    return origin + steps * LATTICE


def _check_crs(epsg: int, name: str) -> CRS:
    try:
        crs = CRS.from_epsg(epsg)
    except CRSError as error:
        raise AoiError(f"area {name!r} asks for EPSG:{epsg}, which does not exist; correct its 'grid' property") from error
    if not crs.is_projected or crs.axis_info[0].unit_name != "metre":
        raise AoiError(f"area {name!r} asks for EPSG:{epsg}, which is not in metres; correct its 'grid' property")
    return crs
