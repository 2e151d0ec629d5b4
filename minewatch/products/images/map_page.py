"""The page of a map: an image with title, texts, legend and credit, as a PNG."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from minewatch import __version__
from minewatch.areas.grid import Grid
from minewatch.core.files import publishing
from minewatch.core.text import escape_math, show_ascii
from minewatch.products.images.cartography import DASHES

MAP_SIDE = 8.0
"""Inches of the map's longer side; letters and lines are sized for it, however many pixels it has."""

LEAST_PIXELS = 1000
"""Of the map's longer side on the page: the pixels of smaller images are shown as larger squares."""

MARGIN, TITLE, FOOT = 0.55, 0.62, 0.62
"""Inches beside the map, above it and below it."""

ROWS = 256
"""Rows of a page that are put together at a time."""

LEAST_WIDTH = 5.5
"""Inches of the page, for title and credit."""


COPYRIGHT = "Copyright"
"""Keyword of PNG's text with the credit (W3C PNG, 11.3.3)."""

LETTERS_PER_INCH = 19
"""Of a credit, in its small letters."""


@dataclass(frozen=True)
class Page:
    """The size of a page and the place of the map on it, in pixels of the page."""

    width: int
    """Of the page."""

    height: int
    """Of the page."""

    left: int
    """Left of the map."""

    top: int
    """Above the map."""

    zoom: int
    """Side of a pixel of the grid."""

    dpi: float
    """Pixels per inch."""


@dataclass(frozen=True)
class LegendEntry:
    """A line of a legend."""

    label: str
    """Its text."""

    colour: str
    """Of the line, as matplotlib writes colours."""

    is_dashed: bool = False
    """Else it is solid."""

    @property
    def style(self) -> Any:
        """Line style of matplotlib."""
        return DASHES if self.is_dashed else "solid"


def make_page(grid: Grid) -> Page:
    """Return a page on which every pixel of a grid is a square of whole pixels."""
    rows, columns = grid.shape
    zoom = max(1, math.ceil(LEAST_PIXELS / max(rows, columns)))
    dpi = zoom * max(rows, columns) / MAP_SIDE
    margin, title, foot = (round(inches * dpi) for inches in (MARGIN, TITLE, FOOT))
    width = max(columns * zoom + 2 * margin, round(LEAST_WIDTH * dpi))
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
    """Write a PNG of an image (y, x, 3), with what ``draw`` draws on it; return its page."""
    page = make_page(grid)
    # A hundredth of a pixel more, since matplotlib rounds the canvas down to whole pixels.
    figure = Figure(figsize=((page.width + 0.01) / page.dpi, (page.height + 0.01) / page.dpi), dpi=page.dpi, facecolor="none")
    rows, columns = (side * page.zoom for side in grid.shape)
    below = page.height - page.top - rows
    box = page.left / page.width, below / page.height, columns / page.width, rows / page.height
    axes = figure.add_axes(box)
    _set_axes(axes, grid)
    draw(axes)
    left, middle = page.left / page.width, box[0] + box[2] / 2
    figure.text(middle, 1 - 0.1 * page.dpi / page.height, escape_math(title), fontsize=11, ha="center", va="top")
    about = "\n".join(escape_math(line) for line in lines)
    figure.text(middle, 1 - 0.32 * page.dpi / page.height, about, fontsize=6.5, ha="center", va="top")
    lines_of_credit = wrap_credit(credit, page.width / page.dpi)
    figure.text(min(left, 0.1), 0.06 * page.dpi / page.height, lines_of_credit, fontsize=6.5, ha="left", va="bottom")
    if legend:
        handles = [
            Line2D([], [], color=entry.colour, linewidth=1.4, linestyle=entry.style, label=entry.label) for entry in legend
        ]
        place = (middle, (below - 0.18 * page.dpi) / page.height)
        figure.legend(handles=handles, loc="upper center", bbox_to_anchor=place, ncols=len(legend), fontsize=6.5, frameon=False)
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib's canvas has no types
    canvas.draw()
    drawn = _draw_over(page, colours, np.asarray(canvas.buffer_rgba()))
    with publishing(path) as temporary:
        Image.fromarray(drawn).save(temporary, format="PNG", pnginfo=_describe(credit))
    return page


def wrap_credit(credit: str, inches: float) -> str:
    """Return a credit, which may hold what strangers state, as one or two lines of small letters in this width."""
    width = round(LETTERS_PER_INCH * inches)
    return textwrap.fill(show_ascii(credit, 2 * width), width, max_lines=2, placeholder="...")


def _describe(credit: str) -> PngInfo:
    texts = PngInfo()
    if credit:
        texts.add_itxt(COPYRIGHT, credit)
    texts.add_text("Software", f"minewatch {__version__}")
    return texts


def _draw_over(page: Page, colours: NDArray[np.uint8], drawn: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (y, x, 3): an image on white, with its exact colours, and over it what was drawn (y, x, 4).

    matplotlib would need some 60 bytes for each pixel of the image: more than a gigabyte for 50 x 50 km.
    """
    canvas = np.full((page.height, page.width, 3), 255, np.uint8)
    rows, columns = (side * page.zoom for side in colours.shape[:2])
    image = canvas[page.top : page.top + rows, page.left : page.left + columns]
    for row in range(page.zoom):
        for column in range(page.zoom):
            image[row :: page.zoom, column :: page.zoom] = colours
    for first in range(0, page.height, ROWS):
        below, over = canvas[first : first + ROWS], drawn[first : first + ROWS]
        opacity = over[..., 3:].astype(np.float32) / 255
        below[:] = np.rint(over[..., :3] * opacity + below * (1 - opacity))
    return canvas


def _set_axes(axes: Axes, grid: Grid) -> None:
    left, bottom, right, top = grid.bounds
    axes.patch.set_visible(False)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
