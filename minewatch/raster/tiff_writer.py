"""Writes GeoTIFFs as bytes without GDAL, which takes milliseconds to open and close each."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import imagecodecs
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from minewatch.core.text import strip_controls
from minewatch.raster.tiff_directory import TYPE_SIZES, read_directories

TEXT, SHORT, LONG, RATIO, DOUBLE = 2, 3, 4, 5, 12
"""TIFF's types of text and numbers that are written; a ratio is two numbers."""

FORMS = {SHORT: "H", LONG: "I", RATIO: "I", DOUBLE: "d"}
"""Types as :mod:`struct` calls them."""

OFFSETS, COUNTS = 324, 325
"""Tags with the positions and sizes of tiles."""

GEO_KEYS = (34735, 34736, 34737)
"""Tags with the CRS, of GeoTIFF 1.1."""

OWN_TAGS = {"TIFFTAG_SOFTWARE": 305, "TIFFTAG_COPYRIGHT": 33432}
"""GDAL's names of texts for which TIFF has tags of its own."""

SIDE_STEP = 16
"""The sides of tiles are multiples of it."""

LEVEL = 1
"""Of deflate: the usual one, 6, takes twice as long; reflectance takes as much room, pictures a twelfth more."""

LAYOUT = (
    b"LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n"
    b"BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
)
"""What GDAL's COGs say after their first bytes: a block's size stands before it, its last bytes again behind it."""

Pixels = NDArray[Any]
"""(band, y, x) uint8, uint16 or int16."""


class Tag(NamedTuple):
    """A tag of a directory."""

    number: int
    """Which it is."""

    kind: int
    """Type of its numbers."""

    data: bytes
    """Its numbers."""


def make_tag(number: int, kind: int, *values: float) -> Tag:
    """Return a tag with numbers."""
    return Tag(number, kind, struct.pack(f"<{len(values)}{FORMS[kind]}", *values))


def make_text_tag(number: int, text: str) -> Tag:
    """Return a tag with text."""
    return Tag(number, TEXT, strip_controls(text).encode() + b"\0")


