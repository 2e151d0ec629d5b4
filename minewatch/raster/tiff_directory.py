"""Directories of TIFF files: which tags a header has, and where their numbers lie."""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from minewatch.core.limits import MOST_BLOCKS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_TAGS = 1000
"""Tags of one file; 20 are usual."""

TAG_NAMES = {
    254: "kind", 256: "width", 257: "height", 258: "bits", 259: "compression", 266: "fill_order", 273: "offsets", 277: "bands",
    278: "block_height", 279: "counts", 317: "predictor", 322: "block_width", 323: "block_height", 324: "offsets",
    325: "counts", 339: "sample_format",
}  # fmt: skip
"""Names of the needed tags of TIFF 6.0."""

TAG_TYPES = {1: "u1", 3: "<u2", 4: "<u4", 16: "<u8"}
"""TIFF's integer types."""

TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of all its types."""

TABLES = ("offsets", "counts")
"""Tags that tell one file of a provider from another; the others are the same for each band of a tile."""


class BlockError(OSError):
    """A block or header is damaged."""


class Entry(NamedTuple):
    """One tag of a directory."""

    tag: int
    """Its number."""

    kind: int
    """Its type."""

    length: int
    """Numbers in it."""

    place: int
    """First byte of these in the file."""


@dataclass(frozen=True)
class Directory:
    """A directory of a TIFF: what is said of one image in it."""

    entries: tuple[Entry, ...]
    """Its tags."""

    def entries_of(self, names: Iterable[str]) -> tuple[Entry, ...]:
        """Return the tags of these names."""
        return tuple(entry for name in names for entry in self.entries if TAG_NAMES.get(entry.tag) == name)

    def find_end(self, most: int) -> int:
        """Return where the last of its tags ends in the file, of those that end within ``most`` bytes; 0 without any."""
        ends = (place + length * TYPE_SIZES.get(kind, 1) for _, kind, length, place in self.entries)
        return max((end for end in ends if end <= most), default=0)

    def count_beyond(self, size: int) -> int:
        """Return the bytes of its TABLES that do not lie within the first ``size`` bytes of the file."""
        tables = ((place, length * TYPE_SIZES.get(kind, 1)) for _, kind, length, place in self.entries_of(TABLES))
        return sum(length for place, length in tables if place + length > size)

    def read(self, head: bytes, fetch: Callable[[int, int], bytes]) -> dict[str, NDArray[np.uint64]]:
        """Return the needed tags by name; ``fetch`` reads the bytes of tables that reach beyond ``head``, the file's beginning.

        Raises BlockError where a table is cut short.
        """
        import numpy as np  # noqa: PLC0415  where only directories are looked at, nothing is computed

        tags = {}
        for tag, kind, length, place in self.entries:
            if tag in TAG_NAMES and kind in TAG_TYPES and length <= MOST_BLOCKS:
                stop = place + length * TYPE_SIZES[kind]
                data = head[place:stop] if stop <= len(head) else fetch(place, stop)
                if len(data) != stop - place:
                    raise BlockError("the header is cut short")
                tags[TAG_NAMES[tag]] = np.frombuffer(data, TAG_TYPES[kind]).astype(np.uint64)
        return tags

    def read_numbers(self, head: bytes) -> dict[str, int]:
        """Return the needed tags of one number by name, without those that lie beyond ``head``."""
        few = (entry for entry in self.entries if entry.length == 1)
        near = tuple(entry for entry in few if entry.place + TYPE_SIZES.get(entry.kind, 8) <= len(head))
        return {name: int(numbers[0]) for name, numbers in Directory(near).read(head, lambda *_: b"").items()}

    def identify(self, head: bytes) -> Hashable | None:
        """Return all that the tags say but TABLES; None where some of it lies beyond ``head``."""
        parts = []
        for tag, kind, length, place in self.entries:
            if TAG_NAMES.get(tag) not in TABLES:
                stop = place + length * TYPE_SIZES.get(kind, len(head))
                if stop > len(head):
                    return None
                parts.append((tag, kind, length, head[place:stop]))
        return tuple(parts)


def read_directories(head: bytes, most: int = 1) -> list[Directory]:
    """Return up to ``most`` directories of a little-endian TIFF or BigTIFF, by its beginning; none of other files."""
    big = head[:4] == b"II\x2b\0"
    if not big and head[:4] != b"II*\0":
        return []
    word, counter, form = ("<Q", "<Q", "<HHQ") if big else ("<I", "<H", "<HHI")
    room = struct.calcsize(word)
    found: list[Directory] = []
    try:
        (start,) = struct.unpack_from(word, head, 8 if big else 4)
        while start and len(found) < most:
            (count,) = struct.unpack_from(counter, head, start)
            first, entries = start + struct.calcsize(counter), []
            for place in range(first, first + min(count, MOST_TAGS) * (4 + 2 * room), 4 + 2 * room):
                tag, kind, length = struct.unpack_from(form, head, place)
                value = place + 4 + room
                if length * TYPE_SIZES.get(kind, 1) > room:
                    (value,) = struct.unpack_from(word, head, value)
                entries.append(Entry(tag, kind, length, value))
            found.append(Directory(tuple(entries)))
            (start,) = struct.unpack_from(word, head, first + count * (4 + 2 * room)) if len(found) < most else (0,)
    except (struct.error, OverflowError):
        return found
    return found
