"""Gives the cells of the table as GDAL and XML take them."""

from __future__ import annotations

import re

import geopandas as gpd
import numpy as np
from numpy.typing import NDArray

from minewatch.alerts.columns import ALERT_COLUMNS, Column

NAMES = tuple(column.name for column in ALERT_COLUMNS)
"""Of all columns, in the order of every format."""

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 does not allow, however they are written (clause 2.2)."""


def clean_text(text: str) -> str:
    """Replace what no XML can hold."""
    return _FORBIDDEN.sub("\ufffd", text)


def column_data(alerts: gpd.GeoDataFrame, column: Column) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Return the cells of a column in its type, and where there are none."""
    values = alerts[column.name]
    missing = values.isna().to_numpy(bool)
    if column.dtype == "object":
        return np.array([clean_text(str(value)) for value in values.fillna("")], object), missing
    if column.dtype == "datetime64[D]":
        return values.to_numpy().astype(column.dtype), missing
    return values.fillna(0).to_numpy().astype(column.dtype), missing
