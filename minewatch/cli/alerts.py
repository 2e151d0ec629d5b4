"""``minewatch alerts``: what was found."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from minewatch.alerts.cells import describe_position, is_empty, read_day
from minewatch.alerts.context.terms import AREAS, CONCESSION, LEGAL, UNKNOWN, UNLICENSED
from minewatch.alerts.corroboration.options import DAYS, DISTANCE_M, FARTHEST_M
from minewatch.alerts.csv_dialects import DIALECTS
from minewatch.alerts.lifetime import FateCount, describe_bracket, describe_fate, is_ever_confirmed
from minewatch.alerts.record import STATES
from minewatch.alerts.rows import Row, find_alert, read_areas, read_rows
from minewatch.cli.complete import complete_alert, complete_area
from minewatch.cli.output import (
    DAY,
    Session,
    common_options,
    echo,
    handover_options,
    print_json,
    print_result,
    print_table,
    read_line,
    say,
)
from minewatch.core.errors import AlertsError
from minewatch.likeness.grades import MEANING
from minewatch.products.export.endings import DEFAULT, ENDINGS

if TYPE_CHECKING:
    from minewatch.products.evidence.custody_log import Handover
    from minewatch.products.report.texts import Texts

F = TypeVar("F", bound=Callable[..., Any])

ALERT_ID, MINE_SCORE = "id", "mine-score"
"""Orders of the list."""


@click.group()
def alerts() -> None:
    """List, show, review, corroborate and export alerts.

    \b
    Example:
      minewatch alerts list --confirmed --min-area 0.5
    """


class Number(click.FloatRange):
    """A number within bounds; nan is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number; fails where it is none, or out of bounds."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value} is no number.", param, ctx)
        return number


def filters(command: F) -> F:
    """Add the options that filter alerts to a command."""
    for option in (
        click.option("--min-area", type=Number(min=0), metavar="HA", help="At least this large, hectares."),
        click.option("--since", type=DAY, help="First seen on this date or later."),
        click.option("--status", type=click.Choice(STATES), multiple=True, help="Only this status; may be given several times."),
        click.option("--confirmed", is_flag=True, help="Only those ever confirmed, also where the ground is green again."),
        click.option(
            "--outside",
            type=click.Choice(list(AREAS)),
            multiple=True,
            help="Only what lies outside; of concessions: outside valid ones.  May be given several times.",
        ),
        click.option("--aoi", metavar="NAME", help="Only this area.", shell_complete=complete_area),
        click.option(
            "--min-mine-score",
            type=Number(0, 1),
            metavar="X",
            help="Only ground that looks at least this much like a mine, 0 to 1; mines may look otherwise.",
        ),
    ):
        command = option(command)
    return command


def select_alerts(
    rows: Sequence[Row],
    aoi: str | None,
    status: tuple[str, ...],
    since: dt.datetime | None,
    min_area: float | None,
    outside: tuple[str, ...] = (),
    confirmed: bool = False,
    min_mine_score: float | None = None,
) -> list[Row]:
    """Return the alerts that pass every given filter; prints how many are left out since the answer is unknown."""
    chosen = [
        row
        for row in rows
        if (not aoi or row["aoi"] == aoi)
        and (not status or row["status"] in status)
        and (not confirmed or is_ever_confirmed(row))
        and (not since or (read_day(row["first_seen"]) or dt.date.min) >= since.date())
        and (not min_area or row["area_ha"] >= min_area)
    ]
    for kind in outside:
        chosen = _select_outside(chosen, kind)
    return chosen if min_mine_score is None else _select_alike(chosen, min_mine_score)


def _select_alike(rows: Sequence[Row], least: float) -> list[Row]:
    scored = [row for row in rows if not is_empty(row["mine_score"])]
    if count := len(rows) - len(scored):
        say(f"{count} {'alert is' if count == 1 else 'alerts are'} left out: not scored, what the ground looks like is unknown")
    return [row for row in scored if row["mine_score"] >= least]


