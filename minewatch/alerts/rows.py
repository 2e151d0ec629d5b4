"""Reads rows of the alerts table without their outlines, by SQLite alone: lists of them are there at once.

Values are those that GDAL gives for the file, so that lists say the same as exports.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from minewatch.alerts.cells import is_empty
from minewatch.alerts.columns import ALERT_COLUMNS, AOIS, DECISION_COLUMNS, GEOMETRY, LAYER, REVIEW_COLUMNS, RUNS, SHOWN
from minewatch.alerts.database import BUSY_SECONDS, REMEDY, UNREADABLE, recover, require_table, select
from minewatch.alerts.history import RENAMED, follow_renames, list_events, list_renames
from minewatch.core.errors import AlertsError, describe
from minewatch.core.text import find_nearest, strip_controls

Row = dict[str, Any]
"""Column to cell: an empty text is '', an empty date None, an empty number NaN."""


def read_rows(path: Path) -> list[Row]:
    """Return the alerts of a table, ordered by area and id, with the cells that ``read_alerts`` gives.

    Texts are without control characters: people edit them in the table, and registers of strangers have named the layers.
    Raises AlertsError where there is no table yet, or it cannot be read.
    """
    require_table(path)
    with reading(path) as connection:
        rows = read_layer(connection, LAYER)
        pending = _find_pending(connection)
    for row in rows:
        for column in ALERT_COLUMNS:
            if column.name not in row:  # an older version's, which no scan has upgraded yet
                row[column.name] = _EMPTY.get(column.dtype, math.nan)
        if row["alert_id"] in pending:  # of the review before an edit that the next scan takes in
            row |= {name: None if name == "effective" else "" for name in DECISION_COLUMNS}
    return sorted(rows, key=lambda row: (row["aoi"], row["alert_id"]))


_EMPTY: Mapping[str, Any] = {"object": ""}
"""What stands in a column that an older table lacks; NaN in all that are no text."""


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that sees one state of the table.  Raises AlertsError where that cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            yield connection
    except UNREADABLE as error:
        raise AlertsError(f"{path} cannot be read: {describe(error)}; {REMEDY}") from error


def read_layer(connection: sqlite3.Connection, layer: str) -> list[Row]:
    """Return all rows of a layer, with their cells as the columns declare them; key and outline are left out.

    Raises AlertsError where there is no such layer.
    """
    facts = connection.execute(f'PRAGMA table_info("{layer}")').fetchall()
    columns = {name: kind for _, name, kind, _, _, is_key in facts if not is_key and name != GEOMETRY}
    if not columns:
        raise AlertsError(f"the alerts table has no layer {layer!r}; move it away and scan again")
    names = ", ".join(f'"{name}"' for name in columns)
    cells = zip(*connection.execute(f'SELECT {names} FROM "{layer}"').fetchall(), strict=True)
    read = [_read_column(kind, column) for kind, column in zip(columns.values(), cells, strict=False)]  # without rows: none
    return [dict(zip(columns, row, strict=True)) for row in zip(*read, strict=True)]


def _read_column(kind: str, cells: Sequence[Any]) -> list[Any]:
    """Return the cells of a column of a type of GeoPackage (OGC 12-128r18, table 1); beside empty cells, numbers are floats."""
    name = kind.upper().partition("(")[0].strip()
    if name in ("DATE", "DATETIME"):
        return [_read_date(cell) for cell in cells]
    if name in _NUMBERS:
        known = [cell if isinstance(cell, int | float) else math.nan for cell in cells]
        numbers = [bool(cell) if name == "BOOLEAN" and cell == cell else cell for cell in known]  # noqa: PLR0124  NaN stays
        return [float(number) for number in numbers] if any(map(is_empty, numbers)) else numbers
    return ["" if cell is None else strip_controls(str(cell)) for cell in cells]


_NUMBERS = ("BOOLEAN", "TINYINT", "SMALLINT", "MEDIUMINT", "INT", "INTEGER", "FLOAT", "DOUBLE", "REAL")


_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})")
"""A date as GDAL takes it, before whatever follows."""


def _read_date(cell: Any) -> dt.date | None:
    try:
        return dt.date(*map(int, found.groups())) if (found := _DATE.match(str(cell))) else None
    except ValueError:
        return None


def read_areas(path: Path) -> dict[str, tuple[dt.date, dt.date]]:
    """Return monitor_from and as-of date of each area in the table; empty where there is no table."""
    if not path.exists():
        return {}
    recover(path)
    with reading(path) as connection:
        return {row["aoi"]: (row["monitor_from"], row["as_of"]) for row in read_layer(connection, AOIS)}


def list_what_ifs(path: Path) -> list[str]:
    """Return the areas whose alerts in the table are those of a what-if.  Raises AlertsError where it cannot be read."""
    with reading(path) as connection:
        runs = {row["run_id"] for row in read_layer(connection, RUNS) if row.get("what_if") == 1}
        return [row["aoi"] for row in read_layer(connection, AOIS) if row.get("run_id") in runs]


def read_budgets(path: Path) -> dict[str, int | None]:
    """Return the budget, in bytes, with which each area in the table was scanned; None = no limit."""
    if not path.exists():
        return {}
    recover(path)
    with reading(path) as connection:
        rows = read_layer(connection, AOIS)
    return {row["aoi"]: None if is_empty(row.get("budget")) else int(row["budget"]) for row in rows}


def list_pending_edits(path: Path) -> set[str]:
    """Return the alerts whose review somebody has edited since the table was last written here; no scan knows of it yet.

    Raises AlertsError where the table cannot be read.
    """
    with reading(path) as connection:
        return _find_pending(connection)


def _find_pending(connection: sqlite3.Connection) -> set[str]:
    if not select(connection, "sqlite_master", "name = ?", (SHOWN,)):
        return set()  # an older version's, or an export
    names = ", ".join(f"{table}.{name}" for table in "as" for name in REVIEW_COLUMNS)
    query = f"SELECT a.alert_id, {names} FROM {LAYER} a LEFT JOIN {SHOWN} s ON s.fid = a.fid"
    rows = [[str(cell or "").strip() for cell in row] for row in connection.execute(query)]
    return {alert_id for alert_id, *cells in rows if cells[:3] != cells[3:]}


def find_alert(table: Path, alert_id: str) -> str:
    """Return the id that an alert has now.  Raises AlertsError where there is none."""
    require_table(table)
    with contextlib.closing(sqlite3.connect(table)) as connection:
        return resolve_id(connection, alert_id)


def find_current_ids(table: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the ids that alerts have now, of the names that lead to one; the table is read once for all of them."""
    require_table(table)
    with contextlib.closing(sqlite3.connect(table)) as connection:
        renames = list_renames(list_events(connection, f"event = '{RENAMED}'"))
        known = set(list_ids(connection))
    found = {name: follow_renames(name, renames, known.__contains__) for name in names}
    return {name: alert_id for name, alert_id in found.items() if alert_id is not None}


