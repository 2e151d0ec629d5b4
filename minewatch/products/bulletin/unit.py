"""The units of a bulletin: areas of interest, or the features of context layers that meet them, and the ground outside any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.context.declaration import read_declarations
from minewatch.alerts.context.layer import ContextLayer, open_layers
from minewatch.alerts.context.place import covers
from minewatch.alerts.context.region import find_region, read_region_features, unwrap
from minewatch.alerts.context.terms import CONCESSION
from minewatch.areas.aoi import measure_area_ha
from minewatch.areas.grid import lonlat_to, reproject
from minewatch.core.errors import ContextError
from minewatch.core.workspace import Workspace
from minewatch.products.bulletin.options import AREA, UNITS
from minewatch.products.bulletin.watched_area import WatchedArea


@dataclass(frozen=True, eq=False)
class UnitPart:
    """The part of a unit that lies in one area of interest."""

    area: WatchedArea
    """The area."""

    outlines: tuple[BaseGeometry, ...] | None = None
    """Its polygons, or all that it leaves out, in degrees near the area; None = the whole area."""

    is_outside: bool = False
    """True if it is the ground of the area outside the outlines."""

    @property
    def pixels(self) -> NDArray[np.bool_]:
        """(y, x) of the area's sample: what is watched of it."""
        inside = self.area.inside
        if self.outlines is None:
            return inside
        to_grid = lonlat_to(self.area.grid.crs)
        held = self.area.place([reproject(outline, to_grid) for outline in self.outlines])
        return inside & (~held if self.is_outside else held)

    def cut(self, ground: BaseGeometry) -> BaseGeometry:
        """Return the part of some ground, in degrees near the area, that lies in it."""
        if self.outlines is None or ground.is_empty:
            return ground
        near = [outline for outline in self.outlines if shapely.intersects(outline, ground)]
        if self.is_outside:
            return shapely.difference(ground, shapely.union_all(near)) if near else ground
        common = shapely.get_parts(shapely.intersection(ground, shapely.union_all(near))) if near else np.array([], object)
        held: BaseGeometry = shapely.multipolygons(common[shapely.get_type_id(common) == shapely.GeometryType.POLYGON])
        return held


@dataclass(frozen=True, eq=False)
class Unit:
    """A unit, as it meets the areas of interest."""

    name: str
    """Its name; '' of the ground outside any."""

    parts: Sequence[UnitPart]
    """One for each area that it meets."""

    hectares: float
    """Of the whole; 0 of the ground outside any, which has no outline of its own."""

    watched_ha: float = 0.0
    """Of it in areas of interest; where areas overlap, that ground counts once for each."""

    id: str = ""
    """What its register calls it."""

    layer: str = ""
    """The context layer that has it."""

    standing: str = ""
    """Of a concession."""

    is_outside: bool = False
    """True for the ground outside any."""


def centre_of(area: WatchedArea) -> float:
    """Return the longitude near which the shapes of an area are written, so that none is torn at 180°."""
    return float(area.aoi.joined.centroid.x)


def open_unit_layers(workspace: Workspace, by: str) -> list[ContextLayer]:
    """Open the context layers that have the units; none for areas of interest.

    Raises ContextError where no layer of that kind is declared, or one cannot be used.
    """
    if by == AREA:
        return []
    kind = UNITS[by]
    if not any(declared.kind == kind for declared in read_declarations(workspace).values()):
        raise ContextError(
            f"no context layer of kind {kind} is declared; add a table to {workspace.settings}:"
            f' [context.NAME] with file = "…" and kind = "{kind}"'
        )
    return [layer for layer in open_layers(workspace) if layer.kind == kind]


def find_units(layers: Sequence[ContextLayer], areas: Sequence[WatchedArea]) -> tuple[list[Unit], list[str]]:
    """Return the areas as units, or the features of layers that meet them; and lines on what was repaired in these.

    Raises ContextError where a layer cannot be read.
    """
    if not layers:
        return [make_whole_unit(area.aoi.name, [area]) for area in areas], []
    found = _Meeting()
    notes: list[str] = []
    for layer in layers:
        faults: dict[str, None] = {}
        for area in areas:
            faults |= dict.fromkeys(found.meet(layer, area))
        notes += faults
    return [*found.make_units(), *found.make_outside(areas)], notes


def make_whole_unit(name: str, areas: Sequence[WatchedArea]) -> Unit:
    """Return a unit of whole areas of interest."""
    hectares = sum(measure_area_ha(area.aoi.geometry) for area in areas)
    return Unit(name, [UnitPart(area) for area in areas], hectares, hectares)


@dataclass
class _Found:
    """A feature that meets areas of interest."""

    name: str
    id: str
    layer: str
    standing: str
    hectares: float
    parts: list[UnitPart] = field(default_factory=list)
    watched_ha: float = 0.0


class _Meeting:
    """Collects the features that meet areas of interest."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, bytes], _Found] = {}
        self._by_area: dict[str, list[BaseGeometry]] = {}

    def meet(self, layer: ContextLayer, area: WatchedArea) -> Sequence[str]:
        """Add the features of a layer that meet an area; return lines on the layer's faults there."""
        outline = area.aoi.joined
        if not covers(layer, outline):
            return ()
        region = read_region_features(layer, find_region([outline]))
        for owner, pieces in region.cut([outline])[0].items():
            row, whole = region.features.rows[owner], region.features.shapes[owner]
            key = layer.name, row.name, row.id, shapely.to_wkb(whole)
            standing = row.standing if layer.kind == CONCESSION else ""
            unit = self._found.setdefault(
                key, _Found(row.name or layer.name, row.id, layer.name, standing, measure_area_ha(whole))
            )
            outlines = tuple(region.shapes[region.owners == owner])
            if all(part.area is not area for part in unit.parts):  # the same feature twice in a layer counts once
                unit.parts.append(UnitPart(area, outlines))
                unit.watched_ha += measure_area_ha(shapely.union_all(pieces))
                self._by_area.setdefault(area.aoi.name, []).extend(outlines)
        return region.features.describe_faults()

    def make_units(self) -> Iterator[Unit]:
        """Yield the features as units."""
        for one in self._found.values():
            yield Unit(one.name, one.parts, one.hectares, one.watched_ha, one.id, one.layer, one.standing)

    def make_outside(self, areas: Sequence[WatchedArea]) -> Iterator[Unit]:
        """Yield the ground of areas outside any feature; nothing where there is none."""
        parts = [UnitPart(area, tuple(self._by_area.get(area.aoi.name, ())), is_outside=True) for area in areas]
        watched = {part: int(part.pixels.sum()) * part.area.pixel_m2 / 10_000 for part in parts}
        if any(watched.values()):
            yield Unit("", [part for part in parts if watched[part]], 0.0, sum(watched.values()), is_outside=True)


def near_area(ground: BaseGeometry, area: WatchedArea) -> BaseGeometry:
    """Return a shape in degrees with longitudes near those of an area."""
    return unwrap(ground, centre_of(area))
