"""Small rasters cut from observations, in the archive's own format: many of one place, whose metadata are made once."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from minewatch.archive.raster import HEAD, MALFORMED, Codes, choose_table, fill_bands, make_compressor
from minewatch.archive.raster_header import BANDS, PLAIN, Table, list_shapes, make_header, parse_tables
from minewatch.areas.grid import ARCHIVE_BLOCK, Grid, Window
from minewatch.core.errors import ArchiveError

LARGEST_CHIP = 2**26
"""Pixels of a chip of unknown origin that is read: 80 km on each side."""


BLOCK_BYTES = ARCHIVE_BLOCK**2
"""Of a block, inflated."""

RUN = 1
"""Zstd's type of a part of a frame that is one byte, repeated."""

LONGEST_RUN = 2**17
"""Bytes of such a part."""

FRAME_HEADER = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", BLOCK_BYTES)
"""Of a frame with as many bytes as a block: all in one piece, without checksum."""


class ChipWriter:
    """Writes chips of one grid as bytes: the metadata are made once."""

    def __init__(self, grid: Grid) -> None:
        self._shape = grid.shape
        self._header = make_header(grid.epsg, grid.transform, grid.shape, PLAIN)
        self._compressor = make_compressor(has_checksum=False)  # the manifest has the SHA-256 of each file
        self._blocks = list(Window(0, 0, *grid.shape).cut(ARCHIVE_BLOCK, ARCHIVE_BLOCK))
        self._rows, self._filled = np.zeros((len(BANDS), min(ARCHIVE_BLOCK, grid.shape[0]), ARCHIVE_BLOCK), np.uint8), (0, 0)

    def write(self, codes: Codes) -> bytes:
        """Return the file with these codes: (band, y, x) uint8, SCL first."""
        tables = [Table.empty(shape) for shape in list_shapes(self._shape)]  # the overview of a large chip stays empty
        parts, end = [b""], len(self._header.data)
        for block in self._blocks:
            part = codes[:, *block.slices]
            rows = self._lay_out(part)
            for number in np.flatnonzero(part.max(axis=(1, 2))).tolist():
                parts.append(extend_frame(self._compressor.compress(rows[number].data), rows[number].size))
                place = number, block.row // ARCHIVE_BLOCK, block.column // ARCHIVE_BLOCK
                tables[0].offsets[place], tables[0].counts[place] = end, len(parts[-1])
                end += len(parts[-1])
        parts[0] = self._header.fill(tables)
        return b"".join(parts)

    def _lay_out(self, codes: Codes) -> Codes:
        """Return codes of a block as its rows have them: (band, y, x), zeros beyond the chip's right edge."""
        if codes.shape[1:] != self._filled:
            self._rows[:], self._filled = 0, codes.shape[1:]
        rows = self._rows[:, : codes.shape[1]]
        rows[:, :, : codes.shape[2]] = codes
        return rows


def extend_frame(frame: bytes, size: int) -> bytes:
    """Return a frame of zstd of ``size`` bytes, without checksum, with zeros up to BLOCK_BYTES (RFC 8878, 3.1.1).

    A chip fills the first rows of a block: to compress the others would take twice as long as these.
    """
    if size == BLOCK_BYTES:
        return frame
    is_single, counted = frame[4] >> 5 & 1, frame[4] >> 6
    place, is_last, parts = 5 + (1 - is_single) + (is_single, 2, 4, 8)[counted], False, [FRAME_HEADER]
    while not is_last:
        head = int.from_bytes(frame[place : place + 3], "little")
        end = place + 3 + (1 if head >> 1 & 3 == RUN else head >> 3)
        parts += [(head & ~1).to_bytes(3, "little"), frame[place + 3 : end]]
        place, is_last = end, bool(head & 1)
    for start in range(size, BLOCK_BYTES, LONGEST_RUN):
        run = min(LONGEST_RUN, BLOCK_BYTES - start)
        parts.append((run << 3 | RUN << 1 | (start + run == BLOCK_BYTES)).to_bytes(3, "little") + b"\0")
    return b"".join(parts)


def read_chip(data: bytes, shape: tuple[int, int], window: Window) -> NDArray[np.uint8]:
    """Return a window of a chip of this shape: (band, y, x) codes, SCL first; raises ArchiveError where it is none."""
    try:
        tables = parse_tables(data[:HEAD], lambda start, stop: data[start:stop])
        if tables[0] != shape or shape[0] * shape[1] > LARGEST_CHIP:
            raise ValueError("another shape")
        codes = np.empty((len(BANDS), *window.shape), np.uint8)
        table = choose_table(tables, sample=False)
        fill_bands(lambda count, start: data[start : start + count], table, range(len(BANDS)), window, codes)
    except MALFORMED as error:
        raise ArchiveError(f"a raster is damaged ({type(error).__name__})") from error
    return codes
