"""Small rasters cut from observations, in the archive's own format: many of one place, whose metadata are made once."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
import tifffile
import zstandard
from numpy.typing import NDArray

from minewatch.archive.raster import BANDS, MALFORMED, Codes, RasterWriter, choose_table, fill_bands, parse_tables
from minewatch.areas.grid import ARCHIVE_BLOCK, Grid, Window
from minewatch.core.errors import ArchiveError

LARGEST_CHIP = 2**26
"""Pixels of a chip of unknown origin that is read: 80 km on each side."""


class ChipWriter:
    """Writes chips of one grid as bytes: the metadata are written once, by :class:`RasterWriter`, and copied."""

    def __init__(self, grid: Grid) -> None:
        self._shape = grid.shape
        with tempfile.TemporaryDirectory(prefix="minewatch-") as scratch:
            path = Path(scratch) / "chip.tif"
            RasterWriter(path, grid).close()
            self._head = path.read_bytes()
        with tifffile.TiffFile(io.BytesIO(self._head)) as file:
            # All blocks are of the full resolution; the overview of a large chip stays empty.
            tags = [file.pages[0].tags[name] for name in ("TileOffsets", "TileByteCounts")]  # type: ignore[union-attr]
            self._tables = [(tag.valueoffset, np.dtype(f"<u{tag.valuebytecount // tag.count}")) for tag in tags]
        self._compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
        self._block = np.empty((ARCHIVE_BLOCK, ARCHIVE_BLOCK), np.uint8)

    def write(self, codes: Codes) -> bytes:
        """Return the file with these codes: (band, y, x) uint8, SCL first."""
        parts, end = [self._head], len(self._head)
        offsets, counts = [], []
        for band in codes:
            for block in Window(0, 0, *self._shape).cut(ARCHIVE_BLOCK, ARCHIVE_BLOCK):
                data = self._compress(band[block.slices])
                offsets.append(end if data else 0)
                counts.append(len(data))
                parts.append(data)
                end += len(data)
        file = bytearray().join(parts)
        for (place, dtype), values in zip(self._tables, (offsets, counts), strict=True):
            table = np.array(values, dtype).tobytes()
            file[place : place + len(table)] = table
        return bytes(file)

    def _compress(self, codes: Codes) -> bytes:
        if not codes.any():
            return b""
        self._block[:] = 0
        self._block[: codes.shape[0], : codes.shape[1]] = codes
        return self._compressor.compress(self._block.data)


def read_chip(data: bytes, shape: tuple[int, int], window: Window) -> NDArray[np.uint8]:
    """Return a window of a chip of this shape: (band, y, x) codes, SCL first; raises ArchiveError where it is none."""
    try:
        tables = parse_tables(io.BytesIO(data))
        if tables[0] != shape or shape[0] * shape[1] > LARGEST_CHIP:
            raise ValueError("another shape")
        codes = np.empty((len(BANDS), *window.shape), np.uint8)
        table = choose_table(tables, sample=False)
        fill_bands(lambda count, start: data[start : start + count], table, range(len(BANDS)), window, codes)
    except MALFORMED as error:
        raise ArchiveError(f"a raster is damaged ({type(error).__name__})") from error
    return codes
