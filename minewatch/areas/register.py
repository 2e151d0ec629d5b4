"""Registers an area: from an outline to its file in the workspace, everything checked first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from shapely.geometry.base import BaseGeometry

from minewatch.areas.aoi import Aoi, GridHint, bbox_geometry, check_geometry, check_size, make_aoi, read_geometry, write_aoi
from minewatch.areas.grid import make_grid
from minewatch.core.units import add_years
from minewatch.core.workspace import Workspace, find_workspace
from minewatch.settings.pipeline import read_pipeline


def add_area(
    workspace: Workspace | Path | str,
    name: str,
    outline: Path | str | BaseGeometry | Sequence[float],
    *,
    monitor_from: dt.date | None = None,
    pipeline: str | None = None,
    grid: tuple[int, float, float] | None = None,
    large: bool = False,
) -> Aoi:
    """Register an area of a workspace under a name, and return it.

    ``outline`` is a GeoJSON file, a polygon in longitude and latitude, or a rectangle (west, south, east, north; west > east
    across 180°).  ``monitor_from`` is the first date that may raise an alert (a year ago), ``pipeline`` the one that scans of
    the area use (default), ``grid`` a pixel lattice in place of the UTM zone's: the EPSG code of its CRS, and x and y of any
    corner of a 20 m pixel.  A file's properties of the same names count where an argument is not given.  ``large`` allows more
    than 20 000 km².

    Raises AoiError where the outline or the name cannot be used, PipelineError where there is no such pipeline.
    """
    workspace = find_workspace(workspace)
    geometry, properties, repairs = read_outline(outline)
    a_year_ago = add_years(dt.datetime.now(dt.UTC).date(), -1)
    area = make_aoi(name, geometry, {"monitor_from": a_year_ago.isoformat()} | properties, repairs, str(outline))
    area = replace(
        area,
        monitor_from=monitor_from or area.monitor_from,
        pipeline=pipeline or area.pipeline,
        grid=GridHint(grid[0], (grid[1], grid[2])) if grid else area.grid,
        large=large or area.large,
    )
    read_pipeline(workspace, area.pipeline)
    make_grid(check_size(area))
    write_aoi(workspace, area)
    return area


def read_outline(
    outline: Path | str | BaseGeometry | Sequence[float],
) -> tuple[BaseGeometry, dict[str, Any], tuple[str, ...]]:
    """Return the geometry of an outline, the properties of its file, and what was repaired; raises AoiError."""
    if isinstance(outline, Path | str):
        return read_geometry(Path(outline))
    if isinstance(outline, BaseGeometry):
        geometry, repairs = check_geometry(outline, "outline")
        return geometry, {}, repairs
    return bbox_geometry(outline), {}, ()
