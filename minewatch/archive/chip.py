"""Small rasters cut from observations, in the archive's own format: many of one place, whose metadata are made once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minewatch.archive.raster import HEAD, MALFORMED, Codes, choose_table, fill_bands, make_compressor
from minewatch.archive.raster_header import BANDS, PLAIN, Table, list_shapes, make_header, parse_tables
from minewatch.areas.grid import ARCHIVE_BLOCK, Grid, Window
from minewatch.core.errors import ArchiveError

LARGEST_CHIP = 2**26
"""Pixels of a chip of unknown origin that is read: 80 km on each side."""


class ChipWriter:
    """Writes chips of one grid as bytes: the metadata are made once."""

    def __init__(self, grid: Grid) -> None:
        self._shape = grid.shape
        self._header = make_header(grid, PLAIN)
        self._compressor = make_compressor(has_checksum=False)  # the manifest has the SHA-256 of each file
        self._block, self._filled = np.zeros((ARCHIVE_BLOCK, ARCHIVE_BLOCK), np.uint8), (0, 0)

    def write(self, codes: Codes) -> bytes:
        """Return the file with these codes: (band, y, x) uint8, SCL first."""
        tables = [Table.empty(shape) for shape in list_shapes(self._shape)]  # the overview of a large chip stays empty
        parts, end = [b""], len(self._header.data)
        for number, band in enumerate(codes):
            for block in Window(0, 0, *self._shape).cut(ARCHIVE_BLOCK, ARCHIVE_BLOCK):
                place = number, block.row // ARCHIVE_BLOCK, block.column // ARCHIVE_BLOCK
                if band[block.slices].any():
                    parts.append(self._compress(band[block.slices]))
                    tables[0].offsets[place], tables[0].counts[place] = end, len(parts[-1])
                    end += len(parts[-1])
        parts[0] = self._header.fill(tables)
        return b"".join(parts)

    def _compress(self, codes: Codes) -> bytes:
        if codes.shape != self._filled:
            self._block[:], self._filled = 0, codes.shape
        self._block[: codes.shape[0], : codes.shape[1]] = codes
        return self._compressor.compress(self._block.data)


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
