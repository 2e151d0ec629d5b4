"""Reads plain GeoTIFFs without GDAL's raster code: the positions of their blocks, and the blocks.

GDAL opens the header for CRS and transform, and reads every other kind of file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from urllib.parse import urlsplit

import imagecodecs
import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile

from minewatch.core.http import is_remote
from minewatch.core.limits import find_header_fault
from minewatch.raster.credentials import UNSIGNED, Access
from minewatch.raster.resampling import sum_rows
from minewatch.raster.tiff_directory import TABLES, BlockError, Directory, read_directories

HEAD = 32 * 2**10
"""Bytes fetched to open a file, several times the header of a COG of a whole Sentinel-2 tile."""

LONGEST_HEAD = 2**20
"""Bytes within which a header that is longer is read to its end; of what lies farther, tables are read alone."""

NEXT_IMAGE = 4 * 2**10
"""Bytes after it in which the directory of an overview is."""

LARGEST_BLOCK = 32 * 2**20
"""Bytes of one decompressed block; files with larger ones are left to GDAL."""

COMPRESSIONS = {1: "none", 8: "deflate", 32946: "deflate", 50000: "zstd"}
"""TIFF's codes of the supported compressions."""

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels of a file."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Positions of a file's blocks in its bytes, and of its pixels on the map."""

    href: str
    """Path or address."""

    shape: tuple[int, int]
    """Rows and columns."""

    block: tuple[int, int]
    """Rows and columns of a block."""

    dtype: np.dtype[np.uint8] | np.dtype[np.uint16]
    """Type of the pixels, little-endian."""

    compression: str
    """none, deflate or zstd."""

    predictor: int
    """1, or 2: differences along a row."""

    offsets: NDArray[np.int64]
    """(block row, block column) first byte in the file."""

    counts: NDArray[np.int64]
    """(block row, block column) bytes; 0 = a missing block, whose pixels are ``empty``."""

    empty: int
    """Pixel value of missing blocks."""

    crs: str
    """WKT."""

    transform: Affine
    """Pixel to map."""

    access: Access
    """How the file is accessed."""

    header: int = HEAD
    """Bytes fetched to open it."""

    overview: Layout | None = None
    """The coarsest smaller version of the image in the file whose pixels are not larger than was asked for."""

    @property
    def block_bytes(self) -> int:
        """Size of a decompressed block."""
        return self.block[0] * self.block[1] * self.dtype.itemsize

    def outline(self, block: tuple[int, int]) -> Box:
        """Return the box of a block; it may reach beyond the file."""
        top, left = block[0] * self.block[0], block[1] * self.block[1]
        return top, left, top + self.block[0], left + self.block[1]

    def find_blocks(self, box: Box) -> list[tuple[int, int]]:
        """Return the blocks (row, column) that a box within the file intersects, row by row."""
        top, left, bottom, right = box
        if top >= bottom or left >= right:
            return []
        rows = range(top // self.block[0], (bottom - 1) // self.block[0] + 1)
        columns = range(left // self.block[1], (right - 1) // self.block[1] + 1)
        return [(row, column) for row in rows for column in columns]

    def clip(self, box: Box) -> Box:
        """Return a box clipped to the file."""
        top, left, bottom, right = box
        return max(top, 0), max(left, 0), min(bottom, self.shape[0]), min(right, self.shape[1])


# --- headers ---------------------------------------------------------------------------------------------------------

MOST_LEVELS = 16
"""Images of a file among which an overview is looked for."""

OVERVIEW = 1
"""Kind of an image that is a smaller version of the first (NewSubfileType of TIFF 6.0); a mask has other bits too."""

KNOWN = 1024
"""Headers whose description by GDAL is kept."""


@dataclass(frozen=True)
class Description:
    """What GDAL says of a file whose pixels this module can read."""

    shape: tuple[int, int]
    """Rows and columns."""

    dtype: str
    """Type of the pixels."""

    nodata: float | None
    """No-data value."""

    crs: str
    """WKT."""

    is_metric: bool
    """True if the CRS is projected."""

    transform: Affine
    """Pixel to map."""


_known: dict[Hashable, Description | None] = {}
"""Tags of a header, all but TABLES, to what GDAL says: it takes two milliseconds, and thousands of files have the same."""


def read_layout(href: str, access: Access = UNSIGNED, head: bytes | None = None, coarsest: float = 0.0) -> Layout | None:
    """Read the header of a GeoTIFF, from ``head`` if given; None where GDAL must read the file.

    It has the layout of an overview whose pixels have up to ``coarsest`` metres, where there is one in the header.  Raises
    OSError or RasterioError.
    """
    if is_left_to_gdal(href, access):
        return None
    most = MOST_LEVELS if coarsest else 1
    head, directories = _complete(href, access, access.fetch(href, 0, HEAD) if head is None else head, most)
    directory, *smaller = directories or (None,)
    key = directory.identify(head) if directory else None
    try:
        described = _known[key]
    except KeyError:  # also where another thread has just cleared it
        described = None if key is None and is_remote(href) else _ask_gdal(href, head)  # which would miss what lies beyond
        if key is not None and len(head) <= HEAD:  # pages of metadata are not kept
            if len(_known) >= KNOWN:
                _known.clear()
            _known[key] = described
    layout = _lay_out(href, access, head, directory, described)
    if layout is None or described is None or directory is None:
        return None
    layout = replace(layout, header=len(head) + directory.count_beyond(len(head)))
    for level, place in _list_overviews(smaller, head, described, coarsest):
        with contextlib.suppress(BlockError):  # of a damaged one; the image itself is whole
            if overview := _lay_out(href, access, head, level, place):
                return replace(layout, overview=overview, header=layout.header + level.count_beyond(len(head)))
    return layout


def _complete(href: str, access: Access, head: bytes, most: int) -> tuple[bytes, list[Directory]]:
    """Return the beginning of a file with all that its first directory says, as far as that is near, and its directories.

    A header may be longer than HEAD: many small blocks have long tables, and some programs write pages of metadata.
    """
    directories = read_directories(head, most)
    end = directories[0].find_end(LONGEST_HEAD) + (NEXT_IMAGE if most > 1 else 0) if directories else 0
    if end <= len(head) or len(head) < HEAD:  # the whole file is there
        return head, directories
    head += access.fetch(href, len(head), end)
    return head, read_directories(head, most)


def _ask_gdal(href: str, head: bytes) -> Description | None:
    """Return what GDAL says of a file; None where it has to read it, or cannot."""
    if is_remote(href):
        try:
            with MemoryFile(head, ext=".tif") as memory, memory.open(driver="GTiff") as dataset:
                return _describe(dataset)
        except (RasterioError, UnicodeDecodeError):  # the header is elsewhere, or not a TIFF; GDAL will report it
            return None
    try:
        with rasterio.open(href, driver="GTiff") as dataset:
            return _describe(dataset)
    except UnicodeDecodeError:  # a malformed name in the header
        raise BlockError("a damaged header") from None


def is_left_to_gdal(href: str, access: Access) -> bool:
    """True if GDAL fetches a file's bytes itself."""
    parts = urlsplit(href)
    if access.is_own(href):
        return False
    if is_remote(href):
        # The user configured GDAL's HTTP (a token, a cookie) or named a login.
        return parts.username is not None or any(name.startswith("GDAL_HTTP_") for name in os.environ)
    return bool(parts.scheme) or href.startswith("/vsi")


def _describe(dataset: DatasetReader) -> Description | None:
    if dataset.crs is None or dataset.count != 1 or dataset.dtypes[0] not in ("uint8", "uint16") or dataset.transform.is_identity:
        return None
    crs, transform = dataset.crs, dataset.transform
    return Description(dataset.shape, dataset.dtypes[0], dataset.nodata, crs.to_wkt(), crs.is_projected, transform)


def _lay_out(href: str, access: Access, head: bytes, directory: Directory | None, known: Description | None) -> Layout | None:
    """Return the layout of a file; None where this module cannot read it.  Raises BlockError where its tables cannot be."""
    if directory is None or known is None:
        return None
    tags = directory.read(head, partial(access.fetch, href))
    first = {name: int(values[0]) for name, values in tags.items() if values.size}
    if not _is_simple(first, known):
        return None
    (height, width), dtype = known.shape, np.dtype(known.dtype)
    block = first["block_height"], first.get("block_width", width)
    if fault := find_header_fault(known.shape, block, [known.dtype], known.transform, is_metric=known.is_metric):
        raise BlockError(fault)
    rows, columns = -(-height // block[0]), -(-width // block[1])
    if tags["offsets"].size != rows * columns or tags["counts"].size != rows * columns:
        return None
    offsets, counts = (tags[name].astype(np.int64).reshape(rows, columns) for name in TABLES)
    nodata = -1 if known.nodata is None else known.nodata  # counts only where it is a pixel value
    layout = Layout(
        href=href,
        shape=known.shape,
        block=block,
        dtype=dtype.newbyteorder("<"),
        compression=COMPRESSIONS[first["compression"]],
        predictor=first.get("predictor", 1),
        offsets=offsets,
        counts=np.where(offsets == 0, 0, counts),
        empty=int(nodata) if 0 <= nodata <= np.iinfo(dtype).max else 0,
        crs=known.crs,
        transform=known.transform,
        access=access,
    )
    if offsets.min() < 0 or counts.min() < 0 or counts.max() > layout.block_bytes * 9 // 8 + 1024:
        raise BlockError("a table of blocks that cannot be")
    return layout


def _list_overviews(
    directories: Sequence[Directory], head: bytes, known: Description, coarsest: float
) -> list[tuple[Directory, Description]]:
    """Return the directories of smaller images of a file whose pixels have up to ``coarsest`` metres, the coarsest first.

    Each has its description.  An image of another size than a whole factor gives, rounded up or down, is no overview.
    """
    found = []
    for directory in directories:
        sizes = directory.read_numbers(head)
        height, width = sizes.get("height", 0), sizes.get("width", 0)
        if sizes.get("kind") != OVERVIEW or not (0 < height < known.shape[0] and 0 < width < known.shape[1]):
            continue
        across, down = known.shape[1] / width, known.shape[0] / height
        factor = round(across)
        is_whole = all(abs(factor * part - whole) < factor for part, whole in zip((height, width), known.shape, strict=True))
        if is_whole and abs(known.transform.a) * factor <= coarsest:
            place = replace(known, shape=(height, width), transform=known.transform @ Affine.scale(across, down))
            found.append((factor, directory, place))
    return [(directory, place) for _, directory, place in sorted(found, key=itemgetter(0), reverse=True)]


def _is_simple(first: dict[str, int], known: Description) -> bool:
    """True if, by the first number of each tag, the pixels are stored as this module reads them."""
    height, width = known.shape
    block = first.get("block_height", 0), first.get("block_width", width)
    bits = np.dtype(known.dtype).itemsize * 8
    expected = {"width": width, "height": height, "bits": bits, "fill_order": 1, "bands": 1, "sample_format": 1}
    return (
        all(first.get(name, value) == value for name, value in expected.items())
        and {"width", "height", "bits", *TABLES, "block_height"} <= first.keys()
        and first.get("compression") in COMPRESSIONS
        and first.get("predictor", 1) in ((1, 2) if first["compression"] != 1 else (1,))
        and min(block) > 0
        and block[0] * block[1] * bits // 8 <= LARGEST_BLOCK
    )


# --- blocks ----------------------------------------------------------------------------------------------------------


def decode_block(layout: Layout, block: tuple[int, int], data: bytes | memoryview, out: NDArray[np.uint8]) -> None:
    """Decompress a block into ``out``, which has the size of the layout's blocks.

    Deflate, which Sentinel-2's providers use, has a checksum for each block (Adler-32, RFC 1950), which is verified: each of
    600 flipped bits was found.  GDAL's Zstandard blocks, uncompressed blocks and the header have none.  Raises BlockError
    where the data are damaged or have more or fewer pixels than a block.
    """
    try:
        size = _decompress(layout.compression, data, out)
    except (imagecodecs.DeflateError, imagecodecs.ZstdError, ValueError) as error:
        raise BlockError(f"a damaged block ({type(error).__name__})") from None
    # The last strip of a file may have fewer rows; tiles are always whole.
    rows = layout.shape[0] - block[0] * layout.block[0]
    is_strip = layout.block[1] == layout.shape[1]
    if size != layout.block_bytes and not (is_strip and size == layout.block_bytes // layout.block[0] * rows):
        raise BlockError("a block of another size than its header says")
    if layout.predictor == 2:
        sum_rows(out.view(layout.dtype).reshape(layout.block))


def _decompress(compression: str, data: bytes | memoryview, out: NDArray[np.uint8]) -> int:
    if compression == "none":
        if len(data) > len(out):
            raise BlockError("a block of another size than its header says")
        out[: len(data)] = np.frombuffer(data, np.uint8)
        return len(data)
    # ``out`` limits what a decompression bomb can write.
    decode: Callable[..., bytes | bytearray] = imagecodecs.deflate_decode if compression == "deflate" else imagecodecs.zstd_decode
    return len(decode(data, out=out))
