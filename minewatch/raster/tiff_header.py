"""Reads plain GeoTIFFs without GDAL's raster code: where their blocks lie, and what is in them.

GDAL opens the header and says where on earth the pixels are; every other kind of file is left to it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import imagecodecs
import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, MemoryFile

from minewatch.core.http import is_remote
from minewatch.core.limits import MOST_BLOCKS, find_header_fault
from minewatch.raster.credentials import UNSIGNED, Access
from minewatch.raster.resampling import sum_rows

HEAD = 32 * 2**10
"""Bytes fetched to open a file: the header of a COG of a whole Sentinel-2 tile fits several times."""

LARGEST_BLOCK = 32 * 2**20
"""Bytes of one block once inflated; files with larger ones are left to GDAL."""

MOST_TAGS = 1000
"""Tags of one file; usual are 20."""

COMPRESSIONS = {1: "none", 8: "deflate", 32946: "deflate", 50000: "zstd"}
"""TIFF's codes for what can be read here."""

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels of a file."""


class BlockError(OSError):
    """A block is not what its header promises."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the pixels of one file lie: in its bytes and on earth."""

    href: str
    """Path or address."""

    shape: tuple[int, int]
    """Rows and columns."""

    block: tuple[int, int]
    """Rows and columns of a block."""

    dtype: np.dtype[np.uint8] | np.dtype[np.uint16]
    """Of the pixels, little-endian."""

    compression: str
    """none, deflate or zstd."""

    predictor: int
    """1, or 2: differences along a row."""

    offsets: NDArray[np.int64]
    """(block row, block column) first byte in the file."""

    counts: NDArray[np.int64]
    """(block row, block column) bytes; 0 = the file has no such block, its pixels are ``empty``."""

    empty: int
    """Pixel value of blocks that are not there."""

    crs: str
    """WKT."""

    transform: Affine
    """Pixel to map."""

    access: Access
    """How the file is reached."""

    @property
    def block_bytes(self) -> int:
        """Size of an inflated block."""
        return self.block[0] * self.block[1] * self.dtype.itemsize

    def outline(self, block: tuple[int, int]) -> Box:
        """Return the box of a block; it may reach beyond the file."""
        top, left = block[0] * self.block[0], block[1] * self.block[1]
        return top, left, top + self.block[0], left + self.block[1]

    def find_blocks(self, box: Box) -> list[tuple[int, int]]:
        """List the blocks (row, column) that a box within the file meets, row by row."""
        top, left, bottom, right = box
        if top >= bottom or left >= right:
            return []
        rows = range(top // self.block[0], (bottom - 1) // self.block[0] + 1)
        columns = range(left // self.block[1], (right - 1) // self.block[1] + 1)
        return [(row, column) for row in rows for column in columns]

    def clip(self, box: Box) -> Box:
        """Cut a box to the file."""
        top, left, bottom, right = box
        return max(top, 0), max(left, 0), min(bottom, self.shape[0]), min(right, self.shape[1])


# --- headers ---------------------------------------------------------------------------------------------------------

TAG_NAMES = {
    256: "width", 257: "height", 258: "bits", 259: "compression", 266: "fill_order", 273: "offsets", 277: "bands",
    278: "block_height", 279: "counts", 317: "predictor", 322: "block_width", 323: "block_height", 324: "offsets",
    325: "counts", 339: "sample_format",
}  # fmt: skip
"""Tags of TIFF 6.0 that tell where the pixels are."""

TAG_TYPES = {1: "u1", 3: "<u2", 4: "<u4", 16: "<u8"}
"""TIFF's types of whole numbers."""


def read_layout(href: str, access: Access = UNSIGNED, head: bytes | None = None) -> Layout | None:
    """Read the header of a GeoTIFF, whose head may be there already; None where GDAL must do the reading.

    Raises OSError or RasterioError.
    """
    if is_left_to_gdal(href, access):
        return None
    head = access.fetch(href, 0, HEAD) if head is None else head
    if is_remote(href):
        try:
            with MemoryFile(head, ext=".tif") as memory, memory.open(driver="GTiff") as dataset:
                return _describe(href, access, head, dataset)
        except (RasterioError, UnicodeDecodeError):  # a header that is elsewhere, or no TIFF; GDAL will tell
            return None
    try:
        with rasterio.open(href, driver="GTiff") as dataset:
            return _describe(href, access, head, dataset)
    except UnicodeDecodeError:  # a name in the header that is no text
        raise BlockError("a damaged header") from None


def is_left_to_gdal(href: str, access: Access) -> bool:
    """True if GDAL fetches a file's bytes by itself."""
    parts = urlsplit(href)
    if access.is_own(href):
        return False
    if is_remote(href):
        # Who set up GDAL's way to the web (a token, a cookie), or names a user, wants it gone by GDAL.
        return parts.username is not None or any(name.startswith("GDAL_HTTP_") for name in os.environ)
    return bool(parts.scheme) or href.startswith("/vsi")


def _describe(href: str, access: Access, head: bytes, dataset: DatasetReader) -> Layout | None:
    if dataset.crs is None or dataset.count != 1 or dataset.dtypes[0] not in ("uint8", "uint16") or dataset.transform.is_identity:
        return None
    tags = _read_tags(href, access, head)
    first = {name: int(values[0]) for name, values in tags.items() if values.size}
    if not _is_simple(first, dataset):
        return None
    block = first["block_height"], first.get("block_width", dataset.width)
    if misfit := find_header_fault(dataset.shape, block, dataset.dtypes, dataset.transform, is_metric=dataset.crs.is_projected):
        raise BlockError(misfit)
    rows, columns = -(-dataset.height // block[0]), -(-dataset.width // block[1])
    if tags["offsets"].size != rows * columns or tags["counts"].size != rows * columns:
        return None
    offsets, counts = (tags[name].astype(np.int64).reshape(rows, columns) for name in ("offsets", "counts"))
    layout = Layout(
        href=href,
        shape=dataset.shape,
        block=block,
        dtype=np.dtype(dataset.dtypes[0]).newbyteorder("<"),
        compression=COMPRESSIONS[first["compression"]],
        predictor=first.get("predictor", 1),
        offsets=offsets,
        counts=np.where(offsets == 0, 0, counts),
        empty=_find_empty(dataset),
        crs=dataset.crs.to_wkt(),
        transform=dataset.transform,
        access=access,
    )
    if offsets.min() < 0 or counts.min() < 0 or counts.max() > layout.block_bytes * 9 // 8 + 1024:
        raise BlockError("a table of blocks that cannot be")
    return layout


def _find_empty(dataset: DatasetReader) -> int:
    """Return the value of blocks that are not there: the file's no data, where it is a pixel value."""
    nodata = dataset.nodata
    return int(nodata) if nodata is not None and 0 <= nodata <= np.iinfo(dataset.dtypes[0]).max else 0


def _is_simple(first: dict[str, int], dataset: DatasetReader) -> bool:
    """Tell from the first number of each tag whether the pixels are stored as this module reads them."""
    block = first.get("block_height", 0), first.get("block_width", dataset.width)
    bits = np.dtype(dataset.dtypes[0]).itemsize * 8
    expected = {"width": dataset.width, "height": dataset.height, "bits": bits, "fill_order": 1, "bands": 1, "sample_format": 1}
    return (
        all(first.get(name, value) == value for name, value in expected.items())
        and {"width", "height", "bits", "offsets", "counts", "block_height"} <= first.keys()
        and first.get("compression") in COMPRESSIONS
        and first.get("predictor", 1) in ((1, 2) if first["compression"] != 1 else (1,))
        and min(block) > 0
        and block[0] * block[1] * bits // 8 <= LARGEST_BLOCK
    )


def _read_tags(href: str, access: Access, head: bytes) -> dict[str, NDArray[np.uint64]]:
    """Read the first directory of a little-endian TIFF or BigTIFF; nothing where it is another file or elsewhere."""
    big = head[:4] == b"II\x2b\0"
    if not big and head[:4] != b"II*\0":
        return {}
    try:
        (start,) = struct.unpack_from("<Q" if big else "<I", head, 8 if big else 4)
        (count,) = struct.unpack_from("<Q" if big else "<H", head, start)
        start += 8 if big else 2
        entries = range(start, start + min(count, MOST_TAGS) * (20 if big else 12), 20 if big else 12)
        found = {entry: struct.unpack_from("<HHQ" if big else "<HHI", head, entry) for entry in entries}
    except (struct.error, OverflowError):
        return {}
    tags = {}
    for entry, (tag, kind, length) in found.items():
        if tag in TAG_NAMES and kind in TAG_TYPES and length <= MOST_BLOCKS:
            size = length * np.dtype(TAG_TYPES[kind]).itemsize
            room, place = (8, entry + 12) if big else (4, entry + 8)
            if size > room:
                (place,) = struct.unpack_from("<Q" if big else "<I", head, place)
            # A table behind the head costs one more request.
            data = head[place : place + size] if place + size <= len(head) else access.fetch(href, place, place + size)
            if len(data) != size:
                raise BlockError("the header is cut short")
            tags[TAG_NAMES[tag]] = np.frombuffer(data, TAG_TYPES[kind]).astype(np.uint64)
    return tags


# --- blocks ----------------------------------------------------------------------------------------------------------


def decode_block(layout: Layout, block: tuple[int, int], data: bytes | memoryview, out: NDArray[np.uint8]) -> None:
    """Inflate a block into ``out``, whose size is that of the layout's blocks.

    Deflate, which Sentinel-2's providers use, ends each block with a checksum (Adler-32, RFC 1950) that is compared here: every
    one of 600 flipped bits was found.  Blocks of Zstandard as GDAL writes them, plain blocks and the header itself have none.
    Raises BlockError where the data are damaged or become more or fewer pixels than a block has.
    """
    try:
        size = _inflate(layout.compression, data, out)
    except (imagecodecs.DeflateError, imagecodecs.ZstdError, ValueError) as error:
        raise BlockError(f"a damaged block ({type(error).__name__})") from None
    # The last strip of a file is as high as what is left of it; tiles are always whole.
    rows = layout.shape[0] - block[0] * layout.block[0]
    is_strip = layout.block[1] == layout.shape[1]
    if size != layout.block_bytes and not (is_strip and size == layout.block_bytes // layout.block[0] * rows):
        raise BlockError("a block of another size than its header says")
    if layout.predictor == 2:
        sum_rows(out.view(layout.dtype).reshape(layout.block))


def _inflate(compression: str, data: bytes | memoryview, out: NDArray[np.uint8]) -> int:
    if compression == "none":
        if len(data) > len(out):
            raise BlockError("a block of another size than its header says")
        out[: len(data)] = np.frombuffer(data, np.uint8)
        return len(data)
    # The size of ``out`` bounds what a bomb can become.
    decode: Callable[..., bytes | bytearray] = imagecodecs.deflate_decode if compression == "deflate" else imagecodecs.zstd_decode
    return len(decode(data, out=out))