def render_directories(pages: Sequence[Sequence[Tag]], start: int) -> bytes:
    """Return the directories of the images of a TIFF, each with its numbers behind it; the first begins at byte ``start``."""
    parts = []
    for left, page in zip(range(len(pages) - 1, -1, -1), pages, strict=True):
        entries, values, end = [], [], start + 2 + 12 * len(page) + 4
        for number, kind, data in sorted(page):
            held = data
            if len(data) > 4:
                held = struct.pack("<I", end)
                values.append(data + bytes(len(data) % 2))  # numbers begin at an even byte
                end += len(values[-1])
            entries.append(struct.pack("<HHI4s", number, kind, len(data) // TYPE_SIZES[kind], held))
        parts += [struct.pack("<H", len(page)), *entries, struct.pack("<I", end if left else 0), *values]
        start = end
    return b"".join(parts)


# --- what GDAL says of rasters -----------------------------------------------------------------------------------------


def describe_place(epsg: int, transform: Affine) -> list[Tag]:
    """Return the tags with the place of a raster: pixels north up, in a CRS."""
    scale = make_tag(33550, DOUBLE, transform.a, -transform.e, 0)
    return [scale, make_tag(33922, DOUBLE, 0, 0, 0, transform.c, transform.f, 0), *_describe_crs(epsg)]


@lru_cache(64)
def _describe_crs(epsg: int) -> tuple[Tag, ...]:
    """Return the tags with a CRS as GDAL writes them."""
    with MemoryFile() as memory:
        profile = {"driver": "GTiff", "width": 1, "height": 1, "count": 1, "dtype": "uint8"}
        with memory.open(**profile, crs=f"EPSG:{epsg}", transform=Affine(1, 0, 1, 0, -1, 1)):
            pass
        memory.seek(0)
        return tuple(pick_tags(memory.read(), GEO_KEYS))


def pick_tags(data: bytes, numbers: Collection[int]) -> list[Tag]:
    """Return some tags of the first image of a TIFF."""
    entries = (entry for entry in read_directories(data)[0].entries if entry.tag in numbers)
    return [Tag(tag, kind, data[at : at + length * TYPE_SIZES[kind]]) for tag, kind, length, at in entries]


@dataclass(frozen=True)
class BandText:
    """What GDAL shows of a band."""

    description: str = ""
    """Its name; '' = none."""

    scale: float = 1.0
    """Number to value."""


def describe_texts(tags: Mapping[str, str], bands: Sequence[BandText] = ()) -> list[Tag]:
    """Return the tags with texts as GDAL has them: those of the file by name, and what is said of its bands."""
    own = [make_text_tag(OWN_TAGS[name], text) for name, text in tags.items() if name in OWN_TAGS]
    items = [
        f'<Item name="{_escape(name)}">{_escape(text)}</Item>' for name, text in sorted(tags.items()) if name not in OWN_TAGS
    ]
    for number, band in enumerate(bands):
        texts = {"description": band.description}
        if band.scale != 1:
            texts = {"offset": "0", "scale": repr(band.scale), **texts}
        items += [
            f'<Item name="{role.upper()}" sample="{number}" role="{role}">{_escape(text)}</Item>'
            for role, text in texts.items()
            if text
        ]
    lines = ["<GDALMetadata>", *(f"  {item}" for item in items), "</GDALMetadata>", ""]
    return [*own, make_text_tag(42112, "\n".join(lines))] if items else own


def _escape(text: str) -> str:
    """Return text for GDAL's XML, which it escapes twice and reads so."""
    quotes = {'"': "&quot;"}
    return escape(escape(strip_controls(text), quotes), quotes)


# --- cloud-optimised GeoTIFFs ------------------------------------------------------------------------------------------


def render_cog(
    pixels: Pixels, described: Sequence[Tag], block: int, *, nodata: int | None = None, halve: Callable[[Pixels], Pixels]
) -> bytes:
    """Return a COG with blocks of at most ``block`` pixels on each side, and overviews where the image is larger.

    ``described`` are the tags with its place and texts; ``halve`` makes of an image the next coarser overview.  Four bands of
    bytes are red, green, blue and opacity.
    """
    images = [pixels]
    while max(images[-1].shape[1:]) > block:
        images.append(halve(images[-1]))
    side = min(block, -(-max(pixels.shape[1:]) // SIDE_STEP) * SIDE_STEP)
    blocks = [list(_encode_blocks(image, side)) for image in images]
    empty = [] if nodata is None else [make_text_tag(42113, str(nodata))]
    pages = [[*_describe_image(image, side), *empty] for image in images]
    pages = [[*pages[0], *described], *([make_tag(254, LONG, 1), *page] for page in pages[1:])]  # smaller ones of the first
    ghost = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n%b" % (len(LAYOUT), LAYOUT)
    start = 8 + len(ghost)
    places = [[0] * len(parts) for parts in blocks]
    end = start + len(_render_pages(pages, places, blocks, start))
    for number in reversed(range(len(images))):  # the coarsest first
        for at, part in enumerate(blocks[number]):
            places[number][at] = end + 4
            end += 4 + len(part) + 4
    data = (struct.pack("<I", len(part)) + part + part[-4:] for parts in reversed(blocks) for part in parts)
    return b"".join([b"II*\0", struct.pack("<I", start), ghost, _render_pages(pages, places, blocks, start), *data])


def _render_pages(
    pages: Sequence[Sequence[Tag]], places: Sequence[Sequence[int]], blocks: Sequence[Sequence[bytes]], start: int
) -> bytes:
    complete = [
        [*page, make_tag(OFFSETS, LONG, *offsets), make_tag(COUNTS, LONG, *map(len, parts))]
        for page, offsets, parts in zip(pages, places, blocks, strict=True)
    ]
    return render_directories(complete, start)


def _describe_image(image: Pixels, side: int) -> list[Tag]:
    (bands, height, width), bits = image.shape, 8 * image.itemsize
    is_picture = bands == 4 and image.dtype == np.uint8
    extra = [2] if is_picture else [0] * (bands - 1)  # opacity, or nothing that TIFF has a name for
    kind = 2 if image.dtype.kind == "i" else 1
    return [
        make_tag(256, LONG, width),
        make_tag(257, LONG, height),
        make_tag(258, SHORT, *[bits] * bands),
        make_tag(259, SHORT, 8),  # deflate
        make_tag(262, SHORT, 2 if is_picture else 1),  # red, green, blue, or grey
        make_tag(277, SHORT, bands),
        make_tag(284, SHORT, 1),  # the numbers of a pixel beside each other
        make_tag(317, SHORT, 2),  # differences along a row
        make_tag(322, SHORT, side),
        make_tag(323, SHORT, side),
        *([make_tag(338, SHORT, *extra)] if extra else []),
        make_tag(339, SHORT, *[kind] * bands),
    ]


def _encode_blocks(image: Pixels, side: int) -> Iterator[bytes]:
    """Yield the blocks of an image row by row; beyond its edges they repeat its last pixels, which takes no room."""
    bands, height, width = image.shape
    unsigned = np.moveaxis(image, 0, -1).view(f"u{image.itemsize}")
    for top, left in itertools.product(range(0, height, side), range(0, width, side)):
        part = np.ascontiguousarray(unsigned[top : top + side, left : left + side])
        rows, size = part.shape[0], part.shape[1] * bands
        lines = part.reshape(rows, size)  # bands beside each other: numpy subtracts long rows faster
        block = np.zeros((side, side * bands), unsigned.dtype)
        block[:rows, :bands] = lines[:, :bands]
        np.subtract(lines[:, bands:], lines[:, :-bands], out=block[:rows, bands:size])
        block[rows:] = block[rows - 1]
        yield bytes(imagecodecs.deflate_encode(block.tobytes(), level=LEVEL))


def take_every_second(image: Pixels) -> Pixels:
    """Return an overview of measured numbers and classes: none is mixed with its neighbours."""
    return image[:, ::2, ::2]


def average_pairs(image: Pixels) -> Pixels:
    """Return an overview of a picture: the mean of each two by two pixels."""
    padded = np.pad(image, ((0, 0), (0, image.shape[1] % 2), (0, image.shape[2] % 2)), mode="edge").astype(np.uint16)
    rows = padded[:, ::2] + padded[:, 1::2]
    return ((rows[:, :, ::2] + rows[:, :, 1::2] + 2) >> 2).astype(image.dtype)
