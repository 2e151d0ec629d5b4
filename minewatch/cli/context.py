"""``minewatch context``: the layers that alerts are compared with."""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minewatch.cli.output import Session, common_options, complain, echo, print_json, print_table, say
from minewatch.cli.values import Day
from minewatch.core.errors import ContextError
from minewatch.core.text import count_of, suggest

if TYPE_CHECKING:
    from minewatch.alerts.context.declaration import Declaration
    from minewatch.alerts.context.register_file import RegisterCount
    from minewatch.core.workspace import Workspace

PRESET_NAMES = ("pe-ingemmet", "br-sigmine", "co-anna", "landfolio", "generic")
"""Registers that ``context add`` knows; help shows them without loading what reads maps."""


@click.group()
def context() -> None:
    """Declare and check the context layers: concessions, reserves, rivers, and what else alerts are compared with.

    \b
    Example:
      minewatch context add peru context/catastro.shp --preset pe-ingemmet
      minewatch context check
      minewatch context refresh
    """


@context.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--preset", type=click.Choice(PRESET_NAMES), required=True, help="How the register writes itself.")
@click.option("--layer", help="Layer of the file; left out, all of them.")
@click.option("--column", "columns", multiple=True, metavar="KEY=COLUMN", help="Which column is name, id, applied, valid_from, …")
@click.option("--titles", multiple=True, metavar="[COLUMN=]WORD", help="Status words of titles that allow extraction.")
@click.option("--exploration", multiple=True, metavar="[COLUMN=]WORD", help="Status words of permits to explore.")
@click.option("--applications", multiple=True, metavar="[COLUMN=]WORD", help="Status words of ground that was asked for.")
@click.option("--lapsed", multiple=True, metavar="[COLUMN=]WORD", help="Status words of what has ended.")
@click.option("--rows", type=click.Choice(["titles", "exploration", "applications", "lapsed"]), help="What all rows are.")
@click.option("--encoding", help="Of the text; left out, found out.")
@click.option("--crs", help="Coordinate reference system, such as EPSG:4674, where the file states none.")
@click.option("--date-format", help="Such as %d/%m/%Y, or milliseconds; left out, found out.")
@click.option("--as-of", type=Day(), help="Day of the register; left out, when the file was modified.")
@common_options
def add(session: Session, name: str, file: Path, preset: str, columns: tuple[str, ...], **options: Any) -> None:
    """Declare a register of mining rights that was downloaded as FILE, and show what its rows are.

    Words may have * for any letters; capitals and accents do not matter.  The file stays where it is.

    \b
    Example:
      minewatch context add peru context/catastro.shp --preset pe-ingemmet
      minewatch context add ghana context/gh.geojson --preset generic --column id=LIC_NO --titles "STATUS=Mining Lease*"
    """
    from minewatch.alerts.context.declaration import Declaration
    from minewatch.alerts.context.presets import PRESETS
    from minewatch.alerts.context.register_file import RegisterChoice, count_register, declare_register, list_register_layers
    from minewatch.core.workspace import check_name
    from minewatch.settings.edit import add_tables

    workspace = session.workspace
    check_name("a context layer", name)
    if wrong := next((one for one in columns if not all(one.partition("="))), None):
        raise ContextError(f"--column {wrong}: write KEY=COLUMN, for example id=CODIGOU")
    if options["as_of"] and options["as_of"].date() > dt.datetime.now(dt.UTC).date():
        raise ContextError(f"--as-of {options['as_of']:%Y-%m-%d} has not come yet; give the day of the register")
    declared = _name_file(workspace, file)
    named = dict(one.split("=", 1) for one in columns)
    words = {key: found for key in ("titles", "exploration", "applications", "lapsed") if (found := options.pop(key))}
    layer, as_of = options.pop("layer"), options.pop("as_of")
    layers = [layer] if layer else list_register_layers(workspace, declared)
    many = len(layers) > 1
    choice = RegisterChoice(declared, PRESETS[preset], columns=named, words=words, as_of=as_of and as_of.date(), **options)
    tables = {}
    for one, own in zip(layers, _name_layers(name, layers), strict=True):
        check_name("a context layer", own)
        tables[own] = declare_register(workspace, own, replace(choice, layer=one if many or layer else None))
    counts = [count_register(workspace, own, table) for own, table in tables.items()]
    with workspace.lock("context add"):
        add_tables(workspace, "context", tables)
    if session.as_json:
        print_json([asdict(count) | {"table": tables[count.layer]} for count in counts])
        return
    _show_counts(counts)
    for own, table in tables.items():
        if _is_never_dated(Declaration.model_validate(table)):
            say(f"{_describe_undated(own)}; name them with --column valid_from=COLUMN and --column valid_to=COLUMN")
    echo("look at them, then compare the alerts with them: minewatch context refresh")


