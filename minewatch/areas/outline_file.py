"""Reads the outlines of areas from the files that people have: GeoJSON, KML, KMZ, shapefile, GeoPackage, and ZIPs of them."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, GeometryError
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError
from shapely.geometry.base import BaseGeometry

from minewatch.areas.aoi import check_geometry
from minewatch.areas.geojson import (
    KINDS,
    find_authority,
    find_crs_name,
    list_features,
    parse_geojson,
    parse_properties,
    parse_shape,
)
from minewatch.areas.gps_track import choose_lines, close_track
from minewatch.areas.grid import add_corners, is_lonlat, lonlat_from, reproject
from minewatch.core.errors import AoiError, MapFileError
from minewatch.core.map_archive import is_archive, unpack_map
from minewatch.core.map_file import DRIVERS, check_map_file, list_map_layers
from minewatch.core.text import count_of, show

LARGEST_FILE = 2**28
"""Bytes; a hundred thousand detailed outlines have fewer."""

MOST_FEATURES = 5000
"""Of one file; a register with more is a context layer rather than areas to watch."""

MOST_NOTES = 5
"""Features that are named when several are left out."""

ENCODINGS = ("utf-8-sig", "cp1252", "iso-8859-1")
"""Of text that does not say its own, in the order of trial; the last takes any bytes."""

_JSON_ENDINGS = (".geojson", ".json")

_OWN_KEYS = ("monitor_from", "pipeline", "grid", "large")
"""Properties that set how an area is watched; in other formats than GeoJSON a column of this name means something else."""

_FAULTS = (DataSourceError, DataLayerError, FeatureError, GeometryError, IndexError)
"""Raised by reading a map; the last where there is no layer at all."""


@dataclass(frozen=True)
class Outline:
    """The outline of one area."""

    geometry: BaseGeometry
    """Polygon or MultiPolygon, degrees; as `check_geometry` returns it."""

    properties: Mapping[str, Any]
    """Of the feature."""

    repairs: tuple[str, ...] = ()
    """Descriptions of repairs, and of what was done to it."""


@dataclass(frozen=True)
class OutlineFile:
    """The outlines in a file, at least one."""

    path: Path
    """As it was given."""

    outlines: tuple[Outline, ...]
    """One for each feature with an area."""

    notes: tuple[str, ...]
    """What was done to all of them, and what was left out."""

    @property
    def columns(self) -> list[str]:
        """Names of the properties."""
        return list(dict.fromkeys(key for outline in self.outlines for key in outline.properties))

    def single(self) -> Outline:
        """Return the only outline; raises AoiError where there are several."""
        if len(self.outlines) > 1:
            columns = ", ".join(show(column, 40) for column in self.columns) or "none"
            raise AoiError(
                f"{self.path} has {len(self.outlines)} features: add --merge for one area of them all, or --name-from COLUMN "
                f"for an area of each (columns: {columns}); --each numbers them"
            )
        return self.outlines[0]

    def merge(self) -> Outline:
        """Return one outline of all; properties on which they agree stay."""
        if len(self.outlines) == 1:
            return self.outlines[0]
        whole = shapely.union_all([outline.geometry for outline in self.outlines])
        geometry, repairs = check_geometry(whole, str(self.path))
        first, *others = (outline.properties for outline in self.outlines)
        common = {key: value for key, value in first.items() if all(key in o and o[key] == value for o in others)}
        said = (f"{len(self.outlines)} features were merged into one area",)
        return Outline(geometry, common, (*said, *repairs))


def read_outlines(path: Path, layer: str | None = None, crs: str | None = None) -> OutlineFile:
    """Read the features of a file that are polygons, in degrees.

    ``layer`` is one of a file with several, ``crs`` the reference system of a file that does not say its own.  Raises AoiError
    where the file cannot be read or has no polygon, does not say where on Earth it lies, or where an outline crosses itself.
    """
    try:
        if not path.exists():
            raise AoiError(f"{path} does not exist")
        if path.is_dir() and path.suffix.lower() != ".gdb":
            raise AoiError(f"{path} cannot be read: it is a folder; name the file in it")
        if not path.is_dir() and not path.is_file():
            raise AoiError(f"{path} is no plain file")
        if path.is_file() and path.stat().st_size > LARGEST_FILE:
            raise AoiError(f"{path} is larger than any file of areas ({LARGEST_FILE >> 20} MB); save the areas alone")
        with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="minewatch-") as folder:
            warnings.filterwarnings("ignore", module="pyogrio")
            source = unpack_map(path, Path(folder), LARGEST_FILE) if is_archive(path) else path
            features, notes = _read_features(source, str(path), layer, crs)
    except MapFileError as error:
        raise AoiError(str(error)) from error
    except OSError as error:
        raise AoiError(f"{path} cannot be read: {error.strerror or type(error).__name__}") from error
    return _check_features(path, features, notes)


@dataclass(frozen=True)
class _Feature:
    shape: BaseGeometry | None
    properties: Mapping[str, Any]


def _read_features(path: Path, where: str, layer: str | None, crs: str | None) -> tuple[list[_Feature], list[str]]:
    """Return the features of a file in degrees, not yet checked, and what was done to them."""
    if path.suffix.lower() in _JSON_ENDINGS:
        text, notes = _decode(path.read_bytes())
        document = parse_geojson(text, where)
        if document["type"] in KINDS:
            features = list_features(document, where)
            _check_count(len(features), where)
            found = [_Feature(parse_shape(f, f"{where}: feature {n}"), parse_properties(f)) for n, f in enumerate(features, 1)]
            return _to_lonlat(found, _find_json_crs(document, features, crs, where), where, notes)
    return _read_map(path, where, layer, crs)


def _decode(data: bytes) -> tuple[str, list[str]]:
    """Return a text, and what is to be said of its encoding."""
    for encoding in ENCODINGS:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return text, [] if encoding == ENCODINGS[0] else [f"its text is not UTF-8 and was read as {encoding}"]
    raise AssertionError("unreachable")


def _find_json_crs(document: Mapping[str, Any], features: Sequence[dict[str, Any]], said: str | None, where: str) -> CRS:
    """Return the reference system that a document names, else the one that was said, else degrees."""
    names = {find_crs_name(part) for part in (dict(document), *features) if isinstance(part.get("crs"), dict)}
    if len(names) > 1:
        raise AoiError(f"{where} is in several reference systems ({', '.join(sorted(filter(None, names)))}); save it in one")
    name = next(iter(names), "")
    if not name:
        return _parse_crs(said or "EPSG:4326", where)
    try:
        return CRS.from_authority(*(find_authority(name) or ("", "")))
    except CRSError:
        raise _make_crs_error(name, where) from None


def _make_crs_error(name: str, where: str) -> AoiError:
    return AoiError(f"{where} is in {name}, a reference system that is not known; reproject it to EPSG:4326")


# --- maps ------------------------------------------------------------------------------------------------------------


def _read_map(path: Path, where: str, layer: str | None, crs: str | None) -> tuple[list[_Feature], list[str]]:
    check_map_file(path)
    try:
        chosen = _choose_layer(path, where, layer)
        info = pyogrio.read_info(path, layer=chosen, force_feature_count=True)
        if info["driver"] not in DRIVERS:
            raise AoiError(f"{where} is of a format that is not taken ({info['driver']}); save it as GeoPackage or GeoJSON")
        _check_count(int(info["features"]), where)
        meta, blobs, cells = _read_rows(path, chosen)
        shapes = shapely.from_wkb(blobs, on_invalid="fix")
    except _FAULTS as error:
        raise AoiError(
            f"{where} cannot be read as a map; it is damaged, or of an unknown format; save it as GeoJSON, KML or GeoPackage"
        ) from error
    except UnicodeDecodeError as error:
        raise AoiError(f"{where}: its text is not {error.encoding}; save it as GeoPackage") from error
    system = info["crs"] or crs
    if not system:
        raise AoiError(
            f"{where} does not say in which coordinate reference system it is; add its .prj file, or say it with --crs EPSG:4326"
        )
    columns = [str(name) for name in meta["fields"]]
    rows = [{name: _to_plain(values[n]) for name, values in zip(columns, cells, strict=True)} for n in range(len(shapes))]
    kept = [{key: value for key, value in row.items() if value is not None and key not in _OWN_KEYS} for row in rows]
    features = [_Feature(shape, row) for shape, row in zip(shapes, kept, strict=True)]
    notes: list[str] = []
    if info["driver"] == "GPX":
        features, notes = _close_tracks(features)
    return _to_lonlat(features, _parse_crs(system, where), where, notes)


def _close_tracks(features: Sequence[_Feature]) -> tuple[list[_Feature], list[str]]:
    """Return the features with tracks that end where they began as polygons, and what was done."""
    closed = [close_track(feature.shape) for feature in features]
    kept = [(one and one[0]) or feature.shape for feature, one in zip(features, closed, strict=True)]
    shapes = [_Feature(shape, feature.properties) for feature, shape in zip(features, kept, strict=True)]
    return shapes, [one[1] for one in closed if one][:MOST_NOTES]


def _parse_crs(text: str, where: str) -> CRS:
    try:
        return CRS.from_user_input(text)
    except CRSError:
        raise _make_crs_error(show(text, 80), where) from None


def _choose_layer(path: Path, where: str, layer: str | None) -> str:
    spatial = [name for name, kind in list_map_layers(path, layer).items() if kind is not None]
    if layer is not None and layer not in spatial:
        raise AoiError(f"{where} has no layer {show(layer)!r} with shapes; it has {_list_names(spatial)}")
    if layer is None and len(spatial) > 1:  # folders of a KML are layers, and some are empty
        counts = {name: pyogrio.read_info(path, layer=name, force_feature_count=True)["features"] for name in spatial}
        spatial = [name for name, count in counts.items() if count]
        lines = choose_lines(counts) if path.suffix.lower() == ".gpx" else None
        spatial = [lines] if lines else spatial
    if layer is None and len(spatial) != 1:
        several = f"several layers ({_list_names(spatial)}); choose one with --layer"
        raise AoiError(f"{where} has {several if spatial else 'no layer with shapes'}")
    return layer or spatial[0]


def _list_names(names: Sequence[str]) -> str:
    return ", ".join(show(name, 40) for name in names[:20]) or "none"


def _read_rows(path: Path, layer: str) -> tuple[dict[str, Any], Any, Any]:
    """Return what is known of a layer, its shapes as WKB, and its cells by column."""
    how = {"layer": layer, "force_2d": True, "datetime_as_string": True}
    says_nothing = path.suffix.lower() == ".shp" and not any(path.with_suffix(end).exists() for end in (".cpg", ".CPG"))
    try:
        meta, _, blobs, cells = pyogrio.raw.read(path, encoding="utf-8" if says_nothing else None, **how)
    except UnicodeDecodeError:
        if not says_nothing:
            raise
        meta, _, blobs, cells = pyogrio.raw.read(path, encoding="cp1252", **how)
    return meta, blobs, cells


def _to_plain(cell: Any) -> Any:
    """Return a cell as JSON has it; None for nothing."""
    value = cell.item() if isinstance(cell, np.generic) else cell
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value if isinstance(value, str | bool | int | float) else str(value)


# --- checks ----------------------------------------------------------------------------------------------------------


def _check_count(features: int, where: str) -> None:
    if features > MOST_FEATURES:
        raise AoiError(f"{where} has {features} features, more than {MOST_FEATURES}; save those that are to be watched alone")


def _to_lonlat(features: list[_Feature], crs: CRS, where: str, notes: list[str]) -> tuple[list[_Feature], list[str]]:
    if is_lonlat(crs):
        return features, notes
    try:
        transformer = lonlat_from(crs)
        shapes = [f.shape and reproject(add_corners(f.shape, crs), transformer) for f in features]
    except (CRSError, ProjError) as error:
        raise AoiError(f"{where}: its coordinate reference system ({crs.name}) leads to no place on Earth") from error
    code = ":".join(crs.to_authority() or ())
    said = f"reprojected from {show(crs.name, 80)}{code and f' ({code})'} to longitude and latitude"
    return [_Feature(shape, f.properties) for shape, f in zip(shapes, features, strict=True)], [*notes, said]


def _check_features(path: Path, features: list[_Feature], notes: list[str]) -> OutlineFile:
    """Return the outlines of the features that have an area; raises AoiError where none has, or where one cannot be used."""
    outlines, left_out = [], []
    for number, feature in enumerate(features, 1):
        name = f"feature {number}" if len(features) > 1 else "the area"
        polygon, fault = _find_polygon(feature.shape)
        if polygon is None:
            left_out.append(f"{name} is {fault}, not a polygon")
            continue
        if fault:
            notes = [*notes, f"{name} holds {fault} too, which was left out"]
        geometry, repairs = check_geometry(polygon, f"{path}: {name}" if len(features) > 1 else str(path))
        outlines.append(Outline(geometry, feature.properties, repairs))
    if not outlines:
        raise AoiError(f"{path}: {_list_left_out(left_out) or 'it has no feature'}")
    return OutlineFile(path, tuple(outlines), (*notes, *([f"{_list_left_out(left_out)}; left out"] if left_out else [])))


def _list_left_out(lines: Sequence[str]) -> str:
    more = f", and {count_of(len(lines) - MOST_NOTES, 'feature')} more" if len(lines) > MOST_NOTES else ""
    return "; ".join(lines[:MOST_NOTES]) + more


def _find_polygon(shape: BaseGeometry | None) -> tuple[BaseGeometry | None, str]:
    """Return the polygons of a shape, None where it has none, and what else it is or holds."""
    if shape is None or shape.is_empty:
        return None, "empty"
    if shape.geom_type != "GeometryCollection":
        return (shape, "") if shape.geom_type in ("Polygon", "MultiPolygon") else (None, f"a {shape.geom_type}")
    parts = [part for inner in shapely.get_parts(shape) for part in shapely.get_parts(inner)]
    polygons = [part for part in parts if part.geom_type == "Polygon" and not part.is_empty]
    others = sorted({part.geom_type for part in parts if part.geom_type != "Polygon"})
    if not polygons:
        return None, f"a collection of {', '.join(others) or 'nothing'}"
    return polygons[0] if len(polygons) == 1 else shapely.multipolygons(polygons), ", ".join(others)
