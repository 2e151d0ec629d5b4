"""Least squares for a batch of pixels at once, so that one SIMD instruction works on many of them.

Loops over terms and steps end where an array does: one that ends at a number is written out by the compiler, which takes long
and helps little.  The result of a pixel depends on that pixel alone, and so not on the tile size: sums over looks that pixels
share are integers, all others are added in the order of the looks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import subroutine
from minewatch.detection.harmonics import PAIRS, UNIT

BATCH = 256
"""Pixels in a batch: their looks fit into a core's cache."""

STEPS = np.array([128, 64, 32, 16, 8, 4, 2, 1], np.uint8)
"""Of a bisection of codes."""

WIDE = 32
"""Pairs, rounded up to what instructions work on at a time."""

RIDGE = 0.15
"""Penalty of the second harmonic, in looks; that of the third is twice as large.  It keeps the curve from swinging in seasons
without looks."""

Floats32 = NDArray[np.float32]
Codes = NDArray[np.uint8]
Counts = NDArray[np.int32]


def pad_products(products: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return products of terms (time, pair), and their negatives, with pairs of 0 up to WIDE: (2, time, WIDE)."""
    padded = np.zeros((2, len(products), WIDE), np.int32)
    padded[0, :, :PAIRS], padded[1, :, :PAIRS] = products, -products
    return padded


@subroutine
def count_up_to(values: Codes, limit: Codes, few: Codes, count: Counts, n: int) -> None:
    """Count, for each pixel, the values that are not above its limit; ``few`` (pixel,) is overwritten."""
    for i in range(n):
        count[i] = 0
    for first in range(0, values.shape[0], 255):
        # Counts of 255 looks fit into a byte, so that an instruction works on as many pixels as possible.
        for i in range(n):
            few[i] = 0
        for t in range(first, min(first + 255, values.shape[0])):
            row = values[t]
            for i in range(n):
                few[i] += np.uint8(row[i] <= limit[i])
        for i in range(n):
            count[i] += few[i]


@subroutine
def select_rank(
    values: Codes, rank: Counts, steps: Codes, limit: Codes, few: Codes, below: Counts, selected: Counts, n: int
) -> None:
    """Find the value of a rank (0 = the smallest) of each pixel by bisection; values of 255 do not count.

    ``steps`` are STEPS; ``limit``, ``few`` and ``below`` (pixel,) are overwritten.
    """
    for i in range(n):
        selected[i] = 0
    for k in range(steps.size):
        step = np.int32(steps[k])
        for i in range(n):
            limit[i] = selected[i] + (step - 1)
        count_up_to(values, limit, few, below, n)
        for i in range(n):
            selected[i] += step if below[i] <= rank[i] else 0


@subroutine
def sum_products(
    kept: Codes,
    products: NDArray[np.int32],
    common: Counts,
    own: NDArray[np.int32],
    odd: Codes,
    eights: NDArray[np.uint64],
    n: int,
) -> None:
    """Sum the products of the looks that are kept: ``common`` (pair,) of most pixels, ``own`` (pixel, pair) what one has more.

    ``products`` (2, time, pair) are those of each look, and their negatives, see :func:`pad_products`; ``odd`` (pixel,) and
    ``eights``, the same bytes, are overwritten.
    """
    for k in range(common.size):
        common[k] = 0
    for i in range(n):
        change = own[i]
        for k in range(change.size):
            change[k] = 0
    for t in range(kept.shape[0]):
        row, product, total = kept[t], products[0, t], 0
        for i in range(n):
            total += row[i]
        # Most pixels of a batch see the same; the odd ones are few.
        is_common = np.uint8(2 * total > n)
        if is_common:
            for k in range(common.size):
                common[k] += product[k]
        if 0 < total < n:
            for i in range(n):
                odd[i] = row[i] ^ is_common
            add_products(odd, eights, products[is_common, t], own)


@subroutine
def add_products(chosen: Codes, eights: NDArray[np.uint64], product: NDArray[np.int32], own: NDArray[np.int32]) -> None:
    """Add the products of a look to those of the ``chosen`` (pixel,) pixels; ``eights`` are the same bytes."""
    for eight in range(eights.size):
        if eights[eight] != 0:
            for i in range(8 * eight, 8 * eight + 8):
                if chosen[i] != 0:
                    change = own[i]
                    for k in range(change.size):
                        change[k] += product[k]


@subroutine
def make_normal_matrix(common: Counts, own: NDArray[np.int32], size: Counts, factor: Floats32, most: int, n: int) -> None:
    """Make the normal matrix, (pair, pixel), from sums of products; terms beyond a pixel's ``size`` get a row of the identity."""
    unit = np.float32(1 / UNIT)
    for i in range(most):
        penalty = np.float32(1e-6 + RIDGE * max(0, (i + 1) // 2 - 1))
        for j in range(i + 1):
            pair = i * (i + 1) // 2 + j
            row, shared = factor[pair], common[pair]
            for pixel in range(n):
                row[pixel] = np.float32(shared + own[pixel, pair]) * unit
            left = np.float32(0)
            if i == j:
                left = np.float32(1)
                for pixel in range(n):
                    row[pixel] += penalty
            for pixel in range(n):
                row[pixel] = row[pixel] if i < size[pixel] else left


@subroutine
def factorise(factor: Floats32, scaled: Floats32, most: int, n: int) -> None:
    """Factorise a normal matrix in place into L D L', (pair, pixel): below the diagonal L, on it 1 / D.

    ``scaled`` (pixel,) is overwritten.
    """
    for j in range(most):
        diagonal = factor[j * (j + 1) // 2 + j]
        for pixel in range(n):
            diagonal[pixel] = np.float32(1) / max(diagonal[pixel], np.float32(1e-6))
        for i in range(j + 1, most):
            column = factor[i * (i + 1) // 2 + j]
            for pixel in range(n):
                scaled[pixel] = column[pixel]
                column[pixel] *= diagonal[pixel]
            # Reduce the rest of this row; the rows above hold their part of L already.
            for k in range(j + 1, i + 1):
                _subtract_product(factor[i * (i + 1) // 2 + k], scaled, factor[k * (k + 1) // 2 + j], n)


@subroutine
def sum_values(
    codes: Codes, first: int, begin: int, kept: Codes, rows: Floats32, values: Floats32, right: Floats32, n: int
) -> None:
    """Sum values times terms over the looks that are kept: (term, pixel); values are codes less 128.

    ``codes`` (time, pixel) are those of all looks and pixels, which begin at ``first`` and ``begin``; ``values`` (4, pixel) is
    overwritten.
    """
    half, last = np.float32(128), kept.shape[0] - 1
    for k in range(right.shape[0]):
        total = right[k]
        for i in range(n):
            total[i] = 0
    a, b, c, d = values[0], values[1], values[2], values[3]
    # Four looks at a time, so that sums are loaded and stored less often; the order of addition stays the same.
    for t in range(0, kept.shape[0], 4):
        for after in range(values.shape[0]):
            look, there = min(t + after, last), np.float32(t + after <= last)
            code, keep, value = codes[first + look, begin : begin + n], kept[look], values[after]
            for i in range(n):
                value[i] = (np.float32(code[i]) - half) * (there * np.float32(keep[i]))
        second, third, fourth = min(t + 1, last), min(t + 2, last), min(t + 3, last)
        for k in range(right.shape[0]):
            total, w, x, y, z = right[k], rows[t, k], rows[second, k], rows[third, k], rows[fourth, k]
            for i in range(n):
                total[i] = (((total[i] + a[i] * w) + b[i] * x) + c[i] * y) + d[i] * z


@subroutine
def substitute(factor: Floats32, right: Floats32, size: Counts, curve: Floats32, most: int, n: int) -> None:
    """Solve L D L' curve = right; terms beyond a pixel's ``size`` are 0."""
    for i in range(curve.shape[0]):
        row, product_sums = curve[i], right[i]
        for pixel in range(n):
            row[pixel] = product_sums[pixel] if i < size[pixel] else np.float32(0)
    for i in range(most):
        for k in range(i):
            _subtract_product(curve[i], factor[i * (i + 1) // 2 + k], curve[k], n)
    for i in range(most):
        row, diagonal = curve[i], factor[i * (i + 1) // 2 + i]
        for pixel in range(n):
            row[pixel] *= diagonal[pixel]
    for i in range(most - 1, -1, -1):
        for k in range(i + 1, most):
            _subtract_product(curve[i], factor[k * (k + 1) // 2 + i], curve[k], n)


@subroutine
def _subtract_product(row: Floats32, part: Floats32, known: Floats32, n: int) -> None:
    for pixel in range(n):
        row[pixel] -= part[pixel] * known[pixel]


@subroutine
def evaluate_curves(curve: Floats32, row: Floats32, value: Floats32, n: int) -> None:
    """Evaluate the curves on the day whose terms are ``row``: (pixel,)."""
    a, b, c, d, e, f, g = curve[0], curve[1], curve[2], curve[3], curve[4], curve[5], curve[6]
    p, q, r, s, t, u = row[1], row[2], row[3], row[4], row[5], row[6]
    for i in range(n):
        value[i] = a[i] + (b[i] * p + c[i] * q) + (d[i] * r + e[i] * s) + (f[i] * t + g[i] * u)
