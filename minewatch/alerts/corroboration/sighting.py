"""Sightings of other systems, shapes with days, and the regions in which they count."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.context.region import frame_sites, widen
from minewatch.areas.antimeridian import Bounds
from minewatch.core.units import EPOCH

NO_DAY = int(np.iinfo(np.int32).min)
"""Day of a sighting without a date."""

LEVELS = ("", "low", "high", "highest")
"""What the other system says of its own confidence, by level; '' where it says nothing."""

UNSTATED, LOW, HIGH, HIGHEST = range(len(LEVELS))


@dataclass(frozen=True)
class Sightings:
    """What another system saw near one area."""

    shapes: NDArray[np.object_]
    """(n,) points, lines and polygons in degrees; longitudes within 180 of the area's."""

    days: NDArray[np.int32]
    """(n,) days since 1970-01-01, NO_DAY without a date."""

    levels: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    """(n,) levels of LEVELS; left out, none is stated."""

    def __post_init__(self) -> None:
        """Complete the levels."""
        if not len(self.levels):
            object.__setattr__(self, "levels", np.zeros(len(self.shapes), np.uint8))

    def choose(self, chosen: NDArray[Any]) -> Sightings:
        """Return some of them, by a mask or their numbers."""
        return Sightings(self.shapes[chosen], self.days[chosen], self.levels[chosen])

    def __len__(self) -> int:
        """Count them."""
        return len(self.shapes)


@dataclass(frozen=True)
class Region:
    """Where sightings count for an area."""

    aoi: str
    """Name of the area."""

    box: Bounds
    """Degrees; may reach beyond 180 on either side."""

    @property
    def centre(self) -> float:
        """Longitude of the middle, degrees."""
        return (self.box[0] + self.box[2]) / 2

    def turn(self, longitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Write longitudes so that they lie within 180 of the centre."""
        turned: NDArray[np.float64] = longitudes + 360 * np.round((self.centre - longitudes) / 360)
        return turned

    def holds(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which points lie in it; ``x`` as `turn` gives it."""
        west, south, east, north = self.box
        return (x >= west) & (x <= east) & (y >= south) & (y <= north)


@dataclass
class Reading:
    """What a file of another system holds near the areas."""

    sightings: dict[str, Sightings]
    """By area; only those that have some."""

    rows: int = 0
    """Rows or features in the file; of rasters the pixels with an alert near the areas."""

    coding: str = ""
    """Name of the coding of rasters; '' for other files."""

    tiles: int = 0
    """Rasters, or pairs of them, that were given."""

    date_column: str | None = None
    """Where their dates come from; None where the file has none."""

    swapped: int = 0
    """Rows that would lie near an area if latitude and longitude were exchanged."""

    notes: list[str] = field(default_factory=list)
    """What was left out, and why."""


def make_region(aoi: str, outline: BaseGeometry, margin_m: float) -> Region:
    """Make the region of an area with a margin in metres."""
    (framed,) = frame_sites([outline])
    return Region(aoi, widen(framed.bounds, margin_m))


def join_sightings(parts: Sequence[Sightings]) -> Sightings:
    """Join sightings: each one once, sorted by their content."""
    shapes = np.concatenate([part.shapes for part in parts])
    days = np.concatenate([part.days for part in parts])
    levels = np.concatenate([part.levels for part in parts])
    joined = Sightings(shapes, days, levels)
    if (shapely.get_type_id(shapes) == shapely.GeometryType.POINT).all():  # of which there may be a million
        x, y = shapely.get_coordinates(shapes).T
        rows = pd.DataFrame({"x": x, "y": y, "day": days, "level": levels})
        return joined.choose(rows.sort_values(["x", "y", "day", "level"]).drop_duplicates().index.to_numpy())
    facts = zip(days.tolist(), levels.tolist(), shapely.to_wkb(shapes), strict=True)
    keys = [day.to_bytes(5, "big", signed=True) + blob + bytes([level]) for day, level, blob in facts]
    _, first = np.unique(np.array(keys, object), return_index=True)
    return joined.choose(first)


def to_day(date: dt.date | None) -> int:
    """Return a date as days since 1970-01-01, NO_DAY for none."""
    return NO_DAY if date is None else (date - EPOCH).days


def to_date(day: int) -> dt.date | None:
    """Return days since 1970-01-01 as a date, None for NO_DAY."""
    return None if day == NO_DAY else EPOCH + dt.timedelta(days=day)
