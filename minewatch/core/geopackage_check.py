"""Checks GeoPackages of strangers: their tables are read, their views, triggers and virtual tables are not run.

A view can run for ever, and so can a table whose pages lead back to themselves: everything is counted within a time first.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from minewatch.core.errors import MapFileError

SQLITE = b"SQLite format 3\0"
"""First bytes of a database."""

LONGEST_SECONDS = 20.0
"""Of all counting in one file; a register of a million polygons takes one."""

MOST_OBJECTS = 20_000
"""Tables, indexes, triggers and views of one file."""

_STEPS = 50_000
"""Instructions of SQLite between two looks at the clock."""

_TABLE = re.compile(r"\s*CREATE\s+TABLE\b", re.IGNORECASE)
_RTREE = re.compile(r"\s*CREATE\s+VIRTUAL\s+TABLE\b[^(]*\bUSING\s+rtree\b", re.IGNORECASE)

_COMPUTED = (2, 3)
"""What SQLite says of columns that are computed when they are read (PRAGMA table_xinfo)."""


def check_geopackage(path: Path, size: int) -> None:
    """Raise MapFileError unless a database of so many bytes is a GeoPackage whose tables have an end."""
    try:
        with _open(path) as database:
            objects = _list_objects(database, path)
            if ("gpkg_contents", "table") not in {(name, kind) for name, kind, _ in objects}:
                raise MapFileError(f"{path} is a database, but no GeoPackage; save its features as GeoPackage")
            for name, _, sql in objects:
                if name.startswith(("gpkg_", "rtree_")) and not (_TABLE.match(sql) or _RTREE.match(sql)):
                    raise MapFileError(f"{path}: its {name} is not a table; save its features in a new GeoPackage")
            columns = database.execute("SELECT lower(table_name), column_name FROM gpkg_geometry_columns")
            shaped = dict(columns.fetchmany(MOST_OBJECTS))
            for name, _, sql in objects:
                if _RTREE.match(sql) or (_TABLE.match(sql) and not _has_computed(database, name)):
                    _measure(database, name, shaped.get(name), size, path)
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            raise MapFileError(f"{path} takes too long to be counted, as no sound file does; save it anew") from error
        raise MapFileError(f"{path} cannot be read as a GeoPackage; it is damaged, save it anew") from error
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise MapFileError(f"{path} cannot be read as a GeoPackage; it is damaged, save it anew") from error


def list_plain_tables(path: Path) -> frozenset[str]:
    """Return the names, in lower case, of the tables of a checked file that are stored as they are: nothing is computed."""
    try:
        with _open(path) as database:
            tables = [name for name, kind, sql in _list_objects(database, path) if kind == "table" and _TABLE.match(sql)]
            return frozenset(name for name in tables if not _has_computed(database, name))
    except sqlite3.Error as error:
        raise MapFileError(f"{path} cannot be read as a GeoPackage; it is damaged, save it anew") from error


@contextlib.contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to read it; a query that takes too long raises OperationalError."""
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    deadline = time.monotonic() + LONGEST_SECONDS
    with contextlib.closing(_connect(address)) as database:
        database.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        database.execute("PRAGMA trusted_schema = OFF")
        yield database


def _connect(address: str) -> sqlite3.Connection:
    database = sqlite3.connect(address, uri=True)
    try:
        database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        database.close()
        if "unable to open" not in str(error):
            raise
        return sqlite3.connect(f"{address}&immutable=1", uri=True)  # a log beside it, in a folder that cannot be written
    return database


def _list_objects(database: sqlite3.Connection, path: Path) -> list[tuple[str, str, str]]:
    """Return name in lower case, type and SQL of the tables and views."""
    query = "SELECT lower(name), type, sql FROM sqlite_master WHERE type IN ('table', 'view')"
    rows = database.execute(query).fetchmany(MOST_OBJECTS + 1)
    if len(rows) > MOST_OBJECTS:
        raise MapFileError(f"{path} has more than {MOST_OBJECTS} tables; save its features in a new GeoPackage")
    return [(str(name), str(kind), str(sql or "")) for name, kind, sql in rows]


def _has_computed(database: sqlite3.Connection, table: str) -> bool:
    return any(row[6] in _COMPUTED for row in database.execute(f"PRAGMA table_xinfo({_quote(table)})"))


def _measure(database: sqlite3.Connection, table: str, column: str | None, size: int, path: Path) -> None:
    """Count the rows of a table and the bytes of its shapes; raises MapFileError where there are more than the file can hold."""
    length = f"total(length({_quote(column)}))" if column else "0"
    query = f"SELECT count(*), {length} FROM {_quote(table)} NOT INDEXED"  # noqa: S608  # names are quoted
    rows, stored = database.execute(query).fetchone()
    if max(rows, stored) > size:
        raise MapFileError(f"{path}: its table {table} has no end; it is damaged, save it anew")


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
