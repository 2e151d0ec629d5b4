"""Writes how good the likeness is: ``python -m training.report GALLERY``, after the training; needs no framework.

It rests on what each chip was called by the one network that never saw its label file.  It writes docs/likeness.md, its pictures
and the model card beside the weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minewatch.core.files import publish_bytes
from minewatch.likeness.evaluation import Evaluation, evaluate, list_mistakes, name_sizes
from minewatch.likeness.figures import Figures, Scored, measure
from minewatch.likeness.model import WEIGHTS, Model
from minewatch.products.images.likeness_charts import draw_mistakes, draw_reliability, draw_roc
from training.calibration import Judged, calibrate_across
from training.curve import EpochResult, read_curve
from training.folds import make_folds
from training.gallery import Gallery, read_gallery
from training.pairs import FEWEST_HA, MINING, Pairs, read_pairs
from training.report_page import render_card, render_page


@dataclass(frozen=True)
class Report:
    """All that is measured."""

    weights: Model
    """What is shipped."""

    megabytes: float
    """Of its file."""

    gallery: Evaluation
    """By networks that never saw the label file."""

    folds: tuple[Figures, ...]
    """The same, each by itself."""

    pairs: Evaluation | None
    """Of after images, by what is shipped; None where they are not there."""

    label_files: int
    """Of the gallery."""

    curve: Sequence[EpochResult] = ()
    """What was reached after each epoch, where the training kept it."""


def measure_all(
    gallery: Gallery, judged: Judged, weights: Path, pairs: Pairs | None, curve: Sequence[EpochResult] = ()
) -> Report:
    """Return the report; raises ValueError where the judgements are of another gallery or other folds."""
    if len(judged.logit) != len(gallery.mine) or not np.array_equal(judged.fold, make_folds(gallery)):
        raise ValueError("the networks were judged on another gallery, or in other folds: train anew")
    scored = Scored(calibrate_across(judged, gallery.mine, gallery.source), gallery.mine, gallery.source)
    mistakes = list_mistakes(scored, gallery.ground, lambda n: f"chip {n}", lambda n: gallery.rgb[n])
    model = Model.load(weights)
    groups = {"source": gallery.source, "ground": gallery.ground}
    measured = evaluate("training gallery", model.version, [], scored, groups, mistakes)
    folds = tuple(measure(scored.choose(judged.fold == fold)) for fold in np.unique(judged.fold))
    on_pairs = evaluate_pairs(model, pairs) if pairs else None
    return Report(model, weights.stat().st_size / 1e6, measured, folds, on_pairs, len(np.unique(gallery.source)), curve)


def evaluate_pairs(model: Model, pairs: Pairs) -> Evaluation:
    """Return how good the shipped score is on after images that lost vegetation."""
    chosen = pairs.lost_ha >= FEWEST_HA
    score = model.assess(pairs.rgb[chosen]).score.astype(np.float64)
    label = pairs.label[chosen]
    scored = Scored(score, label == MINING, np.array([f"pair {n}" for n in np.flatnonzero(chosen)]))
    groups = {"label": label, "size": name_sizes(pairs.lost_ha[chosen])}
    notes = [f"{int(chosen.sum())} of {len(chosen)} pairs lost {FEWEST_HA} ha of vegetation or more"]
    return evaluate("mining pairs", model.version, notes, scored, groups, [])


def write_report(report: Report, docs: Path, card: Path) -> None:
    """Write page, pictures and card."""
    curves = {"gallery, held out by source": report.gallery.figures}
    if report.pairs:
        curves["pairs, after images"] = report.pairs.figures
    images = docs / "images"
    draw_roc(images / "likeness-roc.png", curves)
    draw_reliability(images / "likeness-reliability.png", curves)
    draw_mistakes(images / "likeness-mistakes.png", report.gallery.mistakes)
    publish_bytes(docs / "likeness.md", render_page(report).encode())
    publish_bytes(card, render_card(report).encode())
    for path in (docs / "likeness.md", card, *images.glob("likeness-*.png")):
        path.chmod(0o644)  # these are public, unlike what a workspace holds


def main() -> int:
    """Write the report; return 0."""
    parser = argparse.ArgumentParser(prog="python -m training.report", description=__doc__)
    parser.add_argument("gallery", type=Path, help="what was trained on")
    parser.add_argument("--folder", type=Path, default=Path("build/likeness"), help="where the training kept what it reached")
    parser.add_argument(
        "--pairs", type=Path, default=Path("../shared/data/mining-pairs"), help="after images, for the test alone"
    )
    parser.add_argument("--weights", type=Path, default=WEIGHTS, help="what is shipped")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of the page")
    parser.add_argument("--card", type=Path, default=WEIGHTS.with_name("model_card.md"), help="file of the model card")
    given = parser.parse_args()
    gallery = read_gallery(given.gallery)
    with np.load(given.folder / "judged.npz") as archive:
        judged = Judged(archive["logit"], archive["fold"])
    pairs = read_pairs(given.pairs) if given.pairs.is_dir() else None
    report = measure_all(gallery, judged, given.weights, pairs, read_curve(given.folder))
    write_report(report, given.docs, given.card)
    found = report.gallery.figures
    print(f"{report.weights.version}: AUC {found.auc.value:.3f} by source, calibration error {found.ece.value:.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
