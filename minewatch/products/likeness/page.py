"""Writes an evaluation as a page in Markdown with its pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from minewatch.core.errors import MinewatchError
from minewatch.core.files import make_private_folder, publish_bytes
from minewatch.core.text import show as show_line
from minewatch.core.units import NODATA, SCALE
from minewatch.core.workspace import Workspace
from minewatch.likeness.evaluation import Evaluation, Mistake
from minewatch.likeness.figures import DRAWS
from minewatch.likeness.model import CHIP
from minewatch.products.evidence.image_file import parse_evidence_image
from minewatch.products.images.likeness_charts import draw_mistakes, draw_reliability, draw_roc
from minewatch.products.likeness.tables import list_bins, list_groups, list_precision, list_summary, render_table

PAGE = "page"
"""Name of the page in the folder of an evaluation; it is Markdown."""

CAUTION = """The score orders alerts for people who look at them; it decides nothing. Chips that the weights were trained on are
scored better than others: figures of the training gallery itself say nothing of new ground."""


def write_evaluation(folder: Path, evaluation: Evaluation) -> Path:
    """Write page and pictures into a folder of one's own; return the page."""
    make_private_folder(folder)
    curves = {"score": evaluation.figures}
    draw_roc(folder / "roc.png", curves)
    draw_reliability(folder / "reliability.png", curves)
    has_pictures = draw_mistakes(folder / "mistakes.png", evaluation.mistakes)
    page = (folder / PAGE).with_suffix(".md")
    publish_bytes(page, render_evaluation(evaluation, has_pictures=has_pictures).encode())
    return page


def show(text: str) -> str:
    """Return names of a stranger's file as one line of Markdown, without what a browser would run."""
    return show_line(text).replace("<", "&lt;")


def render_evaluation(evaluation: Evaluation, *, has_pictures: bool) -> str:
    """Return the page."""
    figures = evaluation.figures
    parts = [
        f"# Mine-likeness of {show(evaluation.title)}",
        f"Scored by weights {show(evaluation.version)}. {figures.count} scores, {figures.mines} of mines.",
        "\n".join(f"- {show(note)}" for note in evaluation.notes),
        CAUTION,
        render_table(list_summary(figures)),
        f"Intervals are of 95 %, from {DRAWS} draws of whole sources; in the tables of groups, of single scores.",
        "![ROC](roc.png)",
        "## What the share of mines does",
        render_table(list_precision(figures)),
        "## Calibration",
        "![Reliability](reliability.png)",
        render_table(list_bins(figures)),
    ]
    for kind, groups in evaluation.groups.items():
        parts += [f"## By {kind}", render_table(list_groups(kind, groups))]
    parts += ["## Worst mistakes", *(["![Mistakes](mistakes.png)"] if has_pictures else [])]
    lines = [
        f"- {show(one.name)} of {show(one.source)}: {'a mine' if one.mine else show(one.ground)}, score {one.score:.2f}"
        for one in evaluation.mistakes
    ]
    return "\n\n".join([*parts, "\n".join(lines)]) + "\n"


def add_evidence_pictures(workspace: Workspace, evaluation: Evaluation) -> Evaluation:
    """Return the evaluation of alerts with pictures of the mistakes that evidence is on file of."""
    return replace(evaluation, mistakes=[_add_picture(workspace, one) for one in evaluation.mistakes])


def _add_picture(workspace: Workspace, mistake: Mistake) -> Mistake:
    folder = workspace.evidence / mistake.name
    try:
        image = parse_evidence_image((folder / "after.tif").read_bytes(), (folder / "after-scl.tif").read_bytes())
    except (OSError, MinewatchError):
        return mistake
    colours = image.stack_colours()
    top, left = (max(0, (size - CHIP) // 2) for size in colours.shape[:2])
    middle = colours[top : top + CHIP, left : left + CHIP].astype(np.float32)
    return replace(mistake, rgb=np.where(middle == NODATA, np.nan, middle / SCALE))