def _select_outside(rows: Sequence[Row], kind: str) -> list[Row]:
    if kind == CONCESSION:
        known = [row for row in rows if row["legal_status"] in LEGAL and row["legal_status"] != UNKNOWN]
        outside = [row for row in rows if row["legal_status"] in UNLICENSED]
    else:
        known = [row for row in rows if not is_empty(row[AREAS[kind][1]])]
        outside = [row for row in known if row[AREAS[kind][1]] == 0]
    if count := len(rows) - len(known):
        say(f"{count} {'alert is' if count == 1 else 'alerts are'} left out: whether outside any {kind} is unknown")
    return outside


@alerts.command("list")
@filters
@click.option(
    "--sort",
    type=click.Choice([ALERT_ID, MINE_SCORE]),
    default=ALERT_ID,
    show_default=True,
    help="In which order; by mine-score the likest first, and those without a score last.",
)
@common_options
def list_command(session: Session, sort: str, **choice: Any) -> None:
    """List alerts: area, dates, latitude and longitude.

    The ground of an alert changed between "last normal" and "first seen".  Once confirmed it stays in the list: "green again"
    says since when its vegetation is back.  --confirmed lists all that were ever confirmed, --status confirmed those whose
    ground is still bare.  Below the table stand the reviews: who decided what, when and why, and from which date it acts.
    "unknown*" is a legal status that depends on the day: a licence was valid for a part of the time.  "likeness" says how much
    the ground looks like a mine, 0 to 1: an order in which to look, and no finding.

    \b
    Example:
      minewatch alerts list --confirmed --since 2024-01-01 --min-area 0.5
      minewatch alerts list --confirmed --sort mine-score
    """
    from minewatch.cli.listing import describe_alerts, print_alerts

    chosen = select_alerts(read_rows(session.workspace.alerts), **choice)
    if sort == MINE_SCORE:
        chosen.sort(key=lambda row: (is_empty(row["mine_score"]), 0 if is_empty(row["mine_score"]) else -row["mine_score"]))
    if session.as_json:
        print_json(describe_alerts(chosen))
        return
    print_alerts(chosen)
    if not (choice["status"] or choice["min_area"] or choice["outside"] or choice["min_mine_score"] is not None):
        areas = read_areas(session.workspace.alerts)
        began = {areas[name][0] for name in {row["aoi"] for row in chosen} & areas.keys()}
        since = began.pop() if len(began) == 1 and not choice["since"] else None
        say(FateCount.of(chosen).describe(since))


@alerts.command("show")
@click.argument("alert_id", metavar="ID", shell_complete=complete_alert)
@common_options
def show(session: Session, alert_id: str) -> None:
    """Show everything the table holds on one alert: what its legal status rests on, and every decision, are said in words.

    \b
    Example:
      minewatch alerts show la-pampa-20240611-3fa9c1
    """
    from minewatch.cli.listing import describe_alerts, describe_law_lines
    from minewatch.products.report.texts import read_texts

    name = find_alert(session.workspace.alerts, alert_id)
    if name != alert_id:
        say(f"{alert_id} is now {name}")
    row = next(row for row in read_rows(session.workspace.alerts) if row["alert_id"] == name)
    facts = describe_alerts([row])[0]
    if session.as_json:
        from shapely.geometry import mapping

        from minewatch.alerts.geopackage import read_outline

        print_json(facts | {"geometry": mapping(read_outline(session.workspace.alerts, name))})
    else:
        texts = read_texts("en")
        rows = [(name, str(value)) for name, value in facts.items() if name not in ("legal_basis", "mine_basis")]
        decisions = [("decision", line) for line in _describe_decisions(session.workspace.alerts, row, texts)]
        print_table(("", ""), [*rows, *_describe_life(row), *describe_law_lines(row, texts), *decisions])
        if row["mine_reasons"]:
            say(MEANING)


def _describe_decisions(table: Path, row: dict[Any, Any], texts: Texts) -> list[str]:
    """Return every review of an alert in the history of the table, and last what its row says now, where that is another."""
    from minewatch.alerts.history import REVIEWED, list_names, list_renames, read_history
    from minewatch.products.report.decision_words import DecisionFacts, describe_decision, describe_review_event

    events = read_history(table)
    names = list_names(row["alert_id"], list_renames(events))
    lines = [describe_review_event(event, texts) for event in events if event.event == REVIEWED and event.alert_id in names]
    now = DecisionFacts.of_row(row)
    return list(dict.fromkeys([*lines, *([describe_decision(now, texts)] if now.is_made else [])]))


