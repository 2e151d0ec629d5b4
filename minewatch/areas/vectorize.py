"""Connected components of pixels, their outlines, and rasterizing of outlines."""

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


@dataclass(frozen=True)
class Patch:
    """A connected component of pixels."""

    window: Window
    """Its bounding box."""

    mask: NDArray[np.bool_]
    """(y, x) of the window, True = belongs to it."""


def find_patches(rows: NDArray[np.int32], columns: NDArray[np.int32], shape: tuple[int, int]) -> Iterator[Patch]:
    """Yield the connected components of pixels, given by grid row and column; pixels that touch at a corner are connected.

    Needs no array of the whole grid, and components cross tile borders.
    """
    width = shape[1]
    positions = np.unique(np.asarray(rows, np.int64) * width + columns)
    pairs = [_join(positions, step, aside, width) for step, aside in ((1, 1), (width - 1, -1), (width, 0), (width + 1, 1))]
    first, second = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    links = coo_array((np.ones(first.size, bool), (first, second)), shape=(positions.size, positions.size))
    count, labels = connected_components(links, directed=False)
    order = np.argsort(labels, kind="stable")
    for members in np.split(order, np.searchsorted(labels[order], np.arange(1, count))) if count else ():
        places = np.divmod(positions[members], width)
        top, left = (int(axis.min()) for axis in places)
        mask = np.zeros((int(places[0].max()) - top + 1, int(places[1].max()) - left + 1), bool)
        mask[places[0] - top, places[1] - left] = True
        yield Patch(Window(top, left, *mask.shape), mask)


def _join(positions: NDArray[np.int64], step: int, aside: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the indices of pixels with a neighbour ``step`` positions on and ``aside`` columns to the right, and of those."""
    column = positions % width + aside
    here = np.flatnonzero((column >= 0) & (column < width))
    there = np.searchsorted(positions, positions[here] + step)
    found = there < positions.size
    found[found] = positions[there[found]] == positions[here[found]] + step
    return here[found], there[found]


def outline(mask: NDArray[np.bool_], window: Window, grid: Grid) -> MultiPolygon:
    """Return the outline of a set of pixels in the grid's CRS, along pixel edges."""
    drawn = shapes(mask.view(np.uint8), mask=mask, connectivity=4, transform=grid.transform_of(window))
    merged = shapely.union_all([shape(geometry) for geometry, _ in drawn])
    return MultiPolygon(shapely.get_parts(merged).tolist())


def to_lonlat(geometry: BaseGeometry, grid: Grid) -> BaseGeometry:
    """Return polygons in degrees (WGS 84), rounded to the centimetre and cut at 180°."""
    transformer = lonlat_from(grid.epsg)
    degrees = cut_halves(join_halves(reproject(geometry, transformer)))
    rounded = shapely.transform(degrees, lambda points: np.round(points, 7))
    return rounded if rounded.is_valid else shapely.make_valid(degrees, method="structure")


def find_position(geometry: BaseGeometry) -> tuple[float, float]:
    """Return latitude and longitude of a point inside a lon/lat geometry, in its largest part."""
    largest = max(shapely.get_parts(geometry), key=lambda part: part.area)
    # The centre of the largest inscribed circle, since rounding may move a point near an edge across it.
    x, y = shapely.get_coordinates(shapely.maximum_inscribed_circle(largest))[0]
    return round(float(y), 6), round(float(x), 6)


def rasterize_outlines(geometries: Iterable[BaseGeometry], transform: Affine, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels have their centre in any of the geometries, which are in the raster's CRS: (y, x) bool."""
    drawn = [geometry for geometry in geometries if geometry is not None and not geometry.is_empty]
    if not drawn:
        return np.zeros(shape, bool)
    return np.asarray(rasterize(drawn, shape, transform=transform, dtype="uint8")).astype(bool)


def find_centres(geometry: BaseGeometry, transform: Affine, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which pixels have their centre in one geometry, which is in the raster's CRS: (y, x) bool.

    Each point is tested, which takes a tenth of GDAL's time where they are few.
    """
    left, bottom, right, top = geometry.bounds
    xs, ys = transform.c + (np.arange(shape[1]) + 0.5) * transform.a, transform.f + (np.arange(shape[0]) + 0.5) * transform.e
    rows, columns = np.flatnonzero((ys >= bottom) & (ys <= top)), np.flatnonzero((xs >= left) & (xs <= right))
    inside = np.zeros(shape, bool)
    shapely.prepare(geometry)
    inside[np.ix_(rows, columns)] = shapely.contains_xy(geometry, xs[columns][None, :], ys[rows][:, None])
    return inside


def outline_numbers(numbers: NDArray[np.int32], transform: Affine) -> tuple[NDArray[np.object_], NDArray[np.int32]]:
    """Return the outlines of the patches of equal numbers, along pixel edges, and the number of each; those of 0 are left out."""
    drawn = list(shapes(numbers, mask=numbers != 0, connectivity=4, transform=transform))
    outlines = np.empty(len(drawn), object)
    outlines[:] = [shape(geometry) for geometry, _ in drawn]
    return outlines, np.array([number for _, number in drawn], np.int32)


def rasterize_numbers(
    geometries: NDArray[np.object_], numbers: NDArray[np.int32], transform: Affine, shape: tuple[int, int]
) -> NDArray[np.int32]:
    """Return the number of the last geometry that holds the centre of each pixel, or is a point within it, else 0: (y, x)."""
    if not len(geometries):
        return np.zeros(shape, np.int32)
    pairs = zip(geometries.tolist(), numbers.tolist(), strict=True)
    return np.asarray(rasterize(pairs, shape, transform=transform, dtype="int32"), np.int32)
