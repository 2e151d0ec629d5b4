"""Writes CSV and XLSX; no cell is run as a formula."""

from __future__ import annotations

import csv
import datetime as dt
import importlib
import io
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from minewatch.alerts.columns import LAYER
from minewatch.alerts.table import safe_cell
from minewatch.products.export.columns import NAMES, clean_text

LONGEST_CELL = 32_767
"""Letters that a cell of a workbook can hold."""

_OPTIONS = {
    "in_memory": True,  # no part of the table lies in a folder for temporary files
    "default_date_format": "yyyy-mm-dd",
    "strings_to_formulas": False,
    "strings_to_urls": False,
}


def write_csv(alerts: gpd.GeoDataFrame, path: Path) -> None:
    """Write CSV as RFC 4180 has it, in UTF-8."""
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(NAMES)
        writer.writerows([safe_cell(row[name]) for name in NAMES] for row in alerts.to_dict("records"))


def write_xlsx(alerts: gpd.GeoDataFrame, path: Path) -> None:
    """Write a workbook with one sheet: numbers as numbers, dates as dates, texts as texts whatever they look like."""
    package = importlib.import_module("xlsxwriter")  # a tenth of a second, which no other command should pay
    file = io.BytesIO()
    with package.Workbook(file, _OPTIONS) as book:
        # Fixed, so that the same table gives the same bytes.
        book.set_properties({"created": dt.datetime(1980, 1, 1)})  # noqa: DTZ001  # the library takes no zone
        sheet = book.add_worksheet(LAYER)
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(NAMES) - 1, 16)
        sheet.autofilter(0, 0, len(alerts), len(NAMES) - 1)
        sheet.write_row(0, 0, NAMES, book.add_format({"bold": True}))
        for number, row in enumerate(alerts.to_dict("records"), 1):
            sheet.write_row(number, 0, [_workbook_cell(row[name]) for name in NAMES])
    path.write_bytes(file.getvalue())


def _workbook_cell(value: Any) -> Any:
    """Return a value for a workbook: a date as a date, a text cut to LONGEST_CELL."""
    if isinstance(value, dt.datetime) and not pd.isna(value):
        return value.date()
    value = safe_cell(value)
    return clean_text(value)[:LONGEST_CELL] if isinstance(value, str) else value
