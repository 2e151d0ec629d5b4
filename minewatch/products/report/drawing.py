"""Draws the maps and charts of a report, to be embedded in its page.

Outlines, scale bar and compass rose of a map are vectors in the pixels of the image below them, so they fit at any size.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter
from numpy.typing import NDArray
from PIL import Image
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.explain.record import Explanation
from minewatch.areas.antimeridian import join_halves
from minewatch.areas.grid import Grid, lonlat_to, reproject
from minewatch.core.units import to_day
from minewatch.detection.monitor import COUNTED
from minewatch.products.images.cartography import describe_length, find_north, make_scale_bar
from minewatch.products.images.chips.rendering import find_stretch, render_chip
from minewatch.products.report.report_facts import AlertFacts, ReportFacts
from minewatch.products.report.texts import Texts

QUALITY = 90
"""Of the JPEGs."""

BLUE, RED, GREEN, BROWN = "#1f5fa8", "#b3001b", "#3f7d33", "#8a5a00"
"""They differ in lightness and in the marks they are used with too, for those who do not see colours."""

COLOURS = 96
"""Of a chart's palette, which makes its PNG a third of the size."""


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


class Decimals(ScalarFormatter):
    """Labels of an axis with a language's decimal mark."""

    def __init__(self, texts: Texts) -> None:
        super().__init__(useOffset=False)
        self._mark = texts.decimal_mark

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a number."""
        return str(super().__call__(x, pos)).replace(".", self._mark)


def encode_image(colours: NDArray[np.uint8]) -> str:
    """Return an image as a data URI."""
    stream = io.BytesIO()
    Image.fromarray(colours).save(stream, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return _to_uri(stream.getvalue(), "image/jpeg")


def _to_uri(data: bytes, kind: str) -> str:
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


# --- charts ----------------------------------------------------------------------------------------------------------


def draw_series(explanation: Explanation, texts: Texts) -> str:
    """Return a chart of NDVI (above) and BSI (below) over time, as a data URI."""
    figure = Figure(figsize=(9, 3.7), dpi=110)
    figure.subplots_adjust(left=0.075, right=0.97, top=0.97, bottom=0.21, hspace=0.1)
    upper, lower = figure.subplots(2, 1, sharex=True)
    curve, wide = explanation.curve, 3 * explanation.curve.bsi_noise
    days = curve.days.astype("datetime64[D]")
    bands = ((upper, curve.ndvi, curve.low, curve.high), (lower, curve.bsi, curve.bsi - wide, curve.bsi + wide))
    for axes, middle, low, high in bands:
        axes.fill_between(days, low, high, color=GREEN, alpha=0.18, linewidth=0, label=texts.text("series_band"))
        axes.plot(days, middle, color=GREEN, linewidth=1.2, label=texts.text("series_baseline"))
        monitor_from = np.datetime64(explanation.monitor_from)
        axes.axvspan(days[0], monitor_from, color="black", alpha=0.05, label=texts.text("series_history"))
        axes.yaxis.set_major_formatter(Decimals(texts))
        axes.grid(alpha=0.25)
        axes.margins(x=0.01)
    _draw_looks(upper, explanation, texts, "ndvi")
    _draw_looks(lower, explanation, texts, "bsi")
    for name, day, colour, style in (
        ("last_normal", explanation.last_normal, GREEN, ":"), ("first_seen", explanation.first_seen, BROWN, ":"),
        ("confirmed_on", explanation.confirmed_on, RED, "--"), ("closed_on", explanation.green_again, GREEN, "--"),
    ):  # fmt: skip
        for axes in (upper, lower) if day else ():
            axes.axvline(np.datetime64(day), color=colour, linestyle=style, linewidth=1.4, label=texts.text(f"series_{name}"))
    upper.set_ylabel("NDVI")
    lower.set_ylabel("BSI")
    figure.legend(*upper.get_legend_handles_labels(), loc="lower center", ncols=4, fontsize=8, frameon=False)
    return _save(figure)


def _draw_looks(axes: Axes, explanation: Explanation, texts: Texts, name: str) -> None:
    clear = [look for look in explanation.looks if look.clear and getattr(look, name) is not None]
    counted = [look for look in clear if look.outcome in COUNTED]
    for looks, marker, colour, size, label in ((clear, "o", BLUE, 3.5, "clear"), (counted, "D", RED, 5.0, "counted")):
        days, values = np.array([look.date for look in looks], "datetime64[D]"), [getattr(look, name) for look in looks]
        axes.plot(days, values, marker, color=colour, markersize=size, label=texts.text(f"series_{label}"))


def measure_growth(alerts: Sequence[AlertFacts]) -> list[tuple[int, float]]:
    """Return the days on which the confirmed area of all alerts changed, and the hectares from then on."""
    steps: dict[int, float] = {}
    for alert in alerts:
        if alert.explanation is None or not alert.explanation.pixels:
            continue
        hectares, before = float(alert.row["area_ha"]) / alert.explanation.pixels, 0
        for look in alert.explanation.looks:
            if look.confirmed_pixels != before:
                day = to_day(look.date)
                steps[day] = steps.get(day, 0.0) + (look.confirmed_pixels - before) * hectares
                before = look.confirmed_pixels
    days = sorted(steps)
    return list(zip(days, np.cumsum([steps[day] for day in days]).tolist(), strict=True))


def draw_growth(growth: Sequence[tuple[int, float]], facts: ReportFacts, texts: Texts) -> str:
    """Return a chart of confirmed hectares over time, as a data URI."""
    figure = Figure(figsize=(9, 2.4), dpi=110)
    figure.subplots_adjust(left=0.075, right=0.97, top=0.96, bottom=0.12)
    axes = figure.subplots()
    first, last = to_day(facts.monitor_from), max(to_day(facts.as_of), growth[-1][0])
    days = np.array([min(first, growth[0][0]), *(day for day, _ in growth), last], "datetime64[D]")
    values = [0.0, *(value for _, value in growth), growth[-1][1]]
    axes.step(days, values, where="post", color=RED, linewidth=1.8)
    axes.fill_between(days, values, step="post", color=RED, alpha=0.12, linewidth=0)
    axes.set_ylabel(texts.text("hectares_axis"))
    axes.yaxis.set_major_formatter(Decimals(texts))
    axes.set_ylim(0, 1.1 * max(*values, 0.01))
    axes.grid(alpha=0.25)
    axes.margins(x=0.01)
    return _save(figure)


def _save(figure: Figure) -> str:
    stream, small = io.BytesIO(), io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    Image.open(stream).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return _to_uri(small.getvalue(), "image/png")


def list_vertices(outline: BaseGeometry) -> list[tuple[int, int, int, float, float]]:
    """List the corners of an outline: part, ring (1 = outer), number, latitude, longitude; the first is not repeated."""
    rows = []
    for part, polygon in enumerate(shapely.get_parts(outline), 1):
        for ring, line in enumerate((polygon.exterior, *polygon.interiors), 1):
            points = shapely.get_coordinates(line)[:-1]
            rows += [(part, ring, number, float(y), float(x)) for number, (x, y) in enumerate(points, 1)]
    return rows
