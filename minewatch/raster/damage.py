"""Tells whether a raster that minewatch wrote can be read to its end."""

from __future__ import annotations

import contextlib
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from minewatch.core.limits import MOST_BLOCKS
from minewatch.raster.tiff_directory import read_directories

FORMS = {1: "B", 3: "H", 4: "I", 16: "Q"}
"""TIFF's types of whole numbers, as struct writes them; others are left to GDAL."""

HEAD = 2**16
"""Bytes from the beginning in which the header of a COG lies, but for the tables of its tiles."""

WIDTH, HEIGHT, BITS, COMPRESSION, BANDS, PLANES = 256, 257, 258, 259, 277, 284
TILE_WIDTH, TILE_HEIGHT, OFFSETS, LENGTHS, GEOKEYS = 322, 323, 324, 325, 34735
"""TIFF's numbers of what a raster says of itself (TIFF 6.0, GeoTIFF 1.1)."""

DEFLATE = (8, 32946)
"""Values of COMPRESSION."""

CRS_KEYS = {2048, 3072}
"""GeoTIFF's keys with the code of a geographic or projected CRS."""

LARGEST_TILE = 2**26
"""Bytes of one tile; those of larger ones are left to GDAL."""

GARBLED = (ValueError, ArithmeticError, LookupError, struct.error, zlib.error)
"""Errors that damaged headers and tiles raise, and those of another kind."""


def find_damage(path: Path) -> str:
    """Return that a raster cannot be read to its end; '' where it can.

    Its last tile is read alone: that of the full resolution stands at the end of a COG, so a file that was cut off lacks it.
    GDAL judges what is no plain COG, or looks damaged: it is loaded for those alone, since that takes a third of a second.
    """
    with contextlib.suppress(OSError, *GARBLED), path.open("rb") as file:
        if _is_whole(file):
            return ""
    from minewatch.raster import cog  # noqa: PLC0415

    return cog.find_damage(path)


def _is_whole(file: BinaryIO) -> bool:
    """True if the last tile of a deflated raster on the map inflates to what it has to hold.

    Raises one of GARBLED where the file is damaged, or of another kind.
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
    """Return the tags of the full resolution that are whole numbers, by their number."""
    tags = {}
    for tag, kind, length, place in read_directories(file.read(HEAD))[0].entries:
        if kind in FORMS and length <= MOST_BLOCKS:
            file.seek(place)
            form = f"<{length}{FORMS[kind]}"
            tags[tag] = struct.unpack(form, file.read(struct.calcsize(form)))
    return tags


def _has_crs(keys: tuple[int, ...]) -> bool:
    """True if the keys of GeoTIFF name a CRS by its code."""
    groups = zip(*[iter(keys[4:])] * 4, strict=False)
    return any(key in CRS_KEYS and place == 0 and 0 < code < 32767 for key, place, _, code in groups)
