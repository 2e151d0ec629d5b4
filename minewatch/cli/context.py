"""``minewatch context``: the layers that alerts are compared with."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from minewatch.cli.output import Session, common_options, complain, echo, print_json, print_table, say
from minewatch.core.errors import ContextError
from minewatch.core.text import count_of

if TYPE_CHECKING:
    from minewatch.alerts.context.declaration import Declaration


@click.group()
def context() -> None:
    """Check the context layers: concessions, reserves, rivers, and what else alerts are compared with.

    \b
    Example:
      minewatch context check
      minewatch context refresh
    """


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
            raise ContextError(f"there is no context layer {name!r}; declared: {', '.join(declared) or 'none'}")
    reports = [_check_layer(session, name, declared[name]) for name in names or declared]
    if session.as_json:
        print_json(reports)
    elif reports:
        columns = ("name", "kind", "features", "usable", "dated", "crs", "file")
        print_table(columns, [[report[column] for column in columns] for report in reports])
    else:
        say(f"no context layer is declared; add [context.NAME] tables to {session.workspace.settings}")
    for report in reports:
        for problem in report["problems"]:
            say(problem)
        if report["fault"]:
            complain(report["fault"])
    if any(report["fault"] for report in reports):
        sys.exit(1)


def _check_layer(session: Session, name: str, declaration: Declaration) -> dict[str, Any]:
    from minewatch.alerts.context.features import read_features
    from minewatch.alerts.context.layer import open_layer

    report: dict[str, Any] = {"name": name, "kind": declaration.kind, "file": declaration.file}
    try:
        layer = open_layer(session.workspace, name, declaration)
        features = read_features(layer)
    except ContextError as error:
        return report | {"features": 0, "usable": 0, "dated": 0, "crs": "", "problems": [], "fault": str(error)}
    problems = features.describe_faults()
    if not len(features.shapes):
        problems.append(f"context layer {name!r}: nothing in it can be used; it has no effect on any alert")
    if layer.kind == "concession" and declaration.valid_from is None and declaration.valid_to is None:
        problems.append(
            f"context layer {name!r}: no valid_from and no valid_to is named, so alerts in it have the legal status unknown"
        )
    counts = {"features": layer.features, "usable": len(features.shapes)}
    dated = sum(period is not None for period in features.periods)
    return report | counts | {"dated": dated, "crs": layer.crs.name, "problems": problems, "fault": ""}


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
