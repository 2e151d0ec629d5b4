"""``minewatch qgis``: a project to open in QGIS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from minewatch.cli.output import Session, common_options, echo, print_json, print_table, say
from minewatch.cli.values import Choice
from minewatch.products.report.options import LANGUAGES

if TYPE_CHECKING:
    from minewatch.products.qgis.project_file import ProjectResult
    from minewatch.products.qgis.project_layers import Group, MapLayer


@click.command("qgis")
@click.option("--lang", "language", type=Choice(LANGUAGES), default="en", show_default=True, help="Language of map and legend.")
@common_options
def qgis(session: Session, language: str) -> None:
    """Write output/minewatch.qgz: alerts, areas, context, images and change rasters, and a map to print, for QGIS.

    Alerts in it are those of output/alerts.gpkg itself, so they are always those of the latest scan.  Write it again when
    areas, context or images have changed; a project that you saved under this name is kept beside it.

    The map to print numbers the alerts as its table does, and has graticule, scale, compass rose and locator.  The two looks
    of each alert (its last normal look, and the one that confirmed it) are layers too, hidden at first.

    \b
    Example:
      minewatch qgis && qgis output/minewatch.qgz
      minewatch qgis --lang es
    """
    from minewatch.products.qgis.project_file import write_project
    from minewatch.products.qgis.project_layers import list_layers

    written = write_project(session.workspace, language)
    for note in written.project.notes:
        say(note)
    if written.kept:
        say(f"the project that lay there had been changed in QGIS; it is now {written.kept}")
    if session.as_json:
        print_json(_describe(written))
        return
    rows = [(group.name, sum(1 for _ in list_layers(group.members))) for group in written.project.groups]
    print_table(("group", "layers"), rows)
    echo(str(written.path))


def _describe(written: ProjectResult) -> dict[str, Any]:
    project = written.project
    return {
        "project": str(written.path),
        "kept": str(written.kept) if written.kept else None,
        "crs": ":".join(project.crs.to_authority() or ()),
        "groups": [{"name": group.name, "layers": _describe_members(group.members)} for group in project.groups],
        "notes": list(project.notes),
    }


def _describe_members(members: Sequence[MapLayer | Group]) -> list[dict[str, Any]]:
    from minewatch.products.qgis.project_layers import list_layers

    return [
        {"id": layer.id, "title": layer.title, "source": layer.source, "visible": layer.visible} for layer in list_layers(members)
    ]
