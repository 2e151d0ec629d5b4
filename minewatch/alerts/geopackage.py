"""Writes the alerts GeoPackage: made once by rename, and from then on changed in place, one transaction a time.

A file that may be open in QGIS is never replaced: a stale write-ahead log would be replayed onto the new file, and
edits to the old one would be lost.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.columns import KEY, LAYERS, SPATIAL, Column, Value
from minewatch.alerts.style import install_styles
from minewatch.core.errors import AlertsError, describe
from minewatch.core.files import is_full, publishing
from minewatch.core.lock import check_locks
from minewatch.core.plain_file import NotPlainError, check_plain
from minewatch.core.text import show

BUSY_SECONDS = 10.0
"""Seconds to wait for a locked file."""

REMEDY = "put a backup in its place, or move it away and scan again; decisions are kept in decisions.jsonl and will be restored"
"""What to do about a table that is damaged."""

GARBLED = (UnicodeDecodeError, struct.error, shapely.GEOSException)
"""Errors that damaged values raise."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""Primary codes of SQLite; the last one is that of a table or column that is not there."""

_SRS = 4326
_GEOMETRY = "geom"


def create_geopackage(path: Path) -> None:
    """Make an empty alerts table with its layers and styles, complete or not at all."""
    try:
        with publishing(path) as temporary:
            temporary.unlink()
            for layer, columns in LAYERS.items():
                _create_layer(temporary, layer, columns)
            with contextlib.closing(sqlite3.connect(temporary)) as connection, connection:
                install_styles(connection)
    except (sqlite3.Error, RuntimeError) as error:  # pyogrio's errors are RuntimeErrors
        check_locks(path.parent)
        reason = "the disk is full" if is_full(path.parent) else show(describe(error))
        raise AlertsError(f"{path} could not be made: {reason}; check room and permissions, and scan again") from error


def _create_layer(path: Path, layer: str, columns: Sequence[Column]) -> None:
    spatial: dict[str, Any] = {"geometry_type": "MultiPolygon", "crs": f"EPSG:{_SRS}"} if layer in SPATIAL else {}
    pyogrio.raw.write(
        path,
        geometry=np.array([], object) if layer in SPATIAL else None,
        field_data=[np.array([], column.dtype) for column in columns],
        fields=[column.name for column in columns],
        layer=layer,
        driver="GPKG",
        append=path.exists(),
        dataset_options=None if path.exists() else {"VERSION": "1.2"},
        layer_options={"GEOMETRY_NAME": _GEOMETRY, "FID": KEY} if layer in SPATIAL else {"FID": KEY},
        **spatial,
    )


@contextlib.contextmanager
def updating(path: Path, busy_seconds: float = BUSY_SECONDS) -> Iterator[sqlite3.Connection]:
    """Yield a connection inside one transaction that is kept whole or not at all.

    Raises AlertsError where the file is locked for too long, read-only or no GeoPackage, and WorkspaceError where its folder
    cannot lock files; nothing is changed then.
    """
    _refuse_links(path)
    with contextlib.closing(sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)) as connection:
        _register_functions(connection)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if not isinstance(error, (sqlite3.Error, *GARBLED)):
                raise
            if _is_locked(error):
                check_locks(path.parent)
            remedy = f"; {REMEDY}" if _is_damage(error) else ""
            raise AlertsError(f"{path} could not be changed: {_explain(error)}; nothing was changed{remedy}") from error
        # Write-ahead logs freeze on network drives (QGIS #37623): a single file again, where nobody else holds it.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA journal_mode = DELETE")


def _is_damage(error: Exception) -> bool:
    code = _read_code(error)
    # Invalid text is found by Python, whose error has no code.
    return isinstance(error, GARBLED) or code in _DAMAGED or (code is None and isinstance(error, sqlite3.OperationalError))


