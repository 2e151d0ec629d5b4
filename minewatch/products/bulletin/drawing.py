"""Draws the map of a unit: what was examined in the month, and its alerts."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from PIL import Image
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.record import PROVISIONAL
from minewatch.areas.grid import PIXEL, Grid, find_transformer, lonlat_from, lonlat_to, reproject
from minewatch.products.bulletin.bulletin_facts import (
    BARE,
    GREEN,
    GROUNDS,
    GROWN,
    NEW,
    NO_LOOK,
    NO_VEGETATION,
    NOT_MONITORED,
    SEEN,
    UNSEEN,
    UnitAlert,
)
from minewatch.products.bulletin.period import Period
from minewatch.products.bulletin.unit import Unit, UnitPart
from minewatch.products.report.drawing import Map, OutlineLayer, draw_map, trace_outline, write_data_uri

LONGEST = 180
"""Pixels of the longer side of a map."""

ROOM, ABOVE, BELOW = 0.04, 0.26, 0.1
"""Margin around the ground, above it, where the compass rose stands, and below, for the scale bar; shares of its longer side."""

LETTERS = 78
"""Letters that fit along a map: maps of units are small on the page."""

OTHER = "other"
"""Ground that was not watched, or of which nothing is known."""

GROUND_COLOURS = {SEEN: "#dcebd3", UNSEEN: "#aab3ba", NO_VEGETATION: "#ecd9ac", NOT_MONITORED: "#c5b8d9", OTHER: "#e6e8ea"}
"""Of the ground; what was not seen is hatched too, for those who do not see colours."""

HATCH = "#6c7780"

COLOURS = {NEW: "#c8102e", GROWN: "#0b5394", GREEN: "#2f7d32", BARE: "#5b1a5e", "alert-provisional": "#f08c00", "unit": "#16202a"}
"""Of outlines: alerts by what became of them in the month, other open ones, and the unit."""

_KINDS = tuple(GROUND_COLOURS)


def draw_unit(unit: Unit, month: Period, alerts: Sequence[UnitAlert], labelled: int) -> Map | None:
    """Draw the watched ground of a unit with its alerts, the first ``labelled`` with their number; None where it has none."""
    frame = _frame_unit(unit.parts)
    if frame is None:
        return None
    layers = [OutlineLayer(trace_outline(outline, frame), "unit") for outline in _list_outlines(unit, frame)]
    to_pixel, to_frame = ~frame.transform, lonlat_to(frame.crs)
    for alert in reversed(alerts):
        label = str(alert.number) if alert.number <= labelled and alert.tags else ""
        x, y = to_pixel @ to_frame.transform(alert.position.lon, alert.position.lat)
        layers.append(OutlineLayer(trace_outline(alert.outline, frame), choose_kind(alert), label, (round(x, 1), round(y, 1))))
    drawn = draw_map(frame, None, layers, letters=LETTERS)
    return replace(drawn, image=_encode(_paint(unit.parts, month, frame)))


def choose_kind(alert: UnitAlert) -> str:
    """Return the key of an alert's colour."""
    tags = [tag for tag in (GREEN, NEW, GROWN) if tag in alert.tags]
    return tags[0] if tags else "alert-provisional" if alert.status == PROVISIONAL else BARE


def _frame_unit(parts: Sequence[UnitPart]) -> Grid | None:
    """Return the frame around the watched ground of a unit, in the grid of its first area."""
    boxes = [box for part in parts if (box := _find_box(part, parts[0].area.grid)) is not None]
    if not boxes:
        return None
    west, south, east, north = shapely.total_bounds(np.array(boxes, object)).tolist()
    longest = max(east - west, north - south, 10 * PIXEL)
    west, south, east, north = west - ROOM * longest, south - BELOW * longest, east + ROOM * longest, north + ABOVE * longest
    side = max(PIXEL, math.ceil(max(east - west, north - south) / LONGEST))
    shape = math.ceil((north - south) / side), math.ceil((east - west) / side)
    grid = parts[0].area.grid
    return Grid(GeoBox(shape, Affine(side, 0, west, 0, -side, north), grid.geobox.crs), shapely.box(west, south, east, north))


def _find_box(part: UnitPart, grid: Grid) -> BaseGeometry | None:
    """Return the box around the watched ground of a part, in the CRS of a grid."""
    pixels = part.pixels
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        return None
    place = part.area.grid.transform @ Affine.scale(part.area.step)
    left, top = place @ (int(columns[0]), int(rows[0]))
    right, bottom = place @ (int(columns[-1]) + 1, int(rows[-1]) + 1)
    box = shapely.segmentize(shapely.box(left, bottom, right, top), (right - left + top - bottom) / 8)
    if part.area.grid.epsg == grid.epsg:
        return box
    return reproject(box, find_transformer(part.area.grid.crs, grid.crs))


def _list_outlines(unit: Unit, frame: Grid) -> Iterator[BaseGeometry]:
    """Yield the outlines of a unit, as far as they lie near the frame, in degrees."""
    near = shapely.buffer(shapely.box(*reproject(frame.area, lonlat_from(frame.crs)).bounds), 0.001)
    tolerance = frame.transform.a / 2 / 111_000
    for part in unit.parts:
        shapes = part.outlines if part.outlines is not None and not part.is_outside else (part.area.aoi.joined,)
        for shape in shapes:
            cut = shapely.simplify(shapely.intersection(shape, near), tolerance)
            yield from (one for one in shapely.get_parts(cut) if one.geom_type == "Polygon")


def _paint(parts: Sequence[UnitPart], month: Period, frame: Grid) -> NDArray[np.uint8]:
    """Return (y, x): number in _KINDS + 1 of the ground, 0 outside the unit; the last + 1 are the lines of a hatch."""
    height, width = frame.shape
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    x, y = frame.transform.a * columns + frame.transform.c, frame.transform.e * rows + frame.transform.f
    painted = np.zeros(frame.shape, np.uint8)
    kinds = np.array([_KINDS.index(_choose_ground(ground)) + 1 for ground in GROUNDS], np.uint8)
    for part in parts:
        grid, pixels = part.area.grid, part.pixels
        here = (x, y) if grid.epsg == frame.epsg else find_transformer(frame.crs, grid.crs).transform(x, y)
        side = PIXEL * part.area.step
        column = np.floor((here[0] - grid.transform.c) / side).astype(int)
        row = np.floor((grid.transform.f - here[1]) / side).astype(int)
        known = (row >= 0) & (row < pixels.shape[0]) & (column >= 0) & (column < pixels.shape[1])
        known[known] = pixels[row[known], column[known]]
        painted[known] = kinds[part.area.grounds[month][row[known], column[known]]]
    lines = (np.add.outer(np.arange(height), np.arange(width)) % 6 == 0) & (painted == _KINDS.index(UNSEEN) + 1)
    painted[lines] = len(_KINDS) + 1
    return painted


def _choose_ground(ground: str) -> str:
    return UNSEEN if ground == NO_LOOK else ground if ground in GROUND_COLOURS else OTHER


def _encode(painted: NDArray[np.uint8]) -> str:
    image = Image.fromarray(painted, "P")
    colours = ("#ffffff", *GROUND_COLOURS.values(), HATCH)
    image.putpalette(bytes.fromhex("".join(colour[1:] for colour in colours)))
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return write_data_uri(stream.getvalue(), "image/png")
