"""What errors of use leave open: a word that belongs to another command's way of asking, and how it is said here."""

from __future__ import annotations

import re

import click

AREA_OPTION, BOX_OPTION = "--aoi", "--bbox"


def explain_use(error: click.UsageError) -> str:
    """Return what was probably meant, to be put after an error; '' where nothing is known."""
    command = error.ctx.command if error.ctx else None
    if isinstance(error, click.NoSuchCommand):
        return " All commands: minewatch --help" if error.command_name == "help" else ""
    if command is None:
        return ""
    options = {name for param in command.params if isinstance(param, click.Option) for name in param.opts}
    takes_areas = any(isinstance(param, click.Argument) and "AOI" in (param.metavar or "") for param in command.params)
    if isinstance(error, click.NoSuchOption):
        if error.option_name == AREA_OPTION and takes_areas:
            return f" Areas stand here without an option: minewatch {command.name} NAME"
        if re.fullmatch(r"-\d", error.option_name) and BOX_OPTION in options:
            return f" Write the four numbers as one word: {BOX_OPTION} -70.13,-13.02,-69.86,-12.87"
    elif AREA_OPTION in options and "unexpected extra argument" in error.message:
        return f". Areas are chosen with {AREA_OPTION} NAME"
    return ""
