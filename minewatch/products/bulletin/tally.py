"""Counts what became of the alerts of a unit in a time, and how much of its ground was examined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.record import CONFIRMED, DISMISSED, PROVISIONAL
from minewatch.alerts.table import GROWTH_HA
from minewatch.areas.aoi import measure_area_ha
from minewatch.products.bulletin.bulletin_facts import (
    CONFIRMED_NOW,
    GREEN,
    GROUNDS,
    GROWN,
    NEW,
    Count,
    Sight,
    Tally,
)
from minewatch.products.bulletin.comparison import AlertChange
from minewatch.products.bulletin.period import Period
from minewatch.products.bulletin.unit import Unit, UnitPart, near_area

SMALLEST_HA = 0.01
"""Hectares of an alert in a unit from which it counts there: one pixel."""

Rows = Mapping[str, Mapping[str, Any]]
"""Alert id to its row of the table."""

Changes = Mapping[Period, Mapping[str, Sequence[AlertChange]]]
"""Time and name of the area to what became of its alerts; areas that were not watched in the time are absent."""


@dataclass(frozen=True)
class UnitChange:
    """What became of an alert in a unit."""

    change: AlertChange
    """Of the whole alert."""

    ground: BaseGeometry
    """Its ground in the unit, degrees."""

    hectares: float
    """Of that."""

    gained: float
    """Hectares of that which it gained."""

    @property
    def tags(self) -> tuple[str, ...]:
        """What became of it, some of TAGS."""
        change, is_grown = self.change, not self.change.is_new and self.gained >= GROWTH_HA
        held = {NEW: change.is_new, CONFIRMED_NOW: change.is_confirmed_now, GROWN: is_grown, GREEN: change.is_green_now}
        return tuple(tag for tag, holds in held.items() if holds)


def list_changes(unit: Unit, changes: Changes, period: Period) -> list[UnitChange]:
    """Return what became of the alerts of a unit in a time."""
    return [found for part in unit.parts for found in _cut(part, changes[period].get(part.area.aoi.name, ()))]


def _cut(part: UnitPart, changes: Sequence[AlertChange]) -> Iterator[UnitChange]:
    for change in changes:
        whole = change.alert.geometry
        if part.outlines is None:
            ground, hectares = whole, change.alert.area_ha
        else:
            ground = part.cut(near_area(whole, part.area))
            hectares = measure_area_ha(ground) if not ground.is_empty else 0.0
        if hectares >= SMALLEST_HA * (1 - 1e-3):
            yield UnitChange(change, ground, hectares, _measure_gain(part, change, hectares))


def _measure_gain(part: UnitPart, change: AlertChange, hectares: float) -> float:
    if change.gained is change.alert.geometry:
        return hectares
    gained = part.cut(near_area(change.gained, part.area)) if part.outlines is not None else change.gained
    return 0.0 if gained.is_empty else min(measure_area_ha(gained), hectares)


def tally_unit(found: Sequence[UnitChange], sight: Sight, rows: Rows) -> Tally:
    """Count alerts; those that a person dismissed are counted apart."""
    kept = [one for one in found if not is_dismissed(one, rows)]
    lasting = [one for one in kept if not one.change.is_faded]
    return Tally(
        sight=sight,
        new=_count(one.hectares for one in lasting if NEW in one.tags),
        confirmed=_count(one.hectares for one in lasting if CONFIRMED_NOW in one.tags),
        grown=_count(one.gained for one in lasting if GROWN in one.tags),
        bare=_count(one.hectares for one in lasting if one.change.alert.status == CONFIRMED),
        provisional=_count(one.hectares for one in lasting if one.change.alert.status == PROVISIONAL),
        green=_count(one.hectares for one in lasting if GREEN in one.tags),
        faded=len(kept) - len(lasting),
        dismissed=len(found) - len(kept),
    )


def is_dismissed(one: UnitChange, rows: Rows) -> bool:
    """True if a person dismissed an alert by the as-of date of the table."""
    row = rows.get(one.change.alert.alert_id)
    return row is not None and row["status"] == DISMISSED


def _count(hectares: Iterator[float]) -> Count:
    found = list(hectares)
    return Count(len(found), float(np.sum(found)) if found else 0.0)


def judge_sights(unit: Unit, periods: Sequence[Period]) -> dict[Period, Sight]:
    """Return how much of the watched ground of a unit was examined in some times."""
    grounds: dict[Period, Counter[str]] = {period: Counter() for period in periods}
    for part in unit.parts:
        pixels = part.pixels
        for period, ground in grounds.items():
            codes = np.bincount(part.area.grounds[period][pixels], minlength=len(GROUNDS))
            ground.update({name: int(n) * part.area.pixel_m2 for name, n in zip(GROUNDS, codes, strict=True) if n})
    return {period: _make_sight(unit, period, ground) for period, ground in grounds.items()}


def _make_sight(unit: Unit, period: Period, ground: Mapping[str, int]) -> Sight:
    total = sum(ground.values())
    looks = frozenset[str]().union(*(part.area.looks.get(period, ()) for part in unit.parts))
    return Sight({name: ground[name] / total for name in GROUNDS if name in ground}, len(looks))
