"""Reads ZIPs of unknown origin strictly: every byte belongs to a member, or the ZIP is refused before any is read.

Format: PKWARE, APPNOTE.TXT 6.3.  Other programs look for a ZIP from its end, from its start, or take the first member of a
name; a file that is two ZIPs, or a script and a ZIP, is another thing to each of them.  Here the members, the directory and
its end follow one another without gaps, and both headers of a member say the same.
"""

from __future__ import annotations

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from minewatch.core.errors import EvidenceError, PackError
from minewatch.core.text import show

MOST_FILES = 5000
"""In a folder or a ZIP; evidence has about ten, and one for each look."""

LARGEST_MEMBER = 2**30
"""Bytes of one file, unpacked."""

LARGEST_TOTAL = 2**32
"""Bytes of all files of a ZIP, unpacked."""

LARGEST_DIRECTORY = 2**21
"""Bytes of the directory of a ZIP, which is read as a whole."""

CHUNK = 2**18
"""Bytes that are read, or unpacked, at a time."""

STORED, DEFLATED = 0, 8
"""Methods of members.  Others (bzip2, LZMA, …) are refused: they need hundreds of megabytes for a file of a kilobyte."""

ENCRYPTED, DESCRIPTOR, UTF8 = 1 << 0, 1 << 3, 1 << 11
"""Flags of a member; a descriptor repeats its sizes behind its data."""

KNOWN_FLAGS = DESCRIPTOR | UTF8 | 0b110
"""Flags that a member may have; bits 1 and 2 say how hard it was compressed."""

END, ENTRY, LOCAL, AFTER = b"PK\5\6", b"PK\1\2", b"PK\3\4", b"PK\7\x08"
"""Signatures of the directory's end, of its entries, of the headers before members, and of the descriptors behind them."""


@dataclass(frozen=True)
class Member:
    """A file or folder in a ZIP."""

    name: str
    """With / between folder and name."""

    kind: int
    """As ``stat.S_IFMT`` gives it; 0 where it is not stated."""

    flags: int
    """As both headers state them."""

    method: int
    """STORED or DEFLATED."""

    crc: int
    """CRC-32 of the content."""

    packed: int
    """Bytes in the ZIP."""

    size: int
    """Bytes of the content."""

    offset: int
    """Of its header."""

    header: bytes
    """The header before its data, as the directory says that it must be."""

    @property
    def is_folder(self) -> bool:
        """True for an entry without content that names a folder."""
        return self.name.endswith("/")

    @property
    def start(self) -> int:
        """Offset of its data."""
        return self.offset + len(self.header)


def list_members(file: BinaryIO) -> list[Member]:
    """Return the members of a ZIP, none of which was read yet.

    Raises EvidenceError where it is no ZIP, PackError where it holds what no pack has.
    """
    size = file.seek(0, os.SEEK_END)
    count, length, start = _find_directory(file, size)
    file.seek(start)
    members = list(_parse_directory(file.read(length), count))
    if sum(member.size for member in members) > LARGEST_TOTAL:
        raise EvidenceError(f"it holds more than {LARGEST_TOTAL >> 30} GB: do not unpack it")
    at = 0
    for member in sorted(members, key=lambda member: member.offset):
        if member.offset != at:
            raise PackError(f"it has bytes outside its files, before {show(member.name)}")
        at = _check_header(file, member, start)
    if at != start:
        raise PackError("it has bytes outside its files, before its directory")
    return members


def _find_directory(file: BinaryIO, size: int) -> tuple[int, int, int]:
    """Return count of entries, bytes and offset of the directory, which ends where the ZIP does."""
    file.seek(max(0, size - 2**16 - 22))
    tail = file.read()
    at = len(tail) - 22
    if at < 0 or not tail.startswith(END, at) or tail[-2:] != b"\0\0":
        if tail.rfind(END) < 0:
            raise EvidenceError("it is no ZIP, or it was cut off; ask for it again")
        raise PackError("it has bytes behind its end, or a comment")
    disk, first, here, count, length, start, _ = struct.unpack_from("<4H2IH", tail, at + 4)
    is_huge = tail[max(0, at - 20) : at].startswith(b"PK\6\7") or 0xFFFF in (here, count) or 0xFFFFFFFF in (length, start)
    if is_huge or count > MOST_FILES or length > LARGEST_DIRECTORY:
        raise EvidenceError(f"it is no pack: it lists more than {MOST_FILES} files; do not unpack it")
    if disk or first or here != count:
        raise PackError("it is part of a ZIP of several files")
    if start + length != size - 22:
        raise PackError("it has bytes outside its files, before its start or behind its directory")
    return count, length, start


