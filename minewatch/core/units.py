"""Units of arrays, used by all stages."""

from __future__ import annotations

import datetime as dt
import math

SCALE = 10_000
"""Reflectance and indices are int16 x this: 10 000 is a reflectance, or an NDVI, of 1."""

NODATA = -32768
"""No data in these arrays."""

EPOCH = dt.date(1970, 1, 1)
"""Days are counted from here (int32); 0 = no date."""


def to_day(date: dt.date) -> int:
    """Return the days since 1970-01-01."""
    return (date - EPOCH).days


def to_date(day: int) -> dt.date | None:
    """Return the date of a day number, None for 0."""
    return EPOCH + dt.timedelta(days=int(day)) if day > 0 else None


def add_years(date: dt.date, years: int) -> dt.date:
    """Return the same day of another year, 28 February for a 29th where there is none."""
    try:
        return date.replace(year=date.year + years)
    except ValueError:
        return date.replace(year=date.year + years, day=28)


SIZES = ((0.1, 0.5), (0.5, 1.0), (1.0, 5.0), (5.0, math.inf))
"""Size classes of alerts, hectares, from the smallest that is raised on."""


def name_size(low: float, high: float) -> str:
    """Return the name of a size class."""
    return f"{low:g}-{high:g} ha" if math.isfinite(high) else f"> {low:g} ha"
