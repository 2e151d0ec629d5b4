"""Clear or not: decided from SCL as archived, so that a pipeline can decide otherwise without fetching anew.

SCL often takes bright tailings for cloud.  A cloud fills much of its surroundings and has a hazy margin; a bright patch of
ground does neither, so only clouds of some size get a margin.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from minewatch.areas.grid import PIXEL
from minewatch.core.compilation import njit
from minewatch.settings.pipeline import MaskSettings
from minewatch.settings.scl import CLOUD_CLASSES

LAST_CLASS = np.uint8(15)
"""Classes fit into four bits."""


def find_clear(scl: NDArray[np.uint8], settings: MaskSettings, pixel: int = PIXEL) -> NDArray[np.bool_]:
    """Return which pixels, of ``pixel`` metres, are clear: (time, y, x) bool from (time, y, x) uint8 SCL codes.

    A pixel is clear where its class is kept and no cloud of some size lies within the margin.
    """
    kept, cloud = (np.int32(sum(1 << code for code in classes)) for classes in (settings.clear_classes, CLOUD_CLASSES))
    reach = settings.cloud_window // pixel
    enough = math.ceil(settings.cloud_share * (2 * reach + 1) ** 2)
    clear = np.empty(scl.shape, bool)
    for codes, is_clear in zip(scl, clear, strict=True):
        _find_clear(codes, kept, cloud, reach, enough, settings.cloud_margin // pixel, is_clear)
    return clear


def margin_pixels(settings: MaskSettings, pixel: int = PIXEL) -> int:
    """Return the distance, in pixels, within which other pixels influence whether one is clear."""
    return settings.cloud_window // pixel + settings.cloud_margin // pixel


@njit(nogil=True, cache=True)
def _find_clear(
    codes: NDArray[np.uint8],
    kept: np.int32,
    cloud: np.int32,
    reach: int,
    enough: int,
    margin: int,
    clear: NDArray[np.bool_],
) -> None:
    """Fill ``clear`` (y, x) from the codes of one scene; ``kept`` and ``cloud`` are sets of classes, one bit for each."""
    height, width = codes.shape
    clouds = np.empty(codes.shape, np.uint8)
    total = 0
    for y in range(height):
        code, flag, is_clear = codes[y], clouds[y], clear[y]
        for x in range(width):
            flag[x] = (cloud >> np.int32(code[x] & LAST_CLASS)) & 1
        for x in range(width):
            is_clear[x] = (kept >> np.int32(code[x] & LAST_CLASS)) & 1
        for x in range(width):
            total += flag[x]
    if total == 0:
        return
    around = _count_around(clouds, reach)
    for y in range(height):
        flag, count = clouds[y], around[y]
        for x in range(width):
            flag[x] &= np.uint8(count[x] >= enough)
    near = _count_around(clouds, margin)
    for y in range(height):
        is_clear, count = clear[y], near[y]
        for x in range(width):
            is_clear[x] &= count[x] == 0


@njit(nogil=True, cache=True)
def _count_around(flags: NDArray[np.uint8], reach: int) -> NDArray[np.int32]:
    """Count the set pixels in the square around each pixel: (y, x); pixels outside the array count as unset."""
    height, width = flags.shape
    counted = np.empty(flags.shape, np.int32)
    column, running = np.zeros(width, np.int32), np.zeros(width + 2 * reach + 2, np.int32)
    for y in range(-reach, height):
        if y + reach < height:
            entering = flags[y + reach]
            for x in range(width):
                column[x] += entering[x]
        if y - reach > 0:
            leaving = flags[y - reach - 1]
            for x in range(width):
                column[x] -= leaving[x]
        if y >= 0:
            total = 0
            for x in range(width):
                total += column[x]
                running[reach + 1 + x] = total
            for x in range(reach + 1):
                running[reach + 1 + width + x] = total
            row = counted[y]
            for x in range(width):
                row[x] = running[x + 2 * reach + 1] - running[x]
    return counted
