"""``minewatch alerts``: what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minewatch.alerts.cells import describe_position, read_day
from minewatch.alerts.csv_dialects import DIALECTS
from minewatch.alerts.lifetime import FateCount, describe_bracket, describe_fate
from minewatch.alerts.rows import find_alert, list_what_ifs, read_areas, read_rows
from minewatch.cli.alert_filters import (
    BY_STATUS,
    ORDERS,
    count_confirmed_since,
    describe_totals,
    filters,
    select_alerts,
    select_named,
)
from minewatch.cli.complete import complete_alert
from minewatch.cli.output import (
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
from minewatch.cli.values import Choice
from minewatch.cli.witnesses import corroborate, unseen
from minewatch.core.errors import AlertsError
from minewatch.core.text import count_of, format_time
from minewatch.likeness.grades import MEANING
from minewatch.products.export.endings import DEFAULT, ENDINGS

if TYPE_CHECKING:
    from minewatch.products.evidence.custody_log import Handover
    from minewatch.products.report.texts import Texts


@click.group()
def alerts() -> None:
    """List, show, review, corroborate and export alerts.

    \b
    Example:
      minewatch alerts list --confirmed --min-area 0.5
    """


NARROWING = ("status", "min_area", "outside", "min_mine_score", "review", "legal_status")
"""Filters that make "alerts confirmed since" a statement on some alerts alone."""


@alerts.command("list")
@filters
@click.option(
    "--sort",
    type=Choice(list(ORDERS)),
    default=BY_STATUS,
    show_default=True,
    help="What comes first: open alerts; by id; the newest date, the largest area or the likest mine-score.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Only the first N.")
@common_options
def list_command(session: Session, sort: str, limit: int | None, **choice: Any) -> None:
    """List alerts: area, dates, latitude and longitude; open ones first, and how many hectares there are in all.

    The ground of an alert changed between "last normal" and "first seen".  Once confirmed it stays in the list: "green again"
    says since when its vegetation is back.  --confirmed lists all that were ever confirmed, --status confirmed those whose
    ground is still bare.  Below the table stand the reviews: who decided what, when and why, and from which date it acts.
    "unknown*" is a legal status that depends on the day: a licence was valid for a part of the time.  "likeness" says how much
    the ground looks like a mine, 0 to 1: an order in which to look, and no finding.  In a narrow terminal columns are left out.

    \b
    Example:
      minewatch alerts list --confirmed --since 2024-01-01 --min-area 0.5
      minewatch alerts list --sort area --limit 10
      minewatch alerts list --review none --legal-status outside --until 2024-06-30
    """
    from minewatch.cli.listing import describe_alerts, print_alerts

    workspace = session.workspace
    rows = read_rows(workspace.alerts)
    chosen = select_alerts(workspace, rows, **choice)
    listed = sorted(chosen, key=ORDERS[sort])[:limit]
    if session.as_json:
        print_json(describe_alerts(listed))
        return
    print_alerts(listed)
    if chosen:
        say(describe_totals(chosen, len(listed)))
    elif not rows:
        say("the table has no alert; how much of each area was seen: minewatch status")
    earlier = count_confirmed_since(rows, choice["since"], choice["aoi"])
    if earlier:
        say(f"{count_of(earlier, 'more alert')} first seen before {choice['since']:%Y-%m-%d}, and confirmed since then")
    for aoi in list_what_ifs(workspace.alerts):
        say(f"{aoi}: the table shows a what-if; to bring back its own alerts: minewatch scan {aoi}")
    if not any(choice[name] not in (None, ()) for name in NARROWING) and chosen:
        areas = read_areas(workspace.alerts)
        began = {areas[name][0] for name in {row["aoi"] for row in chosen} & areas.keys()}
        since = began.pop() if len(began) == 1 and not (choice["since"] or choice["until"]) else None
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
    from minewatch.products.report.witness_words import describe_witnesses

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
        bases = ("legal_basis", "mine_basis", "witness_basis")
        rows = [(name, "" if value is None else str(value)) for name, value in facts.items() if name not in bases]
        decisions = [("decision", line) for line in _describe_decisions(session.workspace.alerts, row, texts)]
        others = [("seen by others", f"{name}: {seen}") for name, seen in describe_witnesses(row, texts)]
        print_table(("", ""), [*rows, *_describe_life(row), *describe_law_lines(row, texts), *others, *decisions])
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


def _refuse_option(_context: click.Context, _option: click.Parameter, reason: str | None) -> str | None:
    """Return a reason; raises BadParameter where it was left out, so that the next option would be taken for it."""
    if reason and reason.startswith("--"):
        raise click.BadParameter('give the reason: --dismiss "road works"')
    return reason


@alerts.command("review")
@click.argument("alert_id", metavar="ID", shell_complete=complete_alert)
@click.option("--confirm", is_flag=True, help="It is mining.")
@click.option(
    "--dismiss",
    metavar="REASON",
    callback=_refuse_option,
    help="It is not, and why: no alert is raised there for the time the pipeline sets.",
)
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


@alerts.command("export")
@click.argument("alert_ids", metavar="[ID ...]", nargs=-1, shell_complete=complete_alert)
@click.option(
    "--format", "formats", default=DEFAULT, show_default=True, help=f"One or several of {','.join(ENDINGS)}, with commas."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder.  [default: output/exports]")
@click.option(
    "--locale",
    type=click.Choice(list(DIALECTS)),
    help="Write CSV for an Excel in this language: es, fr and pt with semicolons and decimal commas.  [default: for programs]",
)
@click.option("--overwrite", is_flag=True, help="Replace files that no export wrote, or that were changed since.")
@handover_options
@filters
@common_options
def export(
    session: Session,
    alert_ids: tuple[str, ...],
    formats: str,
    output: Path | None,
    locale: str | None,
    overwrite: bool,
    handover: Handover,
    **choice: Any,
) -> None:
    """Write alerts, those named or all that pass the filters, as alerts.FORMAT in one or several formats.

    Every format has the same columns.  kml opens in Google Earth, gpkg in QGIS, both with their colours; shp is a zipped
    shapefile, whose names and texts are shortened; the command lists which.  Each file holds the credits that licences ask
    for; beside a csv lies alerts.csv-metadata.json with them: hand both on.  The custody log notes hash and size of each file,
    for whom (--for) and why (--purpose).  A file of an earlier export is replaced, which is said; one that somebody has changed
    since, or that is no export, is replaced with --overwrite alone.

    \b
    Example:
      minewatch alerts export --format xlsx,kml --confirmed -o hand-over --for "Ministry of the Environment"
      minewatch alerts export --format gpkg,shp --outside concession --since 2024-01-01
      minewatch alerts export --format csv --locale es
      minewatch alerts export la-pampa-20240611-3fa9c1 --format kml -o hand-over
    """
    from minewatch.alerts.credits import credit_alerts
    from minewatch.alerts.read import read_alerts
    from minewatch.products.evidence.handover_log import find_replaced, log_handover
    from minewatch.products.export.formats import export_alerts, list_targets
    from minewatch.products.export.options import ExportOptions

    table = read_alerts(session.workspace.alerts)
    rows = select_named(session.workspace, table.to_dict("records"), alert_ids)
    kept = {row["alert_id"] for row in select_alerts(session.workspace, rows, **choice)}
    chosen = table[table["alert_id"].isin(kept)]
    names = tuple(name.strip().lower() for name in formats.split(",") if name.strip())
    folder = output or session.workspace.exports
    if folder.resolve() == session.workspace.output.resolve():
        raise AlertsError(f"{folder} holds the workspace's own alerts table; export into another folder")
    options = ExportOptions(credit_alerts(session.workspace, chosen), locale)
    replaced = find_replaced(session.workspace, list_targets(folder, names), overwrite=overwrite)
    written = export_alerts(chosen, folder, names, options)
    say(f"{count_of(len(chosen), 'alert')} of {len(table)} written to {folder}")
    for path, changed in replaced.items():
        say(f"{path.name} of {format_time(changed)} was replaced")
    files = ", ".join(export.path.name for export in written)
    paths = [export.path for export in written]
    noted = log_handover(session.workspace, "exported", chosen["alert_id"], paths, f"as {files}", handover)
    print_result(session, [str(path) for path in paths], paths, [*(note for export in written for note in export.notes), *noted])


alerts.add_command(corroborate)
alerts.add_command(unseen)
