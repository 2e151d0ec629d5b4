"""The raster of an observation: a tiled GeoTIFF of one byte a pixel and band, SCL first, then the layers.

The metadata are those that GDAL writes.  Blocks hold the differences of neighbours, which TIFF calls predictor 2.
They are compressed here, by zstd with next to no search for repetitions (noise has none; this takes a third of the time for the
same size), and written in the order in which they come; empty ones are left out.  A large raster has one overview of every n-th
pixel: QGIS shows it when zoomed out, and detection takes its reference pixels from it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import imagecodecs
import numpy as np
import zstandard
from numpy.typing import NDArray

from minewatch.archive.block_edges import BlockEdges, Place
from minewatch.archive.raster_header import BANDS, DIFFERENCES, Table, Tables, find_step, list_shapes, make_header, parse_tables
from minewatch.areas.grid import ARCHIVE_BLOCK, Grid, Window
from minewatch.core.errors import ArchiveError
from minewatch.core.files import AnyPath
from minewatch.raster.indices import EMPTY
from minewatch.raster.resampling import sum_rows
from minewatch.raster.tiff_directory import BlockError

MALFORMED = (ValueError, KeyError, IndexError, TypeError, BlockError, imagecodecs.ZstdError)
"""Errors that a damaged raster raises."""

HEAD = 2**15
"""Bytes read at the beginning of a raster; they hold the tables of some 1500 blocks, for larger ones more are read."""

Codes = NDArray[np.uint8]


class RasterWriter:
    """Writes the blocks of a raster in any order; what is not written has no data."""

    def __init__(self, path: Path, grid: Grid) -> None:
        self.path, self.grid, self.step = path, grid, find_step(grid.shape)
        self._sample = np.zeros((len(BANDS), *(-(-side // self.step) for side in grid.shape)), np.uint8)
        self._header = make_header(grid.epsg, grid.transform, grid.shape)
        self._tables = [Table.empty(shape) for shape in list_shapes(grid.shape)]
        self._file = path.open("wb")
        self._end = self._file.write(self._header.data)
        self._compressor = make_compressor(has_checksum=True)
        self._block = np.empty((ARCHIVE_BLOCK, ARCHIVE_BLOCK), np.uint8)

    def write(self, block: Window, band: int, codes: Codes) -> None:
        """Write one band of a block of ARCHIVE_BLOCK pixels, smaller only at the right and lower edge."""
        self._put(self._tables[0], (band, block.row // ARCHIVE_BLOCK, block.column // ARCHIVE_BLOCK), codes)
        if self.step > 1:
            rows, columns = slice(-block.row % self.step, None, self.step), slice(-block.column % self.step, None, self.step)
            part = codes[rows, columns]
            row, column = -(-block.row // self.step), -(-block.column // self.step)
            self._sample[band, row : row + part.shape[0], column : column + part.shape[1]] = part

    def _put(self, table: Table, place: tuple[int, int, int], codes: Codes) -> None:
        if codes.max() == EMPTY:  # several times as fast as any()
            return
        data = self._compressor.compress(subtract_neighbours(codes, self._block).data)
        self._file.write(data)
        table.offsets[place], table.counts[place] = self._end, len(data)
        self._end += len(data)

    def close(self) -> None:
        """Write the overview and the tables of blocks; the raster can be read only after this."""
        if self.step > 1:
            for band, codes in enumerate(self._sample):
                for block in Window(0, 0, *codes.shape).cut(ARCHIVE_BLOCK, ARCHIVE_BLOCK):
                    place = band, block.row // ARCHIVE_BLOCK, block.column // ARCHIVE_BLOCK
                    self._put(self._tables[1], place, codes[block.slices])
        with self._file:
            self._file.seek(0)
            self._file.write(self._header.fill(self._tables))


def make_compressor(*, has_checksum: bool) -> zstandard.ZstdCompressor:
    """Return what compresses blocks; with a checksum of each, which is compared whenever the block is inflated."""
    # Only matches of seven bytes, found in a table of 64 places: next to none, so it goes on in long steps.
    settings = zstandard.ZstdCompressionParameters(
        compression_level=1,
        strategy=zstandard.STRATEGY_FAST,
        window_log=18,
        hash_log=6,
        chain_log=6,
        search_log=1,
        min_match=7,
        write_checksum=has_checksum,
    )
    return zstandard.ZstdCompressor(compression_params=settings)


def subtract_neighbours(codes: Codes, out: Codes) -> Codes:
    """Fill a whole block with the differences of codes (y, x) to their left neighbours, modulo 256; 0 beyond them.

    ``out`` is (ARCHIVE_BLOCK, ARCHIVE_BLOCK) and returned.
    """
    height, width = codes.shape
    if codes.shape != out.shape:
        out[:] = 0
    out[:height, 0] = codes[:, 0]
    np.subtract(codes[:, 1:], codes[:, :-1], out=out[:height, 1:width])
    if width < ARCHIVE_BLOCK:
        out[:height, width] = -codes[:, -1]  # or the last code would go on to the edge
    return out


# --- reading ---------------------------------------------------------------------------------------------------------

_EDGES = BlockEdges()
"""Of the process."""

Read = Callable[[int, int], bytes]
"""Reads a number of bytes from an offset on."""


@lru_cache(maxsize=4096)
def _read_tables(path: Path, _changed: int) -> Tables:
    """Read shape and tables of a raster; cached until damage or a repair changes the file."""
    try:
        with path.open("rb", buffering=0) as file:
            descriptor = file.fileno()
            return parse_tables(os.pread(descriptor, HEAD, 0), lambda start, stop: os.pread(descriptor, stop - start, start))
    except (OSError, *MALFORMED) as error:
        raise make_damage_error(path) from error


def make_damage_error(path: AnyPath) -> ArchiveError:
    """Return the error for a raster that cannot be read."""
    return ArchiveError(f"{path} cannot be read; delete it, the next scan fetches it again")


def read_bands(path: Path, bands: range, window: Window, out: Codes, *, sample: bool = False) -> None:
    """Read bands of a window of a raster, or of its sample, into ``out`` (band, y, x).

    Raises ArchiveError where the file is damaged.
    """
    try:
        with path.open("rb", buffering=0) as file:
            tables = _read_tables(path, os.fstat(file.fileno()).st_ctime_ns)
            fill_bands(partial(os.pread, file.fileno()), choose_table(tables, sample=sample), bands, window, out)
    except (OSError, *MALFORMED) as error:
        raise make_damage_error(path) from error


def choose_table(tables: Tables, *, sample: bool) -> Table:
    """Return the table of the raster itself or of its sample."""
    shape, of_resolutions = tables
    return of_resolutions[1 if sample and find_step(shape) > 1 else 0]


def fill_bands(read: Read, table: Table, bands: range, window: Window, out: Codes) -> None:
    """Read the blocks of a window; raises one of MALFORMED where they are none."""
    for target, band in zip(out, bands, strict=True):
        for block in list_blocks(window):
            _read_block(read, table, (band, *block), window, target)


def list_blocks(window: Window) -> Iterator[tuple[int, int]]:
    """Name the rows and columns of the blocks that a window meets."""
    for row in range(window.row // ARCHIVE_BLOCK, -(-(window.row + window.height) // ARCHIVE_BLOCK)):
        for column in range(window.column // ARCHIVE_BLOCK, -(-(window.column + window.width) // ARCHIVE_BLOCK)):
            yield row, column


def _read_block(read: Read, table: Table, place: Place, window: Window, target: Codes) -> None:
    row, column = place[1] * ARCHIVE_BLOCK - window.row, place[2] * ARCHIVE_BLOCK - window.column
    top, left = max(row, 0), max(column, 0)
    part = target[top : row + ARCHIVE_BLOCK, left : column + ARCHIVE_BLOCK]
    rows, columns = slice(top - row, top - row + part.shape[0]), slice(left - column, left - column + part.shape[1])
    if table.counts[place] == 0:
        part[:] = 0
        return
    known = _EDGES.get(table, place, rows, columns)
    if known is not None:
        part[:] = known
        return
    is_whole = part.shape == (ARCHIVE_BLOCK, ARCHIVE_BLOCK) and part.flags.c_contiguous
    block = part if is_whole else np.empty((ARCHIVE_BLOCK, ARCHIVE_BLOCK), np.uint8)
    _inflate(read(int(table.counts[place]), int(table.offsets[place])), table.predictor, block)
    if part.shape != window.shape:  # a tile and what is around it: the next tiles need the same blocks
        _EDGES.put(table, place, block)
    if not is_whole:
        part[:] = block[rows, columns]


def _inflate(data: bytes, predictor: int, out: Codes) -> None:
    if len(imagecodecs.zstd_decode(data, out=memoryview(out.reshape(-1).data))) != out.size:
        raise ValueError("a block of another size")
    if predictor == DIFFERENCES:
        sum_rows(out)
