"""The columns of the alerts table as GDAL and XML take them."""

from __future__ import annotations

import re

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from minewatch.alerts.columns import ALERT_COLUMNS, Column

NAMES = tuple(column.name for column in ALERT_COLUMNS)
"""Of all columns, in the order that every format has."""

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow, not even escaped (clause 2.2)."""


def clean_text(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return _FORBIDDEN.sub("\ufffd", text)


def column_data(alerts: gpd.GeoDataFrame, column: Column) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Return the values of a column in its type, and a mask that is True where there is none."""
    values = alerts[column.name]
    missing = values.isna().to_numpy(bool)
    if column.dtype == "object":
        return np.array([clean_text(str(value)) for value in values.fillna("")], object), missing
    if column.dtype == "datetime64[D]":
        return values.to_numpy().astype(column.dtype), missing
    return values.fillna(0).to_numpy().astype(column.dtype), missing
