"""Reads points, lines and polygons from the formats of maps: GeoJSON, GeoPackage, shapefile and others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, GeometryError
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError

from minewatch.alerts.context.features import convert_box, move
from minewatch.alerts.context.region import shift
from minewatch.alerts.corroboration.columns import find_confidence_column, find_date_column, read_days, read_levels
from minewatch.alerts.corroboration.sighting import Reading, Region, Sightings, join_sightings
from minewatch.areas.antimeridian import Bounds
from minewatch.areas.grid import is_lonlat, lonlat_from, reproject
from minewatch.core.errors import ExternalAlertError, MapFileError
from minewatch.core.map_file import DRIVERS, check_map_file, list_map_layers

_FAULTS = (DataSourceError, DataLayerError, FeatureError, GeometryError)


def read_shapes(path: Path, regions: Sequence[Region], layer: str | None, date_column: str | None) -> Reading:
    """Read the features that lie in the regions.

    Raises ExternalAlertError where the file is no map, does not say where on Earth it lies, or says so wrongly.
    """
    try:
        check_map_file(path)
        chosen = _choose_layer(path, layer)
        info = pyogrio.read_info(path, layer=chosen, force_feature_count=True, force_total_bounds=True)
    except MapFileError as error:
        raise ExternalAlertError(str(error)) from error
    except _FAULTS as error:
        raise ExternalAlertError(f"{path} cannot be read as a map; it is damaged, or of an unknown format") from error
    if info["driver"] not in DRIVERS:
        raise ExternalAlertError(f"{path} is of a format that is not taken ({info['driver']}); save it as GeoPackage or GeoJSON")
    crs = _find_crs(info, path)
    names = [str(name) for name in info["fields"]]
    column = find_date_column(names, date_column, str(path))
    columns = column, find_confidence_column(names, column)
    reading = Reading({}, max(0, int(info["features"])), date_column=column)
    try:
        for region in regions:
            parts = list(_read_region(path, chosen, crs, region, columns))
            if parts:
                reading.sightings[region.aoi] = join_sightings(parts)
            elif is_lonlat(crs) and region.box[0] >= -90 and region.box[2] <= 90:
                west, south, east, north = region.box
                reading.swapped += len(_read_rows(path, chosen, (south, west, north, east), (None, None))[0])
    except _FAULTS as error:
        raise ExternalAlertError(f"{path} cannot be read to its end; it is damaged, save it anew") from error
    return reading


def _choose_layer(path: Path, layer: str | None) -> str:
    layers = [name for name, kind in list_map_layers(path, layer).items() if kind is not None]
    if layer is not None and layer not in layers:
        raise ExternalAlertError(f"{path} has no layer {layer!r} with shapes; it has {', '.join(layers) or 'none'}")
    if layer is None and len(layers) != 1:
        raise ExternalAlertError(
            f"{path} has several layers ({', '.join(layers)}); choose one with --layer"
            if layers
            else f"{path} has no layer with shapes"
        )
    return layer or layers[0]


def _find_crs(info: dict[str, Any], path: Path) -> CRS:
    if not info["crs"]:
        raise ExternalAlertError(
            f"{path} does not say in which coordinate reference system it is; add its .prj file, or save it anew with one"
        )
    try:
        crs = CRS.from_user_input(info["crs"])
        lonlat_from(crs)
    except (CRSError, ProjError) as error:
        raise ExternalAlertError(f"the coordinate reference system of {path} leads to no place on Earth") from error
    _check_bounds(info["total_bounds"], crs, path)
    return crs


def _check_bounds(bounds: Any, crs: CRS, path: Path) -> None:
    if not crs.is_geographic or bounds is None or not all(map(math.isfinite, bounds)):
        return
    west, south, east, north = map(float, bounds)
    if max(abs(south), abs(north)) > 90.001 or max(abs(west), abs(east)) > 541:
        exchanged = max(abs(west), abs(east)) <= 90 and max(abs(south), abs(north)) <= 360
        remedy = "latitude and longitude seem to be exchanged" if exchanged else "save it with the right reference system"
        reach = f"{west:g}, {south:g} to {east:g}, {north:g}"
        raise ExternalAlertError(f"{path} says that its coordinates are degrees, and they reach from {reach}; {remedy}")


def _read_region(path: Path, layer: str, crs: CRS, region: Region, columns: _Columns) -> Iterator[Sightings]:
    for turn in (-360, 0, 360):
        box = move(region.box, turn)
        if box[2] < -180 or box[0] > 180:
            continue
        blobs, dates, sure = _read_rows(path, layer, box if is_lonlat(crs) else convert_box(box, crs), columns)
        days, levels = read_days(dates, columns[0] or ""), read_levels(sure)
        shapes, owners = _to_parts(blobs, crs)
        west, south, east, north = shapely.bounds(shapes).T
        near = (west <= box[2]) & (east >= box[0]) & (south <= box[3]) & (north >= box[1])
        if near.any():
            yield Sightings(shift(shapes[near], -turn), days[owners[near]], levels[owners[near]])


_Columns = tuple[str | None, str | None]
"""With the date, and with the confidence; None where there is none."""


def _read_rows(path: Path, layer: str, box: Bounds | None, columns: _Columns) -> tuple[NDArray[np.object_], Any, Any]:
    """Return outlines, dates and confidences."""
    wanted = [column for column in columns if column]
    meta, _, blobs, data = pyogrio.raw.read(path, layer=layer, columns=wanted, bbox=box, force_2d=True, datetime_as_string=True)
    cells = dict(zip(meta["fields"], data, strict=True))
    dates, sure = (cells.get(column, np.full(len(blobs), None)) for column in columns)
    return blobs, dates, sure


def _to_parts(blobs: NDArray[np.object_], crs: CRS) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """Return single sound shapes in degrees, and the row of each."""
    shapes, owners = shapely.get_parts(shapely.from_wkb(blobs, on_invalid="ignore"), return_index=True)
    broken = ~shapely.is_valid(shapes)
    if broken.any():
        shapes[broken] = shapely.make_valid(shapes[broken])
        shapes, inner = shapely.get_parts(shapes, return_index=True)
        owners = owners[inner]
    if not is_lonlat(crs):
        shapes = reproject(shapes, lonlat_from(crs))
    kept = ~shapely.is_empty(shapes) & np.isfinite(shapely.bounds(shapes)).all(axis=1)
    return shapes[kept], owners[kept]
