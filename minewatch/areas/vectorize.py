"""Turns sets of pixels into polygons, exactly: no tile border ever shows, because sets are joined first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize, shapes
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from shapely.geometry import MultiPolygon, shape
from shapely.geometry.base import BaseGeometry

from minewatch.areas.antimeridian import cut_halves, join_halves
from minewatch.areas.grid import Grid, Window, lonlat_from, reproject

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
    """Cut pixels, given by grid row and column, into patches: pixels that touch, also at a corner, belong together.

    Works on the pixels alone, never on an array of the whole grid.
    """
    width = shape[1]
    places = np.unique(np.asarray(rows, np.int64) * width + columns)
    pairs = [_join(places, step, aside, width) for step, aside in ((1, 1), (width - 1, -1), (width, 0), (width + 1, 1))]
    first, second = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    links = coo_array((np.ones(first.size, bool), (first, second)), shape=(places.size, places.size))
    count, labels = connected_components(links, directed=False)
    order = np.argsort(labels, kind="stable")
    for members in np.split(order, np.searchsorted(labels[order], np.arange(1, count))) if count else ():
        yield _cut_patch(*np.divmod(places[members], width))


def _join(places: NDArray[np.int64], step: int, aside: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the numbers of pixels that have another ``step`` places on, ``aside`` columns to the right, and of those others."""
    column = places % width + aside
    here = np.flatnonzero((column >= 0) & (column < width))
    there = np.searchsorted(places, places[here] + step)
    found = there < places.size
    found[found] = places[there[found]] == places[here[found]] + step
    return here[found], there[found]


def _cut_patch(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Patch:
    top, left = int(rows.min()), int(columns.min())
    mask = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1), bool)
    mask[rows - top, columns - left] = True
    return Patch(Window(top, left, *mask.shape), mask)


def outline(mask: NDArray[np.bool_], window: Window, grid: Grid) -> MultiPolygon:
    """Draw the outline of a set of pixels in the grid's CRS, along pixel edges."""
    drawn = shapes(mask.astype(np.uint8), mask=mask, connectivity=4, transform=grid.transform_of(window))
    merged = shapely.union_all([shape(geometry) for geometry, _ in drawn])
    return MultiPolygon(shapely.get_parts(merged).tolist())


def to_lonlat(geometry: BaseGeometry, grid: Grid) -> BaseGeometry:
    """Return polygons in degrees (WGS 84), to the centimetre, cut at 180°."""
    transformer = lonlat_from(grid.crs)
    degrees = cut_halves(join_halves(reproject(geometry, transformer)))
    rounded = shapely.transform(degrees, lambda points: np.round(points, COORDINATE_DIGITS))
    return rounded if rounded.is_valid else shapely.make_valid(degrees, method="structure")


def find_position(geometry: BaseGeometry) -> tuple[float, float]:
    """Return latitude and longitude of a point inside a lon/lat geometry, in its largest part."""
    largest = max(shapely.get_parts(geometry), key=lambda part: part.area)
    # The centre of the widest circle, since a point next to an edge may be rounded across it.
    x, y = shapely.get_coordinates(shapely.maximum_inscribed_circle(largest))[0]
    return round(float(y), 6), round(float(x), 6)


def rasterize_outlines(geometries: Iterable[BaseGeometry], transform: Affine, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mark the pixels whose centre lies in any of the geometries, which are in the lattice's CRS."""
    drawn = [geometry for geometry in geometries if geometry is not None and not geometry.is_empty]
    if not drawn:
        return np.zeros(shape, bool)
    return np.asarray(rasterize(drawn, shape, transform=transform, dtype="uint8")).astype(bool)
