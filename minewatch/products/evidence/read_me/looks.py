"""Reads the images of evidence: what they show in true colour, and how green the alert's ground is in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from minewatch.areas.grid import Grid, lonlat_to, reproject
from minewatch.core.errors import EvidenceError
from minewatch.core.units import NODATA
from minewatch.products.evidence.image_file import EvidenceImage, parse_evidence_image
from minewatch.products.evidence.manifest import AFTER, BEFORE, BEFORE_SEASON
from minewatch.settings.scl import CLEAR_CLASSES


@dataclass(frozen=True)
class EvidenceLook:
    """One image of evidence."""

    name: str
    """BEFORE, BEFORE_SEASON or AFTER."""

    day: dt.date
    """Acquisition, UTC."""

    scenes: tuple[str, ...]
    """Ids of the source items."""

    frame: Grid
    """Its pixels."""

    colours: NDArray[np.int16]
    """(y, x, 3) red, green, blue reflectance x 10 000, -32768 = no data."""

    clear: NDArray[np.bool_]
    """(y, x) pixels that have data and are neither cloud nor shadow."""

    inside: NDArray[np.bool_]
    """(y, x) pixels whose centre lies within the outline."""

    ndvi: float | None
    """Median NDVI of the pixels within the outline that have data; None where none has."""

    pixels: int
    """Number of these pixels."""


def read_looks(folder: Mapping[str, bytes], manifest: Mapping[str, Any], outline: BaseGeometry) -> dict[str, EvidenceLook]:
    """Return the images that the manifest names and the folder has; raises EvidenceError where one cannot be read."""
    stated = manifest["images"]
    names = [name for name in (BEFORE, BEFORE_SEASON, AFTER) if stated.get(name) and f"{name}.tif" in folder]
    frame = _make_frame(manifest["grid"])
    return {name: _read_look(name, folder, stated[name], frame, outline) for name in names}


def _make_frame(place: Mapping[str, Any]) -> Grid:
    """Return the pixels of the images as a grid of their own."""
    row, column, height, width = map(int, place["window"])
    transform = Affine(*map(float, place["transform"])) @ Affine.translation(column, row)
    geobox = GeoBox((height, width), transform, f"EPSG:{int(place['epsg'])}")
    bounds = geobox.boundingbox
    return Grid(geobox, box(bounds.left, bounds.bottom, bounds.right, bounds.top))


def _read_look(
    name: str, folder: Mapping[str, bytes], stated: Mapping[str, Any], frame: Grid, outline: BaseGeometry
) -> EvidenceLook:
    image = parse_evidence_image(folder[f"{name}.tif"], folder[f"{name}-scl.tif"])
    if image.classes.shape != frame.shape:
        raise EvidenceError(f"{name}.tif has another extent than its manifest says")
    inside = _rasterize(outline, frame)
    ndvi = _compute_ndvi(image)[inside]
    known = ndvi[np.isfinite(ndvi)]
    median = float(np.median(known)) if known.size else None
    day = dt.datetime.fromisoformat(stated["acquired"]).astimezone(dt.UTC).date()
    scenes = tuple(str(record["id"]) for record in stated["sources"])
    colours = _stack_colours(image)
    clear = np.isin(image.classes, CLEAR_CLASSES) & (colours != NODATA).all(axis=-1)
    return EvidenceLook(name, day, scenes, frame, colours, clear, inside, median, int(known.size))


def _compute_ndvi(image: EvidenceImage) -> NDArray[np.float64]:
    """Return (y, x) NDVI; NaN where a band has no data, or both are zero."""
    red, nir = (image.reflectance[image.bands.index(band)].astype(np.float64) for band in ("red", "nir"))
    total = red + nir
    is_known = (red != NODATA) & (nir != NODATA) & (total > 0)
    ndvi = np.full(red.shape, np.nan)
    np.divide(nir - red, total, out=ndvi, where=is_known)
    return ndvi


def _rasterize(outline: BaseGeometry, frame: Grid) -> NDArray[np.bool_]:
    """Return which pixels of a frame have their centre within an outline in lon/lat."""
    inside = reproject(outline, lonlat_to(frame.crs))
    height, width = frame.shape
    x = frame.transform.c + (np.arange(width) + 0.5) * frame.transform.a
    y = frame.transform.f + (np.arange(height) + 0.5) * frame.transform.e
    return np.asarray(shapely.contains_xy(inside, x[None, :], y[:, None]))


def _stack_colours(image: EvidenceImage) -> NDArray[np.int16]:
    """Return (y, x, 3); where the source has no green, the mean of red and blue stands in for it."""
    layers = {band: image.reflectance[index] for index, band in enumerate(image.bands)}
    if "green" not in layers:
        red, blue = layers["red"], layers["blue"]
        mean = ((red.astype(np.int32) + blue) // 2).astype(np.int16)
        layers["green"] = np.where((red == NODATA) | (blue == NODATA), np.int16(NODATA), mean)
    return np.stack([layers[band] for band in ("red", "green", "blue")], axis=-1)
