"""Computes the context columns of alerts from their outline, the day they were first seen, and the context layers."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.columns import Value
from minewatch.alerts.context.declaration import AREAS, CONCESSION, DISTANCES, UNIT
from minewatch.alerts.context.features import meet, move
from minewatch.alerts.context.layer import ContextLayer
from minewatch.alerts.context.region import AlertSite, find_region, frame_sites, read_region_features, widen
from minewatch.areas.aoi import measure_area_ha

INSIDE, OUTSIDE, EXPIRED, UNKNOWN = "inside", "outside", "expired", "unknown"
LEGAL = (INSIDE, OUTSIDE, EXPIRED, UNKNOWN)
"""What ``legal_status`` can be."""

INSIDE_SHARE = 0.5
"""Share of an alert's area in concessions from which it counts as inside."""

COVER_M = 100_000.0
"""Distance from a layer's extent beyond which a layer of areas does not apply, as one of another country; metres."""

REACH_M = 1_000_000.0
"""Largest distance that is measured; metres."""

_MARGINS_M = (50_000.0, REACH_M)
"""Margins around the alerts within which lines and points are read, until the nearest is found; metres."""

Cells = Mapping[str, Value]
"""Context column to value; None where no layer applies."""

CONTEXT_COLUMNS = (
    "legal_status",
    *(column for columns in AREAS.values() for column in columns),
    "admin_unit",
    *DISTANCES.values(),
)
"""The context columns, in their order."""


@dataclass(frozen=True)
class SiteContext:
    """The context of some alerts."""

    cells: Mapping[str, Cells]
    """Alert id to its context columns."""

    notes: Sequence[str]
    """What was repaired or left out of the layers."""


@dataclass(frozen=True)
class Overlap:
    """The intersection of an alert with one feature."""

    name: str
    """Of the feature."""

    period: tuple[dt.date, dt.date] | None
    """When it was valid."""

    pieces: tuple[BaseGeometry, ...]
    """Their intersection, degrees."""

    whole: float
    """Area of the whole feature, square degrees; only for comparing."""

    @property
    def area(self) -> float:
        """Square degrees."""
        return math.fsum(piece.area for piece in self.pieces)


def place_sites(layers: Sequence[ContextLayer], sites: Mapping[str, AlertSite]) -> SiteContext:
    """Place alerts of one area; raises ContextError where a layer cannot be read."""
    if not sites:
        return SiteContext({}, ())
    ids = sorted(sites)
    outlines = frame_sites([sites[alert_id].outline for alert_id in ids])
    rows: list[dict[str, Value]] = [dict.fromkeys(CONTEXT_COLUMNS) | {"legal_status": UNKNOWN} for _ in ids]
    notes: dict[str, list[str]] = {}
    for kind in AREAS:
        for row, found, alert_id, outline in zip(rows, _overlap(layers, kind, outlines, notes), ids, outlines, strict=True):
            row.update(_describe_area(kind, found, sites[alert_id], outline))
    units = [_overlap([layer], UNIT, outlines, notes) for layer in layers if layer.kind == UNIT]
    for row, *levels in zip(rows, *units, strict=True):
        names = [_name_largest(found) for found in levels if found is not None]
        row["admin_unit"] = ", ".join(dict.fromkeys(filter(None, names))) if names else None
    for kind, column in DISTANCES.items():
        for row, distance in zip(rows, _reach(layers, kind, outlines, notes), strict=True):
            row[column] = distance
    return SiteContext(dict(zip(ids, rows, strict=True)), tuple(line for lines in notes.values() for line in lines))


# --- areas -----------------------------------------------------------------------------------------------------------


def _overlap(
    layers: Sequence[ContextLayer], kind: str, outlines: Sequence[BaseGeometry], notes: dict[str, list[str]]
) -> list[list[Overlap] | None]:
    """Return for each site its overlaps with features of a kind; None where no layer of that kind covers it."""
    found: list[list[Overlap] | None] = [None] * len(outlines)
    for layer in layers:
        if layer.kind != kind:
            continue
        covered = [number for number, outline in enumerate(outlines) if covers(layer, outline)]
        if not covered:
            continue
        inner = [outlines[number] for number in covered]
        region_features = read_region_features(layer, find_region(inner))
        features = region_features.features
        notes[layer.name] = features.describe_faults()
        for number, pieces in zip(covered, region_features.cut(inner), strict=True):
            overlaps = [
                Overlap(features.names[owner], features.periods[owner], tuple(parts), float(features.shapes[owner].area))
                for owner, parts in pieces.items()
            ]
            found[number] = [*(found[number] or []), *overlaps]
    return found


