"""Outlines as users draw them: rectangles in lon/lat and the banks of a river, within given pixels of a series."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

Frame = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels of 10 m."""

Place = tuple[int, float, float]
"""EPSG code of a grid, and its upper left corner in metres."""

PIXEL = 10

BANK, LAKE, ISLAND = 2000, 600, 300
"""Corners of each bank of a river, of a lake that it leaves out, and of an island in the lake."""


def draw_rectangle(frame: Frame, place: Place) -> BaseGeometry:
    """Return the largest rectangle in lon/lat that lies in a frame.

    Meridians are not parallel to a grid's columns, so that rows and columns at the edges are partly outside.
    """
    top, left, bottom, right = frame
    down, along = np.linspace(top, bottom, 50), np.linspace(left, right, 50)
    edges = [(np.full(50, left), down), (along, np.full(50, bottom)), (np.full(50, right), down), (along, np.full(50, top))]
    west, south, east, north = (_to_lonlat(np.column_stack(edge), place) for edge in edges)
    return shapely.box(west[:, 0].max(), south[:, 1].max(), east[:, 0].min(), north[:, 1].min())


def draw_river(size: int, place: Place) -> BaseGeometry:
    """Return a river that winds from west to east through a square of so many pixels, about a tenth of it.

    It has thousands of corners, leaves out a lake, and takes in an island in the lake.
    """
    random = np.random.default_rng(18)
    x = np.linspace(0.02, 0.98, BANK)
    wave = 0.5 + 0.26 * np.sin(3 * np.pi * x) + 0.008 * np.sin(19 * np.pi * x + 1)
    width = 0.04 + 0.012 * np.sin(11 * np.pi * x)
    banks = [np.column_stack([x, wave + side * (width + 0.004 * random.random(BANK))]) for side in (-1, 1)]
    lake, island = (
        _draw_loop((x[BANK // 2], wave[BANK // 2]), radius, corners, random)
        for radius, corners in ((0.02, LAKE), (0.008, ISLAND))
    )
    river = shapely.Polygon(np.concatenate([banks[0], banks[1][::-1]]), [lake])
    both = shapely.MultiPolygon([river, shapely.Polygon(island)])
    return shapely.transform(both, lambda points: _to_lonlat(points * size, place))


def _draw_loop(centre: tuple[float, float], radius: float, corners: int, random: np.random.Generator) -> NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    reach = radius * (1 + 0.1 * random.random(corners))
    return np.column_stack([centre[0] + reach * np.cos(angle), centre[1] + reach * np.sin(angle)])


def outline_pixels(frame: Frame, place: Place) -> BaseGeometry:
    """Outline pixels in lon/lat so that the grid over the outline has these pixels and no others.

    Two metres inside, since the grid grows to whole pixels of 20 m; and with points every 2 km, since straight lines in
    lon/lat are none in UTM.
    """
    top, left, bottom, right = frame
    inner = shapely.segmentize(shapely.box(left + 0.2, top + 0.2, right - 0.2, bottom - 0.2), 200)
    return shapely.transform(inner, lambda points: _to_lonlat(points, place))


def _to_lonlat(points: NDArray[np.float64], place: Place) -> NDArray[np.float64]:
    """Return columns and rows, counted from the upper left corner, as longitudes and latitudes."""
    epsg, left, top = place
    project = Transformer.from_crs(epsg, 4326, always_xy=True)
    return np.column_stack(project.transform(left + PIXEL * points[:, 0], top - PIXEL * points[:, 1]))
