"""``minewatch aoi``: the areas that are watched."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from minewatch.cli.complete import complete_area, complete_pipeline
from minewatch.cli.output import Session, common_options, echo, print_json, print_table, say
from minewatch.cli.values import BoundingBox, Budget, DataSize, Day
from minewatch.core.text import count_of
from minewatch.core.traffic import format_exact
from minewatch.core.workspace import DEFAULT_PIPELINE

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from minewatch.areas.aoi import Aoi
    from minewatch.areas.location import Location
    from minewatch.areas.outline_file import Outline, OutlineFile


F = TypeVar("F", bound=Callable[..., Any])

PAID_FOR = "the first baseline and the first year of monitoring"
"""What the budget of an area is for."""

BUDGET_HELP = f"Read no more than this, as 1GB, for {PAID_FOR}."
SOURCE_HELP = "Where scans look for its scenes: a name that minewatch source list shows, or the path of a catalogue."


@click.group()
def aoi() -> None:
    """Register, list, show, change and remove areas of interest.

    \b
    Example:
      minewatch aoi add la-pampa la-pampa.geojson
      minewatch aoi list
      minewatch aoi edit la-pampa --monitor-from 2024-06-01
    """


def outline_options(command: F) -> F:
    """Add the options for an outline, from a FILE or as a rectangle, to a command."""
    for option in (
        click.option("--crs", metavar="EPSG:CODE", help="Coordinate reference system of FILE, where it does not say its own."),
        click.option("--layer", help="Layer of FILE, where it has several (folders of a KML are layers)."),
        click.option("--merge", is_flag=True, help="Make all features of FILE one area."),
        click.option(
            "--bbox",
            type=BoundingBox(),
            help="A rectangle in degrees in place of FILE: west,south,east,north; west > east across 180°.",
        ),
    ):
        command = option(command)
    return command


@aoi.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--name-from", "column", metavar="COLUMN", help="Make each feature of FILE an area, named from this column.")
@click.option("--each", is_flag=True, help="Make each feature of FILE an area: NAME-1, NAME-2 ...")
@outline_options
@click.option("--monitor-from", type=Day(), help="First date that may raise an alert.  [default: a year ago]")
@click.option("--grid-from", metavar="SOURCE", help="Use the pixel grid of this source in place of the UTM zone's.")
@click.option(
    "--pipeline",
    help=f"Pipeline that scans of this area use.  [default: {DEFAULT_PIPELINE}]",
    shell_complete=complete_pipeline,
)
@click.option("--source", metavar="NAME|PATH", help=f"{SOURCE_HELP}  [default: the workspace's]")
@click.option("--budget", type=DataSize(), help=BUDGET_HELP)
@click.option("--large", is_flag=True, help="Allow an area above 20 000 km².")
@common_options
def add(
    session: Session,
    name: str,
    file: Path | None,
    bbox: tuple[float, ...] | None,
    column: str | None,
    each: bool,
    merge: bool,
    layer: str | None,
    crs: str | None,
    monitor_from: dt.datetime | None,
    grid_from: str | None,
    pipeline: str | None,
    source: str | None,
    budget: int | None,
    large: bool,
) -> None:
    """Register the area NAME from a FILE with one polygon, or a rectangle.

    FILE is GeoJSON, KML, KMZ, a shapefile (also zipped, with its .prj), a GeoPackage or another map; what is not in longitude
    and latitude is reprojected.  A FILE of several features becomes one area with --merge, or an area of each with --name-from:
    they are called NAME-VALUE after a column, or VALUE alone where NAME is left out; --each numbers them.  Either all are
    registered or none, and no area is overwritten.  Of a GeoJSON file the properties monitor_from, pipeline and grid are used
    unless an option overrides them, and so is source where it names a source that the settings know.

    Prints where each area lies, and what is implausible about it: at sea, a few metres wide, a date to come.

    \b
    Example:
      minewatch aoi add la-pampa la-pampa.kml --monitor-from 2024-01-01
      minewatch aoi add sarare --bbox -59.5,-14.9,-59.3,-14.7
      minewatch aoi add reserves reserves.zip --merge
      minewatch aoi add parks.gpkg --name-from NAME
      minewatch aoi add sarare --bbox -59.5,-14.9,-59.3,-14.7 --source planetary-computer
    """
    from minewatch.areas.area_files import aoi_path
    from minewatch.areas.outline_file import read_outlines
    from minewatch.areas.register import add_areas, read_outline

    if column and file is None and bbox is None:
        name, file = "", Path(name)
    if (file is None) == (bbox is None):
        raise click.UsageError("give either FILE or --bbox W,S,E,N")
    if bbox and (column or each or merge or layer or crs):
        raise click.UsageError("--name-from, --each, --merge, --layer and --crs are for a FILE")
    if bool(column) + each + merge > 1:
        raise click.UsageError("give only one of --name-from, --each and --merge")
    if file:
        outlines = _name_outlines(read_outlines(file, layer, crs), name, column, each, merge)
    else:
        outlines = {name: read_outline(bbox or ())}
    areas = add_areas(
        session.workspace,
        outlines,
        monitor_from=monitor_from and monitor_from.date(),
        pipeline=pipeline,
        source=source and _locate(session, source),
        find_grid=_make_grid_finder(session, grid_from),
        large=large,
        budget=budget,
    )
    facts = []
    for area in areas:
        path = aoi_path(session.workspace, area.name)
        facts.append(_describe(area) | _present(session, area, f"written to {path}") | {"file": str(path)})
    if session.as_json:
        print_json(facts if column or each else facts[0])


def _present(session: Session, area: Aoi, written: str) -> dict[str, Any]:
    """Say where an area lies, once it was written somewhere, and what is implausible about it; return the same as data."""
    from minewatch.areas.doubts import list_doubts
    from minewatch.areas.location import locate_area
    from minewatch.settings.pipeline import read_pipeline

    where, today = locate_area(area), dt.datetime.now(dt.UTC).date()
    doubts = list_doubts(area, where, read_pipeline(session.workspace, area.pipeline), today)
    for repair in area.repairs:
        say(f"{area.name}: {repair}")
    if written and not session.as_json:
        say(f"area {area.name}: {area.area_km2:,.2f} km², monitored from {area.monitor_from}; {written}")
        say(f"  {where.describe()}")
    for doubt in doubts:
        say(f"{area.name}: check this: {doubt}")
    return _describe_location(where) | {"doubts": doubts}


def _locate(session: Session, source: str) -> str:
    """Return a source as an area's file has it: a path is given from where the command runs."""
    from minewatch.areas.area_source import check_area_source
    from minewatch.settings.document import list_providers

    is_path = source not in list_providers(session.workspace) and Path(source).exists()
    return check_area_source(session.workspace, str(Path(source).resolve()) if is_path else source)