def _describe_life(row: dict[Any, Any]) -> list[tuple[str, str]]:
    """Return what the cells of an alert mean, in words."""
    first = read_day(row["first_seen"])
    lines = [("changed", describe_bracket(read_day(row["last_normal"]), first) if first else ""), ("ground", describe_fate(row))]
    return [("position", describe_position(row["lat"], row["lon"])), *(line for line in lines if line[1])]


@alerts.command("review")
@click.argument("alert_id", metavar="ID", shell_complete=complete_alert)
@click.option("--confirm", is_flag=True, help="It is mining.")
@click.option("--dismiss", metavar="REASON", help="It is not, and why: no alert is raised there for the time the pipeline sets.")
@click.option("--needs-visit", is_flag=True, help="Somebody has to visit the place.")
@click.option("--clear", is_flag=True, help="Withdraw an earlier review.")
@click.option("--note", default="", metavar="TEXT", help="Anything else to keep.")
@click.option("--by", required=True, metavar="NAME", help="Who decides.")
@common_options
def review(
    session: Session, alert_id: str, confirm: bool, dismiss: str | None, needs_visit: bool, clear: bool, note: str, by: str
) -> None:
    """Record what a person decided about an alert.

    The decision is kept in output/decisions.jsonl and applies to the alert's ground from the table's as-of date on, even if
    the alert is renamed later.  Editing review, review_note and reviewed_by in QGIS does the same at the next scan.

    \b
    Example:
      minewatch alerts review la-pampa-20240611-3fa9c1 --dismiss "road works" --by "R. Quispe"
      minewatch alerts review la-pampa-20240611-3fa9c1 --needs-visit --note "ask the ranger post" --by "R. Quispe"
    """
    from minewatch.alerts.csv_file import publish_csv
    from minewatch.alerts.decisions import CONFIRM, DISMISS, NEEDS_VISIT, NOTHING
    from minewatch.alerts.reviews import Review, review_alert

    chosen = [DISMISS] * (dismiss is not None) + [CONFIRM] * confirm + [NEEDS_VISIT] * needs_visit + [NOTHING] * clear
    if len(chosen) != 1:
        raise click.UsageError("give exactly one of --confirm, --dismiss REASON, --needs-visit and --clear")
    if dismiss is not None and not dismiss.strip():
        raise click.UsageError("--dismiss needs a reason")
    name = read_line("--by", by)
    if not name:
        raise click.UsageError("--by needs a name")
    workspace = session.workspace
    reviewed = review_alert(
        workspace.alerts,
        workspace.decisions,
        alert_id,
        Review(chosen[0], name, (dismiss or "").strip(), note.strip()),
    )
    publish_csv(workspace)
    for line in reviewed.notes:
        say(line)
    if session.as_json:
        print_json({"alert_id": reviewed.alert_id, "status": reviewed.status, "review": chosen[0]})
    else:
        echo(f"{reviewed.alert_id}: {chosen[0] or 'review taken back'} by {read_line('--by', by)}, status {reviewed.status}")


