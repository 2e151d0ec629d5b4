"""``minewatch report``: what an investigator puts on file."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from minewatch.cli.complete import complete_alert, complete_area
from minewatch.cli.output import Session, common_options, complain, handover_options, print_result, read_line, read_names
from minewatch.cli.values import Choice, Day
from minewatch.core.progress import reporting
from minewatch.products.report.options import FORMATS, LANGUAGES
from minewatch.settings.mining_kinds import MININGS

if TYPE_CHECKING:
    from minewatch.products.evidence.custody_log import Handover
    from minewatch.settings.impact import ImpactTable


@click.command("report")
@click.argument("aoi", required=False, metavar="[AOI]", shell_complete=complete_area)
@click.option(
    "--alert", "alert_id", metavar="ID", help="A report on one alert, in place of an area.", shell_complete=complete_alert
)
@click.option("--since", type=Day(), help="Only alerts first seen on this date or later.")
@click.option("--until", type=Day(), help="Only alerts first seen by this date.")
@click.option("--format", "formats", default="html", show_default=True, help=f"Some of {','.join(FORMATS)}, with commas.")
@click.option("--lang", "language", type=Choice(LANGUAGES), default="en", show_default=True, help="Language of the report.")
@click.option("--case", default="", metavar="TEXT", help="Number or name of the case, printed at its head.")
@click.option("--author", default="", metavar="NAME", help="Who makes the report, printed at its head.")
@click.option("--organisation", default="", metavar="NAME", help="On whose behalf, printed at its head.")
@click.option("--impact", "mining", type=click.Choice(MININGS), help="Say what mining of this kind cost the land, too.")
@click.option("--country", metavar="CODE", help="With --impact: country whose values hold.  [default: as for minewatch impact]")
@click.option("--source", metavar="NAME|URL|PATH", help="Where images are read from.  [default: where the last scan read]")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="DIR", help="Folder.  [default: output/reports]")
@handover_options
@common_options
def report(
    session: Session,
    aoi: str | None,
    alert_id: str | None,
    since: dt.datetime | None,
    until: dt.datetime | None,
    formats: str,
    language: str,
    case: str,
    author: str,
    organisation: str,
    mining: str | None,
    country: str | None,
    source: str | None,
    output: Path | None,
    handover: Handover,
) -> None:
    """Write a report on an area or an alert: one file with text, table, maps, images and charts.

    The HTML opens without a network, in any browser; it is always written.  The PDF holds the same; it needs
    pip install 'minewatch[pdf]' and the Pango library.  The custody log notes hash and size of each file, for whom (--for) and
    why (--purpose).

    Each alert is shown at its last normal look and at the look that confirmed it, as in its evidence; of one that is not
    confirmed, the latest look that shows it.  The images are read where the scan that wrote the table read them.
    --impact adds a section on vegetation, carbon, soil, silt, gold and mercury, as ranges, with formulas, sources and what was
    assumed, as minewatch impact computes them; without it a report says nothing of that.
    Exit code 3: images are missing that should be there; the report says why in their place.

    \b
    Example:
      minewatch report la-pampa --format html,pdf --lang es
      minewatch report --alert la-pampa-20240611-3fa9c1 -o hand-over --for "District court" --purpose "file 12/2024"
      minewatch report la-pampa --case 2024-117 --author "Ana Quispe" --organisation "Fiscalía Ambiental"
      minewatch report la-pampa --impact alluvial --country PE --lang es
      minewatch report la-pampa --source /archive/sentinel-2/catalog.json
    """
    from minewatch.alerts.rows import read_rows
    from minewatch.areas.area_files import list_aois
    from minewatch.products.report.report_facts import ReportRequest
    from minewatch.products.report.write import write_report

    if bool(aoi) == bool(alert_id):
        raise click.UsageError("give either an area or --alert ID")
    if alert_id and (since or until):
        raise click.UsageError("--since and --until choose among an area's alerts; leave them out with --alert")
    if country and not mining:
        raise click.UsageError("--country is for the figures of --impact; give --impact, too")
    if since and until and until < since:
        raise click.UsageError(f"--until {until:%Y-%m-%d} is before --since {since:%Y-%m-%d}")
    if aoi and aoi not in list_aois(session.workspace) and any(r["alert_id"] == aoi for r in read_rows(session.workspace.alerts)):
        raise click.UsageError(f"{aoi} is an alert: write minewatch report --alert {aoi}")
    request = ReportRequest(
        aoi=aoi or "",
        alert_id=alert_id or "",
        since=since and since.date(),
        until=until and until.date(),
        language=language,
        formats=read_names("--format", formats, FORMATS),
        source=source,
        case=read_line("--case", case),
        author=read_line("--author", author),
        organisation=read_line("--organisation", organisation),
        impact=_read_impact(session, mining, country) if mining else None,
    )
    with reporting() as reporter:
        written = write_report(session.workspace, request, output, reporter, handover)
    facts = {"files": [str(path) for path in written.paths], "alerts": written.alerts, "notes": written.notes}
    facts["missing_images"] = written.missing_images
    print_result(session, facts, written.paths, written.notes)
    if written.missing_images:
        complain(written.missing_images)
    if written.fault:
        complain(written.fault)
        sys.exit(1)
    if written.missing_images:
        sys.exit(3)


def _read_impact(session: Session, mining: str, country: str | None) -> ImpactTable:
    from minewatch.products.impact.assess import check_assumptions
    from minewatch.settings.document import read_impact

    return check_assumptions(read_impact(session.workspace), mining, country)
