"""Registers areas: from outlines to their files in the workspace, everything checked first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from shapely.geometry.base import BaseGeometry

from minewatch.areas.aoi import Aoi, GridHint, bbox_geometry, check_geometry, check_size, make_aoi, write_aoi
from minewatch.areas.area_files import aoi_path, refuse_taken
from minewatch.areas.grid import make_grid, refuse_empty
from minewatch.areas.outline_file import Outline, read_outlines
from minewatch.core.units import add_years
from minewatch.core.workspace import Workspace, find_workspace
from minewatch.settings.pipeline import read_pipeline


def add_area(
    workspace: Workspace | Path | str,
    name: str,
    outline: Path | str | BaseGeometry | Sequence[float] | Outline,
    *,
    monitor_from: dt.date | None = None,
    pipeline: str | None = None,
    grid: tuple[int, float, float] | None = None,
    large: bool = False,
) -> Aoi:
    """Register an area of a workspace under a name, and return it.

    ``outline`` is a file with one polygon (GeoJSON, KML, KMZ, shapefile, also zipped, GeoPackage), a polygon in longitude and
    latitude, or a rectangle (west, south, east, north; west > east across 180°).  ``monitor_from`` is the first date that may
    raise an alert (a year ago), ``pipeline`` the one that scans of the area use (default), ``grid`` a pixel lattice in place of
    the UTM zone's: the EPSG code of its CRS, and x and y of any corner of a 20 m pixel.  Properties of the same names in a
    GeoJSON file count where an argument is not given.  ``large`` allows more than 20 000 km².

    Raises AoiError where the outline or the name cannot be used, PipelineError where there is no such pipeline.
    """
    return add_areas(
        workspace,
        {name: read_outline(outline)},
        monitor_from=monitor_from,
        pipeline=pipeline,
        find_grid=lambda _: grid,
        large=large,
    )[0]


def add_areas(
    workspace: Workspace | Path | str,
    outlines: Mapping[str, Outline],
    *,
    monitor_from: dt.date | None = None,
    pipeline: str | None = None,
    find_grid: Callable[[BaseGeometry], tuple[int, float, float] | None] = lambda _: None,
    large: bool = False,
) -> list[Aoi]:
    """Register areas by name, all or none, and return them; arguments and errors as in :func:`add_area`.

    ``find_grid`` gives the pixel lattice for an outline, None for the UTM zone's.
    """
    workspace = find_workspace(workspace)
    a_year_ago = {"monitor_from": add_years(dt.datetime.now(dt.UTC).date(), -1).isoformat()}
    areas = []
    for name, outline in outlines.items():
        area = make_aoi(name, outline.geometry, a_year_ago | dict(outline.properties), outline.repairs, f"area {name}")
        grid = find_grid(outline.geometry)
        area = replace(
            area,
            monitor_from=monitor_from or area.monitor_from,
            pipeline=pipeline or area.pipeline,
            grid=GridHint(grid[0], (grid[1], grid[2])) if grid else area.grid,
            large=large or area.large,
        )
        read_pipeline(workspace, area.pipeline)
        refuse_empty(area, make_grid(check_size(area)))
        refuse_taken(workspace, name)
        areas.append(area)
    for number, area in enumerate(areas):
        try:
            write_aoi(workspace, area)
        except BaseException:
            for written in areas[:number]:
                aoi_path(workspace, written.name).unlink(missing_ok=True)
            raise
    return areas


def read_outline(outline: Path | str | BaseGeometry | Sequence[float] | Outline) -> Outline:
    """Return an outline with the properties of its file, and what was done to it; raises AoiError."""
    if isinstance(outline, Outline):
        return outline
    if isinstance(outline, Path | str):
        file = read_outlines(Path(outline))
        only = file.single()
        return replace(only, repairs=(*file.notes, *only.repairs))
    if isinstance(outline, BaseGeometry):
        geometry, repairs = check_geometry(outline, "outline")
        return Outline(geometry, {}, repairs)
    return Outline(bbox_geometry(outline), {})
