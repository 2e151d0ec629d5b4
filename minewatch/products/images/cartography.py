"""What makes an image a map: scale bar, compass rose to true north, outlines and labels."""

from __future__ import annotations

import math

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, PathPatch, Polygon
from matplotlib.path import Path as DrawnPath
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minewatch.areas.grid import Grid
from minewatch.products.images.scale import ScaleBar, describe_length, find_north, make_scale_bar

DARK, LIGHT = "#202020", "#ffffff"

NORTH = "#e6550d"
"""Of the point of the compass rose to the north; it is lighter than the others too."""

DASHES = (0, (4, 3))
"""Line style of alerts that were first seen after the image."""

LABEL_SIZE = 6.5
"""Points."""


def draw_scale_bar(axes: Axes, grid: Grid) -> ScaleBar:
    """Draw a scale bar, and return it."""
    bar = make_scale_bar(grid)
    (start, y), (end, _) = bar.start, bar.end
    for width, colour in ((5.0, DARK), (3.0, LIGHT)):
        axes.add_artist(Line2D([start, end], [y, y], color=colour, linewidth=width, solid_capstyle="butt", zorder=6))
    text = axes.annotate(
        describe_length(bar.metres), ((start + end) / 2, y), (0, 4), textcoords="offset points", color=LIGHT, fontsize=8,
        ha="center", va="bottom", zorder=6,
    )  # fmt: skip
    text.set_path_effects([withStroke(linewidth=1.5, foreground=DARK)])
    return bar


def draw_compass(axes: Axes, grid: Grid) -> float:
    """Draw a compass rose to true north in the upper right; return its angle, degrees clockwise."""
    left, bottom, right, top = grid.bounds
    size = 0.05 * min(max(right - left, top - bottom), 6 * min(right - left, top - bottom))
    x, y = right - 1.5 * size, top - 1.75 * size
    angle = find_north(grid.crs, x, y)
    axes.add_artist(Circle((x, y), 1.3 * size, facecolor=LIGHT, alpha=0.55, linewidth=0, zorder=6))
    for point, length in [(turn, 0.55) for turn in (45, 135, 225, 315)] + [(turn, 1.0) for turn in (90, 180, 270, 0)]:
        _draw_point(axes, (x, y), angle + point, size * length, NORTH if point == 0 else DARK)
    axes.text(
        *_move((x, y), angle, 1.15 * size),
        "N",
        color=DARK,
        fontsize=8,
        fontweight="bold",
        ha="center",
        va="center",
        rotation=-angle,
        zorder=7,
    )
    return angle


def _draw_point(axes: Axes, middle: tuple[float, float], angle: float, length: float, colour: str) -> None:
    """Draw a point of the compass rose: the left half coloured, the right half light; the point to the north in one colour."""
    tip, waist = _move(middle, angle, length), 0.24 * length
    for turn, fill in ((-45, colour), (45, colour if colour == NORTH else LIGHT)):
        corners = [middle, _move(middle, angle + turn, waist), tip]
        edge = fill if colour == NORTH else DARK
        axes.add_artist(Polygon(corners, closed=True, facecolor=fill, edgecolor=edge, linewidth=0.4, zorder=7))


def _move(start: tuple[float, float], angle: float, length: float) -> tuple[float, float]:
    """Return the point at some length from another, ``angle`` degrees clockwise from the grid's north."""
    turn = math.radians(angle)
    return start[0] + length * math.sin(turn), start[1] + length * math.cos(turn)


def draw_outline(
    axes: Axes,
    geometry: BaseGeometry | NDArray[np.object_],
    colour: str,
    width: float,
    *,
    dashed: bool = False,
    halo: bool = False,
) -> None:
    """Draw the outlines of polygons in the grid's CRS; a halo makes dark colours visible on dark ground."""
    rings = shapely.get_rings(shapely.get_parts(geometry))
    if not len(rings):
        return
    # One artist for all: each costs as much as a hundred lines.
    path = DrawnPath.make_compound_path(*(DrawnPath(shapely.get_coordinates(ring), closed=True) for ring in rings))
    style = DASHES if dashed else "solid"
    patch = PathPatch(path, facecolor="none", edgecolor=colour, linewidth=width, linestyle=style, zorder=4)
    if halo:
        patch.set_path_effects([withStroke(linewidth=width + 1.2, foreground=LIGHT, alpha=0.6)])
    axes.add_artist(patch)


def draw_label(axes: Axes, grid: Grid, bounds: tuple[float, ...], text: str) -> None:
    """Write a label beside an outline, on the side with room for it: from its upper edge upwards, at the top downwards."""
    left, bottom, right, top = grid.bounds
    room = axes.bbox.height * (top - bounds[3]) / (top - bottom)
    height = (1.3 * LABEL_SIZE * (1 + text.count("\n")) + 2) * axes.figure.dpi / 72
    is_far_right = bounds[2] > right - 0.15 * (right - left)
    spot = (bounds[0] if is_far_right else bounds[2], bounds[3])
    box = {"facecolor": "black", "alpha": 0.55, "pad": 1.2, "lw": 0}
    side = "right" if is_far_right else "left"
    way = "top" if room < height else "baseline"
    axes.text(*spot, text, ha=side, va=way, fontsize=LABEL_SIZE, color="white", bbox=box, clip_on=True, zorder=5)
