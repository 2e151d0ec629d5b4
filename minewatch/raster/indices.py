"""The layers that detection uses: indices and single bands, encoded in one byte per pixel.

A layer has bands, a formula and a range of 254 steps, which are finer than the noise of the index (NDVI: 0.008 per step,
an error of 0.002 r.m.s. against a noise of 0.02 to 0.05 between looks).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import njit
from minewatch.core.units import NODATA, SCALE

RUN = 4096
"""Pixels computed at a time, so that they stay in the core's cache for all layers."""

EMPTY = 0
"""The code of a pixel without data."""

Number = np.floating[Any]

WHOLE_BANDS = ("blue", "red", "nir", "swir16")
"""Input of the layers, in the order of the formulas' arguments."""


@dataclass(frozen=True)
class IndexLayer:
    """A quantity that is archived for every look."""

    name: str
    """Name in the archive's files."""

    bands: tuple[str, ...]
    """Its bands, by common names."""

    low: float
    """Value of code 1; lower values are clipped to it."""

    high: float
    """Value of code 255; higher values are clipped to it."""

    formula: Callable[[Number, Number, Number, Number], Number]
    """Value of a pixel from its reflectance x 10 000 in WHOLE_BANDS; compiled."""

    description: str
    """Text in the archive's rasters; nothing depends on it."""

    @property
    def step(self) -> float:
        """Difference of values between two codes."""
        return (self.high - self.low) / 254

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Return the values x 10 000 as int16, -32768 = no data, in the shape of ``codes``."""
        table = np.rint((self.low + (np.arange(256) - 1) * self.step) * SCALE).astype(np.int16)
        table[EMPTY] = NODATA
        values: NDArray[np.int16] = table[codes]
        return values


@njit(nogil=True, cache=True, error_model="numpy")
def _ndvi(_blue: Number, red: Number, nir: Number, _swir: Number) -> Number:
    return (nir - red) / (nir + red)


@njit(nogil=True, cache=True, error_model="numpy")
def _bsi(blue: Number, red: Number, nir: Number, swir: Number) -> Number:
    return ((swir + red) - (nir + blue)) / ((swir + red) + (nir + blue))


@njit(nogil=True, cache=True)
def _blue(blue: Number, _red: Number, _nir: Number, _swir: Number) -> Number:
    return blue * np.float32(1 / SCALE)


@njit(nogil=True, cache=True)
def _nir(_blue: Number, _red: Number, nir: Number, _swir: Number) -> Number:
    return nir * np.float32(1 / SCALE)


NDVI = IndexLayer("ndvi", ("red", "nir"), -1, 1, _ndvi, "NDVI = (nir - red) / (nir + red), Rouse et al. 1974")
BSI = IndexLayer(
    "bsi",
    WHOLE_BANDS,
    -1,
    1,
    _bsi,
    "bare soil index = ((swir16 + red) - (nir + blue)) / ((swir16 + red) + (nir + blue)), Rikimaru et al. 2002",
)
BLUE = IndexLayer("blue", ("blue",), 0, 0.508, _blue, "reflectance of the blue band")

NIR = IndexLayer("nir", ("nir",), 0, 0.762, _nir, "reflectance of the near infrared band")

LAYERS: tuple[IndexLayer, ...] = (NDVI, BSI, BLUE, NIR)
"""Archived layers, in the order of an observation's bands after SCL."""

_RANGES = np.array([(layer.low, layer.high, 1 / layer.step) for layer in LAYERS], np.float32)


def encode_layers(bands: Mapping[str, NDArray[np.int16]]) -> NDArray[np.uint8]:
    """Return the layers of (y, x) int16 reflectance in WHOLE_BANDS: (layer, y, x) codes 1 to 255, 0 = a band has no data."""
    whole = [np.ascontiguousarray(bands[name]) for name in WHOLE_BANDS]
    codes = np.empty((len(LAYERS), *whole[0].shape), np.uint8)
    blue, red, nir, swir = (band.ravel() for band in whole)
    _encode(blue, red, nir, swir, _RANGES, codes.reshape(len(LAYERS), blue.size))
    return codes


@njit(nogil=True, cache=True, error_model="numpy")
def _encode(
    blue: NDArray[np.int16],
    red: NDArray[np.int16],
    nir: NDArray[np.int16],
    swir: NDArray[np.int16],
    ranges: NDArray[np.float32],
    codes: NDArray[np.uint8],
) -> None:
    values = np.empty((len(ranges), RUN), np.float32)
    for first in range(0, blue.size, RUN):
        run = slice(first, min(first + RUN, blue.size))
        b, r, n, s = blue[run], red[run], nir[run], swir[run]
        ndvi, bsi, bluish, bright = values[0], values[1], values[2], values[3]
        for i in range(b.size):
            ndvi[i] = _ndvi(np.float32(b[i]), np.float32(r[i]), np.float32(n[i]), np.float32(s[i]))
        for i in range(b.size):
            bsi[i] = _bsi(np.float32(b[i]), np.float32(r[i]), np.float32(n[i]), np.float32(s[i]))
        for i in range(b.size):
            bluish[i] = _blue(np.float32(b[i]), np.float32(r[i]), np.float32(n[i]), np.float32(s[i]))
        for i in range(b.size):
            bright[i] = _nir(np.float32(b[i]), np.float32(r[i]), np.float32(n[i]), np.float32(s[i]))
        for layer in range(len(ranges)):
            _cut(values[layer], ranges[layer, 0], ranges[layer, 1], ranges[layer, 2], codes[layer, run])
        for layer in range(len(ranges)):
            code = codes[layer, run]
            for i in range(b.size):
                whole = (b[i] != NODATA) & (r[i] != NODATA) & (n[i] != NODATA) & (s[i] != NODATA)
                code[i] = code[i] if whole else np.uint8(EMPTY)


@njit(nogil=True, cache=True)
def _cut(values: NDArray[np.float32], low: Number, high: Number, steps: Number, codes: NDArray[np.uint8]) -> None:
    """Write the codes of values; 0 / 0, where every band is 0 over water or in deep shadow, counts as 0."""
    nothing = np.float32(0)
    for i in range(codes.size):
        value = values[i]
        value = value if value == value else nothing  # noqa: PLR0124 - only NaN differs from itself
        value = min(max(value, low), high)
        codes[i] = np.uint8(np.int32(np.rint((value - low) * steps)) + np.int32(1))
