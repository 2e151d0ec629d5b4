"""The raster of an observation: a tiled GeoTIFF of one byte a pixel and band, SCL first, then the layers.

GDAL writes the metadata, on a raster of one pixel.  Blocks are compressed here, by zstd with next to no search for repetitions
(noise has none; this takes a third of the time for the same size), and written in the order in which they come; empty ones are
left out.  A large raster has one overview of every n-th pixel: QGIS shows it when zoomed out, and detection takes its reference
pixels from it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import tifffile
import zstandard
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from minewatch.areas.grid import ARCHIVE_BLOCK, Grid, Window
from minewatch.core.errors import ArchiveError
from minewatch.core.files import AnyPath
from minewatch.raster.indices import LAYERS

BANDS = ("scl", *(layer.name for layer in LAYERS))
"""Of the raster, in order."""

SAMPLE_PIXELS = 2**17
"""Largest number of pixels of the overview; so many reference pixels give a scene's median to a hundredth of its spread."""

COPIED_TAGS = (33550, 33922, 34735, 34736, 34737, 42112, 42113)
"""Tags with position, bands and no-data value: those of GeoTIFF 1.1 and two of GDAL's own."""

MALFORMED = (ValueError, KeyError, IndexError, TypeError, tifffile.TiffFileError, imagecodecs.ZstdError)
"""Errors that a damaged raster raises."""

Codes = NDArray[np.uint8]


