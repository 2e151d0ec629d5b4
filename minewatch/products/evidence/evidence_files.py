"""The files of evidence by name, in a folder or a ZIP, and their comparison with a manifest.

Evidence may come from strangers: nothing is unpacked, no link is followed, and no more is read than evidence can have.
"""

from __future__ import annotations

import hashlib
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from minewatch.core.errors import EvidenceError
from minewatch.core.plain_file import open_plain
from minewatch.core.text import show
from minewatch.products.evidence.zip_file import MOST_FILES, Member, list_members, read_member

LARGEST = 2**26
"""Bytes of a file that is held in memory; an image of a large site has some 50 million."""

LARGEST_TEXT = 2**21
"""Bytes of a manifest; parsed, it takes up to thirty times as much."""

LARGEST_LINES = 2**23
"""Bytes of an export bundle's lines of the custody log."""

DEEPEST = 4
"""Folders within each other; evidence has three, with those of a pack."""

CHUNK = 2**20
"""Bytes that are read at a time."""

STRAY_NAMES = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""Files that file managers leave in folders that were opened."""

SIDECAR = ".aux.xml"
"""End of the name of the file that GIS programs write beside a raster."""


@dataclass(frozen=True)
class EvidenceFiles:
    """Files of one folder or ZIP."""

    names: frozenset[str]
    """Of the files, with / between folder and name."""

    irregular: tuple[str, ...]
    """Lines on each entry that is no plain file with a plain name."""

    read_chunks: Callable[[str], Iterator[bytes]]
    """Name to the file's content in chunks; raises EvidenceError where it cannot be read."""

    stray: frozenset[str] = field(default=frozenset())
    """Those of the names that other programs may have left: in a folder, never in a ZIP, which minewatch alone writes."""

    def read(self, name: str, most: int = LARGEST) -> bytes:
        """Return a file's content; raises EvidenceError where it cannot be read, or has more bytes than ``most``."""
        data = bytearray()
        for chunk in self.read_chunks(name):
            data += chunk
            if len(data) > most:
                raise EvidenceError(f"{show(name)}: is larger than any of its kind ({most >> 20} MB)")
        return bytes(data)

    def matches(self, name: str, stated: object) -> bool:
        """True if a file has the SHA-256 and size that a manifest states; it is not held in memory."""
        if not isinstance(stated, dict) or type(stated.get("size")) is not int:
            return False
        digest, size = hashlib.sha256(), 0
        for chunk in self.read_chunks(name):
            digest.update(chunk)
            size += len(chunk)
            if size > stated["size"]:
                return False
        return size == stated["size"] and digest.hexdigest() == stated.get("sha256")


def open_folder(folder: Path) -> EvidenceFiles:
    """Return the files of a folder; raises EvidenceError where it cannot be listed."""
    names: set[str] = set()
    irregular: list[str] = []
    try:
        for name, reason in _walk(folder, folder, "", [MOST_FILES]):
            if reason:
                irregular.append(f"{show(name)}: {reason}")
            else:
                names.add(name)
    except OSError as error:
        raise EvidenceError(f"{folder} cannot be read: {error.strerror}") from error

    def read(name: str) -> Iterator[bytes]:
        try:
            with open_plain(folder / name) as file:
                yield from iter(lambda: file.read(CHUNK), b"")
        except OSError as error:
            raise EvidenceError(f"{show(name)} cannot be read: {error.strerror}") from error

    return EvidenceFiles(frozenset(names), tuple(sorted(irregular)), read, frozenset(filter(is_stray, names)))


def _walk(top: Path, folder: Path, prefix: str, left: list[int]) -> Iterator[tuple[str, str]]:
    """Yield each file below a folder by name, with a reason where it is no plain one; ``left``: how many more there may be."""
    with os.scandir(folder) as entries:
        is_empty = True
        for entry in entries:
            is_empty = False
            left[0] -= 1
            if left[0] < 0:
                raise EvidenceError(f"{show(top.name)} holds more than {MOST_FILES} files: that is no evidence")
            name, kind = prefix + entry.name, entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISLNK(kind):
                yield name, "a link, not a copy"
            elif stat.S_ISDIR(kind):
                if name.count("/") >= DEEPEST:
                    raise EvidenceError(f"{show(top.name)} holds folders in folders in folders: that is no evidence")
                yield from _walk(top, folder / entry.name, f"{name}/", left)
            else:
                yield name, "" if stat.S_ISREG(kind) else "was added (no plain file)"
    if is_empty and prefix:
        yield prefix.rstrip("/"), "was added (an empty folder)"


