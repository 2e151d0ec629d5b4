"""What makes a picture a map: scale bar, compass rose to true north, outlines, lines of latitude and longitude, a page.

Lengths and directions are those on the ground: a projection stretches both, by little in UTM, by much elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, PathPatch, Polygon
from matplotlib.path import Path as DrawnPath
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from PIL import Image
from pyproj import CRS, Geod
from shapely.geometry.base import BaseGeometry

from minewatch.areas.antimeridian import wrap_longitude
from minewatch.areas.grid import Grid, lonlat_from
from minewatch.core.files import publishing
from minewatch.core.text import escape_math

ELLIPSOID = Geod(ellps="WGS84")

DARK, LIGHT = "#202020", "#ffffff"

NORTH = "#e6550d"
"""Of the rose's point to the north; told from the others by its lightness too."""

GRATICULE = "#ffe066"
"""Of the lines of latitude and longitude."""

STEPS = (1, 2, 5)
"""Leading digits of the lengths of scale bars and of the distances of lines."""

Lines = list[tuple[float, NDArray[np.float64]]]
"""Degrees, and (point, 2) places in the grid's CRS."""

DASHES = (0, (4, 3))
"""Of an outline that is not there yet."""

PAGE = 8.0
"""Inches of a page's longer map side; letters and lines are sized for it, however many pixels it has."""

LEAST_PIXELS = 1000
"""Of a page's longer map side: images of fewer pixels are shown larger, each pixel as a square."""

MARGIN, TITLE, FOOT = 0.55, 0.62, 0.62
"""Inches around the map, above it and below it."""

ROWS = 256
"""Of a page that are put together at a time."""

NARROWEST = 5.5
"""Inches of the page's width, for title and credits."""


# --- lengths and directions ------------------------------------------------------------------------------------------


def find_north(crs: CRS, x: float, y: float) -> float:
    """Return the angle from the grid's north to true north at a place, degrees clockwise."""
    to_lonlat = lonlat_from(crs)
    lon, lat = to_lonlat.transform(x, y)
    step = 0.001 if lat < 89 else -0.001
    east, north = to_lonlat.transform(lon, lat + step, direction="INVERSE")
    return math.degrees(math.atan2((east - x) * step, (north - y) * step))


def measure_ground(crs: CRS, start: tuple[float, float], end: tuple[float, float]) -> float:
    """Return the metres on the ground between two places of a grid."""
    to_lonlat = lonlat_from(crs)
    lons, lats = to_lonlat.transform([start[0], end[0]], [start[1], end[1]])
    return float(ELLIPSOID.inv(lons[0], lats[0], lons[1], lats[1])[2])


def choose_length(most: float) -> float:
    """Return the largest round length, 1, 2 or 5 times a power of ten, that is not above ``most``."""
    power = math.floor(math.log10(most))
    return max(step * 10.0**power for step in STEPS if step * 10.0**power <= most * (1 + 1e-9))


def describe_length(metres: float) -> str:
    """Write a length for people."""
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"


@dataclass(frozen=True)
class ScaleBar:
    """A scale bar on a grid."""

    metres: float
    """On the ground, as it says."""

    start: tuple[float, float]
    """Its left end, in metres of the grid."""

    end: tuple[float, float]
    """Its right end."""


def make_scale_bar(grid: Grid) -> ScaleBar:
    """Lay a scale bar of a round length in the lower left of a map, as long as that length is on the ground there."""
    left, bottom, right, top = grid.bounds
    sides = right - left, top - bottom
    away = min(0.04 * max(sides), 0.2 * min(sides))
    x, y = left + away, bottom + away
    reach = max((right - left) / 4, min((right - left) / 2, (top - bottom) / 8))
    ground = measure_ground(grid.crs, (x, y), (x + reach, y))
    metres = choose_length(ground)
    return ScaleBar(metres, (x, y), (x + reach * metres / ground, y))


# --- drawing on a map ------------------------------------------------------------------------------------------------


def draw_scale_bar(axes: Axes, grid: Grid) -> ScaleBar:
    """Draw a scale bar that has the length it claims; gives what was drawn."""
    bar = make_scale_bar(grid)
    (start, y), (end, _) = bar.start, bar.end
    for width, colour in ((5.0, DARK), (3.0, LIGHT)):
        axes.add_line(Line2D([start, end], [y, y], color=colour, linewidth=width, solid_capstyle="butt", zorder=6))
    text = axes.annotate(
        describe_length(bar.metres), ((start + end) / 2, y), (0, 4), textcoords="offset points", color=LIGHT, fontsize=8,
        ha="center", va="bottom", zorder=6,
    )  # fmt: skip
    text.set_path_effects([withStroke(linewidth=1.5, foreground=DARK)])
    return bar


