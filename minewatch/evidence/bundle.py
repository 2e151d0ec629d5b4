"""Files of evidence by their names: in a folder, or in a ZIP; and what they should be."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minewatch.errors import EvidenceError
from minewatch.text import show

LARGEST = 2**31
"""Bytes of one file; a chip of a large site has some 50 million."""


@dataclass(frozen=True)
class Bundle:
    """Files that belong together."""

    names: frozenset[str]
    """Of the files, with / between folder and name."""

    strange: tuple[str, ...]
    """What is no plain file, told in words."""

    read: Callable[[str], bytes]
    """Gives a file's content; raises EvidenceError where it cannot be read."""


def open_folder(folder: Path) -> Bundle:
    """Give the files of a folder; raises EvidenceError where it cannot be listed."""
    names, strange = set(), []
    try:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_symlink():
                strange.append(f"{show(name)}: a link, not a copy")
            elif path.is_file():
                names.add(name)
            elif not path.is_dir() or not any(path.iterdir()):
                strange.append(f"{show(name)}: was added (an empty folder, or no file)")
    except OSError as error:
        raise EvidenceError(f"{folder} cannot be read: {error.strerror}") from error

    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise EvidenceError(f"{name} cannot be read: {error.strerror}") from error

    return Bundle(frozenset(names), tuple(strange), read)


def open_zip(archive: zipfile.ZipFile) -> Bundle:
    """Give the files of a ZIP; nothing is unpacked to the disk."""
    files = [info for info in archive.infolist() if not info.is_dir()]
    names = [info.filename for info in files]
    strange = [f"{show(name)}: stands in the ZIP more than once" for name in sorted({n for n in names if names.count(n) > 1})]

    def read(name: str) -> bytes:
        if archive.getinfo(name).file_size > LARGEST:
            raise EvidenceError(f"{show(name)} is larger than any evidence")
        try:
            return archive.read(name)
        except (OSError, ValueError, NotImplementedError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise EvidenceError(f"{show(name)} cannot be read: the ZIP is damaged") from error

    return Bundle(frozenset(names), tuple(strange), read)


def below(bundle: Bundle, prefix: str) -> Bundle:
    """Give the files of a folder in a bundle."""
    names = frozenset(name.removeprefix(prefix) for name in bundle.names if name.startswith(prefix))
    return Bundle(names, (), lambda name: bundle.read(prefix + name))


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
            found = describe_data(bundle.read(name))
        except EvidenceError as error:
            faults.append(str(error))
            continue
        if not isinstance(stated, dict) or found != {key: stated.get(key) for key in found}:
            faults.append(f"{show(name)}: was changed")
    faults += [f"{show(name)}: was added" for name in sorted(bundle.names - set(listed) - own)]
    return faults
