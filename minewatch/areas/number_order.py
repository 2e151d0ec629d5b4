"""Reads the numbers of an area in other orders, where west, south, east, north makes no sense."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from shapely.geometry import box

from minewatch.areas.land import find_land
from minewatch.core.text import format_place

ORDERS = {
    "south first": (1, 0, 3, 2),
    "west and east first": (0, 2, 1, 3),
    "south and north first": (2, 0, 3, 1),
    "north first": (1, 2, 3, 0),
    "the upper corner first": (0, 3, 2, 1),
    "east first": (2, 1, 0, 3),
}
"""How people write rectangles too, to where west, south, east and north stand then."""

Box: TypeAlias = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

LARGEST = 10.0
"""Degrees of a side of the rectangle that is suggested."""

SOUTHERNMOST, NORTHERNMOST = -56.0, 72.0
"""Degrees of latitude between which there is vegetation to watch."""


def suggest_order(numbers: Sequence[float]) -> str:
    """Return a hint at the smallest plausible rectangle that the numbers mean in another order; '' where none does."""
    read = {order: _reorder(numbers, order) for order in ORDERS}
    plausible = [(_measure(found), order) for order, found in read.items() if _is_plausible(found)]
    for _, order in sorted(plausible):
        if find_land(box(*read[order])) is None:
            return f"were they given with {order}? Then write --bbox {_join(read[order])}"
    return ""


def suggest_swap(bounds: Sequence[float], *, is_box: bool) -> str:
    """Return where an area with these bounds lies with latitude and longitude swapped, if that is on land; '' else."""
    west, south, east, north = swapped = _reorder(bounds, "south first")
    if not _is_plausible(swapped) or find_land(box(*swapped)) is not None:
        return ""
    where = format_place((south + north) / 2, (west + east) / 2)
    advice = f"write --bbox {_join(swapped)}" if is_box else "longitude comes first in a file, then latitude"
    return f"with latitude and longitude swapped it is {where}, on land: {advice}"


def _reorder(numbers: Sequence[float], order: str) -> Box:
    west, south, east, north = (numbers[place] for place in ORDERS[order])
    return west, south, east, north


def _join(numbers: Sequence[float]) -> str:
    return ",".join(f"{number:.10g}" for number in numbers)


def _measure(numbers: Sequence[float]) -> float:
    west, south, east, north = numbers
    return (east - west) * (north - south)


def _is_plausible(numbers: Sequence[float]) -> bool:
    west, south, east, north = numbers
    return (
        all(map(math.isfinite, numbers))
        and -180 <= west < east <= 180
        and SOUTHERNMOST <= south < north <= NORTHERNMOST
        and max(east - west, north - south) <= LARGEST
    )
