"""Clear or not: decided from SCL after the archive, so that detection can doubt SCL.

Bright tailings are often taken for cloud.  A cloud fills much of its surroundings and has a hazy margin; a bright patch of
ground called cloud does neither, so only clouds of some size get a margin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minewatch.grid import PIXEL
from minewatch.pipeline import Mask

CLOUD_CLASSES = (8, 9, 10)
"""SCL: cloud of medium and high probability, thin cirrus."""


def find_clear(scl: NDArray[np.uint8], settings: Mask) -> NDArray[np.bool_]:
    """Tell which pixels are clear: (time, y, x) bool from (time, y, x) uint8 SCL codes.

    A pixel is clear where its class is kept and no cloud of some size lies within the margin.
    """
    cloud = np.isin(scl, CLOUD_CLASSES)
    reach = settings.cloud_window // PIXEL
    enough = settings.cloud_share * (2 * reach + 1) ** 2
    large = cloud & (count_around(cloud, reach) >= enough)
    near = count_around(large, settings.cloud_margin // PIXEL) > 0
    return np.isin(scl, settings.clear_classes) & ~near


def margin_pixels(settings: Mask) -> int:
    """Give how far, in pixels, what lies around a pixel decides on it."""
    return settings.cloud_window // PIXEL + settings.cloud_margin // PIXEL


def count_around(flags: NDArray[np.bool_], reach: int) -> NDArray[np.int32]:
    """Count the set pixels in the square around each pixel: exact, (time, y, x); outside the array counts as unset."""
    side = 2 * reach + 1
    total = np.pad(flags.astype(np.int32), ((0, 0), (reach + 1, reach), (reach + 1, reach)))
    total = total.cumsum(axis=1, dtype=np.int32).cumsum(axis=2, dtype=np.int32)
    counted: NDArray[np.int32] = (
        total[:, side:, side:] - total[:, :-side, side:] - total[:, side:, :-side] + total[:, :-side, :-side]
    )
    return counted
