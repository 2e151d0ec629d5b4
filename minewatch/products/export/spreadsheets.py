"""Writes CSV and XLSX; no cell is run as a formula."""

from __future__ import annotations

import datetime as dt
import importlib
import io
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from minewatch.alerts.cells import safe_cell
from minewatch.alerts.columns import LAYER
from minewatch.alerts.credits import AlertCredits
from minewatch.alerts.csv_file import EXPORT_COLUMNS, render_csv, render_metadata
from minewatch.products.export.columns import NAMES, clean_text
from minewatch.products.export.options import ExportOptions

LONGEST_CELL = 32_767
"""Letters that a cell of a workbook can hold."""

CREDITS = "Credits"
"""Name of the sheet with the credits."""

WORKBOOK_OPTIONS = {
    "in_memory": True,  # no part of the table lies in a folder for temporary files
    "default_date_format": "yyyy-mm-dd",
    "strings_to_formulas": False,
    "strings_to_urls": False,
}
"""Of every workbook: texts stay texts, and dates are written as year, month and day."""


def write_csv(alerts: gpd.GeoDataFrame, path: Path, options: ExportOptions) -> None:
    """Write CSV in UTF-8: as RFC 4180 has it, or as the Excel of a language opens it."""
    with path.open("x", encoding=options.dialect.encoding, newline="") as file:
        file.write(render_csv(alerts, EXPORT_COLUMNS, options.dialect))


def describe_csv(name: str, options: ExportOptions) -> bytes:
    """Render the file beside a CSV: its credits, dialect and columns."""
    return render_metadata(name, EXPORT_COLUMNS, options.credits, options.dialect)


def write_xlsx(alerts: gpd.GeoDataFrame, path: Path, options: ExportOptions) -> None:
    """Write a workbook: numbers as numbers, dates as dates, texts as texts whatever they look like, credits on a second sheet."""
    package = importlib.import_module("xlsxwriter")  # a tenth of a second, which no other command should pay
    file = io.BytesIO()
    with package.Workbook(file, WORKBOOK_OPTIONS) as book:
        # Fixed, so that the same table gives the same bytes.
        facts = {"created": dt.datetime(1980, 1, 1), "comments": options.credits.text}  # noqa: DTZ001  # it takes no zone
        book.set_properties(facts)
        sheet = book.add_worksheet(LAYER)
        sheet.freeze_panes(1, 0)
        sheet.set_column(0, len(NAMES) - 1, 16)
        sheet.autofilter(0, 0, len(alerts), len(NAMES) - 1)
        sheet.write_row(0, 0, NAMES, book.add_format({"bold": True}))
        for number, row in enumerate(alerts.to_dict("records"), 1):
            sheet.write_row(number, 0, [workbook_cell(row[name]) for name in NAMES])
        write_credits(book.add_worksheet(CREDITS), options.credits)
    path.write_bytes(file.getvalue())


def write_credits(sheet: Any, credits_: AlertCredits) -> None:
    """Write a line of credit in each row, then the addresses of the licences."""
    sheet.set_column(0, 0, 100)
    for row, line in enumerate([*credits_.lines, *(f"Licence: {url}" for url in credits_.licenses)]):
        sheet.write_string(row, 0, workbook_cell(line))


def workbook_cell(value: Any) -> Any:
    """Return a value for a workbook: a date as a date, a text cut to LONGEST_CELL."""
    if isinstance(value, dt.date) and not pd.isna(value):
        return value.date() if isinstance(value, dt.datetime) else value
    value = safe_cell(value)
    return clean_text(value)[:LONGEST_CELL] if isinstance(value, str) else value
