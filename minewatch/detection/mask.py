"""Clear or not: decided from SCL as archived, so that a pipeline can decide otherwise without fetching anew.

SCL often takes bright tailings for cloud.  A cloud fills much of its surroundings and has a hazy margin; a bright patch of
ground does neither, so only clouds of some size get a margin.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from minewatch.areas.grid import PIXEL
from minewatch.core.compilation import njit, subroutine
from minewatch.settings.pipeline import MaskSettings
from minewatch.settings.scl import CLOUD_CLASSES

LAST_CLASS = np.uint8(15)
"""Classes fit into four bits."""


def find_clear(scl: NDArray[np.uint8], settings: MaskSettings, pixel: int = PIXEL) -> NDArray[np.bool_]:
    """Return which pixels, of ``pixel`` metres, are clear: (time, y, x) bool from (time, y, x) uint8 SCL codes.

    A pixel is clear where its class is kept and no cloud of some size lies within the margin.
    """
    kept, cloud = (np.int32(sum(1 << code for code in classes)) for classes in (settings.clear_classes, CLOUD_CLASSES))
    reach, margin = settings.cloud_window // pixel, settings.cloud_margin // pixel
    room = max(reach, margin)
    enough = math.ceil(settings.cloud_share * (2 * reach + 1) ** 2)
    clear = np.empty(scl.shape, bool)
    width = scl.shape[2]
    scratch = np.empty(scl.shape[1:], np.uint8), np.empty(scl.shape[1:], np.int32), np.empty((2, width + 2 * room + 2), np.int32)
    for codes, is_clear in zip(scl, clear, strict=True):
        _find_clear(np.ascontiguousarray(codes), kept, cloud, reach, enough, margin, *scratch, is_clear)
    return clear


def margin_pixels(settings: MaskSettings, pixel: int = PIXEL) -> int:
    """Return the distance, in pixels, within which other pixels influence whether one is clear."""
    return settings.cloud_window // pixel + settings.cloud_margin // pixel


@njit(nogil=True, cache=True, _nrt=False)
def _find_clear(
    codes: NDArray[np.uint8],
    kept: np.int32,
    cloud: np.int32,
    reach: int,
    enough: int,
    margin: int,
    clouds: NDArray[np.uint8],
    around: NDArray[np.int32],
    lines: NDArray[np.int32],
    clear: NDArray[np.bool_],
) -> None:
    """Fill ``clear`` (y, x) from the codes of one scene; ``kept`` and ``cloud`` are sets of classes, one bit for each.

    Overwritten are ``clouds`` and ``around`` (y, x), and ``lines`` (2, x and twice the larger distance + 2).
    """
    height, width = codes.shape
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
    _count_around(clouds, reach, lines[0], lines[1], around)
    for y in range(height):
        flag, count = clouds[y], around[y]
        for x in range(width):
            flag[x] &= np.uint8(count[x] >= enough)
    _count_around(clouds, margin, lines[0], lines[1], around)
    for y in range(height):
        is_clear, count = clear[y], around[y]
        for x in range(width):
            is_clear[x] &= count[x] == 0


@subroutine
def _count_around(
    flags: NDArray[np.uint8], reach: int, column: NDArray[np.int32], running: NDArray[np.int32], counted: NDArray[np.int32]
) -> None:
    """Count the set pixels in the square around each pixel: (y, x); pixels outside the array count as unset.

    ``column`` and ``running``, at least as long as a line and twice the distance + 2, are overwritten.
    """
    height, width = flags.shape
    _clear(column)
    _clear(running)
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


@subroutine
def _clear(line: NDArray[np.int32]) -> None:
    for x in range(line.size):
        line[x] = 0
