"""Compiled loops: TIFF predictor, upsampling, resampling, reflectance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import njit, subroutine
from minewatch.core.units import NODATA
from minewatch.settings.scl import CLASSES

CONTROL_SPACING = 32
"""Pixels between control points; interpolating between them is exact to a thousandth of a pixel in UTM."""

CLASS_END = len(CLASSES)
"""First number above the classes of SCL."""

ONE = np.uint64(1)
"""Keeps indices unsigned."""


def sum_rows(block: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Undo TIFF's predictor 2 (horizontal differences) in place: (y, x), C-contiguous."""
    whole = block.shape[1] * block.itemsize // 8 * 8 // block.itemsize
    if whole == block.shape[1]:
        _sum_words(block.view(np.uint64), np.uint64(8 * block.itemsize))
    else:
        np.cumsum(block, axis=1, dtype=block.dtype, out=block)


@njit(nogil=True, cache=True)
def _sum_words(words: NDArray[np.uint64], bits: np.uint64) -> None:
    """Sum the numbers of ``bits`` 8 or 16 in each row of words, modulo 2 to that power, several numbers at a time.

    The sums within each word come first, so that they are found for many words at a time; then what the words before add.
    """
    ones = np.uint64(0x0101010101010101) if bits == 8 else np.uint64(0x0001000100010001)
    high, last = ones << (bits - ONE), np.uint64(64) - bits
    low, half, number = ~high, np.uint64(32), ~np.uint64(0) >> last
    for row in range(words.shape[0]):
        line, before = words[row], np.uint64(0)
        for i in range(line.size):
            word = line[i]
            # A sum of bytes carries nothing into the next: without their highest bits, which are added apart.
            word = ((word & low) + (word << bits & low)) ^ ((word ^ word << bits) & high)
            shift = bits + bits
            word = ((word & low) + (word << shift & low)) ^ ((word ^ word << shift) & high)
            if bits == 8:
                word = ((word & low) + (word << half & low)) ^ ((word ^ word << half) & high)
            line[i] = word
        for i in range(line.size):
            word, added = line[i], before * ones
            before = (before + (word >> last)) & number
            line[i] = ((word & low) + (added & low)) ^ ((word ^ added) & high)


@njit(nogil=True, cache=True)
def upsample2(coarse: NDArray[np.uint16], row: int, column: int, out: NDArray[np.uint16]) -> None:
    """Fill ``out`` with each pixel of ``coarse`` twice in both directions, from fine ``row`` and ``column`` (0 or 1)."""
    height, width = out.shape
    for y in range(height):
        source = (row + y) // 2
        if y > 0 and source == (row + y - 1) // 2:
            for x in range(width):
                out[y, x] = out[y - 1, x]
            continue
        if column:
            out[y, 0] = coarse[source, 0]
        pairs = (width - column) // 2
        for pair in range(pairs):
            number = coarse[source, column + pair]
            out[y, column + 2 * pair] = number
            out[y, column + 2 * pair + 1] = number
        if column + 2 * pairs < width:
            out[y, width - 1] = coarse[source, column + pairs]


@njit(nogil=True, cache=True)
def write_reflectance(
    numbers: NDArray[np.uint16], origin: NDArray[np.int8], index: int, offset: int, is_first: bool, out: NDArray[np.int16]
) -> None:
    """Write reflectance x 10 000 where ``origin`` is ``index``: digital number + offset, clipped to 0 ... 32767; 0 = no data.

    Other pixels become no data if ``is_first``, else stay.
    """
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            number = np.int32(numbers[row, column])
            value = np.int16(min(max(number + np.int32(offset), np.int32(0)), np.int32(32767)))
            own = np.int16(NODATA) if number == 0 else value
            other = np.int16(NODATA) if is_first else out[row, column]
            out[row, column] = own if origin[row, column] == index else other


@njit(nogil=True, cache=True)
def fill_classes(part: NDArray[np.uint16], index: int, classes: NDArray[np.uint8], origin: NDArray[np.int8]) -> None:
    """Copy the classes of one scene, and its ``index`` as their origin, where no earlier scene has any."""
    for row in range(part.shape[0]):
        for column in range(part.shape[1]):
            code = part[row, column]
            is_new = classes[row, column] == 0 and 0 < code < CLASS_END
            classes[row, column] = np.uint8(code) if is_new else classes[row, column]
            origin[row, column] = np.int8(index) if is_new else origin[row, column]


