"""``minewatch validate``: how good the alerts are where the truth is known."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from minewatch.alerts.table import read_alerts, read_areas
from minewatch.cli.output import Session, common_options, print_json, print_table, say
from minewatch.errors import AlertsError
from minewatch.figures import draw_scores
from minewatch.validate import LEVEL, Estimate, Scores, validate_alerts


@click.command("validate")
@click.argument("truth", type=click.Path(path_type=Path), metavar="TRUTH")
@click.option("--aoi", metavar="NAME", help="Area that TRUTH belongs to.  [default: the only one]")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="PNG", help="Figure.  [default: in output/images]")
@common_options
def validate(session: Session, truth: Path, aoi: str | None, output: Path | None) -> None:
    """Score the alerts of an area against known sites (a GeoPackage with layers sites and ignore).

    \b
    Example:
      minewatch validate simulated/truth.gpkg --aoi demo
    """
    workspace = session.workspace
    table = read_alerts(workspace.alerts)
    areas = read_areas(workspace.alerts)
    names = [aoi] if aoi else list(areas)
    if len(names) != 1 or names[0] not in areas:
        raise AlertsError(f"--aoi: name one of the areas in the table: {', '.join(areas)}")
    monitor_from, as_of = areas[names[0]]
    scores = validate_alerts(table[table["aoi"] == names[0]], truth, monitor_from, as_of)
    figure = output or workspace.images / f"{names[0]}-validation.png"
    draw_scores(figure, scores, f"{names[0]}: {truth.name}, as of {as_of}")
    if session.as_json:
        print_json(describe_scores(scores) | {"aoi": names[0], "as_of": as_of, "figure": str(figure)})
    else:
        _print_scores(scores, as_of)
        say(f"figure: {figure}")


def describe_scores(scores: Scores) -> dict[str, Any]:
    """Give scores as plain data, without the single sites."""
    facts = asdict(scores)
    del facts["sites"]
    return facts | {"sites": len(scores.sites), "hit": sum(site.hit for site in scores.sites)}


def _print_scores(scores: Scores, as_of: dt.date) -> None:
    interval = f"{LEVEL:.0%} interval"
    hit = sum(site.hit for site in scores.sites)
    click.echo(
        f"as of {as_of}: {len(scores.sites)} sites, {hit} hit; {scores.true_alarms} true alarms, {scores.false_alarms} false,"
        f" {scores.fragments} fragments, {scores.left_out} left out"
    )
    print_table(("figure", "value", interval), [(name, *_cells(estimate)) for name, estimate in scores.summary.items()])
    rows = [
        (name, facts["sites"], *(_cells(facts[key])[0] for key in ("site_recall", "pixel_recall", "days_median")))
        for name, facts in scores.by_size.items()
    ]
    print_table(("size", "sites", "site recall", "pixel recall", "days, median"), rows)
    print_table(("days since", "pixel F1", interval), [(days, *_cells(estimate)) for days, estimate in scores.by_days.items()])


def _cells(estimate: Any) -> tuple[str, str]:
    if not isinstance(estimate, Estimate) or estimate.value is None:
        return "-", ""
    known = estimate.low is not None and estimate.high is not None
    return f"{estimate.value:.3f}", f"{estimate.low:.3f} - {estimate.high:.3f}" if known else ""
