"""Charts: how good the alerts are, and why one was raised."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minewatch.alerts.explain.record import ExplainedLook, Explanation
from minewatch.alerts.style import CHART_COLOURS
from minewatch.alerts.validate import Scores
from minewatch.core.estimate import LEVEL, Estimate
from minewatch.core.files import publishing
from minewatch.core.text import escape_math, format_day, format_percent
from minewatch.core.units import to_day
from minewatch.detection.monitor import COUNTED

COLOUR, COUNTED_COLOUR, BASELINE_COLOUR = (CHART_COLOURS[name] for name in ("clear", "counted", "baseline"))

EVENTS = {
    "last normal look": (BASELINE_COLOUR, ":"),
    "first seen": (CHART_COLOURS["first_seen"], ":"),
    "confirmed": (COUNTED_COLOUR, "--"),
    "green again": (BASELINE_COLOUR, "--"),
    "pixel closed": ("#555555", "-."),
}
"""Event to colour and style of its vertical line."""


def draw_scores(path: Path, scores: Scores, title: str) -> None:
    """Write a PNG: the shares with their intervals, pixel F1 by days since the change, recall by size."""
    figure = Figure(figsize=(12, 3.8), dpi=110, layout="constrained")
    figure.suptitle(escape_math(f"{title} ({format_percent(LEVEL)} intervals)"), fontsize=11)
    left, middle, right = figure.subplots(1, 3)
    shares = {
        name: scores.summary[name] for name in ("pixel_f1", "pixel_precision", "pixel_recall", "site_recall", "alarm_precision")
    }
    _draw_points(left, {name.replace("_", " "): estimate for name, estimate in shares.items()}, "")
    _draw_points(middle, {str(days): estimate for days, estimate in scores.by_days.items()}, "pixel F1 by days since the change")
    sizes = {f"{name}\n(n = {facts['sites']})": facts["site_recall"] for name, facts in scores.by_size.items()}
    _draw_points(right, {name: e for name, e in sizes.items() if isinstance(e, Estimate)}, "site recall by size")
    with publishing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _draw_points(axes: Axes, estimates: dict[str, Estimate], title: str) -> None:
    for place, estimate in enumerate(estimates.values()):
        if estimate.value is None:
            axes.text(place, 0.5, "none", ha="center", color="grey", fontsize=8)
            continue
        if estimate.low is not None and estimate.high is not None:
            axes.plot([place, place], [estimate.low, estimate.high], color=COLOUR, linewidth=2)
        axes.plot([place], [estimate.value], "o", color=COLOUR, markersize=6)
        axes.annotate(f"{estimate.value:.2f}", (place, estimate.value), (6, 4), textcoords="offset points", fontsize=8)
    axes.set_xticks(range(len(estimates)), list(estimates), fontsize=8, rotation=20 if len(estimates) > 5 else 0)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlim(-0.5, len(estimates) - 0.3)
    axes.set_ylim(-0.03, 1.08)
    axes.grid(axis="y", alpha=0.3)
    axes.set_title(title, fontsize=9)


def draw_explanation(path: Path, explanation: Explanation) -> None:
    """Write a PNG: NDVI above, BSI below, with the baseline, clear and masked looks, and the dates of the alert."""
    figure = Figure(figsize=(13, 7), dpi=110, layout="constrained")
    lat, lon = explanation.position
    title = f"{explanation.alert_id}, {explanation.status}, as of {format_day(explanation.as_of)}\npixel at {lat:.5f}, {lon:.5f}"
    figure.suptitle(escape_math(f"{title}, one of the {explanation.pixels} in the alert"), fontsize=11)
    upper, lower = figure.subplots(2, 1, sharex=True)
    curve, wide = explanation.curve, 3 * explanation.curve.bsi_noise
    days = curve.days.astype("datetime64[D]")
    closed = next((episode.closed_on for episode in reversed(explanation.episodes) if episode.closed_on), None)
    dates = (explanation.last_normal, explanation.first_seen, explanation.confirmed_on, explanation.green_again, closed)
    for axes, middle, low, high in (
        (upper, curve.ndvi, curve.low, curve.high),
        (lower, curve.bsi, curve.bsi - wide, curve.bsi + wide),
    ):
        axes.fill_between(days, low, high, color=BASELINE_COLOUR, alpha=0.18, linewidth=0, label="its usual range (3 x noise)")
        axes.plot(days, middle, color=BASELINE_COLOUR, linewidth=1.4, label="baseline of the pixel")
        first, last = int(curve.days[0]), to_day(explanation.monitor_from)
        axes.axvspan(first, last, color="black", alpha=0.04, label="before monitoring began")
        axes.grid(alpha=0.25)
        axes.margins(x=0.01)
        for name, day in zip(EVENTS, dates, strict=True):
            if day:
                colour, style = EVENTS[name]
                axes.axvline(to_day(day), color=colour, linestyle=style, linewidth=1.3, label=f"{name} {format_day(day)}")
    _draw_looks(upper, explanation.looks, [(look.ndvi, look.area_ndvi) for look in explanation.looks])
    _draw_looks(lower, explanation.looks, [(look.bsi, look.area_bsi) for look in explanation.looks])
    upper.set_ylabel("NDVI")
    lower.set_ylabel("BSI (bare soil index)")
    lower.legend(*upper.get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=5, fontsize=8.5)
    with publishing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _draw_looks(axes: Axes, looks: Sequence[ExplainedLook], values: Sequence[tuple[float | None, float | None]]) -> None:
    """Draw the pixel's value and the alert's median of each look; masked looks small, since their values may mean nothing."""
    for kind, marker, colour, size, name in (
        (0, "x", "0.6", 4.0, "look that is not clear"),
        (1, "o", COLOUR, 4.5, "clear look"),
        (2, "o", COUNTED_COLOUR, 7.0, "look that counts for the change"),
    ):
        chosen = [
            (look.date, value)
            for look, (value, _) in zip(looks, values, strict=True)
            if (2 if look.outcome in COUNTED else int(look.clear)) == kind
        ]
        _draw_markers(axes, chosen, marker, colour, size, name)
    medians = [(look.date, median) for look, (_, median) in zip(looks, values, strict=True)]
    _draw_markers(axes, medians, "_", "0.25", 7, "median of the alert's clear pixels")


def _draw_markers(
    axes: Axes, points: Sequence[tuple[dt.date, float | None]], marker: str, colour: str, size: float, name: str
) -> None:
    days = np.array([day for day, value in points if value is not None], "datetime64[D]")
    values = [value for _, value in points if value is not None]
    axes.plot(days, values, linestyle="none", marker=marker, color=colour, markersize=size, label=name)