def _name_outlines(found: OutlineFile, name: str, column: str | None, each: bool, merge: bool) -> dict[str, Outline]:
    """Return the outlines of a file by the names of their areas, and say what was done."""
    from minewatch.areas.naming import name_outlines

    for note in found.notes:
        say(f"{found.path}: {note}")
    if column is None and not each:
        return {name: found.merge() if merge else found.single()}
    outlines = name_outlines(found, column, name)
    how = f"named from the column {column}" if column else "numbered"
    say(f"{found.path}: {count_of(len(outlines), 'feature')}, each an area {how}")
    return outlines


def _make_grid_finder(session: Session, source: str | None) -> Callable[[BaseGeometry], tuple[int, float, float] | None]:
    """Return what finds the pixel grid of a source around an outline; without a source it finds none."""
    from minewatch.settings.document import list_providers
    from minewatch.sources.search import find_grid_hint
    from minewatch.sources.stac import open_source

    if source is None:
        return lambda _: None
    opened = open_source(source, list_providers(session.workspace))

    def find(outline: BaseGeometry) -> tuple[int, float, float]:
        hint = find_grid_hint(opened, outline)
        return (hint.epsg, *hint.origin)

    return find


@aoi.command("list")
@common_options
def list_command(session: Session) -> None:
    """List the areas of the workspace.

    \b
    Example:
      minewatch aoi list --json
    """
    from minewatch.areas.aoi import read_aoi
    from minewatch.areas.area_files import explain_no_area, list_aois

    areas = [_describe(read_aoi(session.workspace, name)) for name in list_aois(session.workspace)]
    if session.as_json:
        print_json(areas)
        return
    rows = [(a["aoi"], a["area_km2"], a["monitor_from"], a["pipeline"], a["grid"]) for a in areas]
    columns = ("area", "km²", "monitored from", "pipeline", "grid")
    print_table(columns, rows, spare=("grid",), none=explain_no_area(session.workspace))


