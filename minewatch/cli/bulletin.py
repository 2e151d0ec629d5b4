"""``minewatch bulletin``: what became of the ground in a month."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from minewatch.cli.output import Session, common_options, complain, handover_options, print_result, read_names
from minewatch.cli.values import Choice
from minewatch.core.progress import reporting
from minewatch.products.bulletin.options import AREA, FORMATS, HTML, UNITS
from minewatch.products.report.options import LANGUAGES

if TYPE_CHECKING:
    from minewatch.products.evidence.custody_log import Handover


@click.command("bulletin")
@click.option("--month", required=True, metavar="YYYY-MM", help="The month.")
@click.option("--by", type=click.Choice(list(UNITS)), default=AREA, show_default=True, help="The units that have a row each.")
@click.option("--format", "formats", default=HTML, show_default=True, help=f"Some of {','.join(FORMATS)}, with commas.")
@click.option("--lang", "language", type=Choice(LANGUAGES), default="en", show_default=True, help="Of page and XLSX.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder.  [default: output/bulletins]")
@handover_options
@common_options
def bulletin(session: Session, month: str, by: str, formats: str, language: str, output: Path | None, handover: Handover) -> None:
    """Write what became of the ground in a month: a row, a table and a map for each area, concession, territory or unit.

    New alerts, grown ones, those still bare and those green again, with hectares and legal status, beside the year so far and the
    same month a year before.  Alerts are counted as known from the looks up to the end of each time.  A unit of which less than
    half was examined says that it could not be seen, in place of a zero.

    --by concession, territory, protected-area or admin takes the features of the context layers of that kind that meet the areas
    of interest, and the ground outside any.  The PDF needs pip install 'minewatch[pdf]' and the Pango library.

    The custody log notes hash and size of each file, for whom (--for) and why (--purpose).  Exit code 3: some areas could not be
    counted; their rows and a line say why.

    \b
    Example:
      minewatch bulletin --month 2025-06
      minewatch bulletin --month 2025-06 --by concession --format html,pdf,csv,xlsx --lang es
      minewatch bulletin --month 2025-06 --by territory -o hand-over --for "Federation" --purpose "monthly bulletin"
    """
    from minewatch.products.bulletin.bulletin_facts import BulletinRequest
    from minewatch.products.bulletin.period import parse_month
    from minewatch.products.bulletin.write import write_bulletin

    request = BulletinRequest(parse_month(month), by, language, read_names("--format", formats, FORMATS))
    with reporting() as reporter:
        written = write_bulletin(session.workspace, request, output, reporter, handover)
    facts = {"files": [str(path) for path in written.paths], "known_to": written.known_to, "by": by, "units": written.units}
    facts |= {"notes": written.notes, "missing": written.missing}
    print_result(session, facts, written.paths, written.notes)
    for line in written.missing:
        complain(f"not counted: {line}")
    if written.fault:
        complain(written.fault)
        sys.exit(1)
    if written.missing:
        sys.exit(3)
