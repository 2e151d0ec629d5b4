"""Which pixels of a grid lie in an outline: found once for each outline, and kept as bits."""

from __future__ import annotations

from functools import lru_cache
from threading import Lock

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

STRIP = 1024
"""Rows that are found together, so that bytes are held of these alone."""

KEPT = 8
"""Outlines whose pixels are kept: a million pixels take 125 kB."""

_one_at_a_time = Lock()


def read_mask(outline: BaseGeometry, transform: Affine, shape: tuple[int, int], rows: slice, columns: slice) -> NDArray[np.bool_]:
    """Return which pixels of some rows and columns of a north-up grid have their centre in the interior of an outline.

    (y, x) bool.  ``shape`` is the grid's; outline and transform are in the same CRS.
    """
    with _one_at_a_time:
        bits = _pack_mask(outline, transform, shape)[rows]
    first = columns.start // 8
    near = bits[:, first : -(-columns.stop // 8)]
    pixels = np.unpackbits(near, axis=1)[:, columns.start - 8 * first : columns.stop - 8 * first : columns.step]
    return pixels.view(bool)


@lru_cache(KEPT)
def _pack_mask(outline: BaseGeometry, transform: Affine, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the pixels of the whole grid, eight to a byte along each row."""
    height, width = shape
    packed = np.empty((height, -(-width // 8)), np.uint8)
    shapely.prepare(outline)
    for top in range(0, height, STRIP):
        strip = transform @ Affine.translation(0, top)
        packed[top : top + STRIP] = np.packbits(_find_pixels(outline, strip, (min(STRIP, height - top), width)), axis=1)
    return packed


def _find_pixels(outline: BaseGeometry, transform: Affine, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels of one strip: each that the boundary touches is tested by its centre, and GDAL fills the others."""
    x = transform.c + (np.arange(shape[1]) + 0.5) * transform.a
    y = transform.f + (np.arange(shape[0]) + 0.5) * transform.e
    frame = shapely.box(x[0], y[-1], x[-1], y[0])
    if not outline.intersects(frame):
        return np.zeros(shape, bool)
    if outline.contains_properly(frame):
        return np.ones(shape, bool)
    mask: NDArray[np.bool_] = rasterize([outline], shape, transform=transform, dtype="uint8").view(bool)
    edge = rasterize([outline.boundary], shape, transform=transform, dtype="uint8", all_touched=True)
    row, column = np.divmod(np.flatnonzero(edge.view(bool)), shape[1])
    mask[row, column] = shapely.contains_xy(outline, x[column], y[row])
    return mask
