"""The intersection of an alert with the features of a layer."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.context.terms import APPLICATION, EXPLORATION, TITLE
from minewatch.areas.aoi import measure_area_ha


@dataclass(frozen=True, eq=False)
class Overlap:
    """The intersection of an alert with one feature; the same feature twice in a layer is two of them."""

    name: str
    """Of the feature."""

    period: tuple[dt.date, dt.date] | None
    """When it was valid."""

    pieces: tuple[BaseGeometry, ...]
    """Their intersection, degrees."""

    whole: float
    """Area of the whole feature, square degrees; only for comparing."""

    feature_id: str = ""
    """What the layer's declared column says; '' for nothing."""

    layer: str = ""
    """Name of the layer, as declared."""

    standing: str = TITLE
    """What the row is: one of STANDINGS."""

    words: str = ""
    """Of the register on its status; '' where it has none."""

    applied: dt.date | None = None
    """When it was applied for; None where that is not known."""

    as_of: dt.date | None = None
    """The day on which the register showed it as lapsed; None of others."""

    @property
    def area(self) -> float:
        """Square degrees."""
        return math.fsum(piece.area for piece in self.pieces)


def list_concessions(found: Sequence[Overlap]) -> list[Overlap]:
    """Return those that may allow extraction now, or did: neither applications nor permits to explore."""
    return [overlap for overlap in found if overlap.standing not in (APPLICATION, EXPLORATION)]


def measure_union(found: Sequence[Overlap]) -> float:
    """Measure the hectares of all overlaps together; what lies in several counts once."""
    return measure_area_ha(shapely.union_all([piece for overlap in found for piece in overlap.pieces])) if found else 0.0


def name_largest(found: Sequence[Overlap]) -> str:
    """Name the largest overlap; of equal ones that of the smallest feature, which says most."""
    largest = max((overlap.area for overlap in found), default=0.0)
    equal = [overlap for overlap in found if overlap.area >= largest * (1 - 1e-6)]
    return min(equal, key=lambda overlap: (overlap.whole, overlap.name)).name if equal else ""