def draw_compass(axes: Axes, grid: Grid) -> float:
    """Draw a compass rose in the upper right whose long bright point shows true north; gives its angle, degrees clockwise."""
    left, bottom, right, top = grid.bounds
    size = 0.05 * min(max(right - left, top - bottom), 6 * min(right - left, top - bottom))
    x, y = right - 1.5 * size, top - 1.75 * size
    angle = find_north(grid.crs, x, y)
    axes.add_patch(Circle((x, y), 1.3 * size, facecolor=LIGHT, alpha=0.55, linewidth=0, zorder=6))
    for point, length in [(turn, 0.55) for turn in (45, 135, 225, 315)] + [(turn, 1.0) for turn in (90, 180, 270, 0)]:
        _draw_point(axes, (x, y), angle + point, size * length, NORTH if point == 0 else DARK)
    spot = _go((x, y), angle, 1.15 * size)
    axes.text(*spot, "N", color=DARK, fontsize=8, fontweight="bold", ha="center", va="center", rotation=-angle, zorder=7)
    return angle


def _draw_point(axes: Axes, middle: tuple[float, float], angle: float, length: float, colour: str) -> None:
    """Draw a point of the rose: its left half coloured, its right half light; the one to the north whole."""
    tip, waist = _go(middle, angle, length), 0.24 * length
    for turn, fill in ((-45, colour), (45, colour if colour == NORTH else LIGHT)):
        corners = [middle, _go(middle, angle + turn, waist), tip]
        edge = fill if colour == NORTH else DARK
        axes.add_patch(Polygon(corners, closed=True, facecolor=fill, edgecolor=edge, linewidth=0.4, zorder=7))


def _go(start: tuple[float, float], angle: float, length: float) -> tuple[float, float]:
    """Go some way from a place, ``angle`` degrees clockwise from the grid's north."""
    turn = math.radians(angle)
    return start[0] + length * math.sin(turn), start[1] + length * math.cos(turn)


def draw_outline(
    axes: Axes, geometry: BaseGeometry, colour: str, width: float, *, dashed: bool = False, halo: bool = False
) -> None:
    """Draw polygons of the grid's CRS, not filled; a halo sets dark colours off from dark ground."""
    for polygon in shapely.get_parts(geometry):
        rings = [polygon.exterior, *polygon.interiors]
        path = DrawnPath.make_compound_path(*(DrawnPath(np.asarray(ring.coords)[:, :2], closed=True) for ring in rings))
        style = DASHES if dashed else "solid"
        patch = PathPatch(path, facecolor="none", edgecolor=colour, linewidth=width, linestyle=style, zorder=4)
        if halo:
            patch.set_path_effects([withStroke(linewidth=width + 1.2, foreground=LIGHT, alpha=0.6)])
        axes.add_patch(patch)


def draw_label(axes: Axes, grid: Grid, bounds: tuple[float, ...], text: str) -> None:
    """Write beside an outline, on the side where there is room."""
    left, _, right, _ = grid.bounds
    is_far_right = bounds[2] > right - 0.15 * (right - left)
    spot = (bounds[0] if is_far_right else bounds[2], bounds[3])
    box = {"facecolor": "black", "alpha": 0.55, "pad": 1.2, "lw": 0}
    side = "right" if is_far_right else "left"
    axes.annotate(text, spot, ha=side, fontsize=6.5, color="white", bbox=box, clip_on=True, zorder=5)


def draw_graticule(axes: Axes, grid: Grid) -> None:
    """Draw lines of latitude and longitude, with their degrees at the left and lower edge."""
    step, *kinds = _list_lines(grid)
    decimals = max(0, -math.floor(math.log10(step) + 1e-6))
    for lines, is_lon in zip(kinds, (True, False), strict=True):
        for degrees, points in lines:
            axes.add_line(Line2D(points[:, 0], points[:, 1], color=GRATICULE, linewidth=0.5, alpha=0.8, zorder=3))
            _label_line(axes, grid, points, (degrees, decimals), is_lon=is_lon)


def _list_lines(grid: Grid) -> tuple[float, Lines, Lines]:
    """Return the degrees between two lines, and the lines of longitude and of latitude that cross a grid."""
    to_lonlat = lonlat_from(grid.crs)
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
    """Write the degrees where a line meets the lower edge (longitude) or the left one (latitude)."""
    left, bottom, right, top = grid.bounds
    across, along, edge = (1, 0, bottom) if is_lon else (0, 1, left)
    order = np.argsort(points[:, across])
    place = float(np.interp(edge, points[order, across], points[order, along]))
    low, high = (left, right) if is_lon else (bottom, top)
    if not low <= place <= high:
        return
    degrees, decimals = label
    text = _describe_degrees(wrap_longitude(degrees) if is_lon else degrees, decimals, "EW" if is_lon else "NS")
    if is_lon:
        axes.annotate(text, (place, bottom), (0, -3), textcoords="offset points", fontsize=6.5, ha="center", va="top")
    else:
        axes.annotate(
            text, (left, place), (-3, 0), textcoords="offset points", fontsize=6.5, ha="right", va="center", rotation=90
        )


