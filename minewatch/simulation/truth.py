"""The true changes as polygons along pixel edges, for scoring.

Layer ``sites``: every mine (kind ``mining``); ground cleared for farming (kind ``clearing``), of which an alarm is true though
no mine is there; and as kind ``temporary`` patches that are soon green again: clearings of some weeks and burnt patches. These
can be distinguished from a mine (they regrow; char is dark), so an alarm on them is false. Layer ``ignore``: landslides and
logging, which leave the ground bare as a mine does; the ground of kind ``clearing`` once more, so that whoever scores mines
takes an alarm there for neither right nor wrong; and parts of mines with fewer than three looks. River bars, cropland and
pasture are in neither layer: an alarm there is false.

A look is a date on which at least four fifths of the site's changed pixels are really seen (whatever the SCL says) and
untouched forest looks like forest (median NDVI 0.4 or more, which excludes snow); of a clearing only until half of its leaves
are back. Clearings with fewer than three looks are in ``ignore`` alone.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import shapes
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from minewatch.simulation.patches import SimulatedPatch
from minewatch.simulation.stac import SceneGrid

ENOUGH_LOOKS = 3
"""Pixels of a mine, and clearings, with fewer looks are not scored."""
_SEEN, _FOREST_NDVI = 0.8, 0.4
_KINDS = ("mining", "clearing", "temporary")
"""Of sites, in the order of the layer."""


@dataclass(frozen=True)
class SceneTruth:
    """What a scene really showed."""

    day: dt.date
    clear: tuple[float, ...]
    """Of each patch: share of its changed pixels that are really seen; nan before the change."""
    forest_ndvi: float
    """Median NDVI of untouched forest; nan where it is hidden."""


def write_truth(path: Path, grid: SceneGrid, patches: Sequence[SimulatedPatch], scene_truths: Sequence[SceneTruth]) -> Path:
    """Write truth.gpkg with the layers ``sites`` and ``ignore`` in the scenes' CRS."""
    sites: list[dict[str, Any]] = []
    ignored: list[dict[str, Any]] = []
    for number, patch in enumerate(patches):
        if patch.kind in ("landslide", "logging"):
            ignored.append({"kind": f"{patch.kind}: bare for good, not scored", "geometry": _trace(grid, patch, patch.mask)})
        elif patch.kind == "cleared":
            looks = [day for day in _list_looks(scene_truths, number) if day.toordinal() <= patch.last_bare]
            if len(looks) >= ENOUGH_LOOKS:
                sites.append(_describe_site(grid, patch, patch.mask, 0, looks))
            ignored.append({"kind": "clearing: true, but no mine, not scored", "geometry": _trace(grid, patch, patch.mask)})
        elif patch.kind == "mine":
            looks = _list_looks(scene_truths, number)
            _add_mine(sites, ignored, grid, patch, looks)
        else:
            sites.append(_describe_site(grid, patch, patch.mask, 0, []))
    sites.sort(key=lambda row: _KINDS.index(row["kind"]))
    facts = ["site", "source", "kind", "onset", "first_clear", "second_clear", "looks", "growing", "area_ha"]
    path.unlink(missing_ok=True)
    with _fixed_clock():
        _write_layer(path, "sites", _tabulate(sites, [*facts, "geometry"], grid.epsg), "Polygon")
        _write_layer(path, "ignore", _tabulate(ignored, ["kind", "geometry"], grid.epsg), "MultiPolygon")
    return path


def _list_looks(scene_truths: Sequence[SceneTruth], number: int) -> list[dt.date]:
    """Return the dates on which a patch is seen."""
    return [v.day for v in scene_truths if v.clear[number] >= _SEEN and v.forest_ndvi >= _FOREST_NDVI]


def _add_mine(
    sites: list[dict[str, Any]], ignored: list[dict[str, Any]], grid: SceneGrid, patch: SimulatedPatch, looks: list[dt.date]
) -> None:
    """Add the part of a mine that was seen often enough; the rest is not scored."""
    days = np.array(sorted(d.toordinal() for d in looks))
    counts = len(days) - np.searchsorted(days, patch.onset)
    labels, pieces = ndimage.label(patch.mask & (counts >= ENOUGH_LOOKS))
    scored: NDArray[np.bool_] = np.zeros(labels.shape, np.bool_)
    if pieces:
        scored = labels == np.bincount(labels.ravel())[1:].argmax() + 1
        sites.append(_describe_site(grid, patch, scored, len(sites) + 1, looks))
    rest = patch.mask & ~scored
    if rest.any():
        ignored.append({"kind": "mine: too few looks, not scored", "geometry": _trace(grid, patch, rest)})


def _describe_site(
    grid: SceneGrid, patch: SimulatedPatch, mask: NDArray[np.bool_], number: int, looks: list[dt.date]
) -> dict[str, Any]:
    """Return the row of one site."""
    days = [d.isoformat() for d in looks]
    kind = {"mine": "mining", "cleared": "clearing"}.get(patch.kind, "temporary")
    return {
        "site": number,
        "source": patch.kind,
        "kind": kind,
        "onset": dt.date.fromordinal(patch.first_onset).isoformat(),
        "first_clear": days[0] if days else None,
        "second_clear": days[1] if days[1:] else None,
        "looks": json.dumps(days) if kind != "temporary" else None,
        "growing": patch.growing,
        "area_ha": round(float(mask.sum()) / 100, 2),
        "geometry": _trace(grid, patch, mask),
    }


def _trace(grid: SceneGrid, patch: SimulatedPatch, mask: NDArray[np.bool_]) -> BaseGeometry:
    """Return the outline of pixels of a patch in map coordinates."""
    corner = Affine(10, 0, grid.left + 10 * patch.column, 0, -10, grid.top - 10 * patch.row)
    found = shapes(mask.astype(np.uint8), mask=mask, transform=corner)
    return shapely.union_all([shapely.geometry.shape(outline) for outline, _ in found])


def _tabulate(rows: list[dict[str, Any]], columns: list[str], epsg: int) -> gpd.GeoDataFrame:
    """Make a table of rows; an empty one has the same columns and types."""
    types = {"site": "int64", "growing": "bool", "area_ha": "float64"}
    wanted = {c: types.get(c, "object") for c in columns if c != "geometry"}
    return gpd.GeoDataFrame(pd.DataFrame(rows, columns=columns).astype(wanted), geometry="geometry", crs=epsg)


def _write_layer(path: Path, layer: str, table: gpd.GeoDataFrame, geometry: str) -> None:
    """Append a layer to the file, in a version of GeoPackage that older programs can read."""
    options = {"VERSION": "1.2"}
    pyogrio.write_dataframe(table, path, layer=layer, driver="GPKG", geometry_type=geometry, dataset_options=options)


@contextmanager
def _fixed_clock() -> Iterator[None]:
    """Keep the time of writing out of the file, so that the same settings give the same bytes."""
    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2000-01-01T00:00:00.000Z"})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})
