"""``minewatch alerts corroborate`` and ``unseen``: what other systems saw, and what they report where nothing could be seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from minewatch.alerts.corroboration.options import CODINGS, DAYS, DISTANCE_M, FARTHEST_M
from minewatch.cli.alert_filters import check_area
from minewatch.cli.output import Session, common_options, echo, print_json, say
from minewatch.cli.values import Number


@click.command("corroborate")
@click.argument("files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path))
@click.option(
    "--name",
    metavar="NAME",
    help="The other system, as the table will name it: RADD …  [default, of rasters alone: what their coding says]",
)
@click.option(
    "--coding",
    type=click.Choice(CODINGS),
    help="How the numbers of rasters are written, where their names do not tell.",
)
@click.option(
    "--confidence",
    type=click.Choice(["high"]),
    help="Count only what the other system is sure of: its levels high and highest.",
)
@click.option(
    "--distance",
    default=DISTANCE_M,
    show_default=True,
    type=Number(0, FARTHEST_M),
    metavar="M",
    help="Largest distance from an alert that counts as agreement, metres.",
)
@click.option(
    "--days",
    default=DAYS,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Largest number of days before or after the alert that counts as agreement; undated records always agree.",
)
@click.option("--layer", metavar="NAME", help="Which layer of the file, where it has several.")
@click.option("--date-column", metavar="NAME", help="Column with the dates, if its name does not show it.")
@click.option("--take-back", is_flag=True, help="Remove everything that was added under this name.")
@common_options
def corroborate(session: Session, files: tuple[Path, ...], name: str | None, take_back: bool, **choice: Any) -> None:
    """Mark where another system's alerts agree: who, when, how far away, and how many days before ours.

    FILE is a CSV with latitude and longitude (as Global Forest Watch exports GLAD, RADD and integrated alerts), or points or
    polygons as GeoJSON, GeoPackage or shapefile (RADD, DIST-ALERT, Amazon Mining Watch), or GeoTIFFs as the systems give them
    out: status and date of DIST-ALERT, Global Forest Watch's tiles, RADD's and GLAD's own, several at once or a folder of them.
    Of rasters only what lies near the areas is read.  What is near is kept, so that later alerts show it too; adding the same
    file again changes nothing.

    \b
    Example:
      minewatch alerts corroborate gfw-alerts.csv --name GFW
      minewatch alerts corroborate T18LYP_VEG-DIST-STATUS.tif T18LYP_VEG-DIST-DATE.tif
      minewatch alerts corroborate tiles/ --coding gfw --name RADD --confidence high
      minewatch alerts corroborate mines-2024.geojson --name "Amazon Mining Watch" --distance 250
      minewatch alerts corroborate --name GFW --take-back
    """
    from minewatch.alerts.corroboration.corroboration import corroborate_alerts, remove_source
    from minewatch.alerts.corroboration.raster_files import are_rasters
    from minewatch.alerts.corroboration.sighting import HIGH, UNSTATED
    from minewatch.alerts.corroboration.unseen import find_reported_places
    from minewatch.alerts.csv_file import publish_csv
    from minewatch.cli.listing import describe_corroboration, describe_source_file, describe_unseen, print_corroboration

    if bool(files) == take_back:
        raise click.UsageError("give either FILE or --take-back")
    if name is None and not (files and are_rasters(files)):
        raise click.UsageError("give the other system's name with --name; only rasters tell it themselves")
    workspace = session.workspace
    if not files:
        count = remove_source(workspace, name or "")
        publish_csv(workspace)
        echo(json.dumps({"name": name, "files": count}) if session.as_json else f"{name}: {count} taken back")
        return
    options = {"distance_m": choice["distance"], "days": choice["days"], "coding": choice["coding"], "layer": choice["layer"]}
    least = HIGH if choice["confidence"] else UNSTATED
    result = corroborate_alerts(workspace, files, name, date_column=choice["date_column"], least=least, **options)
    publish_csv(workspace)
    unseen_places = [place for place in find_reported_places(workspace)[0] if result.name in place.systems]
    for line in (*result.notes, *describe_source_file(result, files[0]), *describe_unseen(unseen_places)):
        say(line)
    if session.as_json:
        print_json(describe_corroboration(result) | {"unseen": len(unseen_places)})
    elif result.agreements:
        print_corroboration(result)


@click.command("unseen")
@click.option("--aoi", metavar="NAME", help="Only this area.")
@common_options
def unseen(session: Session, aoi: str | None) -> None:
    """List where other systems report change on ground that could not be seen here: these are no alerts of ours.

    For every system that was added with "alerts corroborate" and gives dates: ground of the areas where it reports change
    between the beginning of monitoring and the table's as-of date, and where by the change map there was no clear look since,
    never any data, too few looks to monitor, or no vegetation to lose.  Places as small as the smallest alert are listed; what
    is seen later leaves the list.

    \b
    Example:
      minewatch alerts unseen
      minewatch alerts unseen --aoi la-pampa --json
    """
    from minewatch.alerts.corroboration.record import read_external_sources
    from minewatch.alerts.corroboration.unseen import find_reported_places
    from minewatch.alerts.database import require_table
    from minewatch.cli.listing import describe_places, print_places

    if aoi is not None:
        check_area(session.workspace, aoi)
    require_table(session.workspace.alerts)
    places, notes = find_reported_places(session.workspace, aoi)
    if not read_external_sources(session.workspace.external_sources).all:
        notes.append("no other system was added yet; add one with: minewatch alerts corroborate FILE")
    elif not places:
        notes.append("no other system that was added reports change on ground that could not be seen")
    for note in notes:
        say(note)
    if session.as_json:
        print_json(describe_places(places))
    elif places:
        print_places(places)
