"""The charts of a report, laid out for the template that draws them as SVG: no picture is encoded."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.alerts.explain.record import Explanation
from minewatch.core.units import to_date, to_day
from minewatch.detection.monitor import COUNTED
from minewatch.products.images.scale import choose_length
from minewatch.products.report.report_facts import AlertFacts, ReportFacts
from minewatch.products.report.texts import Texts

WIDTH, LEFT, RIGHT, TOP = 990, 72, 968, 10
"""Of a chart: its width, and the edges of its panels, in its own units; its letters are twelve high."""

MARGIN = 0.01
"""Share of a panel's width that is left free at each end."""

TICK_ROOM, LEGEND_ROW, LEGEND_COLUMNS = 30, 20, 3
"""Height of the days below the panels and of a row of the legend, and the number of its columns."""

MOST_MONTHS = 12
"""Months that are named on an axis."""

MOST_POINTS = 330
"""Of a curve: one for each three units of width."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Shape:
    """Something that is drawn."""

    kind: str
    """Key of its style."""

    path: str
    """SVG path data."""


@dataclass(frozen=True)
class Panel:
    """One axis of values, and what is drawn in it."""

    name: str
    """What the axis shows."""

    top: float
    """Of its frame."""

    height: float
    """Of its frame."""

    ticks: tuple[tuple[float, str], ...]
    """y and label."""

    shapes: tuple[Shape, ...]
    """The lowest first."""


@dataclass(frozen=True)
class Label:
    """An entry of the legend."""

    kind: str
    """Key of the style of what it names."""

    text: str
    """Its name."""

    x: float
    """Of its left end."""

    y: float
    """Of its middle."""


@dataclass(frozen=True)
class Chart:
    """A chart in the units of its view box, WIDTH wide."""

    height: float
    """Of the whole."""

    days: tuple[tuple[float, str], ...]
    """x and label."""

    panels: tuple[Panel, ...]
    """From the top."""

    legend: tuple[Label, ...]
    """Below the panels."""

    summary: str
    """The dates that are marked, in words."""


class Scale:
    """Places days and values in a panel."""

    def __init__(self, days: tuple[int, int], values: Iterable[float], top: float, height: float) -> None:
        """Take the first and last day since 1970-01-01, and values that must all be shown."""
        room = MARGIN * (RIGHT - LEFT)
        self._first, self._last = days
        self._step = (RIGHT - LEFT - 2 * room) / max(1, self._last - self._first)
        self._left, self.top, self.height = LEFT + room, top, height
        known = [value for value in values if math.isfinite(value)]
        low, high = min(known), max(known)
        room = 0.06 * max(high - low, 0.01)
        self.low, self.high = low - room, high + room

    def x(self, day: float) -> float:
        """Return where a day is; days beyond the chart are at its edge."""
        return self._left + (min(max(day, self._first), self._last) - self._first) * self._step

    def y(self, value: float) -> float:
        """Return where a value is."""
        return self.top + self.height * (self.high - value) / (self.high - self.low)

    def place(self, days: Iterable[float], values: Iterable[float]) -> list[tuple[float, float]]:
        """Return where points are."""
        return [(self.x(day), self.y(value)) for day, value in zip(days, values, strict=True)]

    def list_ticks(self, texts: Texts) -> tuple[tuple[float, str], ...]:
        """Return the round values, each with its label."""
        step = choose_length((self.high - self.low) / 3)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        numbers = range(math.ceil(self.low / step), math.floor(self.high / step) + 1)
        labels = (f"{n * step:.{decimals}f}".replace("-", "\N{MINUS SIGN}").replace(".", texts.decimal_mark) for n in numbers)
        return tuple((round(self.y(n * step), 1), label) for n, label in zip(numbers, labels, strict=True))

    def list_days(self) -> tuple[tuple[float, str], ...]:
        """Return firsts of months, or in a short time three days of each month, with their labels."""
        first, last = (to_date(day) or dt.date.min for day in (self._first, self._last))
        months = range(12 * first.year + first.month - 1, 12 * last.year + last.month)
        is_short = len(months) < 4
        step = next((step for step in (1, 2, 3, 6) if len(months) / step <= MOST_MONTHS), 12)
        chosen = [month for month in months if month % step == 0]
        days = [dt.date(month // 12, month % 12 + 1, day) for month in chosen for day in ((1, 11, 21) if is_short else (1,))]
        form = "%Y-%m-%d" if is_short else "%Y-%m"
        return tuple((round(self.x(to_day(day)), 1), f"{day:{form}}") for day in days if first <= day <= last)


# --- paths -----------------------------------------------------------------------------------------------------------


def trace_line(points: Points) -> str:
    """Return a line as path data."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def trace_band(upper: Points, lower: Points) -> str:
    """Return the ground between two lines as path data."""
    return f"{trace_line([*upper, *reversed(lower)])}Z"


def trace_dots(points: Points, size: float = 3) -> str:
    """Return points as path data: discs."""
    return "".join(
        f"M{x - size:.1f} {y:.1f}a{size} {size} 0 1 0 {2 * size} 0a{size} {size} 0 1 0 -{2 * size} 0z" for x, y in points
    )