def resolve_id(connection: sqlite3.Connection, alert_id: str) -> str:
    """Return the id that an alert has now; old ones are followed through the table's history.

    Raises AlertsError where no row has it.
    """
    renames = list_renames(list_events(connection, f"event = '{RENAMED}'"))
    name = follow_renames(alert_id, renames, lambda name: bool(select(connection, LAYER, "alert_id = ?", (name,))))
    if name is None:
        raise AlertsError(f"there is no alert {alert_id!r}{suggest_alert(alert_id, list_ids(connection))}")
    return name


def list_ids(connection: sqlite3.Connection) -> list[str]:
    """Return the ids of all alerts in the table."""
    return [str(alert_id) for (alert_id,) in connection.execute(f"SELECT alert_id FROM {LAYER} ORDER BY alert_id")]


def suggest_alert(alert_id: str, known: Collection[str]) -> str:
    """Return the end of an error about an unknown alert: the one that was probably meant, else where they are listed."""
    if any(re.fullmatch(rf"{re.escape(alert_id)}-\d{{8}}-\w+", name) for name in known):
        return f": it is an area; its alerts: minewatch alerts list --aoi {alert_id}"
    near = find_nearest(alert_id, known)
    return f"; did you mean {near!r}?" if near else "; list them with: minewatch alerts list"
