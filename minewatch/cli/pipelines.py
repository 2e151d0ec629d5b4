"""``minewatch pipeline``: the settings of scans."""

from __future__ import annotations

import sys

import click

from minewatch.cli.output import Session, common_options, complain, echo, print_json, print_table
from minewatch.core.errors import PipelineError
from minewatch.core.workspace import DEFAULT_PIPELINE


@click.group()
def pipeline() -> None:
    """List, check and show pipelines: the settings of scans.

    \b
    Example:
      minewatch pipeline check
      minewatch pipeline show default
    """


@pipeline.command("list")
@common_options
def list_command(session: Session) -> None:
    """List the pipelines of the workspace.

    \b
    Example:
      minewatch pipeline list
    """
    from minewatch.settings.pipeline import list_pipelines, read_pipeline

    names = list_pipelines(session.workspace)
    rows = [(name, read_pipeline(session.workspace, name).digest) for name in names]
    if session.as_json:
        print_json([{"pipeline": name, "digest": digest} for name, digest in rows])
    else:
        print_table(("pipeline", "digest"), rows)


@pipeline.command("check")
@click.argument("names", nargs=-1)
@common_options
def check(session: Session, names: tuple[str, ...]) -> None:
    """Check pipelines for unknown keys and values out of range; all of them without NAMES.

    \b
    Example:
      minewatch pipeline check default
    """
    from minewatch.settings.pipeline import list_pipelines, read_pipeline

    faults = {}
    for name in names or list_pipelines(session.workspace):
        try:
            read_pipeline(session.workspace, name)
            faults[name] = ""
        except PipelineError as error:
            faults[name] = str(error)
    if session.as_json:
        print_json([{"pipeline": name, "fault": fault} for name, fault in faults.items()])
    else:
        print_table(("pipeline", ""), [(name, "bad" if fault else "good") for name, fault in faults.items()])
    for fault in filter(None, faults.values()):
        complain(fault)
    if any(faults.values()):
        sys.exit(1)


@pipeline.command("show")
@click.argument("name", default=DEFAULT_PIPELINE)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Show it with a setting changed.")
@common_options
def show(session: Session, name: str, overrides: tuple[str, ...]) -> None:
    """Show every setting of a pipeline, defaults included, with its meaning.

    \b
    Example:
      minewatch pipeline show default --set alerts.min_area_ha=0.5
    """
    from minewatch.settings.pipeline import read_pipeline, render_pipeline

    chosen = read_pipeline(session.workspace, name, overrides)
    if session.as_json:
        print_json({"pipeline": name, "digest": chosen.digest, **chosen.model_dump(mode="json")})
    else:
        echo(f"# digest {chosen.digest}\n{render_pipeline(chosen)}".rstrip("\n"))