def _name_file(workspace: Workspace, file: Path) -> str:
    """Return a path as it is declared: relative to the workspace where it lies in it."""
    given = file.expanduser()
    found = next((path for path in (given, workspace.root / given, workspace.context / given) if path.exists()), None)
    if found is None:
        raise ContextError(f"there is no file {file}, neither here nor in {workspace.context}")
    whole = found.resolve()
    return str(whole.relative_to(workspace.root.resolve())) if whole.is_relative_to(workspace.root.resolve()) else str(whole)


def _name_layers(name: str, layers: Sequence[str]) -> list[str]:
    """Return the name of each layer's declaration: the name itself for one, else with the layer's, numbered where equal."""
    slugs = list(map(_slug, layers))
    equal: Counter[str] = Counter()
    names = []
    for slug in slugs:
        equal[slug] += 1
        number = f"-{equal[slug]}" if slugs.count(slug) > 1 else ""
        names.append(f"{name}-{slug}{number}" if len(layers) > 1 else name)
    return names


def _slug(layer: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", layer.lower()).strip("-")[:30] or "layer"


def _show_counts(counts: Sequence[RegisterCount]) -> None:
    from minewatch.alerts.context.terms import STANDINGS, UNREAD

    names = {"title": "titles", "application": "applications", UNREAD: "unreadable"}
    columns = ("layer", "rows", *(names.get(standing, standing) for standing in STANDINGS), "dated")
    print_table(columns, [[one.layer, one.rows, *one.standings.values(), one.dated] for one in counts])
    echo("")
    print_table(("example", "id", "is", "in the register", "dates"), [row for one in counts for row in one.examples])
    for one in counts:
        for fault in one.faults:
            say(fault)
        if one.unread:
            seen = ", ".join(f"{word or '(empty)'} ({count})" for word, count in one.unread.items())
            count = one.standings[UNREAD]
            say(
                f"context layer {one.layer!r}: {count_of(count, 'row')} with a status that is not known, so ground there has the "
                f"legal status unknown: {seen}; remove the layer and add it again with --titles, --exploration, --applications "
                f"or --lapsed and these words"
            )


@context.command("list")
@common_options
def list_command(session: Session) -> None:
    """List the declared context layers with the date and the age of their files.

    \b
    Example:
      minewatch context list
    """
    from minewatch.alerts.context.declaration import read_declarations
    from minewatch.alerts.context.layer import find_file
    from minewatch.alerts.context.source_file import find_modified
    from minewatch.alerts.context.terms import CONCESSION, STALE_DAYS

    today = dt.datetime.now(dt.UTC).date()
    rows: list[dict[str, Any]] = []
    for name, declaration in read_declarations(session.workspace).items():
        row: dict[str, Any] = {
            "name": name,
            "kind": declaration.kind,
            "file": declaration.file,
            "as_of": "",
            "days": None,
            "fault": "",
        }
        try:
            day = declaration.as_of or find_modified(find_file(session.workspace, declaration.file, f"context layer {name!r}"))
        except ContextError as error:
            rows.append(row | {"fault": str(error)})
        else:
            rows.append(row | {"as_of": str(day), "days": (today - day).days})
    if session.as_json:
        print_json(rows)
        return
    if not rows:
        say(f"no context layer is declared; add [context.NAME] tables to {session.workspace.settings}, or: minewatch context add")
        return
    shown = [[row["name"], row["kind"], row["as_of"], "" if row["days"] is None else row["days"], row["file"]] for row in rows]
    print_table(("name", "kind", "as of", "days", "file"), shown)
    for row in rows:
        if row["fault"]:
            say(str(row["fault"]))
        elif row["kind"] == CONCESSION and (row["days"] or 0) > STALE_DAYS:
            say(f"context layer {row['name']!r} is {row['days']} days old; fetch the register anew")


@context.command("remove")
@click.argument("name")
@common_options
def remove(session: Session, name: str) -> None:
    """Take the declaration of a context layer out of minewatch.toml; its file stays.

    \b
    Example:
      minewatch context remove peru
    """
    from minewatch.settings.document import read_settings
    from minewatch.settings.edit import remove_table

    workspace = session.workspace
    if name not in (declared := read_settings(workspace).context):
        raise ContextError(f"there is no context layer {name!r}{suggest(name, declared, 'layers')}")
    with workspace.lock("context remove"):
        remove_table(workspace, "context", name)
    if session.as_json:
        print_json({"removed": name})
        return
    echo(f"{name} is no longer declared; its file is still there. Compare the alerts anew: minewatch context refresh")


@context.command("check")
@click.argument("names", nargs=-1)
@common_options
def check(session: Session, names: tuple[str, ...]) -> None:
    """Read context layers to their end and show what is in them; all of them without NAMES.

    \b
    Example:
      minewatch context check
    """
    from minewatch.alerts.context.declaration import read_declarations

    declared = read_declarations(session.workspace)
    for name in names:
        if name not in declared:
            raise ContextError(f"there is no context layer {name!r}{suggest(name, declared, 'layers')}")
    reports = [_check_layer(session, name, declared[name]) for name in names or declared]
    if session.as_json:
        print_json(reports)
    elif reports:
        columns = ("name", "kind", "features", "usable", "dated", "crs", "file")
        print_table(columns, [[report[column] for column in columns] for report in reports], spare=("crs",))
    else:
        say(f"no context layer is declared; add [context.NAME] tables to {session.workspace.settings}")
    for report in reports:
        if report["standings"]:
            say(
                f"context layer {report['name']!r}: "
                + ", ".join(f"{n} {what}" for what, n in sorted(report["standings"].items()))
            )
        for problem in report["problems"]:
            say(problem)
        if report["fault"]:
            complain(report["fault"])
    if any(report["fault"] for report in reports):
        sys.exit(1)


def _check_layer(session: Session, name: str, declaration: Declaration) -> dict[str, Any]:
    from minewatch.alerts.context.features import read_features
    from minewatch.alerts.context.layer import open_layer
    from minewatch.alerts.context.terms import UNREAD

    report: dict[str, Any] = {"name": name, "kind": declaration.kind, "file": declaration.file, "standings": {}}
    try:
        layer = open_layer(session.workspace, name, declaration)
        features = read_features(layer)
    except ContextError as error:
        return report | {"features": 0, "usable": 0, "dated": 0, "crs": "", "problems": [], "fault": str(error)}
    problems = features.describe_faults()
    if not len(features.shapes):
        problems.append(f"context layer {name!r}: nothing in it can be used; it has no effect on any alert")
    if layer.kind == "concession" and _is_never_dated(declaration):
        problems.append(_describe_undated(name))
    counts = {"features": layer.features, "usable": len(features.shapes)}
    standings = Counter(row.standing for row in features.rows) if declaration.choices else Counter()
    if unread := standings[UNREAD]:
        problems.append(f"context layer {name!r}: {count_of(unread, 'row')} with a status that its table does not name")
    dated = sum(period is not None for period in features.periods)
    return (
        report | counts | {"standings": dict(standings), "dated": dated, "crs": layer.crs.name, "problems": problems, "fault": ""}
    )


def _is_never_dated(declaration: Declaration) -> bool:
    """True if nothing says from when to when titles hold."""
    never = declaration.valid_from is None and declaration.valid_to is None and not declaration.open_ended
    return never and (not declaration.choices or bool({"titles", "exploration"} & declaration.choices.keys()))


def _describe_undated(name: str) -> str:
    return f"context layer {name!r}: no valid_from and no valid_to is named, so alerts in it have the legal status unknown"


@context.command("refresh")
@common_options
def refresh(session: Session) -> None:
    """Compare the alerts of the table with the layers again after these changed; a scan does the same for the areas it scans.

    \b
    Example:
      minewatch context refresh
    """
    from minewatch.alerts.context.layer import open_layers
    from minewatch.alerts.csv_file import publish_csv
    from minewatch.alerts.refresh_context import refresh_context

    workspace = session.workspace
    layers = open_layers(workspace)
    with workspace.lock("context refresh"):
        result = refresh_context(workspace.alerts, layers)
        publish_csv(workspace)
    for note in result.notes:
        say(note)
    if session.as_json:
        changes = [{"alert_id": alert_id, "legal_status": change} for alert_id, change in result.changes]
        print_json({"alerts": result.alerts, "legal_status": dict(sorted(result.legal.items())), "changes": changes})
        return
    counts = ", ".join(f"{count} {status}" for status, count in sorted(result.legal.items()))
    echo(f"{count_of(result.alerts, 'alert')} placed" + (f": {counts}" if counts else ""))
    for alert_id, change in result.changes:
        echo(f"{alert_id}: legal status {change}")
