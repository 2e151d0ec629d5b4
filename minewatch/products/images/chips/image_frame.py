"""The frame of an image around an outline."""

from __future__ import annotations

import math

from affine import Affine
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from minewatch.areas.antimeridian import join_halves
from minewatch.areas.grid import PIXEL, Grid, Window, lonlat_to, reproject

ROOM, SMALLEST = 0.5, 1000.0
"""Margin around an outline, as a share of its longer side, and the least side of a frame, metres."""

LATTICE_PIXELS = 2
"""Frames begin on every second pixel, as the 20 m pixels do."""


def frame_outline(grid: Grid, outline: BaseGeometry, room: float = ROOM, smallest: float = SMALLEST) -> Grid:
    """Return a frame around an outline in lon/lat: on the grid's lattice, with a margin, and within the grid.

    At the grid's edge the frame is moved inwards, since the archive ends there.
    """
    shape = reproject(join_halves(outline), lonlat_to(grid.epsg))
    left, bottom, right, top = shape.bounds
    side = max(smallest, (1 + 2 * room) * max(right - left, top - bottom))
    middle = ~grid.transform @ ((left + right) / 2, (bottom + top) / 2)
    (column, width), (row, height) = (
        _fit(place, side / PIXEL, most) for place, most in zip(middle, reversed(grid.shape), strict=True)
    )
    return Grid(GeoBox((height, width), grid.transform @ Affine.translation(column, row), grid.geobox.crs), shape)


def _fit(middle: float, side: float, most: int) -> tuple[int, int]:
    """Return first pixel and number of pixels of a frame's side, within ``most`` pixels of the grid."""
    count = min(most, LATTICE_PIXELS * math.ceil(side / LATTICE_PIXELS + 1))
    first = LATTICE_PIXELS * round((middle - count / 2) / LATTICE_PIXELS)
    return max(0, min(first, most - count)), count


def coarsen(grid: Grid, most: int) -> Grid:
    """Return the grid itself, or a coarser one whose longer side has at most ``most`` pixels."""
    factor = math.ceil(max(grid.shape) / most)
    return grid if factor == 1 else Grid(grid.geobox.zoom_out(factor), grid.area)


def locate_frame(grid: Grid, frame: Grid) -> Window:
    """Return the part of a grid that a frame on its lattice covers; empty where they do not meet."""
    column, row = ((frame.transform.c - grid.transform.c) / PIXEL, (grid.transform.f - frame.transform.f) / PIXEL)
    first = max(0, round(row)), max(0, round(column))
    last = min(grid.shape[0], round(row) + frame.shape[0]), min(grid.shape[1], round(column) + frame.shape[1])
    return Window(*first, max(0, last[0] - first[0]), max(0, last[1] - first[1]))