@subroutine
def interpolate(points: NDArray[np.float64], row: int, column: int, line: NDArray[np.float64]) -> None:
    """Interpolate a line of pixels between control points; ``row`` and ``column`` count pixels from the first of them."""
    top, down = row // CONTROL_SPACING, (row % CONTROL_SPACING) / CONTROL_SPACING
    for left in range(column // CONTROL_SPACING, (column + len(line) - 1) // CONTROL_SPACING + 1):
        first = points[top, left] * (1 - down) + points[top + 1, left] * down
        second = points[top, left + 1] * (1 - down) + points[top + 1, left + 1] * down
        begin = left * CONTROL_SPACING - column
        for x in range(max(begin, 0), min(begin + CONTROL_SPACING, len(line))):
            right = (x - begin) / CONTROL_SPACING
            line[x] = first * (1 - right) + second * right


@njit(nogil=True, cache=True)
def resample_nearest(
    pixels: NDArray[np.uint16],
    columns: NDArray[np.float64],
    rows: NDArray[np.float64],
    start: tuple[int, int],
    out: NDArray[np.uint16],
) -> None:
    """Copy the source pixel in which the centre of each pixel of ``out`` lies; 0 outside.

    ``columns`` and ``rows`` are the positions of the control points in ``pixels`` (pixels, whole at corners); ``out`` begins
    ``start`` (row, column) after the first of them.
    """
    height, width = pixels.shape
    across, along = np.empty(out.shape[1]), np.empty(out.shape[1])
    for y in range(out.shape[0]):
        interpolate(columns, start[0] + y, start[1], across)
        interpolate(rows, start[0] + y, start[1], along)
        for x in range(out.shape[1]):
            # NaN is outside.
            if 0 <= across[x] < width and 0 <= along[x] < height:
                out[y, x] = pixels[int(along[x]), int(across[x])]
            else:
                out[y, x] = 0


@njit(nogil=True, cache=True)
def resample_bilinear(
    pixels: NDArray[np.uint16],
    columns: NDArray[np.float64],
    rows: NDArray[np.float64],
    start: tuple[int, int],
    radius: float,
    mixable: tuple[int, int],
    out: NDArray[np.uint16],
) -> None:
    """Interpolate between source pixels that are ``mixable``, lowest and highest; where the nearest is not, copy it.

    Arguments as for :func:`resample_nearest`; ``radius`` is that of the tent-shaped kernel in source pixels: 1, or the
    pixel size of the grid where that is coarser.
    """
    height, width = pixels.shape
    low, high = np.float64(mixable[0]), np.float64(mixable[1])
    across, along = np.empty(out.shape[1]), np.empty(out.shape[1])
    for y in range(out.shape[0]):
        interpolate(columns, start[0] + y, start[1], across)
        interpolate(rows, start[0] + y, start[1], along)
        for x in range(out.shape[1]):
            column, row = across[x] - 0.5, along[x] - 0.5
            if radius == 1 and 0 <= column < width - 1 and 0 <= row < height - 1:
                # Unsigned indices need no test for negative ones; this is five times as fast as ``average``.
                i, j = np.uint64(column), np.uint64(row)
                a, b = np.float64(pixels[j, i]), np.float64(pixels[j, i + ONE])
                c, d = np.float64(pixels[j + ONE, i]), np.float64(pixels[j + ONE, i + ONE])
                if min(a, b, c, d) >= low and max(a, b, c, d) <= high:
                    right, down = column - np.float64(i), row - np.float64(j)
                    upper, lower = a * (1 - right) + b * right, c * (1 - right) + d * right
                    out[y, x] = np.uint16(upper * (1 - down) + lower * down + 0.5)
                    continue
            nearest = np.uint16(0)
            if 0 <= across[x] < width and 0 <= along[x] < height:
                nearest = pixels[int(along[x]), int(across[x])]
            out[y, x] = average(pixels, column, row, radius, mixable) if mixable[0] <= nearest <= mixable[1] else nearest


@subroutine
def average(pixels: NDArray[np.uint16], column: float, row: float, radius: float, mixable: tuple[int, int]) -> int:
    """Return the mean of mixable pixels around a position (whole at pixel centres), weighted by nearness."""
    height, width = pixels.shape
    weights, total = 0.0, 0.0
    for j in range(max(0, int(np.ceil(row - radius))), min(height - 1, int(np.floor(row + radius))) + 1):
        down = 1 - abs(j - row) / radius
        for i in range(max(0, int(np.ceil(column - radius))), min(width - 1, int(np.floor(column + radius))) + 1):
            if mixable[0] <= pixels[j, i] <= mixable[1]:
                weight = down * (1 - abs(i - column) / radius)
                weights += weight
                total += weight * pixels[j, i]
    return int(total / weights + 0.5)
