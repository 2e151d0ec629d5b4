"""The files of evidence by name, in a folder or a ZIP, and their comparison with a manifest.

Evidence may come from strangers: nothing is unpacked, and no more is read than evidence can have.
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
"""In a folder or a ZIP; evidence has about ten, and one for each look."""

LARGEST = 2**29
"""Bytes of a file that is held in memory; an image of a large site has some 50 million."""

LARGEST_TEXT = 2**24
"""Bytes of a manifest, or of an export bundle's lines of the custody log."""

LARGEST_TOTAL = 2**32
"""Bytes of all files of a ZIP, unpacked."""

LARGEST_DIRECTORY = 2**21
"""Bytes of the central directory of a ZIP, which is read as a whole."""

CHUNK = 2**20
"""Bytes that are read at a time."""

ZIP_FAULTS = (OSError, ValueError, NotImplementedError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What zipfile raises for damaged or malicious files."""


@dataclass(frozen=True)
class EvidenceFiles:
    """Files of one folder or ZIP."""

    names: frozenset[str]
    """Of the files, with / between folder and name."""

    irregular: tuple[str, ...]
    """Lines on each entry that is no plain file with a plain name."""

    read_chunks: Callable[[str], Iterator[bytes]]
    """Name to the file's content in chunks; raises EvidenceError where it cannot be read."""

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
    names, irregular = set(), []
    try:
        paths = sorted(itertools.islice(folder.rglob("*"), MOST_FILES + 1))
        if len(paths) > MOST_FILES:
            raise EvidenceError(f"{show(folder.name)} holds more than {MOST_FILES} files: that is no evidence")
        for path in paths:
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                irregular.append(f"{show(name)}: a link, not a copy")
            elif path.is_file():
                names.add(name)
            elif not path.is_dir() or not any(path.iterdir()):
                irregular.append(f"{show(name)}: was added (an empty folder, or no file)")
    except OSError as error:
        raise EvidenceError(f"{folder} cannot be read: {error.strerror}") from error

    def read(name: str) -> Iterator[bytes]:
        try:
            with (folder / name).open("rb") as file:
                yield from iter(lambda: file.read(CHUNK), b"")
        except OSError as error:
            raise EvidenceError(f"{show(name)} cannot be read: {error.strerror}") from error

    return EvidenceFiles(frozenset(names), tuple(irregular), read)


def select_subfolder(files: EvidenceFiles, prefix: str) -> EvidenceFiles:
    """Return the files whose names begin with ``prefix``, without it."""
    names = frozenset(name.removeprefix(prefix) for name in files.names if name.startswith(prefix))
    return EvidenceFiles(names, (), lambda name: files.read_chunks(prefix + name))


def describe_data(data: bytes) -> dict[str, Any]:
    """Return SHA-256 and size of a file's content, as manifests list them."""
    return {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def compare_files(files: EvidenceFiles, listed: Mapping[str, Any], own: frozenset[str]) -> list[str]:
    """Name each file that was changed, is missing or was added; ``own`` holds those that no manifest can list."""
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
    faults += [f"{show(name)}: was added" for name in sorted(files.names - set(listed) - own)]
    return faults


# --- ZIP -------------------------------------------------------------------------------------------------------------


def open_zip(file: BinaryIO) -> EvidenceFiles:
    """Return the files of a ZIP; nothing is unpacked to the disk.

    Raises EvidenceError where it is none, was cut off, or is larger than any export bundle.
    """
    try:
        _check_end(file)
        archive = zipfile.ZipFile(file)
        infos = archive.infolist()
    except ZIP_FAULTS as error:
        raise EvidenceError(f"it is no ZIP, or it is damaged ({type(error).__name__}); ask for it again") from error
    if len(infos) > MOST_FILES or sum(info.file_size for info in infos) > LARGEST_TOTAL:
        raise EvidenceError(f"it holds more than {MOST_FILES} files or {LARGEST_TOTAL >> 30} GB: do not unpack it")
    files = [info for info in infos if not info.is_dir()]
    names = frozenset(info.filename for info in files)

    def read(name: str) -> Iterator[bytes]:
        try:
            with archive.open(name) as member:
                yield from iter(lambda: member.read(CHUNK), b"")
        except ZIP_FAULTS as error:
            raise EvidenceError(f"{show(name)} cannot be read: the ZIP is damaged, or locked with a password") from error

    return EvidenceFiles(names, tuple(_find_irregular(infos, names)), read)


def _check_end(file: BinaryIO) -> None:
    """Raise EvidenceError where the central directory is too large to be read; no export bundle needs ZIP64."""
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


def _find_irregular(infos: Sequence[zipfile.ZipInfo], names: frozenset[str]) -> Iterator[str]:
    """Yield a line on each entry that is dangerous to unpack, or would overwrite another."""
    for name, reason in sorted({(info.filename, _check_member(info)) for info in infos}):
        if reason:
            yield f"{show(name)}: {reason}"
        elif name.endswith("/") and not any(other.startswith(name) for other in names):
            yield f"{show(name)}: was added (an empty folder)"
    plain = Counter(_fold(info.filename) for info in infos if not info.is_dir())
    twice = sorted(name for name in names if plain[_fold(name)] > 1)
    yield from (f"{show(name)}: is in the ZIP more than once, or under a name in another case" for name in twice)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _check_member(info: zipfile.ZipInfo) -> str:
    name, kind = info.filename, stat.S_IFMT(info.external_attr >> 16)
    if stat.S_ISLNK(kind):
        return "a link, not a copy"
    if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        return "no plain file"
    parts = name.removesuffix("/").split("/")
    if {"", ".", ".."} & set(parts) or "\\" in name or ":" in name or not name.isprintable() or name != info.orig_filename:
        return "its name points outside the ZIP; do not unpack it"
    return ""
