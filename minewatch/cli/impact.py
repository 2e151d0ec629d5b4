"""``minewatch impact``: what mining cost the land."""

from __future__ import annotations

import csv
import io
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minewatch.cli.output import Session, common_options, echo, print_json, say
from minewatch.settings.mining_kinds import MININGS

if TYPE_CHECKING:
    from minewatch.products.impact.assess import Impact
    from minewatch.products.impact.figures import Figure
    from minewatch.products.report.texts import Texts

TABLE, CSV = "table", "csv"


@click.command("impact")
@click.argument("alerts", nargs=-1, metavar="[ALERT...]")
@click.option("--aoi", metavar="NAME", help="All alerts of this area that stand for mining.")
@click.option("--all", "wants_all", is_flag=True, help="All alerts of the table that stand for mining.")
@click.option(
    "--mining",
    type=click.Choice(MININGS),
    help="The kind of mining, which satellites do not show.  [default: mining in [impact]]",
)
@click.option(
    "--country", metavar="CODE", help="Country whose values hold: PE.  [default: as a layer of administrative units says]"
)
@click.option("--carbon", type=click.Path(path_type=Path), metavar="FILE", help="GeoTIFF: tonnes of carbon on each hectare.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change an assumption: a number, or [low, high].")
@click.option("--format", "form", type=click.Choice([TABLE, CSV]), default=TABLE, show_default=True, help="How it is printed.")
@common_options
def impact(
    session: Session,
    alerts: tuple[str, ...],
    aoi: str | None,
    wants_all: bool,
    mining: str | None,
    country: str | None,
    carbon: Path | None,
    overrides: tuple[str, ...],
    form: str,
) -> None:
    """Compute what mining cost the land: vegetation, carbon, soil, silt, gold and mercury, each from low to high.

    Alerts count that the method or a person confirmed and nobody dismissed, whatever their legal status.  Each figure has its
    formula and source beside it, and every assumption is listed: it is a key of [impact] in minewatch.toml, and --set changes it
    for once.  Soil, silt, gold and mercury hold for alluvial gold mining alone, which somebody has to say: --mining alluvial.
    The country is not guessed from the position.  Nothing is written.

    \b
    Example:
      minewatch impact la-pampa-20240611-3fa9c1 --mining alluvial --country PE
      minewatch impact --aoi la-pampa --mining alluvial --country PE --set depth_m=[2,4]
      minewatch impact --all --mining other --carbon carbon.tif --format csv
    """
    from minewatch.products.impact.assess import check_assumptions
    from minewatch.products.impact.choose import choose_impact
    from minewatch.products.report.texts import read_texts
    from minewatch.settings.document import read_impact

    if [bool(alerts), bool(aoi), wants_all].count(True) != 1:
        raise click.UsageError("give alerts by their ids, --aoi NAME, or --all")
    workspace = session.workspace
    file = str(carbon.expanduser().absolute()) if carbon else None
    assumed = check_assumptions(read_impact(workspace, overrides), mining, country, file)
    found, notes = choose_impact(workspace, assumed, alerts, aoi)
    for note in notes:
        say(note)
    texts = read_texts("en")
    if session.as_json:
        print_json(describe_data(found, texts))
    elif form == CSV:
        _print_csv(found, texts)
    else:
        _print_words(found, texts)


# --- for people ----------------------------------------------------------------------------------------------------------


def _print_words(found: Impact, texts: Texts) -> None:
    from minewatch.products.report.impact_words import describe_figure, describe_impact

    words = describe_impact(found, texts)
    for line in words.lead:
        _print_wrapped(line)
    if not words.figures:
        return
    for alert, one in zip(found.alerts, words.alerts, strict=True):
        echo("")
        _print_wrapped("; ".join(filter(None, (f"{one.alert_id}: confirmed by {one.confirmed_by}", one.country, one.note))))
        for figure in (describe_figure(figure, texts) for figure in alert.figures if len(found.alerts) > 1):
            _print_row(figure.name, figure.range)
    echo("")
    echo(f"{words.total_of}, low – high, with formula and source:")
    for figure in words.figures:
        _print_row(figure.name, f"{figure.range}  {words.number(figure)}")
        _print_wrapped(f"= {figure.formula}", "      ")
    _print_wrapped(words.sums)
    echo("")
    echo("Assumed (--set KEY=VALUE):")
    for a in words.assumptions:
        _print_row(a.key, f"{a.value}  {words.number(a)}")
    echo("")
    for number, source in enumerate(words.sources, 1):
        _print_wrapped(f"[{number}] {source}")
    echo("")
    echo(f"{texts.text('impact_lacks')}:")
    for line in words.lacks:
        _print_wrapped(f"- {line}")


def _print_row(name: str, value: str) -> None:
    echo(f"  {name:<41}  {value}")


def _print_wrapped(text: str, indent: str = "") -> None:
    words = " ".join(text.split())  # no-break spaces, too
    for line in textwrap.wrap(words, 80, initial_indent=indent, subsequent_indent=f"{indent}  ", break_on_hyphens=False):
        echo(line)


# --- for programs --------------------------------------------------------------------------------------------------------


def describe_data(found: Impact, texts: Texts) -> dict[str, Any]:
    """Return what was computed as plain data: low, high, unit, formula, source and assumptions as fields."""
    from minewatch.products.impact.assumptions import list_assumptions
    from minewatch.products.report.impact_words import describe_impact

    words = describe_impact(found, texts)
    return {
        "mining": found.mining,
        "holds_for": words.lead[0],
        "alerts": [
            {
                "alert_id": alert.alert_id,
                "aoi": alert.aoi,
                "confirmed_by_method": alert.by_method,
                "confirmed_by_person": alert.by_person,
                "country": alert.country,
                "country_stated": alert.is_country_stated,
                "country_unit": alert.country_unit or None,
                "carbon_known": alert.carbon_known,
                "figures": [_describe_figure(figure, texts) for figure in alert.figures],
            }
            for alert in found.alerts
        ],
        "total": [_describe_figure(figure, texts) for figure in found.total],
        "sums": words.sums,
        "left_out": dict(found.left_out),
        "assumptions": [
            {
                "key": a.key,
                "low": a.range.low,
                "high": a.range.high,
                "unit": a.unit,
                "source": a.source or texts.text("impact_own"),
            }
            for a in list_assumptions(found.assumed, found.countries)
        ],
        "not_in_ranges": list(words.lacks),
    }


def _describe_figure(figure: Figure, texts: Texts) -> dict[str, Any]:
    from minewatch.products.report.impact_words import describe_figure

    words = describe_figure(figure, texts)
    ends = {"low": round(figure.range.low, 6), "high": round(figure.range.high, 6)}
    return {"figure": figure.key, "biome": figure.biome, **ends, "unit": figure.unit} | {
        "formula": words.formula,
        "source": list(words.sources),
    }


def _print_csv(found: Impact, texts: Texts) -> None:
    """Print one line a figure: of each alert, then of all, which have no alert_id."""
    from minewatch.alerts.cells import safe_cell

    data = describe_data(found, texts)
    file = io.StringIO()
    names = ("alert_id", "aoi", "country", "mining", "figure", "biome", "low", "high", "unit", "formula", "source")
    writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for alert in [*data["alerts"], {"figures": data["total"]}]:
        for figure in alert["figures"]:
            row = {"mining": found.mining, **alert, **figure}
            row["source"] = "; ".join(row["source"])
            writer.writerow({name: safe_cell(row.get(name)) for name in names})
    echo(file.getvalue().rstrip("\n"))
