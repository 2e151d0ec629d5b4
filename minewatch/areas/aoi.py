"""Areas of interest: one GeoJSON file per area, whose stem is its name."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely
from pyproj import Geod
from shapely.geometry import box, mapping
from shapely.geometry.base import BaseGeometry

from minewatch.areas.antimeridian import FULL_TURN, HALF_TURN, Bounds, cut_halves, find_bounds, is_cut, join_halves
from minewatch.areas.area_files import refuse_taken, refuse_unknown
from minewatch.areas.geojson import find_crs_name, list_features, parse_properties, parse_shape, read_geojson
from minewatch.areas.number_order import suggest_order, suggest_swap
from minewatch.core.errors import AoiError
from minewatch.core.files import publish_bytes
from minewatch.core.traffic import format_exact, parse_bytes
from minewatch.core.workspace import DEFAULT_PIPELINE, Workspace

LARGEST_KM2 = 20_000
"""A larger area is probably a mistake and needs ``large`` (a Sentinel-2 tile is 12 056 km²)."""

POLAR_LATITUDE = 80.0
"""Areas beyond are refused: UTM zones end, and the sun is too low for months."""

WIDEST = 90
"""Degrees of longitude; a UTM projection ends this far from its central meridian."""

GEODESIC = Geod(ellps="WGS84")
"""For areas and distances on the ellipsoid."""


@dataclass(frozen=True)
class GridHint:
    """A pixel lattice requested in place of that of the area's UTM zone."""

    epsg: int
    """EPSG code of a projected CRS in metres."""

    origin: tuple[float, float]
    """Any corner of a 20 m pixel of the lattice, metres (x, y)."""


@dataclass(frozen=True)
class Aoi:
    """An area of interest."""

    name: str
    """File stem; part of the alert ids."""

    geometry: BaseGeometry
    """Polygon or MultiPolygon, longitude and latitude in degrees (WGS 84), valid; cut at 180° (RFC 7946)."""

    monitor_from: dt.date
    """First acquisition date that may raise an alert; earlier ones are for the baseline."""

    pipeline: str = DEFAULT_PIPELINE
    """Name of the pipeline that scans use."""

    grid: GridHint | None = None
    """The requested lattice; None = the UTM zone of the centroid."""

    budget: int | None = None
    """Bytes that scans may read for the first baseline and the first year of monitoring; None = no limit."""

    large: bool = False
    """True where an area above LARGEST_KM2 is intended."""

    properties: Mapping[str, Any] = field(default_factory=dict)
    """The feature's other properties (source of the coordinates, notes)."""

    repairs: tuple[str, ...] = ()
    """Descriptions of repairs of the geometry."""

    @property
    def area_km2(self) -> float:
        """Geodesic area in square kilometres."""
        return measure_area_ha(self.geometry) / 100

    @property
    def bounds(self) -> Bounds:
        """West, south, east, north in degrees; west is greater than east across 180°."""
        return find_bounds(self.geometry)

    @property
    def is_box(self) -> bool:
        """True where it is a rectangle along meridians and parallels."""
        return bool(self.joined.equals(box(*self.joined.bounds)))

    @property
    def joined(self) -> BaseGeometry:
        """The geometry joined across 180°, with longitudes beyond 180."""
        return join_halves(self.geometry)


def measure_area_ha(geometry: BaseGeometry) -> float:
    """Return the geodesic area of a lon/lat geometry in hectares (WGS 84 ellipsoid, Karney 2013)."""
    area, _ = GEODESIC.geometry_area_perimeter(shapely.orient_polygons(geometry))
    return abs(area) / 10_000


def bbox_geometry(bbox: Iterable[float]) -> BaseGeometry:
    """Return the rectangle west, south, east, north, across 180° where W > E; raises AoiError where it is not valid."""
    numbers = tuple(bbox)
    try:
        return _make_box(*numbers)
    except AoiError as error:
        if hint := suggest_order(numbers):
            raise AoiError(f"{error}; {hint}") from error
        raise


