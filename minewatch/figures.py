"""Figures of numbers: how good the alerts are."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minewatch.files import publishing
from minewatch.validate import LEVEL, Estimate, Scores

COLOUR = "#1f5fa8"


def draw_scores(path: Path, scores: Scores, title: str) -> None:
    """Write a PNG: the shares with their intervals, pixel F1 by days since the change, recall by size."""
    figure = Figure(figsize=(12, 3.8), dpi=110, layout="constrained")
    figure.suptitle(f"{title} ({LEVEL:.0%} intervals)", fontsize=11)
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
