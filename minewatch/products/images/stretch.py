"""The stretch from values to brightness on a screen: which value is black, which is white, and the gamma between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DARKEST, BRIGHTEST = 0.02, 98.0
"""Reflectance that is black, and the percentile, of everything that is shown together, that is white."""

LEAST_RANGE = 0.05
"""Least difference of reflectance between black and white."""

GAMMA = 1.4
"""Brightens dark forest."""

UNKNOWN = 128
"""The grey of a pixel without data."""


def find_white(values: NDArray[Any], scale: float = 1, dark: float = DARKEST) -> float:
    """Return the reflectance that is white, from values of reflectance x ``scale``, which are reordered; 1 without values."""
    if not values.size:
        return 1.0
    return max(float(np.percentile(values, BRIGHTEST, overwrite_input=True)) / scale, dark + LEAST_RANGE)


def apply_stretch(values: NDArray[np.floating[Any]], dark: float, white: float, gamma: float = GAMMA) -> NDArray[np.uint8]:
    """Return 0 (black) to 255 (white) for values."""
    shades: NDArray[np.uint8] = np.rint(255 * np.clip((values - dark) / (white - dark), 0, 1) ** (1 / gamma)).astype(np.uint8)
    return shades
