"""The tables of an evaluation, as rows of text for a page or a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from minewatch.core.estimate import Estimate
from minewatch.core.text import format_percent, show
from minewatch.likeness.figures import BINS, PREVALENCES, RECALL, RECALLS, Figures, Group

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Heads of the columns, and the rows."""


def write_number(value: float | None) -> str:
    """Return a number of 0 to 1, with three digits."""
    return "–" if value is None else f"{value:.3f}"


def write_estimate(estimate: Estimate) -> str:
    """Return a number with its interval."""
    if estimate.low is None or estimate.high is None:
        return write_number(estimate.value)
    return f"{write_number(estimate.value)} ({estimate.low:.2f}–{estimate.high:.2f})"


def list_summary(figures: Figures) -> Table:
    """Return the figures in all."""
    rows = [
        ("AUC", write_estimate(figures.auc)),
        ("Brier score", write_estimate(figures.brier)),
        (f"calibration error ({BINS} bins of equal width)", write_estimate(figures.ece)),
        ("F1 at a score of 0.5", write_estimate(figures.f1)),
        (f"score at {format_percent(RECALL)} recall", write_number(figures.threshold)),
        (f"other ground called mines at {format_percent(RECALL)} recall", write_estimate(figures.find_false_share(RECALL))),
    ]
    return ("figure", "value"), rows


def list_precision(figures: Figures) -> Table:
    """Return what shares of mines do to the precision."""
    heads = ["recall", "other ground called mines", *(f"precision, 1 mine in {1 / one:g}" for one in PREVALENCES)]
    rows = [
        (
            format_percent(recall),
            write_estimate(figures.find_false_share(recall)),
            *(write_estimate(figures.find_precision(recall, one)) for one in PREVALENCES),
        )
        for recall in RECALLS
    ]
    return heads, rows


def list_bins(figures: Figures) -> Table:
    """Return how calibrated the scores are."""
    rows = [(f"{one.score:.2f}", write_estimate(one.share), str(one.count)) for one in figures.bins]
    return ("mean score", "share of mines", "scores"), rows


def list_groups(kind: str, groups: Sequence[Group]) -> Table:
    """Return the figures of groups."""
    heads = (kind, "count", "mines", "AUC", f"called mines at {format_percent(RECALL)} recall", "mean score less share of mines")
    rows = [
        (show(one.name), str(one.count), str(one.mines), write_estimate(one.auc), write_estimate(one.called), f"{one.gap:+.2f}")
        for one in groups
    ]
    return heads, rows


def render_table(table: Table) -> str:
    """Return a table in Markdown."""
    heads, rows = table
    lines = ["| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in row) + " |" for row in (heads, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(heads), *lines[1:]])
