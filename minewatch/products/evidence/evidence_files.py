"""Files of evidence by their names: in a folder, or in a ZIP; and what they should be.

Whoever hands evidence over may be a stranger: nothing is unpacked, and no more is read than evidence can have.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from minewatch.core.errors import EvidenceError
from minewatch.core.text import show

MOST_FILES = 5000
"""In a folder or a ZIP; evidence has some ten, and one for each look."""

LARGEST = 2**29
"""Bytes of a file that is held in memory; a chip of a large site has some 50 million."""

LARGEST_TEXT = 2**24
"""Bytes of a manifest, or of a pack's lines of the log."""

LARGEST_WHOLE = 2**32
"""Bytes of all files of a ZIP, unpacked."""

LARGEST_DIRECTORY = 2**21
"""Bytes of the list of members at the end of a ZIP, which is read as a whole."""

PIECE = 2**20
"""Bytes that are read at a time."""

BROKEN = (OSError, ValueError, NotImplementedError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What a damaged or strange ZIP makes its reader raise."""


@dataclass(frozen=True)
class Bundle:
    """Files that belong together."""

    names: frozenset[str]
    """Of the files, with / between folder and name."""

    strange: tuple[str, ...]
    """What is no plain file with a plain name, told in words."""

    pieces: Callable[[str], Iterator[bytes]]
    """Gives a file's content bit by bit; raises EvidenceError where it cannot be read."""

    def read(self, name: str, most: int = LARGEST) -> bytes:
        """Return a file's content; raises EvidenceError where it cannot be read, or has more bytes than ``most``."""
        data = bytearray()
        for piece in self.pieces(name):
            data += piece
            if len(data) > most:
                raise EvidenceError(f"{show(name)}: is larger than any of its kind ({most >> 20} MB)")
        return bytes(data)

    def is_as_stated(self, name: str, stated: object) -> bool:
        """Compare a file with the SHA-256 and size that a manifest states, without holding it in memory."""
        if not isinstance(stated, dict) or type(stated.get("size")) is not int:
            return False
        digest, size = hashlib.sha256(), 0
        for piece in self.pieces(name):
            digest.update(piece)
            size += len(piece)
            if size > stated["size"]:
                return False
        return size == stated["size"] and digest.hexdigest() == stated.get("sha256")


def open_folder(folder: Path) -> Bundle:
    """Return the files of a folder; raises EvidenceError where it cannot be listed."""
    names, strange = set(), []
    try:
        paths = sorted(itertools.islice(folder.rglob("*"), MOST_FILES + 1))
        if len(paths) > MOST_FILES:
            raise EvidenceError(f"{show(folder.name)} holds more than {MOST_FILES} files: that is no evidence")
        for path in paths:
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                strange.append(f"{show(name)}: a link, not a copy")
            elif path.is_file():
                names.add(name)
            elif not path.is_dir() or not any(path.iterdir()):
                strange.append(f"{show(name)}: was added (an empty folder, or no file)")
    except OSError as error:
        raise EvidenceError(f"{folder} cannot be read: {error.strerror}") from error

    def read(name: str) -> Iterator[bytes]:
        try:
            with (folder / name).open("rb") as file:
                yield from iter(lambda: file.read(PIECE), b"")
        except OSError as error:
            raise EvidenceError(f"{show(name)} cannot be read: {error.strerror}") from error

    return Bundle(frozenset(names), tuple(strange), read)


def below(bundle: Bundle, prefix: str) -> Bundle:
    """Return the files of a folder in a bundle."""
    names = frozenset(name.removeprefix(prefix) for name in bundle.names if name.startswith(prefix))
    return Bundle(names, (), lambda name: bundle.pieces(prefix + name))


def describe_data(data: bytes) -> dict[str, Any]:
    """Give SHA-256 and size of a file's content, as manifests list them."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def compare_files(bundle: Bundle, listed: Mapping[str, Any], own: frozenset[str]) -> list[str]:
    """Name each file that was changed, is missing or was added; ``own`` are those that no manifest can list."""
    faults = list(bundle.strange)
    for name, stated in sorted(listed.items()):
        if name not in bundle.names:
            faults.append(f"{show(name)}: is missing")
            continue
        try:
            if not bundle.is_as_stated(name, stated):
                faults.append(f"{show(name)}: was changed")
        except EvidenceError as error:
            faults.append(str(error))
    faults += [f"{show(name)}: was added" for name in sorted(bundle.names - set(listed) - own)]
    return faults


# --- ZIP -------------------------------------------------------------------------------------------------------------


def open_zip(file: BinaryIO) -> Bundle:
    """Return the files of a ZIP; nothing is unpacked to the disk.

    Raises EvidenceError where it is none, was cut off, or is larger than any pack.
    """
    try:
        _check_end(file)
        archive = zipfile.ZipFile(file)
        infos = archive.infolist()
    except BROKEN as error:
        raise EvidenceError(f"it is no ZIP, or it is damaged ({type(error).__name__}); ask for it again") from error
    if len(infos) > MOST_FILES or sum(info.file_size for info in infos) > LARGEST_WHOLE:
        raise EvidenceError(f"it holds more than {MOST_FILES} files or {LARGEST_WHOLE >> 30} GB: do not unpack it")
    files = [info for info in infos if not info.is_dir()]
    names = frozenset(info.filename for info in files)

    def read(name: str) -> Iterator[bytes]:
        try:
            with archive.open(name) as member:
                yield from iter(lambda: member.read(PIECE), b"")
        except BROKEN as error:
            raise EvidenceError(f"{show(name)} cannot be read: the ZIP is damaged, or locked with a password") from error

    return Bundle(names, tuple(_find_strange(infos, names)), read)


def _check_end(file: BinaryIO) -> None:
    """Look how long the list of members is before all of it is read; no pack needs the form for huge ones (ZIP64)."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - 2**16 - 42)
    file.seek(start)
    tail = file.read()
    at = len(tail) - 22 if tail[-22:-18] == b"PK\5\6" and tail[-2:] == b"\0\0" else tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + 22:
        raise EvidenceError("it is no ZIP, or it was cut off; ask for it again")
    is_huge = tail[max(0, at - 20) : at].startswith(b"PK\6\7")
    if is_huge or int.from_bytes(tail[at + 12 : at + 16], "little") > LARGEST_DIRECTORY:
        raise EvidenceError(f"it is no pack: it lists more than {MOST_FILES} files; do not unpack it")


def _find_strange(infos: Sequence[zipfile.ZipInfo], names: frozenset[str]) -> Iterator[str]:
    """Tell what would harm who unpacks a ZIP, or become something else there."""
    for name, reason in sorted({(info.filename, _judge_member(info)) for info in infos}):
        if reason:
            yield f"{show(name)}: {reason}"
        elif name.endswith("/") and not any(other.startswith(name) for other in names):
            yield f"{show(name)}: was added (an empty folder)"
    plain = Counter(_fold(info.filename) for info in infos if not info.is_dir())
    twice = sorted(name for name in names if plain[_fold(name)] > 1)
    yield from (f"{show(name)}: is in the ZIP more than once, or under a name in another case" for name in twice)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _judge_member(info: zipfile.ZipInfo) -> str:
    name, kind = info.filename, stat.S_IFMT(info.external_attr >> 16)
    if stat.S_ISLNK(kind):
        return "a link, not a copy"
    if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        return "no plain file"
    parts = name.removesuffix("/").split("/")
    if {"", ".", ".."} & set(parts) or "\\" in name or ":" in name or not name.isprintable() or name != info.orig_filename:
        return "its name points outside the ZIP; do not unpack it"
    return ""