@aoi.command("show")
@click.argument("name", shell_complete=complete_area)
@click.option("--image", "is_drawn", is_flag=True, help="Draw a map: outline, scale bar, north, graticule, latest clear look.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Of the map.  [default: output/images/NAME-map.png]"
)
@common_options
def show(session: Session, name: str, is_drawn: bool, output: Path | None) -> None:
    """Show one area: where it lies, its size, its grid and source, and what its file says.

    The map shows the latest clear look of the area's archive, asks no source, and is drawn without a look where there is none.

    \b
    Example:
      minewatch aoi show la-pampa
      minewatch aoi show la-pampa --image
    """
    from minewatch.areas.aoi import read_aoi
    from minewatch.areas.location import locate_area

    if output is not None and not is_drawn:
        raise click.UsageError("-o is for the map: add --image")
    area = read_aoi(session.workspace, name)
    where = locate_area(area)
    facts = _describe(area) | {"source": _find_own_source(session, area), "budget": area.budget, "large": area.large}
    drawn = _draw(session, area, output) if is_drawn else {}
    if session.as_json:
        print_json(facts | _describe_location(where) | {"properties": dict(area.properties)} | drawn)
        return
    echo(where.describe())
    own, large = facts.pop("source"), facts.pop("large")
    budget = "none: every look is read" if area.budget is None else f"{format_exact(area.budget)} for {PAID_FOR}"
    stated = {"scenes from": own or "the workspace's source", "budget": budget} | ({"large": "allowed"} if large else {})
    said = {key: value for key, value in area.properties.items() if key != "source" or not own}
    rows = facts | stated | drawn | said
    print_table(("", ""), [(key, value) for key, value in rows.items() if value is not None], wrap=True)


def _find_own_source(session: Session, area: Aoi) -> str | None:
    """Return the source that an area's file names; None where it names none, which most tell without the settings."""
    if "source" not in area.properties:
        return None
    from minewatch.areas.area_source import find_own_source

    return find_own_source(session.workspace, area) or None


def _draw(session: Session, area: Aoi, output: Path | None) -> dict[str, Any]:
    """Draw the map of an area; return its file and what it shows."""
    from minewatch.products.images.area_map import draw_area_map

    path = output or session.workspace.images / f"{area.name}-map.png"
    look = draw_area_map(session.workspace, area, path).look
    return {"image": str(path), "image_date": f"{look.time:%Y-%m-%d}" if look else None}


