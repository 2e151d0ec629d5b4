"""``minewatch source``: where scenes come from."""

from __future__ import annotations

import datetime as dt
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from minewatch.cli.complete import complete_source
from minewatch.cli.output import Session, common_options, echo, print_json, print_table, say
from minewatch.core.errors import WorkspaceError
from minewatch.core.url_policy import hide_secrets, is_web
from minewatch.core.workspace import ENVIRONMENT_VARIABLE, Workspace

if TYPE_CHECKING:
    from minewatch.settings.providers import Provider

MARKS = {True: "ok", False: "failed", None: "-"}
"""How the answer to a question is shown."""


@click.group()
def source() -> None:
    """List the sources of scenes, and check one before a scan needs it.

    \b
    Example:
      minewatch source list
      minewatch source check cdse
    """


@source.command("list")
@common_options
def list_command(session: Session) -> None:
    """List the sources that have a name: the built-in ones, and those of minewatch.toml.

    \b
    Example:
      minewatch source list --json
    """
    from minewatch.settings.document import default_source, list_providers
    from minewatch.settings.providers import PROVIDERS

    workspace = _find_workspace(session)
    providers = list_providers(workspace) if workspace else PROVIDERS
    if session.as_json:
        print_json([_describe(provider) for provider in providers.values()])
        return
    print_table(
        ("source", "title", "address", "collection", "credentials"),
        [_make_row(provider) for provider in providers.values()],
        spare=("title", "collection"),
        wrap=True,
    )
    if workspace:
        say(f"scans of this workspace use {default_source(workspace)}")


@source.command("check")
@click.argument("name", metavar="NAME|URL|PATH", shell_complete=complete_source)
@click.option("--aoi", "names", multiple=True, metavar="AREA", help="Look for scenes over this area alone.  [default: all]")
@common_options
def check(session: Session, name: str, names: tuple[str, ...]) -> None:
    """Check a source before a scan needs it: its address, its collection, its newest scene, credentials, and a file.

    Nothing is written.  The first bytes of one file are read, with the credentials, which are never shown; then up to 8 MB of
    it, to measure the line: minewatch scan --estimate --line takes its speed.  Exit code 1 where something failed.

    \b
    Example:
      minewatch source check earth-search --aoi la-pampa
      minewatch source check https://stac.example.org/v1
    """
    from minewatch.areas.aoi import read_aoi
    from minewatch.areas.area_files import list_aois
    from minewatch.raster.credentials import read_first_bytes
    from minewatch.raster.line import measure_line
    from minewatch.settings.document import list_providers
    from minewatch.settings.providers import PROVIDERS
    from minewatch.sources.check import check_source

    workspace = session.workspace if names else _find_workspace(session)
    areas = [read_aoi(workspace, aoi) for aoi in names or list_aois(workspace)] if workspace else []
    providers = list_providers(workspace) if workspace else PROVIDERS
    outlines = {area.name: area.geometry for area in areas}
    answer = check_source(name, providers, outlines, dt.datetime.now(dt.UTC).date(), read_first_bytes, measure_line)
    if session.as_json:
        print_json(
            {
                "source": answer.provider.name,
                "address": hide_secrets(answer.provider.root),
                "collection": answer.provider.collection,
                "passed": answer.passed,
                "checks": [{"check": c.name, "passed": c.passed, "text": c.text, "advice": c.advice} for c in answer.checks],
                "line": answer.line
                and {
                    "bytes_per_second": round(answer.line.speed),
                    "latency_seconds": round(answer.line.latency, 3),
                },
                "newest": [{"aoi": n.aoi, "id": n.id, "date": n.time.date(), "age_days": n.age_days} for n in answer.newest],
            }
        )
    else:
        width = max(len(check.name) for check in answer.checks)
        for check in answer.checks:
            echo(f"{MARKS[check.passed]:6}  {check.name:{width}}  {check.text}")
            if check.advice:
                echo(f"{'':6}  {'':{width}}  -> {check.advice}")
    if not answer.passed:
        sys.exit(1)


def _find_workspace(session: Session) -> Workspace | None:
    """Find the workspace; None where none was named and none is there: the built-in sources need none."""
    try:
        return session.workspace
    except WorkspaceError:
        if session.folder or os.environ.get(ENVIRONMENT_VARIABLE):
            raise
        return None


def _make_row(provider: Provider) -> tuple[str, ...]:
    from minewatch.sources.login import find_credentials

    collection = provider.collection if is_web(provider.root) else "-"  # a catalogue on disk is read whole
    return provider.name, provider.title, provider.root, collection, find_credentials(provider).describe()


def _describe(provider: Provider) -> dict[str, Any]:
    from minewatch.settings.providers import PROVIDERS
    from minewatch.sources.login import find_credentials

    login = find_credentials(provider)
    return {
        "source": provider.name,
        "title": provider.title,
        "address": provider.root,
        "collection": provider.collection,
        "built_in": provider.name in PROVIDERS,
        "credentials": {"needed": login.needed, "found": list(login.found), "missing": list(login.missing)},
    }
