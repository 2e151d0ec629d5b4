"""The alerts GeoPackage as the SQLite database that it is: rows in and out, without a look at outlines."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minewatch.alerts.columns import KEY, Value
from minewatch.core.errors import AlertsError, describe
from minewatch.core.lock import check_locks
from minewatch.core.plain_file import NotPlainError, check_plain
from minewatch.core.text import show

BUSY_SECONDS = 10.0
"""Seconds to wait for a locked file."""

REMEDY = "put a backup in its place, or move it away and scan again; decisions are kept in decisions.jsonl and will be restored"
"""What to do about a table that is damaged."""

UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""Errors of reading; the second is of text that is damaged."""

Cell = Value | bytes
"""What a column can hold; bytes are outlines."""


def is_locked(error: Exception) -> bool:
    """True if another program holds the table."""
    return read_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def read_code(error: Exception) -> int | None:
    """Return the primary code of an error of SQLite, which is the lowest byte of the whole one."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def explain_error(error: Exception) -> str:
    """Return why SQLite refused, for people."""
    if is_locked(error):
        return "another program has it locked (a QGIS that is saving?); close it or try again"
    return show(describe(error))


def require_table(path: Path) -> None:
    """Raise AlertsError where there is no table yet or it cannot be read."""
    if not path.exists():
        raise AlertsError(f"there is no alerts table yet ({path}); make one with: minewatch scan")
    recover(path)


def refuse_links(path: Path) -> None:
    """Raise AlertsError for a table that is a link, pipe or device: SQLite would write into what it leads to."""
    try:
        check_plain(path)
    except NotPlainError as error:
        raise AlertsError(f"{path} cannot be used: {error.strerror}; delete it, or put the table itself in its place") from error


def recover(path: Path, *, whole: bool = False) -> None:
    """Open the table read-write once, so that a transaction that was cut off is rolled back for later readers.

    Raises AlertsError where it is no GeoPackage, or, with ``whole``, where any of its pages is damaged; WorkspaceError where
    its folder cannot lock files.
    """
    refuse_links(path)
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            connection.execute("SELECT table_name FROM gpkg_contents").fetchall()
            if whole and (faults := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(str(faults))
    except UNREADABLE as error:
        if is_locked(error):
            check_locks(path.parent)
            raise AlertsError(f"{path} cannot be read: {explain_error(error)}") from error
        raise AlertsError(f"{path} is no usable alerts table: {describe(error)}; {REMEDY}") from error


def select(connection: sqlite3.Connection, layer: str, where: str = "1", values: Sequence[Value] = ()) -> list[dict[str, Any]]:
    """Read rows as dictionaries; ``where`` is SQL with ? for each of ``values``."""
    cursor = connection.execute(f'SELECT * FROM "{layer}" WHERE {where}', tuple(map(to_sql, values)))
    names = [description[0] for description in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def select_areas(connection: sqlite3.Connection, layer: str, aois: Sequence[str]) -> list[dict[str, Any]]:
    """Read the rows of areas."""
    return select(connection, layer, f"aoi IN ({', '.join('?' for _ in aois)})", aois)


def insert(connection: sqlite3.Connection, layer: str, row: Mapping[str, Cell]) -> int:
    """Add a row; return its fid."""
    cells = {name: to_sql(value) for name, value in row.items()}
    names = ", ".join(f'"{name}"' for name in cells)
    marks = ", ".join("?" for _ in cells)
    cursor = connection.execute(f'INSERT INTO "{layer}" ({names}) VALUES ({marks})', tuple(cells.values()))
    return int(cursor.lastrowid or 0)


def insert_rows(connection: sqlite3.Connection, layer: str, rows: Sequence[Mapping[str, Value]]) -> None:
    """Add rows without geometry, which all have the same columns."""
    if rows:
        names, marks = ", ".join(f'"{name}"' for name in rows[0]), ", ".join("?" for _ in rows[0])
        values = (tuple(map(to_sql, row.values())) for row in rows)
        connection.executemany(f'INSERT INTO "{layer}" ({names}) VALUES ({marks})', values)


def update(connection: sqlite3.Connection, layer: str, fid: int, row: Mapping[str, Cell]) -> None:
    """Change the named columns of a row."""
    cells = {name: to_sql(value) for name, value in row.items()}
    assignments = ", ".join(f'"{name}" = ?' for name in cells)
    connection.execute(f'UPDATE "{layer}" SET {assignments} WHERE "{KEY}" = ?', (*cells.values(), fid))


def delete(connection: sqlite3.Connection, layer: str, fid: int) -> None:
    """Remove a row."""
    connection.execute(f'DELETE FROM "{layer}" WHERE "{KEY}" = ?', (fid,))


def parse_date(value: object) -> dt.date:
    """Return the date of a DATE or DATETIME value."""
    return dt.date.fromisoformat(str(value)[:10])


def to_sql(value: Cell) -> Any:
    """Return a value as SQLite takes it."""
    return value.isoformat() if isinstance(value, dt.date) else value