def _is_locked(error: Exception) -> bool:
    return _read_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _read_code(error: Exception) -> int | None:
    """Return the primary code of an error of SQLite, which is the lowest byte of the whole one."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _explain(error: Exception) -> str:
    if _is_locked(error):
        return "another program has it locked (a QGIS that is saving?); close it or try again"
    return show(describe(error))


def require_table(path: Path) -> None:
    """Raise AlertsError where there is no table yet or it cannot be read."""
    if not path.exists():
        raise AlertsError(f"there is no alerts table yet ({path}); make one with: minewatch scan")
    recover(path)


def _refuse_links(path: Path) -> None:
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
    _refuse_links(path)
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            connection.execute("SELECT table_name FROM gpkg_contents").fetchall()
            if whole and (faults := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(str(faults))
    except (sqlite3.Error, *GARBLED) as error:
        if _is_locked(error):
            check_locks(path.parent)
            raise AlertsError(f"{path} cannot be read: {_explain(error)}") from error
        raise AlertsError(f"{path} is no usable alerts table: {describe(error)}; {REMEDY}") from error


def select(connection: sqlite3.Connection, layer: str, where: str = "1", values: Sequence[Value] = ()) -> list[dict[str, Any]]:
    """Read rows as dictionaries; ``where`` is SQL with ? for each of ``values``."""
    cursor = connection.execute(f'SELECT * FROM "{layer}" WHERE {where}', tuple(map(_to_sql, values)))
    names = [description[0] for description in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def select_areas(connection: sqlite3.Connection, layer: str, aois: Sequence[str]) -> list[dict[str, Any]]:
    """Read the rows of areas."""
    return select(connection, layer, f"aoi IN ({', '.join('?' for _ in aois)})", aois)


def insert(connection: sqlite3.Connection, layer: str, row: Mapping[str, Value], geometry: BaseGeometry | None = None) -> int:
    """Add a row; return its fid."""
    cells = _cells(row, geometry)
    names = ", ".join(f'"{name}"' for name in cells)
    marks = ", ".join("?" for _ in cells)
    cursor = connection.execute(f'INSERT INTO "{layer}" ({names}) VALUES ({marks})', tuple(cells.values()))
    return int(cursor.lastrowid or 0)


def insert_rows(connection: sqlite3.Connection, layer: str, rows: Sequence[Mapping[str, Value]]) -> None:
    """Add rows without geometry, which all have the same columns."""
    if rows:
        names, marks = ", ".join(f'"{name}"' for name in rows[0]), ", ".join("?" for _ in rows[0])
        values = (tuple(map(_to_sql, row.values())) for row in rows)
        connection.executemany(f'INSERT INTO "{layer}" ({names}) VALUES ({marks})', values)


def update(
    connection: sqlite3.Connection, layer: str, fid: int, row: Mapping[str, Value], geometry: BaseGeometry | None = None
) -> None:
    """Change the named columns of a row, and its geometry where one is given."""
    cells = _cells(row, geometry)
    assignments = ", ".join(f'"{name}" = ?' for name in cells)
    connection.execute(f'UPDATE "{layer}" SET {assignments} WHERE "{KEY}" = ?', (*cells.values(), fid))


def delete(connection: sqlite3.Connection, layer: str, fid: int) -> None:
    """Remove a row."""
    connection.execute(f'DELETE FROM "{layer}" WHERE "{KEY}" = ?', (fid,))


def refresh_extent(connection: sqlite3.Connection, layer: str) -> None:
    """Store the extent of a layer, which readers use for zooming."""
    boxes = [_envelope(blob) for (blob,) in connection.execute(f'SELECT "{_GEOMETRY}" FROM "{layer}"')]
    west, east, south, north = zip(*filter(None, boxes), strict=True) if any(boxes) else [[None]] * 4
    extent = min(west), min(south), max(east), max(north)
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    connection.execute(
        "UPDATE gpkg_contents SET min_x = ?, min_y = ?, max_x = ?, max_y = ?, last_change = ? WHERE table_name = ?",
        (*extent, now, layer),
    )


def _cells(row: Mapping[str, Value], geometry: BaseGeometry | None) -> dict[str, Any]:
    cells: dict[str, Any] = {name: _to_sql(value) for name, value in row.items()}
    if geometry is not None:
        cells[_GEOMETRY] = encode_geometry(geometry)
    return cells


def parse_date(value: object) -> dt.date:
    """Return the date of a DATE or DATETIME value."""
    return dt.date.fromisoformat(str(value)[:10])


def _to_sql(value: Value) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


def encode_geometry(geometry: BaseGeometry) -> bytes:
    """Encode a polygon as a GeoPackage blob: header with envelope, then WKB (OGC 12-128r18, clause 2.1.3)."""
    multi = MultiPolygon(shapely.get_parts(geometry).tolist())
    west, south, east, north = multi.bounds
    header = struct.pack("<2sBBi4d", b"GP", 0, 0b00000011, _SRS, west, east, south, north)
    return header + shapely.to_wkb(multi, byte_order=1)


def decode_geometry(blob: bytes) -> BaseGeometry:
    """Read a GeoPackage blob."""
    sizes = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
    return shapely.from_wkb(blob[8 + sizes[(blob[3] >> 1) & 0b111] :])


def _envelope(blob: bytes | None) -> tuple[float, float, float, float] | None:
    """Return min x, max x, min y, max y; None for an empty geometry."""
    if blob is None or blob[3] & 0b00010000:
        return None
    if (blob[3] >> 1) & 0b111:
        order = "<" if blob[3] & 1 else ">"
        west, east, south, north = struct.unpack_from(f"{order}4d", blob, 8)
        return west, east, south, north
    west, south, east, north = decode_geometry(blob).bounds
    return west, east, south, north


def _register_functions(connection: sqlite3.Connection) -> None:
    """Register the functions that the spatial index's triggers call: sqlite3 has none."""
    connection.create_function("ST_IsEmpty", 1, lambda blob: int(_envelope(blob) is None), deterministic=True)
    for index, name in enumerate(("ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY")):
        connection.create_function(name, 1, lambda blob, i=index: (_envelope(blob) or (None,) * 4)[i], deterministic=True)
