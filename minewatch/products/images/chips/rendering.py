"""Renders image chips: reflectance to red, green and blue for a screen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.core.units import NODATA, SCALE
from minewatch.products.images.chips.pixels import STRIP, Chip
from minewatch.products.images.options import TRUE_COLOUR
from minewatch.products.images.stretch import BRIGHTEST, DARKEST, UNKNOWN, apply_stretch, find_white

SAMPLE = 1_000_000
"""Pixels of one image that its stretch is computed from, at most."""


@dataclass(frozen=True)
class Stretch:
    """How reflectance becomes brightness; images that are compared share a stretch."""

    dark: tuple[float, ...]
    """Reflectance that is black, for each band."""

    white: tuple[float, ...]
    """Reflectance that is white, for each band."""


def find_stretch(chips: Sequence[Chip]) -> Stretch:
    """Return the common stretch of images of the same bands.

    In true colour all bands have the same limits, so that colours stay true; in other composites each band has its own.
    """
    samples = [_thin(chip) for chip in chips]
    columns = [np.concatenate([sample[:, index] for sample in samples]) for index in range(len(chips[0].bands))]
    if not columns[0].size:
        return Stretch((DARKEST,) * len(columns), (1.0,) * len(columns))
    if chips[0].name == TRUE_COLOUR:
        columns = [np.concatenate(columns)] * len(columns)
        dark = [DARKEST] * len(columns)
    else:
        dark = [float(np.percentile(column, 100 - BRIGHTEST)) / SCALE for column in columns]
    white = [find_white(column, SCALE, low) for column, low in zip(columns, dark, strict=True)]
    return Stretch(tuple(dark), tuple(white))


def _thin(chip: Chip) -> NDArray[np.int16]:
    """Return a sample of the pixels with data, (pixel, band): every n-th row and column of a large image, else all."""
    step = max(1, math.ceil(math.sqrt(math.prod(chip.frame.shape) / SAMPLE)))
    values = chip.values[::step, ::step]
    return np.asarray(values[(values != NODATA).all(axis=-1)])


def render_chip(chip: Chip, stretch: Stretch) -> NDArray[np.uint8]:
    """Return (y, x, 3) red, green, blue; no data is UNKNOWN grey, and a single band is in grey."""
    return render_reflectance(chip.values, stretch)


def render_reflectance(values: NDArray[np.int16], stretch: Stretch) -> NDArray[np.uint8]:
    """Return (y, x, 3) red, green, blue of (y, x, band) reflectance x 10 000, as render_chip does."""
    shown = np.empty((*values.shape[:2], 3), np.uint8)
    for first in range(0, len(shown), STRIP):
        _render_rows(values[first : first + STRIP], stretch, shown[first : first + STRIP])
    return shown


def _render_rows(values: NDArray[np.int16], stretch: Stretch, out: NDArray[np.uint8]) -> None:
    for index, (dark, white) in enumerate(zip(stretch.dark, stretch.white, strict=True)):
        shades = apply_stretch(values[..., index] / np.float32(SCALE), dark, white)
        if values.shape[-1] == 1:
            out[:] = shades[..., None]
        else:
            out[..., index] = shades
    out[(values == NODATA).any(axis=-1)] = UNKNOWN
