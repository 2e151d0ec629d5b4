"""What detection looks at: indices and single bands, and how they are kept in one byte a pixel.

A layer declares its bands, its formula and its range; the range is cut into 254 steps, which is finer than the noise
of the index (NDVI: 0.008 a step, an error of 0.002 r.m.s. against a noise of 0.02 to 0.05 from look to look).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.units import NODATA, SCALE

EMPTY = 0
"""The code of a pixel without data."""

Bands = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Layer:
    """A quantity that is archived for every look."""

    name: str
    """As it stands in the archive's files."""

    bands: tuple[str, ...]
    """What it is made from, by common names."""

    low: float
    """Value of code 1; lower values are cut off there."""

    high: float
    """Value of code 255; higher values are cut off there."""

    formula: Callable[[Bands], NDArray[np.float32]]
    """From reflectance x 10 000 (y, x) float32 to the value."""

    description: str
    """In words, for the archive's items."""

    @property
    def step(self) -> float:
        """The value of one code."""
        return (self.high - self.low) / 254

    def encode(self, bands: Mapping[str, NDArray[np.int16]]) -> NDArray[np.uint8]:
        """Compute the layer from (y, x) int16 reflectance: codes 1 to 255, 0 where a band has no data."""
        valid = np.logical_and.reduce([bands[name] != NODATA for name in self.bands])
        with np.errstate(divide="ignore", invalid="ignore"):
            value = self.formula({name: bands[name].astype(np.float32) for name in self.bands})
        # 0 / 0 happens over water and deep shadow, where every band is 0: neither green nor bare.
        value = np.nan_to_num(value, nan=0.0)
        code = np.rint((np.clip(value, self.low, self.high) - self.low) / self.step) + 1
        return np.where(valid, code, EMPTY).astype(np.uint8)

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Give the values x 10 000 as int16, -32768 = no data, in the shape of ``codes``."""
        table = np.rint((self.low + (np.arange(256) - 1) * self.step) * SCALE).astype(np.int16)
        table[EMPTY] = NODATA
        values: NDArray[np.int16] = table[codes]
        return values


def _ndvi(bands: Bands) -> NDArray[np.float32]:
    return np.asarray((bands["nir"] - bands["red"]) / (bands["nir"] + bands["red"]), np.float32)


def _bsi(bands: Bands) -> NDArray[np.float32]:
    bare, green = bands["swir16"] + bands["red"], bands["nir"] + bands["blue"]
    return np.asarray((bare - green) / (bare + green), np.float32)


def _blue(bands: Bands) -> NDArray[np.float32]:
    return np.asarray(bands["blue"] / SCALE, np.float32)


def _nir(bands: Bands) -> NDArray[np.float32]:
    return np.asarray(bands["nir"] / SCALE, np.float32)


NDVI = Layer("ndvi", ("red", "nir"), -1, 1, _ndvi, "NDVI = (nir - red) / (nir + red), Rouse et al. 1974")
BSI = Layer(
    "bsi",
    ("blue", "red", "nir", "swir16"),
    -1,
    1,
    _bsi,
    "bare soil index = ((swir16 + red) - (nir + blue)) / ((swir16 + red) + (nir + blue)), Rikimaru et al. 2002",
)
BLUE = Layer("blue", ("blue",), 0, 0.508, _blue, "reflectance of the blue band")

NIR = Layer("nir", ("nir",), 0, 0.762, _nir, "reflectance of the near infrared band")

LAYERS: tuple[Layer, ...] = (NDVI, BSI, BLUE, NIR)
"""What is archived, in the order of the bands of an observation after SCL."""
