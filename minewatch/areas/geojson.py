"""Parses GeoJSON (RFC 7946) of areas: features, their shapes and properties, and the reference system of older files."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from minewatch.core.errors import AoiError
from minewatch.core.text import show

GEOMETRIES = ("Polygon", "MultiPolygon", "GeometryCollection")
"""Types of shapes that may hold an area."""

KINDS = ("FeatureCollection", "Feature", *GEOMETRIES)
"""Types of documents that may hold one."""

_LONLAT_NAMES = ("CRS84", "EPSG::4326", "EPSG:4326")
"""Ends of names of longitude and latitude."""

_AUTHORITY = re.compile(r"\b(EPSG|ESRI|OGC|IGNF)(?:\.xml)?(?:[:/][\d.]*)?[:/#]+(\w+)/?$", re.IGNORECASE)
"""At the end of EPSG:32719, urn:ogc:def:crs:EPSG::32719 and http://www.opengis.net/def/crs/EPSG/0/32719."""


def read_geojson(path: Path) -> dict[str, Any]:
    """Return the document in a file of UTF-8; raises AoiError where it is missing or no GeoJSON."""
    try:
        return parse_geojson(path.read_text("utf-8-sig"), str(path))
    except FileNotFoundError as error:
        raise AoiError(f"{path} does not exist") from error
    except OSError as error:
        raise AoiError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AoiError(f"{path} is no GeoJSON: its text is not UTF-8; export it as GeoJSON in lon/lat") from error


def parse_geojson(text: str, where: str) -> dict[str, Any]:
    """Return a document; raises AoiError where it is no GeoJSON."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AoiError(f"{where} is no GeoJSON: it is not even JSON; export the area as GeoJSON in lon/lat") from error
    if not isinstance(document, dict) or "type" not in document:
        raise AoiError(f"{where} is no GeoJSON: it has no 'type'")
    return document


def list_features(document: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """Return the features of a document, at least one; raises AoiError where it holds anything else."""
    kind = document["type"]
    if kind in GEOMETRIES:
        return [{"type": "Feature", "geometry": document, "properties": {}}]
    features = document.get("features") if kind == "FeatureCollection" else [document]
    if not isinstance(features, list) or not features:
        raise AoiError(f"{where} is empty: it has no feature")
    for feature in features:
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            wrong = feature.get("type") if isinstance(feature, dict) else feature
            raise AoiError(f"{where} is no GeoJSON polygon: its type is {show(wrong, 40)!r}")
    return features


def parse_shape(feature: dict[str, Any], where: str) -> BaseGeometry:
    """Return the shape of a feature without heights, an empty polygon for none; raises AoiError where it is none."""
    try:
        found: BaseGeometry = shapely.force_2d(shape(feature.get("geometry") or {"type": "Polygon", "coordinates": []}))
    except Exception as error:  # shapely raises many kinds for malformed coordinates
        raise AoiError(f"{where}: its coordinates cannot be read as GeoJSON ({type(error).__name__})") from error
    return found


def parse_properties(feature: dict[str, Any]) -> dict[str, Any]:
    """Return the properties of a feature; numbers that are none become null."""
    properties = feature.get("properties")
    return {key: _clean(value) for key, value in properties.items()} if isinstance(properties, dict) else {}


def _clean(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _clean(inner) for key, inner in value.items()}
    return [_clean(inner) for inner in value] if isinstance(value, list) else value


def find_crs_name(document: dict[str, Any]) -> str:
    """Return the name of the reference system that a document is in; '' for longitude and latitude."""
    crs = document.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    if not isinstance(properties, dict):
        return ""
    name = str(properties.get("name") or properties.get("href") or properties.get("url") or "")
    return "" if name.endswith(_LONLAT_NAMES) else show(name, 80)


def find_authority(name: str) -> tuple[str, str] | None:
    """Return authority and code in the name of a reference system; None where it names none."""
    found = _AUTHORITY.search(name)
    return (found[1].upper(), found[2]) if found else None