def find_step(shape: tuple[int, int]) -> int:
    """Return the step, a power of two, between the rows and columns that are in the sample of a raster; 1 = all."""
    step = 1
    while -(-shape[0] // step) * -(-shape[1] // step) > SAMPLE_PIXELS:
        step *= 2
    return step


class RasterWriter:
    """Writes the blocks of a raster in any order; what is not written has no data."""

    def __init__(self, path: Path, grid: Grid) -> None:
        self.path, self.grid, self.step = path, grid, find_step(grid.shape)
        self._sample = np.zeros((len(BANDS), *(-(-side // self.step) for side in grid.shape)), np.uint8)
        self._tables = [_Table.empty(shape) for shape in _list_shapes(grid.shape)]
        _write_header(path, grid)
        self._file = path.open("r+b")
        self._end = self._file.seek(0, os.SEEK_END)
        # Only matches of seven bytes, found in a table of 64 places: next to none, so it goes on in long steps.
        settings = zstandard.ZstdCompressionParameters(
            compression_level=1,
            strategy=zstandard.STRATEGY_FAST,
            window_log=18,
            hash_log=6,
            chain_log=6,
            search_log=1,
            min_match=7,
            write_checksum=True,  # of each block, compared whenever it is inflated
        )
        self._compressor = zstandard.ZstdCompressor(compression_params=settings)

    def write(self, block: Window, band: int, codes: Codes) -> None:
        """Write one band of a block of ARCHIVE_BLOCK pixels, smaller only at the right and lower edge."""
        self._put(self._tables[0], (band, block.row // ARCHIVE_BLOCK, block.column // ARCHIVE_BLOCK), codes)
        if self.step > 1:
            rows, columns = slice(-block.row % self.step, None, self.step), slice(-block.column % self.step, None, self.step)
            part = codes[rows, columns]
            row, column = -(-block.row // self.step), -(-block.column // self.step)
            self._sample[band, row : row + part.shape[0], column : column + part.shape[1]] = part

    def _put(self, table: _Table, place: tuple[int, int, int], codes: Codes) -> None:
        if not codes.any():
            return
        if codes.shape != (ARCHIVE_BLOCK, ARCHIVE_BLOCK):
            whole = np.zeros((ARCHIVE_BLOCK, ARCHIVE_BLOCK), np.uint8)
            whole[: codes.shape[0], : codes.shape[1]] = codes
            codes = whole
        data = self._compressor.compress(codes.tobytes())
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
        self._file.close()
        with tifffile.TiffFile(self.path, mode="r+") as file:
            for page, table in zip(file.pages, self._tables, strict=True):
                page.tags["TileOffsets"].overwrite(table.offsets.ravel().tolist())  # type: ignore[union-attr]
                page.tags["TileByteCounts"].overwrite(table.counts.ravel().tolist())  # type: ignore[union-attr]


@dataclass(frozen=True)
class _Table:
    """The positions of the blocks of one resolution."""

    offsets: NDArray[np.int64]
    """(band, block row, block column) first byte in the file."""

    counts: NDArray[np.int64]
    """(band, block row, block column) bytes, 0 = no such block."""

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> _Table:
        size = len(BANDS), -(-shape[0] // ARCHIVE_BLOCK), -(-shape[1] // ARCHIVE_BLOCK)
        return cls(np.zeros(size, np.int64), np.zeros(size, np.int64))


def _list_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    step = find_step(shape)
    return [shape] if step == 1 else [shape, (-(-shape[0] // step), -(-shape[1] // step))]


def _write_header(path: Path, grid: Grid) -> None:
    """Write a file with all metadata and without blocks."""
    tags = _describe(grid)
    with tifffile.TiffWriter(path, bigtiff=False) as file:
        for number, shape in enumerate(_list_shapes(grid.shape)):
            blocks = len(BANDS) * -(-shape[0] // ARCHIVE_BLOCK) * -(-shape[1] // ARCHIVE_BLOCK)
            file.write(
                (b"" for _ in range(blocks)),
                shape=(len(BANDS), *shape),
                dtype=np.uint8,
                tile=(ARCHIVE_BLOCK, ARCHIVE_BLOCK),
                compression="zstd",
                photometric="minisblack",
                planarconfig="separate",
                extrasamples=["unspecified"] * (len(BANDS) - 1),
                subfiletype=1 if number else 0,
                software=False,
                metadata=None,
                contiguous=False,
                extratags=[] if number else tags,
            )


def _describe(grid: Grid) -> list[tuple[Any, ...]]:
    """Return the tags that GDAL writes for position and bands, on a raster of one pixel."""
    with MemoryFile() as memory:
        profile = {"driver": "GTiff", "width": 1, "height": 1, "count": len(BANDS), "dtype": "uint8", "nodata": 0}
        with memory.open(**profile, crs=grid.crs, transform=grid.transform) as raster:
            raster.set_band_description(1, BANDS[0])
            for band, layer in enumerate(LAYERS, 2):
                raster.set_band_description(band, layer.name)
                raster.update_tags(band, meaning=layer.description)
            raster.scales = (1.0, *(layer.step for layer in LAYERS))
            raster.offsets = (0.0, *(layer.low - layer.step for layer in LAYERS))
        memory.seek(0)
        with tifffile.TiffFile(memory) as file:
            tags = file.pages[0].tags  # type: ignore[union-attr]
            found = [tags[code] for code in COPIED_TAGS if code in tags]
            return [(tag.code, tag.dtype, tag.count, tag.value, True) for tag in found]


# --- reading ---------------------------------------------------------------------------------------------------------


Tables = tuple[tuple[int, int], list[_Table]]
"""Shape of a raster, and the positions of the blocks of each resolution."""

Read = Callable[[int, int], bytes]
"""Reads a number of bytes from an offset on."""


@lru_cache(maxsize=4096)
def _read_tables(path: Path, _changed: int) -> Tables:
    """Read shape and tables of a raster; cached until damage or a repair changes the file."""
    try:
        with path.open("rb") as file:
            return parse_tables(file)
    except (OSError, *MALFORMED) as error:
        raise make_damage_error(path) from error


def parse_tables(file: BinaryIO) -> Tables:
    """Read shape and tables of a raster; raises one of MALFORMED where it is none."""
    with tifffile.TiffFile(file) as tiff:
        height, width = tiff.pages[0].shape[-2:]
        tables, shape = [], (height, width)
        for page, expected in zip(tiff.pages, _list_shapes(shape), strict=True):
            empty = _Table.empty(expected)
            offsets, counts = (np.asarray(page.tags[name].value, np.int64) for name in ("TileOffsets", "TileByteCounts"))  # type: ignore[union-attr]
            tables.append(_Table(offsets.reshape(empty.offsets.shape), counts.reshape(empty.counts.shape)))
        return shape, tables


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


def choose_table(tables: Tables, *, sample: bool) -> _Table:
    """Return the table of the raster itself or of its sample."""
    shape, of_resolutions = tables
    return of_resolutions[1 if sample and find_step(shape) > 1 else 0]


def fill_bands(read: Read, table: _Table, bands: range, window: Window, out: Codes) -> None:
    """Read the blocks of a window; raises one of MALFORMED where they are none."""
    for target, band in zip(out, bands, strict=True):
        for block in list_blocks(window):
            _read_block(read, table, (band, *block), window, target)


def list_blocks(window: Window) -> Iterator[tuple[int, int]]:
    """Name the rows and columns of the blocks that a window meets."""
    for row in range(window.row // ARCHIVE_BLOCK, -(-(window.row + window.height) // ARCHIVE_BLOCK)):
        for column in range(window.column // ARCHIVE_BLOCK, -(-(window.column + window.width) // ARCHIVE_BLOCK)):
            yield row, column


def _read_block(read: Read, table: _Table, place: tuple[int, int, int], window: Window, target: Codes) -> None:
    row, column = place[1] * ARCHIVE_BLOCK - window.row, place[2] * ARCHIVE_BLOCK - window.column
    top, left = max(row, 0), max(column, 0)
    part = target[top : row + ARCHIVE_BLOCK, left : column + ARCHIVE_BLOCK]
    count = int(table.counts[place])
    if count == 0:
        part[:] = 0
        return
    data = read(count, int(table.offsets[place]))
    if part.shape == (ARCHIVE_BLOCK, ARCHIVE_BLOCK) and part.flags.c_contiguous:
        _inflate(data, part)
    else:
        block = np.empty((ARCHIVE_BLOCK, ARCHIVE_BLOCK), np.uint8)
        _inflate(data, block)
        part[:] = block[top - row : top - row + part.shape[0], left - column : left - column + part.shape[1]]


def _inflate(data: bytes, out: Codes) -> None:
    if len(imagecodecs.zstd_decode(data, out=memoryview(out.reshape(-1).data))) != out.size:
        raise ValueError("a block of another size")
