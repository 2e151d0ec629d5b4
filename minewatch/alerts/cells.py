"""Cells of the alerts table as people and other programs read them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from minewatch.core.text import is_formula


def is_empty(value: Any) -> bool:
    """True if a cell holds nothing: None, NaN, or pandas' NaT."""
    return value is None or bool(value != value)  # noqa: PLR0124  NaN and NaT are not themselves


def read_day(value: Any) -> dt.date | None:
    """Return a date of the alerts table as a plain one; None where there is none."""
    if value == "" or is_empty(value):
        return None
    return value.date() if isinstance(value, dt.datetime) else dt.date.fromisoformat(str(value)[:10])


def plain_cell(value: Any) -> Any:
    """Return a value as plain text or number: dates without a time, '' for nothing."""
    if is_empty(value):
        return ""
    if isinstance(value, dt.date):
        return value.isoformat()[:10]
    return value


def data_cell(value: Any) -> Any:
    """Return a value for JSON, as :func:`plain_cell`; an empty number is None."""
    return None if isinstance(value, float) and is_empty(value) else plain_cell(value)


def safe_cell(value: Any) -> Any:
    """Return a value that is safe in a spreadsheet: text that it would run as a formula is quoted; numbers stay numbers."""
    value = plain_cell(value)
    return f"'{value}" if isinstance(value, str) and is_formula(value) else value


def describe_position(lat: float, lon: float) -> str:
    """Write a position for people: degrees with the hemisphere."""
    return f"{abs(lat):.5f}°{'N' if lat >= 0 else 'S'} {abs(lon):.5f}°{'E' if lon >= 0 else 'W'}"