def _make_box(west: float, south: float, east: float, north: float) -> BaseGeometry:
    text = ",".join(f"{value:g}" for value in (west, south, east, north))
    if not (west != east and south < north and math.isfinite(east - west)):
        raise AoiError(f"--bbox {text} is empty: give W,S,E,N with S < N, and W < E unless the area crosses 180°")
    _check_lonlat((min(west, east), south, max(west, east), north), "--bbox")
    width = east - west + (FULL_TURN if west > east else 0)
    if width > WIDEST:
        advice = "for an area across 180° give W > E" if west < east else "W > E means an area across 180°, or they are swapped"
        raise AoiError(f"--bbox {text} spans {width:.5g}° of longitude; {advice}")
    geometry, _ = check_geometry(box(west, south, west + width, north), "--bbox")
    return geometry


def read_geometry(path: Path) -> tuple[BaseGeometry, dict[str, Any], tuple[str, ...]]:
    """Read one area from a GeoJSON file: geometry, properties and repairs.

    Raises AoiError where the file is missing, not GeoJSON, not in lon/lat, empty, ambiguous or has several features.
    """
    document = read_geojson(path)
    features = list_features(document, str(path))
    if len(features) > 1:
        raise AoiError(f"{path} has {len(features)} features; one area is one file, so split it or merge them")
    if name := find_crs_name(document):
        raise AoiError(f"{path} is in {name}, not in lon/lat; reproject it to EPSG:4326")
    geometry, repairs = check_geometry(parse_shape(features[0], str(path)), str(path))
    return geometry, parse_properties(features[0]), repairs


def check_geometry(geometry: BaseGeometry, where: str) -> tuple[BaseGeometry, tuple[str, ...]]:
    """Return the geometry, cut at 180° and repaired where that is unambiguous, and the repairs.

    Raises AoiError for what is not a polygon, empty, outside lon/lat, polar, too wide, or crosses itself.
    """
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        raise AoiError(f"{where}: the area is a {geometry.geom_type}, not a polygon")
    if geometry.is_empty:
        raise AoiError(f"{where}: the area is empty")
    try:
        _check_lonlat(geometry.bounds, where)
    except AoiError as error:
        if where != "--bbox" and (hint := suggest_swap(geometry.bounds, is_box=False)):
            raise AoiError(f"{error}; {hint}") from error
        raise
    try:
        joined = join_halves(geometry)
    except ValueError as error:
        raise AoiError(f"{where}: {error}; areas beyond {POLAR_LATITUDE:.0f}° of latitude are refused") from error
    west, _, east, _ = joined.bounds
    if east - west > WIDEST:
        raise AoiError(f"{where} spans {east - west:.0f}° of longitude, more than {WIDEST}; split it into areas")
    repaired, repairs = _repair(joined, where)
    if is_cut(geometry) and geometry.is_valid:
        return geometry, repairs
    if east > HALF_TURN:
        repairs = (*repairs, f"it crosses 180° and was cut there; it spans {east - west:.4g}° of longitude")
    elif not is_cut(geometry):
        repairs = (*repairs, f"its longitudes beyond 180 were counted from Greenwich: {west:.6g} to {east:.6g}")
    return cut_halves(repaired), repairs


def _check_lonlat(bounds: Iterable[float], where: str) -> None:
    west, south, east, north = bounds
    if not (max(-west, east) <= FULL_TURN and max(-south, north) <= 90 and math.isfinite(west + south + east + north)):
        raise AoiError(f"{where} is not in lon/lat (bounds {west:g}, {south:g}, {east:g}, {north:g}); reproject it to EPSG:4326")
    if max(-south, north) > POLAR_LATITUDE:
        raise AoiError(
            f"{where} reaches latitude {max(-south, north):.1f}; areas beyond {POLAR_LATITUDE:.0f}° are refused:"
            " the sun is too low there for months, and the UTM zones end"
        )


