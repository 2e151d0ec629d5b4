"""The head of a chained log: a small file beside it that says what the last line is, signed where there is a key."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minewatch.core.file_lock import lock_handle
from minewatch.core.plain_file import open_plain, open_plain_handle

HEAD_BYTES = 640
"""Bytes of a head.  Always the same, so that it is replaced by one write of one block."""


@dataclass(frozen=True)
class Seal:
    """The signature of a head: it covers all lines up to the one that it names."""

    number: int
    """Of that line."""

    sha256: str
    """Of that line."""

    public_key: str
    """Base64 of the key, as the signer states it."""

    signature: str
    """In hexadecimal digits."""


@dataclass(frozen=True)
class Head:
    """What the last line is."""

    number: int
    """Of the last line; 0 = none yet."""

    sha256: str
    """Of the last line; of the lines of earlier versions where there is none yet."""

    seal: Seal | None = None
    """The latest signature, of this line or an earlier one."""


def make_seal_message(log: str, number: int, sha256: str) -> bytes:
    """Return the bytes that are signed: the name of the log's file, and number and hash of a line."""
    return f"minewatch {log} {number} {sha256}\n".encode()


def name_head(path: Path) -> Path:
    """Return the path of a log's head."""
    return path.with_suffix(".head")


def read_head(path: Path) -> Head | None:
    """Read the head of a log; None where it is missing or damaged."""
    try:
        with open_plain(name_head(path)) as file:
            return parse_head(file.read(HEAD_BYTES + 1))
    except OSError:
        return None


@contextlib.contextmanager
def lock_head(path: Path, flags: int, *, shared: bool = False) -> Iterator[int]:
    """Hold the lock of the log, which is on its head, alone or shared with readers; yield the head's file descriptor."""
    head = name_head(path)
    handle = open_plain_handle(head, flags)
    try:
        lock_handle(handle, head, shared=shared)
        yield handle
    finally:
        os.close(handle)


def parse_head(data: bytes) -> Head | None:
    """Return a head from its bytes; None where they are none."""
    try:
        document = json.loads(data)
        seal = Seal(**document["seal"]) if document.get("seal") else None
        head = Head(document["number"], document["sha256"], seal)
        stated = [(item.number, item.sha256) for item in (head, seal) if item]
        if any(type(number) is not int or number < 0 or type(sha256) is not str for number, sha256 in stated):
            return None
        if seal and not (type(seal.public_key) is type(seal.signature) is str):
            return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return head


def write_head(handle: int, head: Head) -> None:
    """Replace the head in an open file, on the disk when this returns."""
    document = {**vars(head), "seal": vars(head.seal) if head.seal else None}
    data = json.dumps(document).encode().ljust(HEAD_BYTES - 1) + b"\n"
    os.pwrite(handle, data, 0)
    os.ftruncate(handle, len(data))
    os.fsync(handle)
