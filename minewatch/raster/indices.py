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

RUN = 1024
"""Pixels computed at a time, so that they stay in the core's first cache for all layers."""

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
    # One short loop for each step, without branches and with nothing but scalars and rows, is done for many pixels at a time.
    b, r = np.empty(RUN, np.float32), np.empty(RUN, np.float32)
    n, s = np.empty(RUN, np.float32), np.empty(RUN, np.float32)
    whole = np.empty(RUN, np.uint8)
    low_0, high_0, steps_0 = ranges[0]
    low_1, high_1, steps_1 = ranges[1]
    low_2, high_2, steps_2 = ranges[2]
    low_3, high_3, steps_3 = ranges[3]
    for first in range(0, blue.size, RUN):
        run = slice(first, min(first + RUN, blue.size))
        blues, reds, nirs, swirs, out = blue[run], red[run], nir[run], swir[run], codes[:, run]
        ndvi, bsi, bluish, bright = out[0], out[1], out[2], out[3]
        for i in range(blues.size):
            b[i], r[i], n[i], s[i] = blues[i], reds[i], nirs[i], swirs[i]
        for i in range(blues.size):
            missing = (blues[i] == NODATA) | (reds[i] == NODATA) | (nirs[i] == NODATA) | (swirs[i] == NODATA)
            whole[i] = np.uint8(0) if missing else np.uint8(255)
        for i in range(blues.size):
            ndvi[i] = whole[i] & _cut(_ndvi(b[i], r[i], n[i], s[i]), low_0, high_0, steps_0)
        for i in range(blues.size):
            bsi[i] = whole[i] & _cut(_bsi(b[i], r[i], n[i], s[i]), low_1, high_1, steps_1)
        for i in range(blues.size):
            bluish[i] = whole[i] & _cut(_blue(b[i], r[i], n[i], s[i]), low_2, high_2, steps_2)
        for i in range(blues.size):
            bright[i] = whole[i] & _cut(_nir(b[i], r[i], n[i], s[i]), low_3, high_3, steps_3)


@njit(nogil=True, cache=True)
def _cut(value: Number, low: Number, high: Number, steps: Number) -> np.uint8:
    """Return the code of a value; 0 / 0, where every band is 0 over water or in deep shadow, counts as 0."""
    value = value if value == value else np.float32(0)  # noqa: PLR0124 - only NaN differs from itself
    value = min(max(value, low), high)
    return np.uint8(np.int32(np.rint((value - low) * steps)) + np.int32(1))
