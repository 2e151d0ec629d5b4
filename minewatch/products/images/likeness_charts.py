"""Charts of how good a score is: the ROC, how calibrated it is, and its worst mistakes as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minewatch.core.files import publishing
from minewatch.core.text import escape_math, show
from minewatch.likeness.evaluation import Mistake
from minewatch.likeness.figures import RECALL, Figures
from minewatch.products.images.stretch import apply_stretch

COLOURS = ("#0b6e99", "#c2410c", "#4d7c0f", "#6b21a8")
"""Of the lines, in their order."""

WHITE = 0.3
"""Reflectance that is white in pictures of mistakes: of all the same, so that they can be compared."""

IN_ROW = 5
"""Pictures of mistakes."""


def draw_roc(path: Path, curves: Mapping[str, Figures]) -> None:
    """Write a PNG: which share of other ground is called mines where which share of the mines is."""
    figure, axes = _begin("other ground called mines", "mines called mines")
    for colour, (name, found) in zip(COLOURS, curves.items(), strict=False):
        value, low, high = found.auc.value, found.auc.low, found.auc.high
        if value is None:  # of one class alone there is no curve
            continue
        label = f"{name}: AUC {value:.3f}" + ("" if low is None or high is None else f" ({low:.2f}–{high:.2f})")
        axes.plot(*found.roc, color=colour, label=escape_math(label))
    axes.axhline(RECALL, color="#999999", lw=0.8, ls=":")
    axes.plot([0, 1], [0, 1], color="#bbbbbb", lw=0.8)
    _save(figure, axes, path)


def draw_reliability(path: Path, curves: Mapping[str, Figures]) -> None:
    """Write a PNG: the share of mines among scores of nearly the same value, with its interval."""
    figure, axes = _begin("score", "share of mines")
    axes.plot([0, 1], [0, 1], color="#bbbbbb", lw=0.8)
    for colour, (name, found) in zip(COLOURS, curves.items(), strict=False):
        x = np.array([one.score for one in found.bins])
        y, low, high = (np.array([getattr(one.share, end) for one in found.bins], float) for end in ("value", "low", "high"))
        label = f"{name}: error {found.ece.value:.3f}"
        axes.errorbar(x, y, [y - low, high - y], fmt="o-", ms=4, capsize=2, color=colour, label=escape_math(label))
    _save(figure, axes, path)


def draw_mistakes(path: Path, mistakes: Sequence[Mistake]) -> bool:
    """Write a PNG with the mistakes of which there is a picture; False where there is none."""
    shown = [one for one in mistakes if one.rgb is not None]
    if not shown:
        return False
    rows = -(-len(shown) // IN_ROW)
    figure = Figure(figsize=(2.3 * IN_ROW, 2.75 * rows), dpi=110, layout="constrained")
    for axes, one in zip(figure.subplots(rows, IN_ROW, squeeze=False).flat, [*shown, *[None] * (rows * IN_ROW)], strict=False):
        axes.axis("off")
        if one is None or one.rgb is None:
            continue
        axes.imshow(apply_stretch(np.nan_to_num(one.rgb), 0.0, WHITE))
        truth = "mine" if one.mine else one.ground
        axes.set_title(escape_math(f"{truth}, {one.score:.2f}\n{show(one.source, 34)}"), fontsize=7)
    with publishing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
    return True


def _begin(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(5.2, 4.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1))
    axes.grid(visible=True, color="#eeeeee")
    return figure, axes


def _save(figure: Figure, axes: Axes, path: Path) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=8)
    with publishing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
