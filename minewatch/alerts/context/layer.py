"""Opens context layers: finds the file, the layer and the columns, and reports what is wrong with them."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError

from minewatch.alerts.context.declaration import Declaration, read_declarations
from minewatch.alerts.context.source_file import find_modified
from minewatch.alerts.context.terms import DISTANCES
from minewatch.areas.antimeridian import Bounds
from minewatch.areas.grid import is_lonlat, lonlat_from
from minewatch.core.errors import ContextError, MapFileError
from minewatch.core.map_file import DRIVERS, check_map_file, list_map_layers
from minewatch.core.text import suggest
from minewatch.core.workspace import Workspace


@dataclass(frozen=True)
class ContextLayer:
    """A declared layer whose file could be opened."""

    name: str
    """As declared."""

    declaration: Declaration
    """What the settings say."""

    path: Path
    """The file."""

    layer: str
    """Its layer."""

    driver: str
    """GDAL's name of the format."""

    crs: CRS
    """Of the coordinates."""

    features: int
    """Rows, with or without a geometry."""

    bounds: Bounds | None
    """Of all features, in the layer's CRS; None where nothing is known."""

    @property
    def kind(self) -> str:
        """What its features are."""
        return self.declaration.kind

    fields: tuple[str, ...] = ()
    """Names of its columns."""

    @cached_property
    def as_of(self) -> dt.date:
        """The day whose state it shows: as declared, else the last on which its files were modified."""
        return self.declaration.as_of or find_modified(self.path)

    @property
    def is_lonlat(self) -> bool:
        """True where coordinates are degrees of WGS 84 already."""
        return is_lonlat(self.crs)

    @property
    def extent(self) -> Bounds | None:
        """Of all features, in degrees; the east is above 180 where it crosses 180°; None where nothing is known."""
        box = self.bounds
        if box and not self.is_lonlat:
            try:
                box = lonlat_from(self.crs).transform_bounds(*box)
            except ProjError:
                return None
        if box is None or not all(map(math.isfinite, box)):
            return None
        west, south, east, north = box
        east += 360 if east < west else 0
        # More than half of the circle is likely a place at 180°, written on both sides.
        return (min(west, -180.0), south, max(east, 180.0), north) if east - west > 180 else (west, south, east, north)


def open_layers(workspace: Workspace) -> tuple[ContextLayer, ...]:
    """Open every declared layer; raises ContextError naming the first that cannot be used."""
    return tuple(open_layer(workspace, name, declaration) for name, declaration in read_declarations(workspace).items())


def open_layer(workspace: Workspace, name: str, declaration: Declaration) -> ContextLayer:
    """Open one layer and check that it has what its declaration names; raises ContextError where it has not."""
    path, info = inspect_layer(workspace, name, declaration)
    _check_content(info, declaration, path, f"context layer {name!r}")
    crs, features = _find_crs(info["crs"], declaration, name, path), max(0, int(info["features"]))
    bounds = _find_bounds(info["total_bounds"], crs, name, path) if features else None
    fields = tuple(map(str, info["fields"]))
    return ContextLayer(name, declaration, path, str(info["layer_name"]), info["driver"], crs, features, bounds, fields)


def inspect_layer(workspace: Workspace, name: str, declaration: Declaration) -> tuple[Path, dict[str, Any]]:
    """Return the file of a layer and what pyogrio says of it; raises ContextError where it cannot be read as a map layer."""
    where = f"context layer {name!r}"
    path = find_file(workspace, declaration.file, where)
    try:
        check_map_file(path)
        with without_warnings():
            chosen = _choose_layer(path, declaration, where)
            return path, pyogrio.read_info(
                path, layer=chosen, encoding=declaration.encoding, force_feature_count=True, force_total_bounds=True
            )
    except (DataSourceError, DataLayerError, IndexError) as error:  # the last where there is no layer at all
        raise ContextError(f"{where}: {path} cannot be read as a map layer; it is damaged, or of an unknown format") from error
    except MapFileError as error:
        raise ContextError(f"{where}: {error}") from error
    except UnicodeDecodeError as error:
        raise make_text_error(where, declaration, error) from error


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Suppress GDAL's warnings about a file; what is wrong with its features is counted here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pyogrio")
        yield


