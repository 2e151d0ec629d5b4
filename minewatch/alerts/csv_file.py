"""The alerts as CSV: its columns, and the file beside it that says what it holds and whom to credit.

CSV has no place for a credit: a line before the header, or a comment, breaks the programs that read it.  So it stands beside the
file, where the W3C's recommendation for tabular data looks for its metadata: ``NAME.csv-metadata.json``
(https://www.w3.org/TR/tabular-metadata/).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd

from minewatch.alerts.cells import safe_cell
from minewatch.alerts.columns import ALERT_COLUMNS, Column
from minewatch.alerts.credits import AlertCredits, credit_alerts
from minewatch.alerts.csv_dialects import RFC_4180, CsvDialect
from minewatch.alerts.layer_metadata import describe_table
from minewatch.alerts.read import read_alerts
from minewatch.core.files import publish_bytes
from minewatch.core.text import render_json
from minewatch.core.workspace import Workspace

METADATA = "-metadata.json"
"""What follows a CSV's name in the name of the file beside it."""

TABLE_COLUMNS = {("date" if c.name == "first_seen" else c.name): c for c in ALERT_COLUMNS if c.name != "run_id"}
"""Name to column of alerts.csv, in the order of the table: ``date`` is first_seen, and the run is left out, since a scan that
changes nothing leaves the same file."""

CSV_COLUMNS = tuple(TABLE_COLUMNS)
"""Names of the columns of alerts.csv."""

EXPORT_COLUMNS = {column.name: column for column in ALERT_COLUMNS}
"""Name to column of exports."""

_DATATYPES = {"object": "string", "datetime64[D]": "date", "int32": "integer"}


def publish_csv(workspace: Workspace) -> None:
    """Write alerts.csv of a workspace from its table, the file beside it, and the credits into the table."""
    alerts = read_alerts(workspace.alerts)
    credits_ = credit_alerts(workspace, alerts)
    path = workspace.alerts_csv
    write_csv(alerts, path)
    publish_bytes(find_metadata(path), render_metadata(path.name, TABLE_COLUMNS, credits_))
    describe_table(workspace.alerts, credits_)


def find_metadata(path: Path) -> Path:
    """Return the path of the file beside a CSV."""
    return path.with_name(f"{path.name}{METADATA}")


def write_csv(alerts: gpd.GeoDataFrame, path: Path) -> None:
    """Write the table as CSV."""
    publish_bytes(path, render_csv(alerts).encode("utf-8"))


def render_csv(alerts: gpd.GeoDataFrame, columns: Mapping[str, Column] = TABLE_COLUMNS, dialect: CsvDialect = RFC_4180) -> str:
    """Render alerts as CSV, one row an alert; no cell is run as a formula."""
    text = io.StringIO()
    # Ends of lines as RFC 4180 has them; so a bare CR in a note is quoted too.
    writer = csv.writer(text, delimiter=dialect.delimiter, lineterminator="\r\n")
    writer.writerow(columns)
    for row in alerts.to_dict("records"):
        writer.writerow([_render_cell(row[column.name], column, dialect) for column in columns.values()])
    return text.getvalue()


def _render_cell(value: Any, column: Column, dialect: CsvDialect) -> Any:
    cell = safe_cell(value)
    return dialect.write_number(cell) if column.dtype == "float64" and not isinstance(cell, str) else cell


def render_metadata(
    name: str,
    columns: Mapping[str, Column],
    credits_: AlertCredits,
    dialect: CsvDialect = RFC_4180,
    title: str = "Alerts found by minewatch",
    key: str = "alert_id",
) -> bytes:
    """Render the file beside a CSV: credits, dialect, and each column with its type; ``key`` is the one that names a row."""
    document = {
        "@context": "http://www.w3.org/ns/csvw",
        "url": name,
        "dc:title": title,
        "dc:rights": list(credits_.lines),
        "dc:license": [{"@id": url} for url in credits_.licenses],
        "dialect": {"delimiter": dialect.delimiter, "encoding": "utf-8", "header": True, "lineTerminators": ["\r\n"]},
        "tableSchema": {
            "columns": [_describe_column(key, column, dialect) for key, column in columns.items()],
            "primaryKey": key,
        },
    }
    return (render_json(document) + "\n").encode()


def _describe_column(name: str, column: Column, dialect: CsvDialect) -> dict[str, Any]:
    number = {"base": "number", "format": {"decimalChar": dialect.decimal}}
    return {"name": name, "titles": name, "dc:description": column.alias, "datatype": _DATATYPES.get(column.dtype, number)}
