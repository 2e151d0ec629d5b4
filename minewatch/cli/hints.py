"""What errors of use leave open: a word that belongs to another command's way of asking, and how it is said here."""

from __future__ import annotations

import re

import click

AREA_OPTION, BOX_OPTION = "--aoi", "--bbox"

AREA_WORDS = (AREA_OPTION, "--area", "--areas", "--aois")
"""Options with which people name an area."""

OF_ONE = ("aoi show", "aoi remove")
"""Commands whose only word is an area."""

OF_ALL = {
    "status": "it shows all areas; of one: minewatch aoi show NAME, minewatch alerts list --aoi NAME",
    "watch": "it scans what the schedules say; to scan an area now: minewatch scan NAME",
    "aoi list": "it lists all areas; one of them: minewatch aoi show NAME",
    "pipeline list": "it lists all pipelines; one of them: minewatch pipeline show NAME",
    "source list": "it lists all sources; to check one: minewatch source check NAME",
}
"""Commands that take no name, and those that do."""


def explain_use(error: click.UsageError) -> str:
    """Return what was probably meant, to be put after an error; '' where nothing is known."""
    if isinstance(error, click.NoSuchCommand):
        return " All commands: minewatch --help" if error.command_name == "help" else ""
    if error.ctx is None:
        return ""
    options = {name for param in error.ctx.command.params if isinstance(param, click.Option) for name in param.opts}
    if isinstance(error, click.NoSuchOption):
        if error.option_name in AREA_WORDS:
            return _explain_area(error.ctx, options)
        if re.fullmatch(r"-\d", error.option_name) and BOX_OPTION in options:
            return f" Write the four numbers as one word: {BOX_OPTION} -70.13,-13.02,-69.86,-12.87"
    elif "unexpected extra argument" in error.message:
        return _explain_word(error.ctx, options)
    return ""


def _explain_area(context: click.Context, options: set[str]) -> str:
    """Return how a command takes the area that was given with an option that it has not."""
    if AREA_OPTION in options:
        return f" Areas are chosen with {AREA_OPTION} NAME"
    if _takes_areas(context):
        return f" Areas stand here without an option: {context.command_path} NAME"
    said = _explain_all(context)
    return f" {said[0].upper()}{said[1:]}" if _takes_nothing(context) else ""


def _explain_word(context: click.Context, options: set[str]) -> str:
    """Return how a command takes areas that was given a word too many."""
    if AREA_OPTION in options:
        return f". Areas are chosen with {AREA_OPTION} NAME"
    if _takes_areas(context):
        return ". It takes one at a time"
    return f"; {_explain_all(context)}" if _takes_nothing(context) else ""


def _takes_areas(context: click.Context) -> bool:
    arguments = [param for param in context.command.params if isinstance(param, click.Argument)]
    return context.command_path.endswith(OF_ONE) or any("AOI" in (param.metavar or "") for param in arguments)


def _takes_nothing(context: click.Context) -> bool:
    return not any(isinstance(param, click.Argument) for param in context.command.params)


def _explain_all(context: click.Context) -> str:
    _, _, path = context.command_path.partition(" ")
    return OF_ALL.get(path, "it takes no name: it is for the whole workspace")
