"""Map files in ZIPs of strangers (zipped shapefiles, KMZ): unpacked within limits, under names of our own."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from minewatch.core.errors import MapFileError
from minewatch.core.text import show

_HEAD = b"PK\3\4"
"""First bytes of a ZIP."""

_ENDINGS = (".zip", ".kmz")
"""Of what GDAL opens as a ZIP, whatever its first bytes are."""

MAIN_ENDINGS = (".shp", ".kml", ".gpkg", ".geojson", ".json", ".fgb", ".gml", ".tab", ".mif")
"""Of files that hold features, or name those beside them that do."""

SIDE_ENDINGS = (".shx", ".dbf", ".prj", ".cpg", ".dat", ".map", ".id", ".ind", ".mid")
"""Of the files beside them."""

MOST_MEMBERS = 2000
"""Files in a ZIP; a shapefile has five, a KMZ its images too."""

LARGEST_TOTAL = 2**30
"""Bytes of all files of a ZIP, unpacked."""

_CHUNK = 2**18
"""Bytes that are unpacked at a time."""

_LOCKED = 1 << 0
"""Flag of a member with a password."""

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others need hundreds of megabytes for a file of a kilobyte."""

_FAULTS = (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error)
"""Raised by reading a damaged ZIP."""


def is_archive(path: Path) -> bool:
    """True if programs would open a file as a ZIP."""
    if path.is_dir():
        return False
    with path.open("rb") as file:
        return file.read(len(_HEAD)) == _HEAD or path.suffix.lower() in _ENDINGS


def check_archive(path: Path) -> None:
    """Raise MapFileError where a ZIP holds more than a map, or cannot be read."""
    for _ in _read_members(path, (), LARGEST_TOTAL):
        pass


def unpack_map(path: Path, folder: Path, largest: int) -> Path:
    """Unpack the one map file of a ZIP, and the files beside it, into a folder, and return it.

    Raises MapFileError where there is none or more than one, where all holds more than ``largest`` bytes, or where the ZIP
    cannot be read.
    """
    found: dict[PurePosixPath, Path] = {}
    places: dict[PurePosixPath, int] = {}
    for name, part in _read_members(path, MAIN_ENDINGS + SIDE_ENDINGS, largest):
        place = folder / str(places.setdefault(name.parent, len(places)))
        place.mkdir(exist_ok=True)
        target = place / f"{_clean(name.stem)}{name.suffix.lower()}"
        if not part and target.exists():
            raise MapFileError(f"{path} holds {show(name, 60)} twice; unpack it and give one of them")
        with target.open("ab") as file:
            file.write(part)
        found[name] = target
    maps = [name for name in found if name.suffix.lower() in MAIN_ENDINGS]
    first = [name for name in maps if name.name.lower() == "doc.kml"]  # which programs open in a KMZ
    if len(first or maps) != 1:
        listed = ", ".join(show(name, 60) for name in maps[:5]) or "no shapefile, KML, GeoPackage or GeoJSON"
        raise MapFileError(f"{path} holds {listed}; " + ("unpack it and give one of them" if maps else "unpack it and look"))
    return found[(first or maps)[0]]


def _clean(stem: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_ " else "_" for letter in stem)[:60] or "_"


def _read_members(path: Path, endings: tuple[str, ...], largest: int) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the files of a ZIP with these endings, in parts, at least one; all are unpacked, and count."""
    total = 0
    try:
        with zipfile.ZipFile(path) as archive:
            for member in _list_members(archive, path, largest):
                name = PurePosixPath(member.filename.replace("\\", "/"))
                is_wanted = name.suffix.lower() in endings and "__MACOSX" not in name.parts and not name.name.startswith(".")
                if is_wanted:
                    yield name, b""
                with archive.open(member) as file:
                    while part := file.read(_CHUNK):
                        total += len(part)
                        if total > largest:
                            raise MapFileError(f"{path} holds more than {largest >> 20} MB; do not unpack it")
                        if is_wanted:
                            yield name, part
    except _FAULTS as error:
        raise MapFileError(f"{path} cannot be unpacked: it is damaged, or no ZIP") from error


def _list_members(archive: zipfile.ZipFile, path: Path, largest: int) -> list[zipfile.ZipInfo]:
    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MOST_MEMBERS:
        raise MapFileError(f"{path} holds {len(members)} files, more than any map; unpack it and give one of them")
    for member in members:
        if member.flag_bits & _LOCKED:
            raise MapFileError(f"{path} is locked with a password; unpack it first")
        if member.compress_type not in _METHODS:
            raise MapFileError(f"{path} is packed by a method that is not read ({member.compress_type}); unpack it first")
    if sum(member.file_size for member in members) > largest:
        raise MapFileError(f"{path} holds more than {largest >> 20} MB; do not unpack it")
    return members
