"""Items that are made from several days: a composite is no look, since none of its pixels has its date."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pystac import Item
from pystac.utils import str_to_datetime

LONGEST_LOOK = dt.timedelta(days=1)
"""Between start and end of what one date describes: an overpass takes minutes, a mosaic of one day up to 24 hours."""


_LEAP_SECOND = re.compile(r":60(?![\d:])")


class Span(NamedTuple):
    """A period that an item states, UTC."""

    start: dt.datetime
    end: dt.datetime

    @property
    def is_composite(self) -> bool:
        """True if it is too long for a look."""
        return self.end - self.start > LONGEST_LOOK

    def describe(self) -> str:
        """Return what such an item is."""
        days = math.ceil((self.end - self.start) / dt.timedelta(days=1))
        return f"a composite over {days} days ({self.start.date()} to {self.end.date()}), not a look of one date"


def find_span(item: Item, names: Iterable[str] = ()) -> Span | None:
    """Return the longest period that an item or one of its assets of these ``names`` states; None where there is none.

    It stands in ``start_datetime`` and ``end_datetime``, or in the temporal dimension of a data cube.
    """
    places = [item.properties, *(item.assets[name].extra_fields for name in names if name in item.assets)]
    spans = [span for fields in places for times in _list_periods(fields) if (span := _read_span(times))]
    return max(spans, key=lambda span: span.end - span.start, default=None)


def _list_periods(fields: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    periods: list[tuple[Any, ...]] = [tuple(fields.get(name) for name in ("start_datetime", "end_datetime"))]
    dimensions = fields.get("cube:dimensions")
    for dimension in dimensions.values() if isinstance(dimensions, Mapping) else ():
        if isinstance(dimension, Mapping) and dimension.get("type") == "temporal":
            values: list[Any] = next((dimension[key] for key in ("extent", "values") if isinstance(dimension.get(key), list)), [])
            periods += [(values[0], values[-1])] if values else []
    return periods


def _read_span(values: Iterable[Any]) -> Span | None:
    """Return the period that some times cover, without what is missing or no time; None where fewer than two are known."""
    times = sorted(filter(None, map(_read_time, values)))
    return Span(times[0], times[-1]) if len(times) > 1 else None


def _read_time(value: Any) -> dt.datetime | None:
    try:
        time = str_to_datetime(_LEAP_SECOND.sub(":59", value))
        return time.replace(tzinfo=time.tzinfo or dt.UTC).astimezone(dt.UTC)
    except (TypeError, ValueError, OverflowError):
        return None
