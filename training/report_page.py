"""Fills the texts of the report, docs/likeness.md and the model card, with what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from minewatch.core.estimate import Estimate
from minewatch.core.text import format_percent
from minewatch.likeness.figures import BINS, DRAWS, RECALL, Figures, Group
from minewatch.products.likeness.tables import (
    Table,
    list_bins,
    list_groups,
    list_precision,
    render_table,
    write_estimate,
    write_number,
)
from training.gallery import CREDIT

if TYPE_CHECKING:
    from training.report import Report

CONFUSERS = ("landslide", "river bank", "aquaculture", "industrial ground")
"""Grounds of which few may be called mines."""

GOALS = {"by source": 0.93, "pairs": 0.85, "confusers": 0.15, "calibration": 0.05}
"""What is wanted: AUC at least, AUC at least, share at most, error at most."""


PAIRS = """`mining_emergence` against `natural_change` and `human_activity`, as they are labelled; some labels are wrong. Surface
reflectance (L2A), B04 B03 B02 of the image after; nothing was trained on them. Vegetation was lost where NDVI was 0.4 or more and
fell by 0.2 or more."""


def list_goals(report: Report) -> list[tuple[str, str, str, str]]:
    """Return what was to be reached: figure, value, goal, and whether it is met."""
    figures, pairs = report.gallery.figures, report.pairs
    called = {group.name: group.called for group in report.gallery.groups["ground"] if group.name in CONFUSERS}
    return [
        ("AUC by source", *_compare(figures.auc, GOALS["by source"])),
        *((f"{name} called mines", *_compare(share, GOALS["confusers"], at_most=True)) for name, share in called.items()),
        ("calibration error by source", *_compare(figures.ece, GOALS["calibration"], at_most=True)),
        ("AUC on the pairs' after images", *_compare(pairs.figures.auc if pairs else Estimate(None), GOALS["pairs"])),
    ]


def _compare(estimate: Estimate, goal: float, *, at_most: bool = False) -> tuple[str, str, str]:
    """Return value, goal and whether it is met; where the interval reaches beyond the goal, that is not sure."""
    wanted = f"{'≤' if at_most else '≥'} {goal}"
    if estimate.value is None:
        return "not measured", wanted, "–"
    worst = estimate.value if estimate.low is None or estimate.high is None else estimate.high if at_most else estimate.low
    is_met, is_sure = (value <= goal if at_most else value >= goal for value in (estimate.value, worst))
    return write_estimate(estimate), wanted, "**missed**" if not is_met else "met" if is_sure else "met, not surely"


def _write_goals(report: Report) -> str:
    return render_table((("figure", "measured", "goal", ""), list_goals(report)))


def _list_peers(report: Report) -> Table:
    figures = report.gallery.figures
    aucs, f1s = (_write_range(getattr(one, name) for one in report.folds) for name in ("auc", "f1"))
    rows = [
        ("minewatch, single networks, gallery held out by source", write_estimate(figures.auc), aucs, f1s),
        ("hand-made features with trees, the same gallery", ".79", "", ""),
        ("one network of 117 000 parameters, the same gallery", ".86", ".72–.97", ""),
        ("Amazon Mining Watch, one network, three holdouts of its own", "", "", ".71–.96"),
        ("Amazon Mining Watch, ensemble of six, the same holdouts", "", "", ".93–.98"),
    ]
    if report.pairs:
        rows.insert(1, ("minewatch, ensemble as shipped, pairs' after images", write_estimate(report.pairs.figures.auc), "", ""))
        rows.append(("hand-made features with trees, pairs' after images", ".80", "", ""))
    return ("", "AUC, all together", "AUC, fold by fold", "F1"), rows


def _write_range(estimates: Iterable[Estimate]) -> str:
    values = [one.value for one in estimates if one.value is not None]
    return f"{min(values):.2f}–{max(values):.2f}" if values else "–"


def _write_left(groups: Iterable[Group]) -> str:
    """Name the grounds of which too many are called mines."""
    over = [one for one in groups if not one.mines and (one.called.value or 0) > GOALS["confusers"]]
    if not over:
        return "No ground that is no mine is called one in more than 15 of 100 cases."
    ordered = sorted(over, key=lambda one: -(one.called.value or 0))
    return (
        f"Left over, at {format_percent(RECALL)} recall: "
        + ", ".join(f"{one.name} ({write_number(one.called.value)})" for one in ordered)
        + "."
    )


def _write_pairs(report: Report) -> str:
    if report.pairs is None:
        return "Not measured in this run."
    found = report.pairs
    tables = (list_groups(kind, groups) for kind, groups in found.groups.items())
    auc, ece = write_estimate(found.figures.auc), write_estimate(found.figures.ece)
    lines = [
        f"{found.notes[0]}: {PAIRS}",
        f"AUC {auc}, calibration error {ece}: the share of mines among the pairs is not that of the gallery.",
    ]
    return "\n\n".join([*lines, *(render_table(table) for table in tables)])


def _write_curve(report: Report) -> str:
    if not report.curve:
        return "Not kept by this run."
    rows = [
        (str(one.epoch), str(one.networks), f"{one.loss:.3f}", f"{one.auc[0]:.3f} ({one.auc[1]:.3f}–{one.auc[2]:.3f})")
        for one in report.curve
    ]
    return render_table((("epoch", "networks", "loss in training", "AUC on unseen label files, mean (lowest–highest)"), rows))


def _read_text(name: str) -> str:
    return Path(__file__).with_name("texts").joinpath(name).read_text("utf-8")


def _size(figures: Figures) -> str:
    return f"{figures.count} chips, {figures.mines} of mines"


def render_page(report: Report) -> str:
    """Return docs/likeness.md."""
    gallery = report.gallery
    return _read_text("likeness.md").format(
        version=report.weights.version,
        megabytes=report.megabytes,
        networks=len(report.weights.networks),
        goals=_write_goals(report),
        left=_write_left(gallery.groups["ground"]),
        peers=render_table(_list_peers(report)),
        grounds=render_table(list_groups("ground", gallery.groups["ground"])),
        sources=render_table(list_groups("label file", gallery.groups["source"])),
        precision=render_table(list_precision(gallery.figures)),
        bins=render_table(list_bins(gallery.figures)),
        curve=_write_curve(report),
        pairs=_write_pairs(report),
        size=_size(gallery.figures),
        files=report.label_files,
        bin_count=BINS,
        draws=DRAWS,
        recall=format_percent(RECALL),
        credit=CREDIT,
    )


def render_card(report: Report) -> str:
    """Return the model card."""
    gallery = report.gallery
    return _read_text("model_card.md").format(
        version=report.weights.version,
        networks=len(report.weights.networks),
        megabytes=report.megabytes,
        size=_size(gallery.figures),
        files=report.label_files,
        goals=_write_goals(report),
        left=_write_left(gallery.groups["ground"]),
        grounds=render_table(list_groups("ground", gallery.groups["ground"])),
        sources=render_table(list_groups("label file", gallery.groups["source"])),
        bins=render_table(list_bins(gallery.figures)),
        bin_count=BINS,
        credit=CREDIT,
    )
