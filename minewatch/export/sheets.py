"""Writes the formats of spreadsheets; no cell of them is run as a formula."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import geopandas as gpd

from minewatch.alerts.columns import LAYER
from minewatch.alerts.table import safe_cell
from minewatch.export.cells import NAMES
from minewatch.export.workbook import write_workbook


def write_csv(alerts: gpd.GeoDataFrame, path: Path) -> None:
    """Write CSV as RFC 4180 has it, in UTF-8."""
    with path.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(NAMES)
        writer.writerows(_list_rows(alerts))


def write_xlsx(alerts: gpd.GeoDataFrame, path: Path) -> None:
    """Write a workbook with one sheet: numbers as numbers, dates as ISO 8601 text, which no spreadsheet misreads."""
    write_workbook(path, LAYER, NAMES, _list_rows(alerts))


def _list_rows(alerts: gpd.GeoDataFrame) -> list[list[Any]]:
    return [[safe_cell(row[name]) for name in NAMES] for row in alerts.to_dict("records")]
