"""Draws the maps of a report, to be embedded in its page.

Outlines, scale bar and compass rose of a map are vectors in the pixels of the image below them, so they fit at any size.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image
from shapely.geometry.base import BaseGeometry

from minewatch.areas.antimeridian import join_halves
from minewatch.areas.grid import Grid, lonlat_to, reproject
from minewatch.products.images.chips.rendering import find_stretch, render_chip
from minewatch.products.images.scale import describe_length, find_north, make_scale_bar
from minewatch.products.report.report_facts import AlertFacts, ReportFacts

QUALITY = 90
"""Of the JPEGs."""


@dataclass(frozen=True)
class OutlineLayer:
    """Outlines of one kind on a map."""

    path: str
    """SVG path data, in pixels of the image."""

    kind: str
    """Key of its colour."""

    label: str = ""
    """Written at ``spot``."""

    spot: tuple[float, float] = (0, 0)
    """x and y of the label, pixels of the image."""

    link: str = ""
    """Id of the section that the label leads to."""


@dataclass(frozen=True)
class Map:
    """An image, and what is drawn over it, in pixels of the image."""

    image: str
    """As a data URI; '' where there is none."""

    width: int
    """Of the image."""

    height: int
    """Of the image."""

    layers: tuple[OutlineLayer, ...]
    """The lowest first."""

    bar: tuple[float, float, float]
    """Scale bar: x and y of its left end, length."""

    bar_label: str
    """Its length on the ground."""

    metres: float
    """The same as a number."""

    north: float
    """Degrees from up to true north, clockwise."""

    unit: float
    """Pixels of the unit in which letters and lines are measured."""


def encode_image(colours: NDArray[np.uint8]) -> str:
    """Return an image as a data URI."""
    stream = io.BytesIO()
    Image.fromarray(colours).save(stream, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return write_data_uri(stream.getvalue(), "image/jpeg")


def write_data_uri(data: bytes, kind: str) -> str:
    """Return the bytes of a file of a media type as an address that holds them."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def draw_pairs(alert: AlertFacts) -> dict[str, dict[str, Map]]:
    """Draw the images of an alert: composite to 'before' and 'after', which share a stretch."""
    images = alert.images
    assert images is not None, "only alerts with a section are drawn"
    outline = _outline_alert(alert, images.frame)
    pairs: dict[str, dict[str, Map]] = {}
    for name in sorted({name for overpass in images.overpasses.values() for name in overpass.chips}, reverse=True):
        chips = {when: overpass.chips[name] for when, overpass in images.overpasses.items() if name in overpass.chips}
        stretch = find_stretch(list(chips.values()))
        pairs[name] = {when: draw_map(images.frame, render_chip(chip, stretch), outline) for when, chip in chips.items()}
    return pairs


def draw_outline_alone(alert: AlertFacts) -> Map:
    """Draw the outline of an alert that has no image."""
    assert alert.images is not None, "only alerts with a section are drawn"
    return draw_map(alert.images.frame, None, _outline_alert(alert, alert.images.frame))


def _outline_alert(alert: AlertFacts, frame: Grid) -> list[OutlineLayer]:
    return [OutlineLayer(trace_outline(join_halves(alert.drawn.outline), frame), f"alert-{alert.row['status']}")]


def draw_overview(facts: ReportFacts) -> Map:
    """Draw the whole area with its numbered alerts."""
    frame, overpass = facts.map.frame, next(iter(facts.map.overpasses.values()), None)
    layers = [OutlineLayer(_trace(facts.grid.area, frame), "aoi")]
    to_grid = lonlat_to(frame.crs)
    for alert in reversed(facts.alerts):
        x, y = ~frame.transform @ to_grid.transform(alert.position.lon, alert.position.lat)
        link = f"alert-{alert.number}" if alert.has_section else ""
        outline = trace_outline(alert.outline, frame)
        layers.append(OutlineLayer(outline, f"alert-{alert.row['status']}", str(alert.number), (round(x, 1), round(y, 1)), link))
    chip = next(iter(overpass.chips.values())) if overpass else None
    return draw_map(frame, render_chip(chip, find_stretch([chip])) if chip else None, layers, letters=160)


def draw_map(frame: Grid, colours: NDArray[np.uint8] | None, layers: Sequence[OutlineLayer], letters: float = 100) -> Map:
    """Put outlines, scale bar and compass rose over an image; its side is ``letters`` units of letters and lines."""
    height, width = frame.shape
    left, bottom, right, top = frame.bounds
    bar = make_scale_bar(frame)
    (x, y), (end, _) = (~frame.transform @ point for point in (bar.start, bar.end))
    return Map(
        image="" if colours is None else encode_image(colours),
        width=width,
        height=height,
        layers=tuple(layers),
        bar=(round(x, 3), round(y, 3), round(end - x, 3)),
        bar_label=describe_length(bar.metres),
        metres=bar.metres,
        north=round(find_north(frame.crs, right - 0.1 * (right - left), top - 0.1 * (top - bottom)), 3),
        unit=max(min(width, height), max(width, height) / 2) / letters,
    )


def trace_outline(outline: BaseGeometry, frame: Grid) -> str:
    """Return an outline in lon/lat as SVG path data in pixels of a frame."""
    return _trace(reproject(outline, lonlat_to(frame.crs)), frame)


def _trace(shape: BaseGeometry, frame: Grid) -> str:
    to_pixel, parts = ~frame.transform, []
    for polygon in shapely.get_parts(shape):
        for ring in (polygon.exterior, *polygon.interiors):
            points = (to_pixel @ (x, y) for x, y in shapely.get_coordinates(ring)[:-1])
            parts.append("M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points) + "Z")
    return "".join(parts)


def list_vertices(outline: BaseGeometry) -> list[tuple[int, int, int, float, float]]:
    """List the corners of an outline: part, ring (1 = outer), number, latitude, longitude; the first is not repeated."""
    rows = []
    for part, polygon in enumerate(shapely.get_parts(outline), 1):
        for ring, line in enumerate((polygon.exterior, *polygon.interiors), 1):
            points = shapely.get_coordinates(line)[:-1]
            rows += [(part, ring, number, float(y), float(x)) for number, (x, y) in enumerate(points, 1)]
    return rows