def _describe_degrees(degrees: float, decimals: int, letters: str) -> str:
    return f"{abs(degrees):.{decimals}f}°{letters[0] if degrees >= 0 else letters[1]}"


# --- the page --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """Where the map lies on a page, in pixels of the picture."""

    width: int
    """Of the page."""

    height: int
    """Of the page."""

    left: int
    """Pixels of the page left of the map."""

    top: int
    """Pixels of the page above the map."""

    zoom: int
    """Pixels of the page for the side of a pixel of the grid."""

    dpi: float
    """Pixels of the page an inch."""


@dataclass(frozen=True)
class LegendEntry:
    """A line of a legend."""

    label: str
    """What it stands for."""

    colour: str
    """As matplotlib has it."""

    is_dashed: bool = False
    """Else it is solid."""

    @property
    def style(self) -> Any:
        """As matplotlib has it."""
        return DASHES if self.is_dashed else "solid"


def make_page(grid: Grid) -> Page:
    """Lay a page on which every pixel of a grid is a square of whole pixels."""
    rows, columns = grid.shape
    zoom = max(1, math.ceil(LEAST_PIXELS / max(rows, columns)))
    dpi = zoom * max(rows, columns) / PAGE
    margin, title, foot = (round(inches * dpi) for inches in (MARGIN, TITLE, FOOT))
    width = max(columns * zoom + 2 * margin, round(NARROWEST * dpi))
    return Page(width, rows * zoom + title + foot, (width - columns * zoom) // 2, title, zoom, dpi)


def draw_page(
    path: Path,
    grid: Grid,
    colours: NDArray[np.uint8],
    draw: Callable[[Axes], object],
    title: str,
    lines: Sequence[str] = (),
    credit: str = "",
    legend: Sequence[LegendEntry] = (),
) -> Page:
    """Write a PNG of an image (y, x, 3) with what ``draw`` puts on it; gives where the image lies on it."""
    page = make_page(grid)
    # A hundredth of a pixel more, since the canvas is cut down to whole ones.
    figure = Figure(figsize=((page.width + 0.01) / page.dpi, (page.height + 0.01) / page.dpi), dpi=page.dpi, facecolor="none")
    rows, columns = (side * page.zoom for side in grid.shape)
    below = page.height - page.top - rows
    box = page.left / page.width, below / page.height, columns / page.width, rows / page.height
    axes = figure.add_axes(box)
    _lay_axes(axes, grid)
    draw(axes)
    left, middle = page.left / page.width, box[0] + box[2] / 2
    figure.text(middle, 1 - 0.1 * page.dpi / page.height, escape_math(title), fontsize=11, ha="center", va="top")
    about = "\n".join(escape_math(line) for line in lines)
    figure.text(middle, 1 - 0.32 * page.dpi / page.height, about, fontsize=6.5, ha="center", va="top")
    figure.text(min(left, 0.1), 0.06 * page.dpi / page.height, escape_math(credit), fontsize=6.5, ha="left", va="bottom")
    if legend:
        handles = [
            Line2D([], [], color=entry.colour, linewidth=1.4, linestyle=entry.style, label=entry.label) for entry in legend
        ]
        place = (middle, (below - 0.18 * page.dpi) / page.height)
        figure.legend(handles=handles, loc="upper center", bbox_to_anchor=place, ncols=len(legend), fontsize=6.5, frameon=False)
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib's canvas has no types
    canvas.draw()
    drawn = _put_over(page, colours, np.asarray(canvas.buffer_rgba()))
    with publishing(path) as temporary:
        Image.fromarray(drawn).save(temporary, format="PNG")
    return page


def _put_over(page: Page, colours: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put what was drawn (y, x, 4) over an image and the white around it: (y, x, 3), its pixels as they are.

    matplotlib would hold some 60 bytes for each pixel of an image; of 50 km that is more than a gigabyte.
    """
    whole = np.full((page.height, page.width, 3), 255, np.uint8)
    rows, columns = (side * page.zoom for side in colours.shape[:2])
    place = whole[page.top : page.top + rows, page.left : page.left + columns]
    for row in range(page.zoom):
        for column in range(page.zoom):
            place[row :: page.zoom, column :: page.zoom] = colours
    for first in range(0, page.height, ROWS):
        below, over = whole[first : first + ROWS], drawn[first : first + ROWS]
        opacity = over[..., 3:].astype(np.float32) / 255
        below[:] = np.rint(over[..., :3] * opacity + below * (1 - opacity))
    return whole


def _lay_axes(axes: Axes, grid: Grid) -> None:
    left, bottom, right, top = grid.bounds
    axes.patch.set_visible(False)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
