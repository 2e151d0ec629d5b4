"""The files of an image: a GeoTIFF for maps, and a picture with what is drawn over it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minewatch.areas.grid import Grid
from minewatch.products.images.cartography import draw_page
from minewatch.products.images.overlay import Overlay
from minewatch.raster.cog import write_picture

PNG, TIFF = "png", "tif"
FORMATS = (PNG, TIFF)


@dataclass(frozen=True)
class RenderedImage:
    """An image in the tones of a screen, and what is told of it."""

    stem: str
    """Name of its files, without the ending."""

    grid: Grid
    """Where the pixels lie."""

    colours: NDArray[np.uint8]
    """(y, x, 3) red, green, blue."""

    known: NDArray[np.bool_]
    """(y, x) pixels with data."""

    tags: Mapping[str, str]
    """What the GeoTIFF says of itself."""

    title: str
    """Of the picture."""

    lines: Sequence[str]
    """In small letters below it."""

    credit: str
    """What the licence of the data asks for."""


def write_files(folder: Path, formats: Collection[str], plate: RenderedImage, overlay: Overlay) -> dict[str, Path]:
    """Write the files that are asked for; gives format to file."""
    files = {kind: folder / f"{plate.stem}.{kind}" for kind in FORMATS if kind in formats}
    if TIFF in files:
        write_picture(files[TIFF], plate.grid, plate.colours, plate.known, plate.tags)
    if PNG in files:
        entries = overlay.list_entries()
        draw_page(files[PNG], plate.grid, plate.colours, overlay.draw, plate.title, plate.lines, plate.credit, entries)
    return files
