"""The files that a layer was read from, told by their date and SHA-256, so that a verdict can be traced to them."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from minewatch.core.errors import ContextError

COMPANIONS = {".shp": (".dbf", ".shx", ".prj", ".cpg"), ".tab": (".dat", ".map", ".id", ".ind"), ".mif": (".mid",)}
"""Ending of a file to those of the files beside it that hold a part of the layer: the dates of a shapefile are in its .dbf."""

LOG = "-wal"
"""Ending of SQLite's log beside a GeoPackage: what was saved last may lie there alone."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a layer."""

    file: str
    """As declared, or the name of a file beside it."""

    modified: str
    """When it was last changed, UTC: 2026-07-03T14:05:00Z."""

    sha256: str
    """Of its bytes; of a folder (.gdb) that of the lines ``SHA256  NAME`` of its files, ordered by name."""


def describe_files(path: Path, declared: str) -> tuple[SourceFile, ...]:
    """Return the file of a layer, as declared, and those beside it that belong to it; raises ContextError where it cannot."""
    try:
        found = list_files(path)
        names = [declared, *(other.name for other in found[1:])]
        return tuple(_describe(name, one) for name, one in zip(names, found, strict=True))
    except OSError as error:
        raise ContextError(f"{path} cannot be read: {error.strerror}") from error


def list_files(path: Path) -> list[Path]:
    """Return a file, and those beside it that hold a part of the layer."""
    endings = COMPANIONS.get(path.suffix.lower(), ())
    beside = [path.with_suffix(case(ending)) for ending in endings for case in (str.lower, str.upper)]
    beside += [log] if (log := path.with_name(path.name + LOG)).is_file() and log.stat().st_size else []
    return [path, *(other for other in beside if other.is_file())]


def find_modified(path: Path) -> dt.date:
    """Return the day, UTC, on which a file or one of those that belong to it was last changed."""
    return dt.datetime.fromtimestamp(max(one.stat().st_mtime for one in list_files(path)), dt.UTC).date()


def _describe(name: str, path: Path) -> SourceFile:
    members = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(member, member.stat()) for member in members if member.is_file()]
    latest = max((stat.st_mtime for _, stat in stats), default=path.stat().st_mtime)
    digests = [_hash(str(member), stat.st_size, stat.st_mtime_ns) for member, stat in stats]
    if path.is_dir():
        lines = "".join(f"{digest}  {member.name}\n" for digest, (member, _) in zip(digests, stats, strict=True))
        digests = [hashlib.sha256(lines.encode()).hexdigest()]
    return SourceFile(name, dt.datetime.fromtimestamp(latest, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), digests[0])


@functools.lru_cache(maxsize=4096)
def _hash(path: str, size: int, mtime_ns: int) -> str:  # noqa: ARG001  # of the same size and time it is the same file
    """Return the SHA-256 of a file, in bounded memory; each state of a file is read once by a process."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
