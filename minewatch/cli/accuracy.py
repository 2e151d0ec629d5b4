"""``minewatch validate`` and ``explain``: how good the alerts are where the truth is known, and why one is there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minewatch.cli.complete import complete_alert, complete_area
from minewatch.cli.output import Session, common_options, echo, print_json, print_table, say
from minewatch.core.progress import reporting
from minewatch.core.text import count_of, format_day, format_percent, show

if TYPE_CHECKING:
    from minewatch.alerts.explain.record import ExplainedLook, Explanation
    from minewatch.alerts.validate import Scores

BEFORE = dt.timedelta(days=60)
"""The table of an explanation begins this long before the alert, unless all looks are listed."""

MOST_NAMED = 4
"""Areas from which on they are counted, and not named, in titles and names of files."""

LOOK_COLUMNS = (
    "date", "NDVI", "expected", "band", "BSI", "BSI expected", "haze", "shift", "loss %", "confirmed", "what it did", "scenes",
)  # fmt: skip
"""Of the table of an explanation."""

SPARE_COLUMNS = ("scenes", "shift", "haze", "BSI expected", "BSI", "band", "confirmed")
"""Those for which a narrow terminal has no room, the first to be left out first."""


@click.command("validate")
@click.argument("truth", type=click.Path(path_type=Path), metavar="TRUTH")
@click.option(
    "--aoi",
    "areas",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_area,
    help="Only this area; may be given several times.  [default: all with sites of TRUTH]",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="PNG", help="Figure.  [default: in output/images]")
@common_options
def validate(session: Session, truth: Path, areas: tuple[str, ...], output: Path | None) -> None:
    """Score the alerts against known sites (a GeoPackage with layers sites and ignore): a sentence, then every figure.

    Of several areas each is held against the sites that lie in it, and the figures are those of all together.

    \b
    Example:
      minewatch validate simulated/truth.gpkg
      minewatch validate known-mines.gpkg --aoi la-pampa --aoi sarare
    """
    from minewatch.alerts.validate_areas import validate_areas
    from minewatch.products.images.charts import draw_scores

    workspace = session.workspace
    found = validate_areas(workspace, truth, areas)
    name = "-".join(found.areas) if len(found.areas) < MOST_NAMED else f"{len(found.areas)}-areas"
    title = ", ".join(found.areas) if len(found.areas) < MOST_NAMED else count_of(len(found.areas), "area")
    figure = output or workspace.images / f"{name}-validation.png"
    draw_scores(figure, found.scores, f"{title}: {truth.name}, as of {format_day(found.as_of)}")
    if session.as_json:
        facts = {"aoi": title, "areas": found.areas, "as_of": found.as_of, "unplaced": found.unplaced, "figure": str(figure)}
        print_json(describe_scores(found.scores) | facts)
        return
    echo(f"{title}, as of {format_day(found.as_of)}: {describe_success(found.scores)}")
    if found.unplaced:
        say(f"{count_of(found.unplaced, 'known mine')} in none of these areas: not counted")
    if len(found.areas) > 1:
        for area, scores in found.by_area.items():
            echo(f"  {area}: {describe_success(scores)}")
    _print_scores(found.scores)
    say(f"figure: {figure}")


def describe_success(scores: Scores) -> str:
    """Return in a sentence how many sites were found, how soon, and how many alerts were false."""
    hit, days, told = sum(site.hit for site in scores.sites), scores.summary["days_median"].value, []
    if scores.sites:
        soon = f", half of them within {days:.0f} days of the first clear look" if days is not None else ""
        told.append(f"{hit} of {count_of(len(scores.sites), 'known mine')} found{soon}")
    else:
        told.append("no known mine")
    alarms = scores.true_alarms + scores.false_alarms
    false = str(scores.false_alarms or "none")
    told.append(f"{false} of {count_of(alarms, 'confirmed alert')} false" if alarms else "no confirmed alert")
    if scores.fragments:
        told.append(f"{count_of(scores.fragments, 'further alert')} of mines that have one already")
    if scores.left_out:
        told.append(f"{count_of(scores.left_out, 'alert')} on ground that is not scored")
    return "; ".join(told)


def describe_scores(scores: Scores) -> dict[str, Any]:
    """Return scores as plain data, without the single sites."""
    facts = asdict(scores)
    del facts["sites"]
    return facts | {"sites": len(scores.sites), "hit": sum(site.hit for site in scores.sites)}


def _print_scores(scores: Scores) -> None:
    from minewatch.core.estimate import LEVEL

    interval = f"{format_percent(LEVEL)} interval"
    print_table(("figure", "value", interval), [(name, *_cells(estimate)) for name, estimate in scores.summary.items()])
    rows = [
        (name, facts["sites"], *(_cells(facts[key])[0] for key in ("site_recall", "pixel_recall", "days_median")))
        for name, facts in scores.by_size.items()
    ]
    print_table(("size", "sites", "site recall", "pixel recall", "days, median"), rows)
    print_table(("days since", "pixel F1", interval), [(days, *_cells(estimate)) for days, estimate in scores.by_days.items()])


def _cells(estimate: Any) -> tuple[str, str]:
    from minewatch.core.estimate import Estimate

    if not isinstance(estimate, Estimate) or estimate.value is None:
        return "-", ""
    known = estimate.low is not None and estimate.high is not None
    return f"{estimate.value:.3f}", f"{estimate.low:.3f} - {estimate.high:.3f}" if known else ""


@click.command("explain")
@click.argument("alert_id", metavar="ALERT_ID", shell_complete=complete_alert)
@click.option("--all", "everything", is_flag=True, help="List all looks, those of the baseline too.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="PNG", help="Figure.  [default: in output/images]")
@common_options
def explain(session: Session, alert_id: str, everything: bool, output: Path | None) -> None:
    """Show look by look why an alert is there: what was seen, what was expected, which rule fired.

    It follows one pixel in the middle of the alert, from the archive alone, as of the table's date.

    \b
    Example:
      minewatch explain la-pampa-20240611-3fa9c1
      minewatch explain la-pampa-20240611-3fa9c1 --all --json
    """
    from minewatch.alerts.explain.explain import explain_alert
    from minewatch.products.images.charts import draw_explanation

    workspace = session.workspace
    with reporting() as reporter:
        explanation = explain_alert(workspace, alert_id, reporter)
    figure = output or workspace.images / f"{alert_id}.png"
    draw_explanation(figure, explanation)
    looks = [look for look in explanation.looks if everything or look.date >= explanation.first_seen - BEFORE]
    if session.as_json:
        print_json(describe_explanation(explanation, looks) | {"figure": str(figure)})
    else:
        _print_explanation(explanation, looks)
        say(f"figure: {figure}")


def describe_explanation(explanation: Explanation, looks: Sequence[ExplainedLook]) -> dict[str, Any]:
    """Return an explanation as plain data, without the daily curve."""
    facts = {
        field.name: getattr(explanation, field.name) for field in fields(explanation) if field.name not in ("looks", "curve")
    }
    facts["episodes"] = [asdict(episode) for episode in explanation.episodes]
    facts["looks"] = [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(look).items()}
        | {"outcome": look.outcome.name.lower(), "clear": look.clear, "text": look.text}
        for look in looks
    ]
    return facts


def _print_explanation(explanation: Explanation, looks: Sequence[ExplainedLook]) -> None:
    from minewatch.alerts.cells import describe_position
    from minewatch.alerts.lifetime import describe_bracket
    from minewatch.products.report.texts import read_texts
    from minewatch.products.report.witness_words import describe_witness

    confirmed = f"; confirmed {format_day(explanation.confirmed_on)}" if explanation.confirmed_on else ""
    green = f"; green again since {format_day(explanation.green_again)}" if explanation.green_again else ""
    echo(
        f"{explanation.alert_id}: {explanation.status} as of {format_day(explanation.as_of)};"
        f" changed {describe_bracket(explanation.last_normal, explanation.first_seen)}{confirmed}{green};"
        f" {count_of(explanation.pixels, 'pixel')}"
    )
    echo(
        f"pixel at {describe_position(*explanation.position)}: baseline of {count_of(explanation.baseline_looks, 'look')},"
        f" noise {explanation.noise:.3f}"
    )
    for witness in explanation.witnesses:
        echo(f"seen by {show(witness['name'])} too: {describe_witness(witness, read_texts('en'))}")
    for note in explanation.notes:
        echo(f"  {note}")
    print_table(LOOK_COLUMNS, [_list_look(look, explanation.pixels) for look in looks], spare=SPARE_COLUMNS, wrap=True)
    echo("haze: blue above the baseline; shift: of the scene, already in the expected NDVI; confirmed: pixels of the alert")


def _list_look(look: ExplainedLook, pixels: int) -> Sequence[str]:
    return (
        look.date.isoformat(),
        _number(look.ndvi if look.clear else None),
        _number(look.expected_ndvi),
        "" if look.low is None or look.high is None else f"{look.low:.2f} to {look.high:.2f}",
        _number(look.bsi if look.clear else None),
        _number(look.expected_bsi),
        _number(look.haze),
        "" if look.scene_shift is None else f"{round(look.scene_shift, 2) + 0:+.2f}",
        "" if look.loss is None else str(round(100 * look.loss)),
        f"{look.confirmed_pixels}/{pixels}",
        look.text,
        ", ".join(look.scenes),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{round(value, 2) + 0:.2f}"
