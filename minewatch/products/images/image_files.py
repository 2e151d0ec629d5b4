"""Writes the files of an image: a GeoTIFF for maps, and a PNG with overlays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from minewatch.areas.grid import Grid
from minewatch.products.images.map_page import draw_page
from minewatch.products.images.options import FORMATS, PNG, TIFF
from minewatch.products.images.overlay import Overlay
from minewatch.raster.cog import write_picture

T = TypeVar("T")


@dataclass(frozen=True)
class RenderedImage:
    """An image as red, green and blue, with the texts on it."""

    stem: str
    """Name of its files, without the ending."""

    grid: Grid
    """Where the pixels lie."""

    colours: NDArray[np.uint8]
    """(y, x, 3) red, green, blue."""

    known: NDArray[np.bool_]
    """(y, x) pixels with data."""

    tags: Mapping[str, str]
    """Metadata of the GeoTIFF."""

    title: str
    """Of the PNG."""

    lines: Sequence[str]
    """Below the title, in small letters."""

    credit: str
    """The credit that the licence of the data asks for."""


@dataclass(frozen=True)
class ImageResult(Generic[T]):
    """An image that was made."""

    target: str
    """Name of the area, or the alert's id as it is now."""

    image: T
    """Its pixels, and the scenes or the item that they are from."""

    files: Mapping[str, Path]
    """Format to file."""

    notes: tuple[str, ...]
    """Lines a person should read."""


def write_files(folder: Path, formats: Collection[str], image: RenderedImage, overlay: Overlay) -> dict[str, Path]:
    """Write the files of some formats; return format to file."""
    files = {kind: folder / f"{image.stem}.{kind}" for kind in FORMATS if kind in formats}
    if TIFF in files:
        write_picture(files[TIFF], image.grid, image.colours, image.known, image.tags)
    if PNG in files:
        entries = overlay.list_entries()
        draw_page(files[PNG], image.grid, image.colours, overlay.draw, image.title, image.lines, image.credit, entries)
    return files
