"""Cells of map layers as text and as dates: year-month-day, as a format says, or milliseconds since 1970."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import re
from typing import Any

from minewatch.core.text import strip_controls

LONGEST_NAME = 200
"""Letters of a name that are kept."""

MILLISECONDS = "milliseconds"
"""As ``date_format``: whole numbers are milliseconds since 1970, UTC, as ArcGIS services give them."""

_DATE = re.compile(r"(\d{4})(?:([-/.])(\d{1,2})\2(\d{1,2})|(\d{2})(\d{2}))(?:[T ].*)?")

_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z")
"""Milliseconds as GDAL gives them where the file says that they are a time."""

_NUMBER = re.compile(r"-?\d{1,15}")

_LONG_NUMBER = re.compile(r"-?\d{11,15}")
"""A number that can only be milliseconds: from March 1973 on, or before November 1966."""

_DAY_MS, _LAST_MINUTE_MS = 86_400_000, 60_000


def read_text(cell: Any) -> str:
    """Return a cell as text: whole numbers without a point, '' for nothing."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def read_line(cell: Any) -> str:
    """Return a cell as one line of text, of limited length, without what would steer a terminal."""
    return " ".join(strip_controls(read_text(cell)).split())[:LONGEST_NAME]


def read_date(cell: Any, date_format: str | None = None) -> dt.date | None:
    """Read a date: year, month and day, with or without a time, or as ``date_format`` says; None where it is none."""
    text = read_text(cell)
    if (_NUMBER if date_format == MILLISECONDS else _LONG_NUMBER).fullmatch(text):
        return _read_milliseconds(int(text))
    if date_format == MILLISECONDS and _UTC.fullmatch(text):
        with contextlib.suppress(ValueError):
            return _read_milliseconds(round(dt.datetime.fromisoformat(text).timestamp() * 1000))
    if text and date_format and date_format != MILLISECONDS:
        with contextlib.suppress(ValueError):
            return dt.datetime.strptime(text, date_format).replace(tzinfo=dt.UTC).date()
    found = _DATE.fullmatch(text)
    with contextlib.suppress(ValueError):
        return dt.date(int(found[1]), int(found[3] or found[5]), int(found[4] or found[6])) if found else None
    return None


def _read_milliseconds(number: int) -> dt.date | None:
    """Return the day that begins nearest to a time: services store midnight of their own country, which UTC may call 22:00.

    0 stands for no date; the last minute of a day for that day.
    """
    days, rest = divmod(number, _DAY_MS)
    is_next = _DAY_MS / 2 < rest < _DAY_MS - _LAST_MINUTE_MS
    with contextlib.suppress(OverflowError):
        return dt.date(1970, 1, 1) + dt.timedelta(days + is_next) if number else None
    return None
