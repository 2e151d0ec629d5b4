"""From values to the tones of a screen: what is black, what is white, and how what lies between is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DARKEST, BRIGHTEST = 0.02, 98.0
"""Reflectance that is black, and the percentile of all that is shown together that is white."""

LEAST_RANGE = 0.05
"""Reflectance between black and white at least."""

GAMMA = 1.4
"""Lifts the dark tones of forest."""

UNKNOWN = 128
"""The grey of a pixel without data."""


def find_white(values: NDArray[Any], scale: float = 1, dark: float = DARKEST) -> float:
    """Return the reflectance that is white, from reflectance x ``scale``, whose order is lost; 1 where there is none."""
    if not values.size:
        return 1.0
    return max(float(np.percentile(values, BRIGHTEST, overwrite_input=True)) / scale, dark + LEAST_RANGE)


def to_tones(values: NDArray[np.floating[Any]], dark: float, white: float, gamma: float = GAMMA) -> NDArray[np.uint8]:
    """Map values from black to white to 0 to 255."""
    tones: NDArray[np.uint8] = np.rint(255 * np.clip((values - dark) / (white - dark), 0, 1) ** (1 / gamma)).astype(np.uint8)
    return tones
