"""Computes the context columns of alerts from their outline, the days between which they began, and the context layers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.columns import Value
from minewatch.alerts.context.features import meet, move
from minewatch.alerts.context.layer import ContextLayer
from minewatch.alerts.context.legal_basis import BasisLayer, LegalBasis
from minewatch.alerts.context.legal_status import assess_bracket
from minewatch.alerts.context.overlap import Overlap, list_concessions, measure_union, name_largest
from minewatch.alerts.context.region import AlertSite, RegionFeatures, find_region, frame_sites, read_region_features, widen
from minewatch.alerts.context.source_file import describe_files
from minewatch.alerts.context.terms import AREAS, CONCESSION, DISTANCES, LAPSED, NO_LAYER, UNIT, UNKNOWN
from minewatch.areas.aoi import measure_area_ha
from minewatch.core.errors import ContextError

COVER_M = 100_000.0
"""Distance from a layer's extent beyond which a layer of areas does not apply, as one of another country; metres."""

REACH_M = 1_000_000.0
"""Largest distance that is measured; metres."""

_MARGINS_M = (50_000.0, REACH_M)
"""Margins around the alerts within which lines and points are read, until the nearest is found; metres."""

Cells = Mapping[str, Value]
"""Context column to value; None where no layer applies."""

LAW_COLUMNS = ("legal_reason", "legal_basis")
"""Why the legal status is unknown, and what it rests on."""

CONTEXT_COLUMNS = (
    "legal_status",
    *(column for columns in AREAS.values() for column in columns),
    "admin_unit",
    *DISTANCES.values(),
    *LAW_COLUMNS,
)
"""The context columns, in their order."""


@dataclass(frozen=True)
class SiteContext:
    """The context of some alerts."""

    cells: Mapping[str, Cells]
    """Alert id to its context columns."""

    notes: Sequence[str]
    """What was repaired or left out of the layers."""


def place_sites(layers: Sequence[ContextLayer], sites: Mapping[str, AlertSite]) -> SiteContext:
    """Place alerts of one area; raises ContextError where a layer cannot be read."""
    if not sites:
        return SiteContext({}, ())
    ids = sorted(sites)
    outlines = frame_sites([sites[alert_id].outline for alert_id in ids])
    unplaced = dict.fromkeys(CONTEXT_COLUMNS) | {"legal_status": UNKNOWN, "legal_reason": NO_LAYER}
    rows: list[dict[str, Value]] = [dict(unplaced) for _ in ids]
    notes: dict[str, list[str]] = {}
    consulted = _describe_concession_layers(layers, outlines)
    for kind in AREAS:
        for row, found, alert_id, outline in zip(rows, find_overlaps(layers, kind, outlines, notes), ids, outlines, strict=True):
            row.update(_describe_area(kind, found, outline))
            if kind == CONCESSION and found is not None:
                row.update(
                    _judge(found, sites[alert_id], outline, [known for layer, known in consulted if covers(layer, outline)])
                )
    if _describe_concession_layers(layers, outlines) != consulted:
        raise ContextError("a layer of concessions was changed while it was read; run the same command again")
    units = [find_overlaps([layer], UNIT, outlines, notes) for layer in layers if layer.kind == UNIT]
    for row, *levels in zip(rows, *units, strict=True):
        names = [name_largest(found) for found in levels if found is not None]
        row["admin_unit"] = ", ".join(dict.fromkeys(filter(None, names))) if names else None
    for kind, column in DISTANCES.items():
        for row, distance in zip(rows, _reach(layers, kind, outlines, notes), strict=True):
            row[column] = distance
    return SiteContext(dict(zip(ids, rows, strict=True)), tuple(line for lines in notes.values() for line in lines))


# --- areas -----------------------------------------------------------------------------------------------------------


def find_overlaps(
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
            overlaps = [_make_overlap(region_features, owner, parts) for owner, parts in pieces.items()]
            found[number] = [*(found[number] or []), *overlaps]
    return found


def _make_overlap(region_features: RegionFeatures, owner: int, parts: Sequence[BaseGeometry]) -> Overlap:
    features = region_features.features
    row, layer = features.rows[owner], features.layer
    return Overlap(
        name=row.name or layer.name,
        period=row.period,
        pieces=tuple(parts),
        whole=float(features.shapes[owner].area),
        feature_id=row.id,
        layer=layer.name,
        standing=row.standing,
        words=row.words,
        applied=row.applied,
        as_of=layer.as_of if row.standing == LAPSED else None,
    )


def covers(layer: ContextLayer, outline: BaseGeometry) -> bool:
    """True if a layer of areas applies to a place: it has features, and its extent is not far away."""
    extent = layer.extent
    if not layer.features or layer.bounds is None:
        return False
    wide = widen(outline.bounds, COVER_M)
    return extent is None or any(meet(move(wide, turn), extent) for turn in (-360, 0, 360))


def _describe_area(kind: str, found: Sequence[Overlap] | None, outline: BaseGeometry) -> dict[str, Value]:
    if found is None:
        return {}
    name, hectares, per_cent = AREAS[kind]
    total = measure_area_ha(outline)
    held = list_concessions(found)
    common = min(measure_union(held), total)  # of the same ground, cut at more points, the geodesic area may differ by a breath
    return {hectares: round(common, 4), per_cent: round(100 * common / total, 2), name: name_largest(held)}


# --- law -------------------------------------------------------------------------------------------------------------


def _describe_concession_layers(
    layers: Sequence[ContextLayer], outlines: Sequence[BaseGeometry]
) -> list[tuple[ContextLayer, BasisLayer]]:
    """Return the layers of concessions that cover any of the sites, with the state in which their files are."""
    used = [layer for layer in layers if layer.kind == CONCESSION and any(covers(layer, outline) for outline in outlines)]
    files = {layer.name: describe_files(layer.path, layer.declaration.file) for layer in used}
    return [(layer, BasisLayer(layer.name, files[layer.name], layer.declaration.as_of)) for layer in used]


def _judge(found: Sequence[Overlap], site: AlertSite, outline: BaseGeometry, consulted: Sequence[BasisLayer]) -> dict[str, Value]:
    total = measure_area_ha(outline)
    verdict = assess_bracket(found, site.last_normal, site.first_seen, total)
    basis = LegalBasis.of(verdict, found, total, consulted)
    cells: dict[str, Value] = {"legal_status": verdict.status, "legal_reason": verdict.reason, "legal_basis": basis.render()}
    return cells | {AREAS[CONCESSION][0]: name_largest(list_concessions(verdict.deciding) or list_concessions(found))}


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
