"""Means of a map of numbers over outlines, such as the carbon of a forest: of a local GeoTIFF, window by window."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import ProjError
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from minewatch.areas.grid import find_transformer, reproject
from minewatch.core.errors import MapFileError
from minewatch.core.limits import LARGEST_BLOCK, find_external_file
from minewatch.raster.gdal import READ_ERRORS, gdal_environment

MOST_PIXELS = 2**20
"""Pixels of the window of one outline; a map of 30 m has as many on 900 square kilometres."""

_PER_DEGREE = 1000
"""Corners of an outline a degree, so that its edges bend with the map's projection."""


@dataclass(frozen=True)
class AreaMean:
    """The numbers of a map on an outline."""

    mean: float
    """Of the ground with data, by area; NaN where there is none."""

    lowest: float
    """The smallest number on it; NaN as before."""

    highest: float
    """The largest."""

    share: float
    """Share of the outline with data, 0 to 1."""


@contextlib.contextmanager
def open_map(path: Path) -> Iterator[Callable[[BaseGeometry], AreaMean]]:
    """Yield a function that measures the map's first band on an outline, in degrees of longitude and latitude.

    Only the pixels around each outline are read.  Pixels without data, or whose number is none, are no data.
    Raises MapFileError, there and here, where the file is no GeoTIFF of one band of numbers with a place on earth.
    """
    if not path.is_file():
        raise MapFileError(f"{path} is not there, or is no file")
    with _explaining(path), gdal_environment(), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, driver="GTiff") as dataset:
            if fault := _find_fault(dataset):
                raise MapFileError(f"{path}: {fault}")
            yield lambda outline: _measure(dataset, outline, path)


@contextlib.contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except (*READ_ERRORS, ProjError) as error:
        raise MapFileError(
            f"{path} cannot be read as a GeoTIFF ({type(error).__name__}); it is damaged, or another format"
        ) from error


def _find_fault(dataset: DatasetReader) -> str:
    """Return why a file is no map of numbers, by its header alone; '' where it is one."""
    if dataset.crs is None or not all(map(math.isfinite, dataset.transform[:6])) or not dataset.transform.determinant:
        return "it says no place on earth; save it as a GeoTIFF with a coordinate reference system"
    if dataset.count != 1:
        return f"it has {dataset.count} bands, and a map of one quantity has one"
    if np.dtype(dataset.dtypes[0]).kind not in "uif":
        return f"its numbers are of type {dataset.dtypes[0]}"
    rows, columns = dataset.block_shapes[0]
    if rows * columns * np.dtype(dataset.dtypes[0]).itemsize > LARGEST_BLOCK:
        return f"it claims blocks of {rows} x {columns} pixels; save it in tiles"
    return find_external_file(dataset.tag_namespaces())


def _measure(dataset: DatasetReader, outline: BaseGeometry, path: Path) -> AreaMean:
    place = reproject(shapely.segmentize(outline, 1 / _PER_DEGREE), find_transformer(4326, CRS.from_wkt(dataset.crs.to_wkt())))
    inverse = ~dataset.transform
    shape = shapely.transform(place, lambda points: np.column_stack(inverse * points.T))  # pixels: x to the right, y down
    if not np.isfinite(shapely.get_coordinates(shape)).all() or not shape.area > 0:
        return AreaMean(math.nan, math.nan, math.nan, 0.0)
    west, north, east, south = shape.bounds
    left, top = max(0, math.floor(west)), max(0, math.floor(north))
    right, bottom = min(dataset.width, math.ceil(east)), min(dataset.height, math.ceil(south))
    if left >= right or top >= bottom:
        return AreaMean(math.nan, math.nan, math.nan, 0.0)
    if (right - left) * (bottom - top) > MOST_PIXELS:
        raise MapFileError(f"{path}: an alert lies on more than {MOST_PIXELS} of its pixels; give a coarser map")
    stored = dataset.read(1, window=Window(left, top, right - left, bottom - top), masked=True)
    numbers = stored.data.astype(np.float64) * dataset.scales[0] + dataset.offsets[0]
    return _average(numbers, ~np.ma.getmaskarray(stored) & np.isfinite(numbers), shape, left, top)


def _average(numbers: NDArray[np.float64], known: NDArray[np.bool_], shape: BaseGeometry, left: int, top: int) -> AreaMean:
    rows, columns = np.nonzero(known)
    weights = _cover(shape, columns + left, rows + top)
    inside = weights > 0
    if not inside.any():
        return AreaMean(math.nan, math.nan, math.nan, 0.0)
    weights, found = weights[inside], numbers[rows[inside], columns[inside]]
    mean = float(np.average(found, weights=weights))
    return AreaMean(mean, float(found.min()), float(found.max()), min(1.0, float(weights.sum() / shape.area)))


def _cover(shape: BaseGeometry, x: NDArray[np.intp], y: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the share of each pixel that lies in an outline, in pixels."""
    shapely.prepare(shape)
    boxes = shapely.box(x, y, x + 1, y + 1)
    weights = shapely.contains(shape, boxes).astype(np.float64)
    edge = np.flatnonzero((weights == 0) & shapely.intersects(shape, boxes))
    weights[edge] = shapely.area(shapely.intersection(shape, boxes[edge]))
    return weights