@aoi.command("edit")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@outline_options
@click.option("--monitor-from", type=Day(), help="Another first date that may raise an alert.")
@click.option("--pipeline", help="Another pipeline for its scans.")
@click.option("--source", metavar="NAME|PATH|none", help=f"{SOURCE_HELP}  none: the workspace's.")
@click.option("--budget", type=Budget(), help=f"{BUDGET_HELP}  none: without a limit.")
@click.option("--large", is_flag=True, help="Allow an area above 20 000 km².")
@click.option("--dry-run", is_flag=True, help="Say what it means, change nothing.")
@common_options
def edit(
    session: Session,
    name: str,
    file: Path | None,
    bbox: tuple[float, ...] | None,
    merge: bool,
    layer: str | None,
    crs: str | None,
    monitor_from: dt.datetime | None,
    pipeline: str | None,
    source: str | None,
    budget: int | None,
    large: bool,
    dry_run: bool,
) -> None:
    """Change the outline, first date, pipeline, source or budget of an area; first says what that means for archive and alerts.

    The next scan gives what a first scan with the new settings would.  The file as it was is kept in aois/former.

    \b
    Example:
      minewatch aoi edit la-pampa larger.geojson --dry-run
      minewatch aoi edit la-pampa --monitor-from 2024-06-01
      minewatch aoi edit la-pampa --pipeline evergreen --source planetary-computer
      minewatch aoi edit la-pampa --budget 1GB
    """
    from minewatch.areas.outline_file import read_outlines
    from minewatch.areas.register import AreaChoices, edit_area, read_outline, rewrite_area
    from minewatch.operations.area_edit import explain_edit

    if file and bbox:
        raise click.UsageError("give either FILE or --bbox W,S,E,N")
    if file is None and (merge or layer or crs):
        raise click.UsageError("--merge, --layer and --crs are for a FILE")
    named = "" if source == "none" else source and _locate(session, source)
    choices = AreaChoices(monitor_from and monitor_from.date(), pipeline, named, large, budget)
    if file is None and bbox is None and choices == AreaChoices():
        raise click.UsageError("say what to change: FILE or --bbox, --monitor-from, --pipeline, --source, --budget")
    outline = None
    if file is not None:
        outline = _name_outlines(read_outlines(file, layer, crs), name, None, False, merge)[name]
    elif bbox is not None:
        outline = read_outline(bbox)
    before, after = edit_area(session.workspace, name, choices, outline)
    meanings = explain_edit(session.workspace, before, after)
    for line in meanings:
        say(f"{name}: {line}")
    facts: dict[str, Any] = {"changed": bool(meanings) and not dry_run, "meaning": meanings, "former": None}
    if meanings and dry_run:
        facts |= _present(session, after, "")
    if not meanings or dry_run:
        say(f"{name}: nothing was changed{'' if meanings else ': it is like that already'}")
    else:
        facts["former"] = str(rewrite_area(session.workspace, after))
        facts |= _present(session, after, f"as it was: {facts['former']}")
    if session.as_json:
        print_json(_describe(after if facts["changed"] else before) | facts)


@aoi.command("remove")
@click.argument("name", shell_complete=complete_area)
@common_options
def remove(session: Session, name: str) -> None:
    """Remove an area's file.  Its archive and its alerts stay.

    \b
    Example:
      minewatch aoi remove la-pampa
    """
    from minewatch.areas.area_files import remove_aoi

    path = remove_aoi(session.workspace, name)
    if session.as_json:
        print_json({"removed": name, "file": str(path)})
    else:
        say(f"removed {path}; its archive and alerts stay")


def _describe(area: Aoi) -> dict[str, Any]:
    from minewatch.areas.grid import plan_grid

    grid = plan_grid(area)
    west, south, east, north = area.bounds
    return {
        "aoi": area.name,
        "area_km2": round(area.area_km2, 3),
        "monitor_from": area.monitor_from.isoformat(),
        "pipeline": area.pipeline,
        "bbox": [round(value, 6) for value in (west, south, east, north)],
        "grid": f"EPSG:{grid.epsg}, {grid.shape[1]} x {grid.shape[0]} px",
    }


def _describe_location(where: Location) -> dict[str, Any]:
    least, most = where.overpasses
    return {
        "lat": round(where.lat, 6),
        "lon": round(where.lon, 6),
        "width_km": round(where.width_km, 3),
        "height_km": round(where.height_km, 3),
        "tiles": list(where.tiles),
        "overpasses_a_year": {"least": least, "most": most},
    }