def covers(layer: ContextLayer, outline: BaseGeometry) -> bool:
    """True if a layer of areas applies to a place: it has features, and its extent is not far away."""
    extent = layer.extent
    if not layer.features or layer.bounds is None:
        return False
    wide = widen(outline.bounds, COVER_M)
    return extent is None or any(meet(move(wide, turn), extent) for turn in (-360, 0, 360))


def _describe_area(kind: str, found: Sequence[Overlap] | None, site: AlertSite, outline: BaseGeometry) -> dict[str, Value]:
    if found is None:
        return {}
    name, hectares, per_cent = AREAS[kind]
    total = measure_area_ha(outline)
    common = min(_measure_union(found), total)  # of the same ground, cut at more points, the geodesic area may differ by a breath
    cells: dict[str, Value] = {hectares: round(common, 4), per_cent: round(100 * common / total, 2)}
    if kind != CONCESSION:
        return cells | {name: _name_largest(found)}
    status, deciding = assess_legal_status(found, site.first_seen, total)
    return cells | {name: _name_largest(deciding or found), "legal_status": status}


def assess_legal_status(found: Sequence[Overlap], day: dt.date, total: float) -> tuple[str, Sequence[Overlap]]:
    """Return the legal status of a site of ``total`` hectares on a day, and the concessions that decide it."""
    undated = [overlap for overlap in found if overlap.period is None]
    dated = [(overlap, overlap.period) for overlap in found if overlap.period]
    valid = [overlap for overlap, (first, last) in dated if first <= day <= last]
    others = [overlap for overlap, (first, last) in dated if not first <= day <= last]
    if _is_half(valid, total):
        return INSIDE, valid
    if undated and _is_half([*valid, *undated], total):
        return UNKNOWN, undated
    if _is_half(found, total):
        return EXPIRED, others
    return OUTSIDE, ()


def _is_half(found: Sequence[Overlap], total: float) -> bool:
    # Exactly one half counts, whatever the last digits say.
    return bool(found) and _measure_union(found) >= INSIDE_SHARE * total * (1 - 1e-5)


def _measure_union(found: Sequence[Overlap]) -> float:
    """Measure the hectares of all overlaps together; what lies in several counts once."""
    return measure_area_ha(shapely.union_all([piece for overlap in found for piece in overlap.pieces])) if found else 0.0


def _name_largest(found: Sequence[Overlap]) -> str:
    """Name the largest overlap; of equal ones that of the smallest feature, which says most."""
    largest = max((overlap.area for overlap in found), default=0.0)
    equal = [overlap for overlap in found if overlap.area >= largest * (1 - 1e-6)]
    return min(equal, key=lambda overlap: (overlap.whole, overlap.name)).name if equal else ""


# --- distances -------------------------------------------------------------------------------------------------------


def _reach(
    layers: Sequence[ContextLayer], kind: str, outlines: Sequence[BaseGeometry], notes: dict[str, list[str]]
) -> list[float | None]:
    """Return for each site the metres to the nearest feature of a kind; None where there is none in reach."""
    best = np.full(len(outlines), math.inf)
    for layer in layers:
        if layer.kind == kind:
            best = np.minimum(best, _reach_layer(layer, outlines, notes))
    return [round(float(distance), 1) if distance <= REACH_M else None for distance in best]


def _reach_layer(layer: ContextLayer, outlines: Sequence[BaseGeometry], notes: dict[str, list[str]]) -> list[float]:
    """Measure with what is read nearby; where that is not near enough to be the nearest for sure, with more."""
    distances = [math.inf] * len(outlines)
    for margin in _MARGINS_M:
        open_ = [number for number, distance in enumerate(distances) if distance == math.inf]
        if not open_ or not layer.features:
            break
        region_features = read_region_features(layer, find_region([outlines[number] for number in open_], margin))
        notes[layer.name] = region_features.features.describe_faults()
        for number in open_:
            distance = region_features.measure_distance(outlines[number])
            distances[number] = distance if distance <= margin else math.inf
    return distances
