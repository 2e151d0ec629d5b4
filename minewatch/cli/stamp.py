"""``minewatch stamp``: time stamps that wait are asked for now."""

from __future__ import annotations

import sys

import click

from minewatch.cli.output import Session, common_options, echo, print_json, say
from minewatch.core.errors import EvidenceError
from minewatch.core.text import count_of


@click.command("stamp")
@common_options
def stamp(session: Session) -> None:
    """Ask the time-stamping authority of minewatch.toml for the time stamps that wait, and say what still waits.

    Scans and the watch do this in passing, for a few seconds.  This command takes the time that it needs, and also asks for
    stamps of older evidence that has none, and of what the logs got since today's stamp.  Only hashes leave the machine.
    Exit code 3: some still wait, or need attention.

    \b
    Example:
      minewatch stamp
      minewatch stamp --json
    """
    from minewatch.products.evidence.timestamps import describe_stamps, stamp_waiting
    from minewatch.settings.document import read_settings

    workspace = session.workspace
    if read_settings(workspace).timestamps is None:
        raise EvidenceError(f"{workspace.settings} names no authority: add a table [timestamps] with its url and its ca")
    done = stamp_waiting(workspace, everything=True)
    if session.as_json:
        print_json(describe_stamps(done))
    else:
        echo(f"{count_of(done.stamped, 'time stamp')} received, {done.waiting} waiting")
    for line in (*done.notes, *filter(None, [done.describe()])):
        say(line)
    if done.waiting or done.notes:
        sys.exit(3)