@alerts.command("corroborate")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--name",
    required=True,
    metavar="NAME",
    help="The other system, as the table will name it: RADD …",
)
@click.option(
    "--distance",
    default=DISTANCE_M,
    show_default=True,
    type=click.FloatRange(0, FARTHEST_M),
    metavar="M",
    help="Largest distance from an alert that counts as agreement, metres.",
)
@click.option(
    "--days",
    default=DAYS,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Largest number of days before or after the alert that counts as agreement; undated records always agree.",
)
@click.option("--layer", metavar="NAME", help="Which layer of the file, where it has several.")
@click.option("--date-column", metavar="NAME", help="Column with the dates, if its name does not show it.")
@click.option("--take-back", is_flag=True, help="Remove everything that was added under this name.")
@common_options
def corroborate(session: Session, file: Path | None, name: str, take_back: bool, **choice: Any) -> None:
    """Mark where another system's alerts agree: who, when, and how far away.

    FILE is a CSV with latitude and longitude (as Global Forest Watch exports GLAD, RADD and integrated alerts), or points or
    polygons as GeoJSON, GeoPackage or shapefile (RADD, DIST-ALERT, Amazon Mining Watch).  What is near the areas is kept,
    so that later alerts show it too; adding the same file again changes nothing.

    \b
    Example:
      minewatch alerts corroborate gfw-alerts.csv --name GFW
      minewatch alerts corroborate mines-2024.geojson --name "Amazon Mining Watch" --distance 250
      minewatch alerts corroborate --name GFW --take-back
    """
    from minewatch.alerts.corroboration.corroboration import corroborate_alerts, remove_source
    from minewatch.alerts.csv_file import publish_csv
    from minewatch.cli.listing import describe_corroboration, describe_source_file, print_corroboration

    if (file is None) != take_back:
        raise click.UsageError("give either FILE or --take-back")
    workspace = session.workspace
    if file is None:
        count = remove_source(workspace, name)
        publish_csv(workspace)
        echo(json.dumps({"name": name, "files": count}) if session.as_json else f"{name}: {count} taken back")
        return
    options = {"distance_m": choice["distance"], "days": choice["days"], "layer": choice["layer"]}
    result = corroborate_alerts(workspace, file, name, date_column=choice["date_column"], **options)
    publish_csv(workspace)
    for line in (*result.notes, *describe_source_file(result, file)):
        say(line)
    if session.as_json:
        print_json(describe_corroboration(result, name))
    elif result.agreements:
        print_corroboration(result)


@alerts.command("export")
@click.option(
    "--format", "formats", default=DEFAULT, show_default=True, help=f"One or several of {','.join(ENDINGS)}, with commas."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder.  [default: output/exports]")
@click.option(
    "--locale",
    type=click.Choice(list(DIALECTS)),
    help="Write CSV for an Excel in this language: es, fr and pt with semicolons and decimal commas.  [default: for programs]",
)
@handover_options
@filters
@common_options
def export(session: Session, formats: str, output: Path | None, locale: str | None, handover: Handover, **choice: Any) -> None:
    """Write alerts as alerts.FORMAT in one or several formats.

    Every format has the same columns.  kml opens in Google Earth, gpkg in QGIS, both with their colours; shp is a zipped
    shapefile, whose names and texts are shortened; the command lists which.  Each file holds the credits that licences ask
    for; beside a csv lies alerts.csv-metadata.json with them: hand both on.  The custody log notes hash and size of each file,
    for whom (--for) and why (--purpose).

    \b
    Example:
      minewatch alerts export --format xlsx,kml --confirmed -o hand-over --for "Ministry of the Environment"
      minewatch alerts export --format gpkg,shp --outside concession --since 2024-01-01
      minewatch alerts export --format csv --locale es
    """
    from minewatch.alerts.credits import credit_alerts
    from minewatch.alerts.read import read_alerts
    from minewatch.products.evidence.handover_log import log_handover
    from minewatch.products.export.formats import export_alerts
    from minewatch.products.export.options import ExportOptions

    table = read_alerts(session.workspace.alerts)
    kept = {row["alert_id"] for row in select_alerts(table.to_dict("records"), **choice)}
    chosen = table[table["alert_id"].isin(kept)]
    names = tuple(name.strip().lower() for name in formats.split(",") if name.strip())
    folder = output or session.workspace.exports
    if folder.resolve() == session.workspace.output.resolve():
        raise AlertsError(f"{folder} holds the workspace's own alerts table; export into another folder")
    written = export_alerts(chosen, folder, names, ExportOptions(credit_alerts(session.workspace, chosen), locale))
    files = ", ".join(export.path.name for export in written)
    paths = [export.path for export in written]
    noted = log_handover(session.workspace, "exported", chosen["alert_id"], paths, f"as {files}", handover)
    print_result(session, [str(path) for path in paths], paths, [*(note for export in written for note in export.notes), *noted])
