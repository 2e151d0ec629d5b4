"""Clear or not: decided from SCL after the archive, so that detection can doubt SCL."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from minewatch.grid import PIXEL
from minewatch.pipeline import Mask

CLOUD_CLASSES = (3, 8, 9, 10)
"""SCL: cloud shadow, cloud of medium and high probability, thin cirrus; these are grown by the margin."""


def find_clear(scl: NDArray[np.uint8], settings: Mask) -> NDArray[np.bool_]:
    """Tell which pixels are clear: (time, y, x) bool from (time, y, x) uint8 SCL codes.

    A pixel is clear where its class is kept and no cloud or shadow lies within the margin.
    """
    clear = np.isin(scl, settings.clear_classes)
    radius = settings.cloud_margin / PIXEL
    if radius < 1:
        return clear
    near = _disk(radius)
    for index, codes in enumerate(scl):
        cloud = np.isin(codes, CLOUD_CLASSES)
        if cloud.any():
            clear[index] &= ~ndimage.binary_dilation(cloud, near)
    return clear


def margin_pixels(settings: Mask) -> int:
    """Give how far, in pixels, a cloud reaches beyond itself."""
    return int(settings.cloud_margin // PIXEL)


def _disk(radius: float) -> NDArray[np.bool_]:
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(y**2 + x**2 <= radius**2)
