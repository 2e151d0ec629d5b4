"""Lines of latitude and longitude over a map."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from minewatch.areas.antimeridian import wrap_longitude
from minewatch.areas.grid import Grid, lonlat_from
from minewatch.products.images.scale import choose_length

COLOUR = "#ffe066"

Lines = list[tuple[float, NDArray[np.float64]]]
"""Degrees of each line, and its (point, 2) x and y in the grid's CRS."""


def draw_graticule(axes: Axes, grid: Grid) -> None:
    """Draw lines of latitude and longitude, with their degrees at the left and lower edge of a map."""
    step, *kinds = _find_lines(grid)
    decimals = max(0, -math.floor(math.log10(step) + 1e-6))
    for lines, is_lon in zip(kinds, (True, False), strict=True):
        for degrees, points in lines:
            axes.add_line(Line2D(points[:, 0], points[:, 1], color=COLOUR, linewidth=0.5, alpha=0.8, zorder=3))
            _label_line(axes, grid, points, (degrees, decimals), is_lon=is_lon)


def _find_lines(grid: Grid) -> tuple[float, Lines, Lines]:
    """Return the degrees between two lines, and the meridians and parallels that cross a grid."""
    to_lonlat = lonlat_from(grid.epsg)
    left, bottom, right, top = grid.bounds
    edge = np.linspace(0, 1, 21)
    xs = np.concatenate([left + edge * (right - left)] * 2 + [np.full(21, left), np.full(21, right)])
    ys = np.concatenate([np.full(21, bottom), np.full(21, top)] + [bottom + edge * (top - bottom)] * 2)
    lons, lats = to_lonlat.transform(xs, ys)
    if np.ptp(lons) > 180:  # across the 180° meridian
        lons = np.where(lons < 0, lons + 360, lons)
    span = max(np.ptp(lons), np.ptp(lats))
    step = choose_length(float(span) / 3)
    west, east, south, north = lons.min(), lons.max(), lats.min(), lats.max()
    along_lat, along_lon = np.linspace(south, north, 41), np.linspace(west, east, 41)

    def convert(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(to_lonlat.transform(x, y, direction="INVERSE"))

    meridians = [(v, convert(np.full(41, v), along_lat)) for v in _list_multiples(west, east, step)]
    parallels = [(v, convert(along_lon, np.full(41, v))) for v in _list_multiples(south, north, step)]
    return step, meridians, parallels


def _list_multiples(first: float, last: float, step: float) -> list[float]:
    return [round(number * step, 9) for number in range(math.ceil(first / step), math.floor(last / step) + 1)]


def _label_line(axes: Axes, grid: Grid, points: NDArray[np.float64], label: tuple[float, int], *, is_lon: bool) -> None:
    """Write the degrees where a meridian meets the lower edge, or a parallel the left one."""
    left, bottom, right, top = grid.bounds
    across, along, edge = (1, 0, bottom) if is_lon else (0, 1, left)
    order = np.argsort(points[:, across])
    position = float(np.interp(edge, points[order, across], points[order, along]))
    low, high = (left, right) if is_lon else (bottom, top)
    if not low <= position <= high:
        return
    degrees, decimals = label
    degrees = wrap_longitude(degrees) if is_lon else degrees
    text = f"{abs(degrees):.{decimals}f}°{('EW' if is_lon else 'NS')[int(degrees < 0)]}"
    if is_lon:
        axes.annotate(text, (position, bottom), (0, -3), textcoords="offset points", fontsize=6.5, ha="center", va="top")
    else:
        axes.annotate(
            text, (left, position), (-3, 0), textcoords="offset points", fontsize=6.5, ha="right", va="center", rotation=90
        )
