"""``minewatch aoi``: the areas that are watched."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minewatch.cli.complete import complete_area, complete_pipeline
from minewatch.cli.output import DAY, Session, common_options, print_json, print_table, say
from minewatch.core.text import count_of
from minewatch.core.workspace import DEFAULT_PIPELINE

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from minewatch.areas.aoi import Aoi
    from minewatch.areas.outline_file import Outline, OutlineFile


@click.group()
def aoi() -> None:
    """Register, list, show and remove areas of interest.

    \b
    Example:
      minewatch aoi add la-pampa la-pampa.geojson
      minewatch aoi list
    """


class BoundingBox(click.ParamType[tuple[float, ...]]):
    """Four numbers with commas."""

    name = "W,S,E,N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Parse west, south, east, north."""
        try:
            west, south, east, north = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not four numbers W,S,E,N", param, ctx)
        return west, south, east, north


@aoi.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--bbox", type=BoundingBox(), help="A rectangle in degrees in place of FILE: west,south,east,north; west > east across 180°."
)
@click.option("--name-from", "column", metavar="COLUMN", help="Make each feature of FILE an area, named from this column.")
@click.option("--merge", is_flag=True, help="Make all features of FILE one area.")
@click.option("--layer", help="Layer of FILE, where it has several (folders of a KML are layers).")
@click.option("--crs", metavar="EPSG:CODE", help="Coordinate reference system of FILE, where it does not say its own.")
@click.option("--monitor-from", type=DAY, help="First date that may raise an alert.  [default: a year ago]")
@click.option("--grid-from", metavar="SOURCE", help="Use the pixel grid of this source in place of the UTM zone's.")
@click.option(
    "--pipeline",
    help=f"Pipeline that scans of this area use.  [default: {DEFAULT_PIPELINE}]",
    shell_complete=complete_pipeline,
)
@click.option("--large", is_flag=True, help="Allow an area above 20 000 km².")
@common_options
def add(
    session: Session,
    name: str,
    file: Path | None,
    bbox: tuple[float, ...] | None,
    column: str | None,
    merge: bool,
    layer: str | None,
    crs: str | None,
    monitor_from: dt.datetime | None,
    grid_from: str | None,
    pipeline: str | None,
    large: bool,
) -> None:
    """Register the area NAME from a FILE with one polygon, or a rectangle.

    FILE is GeoJSON, KML, KMZ, a shapefile (also zipped, with its .prj), a GeoPackage or another map; what is not in longitude
    and latitude is reprojected.  A FILE of several features becomes one area with --merge, or an area of each with --name-from:
    they are called NAME-VALUE after a column, or VALUE alone where NAME is left out.  Either all are registered or none, and no
    area is overwritten.  Of a GeoJSON file the properties monitor_from, pipeline and grid are used unless an option overrides
    them.

    \b
    Example:
      minewatch aoi add la-pampa la-pampa.kml --monitor-from 2024-01-01
      minewatch aoi add sarare --bbox -59.5,-14.9,-59.3,-14.7
      minewatch aoi add reserves reserves.zip --merge
      minewatch aoi add parks.gpkg --name-from NAME
    """
    from minewatch.areas.area_files import aoi_path
    from minewatch.areas.outline_file import read_outlines
    from minewatch.areas.register import add_areas, read_outline

    if column and file is None and bbox is None:
        name, file = "", Path(name)
    if (file is None) == (bbox is None):
        raise click.UsageError("give either FILE or --bbox W,S,E,N")
    if bbox and (column or merge or layer or crs):
        raise click.UsageError("--name-from, --merge, --layer and --crs are for a FILE")
    if column and merge:
        raise click.UsageError("give either --name-from or --merge")
    outlines = _name_outlines(read_outlines(file, layer, crs), name, column, merge) if file else {name: read_outline(bbox or ())}
    areas = add_areas(
        session.workspace,
        outlines,
        monitor_from=monitor_from and monitor_from.date(),
        pipeline=pipeline,
        find_grid=_make_grid_finder(session, grid_from),
        large=large,
    )
    facts = [_describe(area) | {"file": str(aoi_path(session.workspace, area.name))} for area in areas]
    for area, fact in zip(areas, facts, strict=True):
        for repair in area.repairs:
            say(f"{area.name}: {repair}")
        if not session.as_json:
            say(f"area {area.name}: {area.area_km2:,.2f} km², monitored from {area.monitor_from}; written to {fact['file']}")
    if session.as_json:
        print_json(facts if column else facts[0])


def _name_outlines(found: OutlineFile, name: str, column: str | None, merge: bool) -> dict[str, Outline]:
    """Return the outlines of a file by the names of their areas, and say what was done."""
    from minewatch.areas.naming import name_outlines

    for note in found.notes:
        say(f"{found.path}: {note}")
    if column is None:
        return {name: found.merge() if merge else found.single()}
    outlines = name_outlines(found, column, name)
    say(f"{found.path}: {count_of(len(outlines), 'feature')}, each an area named from the column {column}")
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
    from minewatch.areas.area_files import list_aois

    areas = [_describe(read_aoi(session.workspace, name)) for name in list_aois(session.workspace)]
    if session.as_json:
        print_json(areas)
    else:
        print_table(
            ("area", "km²", "monitored from", "pipeline", "grid"),
            [(a["aoi"], a["area_km2"], a["monitor_from"], a["pipeline"], a["grid"]) for a in areas],
        )


@aoi.command("show")
@click.argument("name", shell_complete=complete_area)
@common_options
def show(session: Session, name: str) -> None:
    """Show one area: size, location, grid and what its file says.

    \b
    Example:
      minewatch aoi show la-pampa
    """
    from minewatch.areas.aoi import read_aoi

    area = read_aoi(session.workspace, name)
    facts = _describe(area) | {"properties": dict(area.properties)}
    if session.as_json:
        print_json(facts)
    else:
        print_table(
            ("", ""), [(key, value) for key, value in facts.items() if key != "properties"] + list(area.properties.items())
        )


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
