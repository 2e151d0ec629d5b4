"""Map files of strangers: which formats GDAL may open, and what in them would lead elsewhere, run SQL, or have no end."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyogrio
from pyogrio._ogr import _register_drivers  # which pyogrio calls when it is loaded, and offers in no other way

from minewatch.core.errors import MapFileError
from minewatch.core.geopackage_check import SQLITE, check_geopackage, list_plain_tables
from minewatch.core.map_archive import check_archive, is_archive

DRIVERS = (
    "GPKG", "GeoJSON", "GeoJSONSeq", "ESRI Shapefile", "FlatGeobuf", "TopoJSON", "ESRIJSON", "JSONFG", "KML", "LIBKML", "GML",
    "GPX", "OpenFileGDB", "MapInfo File", "DXF", "Parquet", "Arrow", "OGR_GMT", "JML",
)  # fmt: skip
"""GDAL's formats that are opened: they hold their features themselves.  Others lead to the network or to other files."""

_WRITTEN = ("CSV", "MEM", "ODS", "XLSX")
"""Formats that exports write; GDAL opens them, and they are refused by their name."""

_OPTIONS = {
    # GDAL would request the schema of a .gml from whatever address the file names.
    "GML_DOWNLOAD_SCHEMA": "NO",
}
"""Options of GDAL, each with its reason."""

_HEAD = 65_536
"""Bytes in which GDAL looks for what a file is."""

_DESCRIPTION = re.compile(rb"<OGR\w*(DataSource|Layer)\b|gdal_streamed_alg")
"""Files that only describe where features lie: GDAL would follow them while it opens them."""

_LINKED_TABLE = re.compile(rb"(?im)^\s*(create\s+view|open\s+table)\b|IsSeamless|^\s*type\s+(linked|odbc)")
"""MapInfo tables that are made of other files."""

_BINARY = (SQLITE, b"fgb\3", b"\0\0\x27\x0a", b"<", b"!table", b"!Table", b"# @VGMT", b"Version")
"""First bytes of files that are no JSON."""

_CRS = b"crs"
"""Key of a reference system in GeoJSON."""

_HIDDEN_LETTER = re.compile(rb"\\u00(?:[46][1-9a-fA-F]|[57][0-9aA])")
"""An ASCII letter written as an escape: no program does, but it could hide a key."""

_PIECE = 2**24
"""Bytes of a text that are looked through at a time."""

_LONGEST_CRS = 65_536
"""Bytes of the description of a reference system in JSON."""


@functools.cache
def restrict_gdal() -> None:
    """Take from GDAL's vector library, for the rest of the process, all formats but DRIVERS and those that exports write.

    Checks of a file's head can be deceived; a driver that is not there cannot.
    """
    others = sorted(set(pyogrio.list_drivers()) - {*DRIVERS, *_WRITTEN})
    pyogrio.set_gdal_config_options(_OPTIONS | {"GDAL_SKIP": ",".join(others)})
    _register_drivers()
    pyogrio.set_gdal_config_options({"GDAL_SKIP": None})


def check_map_file(path: Path) -> None:
    """Raise MapFileError where a file only describes where data lie, names addresses, or has no end.

    To be called before GDAL opens a file.
    """
    restrict_gdal()
    try:
        if not path.is_dir():  # a geodatabase (.gdb) is a folder
            log = path.with_name(f"{path.name}-wal")
            files = [path.stat(), *([log.stat()] if log.is_file() else [])]
            _check_version(path, sum(file.st_size for file in files), max(file.st_mtime_ns for file in files))
    except OSError as error:
        raise MapFileError(f"{path} cannot be read: {error.strerror}") from error


def list_map_layers(path: Path, wanted: str | None = None) -> dict[str, str | None]:
    """Return the layers of a checked file, name to kind of shape; None for tables without shapes.

    Views and virtual tables of a GeoPackage are left out: they are not run.  Raises MapFileError where the wanted layer is one,
    else pyogrio's errors.
    """
    layers = {str(name): None if kind is None else str(kind) for name, kind in pyogrio.list_layers(path)}
    if not _read_head(path).startswith(SQLITE):
        return layers
    plain = list_plain_tables(path)
    if wanted in layers and wanted.lower() not in plain:
        raise MapFileError(f"{path}: its layer {wanted!r} is a view or is computed, which is not run; save it as a table")
    return {name: kind for name, kind in layers.items() if name.lower() in plain}


@functools.lru_cache(256)
def _check_version(path: Path, size: int, _mtime_ns: int) -> None:
    head = _read_head(path)
    if _DESCRIPTION.search(head):
        raise MapFileError(f"{path} only describes where data are; save the features themselves, as GeoPackage")
    if head.startswith(SQLITE):
        check_geopackage(path, size)
    elif is_archive(path):
        check_archive(path)
    elif path.suffix.lower() == ".tab" and _LINKED_TABLE.search(head):
        raise MapFileError(f"{path} is made of other tables; save the features themselves, as GeoPackage")
    elif size and not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_BINARY):
        _check_json(path)


def _read_head(path: Path) -> bytes:
    if path.is_dir():
        return b""
    with path.open("rb") as file:
        return file.read(_HEAD)


def _check_json(path: Path) -> None:
    """Raise MapFileError where a reference system is given by a link: GDAL would follow it."""
    for chunk, end in _read_overlapping(path):
        if _HIDDEN_LETTER.search(chunk):
            raise MapFileError(f"{path} hides letters of its text (such as \\u0063); save it anew, as GeoPackage")
        if not all(_is_plain_crs(chunk[at : at + _LONGEST_CRS]) for at in _find_crs_values(chunk) if at <= end):
            raise MapFileError(f"{path} gives its reference system by an address, which is not followed; save it as GeoPackage")


def _read_overlapping(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield a file in pieces, and up to which byte of it what follows is in the piece too."""
    with path.open("rb") as file:
        rest = b""
        while data := file.read(_PIECE):
            chunk = rest + data
            yield chunk, len(chunk) - _LONGEST_CRS
            rest = chunk[-_LONGEST_CRS - len(_CRS) - 2 :]
        yield rest, len(rest)


def _find_crs_values(text: bytes) -> Iterator[int]:
    """Yield where the values begin of what is called crs, in letters of any case: GDAL takes them all."""
    lower = text.lower()
    for quote in (b'"', b"'"):
        at = lower.find(word := quote + _CRS + quote)
        while at >= 0:
            yield at + len(word)
            at = lower.find(word, at + 1)


def _is_plain_crs(text: bytes) -> bool:
    """True if what follows the key is a value that names nothing to fetch: text, null, or a name in an object."""
    value = text.lstrip()
    if not value.startswith(b":"):
        return value[:1] in (b",", b"}", b"]")  # the word is a value itself
    value = value[1:].lstrip()
    if not value.startswith(b"{"):
        return value[:1] in (b'"', b"n", b"t", b"f", b"[", b"-", *(b"%d" % digit for digit in range(10)))
    try:
        crs: dict[str, Any] = json.JSONDecoder().raw_decode(value.decode("utf-8", "replace"))[0]
    except (ValueError, RecursionError):
        return False
    kinds = [kind for key, kind in crs.items() if key.lower() == "type"]
    return all(isinstance(kind, str) and kind.lower() not in ("link", "url") for kind in kinds)
