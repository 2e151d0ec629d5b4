"""Which digital numbers are reflectance: what is none is no data and unseen, whatever SCL says.

Providers write numbers that are no measurement and leave SCL as it is: 1 where a shift was clipped, numbers below the offset at
the edges of a swath, numbers near 65 000 where one was subtracted below zero, single bands that drop out.  Edges recur in the
same place with each overpass of an orbit, so they would be confirmed as change.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import njit
from minewatch.core.units import NODATA, SCALE

BLACK = 1
"""Reflectance x 10 000 up to which a pixel is at or below zero; Sen2Cor wrote 1 for that before baseline 04.00."""

BRIGHTEST = 2 * SCALE
"""Highest reflectance x 10 000; clouds and snow in low sun reach 1.5, saturated and wrapped numbers are higher."""

DARK_NIR = 1500
"""Near infrared up to which short-wave infrared may be black: over water, in shadow.  Under brighter ground it was lost."""

DIMMEST = SCALE // 4
"""Blue and red where a band reaches 1, at least: clouds, snow and glint are bright in all of them, and one alone is saturated."""

OFTEN_BLACK = ("blue", "green")
"""Bands that overcorrected haze makes black on good ground, so that black is a look there.

Measured on a Romanian forest under Sen2Cor's own SCL (1.4 million pixels): blue is at or below zero in up to 71 % of a good
scene; red in 0.003 % of vegetation, 0.4 % of dark areas, 0.03 % of shadow and 3.7 % of what is called water; near and
short-wave infrared never.
"""

SIGNED_FLOOR = -1000
"""In a signed file, numbers between this and 0 are black; at or below it they mean that there is none, as -9999 does."""


def find_mixable(band: str, offset: int) -> tuple[int, int]:
    """Return the lowest and highest digital numbers that are averaged with others when a band is resampled."""
    black = BLACK if offset else 0
    return (black if band in OFTEN_BLACK else BLACK - offset) + 1, BRIGHTEST - offset


def convert_signed(numbers: NDArray[np.generic], nodata: float | None) -> NDArray[np.uint16]:
    """Return digital numbers of a signed file as unsigned ones: 0 = no data, 1 where they are a little below zero."""
    signed = np.asarray(numbers, np.int32)
    below = (signed < 0) & (signed > SIGNED_FLOOR) & (signed != (SIGNED_FLOOR if nodata is None else nodata))
    return np.where(below, BLACK, np.maximum(signed, 0)).astype(np.uint16)


def find_measured(bands: Mapping[str, NDArray[np.int16]]) -> NDArray[np.bool_]:
    """Return where all bands have reflectance: (y, x) bool from (y, x) int16 x 10 000, not below 0, -32768 = no data."""
    blue, red, nir, swir = (np.ascontiguousarray(bands[name]) for name in ("blue", "red", "nir", "swir16"))
    measured = np.empty(red.shape, np.bool_)
    _find_measured(blue.ravel(), red.ravel(), nir.ravel(), swir.ravel(), measured.reshape(-1))
    return measured


@njit(nogil=True, cache=True)
def _find_measured(
    blue: NDArray[np.int16],
    red: NDArray[np.int16],
    nir: NDArray[np.int16],
    swir: NDArray[np.int16],
    measured: NDArray[np.bool_],
) -> None:
    for i in range(measured.size):  # without branches, so that it is done for many pixels at a time
        present = (blue[i] != NODATA) & (swir[i] != NODATA) & (red[i] > BLACK) & (nir[i] > BLACK)
        sound = (blue[i] <= BRIGHTEST) & (swir[i] <= BRIGHTEST) & (red[i] <= BRIGHTEST) & (nir[i] <= BRIGHTEST)
        dull = (blue[i] <= SCALE) & (red[i] <= SCALE) & (nir[i] <= SCALE)
        alike = dull | ((blue[i] >= DIMMEST) & (red[i] >= DIMMEST))
        measured[i] = present & sound & alike & ((swir[i] > BLACK) | (nir[i] <= DARK_NIR))
