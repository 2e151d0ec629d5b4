"""Checks of a raster's header: its size before memory is allocated, its type, and its position."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from affine import Affine

LONGEST_SIDE = 2**17
"""Pixels; a tile of Sentinel-2 has 10 980, and a mosaic of a hundred of them this many."""

LONGEST_SIDES = {"JP2OpenJPEG": 2**15}
"""Limits by driver: the JPEG 2000 decoder allocates memory for a whole tile, and a file may be one tile."""

MOST_BLOCKS = 2**18
"""Blocks of one file; those of a tile of 10980 pixels are 121 of 1024, or 1849 of 256."""

LARGEST_BLOCK = 2**28
"""Bytes of one block once inflated; a whole tile in one piece is a little less."""

FINEST, COARSEST = 1.0, 1000.0
"""Smallest and largest pixel size of a scene, metres."""

FARTHEST = 1e9
"""Largest coordinate of a file's corner in the units of its CRS; the earth's circumference is 4e7 metres."""

LINKS = ("overviews", "proxyoverviewrequest")
"""Metadata domains that make GDAL open another file, of any format and anywhere, as soon as it looks for overviews."""

UNSIGNED = ("uint8", "uint16")
"""Types of pictures."""

REFLECTANCE_DTYPES = ("uint16", "int16")
"""Types of digital numbers of reflectance."""

DTYPES = ("uint8", *REFLECTANCE_DTYPES)
"""Types of digital numbers and classes."""


def find_header_fault(
    shape: tuple[int, int],
    block: tuple[int, int],
    dtypes: Iterable[str],
    transform: Affine,
    *,
    is_metric: bool = True,
    driver: str = "GTiff",
    finest: float = FINEST,
) -> str:
    """Return why a file with this header cannot be a band of a scene; '' where it can."""
    longest = LONGEST_SIDES.get(driver, LONGEST_SIDE)
    if fault := _find_bad_size(shape, block, longest):
        return fault
    kinds = list(dtypes)
    if len(kinds) != 1:
        return f"it has {len(kinds)} bands, and a file of a scene has one"
    if kinds[0] not in DTYPES:
        return f"its numbers are of type {kinds[0]}, and those of a scene of {', '.join(DTYPES[:-1])} or {DTYPES[-1]}"
    return _find_bad_position(transform, is_metric, finest)


def _find_bad_size(shape: tuple[int, int], block: tuple[int, int], longest: int) -> str:
    if min(*shape, *block) < 1:
        return "it has no pixels"
    if max(shape) > longest:
        return f"it claims {shape[0]} x {shape[1]} pixels, more than any scene"
    if block[0] * block[1] * 2 > LARGEST_BLOCK:
        return f"it claims blocks of {block[0]} x {block[1]} pixels, larger than a whole tile"
    blocks = math.prod(-(-side // part) for side, part in zip(shape, block, strict=True))
    return f"it claims {blocks} blocks, more than {MOST_BLOCKS}" if blocks > MOST_BLOCKS else ""


def _find_bad_position(transform: Affine, is_metric: bool, finest: float) -> str:
    if not all(map(math.isfinite, transform[:6])):
        return "its place on earth is no number"
    if max(abs(transform.c), abs(transform.f)) > FARTHEST:
        return "its place is not on earth"
    sides = math.hypot(transform.a, transform.d), math.hypot(transform.b, transform.e)
    if not is_metric:
        return "" if min(sides) > 0 and transform.determinant else "its pixels have no size"
    if not all(finest <= side <= COARSEST for side in sides) or abs(transform.determinant) < finest**2 / 2:
        return f"its pixels have {sides[0]:g} x {sides[1]:g} metres, as no scene has"
    return ""


def find_external_file(namespaces: Iterable[str]) -> str:
    """Return which metadata domain names another file; '' where none does."""
    return next((f"its metadata name another file ({name})" for name in namespaces if name.lower() in LINKS), "")