def make_text_error(where: str, declaration: Declaration, error: UnicodeDecodeError) -> ContextError:
    """Make the error for text in another encoding."""
    tried = declaration.encoding or error.encoding
    return ContextError(f'{where}: its text is not {tried}; name the encoding in its table, for example: encoding = "cp1252"')


def find_file(workspace: Workspace, file: str, where: str) -> Path:
    """Return the file of a layer, looked for in the workspace and its folder ``context``; raises ContextError without."""
    given = Path(file).expanduser()
    for path in (workspace.root / given, workspace.context / given):
        if path.is_file() or (path.is_dir() and path.suffix.lower() == ".gdb"):
            return path
        if path.is_dir():
            raise ContextError(f"{where}: {path} is a folder; name the file in it")
    near = suggest(given.name, sorted(p.name for p in workspace.context.glob("*") if not p.name.startswith(".")), "files")
    raise ContextError(f"{where}: there is no file {file!r}, neither in the workspace nor in {workspace.context}{near}")


def _choose_layer(path: Path, declaration: Declaration, where: str) -> str | None:
    """Name the layer to read; None is the only one of a format that holds one, where a listing would read the whole file."""
    if declaration.layer is None and path.suffix.lower() in (".geojson", ".shp"):
        return None
    layers = list_map_layers(path, declaration.layer)
    spatial = [name for name, kind in layers.items() if kind is not None]
    if declaration.layer is not None:
        if declaration.layer not in layers:
            raise ContextError(
                f"{where}: {path} has no layer {declaration.layer!r}{suggest(declaration.layer, layers, 'layers')}"
            )
        if declaration.layer not in spatial:
            raise ContextError(f"{where}: layer {declaration.layer!r} of {path} is a table without shapes")
        return declaration.layer
    if len(spatial) != 1:
        found = f"several layers ({', '.join(spatial)}); name one of them as layer" if spatial else "no layer with shapes"
        raise ContextError(f"{where}: {path} has {found}")
    return spatial[0]


def _check_content(info: dict[str, Any], declaration: Declaration, path: Path, where: str) -> None:
    """Raise ContextError where format, columns or shapes are not what the declaration needs."""
    if (driver := info["driver"]) not in DRIVERS:
        raise ContextError(f"{where}: {path} is of a format that is not taken ({driver}); save it as GeoPackage or GeoJSON")
    fields = [str(field) for field in info["fields"]]
    for key, column in declaration.columns.items():
        if column not in fields:
            raise ContextError(f"{where}: {path} has no column {column!r} ({key}){suggest(column, fields, 'columns')}")
    shape = str(info["geometry_type"])
    if declaration.kind not in DISTANCES and re.search("Point|LineString", shape):
        raise ContextError(f"{where}: {path} holds shapes of type {shape}; a layer of kind {declaration.kind} has polygons")


def _find_crs(found: str | None, declaration: Declaration, name: str, path: Path) -> CRS:
    if not found and not declaration.crs:
        raise ContextError(
            f"context layer {name!r}: {path} does not say in which coordinate reference system it is; add it to "
            f'[context.{name}], for example: crs = "EPSG:32719"'
        )
    try:
        crs = CRS.from_user_input(declaration.crs or found)
        lonlat_from(crs)
    except (CRSError, ProjError) as error:
        raise ContextError(
            f"context layer {name!r}: the coordinate reference system of {path} leads to no place on Earth; "
            "save it in another one"
        ) from error
    return crs


def _find_bounds(bounds: Any, crs: CRS, name: str, path: Path) -> Bounds | None:
    if bounds is None or not all(map(math.isfinite, bounds)):
        return None
    west, south, east, north = map(float, bounds)
    if is_lonlat(crs) and not (west >= -361 and east <= 541 and south >= -90.001 and north <= 90.001):
        raise ContextError(
            f"context layer {name!r}: {path} says that its coordinates are degrees, and they reach from "
            f"{west:g}, {south:g} to {east:g}, {north:g}; name the right coordinate reference system in "
            f'[context.{name}], for example: crs = "EPSG:32719"'
        )
    return west, south, east, north
