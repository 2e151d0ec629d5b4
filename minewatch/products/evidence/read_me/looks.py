"""Reads the images of evidence: what they show in true colour, and how green the alert's ground is in them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minewatch.archive.item import read_terms
from minewatch.areas.grid import Grid, Window
from minewatch.core.errors import EvidenceError
from minewatch.core.units import NODATA
from minewatch.products.evidence.image_file import parse_evidence_image
from minewatch.products.evidence.look_choice import rasterize_outline
from minewatch.products.evidence.manifest import AFTER, BEFORE, BEFORE_SEASON, OBSERVATIONS
from minewatch.products.evidence.method import cut_grid, parse_grid
from minewatch.settings.credits import UNSTATED, DataTerms
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

    terms: DataTerms
    """What its item states on whom to credit."""


def read_looks(folder: Mapping[str, bytes], manifest: Mapping[str, Any], outline: BaseGeometry) -> dict[str, EvidenceLook]:
    """Return the images that the manifest names and the folder has; raises EvidenceError where one cannot be read."""
    stated = manifest["images"]
    names = [name for name in (BEFORE, BEFORE_SEASON, AFTER) if stated.get(name) and f"{name}.tif" in folder]
    frame = cut_grid(parse_grid(manifest["grid"]), Window(*map(int, manifest["grid"]["window"])))
    return {name: _read_look(name, folder, stated[name], frame, outline) for name in names}


def _read_look(
    name: str, folder: Mapping[str, bytes], stated: Mapping[str, Any], frame: Grid, outline: BaseGeometry
) -> EvidenceLook:
    image = parse_evidence_image(folder[f"{name}.tif"], folder[f"{name}-scl.tif"])
    if image.classes.shape != frame.shape:
        raise EvidenceError(f"{name}.tif has another extent than its manifest says")
    inside = rasterize_outline(frame, frame.window, outline)
    ndvi = image.compute_ndvi()[inside]
    known = ndvi[np.isfinite(ndvi)]
    median = float(np.median(known)) if known.size else None
    day = dt.datetime.fromisoformat(stated["acquired"]).astimezone(dt.UTC).date()
    scenes = tuple(str(record["id"]) for record in stated["sources"])
    colours = image.stack_colours()
    clear = np.isin(image.classes, CLEAR_CLASSES) & (colours != NODATA).all(axis=-1)
    terms = _read_terms(folder, str(stated.get("item")))
    return EvidenceLook(name, day, scenes, frame, colours, clear, inside, median, int(known.size), terms)


def _read_terms(folder: Mapping[str, bytes], item: str) -> DataTerms:
    """Return what the look's item states on whom to credit; evidence of format 1 has none for most looks."""
    data = folder.get(f"{OBSERVATIONS}/{item}.json")
    return read_terms(json.loads(data)) if data else UNSTATED