def is_stray(name: str) -> bool:
    """True for files that file managers and GIS programs leave in folders that were opened."""
    base = name.rsplit("/", 1)[-1]
    return base in STRAY_NAMES or base.startswith("._") or base.endswith(SIDECAR)


def select_subfolder(files: EvidenceFiles, prefix: str) -> EvidenceFiles:
    """Return the files whose names begin with ``prefix``, without it."""
    names, stray = (_remove_prefix(group, prefix) for group in (files.names, files.stray))
    return EvidenceFiles(names, (), lambda name: files.read_chunks(prefix + name), stray)


def _remove_prefix(names: frozenset[str], prefix: str) -> frozenset[str]:
    return frozenset(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def describe_data(data: bytes) -> dict[str, Any]:
    """Return SHA-256 and size of a file's content, as manifests list them."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


@dataclass(frozen=True)
class Comparison:
    """What a comparison of files with a manifest found."""

    faults: tuple[str, ...]
    """A line on each file that was changed, is missing or was added."""

    notes: tuple[str, ...]
    """A line on each file that other programs have left."""


def compare_files(files: EvidenceFiles, listed: Mapping[str, Any], own: frozenset[str]) -> Comparison:
    """Compare files with those that a manifest lists; ``own`` holds those that no manifest can list."""
    faults = list(files.irregular)
    for name, stated in sorted(listed.items()):
        if name not in files.names:
            faults.append(f"{show(name)}: is missing")
            continue
        try:
            if not files.matches(name, stated):
                faults.append(f"{show(name)}: was changed")
        except EvidenceError as error:
            faults.append(str(error))
    more = sorted(files.names - set(listed) - own)
    stray = [name for name in more if name in files.stray and _is_beside(name, listed)]
    faults += [f"{show(name)}: was added" for name in more if name not in stray]
    return Comparison(tuple(faults), tuple(_describe_stray(name) for name in stray))


def _is_beside(name: str, listed: Mapping[str, Any]) -> bool:
    return not name.endswith(SIDECAR) or name.removesuffix(SIDECAR) in listed


def _describe_stray(name: str) -> str:
    if name.endswith(SIDECAR):
        return f"{show(name)} is not part of it: a GIS program left it, and may show the raster as it says; delete it"
    return f"{show(name)} is not part of it: the system's file manager left it"


# --- ZIP -------------------------------------------------------------------------------------------------------------


def open_zip(file: BinaryIO) -> EvidenceFiles:
    """Return the files of a ZIP; nothing is unpacked to the disk.

    Raises EvidenceError where it is none, was cut off, or is larger than any export bundle; PackError where it holds what
    no pack has.
    """
    try:
        members = list_members(file)
    except OSError as error:
        raise EvidenceError(f"it cannot be read: {error.strerror}") from error
    by_name = {member.name: member for member in members if not member.is_folder}
    names = frozenset(by_name)
    irregular = tuple(_find_irregular(members, names))
    return EvidenceFiles(names, irregular, lambda name: read_member(file, by_name[name]))


def _find_irregular(members: Sequence[Member], names: frozenset[str]) -> Iterator[str]:
    """Yield a line on each entry that is dangerous to unpack, or would overwrite another."""
    for name, reason in sorted({(member.name, _check_member(member)) for member in members}):
        if reason:
            yield f"{show(name)}: {reason}"
        elif name.endswith("/") and not any(other.startswith(name) for other in names):
            yield f"{show(name)}: was added (an empty folder)"
    plain = Counter(_fold(member.name) for member in members if not member.is_folder)
    twice = sorted(name for name in names if plain[_fold(name)] > 1)
    yield from (f"{show(name)}: is in the ZIP more than once, or under a name in another case" for name in twice)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _check_member(member: Member) -> str:
    if stat.S_ISLNK(member.kind):
        return "a link, not a copy"
    if member.kind and not (stat.S_ISREG(member.kind) or stat.S_ISDIR(member.kind)):
        return "no plain file"
    name = member.name
    parts = name.removesuffix("/").split("/")
    if {"", ".", ".."} & set(parts) or "\\" in name or ":" in name or not name.isprintable() or "\ufffd" in name:
        return "its name points outside the ZIP; do not unpack it"
    return ""
