"""``minewatch likeness``: what the score of alerts learns from reviews, and how good it is where the truth is known."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from minewatch.cli.output import Session, common_options, echo, print_json, print_table, say
from minewatch.core.text import count_of, format_day

if TYPE_CHECKING:
    from minewatch.alerts.learn_likeness import Learnt
    from minewatch.core.estimate import Estimate
    from minewatch.likeness.evaluation import Evaluation


@click.group()
def likeness() -> None:
    """Learn from reviews which alerts look like mines, and measure how good the score is.

    The score is an order in which to look: it never confirms, hides or closes an alert.

    \b
    Example:
      minewatch likeness learn
      minewatch likeness evaluate chips.npz
    """


@likeness.command("learn")
@click.option("--adopt", "wants_adoption", is_flag=True, help="Use it from the next scan on.")
@common_options
def learn(session: Session, wants_adoption: bool) -> None:
    """Fit a small layer on top of the shipped score to the reviews of this workspace, and measure it.

    Confirmed alerts count as mines; dismissed ones as none, if the reason says what they are.  Reasons that speak of law or
    paper (licensed, legal, concession, duplicate, already known) or that call it a mine do not count, nor do dismissals
    without a reason.  At least 30 reviews are needed, of both kinds.  The figures are of areas that were held out, one after
    the other; nothing is changed without --adopt.  What is learnt stays in this workspace, and "likeness use" undoes it.

    \b
    Example:
      minewatch likeness learn
      minewatch likeness learn --adopt
      minewatch likeness use shipped
    """
    from minewatch.alerts.learn_likeness import adopt, learn_likeness

    workspace = session.workspace
    learnt = learn_likeness(workspace)
    if not session.as_json:
        _print_learnt(learnt)
    adopted = adopt(workspace, learnt, dt.datetime.now(dt.UTC).date()) if wants_adoption else None
    if session.as_json:
        print_json({**learnt.facts, "left_out": learnt.reviews.left_out, "adopted": adopted.name if adopted else None})
    if adopted:
        say(f"{adopted.name} is in use: the next scan scores with {adopted.version}; undo with: minewatch likeness use shipped")
    elif learnt.home:
        say("nothing was changed; to use it from the next scan on: minewatch likeness learn --adopt")


def _print_learnt(learnt: Learnt) -> None:
    reviews = learnt.reviews
    mines, areas = int(reviews.mine.sum()), len(set(reviews.aoi.tolist()))
    echo(f"{count_of(len(reviews.mine), 'review')} of {count_of(areas, 'area')}: {mines} mines, {len(reviews.mine) - mines} not")
    for reason, count in reviews.left_out.items():
        echo(f"left out: {count} {reason}")
    if learnt.shipped is None or learnt.home is None:
        echo(f"all are of one area, {reviews.aoi[0]}: how it does on ground that it has not seen cannot be measured")
        return
    echo("each area judged by what was learnt in all others (95 % intervals from draws of whole areas):")
    rows = [
        (label, _show(getattr(learnt.shipped, name)), _show(getattr(learnt.home, name)))
        for name, label in (("auc", "AUC within areas"), ("brier", "Brier score"), ("ece", "calibration error"))
    ]
    print_table(("figure", "shipped", "home"), rows)
    print_table(
        ("area", "reviews", "mines", "Brier shipped", "Brier home"),
        [(area.aoi, area.reviews, area.mines, f"{area.shipped_brier:.3f}", f"{area.home_brier:.3f}") for area in learnt.areas],
    )
    bins = [(f"{one.score:.2f}", _show(one.share), one.count) for one in learnt.home.bins]
    print_table(("home score", "share of mines", "reviews"), bins)


@likeness.command("evaluate")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option("--aoi", metavar="NAME", help="Only alerts of this area, where FILE is a map.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder.  [default: likeness-FILE, of a map in output/evaluations]",
)
@common_options
def evaluate(session: Session, file: Path, aoi: str | None, output: Path | None) -> None:
    """Measure how good the score is where the truth is known; write a page with pictures, print the tables.

    FILE is either an .npz with chips: rgb (n, 48, 48, 3) red green blue of 10 m, mine (n,) 0 or 1, and where they are known
    source (n,), by which intervals are drawn, and area_ha (n,).  8 bits are top-of-atmosphere reflectance / 0.3 x 255, other
    integers surface reflectance x 10 000, floats surface reflectance.  The shipped score is measured; no workspace is needed.

    Or it is a map of places: points or polygons, those of a layer "sites" if there are several layers, with a column mine
    (0 or 1) or kind (mining or other; without either all are mines), and onset or date.  The scores in the workspace's table are
    measured: an alert that touches a place, or lies within 20 m of a polygon or 100 m of a point, and was last seen on its
    date or later, is what the place is; alerts without a place are no mines.

    \b
    Example:
      minewatch likeness evaluate chips.npz -o chips
      minewatch likeness evaluate truth.gpkg --aoi la-pampa --json
    """
    from minewatch.core.progress import reporting
    from minewatch.likeness.evaluation import evaluate_chips
    from minewatch.likeness.labelled_chips import read_labelled_chips
    from minewatch.likeness.model import read_model
    from minewatch.products.likeness.page import add_evidence_pictures, write_evaluation

    if file.suffix.lower() == ".npz":
        chips = read_labelled_chips(file)
        folder = output or Path(f"likeness-{file.stem}")
        with reporting() as reporter:
            evaluation = evaluate_chips(file.name, chips, read_model(), reporter)
    else:
        from minewatch.alerts.likeness_truth import evaluate_alerts

        workspace = session.workspace
        folder = output or workspace.evaluations / file.stem
        evaluation = add_evidence_pictures(workspace, evaluate_alerts(workspace, file, aoi))
    page = write_evaluation(folder, evaluation)
    if session.as_json:
        print_json({**evaluation.facts, "page": str(page)})
    else:
        _print_evaluation(evaluation)
        say(f"page: {page}")


def _print_evaluation(evaluation: Evaluation) -> None:
    from minewatch.products.likeness.tables import list_bins, list_groups, list_precision, list_summary

    figures = evaluation.figures
    echo(f"{evaluation.title}: {figures.count} scores by {evaluation.version}, {figures.mines} of mines")
    for note in evaluation.notes:
        echo(note)
    groups = (list_groups(kind, found) for kind, found in evaluation.groups.items())
    for table in (list_summary(figures), list_precision(figures), list_bins(figures), *groups):
        print_table(*table)


def _show(estimate: Estimate) -> str:
    if estimate.value is None:
        return "-"
    known = estimate.low is not None and estimate.high is not None
    return f"{estimate.value:.3f}" + (f" ({estimate.low:.2f} - {estimate.high:.2f})" if known else "")


@likeness.command("list")
@common_options
def list_layers(session: Session) -> None:
    """List the layers that were learnt here, and which of them is in use.

    \b
    Example:
      minewatch likeness list
    """
    from minewatch.likeness.home_versions import SHIPPED, UNDO, list_versions, name_in_use
    from minewatch.likeness.model import read_model

    folder, base = session.workspace.home_layers, read_model().version
    (versions, damaged), used = list_versions(folder), name_in_use(folder)
    if session.as_json:
        facts = [{"name": one.name, "version": one.version, "learnt": one.learnt, **one.facts} for one in versions]
        print_json({"in_use": used, "weights": base, "layers": facts, "damaged": damaged})
        return
    rows = [(SHIPPED, base, "", "", "in use" if used == SHIPPED else "")]
    for one in versions:
        state = "in use" if one.name == used else ""
        fits = "" if one.layer.base == base else "learnt on other weights"
        learnt = format_day(one.learnt), str(one.facts.get("reviews", ""))
        rows.append((one.name, one.version, *learnt, "; ".join(filter(None, (state, fits)))))
    rows += [(name, "", "", "", "in use; damaged" if name == used else "damaged") for name in damaged]
    if used not in {name for name, *_ in rows}:
        rows.append((used, "", "", "", "in use; gone"))
        say(f"{used} is gone: {UNDO}")
    print_table(("name", "version", "learnt", "reviews", ""), rows)
    for reason in damaged.values():
        say(reason)


@likeness.command("use")
@click.argument("version")
@common_options
def use(session: Session, version: str) -> None:
    """Use a layer that was learnt here from the next scan on, or none: VERSION is its name or number, or "shipped".

    \b
    Example:
      minewatch likeness use home-2
      minewatch likeness use shipped
    """
    from minewatch.likeness.home_versions import read_in_use, use_version
    from minewatch.likeness.model import read_model

    workspace = session.workspace
    with workspace.lock("likeness use"):
        name = use_version(workspace.home_layers, version)
        _, note = read_in_use(workspace.home_layers, read_model().version)
    if note:
        say(note)
    if session.as_json:
        print_json({"in_use": name})
    else:
        echo(f"{name} is in use from the next scan on")