def trace_diamonds(points: Points, size: float = 5) -> str:
    """Return points as path data: squares that stand on a corner."""
    return "".join(f"M{x:.1f} {y - size:.1f}l{size} {size} -{size} {size} -{size} -{size}z" for x, y in points)


def _mark_day(scale: Scale, day: int) -> str:
    x = scale.x(day)
    return f"M{x:.1f} {scale.top}V{scale.top + scale.height}"


# --- charts ----------------------------------------------------------------------------------------------------------


def draw_series(explanation: Explanation, texts: Texts) -> Chart:
    """Return a chart of NDVI (above) and BSI (below) over time, with the band within which a look is normal."""
    curve, wide = explanation.curve, 3 * explanation.curve.bsi_noise
    days = explanation.last_normal, explanation.first_seen, explanation.confirmed_on, explanation.green_again
    dates = {name: day for name, day in zip(("last_normal", "first_seen", "confirmed_on", "closed_on"), days, strict=True) if day}
    bands = {"ndvi": (curve.ndvi, curve.low, curve.high), "bsi": (curve.bsi, curve.bsi - wide, curve.bsi + wide)}
    panels, top, height = [], TOP, 148
    for name, (course, low, high) in bands.items():
        looks = [look for look in explanation.looks if look.clear and getattr(look, name) is not None]
        seen = {to_day(look.date): getattr(look, name) for look in looks}
        counted = {to_day(look.date): getattr(look, name) for look in looks if look.outcome in COUNTED}
        scale = Scale((int(curve.days[0]), int(curve.days[-1])), [*low, *high, *seen.values()], top, height)
        shapes = [
            *_draw_course(scale, curve.days, course, low, high, to_day(explanation.monitor_from)),
            Shape("clear", trace_dots(scale.place(seen, seen.values()))),
            Shape("counted", trace_diamonds(scale.place(counted, counted.values()))),
            *(Shape(name, _mark_day(scale, to_day(day))) for name, day in dates.items()),
        ]
        panels.append(Panel(name.upper(), top, height, scale.list_ticks(texts), tuple(shapes)))
        top += height + 14
    kinds = ("band", "baseline", "history", "clear", "counted", *dates)
    summary = "; ".join(f"{texts.text(f'series_{name}')}{texts.colon} {texts.date(day)}" for name, day in dates.items())
    return _lay_out(panels, scale, {kind: texts.text(f"series_{kind}") for kind in kinds}, summary)


def _draw_course(
    scale: Scale,
    days: NDArray[np.int32],
    course: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    monitor_from: int,
) -> Iterator[Shape]:
    """Yield the ground before monitoring began, the usual range with its edges, and the usual course."""
    step = max(1, math.ceil(len(days) / MOST_POINTS))
    chosen = [*range(0, len(days) - 1, step), len(days) - 1]
    middle, lower, upper = (scale.place(days[chosen].tolist(), values[chosen].tolist()) for values in (course, low, high))
    bottom, end = scale.top + scale.height, scale.x(monitor_from)
    yield Shape("history", f"M{LEFT} {scale.top}H{end:.1f}V{bottom}H{LEFT}Z")
    yield Shape("band", trace_band(upper, lower))
    yield Shape("edge", trace_line(lower))
    yield Shape("edge", trace_line(upper))
    yield Shape("baseline", trace_line(middle))


def _lay_out(panels: Sequence[Panel], scale: Scale, legend: Mapping[str, str], summary: str) -> Chart:
    """Put months and legend below panels."""
    below = panels[-1].top + panels[-1].height + TICK_ROOM
    labels = [
        Label(
            kind,
            text,
            LEFT + number % LEGEND_COLUMNS * (RIGHT - LEFT) / LEGEND_COLUMNS,
            below + LEGEND_ROW * (number // LEGEND_COLUMNS + 0.5),
        )
        for number, (kind, text) in enumerate(legend.items())
    ]
    rows = math.ceil(len(labels) / LEGEND_COLUMNS)
    return Chart(below + LEGEND_ROW * rows + 2, scale.list_days(), tuple(panels), tuple(labels), summary)


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


def draw_growth(growth: Sequence[tuple[int, float]], facts: ReportFacts, texts: Texts) -> Chart:
    """Return a chart of confirmed hectares over time."""
    first, last = min(to_day(facts.monitor_from), growth[0][0]), max(to_day(facts.as_of), growth[-1][0])
    steps = [(first, 0.0), *growth, (last, growth[-1][1])]
    scale = Scale((first, last), [0.0, 0.01, *(value for _, value in growth)], TOP, 200)
    points = [(first, 0.0)]
    for day, value in steps[1:]:
        points += [(day, points[-1][1]), (day, value)]
    line = scale.place(*zip(*points, strict=True))
    ground = [(line[-1][0], scale.y(0)), (line[0][0], scale.y(0))]
    shapes = Shape("hectares", trace_band(line, ground[::-1])), Shape("growth", trace_line(line))
    panel = Panel(texts.text("hectares_axis"), TOP, 200, scale.list_ticks(texts), shapes)
    return _lay_out([panel], scale, {}, "")
