"""Reads the features of context layers near the alerts, in degrees, with sound outlines."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, GeometryError
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from pyproj.transformer import AreaOfInterest

from minewatch.alerts.context.cells import read_line
from minewatch.alerts.context.layer import ContextLayer, make_text_error, without_warnings
from minewatch.alerts.context.register_row import RegisterRow, read_register_row
from minewatch.alerts.context.terms import DISTANCES
from minewatch.areas.antimeridian import Bounds
from minewatch.areas.grid import add_corners, lonlat_to, reproject
from minewatch.core.errors import ContextError

_SLACK = 0.02
"""Degrees by which more is read: shifts between datums stay below it."""

_JUMPS = 150.0
"""Degrees of longitude beyond which rings that jump at 180° are looked for."""

_Shapes = NDArray[np.object_]


@dataclass(frozen=True)
class Features:
    """The features of a layer that were read."""

    layer: ContextLayer
    """Where they come from."""

    shapes: _Shapes
    """(n,) shapely geometries in degrees, valid, none empty; polygons alone in layers of areas."""

    rows: Sequence[RegisterRow]
    """What each says of itself."""

    faults: Counter[str]
    """What was repaired or left out, in words, to number of features."""

    @property
    def names(self) -> list[str]:
        """Of each; the layer's own where a row has none."""
        return [row.name or self.layer.name for row in self.rows]

    @property
    def periods(self) -> list[tuple[dt.date, dt.date] | None]:
        """First and last day of validity of each; None where they are unknown."""
        return [row.period for row in self.rows]

    def describe_faults(self) -> list[str]:
        """Return one line for each kind of fault."""
        return [f"context layer {self.layer.name!r}: {count} {fault}" for fault, count in self.faults.items()]


def read_features(layer: ContextLayer, region: Bounds | None = None) -> Features:
    """Read the features that meet a region, all without one.

    The region is in degrees and may reach beyond 180 on either side.  Raises ContextError where the file cannot be read.
    """
    # A feature may meet several boxes.
    rows = list({row[0]: row for box in _list_boxes(layer, region) for row in _read_rows(layer, box)}.values())
    faults: Counter[str] = Counter()
    blobs = np.array([row[1] for row in rows], object)
    named = [read_line(row[2]["name"]) or layer.name for row in rows] if layer.declaration.name else ()
    shapes = _repair(_to_lonlat(_decode(blobs, named, faults), layer, region, faults), layer, named, faults)
    kept = [index for index, shape in enumerate(shapes) if shape is not None]
    register = [read_register_row(rows[index][2], layer.declaration, faults) for index in kept]
    return Features(layer, shapes[kept], register, faults)


def _read_rows(layer: ContextLayer, box: Bounds | None) -> list[tuple[Any, ...]]:
    """Return fid, WKB and cells of each row, by the key that declares them."""
    columns, where = layer.declaration.columns, f"context layer {layer.name!r}"
    choice = {"columns": list(dict.fromkeys(columns.values())), "bbox": box, "encoding": layer.declaration.encoding}
    try:
        with without_warnings():
            meta, fids, blobs, data = pyogrio.raw.read(
                layer.path, layer=layer.layer, force_2d=True, return_fids=True, datetime_as_string=True, **choice
            )
    except UnicodeDecodeError as error:
        raise make_text_error(where, layer.declaration, error) from error
    except (DataSourceError, DataLayerError, FeatureError, GeometryError) as error:
        raise ContextError(f"{where}: {layer.path} cannot be read to its end; it is damaged, save it anew") from error
    found = {str(field): values for field, values in zip(meta["fields"], data, strict=True)}
    cells = [found[column] for column in columns.values()]
    rows = zip(*cells, strict=True) if cells else ((),) * len(fids)
    return [(int(fid), blob, dict(zip(columns, row, strict=True))) for fid, blob, row in zip(fids, blobs, rows, strict=True)]


# --- where to read ---------------------------------------------------------------------------------------------------


def _list_boxes(layer: ContextLayer, region: Bounds | None) -> list[Bounds | None]:
    """Return the boxes to read in the layer's CRS; [None] is everything, [] nothing."""
    if region is None:
        return [None]
    extent = layer.extent
    wide = grow(region, _SLACK)
    moved = [move(wide, turn) for turn in (-360, 0, 360)]
    boxes = [box for box in moved if extent is None or meet(box, extent)]
    if layer.is_lonlat:
        # A ring that jumps at 180° is filed under the box of what it does not enclose, which meets the prime meridian.
        jumping = [(-0.5, wide[1], 0.5, wide[3])] if max(-wide[0], wide[2]) > _JUMPS else []
        return [*boxes, *jumping]
    found = [convert_box(box, layer.crs) for box in boxes]
    return [None] if None in found else found


