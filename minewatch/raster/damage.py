"""Tells whether a raster that minewatch wrote can be read to its end."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

SIZES = {1: "B", 2: "B", 3: "H", 4: "I", 12: "d", 16: "Q"}
"""TIFF's types of values, as struct writes them; others are left to GDAL."""

WIDTH, HEIGHT, BITS, COMPRESSION, BANDS, PLANES = 256, 257, 258, 259, 277, 284
TILE_WIDTH, TILE_HEIGHT, OFFSETS, LENGTHS, GEOKEYS = 322, 323, 324, 325, 34735
"""TIFF's numbers of what a raster says of itself (TIFF 6.0, GeoTIFF 1.1)."""

DEFLATE = (8, 32946)
"""Values of COMPRESSION."""

CRS_KEYS = {2048, 3072}
"""GeoTIFF's keys with the code of a geographic or projected CRS."""

LARGEST_TILE = 2**26
"""Bytes of one tile; those of larger ones are left to GDAL."""

MOST_VALUES = 2**24
"""Of one tag."""


def find_damage(path: Path) -> str:
    """Return that a raster cannot be read to its end; '' where it can.

    Its last tile is read alone: that of the full resolution stands at the end of a COG, so a file that was cut off lacks it.
    GDAL judges what is no plain COG, or looks damaged: it is loaded for those alone, since that takes a third of a second.
    """
    with contextlib.suppress(OSError, ValueError, LookupError, struct.error, zlib.error), path.open("rb") as file:
        if _is_whole(file):
            return ""
    from minewatch.raster import cog  # noqa: PLC0415

    return cog.find_damage(path)


def _is_whole(file: BinaryIO) -> bool:
    """True if the last tile of a deflated raster on the map inflates to what it has to hold.

    Raises ValueError, LookupError, struct.error or zlib.error where the file is damaged, or of another kind.
    """
    tags = _read_tags(file)
    (width,), (height,), (across,), (down,) = (tags[name] for name in (WIDTH, HEIGHT, TILE_WIDTH, TILE_HEIGHT))
    tiles = -(-width // across) * -(-height // down)
    offsets, lengths = tags[OFFSETS], tags[LENGTHS]
    size = across * down * sum(tags[BITS]) // 8
    is_plain = tags[COMPRESSION][0] in DEFLATE and tags.get(PLANES, (1,)) == (1,) and len(tags[BITS]) == tags[BANDS][0]
    if not is_plain or not _has_crs(tags[GEOKEYS]) or not len(offsets) == len(lengths) == tiles or size > LARGEST_TILE:
        return False
    file.seek(offsets[-1])
    inflate = zlib.decompressobj()
    return len(inflate.decompress(file.read(lengths[-1]), size + 1)) == size and inflate.eof


def _read_tags(file: BinaryIO) -> Mapping[int, tuple[int, ...]]:
    """Return the tags of the full resolution: number to values; those of other types are left out."""
    order = {b"II": "<", b"MM": ">"}[file.read(2)]
    (version,) = struct.unpack(f"{order}H", file.read(2))
    head, count, entry, inside = ("I", "H", "HHI4s", 4) if version == 42 else ("4xQ", "Q", "HHQ8s", 8)
    (start,) = struct.unpack(order + head, file.read(struct.calcsize(order + head)))
    file.seek(start)
    (number,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
    size = struct.calcsize(order + entry)
    table = file.read(min(number, 1000) * size)
    tags = {}
    for tag, kind, values, cell in struct.iter_unpack(order + entry, table):
        if tag not in _READ or kind not in SIZES or values > MOST_VALUES:
            continue
        form = f"{order}{values}{SIZES[kind]}"
        if struct.calcsize(form) > inside:
            file.seek(struct.unpack(order + ("I" if inside == 4 else "Q"), cell)[0])
            cell = file.read(struct.calcsize(form))  # noqa: PLW2901
        tags[tag] = struct.unpack_from(form, cell)
    return tags


_READ = {WIDTH, HEIGHT, BITS, COMPRESSION, BANDS, PLANES, TILE_WIDTH, TILE_HEIGHT, OFFSETS, LENGTHS, GEOKEYS}


def _has_crs(keys: tuple[int, ...]) -> bool:
    """True if the keys of GeoTIFF name a CRS by its code."""
    groups = zip(*[iter(keys[4:])] * 4, strict=False)
    return any(key in CRS_KEYS and place == 0 and 0 < code < 32767 for key, place, _, code in groups)
