"""The header of an observation's raster: position and bands, and the tables that say where its blocks are."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from minewatch.areas.grid import ARCHIVE_BLOCK
from minewatch.raster.indices import LAYERS
from minewatch.raster.tiff_directory import TABLES, TAG_TYPES, Entry, read_directories
from minewatch.raster.tiff_writer import (
    COUNTS,
    LONG,
    OFFSETS,
    RATIO,
    SHORT,
    Tag,
    describe_place,
    make_tag,
    pick_tags,
    render_directories,
)

BANDS = ("scl", *(layer.name for layer in LAYERS))
"""Of the raster, in order."""

SAMPLE_PIXELS = 2**17
"""Largest number of pixels of the overview; so many reference pixels give a scene's median to a hundredth of its spread."""

PLAIN = 1
"""TIFF's predictor by which a block holds the codes themselves: in chips of evidence, which earlier versions read as well, and in
observations of the archive's earlier format."""

DIFFERENCES = 2
"""TIFF's predictor by which a block holds the differences of neighbours in a row; real codes take a third less room so."""

ZSTD = 50_000
"""TIFF's code of the compression."""

GRIDS = 64
"""Grids whose header is kept."""


@dataclass(frozen=True, eq=False)
class Table:
    """The blocks of one resolution of one file."""

    offsets: NDArray[np.int64]
    """(band, block row, block column) first byte in the file."""

    counts: NDArray[np.int64]
    """(band, block row, block column) bytes, 0 = no such block."""

    predictor: int = DIFFERENCES
    """PLAIN or DIFFERENCES."""

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Table:
        """Return the table of a raster, or sample, of this shape without any block."""
        size = len(BANDS), -(-shape[0] // ARCHIVE_BLOCK), -(-shape[1] // ARCHIVE_BLOCK)
        return cls(np.zeros(size, np.int64), np.zeros(size, np.int64))


Tables = tuple[tuple[int, int], list[Table]]
"""Shape of a raster, and the positions of the blocks of each resolution."""


@dataclass(frozen=True)
class Header:
    """The beginning of a raster: all but its blocks, with tables that are empty."""

    data: bytes
    """Its bytes."""

    tables: tuple[tuple[Entry, ...], ...]
    """Offsets and counts of each resolution."""

    def fill(self, tables: Sequence[Table]) -> bytes:
        """Return its bytes with these tables."""
        data = bytearray(self.data)
        for entries, table in zip(self.tables, tables, strict=True):
            for entry, numbers in zip(entries, (table.offsets, table.counts), strict=True):
                part = numbers.astype(TAG_TYPES[entry.kind]).tobytes()
                data[entry.place : entry.place + len(part)] = part
        return bytes(data)


def find_step(shape: tuple[int, int]) -> int:
    """Return the step, a power of two, between the rows and columns that are in the sample of a raster; 1 = all."""
    step = 1
    while -(-shape[0] // step) * -(-shape[1] // step) > SAMPLE_PIXELS:
        step *= 2
    return step


def list_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the shapes of a raster and of its sample, which small ones do not have."""
    step = find_step(shape)
    return [shape] if step == 1 else [shape, (-(-shape[0] // step), -(-shape[1] // step))]


@lru_cache(GRIDS)
def make_header(epsg: int, transform: Affine, shape: tuple[int, int], predictor: int = DIFFERENCES) -> Header:
    """Return the header of rasters on a grid, whose blocks are PLAIN or DIFFERENCES."""
    pages = [_describe_image(size, predictor, is_sample=number > 0) for number, size in enumerate(list_shapes(shape))]
    pages[0] += [*describe_place(epsg, transform), *_describe_bands()]
    data = b"II*\0" + struct.pack("<I", 8) + render_directories(pages, 8)
    return Header(data, tuple(directory.entries_of(TABLES) for directory in read_directories(data, most=2)))


def _describe_image(shape: tuple[int, int], predictor: int, *, is_sample: bool) -> list[Tag]:
    bands, blocks = len(BANDS), Table.empty(shape).counts.size
    return [
        make_tag(254, LONG, int(is_sample)),  # an overview
        make_tag(256, LONG, shape[1]),
        make_tag(257, LONG, shape[0]),
        make_tag(258, SHORT, *[8] * bands),
        make_tag(259, SHORT, ZSTD),
        make_tag(262, SHORT, 1),  # grey
        make_tag(277, SHORT, bands),
        make_tag(282, RATIO, 1, 1),
        make_tag(283, RATIO, 1, 1),
        make_tag(284, SHORT, 2),  # one band after the other
        make_tag(296, SHORT, 1),  # no unit of resolution
        *([make_tag(317, SHORT, predictor)] if predictor != PLAIN else []),
        make_tag(322, LONG, ARCHIVE_BLOCK),
        make_tag(323, LONG, ARCHIVE_BLOCK),
        make_tag(OFFSETS, LONG, *[0] * blocks),
        make_tag(COUNTS, LONG, *[0] * blocks),
        make_tag(338, SHORT, *[0] * (bands - 1)),  # bands beyond the first, of no kind that TIFF knows
    ]


@cache
def _describe_bands() -> list[Tag]:
    """Return the tags with bands and no-data value as GDAL writes them."""
    with MemoryFile() as memory:
        profile = {"driver": "GTiff", "width": 1, "height": 1, "count": len(BANDS), "dtype": "uint8", "nodata": 0}
        with memory.open(**profile, transform=Affine(1, 0, 1, 0, -1, 1)) as raster:
            raster.set_band_description(1, BANDS[0])
            for band, layer in enumerate(LAYERS, 2):
                raster.set_band_description(band, layer.name)
                raster.update_tags(band, meaning=layer.description)
            raster.scales = (1.0, *(layer.step for layer in LAYERS))
            raster.offsets = (0.0, *(layer.low - layer.step for layer in LAYERS))
        memory.seek(0)
        return pick_tags(memory.read(), (42112, 42113))


def parse_tables(head: bytes, fetch: Callable[[int, int], bytes]) -> Tables:
    """Read shape and tables of a raster from its beginning; ``fetch`` reads bytes from one offset to another beyond that.

    Raises ValueError, KeyError, IndexError or BlockError where it is none.
    """
    pages = [directory.read(head, fetch) for directory in read_directories(head, most=2)]
    shape = int(pages[0]["height"][0]), int(pages[0]["width"][0])
    tables = []
    for page, expected in zip(pages, list_shapes(shape), strict=True):
        empty, predictor = Table.empty(expected), int(page["predictor"][0]) if "predictor" in page else PLAIN
        found = {name: [int(number) for number in page[name]] for name in ("height", "width", "block_height", "block_width")}
        if list(found.values()) != [[expected[0]], [expected[1]], [ARCHIVE_BLOCK], [ARCHIVE_BLOCK]]:
            raise ValueError("another layout of blocks")
        if page["compression"][0] != ZSTD or predictor not in (PLAIN, DIFFERENCES):
            raise ValueError("blocks stored in another way")
        offsets, counts = (page[name].astype(np.int64).reshape(empty.counts.shape) for name in TABLES)
        tables.append(Table(offsets, counts, predictor))
    return shape, tables
