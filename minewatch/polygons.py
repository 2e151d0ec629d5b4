"""Turns sets of pixels into polygons, exactly: no tile border ever shows, because sets are joined first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import rasterize, shapes
from shapely.geometry import MultiPolygon, shape
from shapely.geometry.base import BaseGeometry
from skimage import measure

from minewatch.grid import Grid, Window, reproject

COORDINATE_DIGITS = 7
"""Digits of degrees that are kept: a centimetre."""


@dataclass(frozen=True)
class Patch:
    """A connected set of pixels, cut out of the grid."""

    window: Window
    """Its bounding box."""

    mask: NDArray[np.bool_]
    """(y, x) of the window, True = belongs to it."""


def find_patches(rows: NDArray[np.int32], columns: NDArray[np.int32], shape: tuple[int, int]) -> Iterator[Patch]:
    """Cut pixels, given by grid row and column, into patches: pixels that touch, also at a corner, belong together."""
    for row_span, members in _bands(np.asarray(rows)):
        yield from _patches_of_band(rows[members], columns[members], row_span, shape[1])


def _bands(rows: NDArray[np.int32]) -> Iterator[tuple[tuple[int, int], NDArray[np.intp]]]:
    """Split pixels into groups of rows that no connected patch can span, so that the arrays stay small."""
    order = np.argsort(rows, kind="stable")
    breaks = np.flatnonzero(np.diff(rows[order]) > 1) + 1
    for members in np.split(order, breaks):
        if members.size:
            yield (int(rows[members[0]]), int(rows[members[-1]])), members


def _patches_of_band(rows: NDArray[np.int32], columns: NDArray[np.int32], span: tuple[int, int], width: int) -> Iterator[Patch]:
    dense = np.zeros((span[1] - span[0] + 1, width), bool)
    dense[rows - span[0], columns] = True
    for region in measure.regionprops(measure.label(dense, connectivity=2)):
        top, left, bottom, right = region.bbox
        yield Patch(Window(span[0] + top, left, bottom - top, right - left), region.image)


def outline(mask: NDArray[np.bool_], window: Window, grid: Grid) -> MultiPolygon:
    """Draw the outline of a set of pixels in the grid's CRS, along pixel edges."""
    drawn = shapes(mask.astype(np.uint8), mask=mask, connectivity=4, transform=grid.transform_of(window))
    merged = shapely.union_all([shape(geometry) for geometry, _ in drawn])
    return MultiPolygon(shapely.get_parts(merged).tolist())


def to_lonlat(geometry: BaseGeometry, grid: Grid) -> BaseGeometry:
    """Give a geometry in degrees (WGS 84), to the centimetre."""
    transformer = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    degrees = reproject(geometry, transformer)
    rounded = shapely.transform(degrees, lambda points: np.round(points, COORDINATE_DIGITS))
    return rounded if rounded.is_valid else shapely.make_valid(degrees, method="structure")


def find_position(geometry: BaseGeometry) -> tuple[float, float]:
    """Give latitude and longitude of a point inside a lon/lat geometry, in its largest part."""
    largest = max(shapely.get_parts(geometry), key=lambda part: part.area)
    # The centre of the widest circle, since a point next to an edge may be rounded across it.
    x, y = shapely.get_coordinates(shapely.maximum_inscribed_circle(largest))[0]
    return round(float(y), 6), round(float(x), 6)


def burn(geometries: Iterable[BaseGeometry], transform: Affine, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mark the pixels whose centre lies in any of the geometries, which are in the lattice's CRS."""
    drawn = [geometry for geometry in geometries if geometry is not None and not geometry.is_empty]
    if not drawn:
        return np.zeros(shape, bool)
    return np.asarray(rasterize(drawn, shape, transform=transform, dtype="uint8")).astype(bool)
