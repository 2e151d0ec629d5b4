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
import shapely
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.columns import GEOMETRY, KEY, LAYER, LAYERS, SPATIAL, Column, Value
from minewatch.alerts.database import BUSY_SECONDS, REMEDY, Cell, explain_error, is_locked, read_code, refuse_links, select
from minewatch.alerts.style import install_styles
from minewatch.core.errors import AlertsError, describe
from minewatch.core.files import is_full, publishing
from minewatch.core.lock import check_locks
from minewatch.core.text import show

GARBLED = (UnicodeDecodeError, struct.error, shapely.GEOSException)
"""Errors that damaged values raise."""

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""Primary codes of SQLite; the last one is that of a table or column that is not there."""

_SRS = 4326


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
    from pyogrio.raw import write  # noqa: PLC0415  GDAL is needed once, to make the file

    write(
        path,
        geometry=np.array([], object) if layer in SPATIAL else None,
        field_data=[np.array([], column.dtype) for column in columns],
        fields=[column.name for column in columns],
        layer=layer,
        driver="GPKG",
        append=path.exists(),
        dataset_options=None if path.exists() else {"VERSION": "1.2"},
        layer_options={"GEOMETRY_NAME": GEOMETRY, "FID": KEY} if layer in SPATIAL else {"FID": KEY},
        **spatial,
    )


@contextlib.contextmanager
def updating(path: Path, busy_seconds: float = BUSY_SECONDS) -> Iterator[sqlite3.Connection]:
    """Yield a connection inside one transaction that is kept whole or not at all.

    Raises AlertsError where the file is locked for too long, read-only or no GeoPackage, and WorkspaceError where its folder
    cannot lock files; nothing is changed then.
    """
    refuse_links(path)
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
            if is_locked(error):
                check_locks(path.parent)
            remedy = f"; {REMEDY}" if _is_damage(error) else ""
            raise AlertsError(f"{path} could not be changed: {explain_error(error)}; nothing was changed{remedy}") from error
        # Write-ahead logs freeze on network drives (QGIS #37623): a single file again, where nobody else holds it.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA journal_mode = DELETE")


def _is_damage(error: Exception) -> bool:
    code = read_code(error)
    # Invalid text is found by Python, whose error has no code.
    return isinstance(error, GARBLED) or code in _DAMAGED or (code is None and isinstance(error, sqlite3.OperationalError))


def refresh_extent(connection: sqlite3.Connection, layer: str) -> None:
    """Store the extent of a layer, which readers use for zooming."""
    boxes = [_envelope(blob) for (blob,) in connection.execute(f'SELECT "{GEOMETRY}" FROM "{layer}"')]
    west, east, south, north = zip(*filter(None, boxes), strict=True) if any(boxes) else [[None]] * 4
    extent = min(west), min(south), max(east), max(north)
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    connection.execute(
        "UPDATE gpkg_contents SET min_x = ?, min_y = ?, max_x = ?, max_y = ?, last_change = ? WHERE table_name = ?",
        (*extent, now, layer),
    )


def add_outline(row: Mapping[str, Value], outline: BaseGeometry) -> dict[str, Cell]:
    """Return a row with the outline as its geometry."""
    return {**row, GEOMETRY: encode_geometry(outline)}


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


def read_outline(path: Path, alert_id: str) -> BaseGeometry:
    """Return the outline of an alert of the table.  Raises AlertsError where it cannot be read."""
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
            return decode_geometry(select(connection, LAYER, "alert_id = ?", (alert_id,))[0][GEOMETRY])
    except (sqlite3.Error, *GARBLED, IndexError, TypeError) as error:
        raise AlertsError(f"{path}: the outline of {alert_id} cannot be read: {show(describe(error))}; {REMEDY}") from error


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
