"""Finds the columns with position and date in files of other systems, and reads dates in their formats."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from minewatch.alerts.context.cells import read_date
from minewatch.alerts.corroboration.sighting import LEVELS, NO_DAY, UNSTATED, to_day
from minewatch.core.errors import ExternalAlertError

LATITUDES = ("latitude", "lat", "y", "lat_dd", "latitud")
LONGITUDES = ("longitude", "lon", "lng", "long", "x", "lon_dd", "longitud")
"""Names of columns with a position, the likeliest first; small letters."""

DATES = (
    "gfw_integrated_alerts__date",
    "umd_glad_landsat_alerts__date",
    "umd_glad_sentinel2_alerts__date",
    "umd_glad_dist_alerts__date",
    "wur_radd_alerts__date",
    "alert__date",
    "alert_date",
    "date",
)
"""Names of columns with a date, the likeliest first: those of Global Forest Watch's data API, then what people call them."""


CONFIDENCES = (
    "gfw_integrated_alerts__confidence",
    "umd_glad_landsat_alerts__confidence",
    "umd_glad_sentinel2_alerts__confidence",
    "umd_glad_dist_alerts__confidence",
    "wur_radd_alerts__confidence",
    "alert__confidence",
    "confidence",
)
"""Names of columns with the confidence, likewise."""

_WORDS = {"nominal": "low", "provisional": "low", "confirmed": "high"}
"""What some call a level of LEVELS."""


def find_column(columns: Sequence[str], known: Sequence[str]) -> str | None:
    """Find the first of the known names among a file's columns."""
    plain = {_simplify(column): column for column in reversed(columns)}
    return next((plain[name] for name in known if name in plain), None)


def find_date_column(columns: Sequence[str], asked: str | None, where: str) -> str | None:
    """Find the column with the date; raises ExternalAlertError where the one that was asked for is not there."""
    if asked is not None:
        if asked not in columns:
            raise ExternalAlertError(f"{where} has no column {asked!r}; it has {list_columns(columns)}")
        return asked
    if found := find_column(columns, DATES):
        return found
    endings = [column for column in columns if _simplify(column).endswith(("date", "fecha", "data"))]
    return endings[0] if endings else None


def find_confidence_column(columns: Sequence[str], date: str | None) -> str | None:
    """Find the column with the confidence, that of the same system as the dates."""
    own = _simplify(date or "").replace("date", "confidence")
    return find_column(columns, (own, *CONFIDENCES) if date is None or own not in CONFIDENCES else (own,))


def read_levels(cells: Any) -> NDArray[np.uint8]:
    """Read a column of confidences as levels of LEVELS; what is none of their words states nothing."""
    codes, values = pd.factorize(np.asarray(cells, object))
    given = [str(value).strip().lower() for value in values]
    words = [_WORDS.get(word, word) for word in given]
    levels = [LEVELS.index(word) if word in LEVELS else UNSTATED for word in words]
    return np.array([*levels, UNSTATED], np.uint8)[codes]


def list_columns(columns: Sequence[str]) -> str:
    """Name columns for an error."""
    shown = ", ".join(str(column)[:40] for column in columns[:20])
    return f"{shown} and {len(columns) - 20} more" if len(columns) > 20 else shown or "none"


def _simplify(column: str) -> str:
    return column.strip().strip('"').lower().replace("-", "_")


def read_days(cells: Any, column: str) -> NDArray[np.int32]:
    """Read a column of dates as days since 1970-01-01, NO_DAY where there is none; each text is read once."""
    codes, values = pd.factorize(np.asarray(cells, object))
    days = np.array([*(to_day(_read_day(value, column)) for value in values), NO_DAY], np.int32)
    return days[codes]


def _read_day(cell: Any, column: str) -> dt.date | None:
    text = re.sub(r"\.0+$", "", str(cell).strip())
    try:
        # Layers of OPERA's DIST-ALERT: days since 2020-12-31 (DIST-ALERT product specification).
        if re.search("(veg|gen)_(dist|anom)_date", _simplify(column)):
            return dt.date(2020, 12, 31) + dt.timedelta(days=int(text)) if int(text) > 0 else None
        # RADD's rasters: two digits of the year and the day of the year.
        if re.fullmatch(r"\d{5}", text):
            return dt.datetime.strptime(f"20{text}", "%Y%j").replace(tzinfo=dt.UTC).date()
        # ESRI's services: milliseconds since 1970.
        if re.fullmatch(r"-?\d{12,13}", text):
            return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=int(text))).date()
    except (ValueError, OverflowError):
        return None
    return read_date(text)