def _parse_directory(data: bytes, count: int) -> Iterator[Member]:
    at = 0
    for _ in range(count):
        if len(data) < at + 46 or not data.startswith(ENTRY, at):
            raise EvidenceError("its directory is damaged; ask for it again")
        values = struct.unpack_from("<4x2H4x3I4H2x2I", data, at + 4)
        flags, method, crc, packed, size, name_size, extra, comment, disk, attributes, offset = values
        raw = data[at + 46 : at + 46 + name_size]
        sums = bytes(12) if flags & DESCRIPTOR else data[at + 16 : at + 28]
        header = LOCAL + data[at + 6 : at + 16] + sums + data[at + 28 : at + 30] + b"\0\0" + raw
        at += 46 + name_size
        name = raw.decode("utf-8" if flags & UTF8 else "cp437", "replace")
        if extra or comment or disk:
            raise PackError(f"it has bytes outside its files, beside the name of {show(name)}")
        yield _check_entry(Member(name, stat.S_IFMT(attributes >> 16), flags, method, crc, packed, size, offset, header))
    if at != len(data):
        raise PackError("it has bytes outside its files, in its directory")


def _check_entry(member: Member) -> Member:
    """Return a member that may be read; raises PackError for any other."""
    name = show(member.name)
    if member.flags & ENCRYPTED:
        raise PackError(f"{name} is locked with a password")
    if member.method not in (STORED, DEFLATED) or member.flags & ~KNOWN_FLAGS:
        raise PackError(f"{name} is packed by a method that no pack has ({member.method})")
    if member.size > LARGEST_MEMBER or 0xFFFFFFFF in (member.size, member.packed, member.offset):
        raise PackError(f"{name} is larger than any file of evidence ({LARGEST_MEMBER >> 20} MB)")
    if member.method == STORED and member.packed != member.size:
        raise PackError(f"{name} has two sizes")
    if member.size > 1032 * max(member.packed, 1) + 64:  # deflate packs no better (zlib.net, "maximum compression factor")
        raise PackError(f"{name} states a size that it cannot have")
    if member.is_folder and member.size:
        raise PackError(f"{name} is a folder with content")
    return member


def _check_header(file: BinaryIO, member: Member, limit: int) -> int:
    """Return the offset behind a member; raises PackError where the header before its data says something else."""
    end = member.start + member.packed
    if end > limit:
        raise PackError(f"{show(member.name)} lies outside the ZIP")
    file.seek(member.offset)
    is_same = file.read(len(member.header)) == member.header
    if member.flags & DESCRIPTOR:
        file.seek(end)
        is_same &= file.read(16) == AFTER + struct.pack("<3I", member.crc, member.packed, member.size)
        end += 16
    if not is_same or end > limit:
        raise PackError(f"{show(member.name)} has two headers that differ")
    return end


def read_member(file: BinaryIO, member: Member) -> Iterator[bytes]:
    """Yield the content of a member in chunks, never more than it states; raises EvidenceError where it is damaged."""
    size, crc = 0, 0
    for chunk in _unpack(file, member):
        size += len(chunk)
        crc = zlib.crc32(chunk, crc)
        if size > member.size:
            break
        yield chunk
    if size != member.size or crc != member.crc:
        raise EvidenceError(f"{show(member.name)} cannot be read: the ZIP is damaged")


def _unpack(file: BinaryIO, member: Member) -> Iterator[bytes]:
    at, left = member.start, member.packed
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == DEFLATED else None
    try:
        while left > 0 and not (unpacker and unpacker.eof):
            file.seek(at)
            data = file.read(min(CHUNK, left))
            if not data:
                break
            at, left = at + len(data), left - len(data)
            if unpacker is None:
                yield data
                continue
            while data and not unpacker.eof:
                yield unpacker.decompress(data, CHUNK)
                data = unpacker.unconsumed_tail
        if unpacker and (left or not unpacker.eof or unpacker.unused_data):
            raise EvidenceError(f"{show(member.name)} cannot be read: its data end early, or others follow them")
    except (OSError, zlib.error) as error:
        raise EvidenceError(f"{show(member.name)} cannot be read: the ZIP is damaged") from error
