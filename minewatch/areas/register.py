"""Registers areas: from outlines to their files in the workspace, everything checked first."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shapely.geometry.base import BaseGeometry

from minewatch.areas.aoi import (
    Aoi,
    GridHint,
    bbox_geometry,
    check_geometry,
    check_size,
    make_aoi,
    read_aoi,
    render_aoi,
    write_aoi,
)
from minewatch.areas.area_files import FORMER, aoi_path, refuse_taken
from minewatch.areas.area_source import check_area_source, set_source
from minewatch.areas.grid import make_grid, refuse_empty
from minewatch.areas.outline_file import Outline, read_outlines
from minewatch.core.errors import AoiError
from minewatch.core.files import publish_bytes
from minewatch.core.units import add_years
from minewatch.core.workspace import Workspace, find_workspace
from minewatch.settings.document import list_providers
from minewatch.settings.pipeline import read_pipeline


def add_area(
    workspace: Workspace | Path | str,
    name: str,
    outline: Path | str | BaseGeometry | Sequence[float] | Outline,
    *,
    monitor_from: dt.date | None = None,
    pipeline: str | None = None,
    source: str | None = None,
    grid: tuple[int, float, float] | None = None,
    large: bool = False,
    budget: int | None = None,
) -> Aoi:
    """Register an area of a workspace under a name, and return it.

    ``outline`` is a file with one polygon (GeoJSON, KML, KMZ, shapefile, also zipped, GeoPackage), a polygon in longitude and
    latitude, or a rectangle (west, south, east, north; west > east across 180°).  ``monitor_from`` is the first date that may
    raise an alert (a year ago), ``pipeline`` the one that scans of the area use (default), ``source`` a provider or the path of a
    catalogue in place of the workspace's source, ``grid`` a pixel lattice in place of the UTM zone's: the EPSG code of its CRS,
    and x and y of any corner of a 20 m pixel.  Properties of the same names in a GeoJSON file count where an argument is not
    given.  ``large`` allows more than 20 000 km²; ``budget`` is how many bytes its scans may read for the first baseline and the
    first year of monitoring.

    Raises AoiError where the outline or the name cannot be used, PipelineError where there is no such pipeline.
    """
    return add_areas(
        workspace,
        {name: read_outline(outline)},
        monitor_from=monitor_from,
        pipeline=pipeline,
        source=source,
        find_grid=lambda _: grid,
        large=large,
        budget=budget,
    )[0]


def add_areas(
    workspace: Workspace | Path | str,
    outlines: Mapping[str, Outline],
    *,
    monitor_from: dt.date | None = None,
    pipeline: str | None = None,
    source: str | None = None,
    find_grid: Callable[[BaseGeometry], tuple[int, float, float] | None] = lambda _: None,
    large: bool = False,
    budget: int | None = None,
) -> list[Aoi]:
    """Register areas by name, all or none, and return them; arguments and errors as in :func:`add_area`.

    ``find_grid`` gives the pixel lattice for an outline, None for the UTM zone's.
    """
    workspace = find_workspace(workspace)
    a_year_ago = {"monitor_from": add_years(dt.datetime.now(dt.UTC).date(), -1).isoformat()}
    changes = AreaChoices(monitor_from, pipeline, source, large, budget)
    areas = []
    for name, outline in outlines.items():
        area = make_aoi(name, outline.geometry, a_year_ago | dict(outline.properties), outline.repairs, f"area {name}")
        area = changes.apply(workspace, area)
        if grid := find_grid(outline.geometry):
            area = replace(area, grid=GridHint(grid[0], (grid[1], grid[2])))
        _check_area(workspace, area)
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


@dataclass(frozen=True)
class AreaChoices:
    """What may be chosen for an area apart from its outline; None leaves it as it is."""

    monitor_from: dt.date | None = None
    """First date that may raise an alert."""

    pipeline: str | None = None
    """Name of the pipeline of its scans."""

    source: str | None = None
    """Source of its scenes; '' = the workspace's."""

    large: bool = False
    """True to allow an area above LARGEST_KM2."""

    budget: int | None = None
    """Bytes that its scans may read; 0 = no limit."""

    def apply(self, workspace: Workspace, area: Aoi) -> Aoi:
        """Return an area with these choices; raises AoiError where there is no such source."""
        properties = area.properties
        if self.source is not None:
            named = self.source and check_area_source(workspace, self.source)
            properties = set_source(properties, named, list_providers(workspace))
        return replace(
            area,
            monitor_from=self.monitor_from or area.monitor_from,
            pipeline=self.pipeline or area.pipeline,
            large=self.large or area.large,
            budget=area.budget if self.budget is None else self.budget or None,
            properties=properties,
        )


def _check_area(workspace: Workspace, area: Aoi) -> None:
    """Raise MinewatchError where an area cannot be scanned."""
    read_pipeline(workspace, area.pipeline)
    refuse_empty(area, make_grid(check_size(area)))


def edit_area(workspace: Workspace, name: str, choices: AreaChoices, outline: Outline | None = None) -> tuple[Aoi, Aoi]:
    """Return an area as it is and as it would be, checked; nothing is written.  Raises MinewatchError."""
    before = read_aoi(workspace, name)
    after = choices.apply(workspace, before)
    if outline is not None:
        after = replace(after, geometry=outline.geometry, repairs=outline.repairs)
    _check_area(workspace, after)
    return before, after


def rewrite_area(workspace: Workspace, area: Aoi) -> Path:
    """Write an area over its file, and keep the file as it was in the folder FORMER; return where."""
    path = aoi_path(workspace, area.name)
    now = dt.datetime.now(dt.UTC)
    former = path.parent / FORMER / f"{area.name}-{now:%Y%m%dT%H%M%S%f}Z.geojson"
    try:
        publish_bytes(former, path.read_bytes())
    except OSError as error:
        raise AoiError(f"{path} cannot be read or kept: {error.strerror}; nothing was changed") from error
    publish_bytes(path, render_aoi(area))
    return former


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
