"""``minewatch doctor``: whether the data behind an area can be trusted."""

from __future__ import annotations

import datetime as dt
import sys
from typing import TYPE_CHECKING

import click

from minewatch.cli.complete import complete_area
from minewatch.cli.output import Session, common_options, echo, print_json, print_table, say
from minewatch.cli.values import Day
from minewatch.core.progress import reporting
from minewatch.core.text import count_of, format_day

if TYPE_CHECKING:
    from minewatch.operations.doctor.checks import DataCheck, Examination
    from minewatch.operations.doctor.warm import Warming

SHOWN = 10
"""Scenes of a check that are listed, unless ``--all`` is given."""


@click.command("doctor")
@click.argument("name", metavar="[AOI]", required=False, shell_complete=complete_area)
@click.option("--source", metavar="NAME|URL|PATH", help="Source whose listing is compared, in place of the workspace's.")
@click.option("--offline", is_flag=True, help="Examine the archive alone, without contacting the source.")
@click.option("--until", type=Day(), help="Last acquisition date.  [default: that of the alerts table, or today]")
@click.option("--all", "everything", is_flag=True, help="List every scene, including those without problems.")
@click.option("--warm", is_flag=True, help="Compile what scans need, now; takes no area and no workspace.")
@common_options
def doctor(
    session: Session,
    name: str | None,
    source: str | None,
    offline: bool,
    until: dt.datetime | None,
    everything: bool,
    warm: bool,
) -> None:
    """Examine the data behind an area: offsets, duplicates, gaps, shifts, empty and late scenes.

    The result of a check is ok, look (may be harmless), fault (the data are wrong, or look wrong) or cannot tell.
    Exit code 3: at least one check found a fault.

    What to do about a fault: for offsets, scan from another --source, which may have the scenes right.  For misregistration,
    distrust thin alerts along edges that rest on the named scenes.  For valid pixels, delete the observation's .json in
    output/archive/AOI and scan again.

    Scans compile some functions when they first run on a machine. With --warm this is done at once, for example while an
    image of a container is built, and later scans find them where NUMBA_CACHE_DIR or else the package keeps them.

    \b
    Example:
      minewatch doctor la-pampa
      minewatch doctor la-pampa --offline --all
      minewatch doctor la-pampa --json
      minewatch doctor --warm
    """
    if warm:
        from minewatch.operations.doctor.warm import warm_up

        if name or source or offline or until or everything:
            raise click.UsageError("--warm takes no area and no other option: give it alone")
        print_warming(session, warm_up())
        return
    from minewatch.operations.doctor.checks import CheckOutcome
    from minewatch.operations.doctor.examination import describe_examination, examine_area

    if not name:
        raise click.UsageError("Missing argument 'AOI', or --warm.")
    if source and offline:
        raise click.UsageError("--source and --offline contradict each other: give one of them")
    with reporting() as reporter:
        examination = examine_area(
            session.workspace, name, source=source, offline=offline, until=until and until.date(), reporter=reporter
        )
    if session.as_json:
        print_json(describe_examination(examination))
    else:
        print_examination(examination, everything=everything)
    if examination.faults:
        names = ", ".join(check.name for check in examination.checks if check.outcome is CheckOutcome.FAULT)
        say(f"fault: {names}; minewatch doctor --help says what to do")
        sys.exit(3)


def print_warming(session: Session, warming: Warming) -> None:
    """Print what was compiled and where it is kept."""
    if session.as_json:
        print_json({"compiled": warming.compiled, "seconds": round(warming.seconds, 1), "folder": str(warming.folder)})
        return
    if warming.note:
        say(warming.note)
    done = f"compiled {count_of(warming.compiled, 'function')} in {warming.seconds:.0f} s"
    echo(f"{done if warming.compiled else 'warm already'}: compiled code is kept in {warming.folder}")


def print_examination(examination: Examination, *, everything: bool = False) -> None:
    """Print the table of checks, then the scenes that they name."""
    data = examination.data
    for note in examination.notes:
        say(note)
    area, listed = data.area, data.listed
    contacted = "the source was not contacted" if listed is None else f"{data.source} lists {count_of(len(listed), 'item')}"
    looks = count_of(len(data.observations), "observation")
    echo(f"{area.aoi.name}: {looks} from {format_day(area.history_from)} to {format_day(area.until)}; {contacted}")
    rows = [(check.name, str(check.outcome), check.figure, check.text) for check in examination.checks]
    print_table(("check", "result", "figure", "what it means"), rows, wrap=True)
    for check in examination.checks:
        _print_findings(check, everything=everything)


def _print_findings(check: DataCheck, *, everything: bool) -> None:
    """Print the scenes of a check: the first ones that somebody should see, or all."""
    findings = check.findings if everything else check.concerns[:SHOWN]
    if not findings:
        return
    echo(f"\n{check.name}:")
    print_table(
        ("date", "result", "scene", "what was found"), [(f.date, str(f.outcome), f.subject, f.text) for f in findings], wrap=True
    )
    left = len(check.concerns) - len(findings)
    if left > 0:
        echo(f"and {left} more; --all or --json names them")
