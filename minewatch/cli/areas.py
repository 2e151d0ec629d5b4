"""``minewatch aoi``: the areas that are watched."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import click

from minewatch.areas.aoi import Aoi, aoi_path, list_aois, read_aoi, remove_aoi
from minewatch.areas.grid import make_grid
from minewatch.areas.register import add_area, read_outline
from minewatch.cli.output import DAY, Session, common_options, print_json, print_table, say
from minewatch.settings.document import list_providers
from minewatch.sources.search import find_grid_hint
from minewatch.sources.stac import open_source


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
@click.option("--monitor-from", type=DAY, help="First date that may raise an alert.  [default: a year ago]")
@click.option("--grid-from", metavar="SOURCE", help="Use the pixel grid of this source in place of the UTM zone's.")
@click.option("--pipeline", help=f"Pipeline that scans of this area use.  [default: {Aoi.pipeline}]")
@click.option("--large", is_flag=True, help="Allow an area above 20 000 km².")
@common_options
def add(
    session: Session,
    name: str,
    file: Path | None,
    bbox: tuple[float, ...] | None,
    monitor_from: dt.datetime | None,
    grid_from: str | None,
    pipeline: str | None,
    large: bool,
) -> None:
    """Register the area NAME from a GeoJSON FILE (one polygon, lon/lat) or a rectangle.

    The file's properties monitor_from, pipeline and grid are used unless an option overrides them.

    \b
    Example:
      minewatch aoi add la-pampa la-pampa.geojson --monitor-from 2024-01-01
      minewatch aoi add sarare --bbox -59.5,-14.9,-59.3,-14.7
    """
    if (file is None) == (bbox is None):
        raise click.UsageError("give either FILE or --bbox W,S,E,N")
    outline = file or bbox or ()
    grid = None
    if grid_from:
        hint = find_grid_hint(open_source(grid_from, list_providers(session.workspace)), read_outline(outline)[0])
        grid = (hint.epsg, *hint.origin)
    since = monitor_from and monitor_from.date()
    area = add_area(session.workspace, name, outline, monitor_from=since, pipeline=pipeline, grid=grid, large=large)
    path = aoi_path(session.workspace, name)
    for repair in area.repairs:
        say(f"{name}: {repair}")
    if session.as_json:
        print_json(_describe(area) | {"file": str(path)})
    else:
        say(f"area {name}: {area.area_km2:,.2f} km², monitored from {area.monitor_from}; written to {path}")


@aoi.command("list")
@common_options
def list_command(session: Session) -> None:
    """List the areas of the workspace.

    \b
    Example:
      minewatch aoi list --json
    """
    areas = [_describe(read_aoi(session.workspace, name)) for name in list_aois(session.workspace)]
    if session.as_json:
        print_json(areas)
    else:
        print_table(
            ("area", "km²", "monitored from", "pipeline", "grid"),
            [(a["aoi"], a["area_km2"], a["monitor_from"], a["pipeline"], a["grid"]) for a in areas],
        )


@aoi.command("show")
@click.argument("name")
@common_options
def show(session: Session, name: str) -> None:
    """Show one area: size, location, grid and what its file says.

    \b
    Example:
      minewatch aoi show la-pampa
    """
    area = read_aoi(session.workspace, name)
    facts = _describe(area) | {"properties": dict(area.properties)}
    if session.as_json:
        print_json(facts)
    else:
        print_table(
            ("", ""), [(key, value) for key, value in facts.items() if key != "properties"] + list(area.properties.items())
        )


@aoi.command("remove")
@click.argument("name")
@common_options
def remove(session: Session, name: str) -> None:
    """Remove an area's file.  Its archive and its alerts stay.

    \b
    Example:
      minewatch aoi remove la-pampa
    """
    path = remove_aoi(session.workspace, name)
    if session.as_json:
        print_json({"removed": name, "file": str(path)})
    else:
        say(f"removed {path}; its archive and alerts stay")


def _describe(area: Aoi) -> dict[str, Any]:
    grid = make_grid(area)
    west, south, east, north = area.bounds
    return {
        "aoi": area.name,
        "area_km2": round(area.area_km2, 3),
        "monitor_from": area.monitor_from.isoformat(),
        "pipeline": area.pipeline,
        "bbox": [round(value, 6) for value in (west, south, east, north)],
        "grid": f"EPSG:{grid.epsg}, {grid.shape[1]} x {grid.shape[0]} px",
    }