def convert_box(box: Bounds, crs: CRS) -> Bounds | None:
    """Return a box in another CRS, a little larger; None where it cannot be converted."""
    try:
        converted = lonlat_to(crs).transform_bounds(*box, densify_pts=101)
    except ProjError:
        return None
    west, south, east, north = map(float, converted)
    if not all(map(math.isfinite, converted)) or west > east:
        return None
    return grow((west, south, east, north), 0.01 * max(east - west, north - south))


def grow(box: Bounds, by: float) -> Bounds:
    """Return a box that is larger on each side."""
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def move(box: Bounds, by: float) -> Bounds:
    """Return a box farther east."""
    return box[0] + by, box[1], box[2] + by, box[3]


def meet(a: Bounds, b: Bounds) -> bool:
    """True if two boxes have a point in common."""
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


# --- shapes ----------------------------------------------------------------------------------------------------------


def _decode(blobs: _Shapes, names: Sequence[str], faults: Counter[str]) -> _Shapes:
    shapes = shapely.from_wkb(blobs, on_invalid="fix") if len(blobs) else np.array([], object)
    hollow = shapely.is_missing(shapes) | shapely.is_empty(shapes)
    _note(faults, hollow, "rows have no shape and were left out", names)
    shapes[hollow] = None
    return shapes


def _to_lonlat(shapes: _Shapes, layer: ContextLayer, region: Bounds | None, faults: Counter[str]) -> _Shapes:
    """Return the shapes in degrees; those that lie nowhere on Earth are left out."""
    if not layer.is_lonlat:
        west, south, east, north = region or (-180, -90, 180, 90)
        if west < -180 or east > 180:
            west, east = -180, 180
        interest = AreaOfInterest(west, max(-90, south), east, min(90, north))
        transformer = Transformer.from_crs(layer.crs, 4326, always_xy=True, area_of_interest=interest)
        shapes = reproject(add_corners(shapes, layer.crs), transformer)
    west, south, east, north = shapely.bounds(shapes).T
    nowhere = ~shapely.is_missing(shapes) & ~((south >= -90.001) & (north <= 90.001) & (west >= -361) & (east <= 541))
    _note(faults, nowhere, "shapes are nowhere on Earth and were left out", ())
    shapes[nowhere] = None
    return _close_gap(shapes)


def _close_gap(shapes: _Shapes) -> _Shapes:
    """Repair rings that jump from one side of 180° to the other: their western part moves beyond 180."""
    bounds = shapely.bounds(shapes)
    for index in np.flatnonzero(bounds[:, 2] - bounds[:, 0] > 180):
        parts = [_close_part(part) for part in shapely.get_parts(shapes[index])]
        if any(changed for _, changed in parts):
            collect = shapely.multipolygons if all(p.geom_type == "Polygon" for p, _ in parts) else shapely.geometrycollections
            shapes[index] = collect([part for part, _ in parts])
    return shapes


def _close_part(part: Any) -> tuple[Any, bool]:
    east = shapely.transform(part, lambda points: np.column_stack([points[:, 0] % 360, points[:, 1]]))
    width, closed = (box[2] - box[0] for box in (part.bounds, east.bounds))
    jumps = np.abs(np.diff(shapely.get_coordinates(part)[:, 0])).max(initial=0) > 180
    return (east, True) if jumps and 0 < closed < min(width, 180) else (part, False)


def _repair(shapes: _Shapes, layer: ContextLayer, names: Sequence[str], faults: Counter[str]) -> _Shapes:
    """Repair outlines that cross themselves, and keep only polygons in layers of areas."""
    broken = ~shapely.is_missing(shapes) & ~shapely.is_valid(shapes)
    _note(faults, broken, "outlines crossed or touched themselves and were repaired", names)
    if broken.any():
        shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    if layer.kind not in DISTANCES:
        odd = ~shapely.is_missing(shapes) & ~np.isin(shapely.get_type_id(shapes), (3, 6))
        for index in np.flatnonzero(odd):
            parts = shapely.get_parts(shapely.get_parts(shapes[index]))
            shapes[index] = shapely.union_all(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    lost = ~shapely.is_missing(shapes) & shapely.is_empty(shapes)
    what = "no area" if layer.kind not in DISTANCES else "no place"
    _note(faults, lost, f"shapes have {what} and were left out", names)
    shapes[lost] = None
    return shapes


def _note(faults: Counter[str], where: NDArray[np.bool_], text: str, names: Sequence[str]) -> None:
    count = int(where.sum())
    if count:
        first = names[int(np.flatnonzero(where)[0])] if names else ""
        faults[f"{text} (the first: {first})" if first else text] += count
