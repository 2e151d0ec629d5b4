"""``minewatch pipeline``: the settings of scans."""

from __future__ import annotations

import sys

import click

from minewatch.cli.complete import complete_pipeline
from minewatch.cli.output import Session, common_options, complain, echo, print_json, print_table, say
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
    """List the pipelines: the built-in ones and those of the workspace, each in a sentence.

    default, early and cautious are built in; a file of the same name in the folder pipelines takes the place of one.

    \b
    Example:
      minewatch pipeline list
    """
    from minewatch.settings.pipeline import list_pipelines, read_pipeline
    from minewatch.settings.pipeline_text import describe_pipeline

    workspace = session.workspace
    names = list_pipelines(workspace)
    rows = [(name, describe_pipeline(workspace, name)) for name in names]
    if session.as_json:
        digests = [read_pipeline(workspace, name).digest for name in names]
        print_json([{"pipeline": n, "what": what, "digest": d} for (n, what), d in zip(rows, digests, strict=True)])
        return
    print_table(("pipeline", "what it is"), rows, wrap=True)
    say("what was measured with one, and its settings: minewatch pipeline show NAME")


@pipeline.command("check")
@click.argument("names", nargs=-1, shell_complete=complete_pipeline)
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
@click.argument("name", default=DEFAULT_PIPELINE, shell_complete=complete_pipeline)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Show it with a setting changed.")
@click.option("--all", "everything", is_flag=True, help="Show every setting, as a file of the folder pipelines has it.")
@common_options
def show(session: Session, name: str, overrides: tuple[str, ...], everything: bool) -> None:
    """Show what was measured with a pipeline, and the few of its settings that a person changes, each with its meaning.

    Keys are those of --set.  For a pipeline of your own, write what --all shows into pipelines/NAME.toml and change it there.

    \b
    Example:
      minewatch pipeline show early
      minewatch pipeline show default --set alerts.min_area_ha=0.5
      minewatch pipeline show cautious --all > pipelines/ours.toml
    """
    from minewatch.settings.built_in import read_head
    from minewatch.settings.pipeline import read_pipeline, render_pipeline
    from minewatch.settings.pipeline_text import count_hidden, describe_pipeline, is_built_in, render_few

    chosen = read_pipeline(session.workspace, name, overrides)
    if session.as_json:
        print_json({"pipeline": name, "digest": chosen.digest, **chosen.model_dump(mode="json")})
    elif everything:
        echo(f"# digest {chosen.digest}\n{render_pipeline(chosen)}".rstrip("\n"))
    else:
        title = f"{name}, with what --set changes" if overrides else name
        head = read_head(name) if is_built_in(name, chosen) else [describe_pipeline(session.workspace, name)]
        echo(render_few(chosen, [f"{title}: {head[0]}", *head[1:]]).rstrip("\n"))
        say(f"{count_hidden(chosen)} more settings: minewatch pipeline show {name} --all")
