"""The map of an area: its outline on the latest clear look of its archive, without asking any source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from minewatch.archive.item import Observation, list_observations
from minewatch.archive.stac_item import credit_observations
from minewatch.archive.stack import read_stack
from minewatch.areas.aoi import Aoi
from minewatch.areas.grid import Grid, Window, make_grid
from minewatch.areas.location import locate_area
from minewatch.core.text import format_day, format_percent, show_ascii
from minewatch.core.units import NODATA, SCALE
from minewatch.core.workspace import Workspace
from minewatch.products.images.cartography import draw_compass, draw_outline, draw_scale_bar
from minewatch.products.images.chips.best_look import CLEAR, LEAST
from minewatch.products.images.graticule import draw_graticule
from minewatch.products.images.map_page import LegendEntry, draw_page
from minewatch.settings.scl import CLEAR_CLASSES, NO_DATA, WATER

MARGIN = 0.18
"""Beside the area, as a share of its longer side."""

MOST_SIDE = 1000
"""Pixels of the map's longer side; larger areas are shown coarser."""

ROWS = 64
"""Of the map that are read at a time."""

OUTLINE = "#ff2d8a"

PAPER = (122, 128, 122)
"""Where there is no look, and around the area."""

CLOUD = (214, 218, 222)
"""Where the look is not clear."""

WATER_COLOUR = (58, 110, 165)

GROUND = {-0.2: (150, 90, 50), 0.15: (214, 170, 110), 0.4: (196, 200, 110), 0.65: (84, 150, 70), 0.95: (16, 82, 40)}
"""NDVI and its colour: bare ground is brown, forest dark green."""


@dataclass(frozen=True)
class AreaMap:
    """A map that was written."""

    path: Path
    """The PNG."""

    look: Observation | None
    """The look that it shows; None where the archive has none."""


def draw_area_map(workspace: Workspace, aoi: Aoi, path: Path) -> AreaMap:
    """Write a PNG with outline, scale bar, compass rose and graticule, on the latest clear look if the archive has one.

    Where none is clear the clearest is shown, and the text says how clear.  Raises ArchiveError where its file is damaged.
    """
    grid = make_grid(aoi)
    step = max(1, -(-max(grid.shape) // MOST_SIDE))
    look = choose_look(list(list_observations(workspace.archive(aoi.name), grid).values()))
    frame, place = _make_frame(grid, step)
    colours = np.full((*frame.shape, 3), PAPER, np.uint8)
    if look is not None:
        colours[place] = _colour_look(look, grid, step)
    where = locate_area(aoi)
    lines = [where.describe(), _describe_look(look)]
    credit = "" if look is None else credit_observations([look])
    title = f"{show_ascii(aoi.name)}: {aoi.area_km2:,.2f} km²"
    draw_page(path, frame, colours, partial(_draw, grid=frame), title, lines, credit, [LegendEntry("area", OUTLINE)])
    return AreaMap(path, look)


def choose_look(observations: Sequence[Observation]) -> Observation | None:
    """Return the latest clear look, else the clearest; None where none shows any ground."""
    clear = [look for look in observations if look.clear_share >= CLEAR]
    shown = [look for look in observations if look.clear_share >= LEAST]
    if clear:
        return max(clear, key=lambda look: (look.time, look.key))
    return max(shown, key=lambda look: (look.clear_share, look.time, look.key), default=None)


def _describe_look(look: Observation | None) -> str:
    if look is None:
        return "no look yet: the archive has none that shows the ground"
    clear = format_percent(look.clear_share)
    return f"{format_day(look.time)}, {clear} clear: greenness (NDVI); brown is bare, blue water, grey cloud or no data"


def _make_frame(grid: Grid, step: int) -> tuple[Grid, tuple[slice, slice]]:
    """Return a frame around a grid in coarser pixels, and where the grid lies in it."""
    rows, columns = (-(-side // step) for side in grid.shape)
    margin = max(2, round(MARGIN * max(rows, columns)))
    shape = rows + 2 * margin, columns + 2 * margin
    transform = grid.transform @ grid.transform.translation(-margin * step, -margin * step) @ grid.transform.scale(step)
    place = slice(margin, margin + rows), slice(margin, margin + columns)
    return Grid(GeoBox(shape, transform, grid.geobox.crs), grid.area), place


def _colour_look(look: Observation, grid: Grid, step: int) -> NDArray[np.uint8]:
    """Return the colours (y, x, 3) of every step-th pixel of a look."""
    return np.concatenate([_colour_rows(look, rows, step) for rows in grid.window.cut(ROWS * step, grid.shape[1])])


def _colour_rows(look: Observation, window: Window, step: int) -> NDArray[np.uint8]:
    stack = read_stack([look], window)
    scl, ndvi = stack.scl[0, ::step, ::step], stack.layer("ndvi")[0, ::step, ::step]
    stops, shades = list(GROUND), np.array(list(GROUND.values()))
    ground = np.stack([np.interp(ndvi / SCALE, stops, shade) for shade in shades.T], axis=-1)
    colours = np.rint(ground).astype(np.uint8)
    colours[scl == WATER] = WATER_COLOUR
    colours[~np.isin(scl, [*CLEAR_CLASSES]) | (ndvi == NODATA)] = CLOUD
    colours[scl == NO_DATA] = PAPER
    return np.asarray(colours)


def _draw(axes: Axes, *, grid: Grid) -> None:
    draw_graticule(axes, grid)
    draw_outline(axes, grid.area, OUTLINE, 1.6, halo=True)
    draw_scale_bar(axes, grid)
    draw_compass(axes, grid)