def _repair(geometry: BaseGeometry, where: str) -> tuple[BaseGeometry, tuple[str, ...]]:
    if geometry.is_valid:
        return geometry, ()
    reason = shapely.is_valid_reason(geometry).split("[")[0].strip()
    parts = shapely.get_parts(geometry)
    if shapely.is_valid(parts).all():
        return shapely.union_all(parts), (f"its parts overlapped and were merged ({reason})",)
    repaired = shapely.make_valid(geometry, method="structure")
    # A ring that only touches itself keeps its area; one that crosses itself does not, and its meaning is unknown.
    if repaired.geom_type not in ("Polygon", "MultiPolygon") or not math.isclose(repaired.area, geometry.area, rel_tol=1e-9):
        place = shapely.is_valid_reason(geometry)
        raise AoiError(f"{where}: the outline crosses itself ({place}); draw it again without crossing lines")
    return repaired, (f"its outline touched itself and was repaired ({reason})",)


def check_size(aoi: Aoi) -> Aoi:
    """Return the area if its size is plausible or intended; raises AoiError otherwise."""
    if aoi.area_km2 > LARGEST_KM2 and not aoi.large:
        hint = suggest_order(aoi.joined.bounds) if aoi.is_box else ""
        text = f"area {aoi.name!r} has {aoi.area_km2:,.0f} km², more than {LARGEST_KM2:,}; add --large if that is meant"
        raise AoiError(f"{text}; or is the order of the numbers another: {hint}" if hint else text)
    return aoi


def write_aoi(workspace: Workspace, aoi: Aoi) -> Path:
    """Write a new area into the workspace; raises AoiError where the name is taken or the area too large."""
    path = refuse_taken(workspace, aoi.name)
    publish_bytes(path, render_aoi(check_size(aoi)))
    return path


def render_aoi(aoi: Aoi) -> bytes:
    """Return an area as its file has it."""
    properties = dict(aoi.properties) | {"monitor_from": aoi.monitor_from.isoformat(), "pipeline": aoi.pipeline}
    if aoi.grid:
        properties["grid"] = {"epsg": aoi.grid.epsg, "origin": list(aoi.grid.origin)}
    if aoi.budget is not None:
        properties["budget"] = format_exact(aoi.budget)
    if aoi.large:
        properties["large"] = True
    feature = {"type": "Feature", "properties": properties, "geometry": mapping(aoi.geometry)}
    collection = {"type": "FeatureCollection", "features": [feature]}
    return (json.dumps(collection, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_aoi(workspace: Workspace, name: str) -> Aoi:
    """Read an area of the workspace; raises AoiError where it is missing or cannot be used."""
    path = refuse_unknown(workspace, name)
    geometry, properties, repairs = read_geometry(path)
    return check_size(make_aoi(name, geometry, properties, repairs, str(path)))


def make_aoi(name: str, geometry: BaseGeometry, properties: Mapping[str, Any], repairs: tuple[str, ...], where: str) -> Aoi:
    """Make an area from a feature; raises AoiError where one of its properties cannot be used."""
    other = dict(properties)
    return Aoi(
        name=name,
        geometry=geometry,
        monitor_from=_parse_date(other.pop("monitor_from", None), where),
        pipeline=str(other.pop("pipeline", Aoi.pipeline)),
        grid=_parse_hint(other.pop("grid", None), where),
        budget=_parse_budget(other.pop("budget", None), where),
        large=other.pop("large", False) is True,
        properties=other,
        repairs=repairs,
    )


def _parse_date(value: Any, where: str) -> dt.date:
    try:
        return dt.date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise AoiError(f"{where}: its property 'monitor_from' must be a date like 2024-01-31, not {value!r}") from error


def _parse_budget(value: Any, where: str) -> int | None:
    try:
        return None if value is None else parse_bytes(str(value))
    except ValueError as error:
        raise AoiError(f"{where}: its property 'budget': {error}") from error


def _parse_hint(value: Any, where: str) -> GridHint | None:
    if value is None:
        return None
    try:
        x, y = value["origin"]
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError
        return GridHint(int(value["epsg"]), (float(x), float(y)))
    except (TypeError, KeyError, ValueError) as error:
        raise AoiError(f'{where}: its property \'grid\' must look like {{"epsg": 32719, "origin": [300000, 8600000]}}') from error
