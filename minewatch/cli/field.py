"""``minewatch field``: alerts for a journey, and what comes back from it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minewatch.cli.alert_filters import filters, select_alerts, select_named
from minewatch.cli.complete import complete_alert
from minewatch.cli.output import (
    Session,
    common_options,
    echo,
    handover_options,
    print_json,
    print_result,
    print_table,
    read_line,
    say,
)
from minewatch.cli.values import Choice, Number
from minewatch.core.text import count_of
from minewatch.products.field.options import DISTANCE_M, FARTHEST_M
from minewatch.products.report.options import LANGUAGES

if TYPE_CHECKING:
    from minewatch.alerts.reviews import Review
    from minewatch.products.evidence.custody_log import Handover

NAME = "field.zip"
"""Of a package."""


@click.group()
def field() -> None:
    """Take alerts into the field without a network, and read visits and photographs back as reviews.

    \b
    Example:
      minewatch field write --status confirmed --aoi la-pampa
      minewatch field read visits-of-june --by "R. Quispe"
    """


@field.command("write")
@click.argument("ids", nargs=-1, metavar="[ID ...]", shell_complete=complete_alert)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder.  [default: output/exports]")
@click.option("--lang", "language", type=Choice(LANGUAGES), default="en", show_default=True, help="Of form and legend.")
@handover_options
@filters
@common_options
def write(session: Session, ids: tuple[str, ...], output: Path | None, language: str, handover: Handover, **choice: Any) -> None:
    """Write field.zip: the alerts named, or those that pass the filters, for QField on a phone and for QGIS.

    It holds the alerts with their outlines, a form for visits with a camera, the latest image of their areas and the two looks
    of each (from output/images and output/evidence; nothing is fetched), and waypoints for a GPS receiver.  Twenty alerts take
    5 MB at most.  The custody log notes who took it (--for) and why (--purpose).

    \b
    Example:
      minewatch field write la-pampa-20240611-3fa9c1 la-pampa-20240702-9c02d1 --lang es --for "Ranger post 4"
      minewatch field write --status confirmed --min-area 0.5 -o journey
    """
    from minewatch.alerts.read import read_alerts
    from minewatch.products.evidence.handover_log import log_handover
    from minewatch.products.field.package import write_package

    workspace = session.workspace
    table = read_alerts(workspace.alerts)
    rows = select_named(workspace, table.to_dict("records"), ids)
    kept = {row["alert_id"] for row in select_alerts(workspace, rows, **choice)}
    chosen = table[table["alert_id"].isin(kept)]
    made = write_package(workspace, chosen, (output or workspace.exports) / NAME, language)
    noted = log_handover(workspace, "exported", chosen["alert_id"], [made.path], f"as {NAME}", handover)
    facts = {"package": str(made.path), "bytes": made.size, "alerts": sorted(kept), "notes": [*made.notes, *noted]}
    print_result(session, facts, [made.path], [*made.notes, *noted])
    if not session.as_json:
        say(f"{count_of(len(kept), 'alert')}, {made.size / 1e6:.1f} MB")


@field.command("read")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--by", default="", metavar="NAME", help="Who decides, where the form names nobody.")
@click.option("--confirm", is_flag=True, help="Photographs that no form names show mining.")
@click.option("--dismiss", metavar="REASON", help="They show that it is none, and why.")
@click.option("--needs-visit", is_flag=True, help="They show that somebody has to go again.")
@click.option("--note", default="", metavar="TEXT", help="Anything else to keep with these.")
@click.option(
    "--distance",
    type=Number(1, FARTHEST_M),
    default=DISTANCE_M,
    show_default=True,
    metavar="M",
    help="Largest distance from an outline at which such a photograph is of that alert, metres.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be kept.")
@common_options
def read(session: Session, folder: Path, by: str, note: str, distance: float, dry_run: bool, **verdict: Any) -> None:
    """Read the folder of a field package back, or a folder of photographs: each visit becomes a review with its picture.

    A visit of the form is a review of the alert that it names, with the photograph taken in it.  Other photographs belong to
    the alert at which they were taken, by their EXIF position; say what they show with --confirm, --dismiss or --needs-visit,
    and who says so with --by.  One that was taken far from every alert, or near several, is named and not taken.

    The original files are kept in output/visits/ALERT_ID; the custody log and the note of the review have their SHA-256.
    Reading the same folder again changes nothing.  Exit code 3: something was not taken.

    \b
    Example:
      minewatch field read visits-of-june --dry-run
      minewatch field read visits-of-june --by "R. Quispe"
      minewatch field read photographs --confirm --by "R. Quispe" --note "two dredges at work"
    """
    from minewatch.products.field.read_back import keep_journey, name_kept, read_journey

    person = read_line("--by", by)
    journey = read_journey(session.workspace, folder, person, _make_verdict(person, note, **verdict), distance)
    notes = [] if dry_run else keep_journey(session.workspace, journey)
    for line in (*journey.notes, *notes):
        say(line)
    rows = [(one.alert_id, one.review.review, one.review.by, one.review.text) for one in journey.reviews]
    if session.as_json:
        facts = [
            {"alert_id": one.alert_id, "review": one.review.review, "by": one.review.by, "note": one.review.text}
            | {"photographs": [{"file": name_kept(photo), "sha256": photo.sha256} for photo in one.photos]}
            for one in journey.reviews
        ]
        print_json({"reviews": facts, "left_out": journey.notes, "kept": not dry_run})
    else:
        if rows:
            print_table(("alert", "review", "by", "note"), rows, wrap=True)
        said = "would be kept" if dry_run else "kept"
        echo(f"{count_of(len(rows), 'review')} {said}; {count_of(len(journey.notes), 'remark')}")
    if journey.notes:
        sys.exit(3)


def _make_verdict(by: str, note: str, *, confirm: bool, dismiss: str | None, needs_visit: bool) -> Review | None:
    """Return what photographs mean that no form names; None where that is not said."""
    from minewatch.alerts.decisions import CONFIRM, DISMISS, NEEDS_VISIT
    from minewatch.alerts.reviews import Review

    chosen = [DISMISS] * (dismiss is not None) + [CONFIRM] * confirm + [NEEDS_VISIT] * needs_visit
    if len(chosen) > 1:
        raise click.UsageError("give one of --confirm, --dismiss REASON and --needs-visit")
    if dismiss is not None and not dismiss.strip():
        raise click.UsageError("--dismiss needs a reason")
    if chosen and not by:
        raise click.UsageError("say who decides: --by NAME")
    return Review(chosen[0], by, (dismiss or "").strip(), note.strip()) if chosen else None
