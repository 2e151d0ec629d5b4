"""Least squares for a batch of pixels at once, so that one SIMD instruction works on many of them.

The result of a pixel depends on that pixel alone, and so not on the tile size: sums over looks that pixels share are integers,
all others are added in the order of the looks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import subroutine
from minewatch.detection.harmonics import PAIRS, TERMS, UNIT

BATCH = 256
"""Pixels in a batch: their looks fit into a core's cache."""

RIDGE = 0.15
"""Penalty of the second harmonic, in looks; that of the third is twice as large.  It keeps the curve from swinging in seasons
without looks."""

Floats32 = NDArray[np.float32]
Codes = NDArray[np.uint8]
Counts = NDArray[np.int32]


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
def select_rank(values: Codes, rank: Counts, limit: Codes, few: Codes, below: Counts, selected: Counts, n: int) -> None:
    """Find the value of a rank (0 = the smallest) of each pixel by bisection; values of 255 do not count.

    ``limit``, ``few`` and ``below`` (pixel,) are overwritten.
    """
    for i in range(n):
        selected[i] = 0
    step = 128
    while step > 0:
        for i in range(n):
            limit[i] = selected[i] + (step - 1)
        count_up_to(values, limit, few, below, n)
        for i in range(n):
            selected[i] += step if below[i] <= rank[i] else 0
        step //= 2


@subroutine
def sum_products(
    kept: Codes,
    products: NDArray[np.int32],
    common: NDArray[np.int32],
    mixed: NDArray[np.int32],
    correction: NDArray[np.int32],
    mask: NDArray[np.int32],
    n: int,
) -> None:
    """Sum the products of the looks: ``common`` of looks that all pixels keep, ``mixed`` of looks that some keep.

    ``correction`` becomes 0; ``mask`` (pixel,) is overwritten.
    """
    for k in range(PAIRS):
        common[k] = 0
        target = mixed[k]
        for i in range(n):
            target[i] = 0
    for i in range(n):
        change = correction[i]
        for k in range(PAIRS):
            change[k] = 0
    for t in range(kept.shape[0]):
        row, product, total = kept[t], products[t], 0
        for i in range(n):
            total += row[i]
        if total == n:
            for k in range(PAIRS):
                common[k] += product[k]
        elif total > 0:
            for i in range(n):
                mask[i] = -np.int32(row[i])
            for k in range(PAIRS):
                target, number = mixed[k], product[k]
                for i in range(n):
                    target[i] += number & mask[i]


@subroutine
def make_normal_matrix(
    common: Counts, mixed: NDArray[np.int32], correction: NDArray[np.int32], size: Counts, factor: Floats32, most: int, n: int
) -> None:
    """Make the normal matrix, (pair, pixel), from sums of products; terms beyond a pixel's ``size`` get a row of the identity."""
    unit = np.float32(1 / UNIT)
    for i in range(most):
        penalty = np.float32(1e-6 + RIDGE * max(0, (i + 1) // 2 - 1))
        for j in range(i + 1):
            pair = i * (i + 1) // 2 + j
            row, shared, some = factor[pair], common[pair], mixed[pair]
            for pixel in range(n):
                row[pixel] = np.float32(shared + some[pixel] + correction[pixel, pair]) * unit
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
                other, target = factor[k * (k + 1) // 2 + j], factor[i * (i + 1) // 2 + k]
                for pixel in range(n):
                    target[pixel] -= scaled[pixel] * other[pixel]


@subroutine
def sum_values(
    codes: Codes, first: int, begin: int, kept: Codes, rows: Floats32, one: Floats32, other: Floats32, right: Floats32, n: int
) -> None:
    """Sum values times terms over the looks that are kept: (term, pixel); values are codes less 128.

    ``codes`` (time, pixel) are those of all looks and pixels, which begin at ``first`` and ``begin``; ``one`` and ``other``
    (pixel,) are overwritten.
    """
    half = np.float32(128)
    for k in range(TERMS):
        total = right[k]
        for i in range(n):
            total[i] = 0
    # Two looks at a time, so that the sums are loaded and stored half as often; the order of addition stays the same.
    for t in range(0, kept.shape[0], 2):
        u = min(t + 1, kept.shape[0] - 1)
        code, keep = codes[first + t, begin : begin + n], kept[t]
        for i in range(n):
            one[i] = (np.float32(code[i]) - half) * np.float32(keep[i])
        code, keep = codes[first + u, begin : begin + n], kept[u]
        there = np.float32(u > t)
        for i in range(n):
            other[i] = (np.float32(code[i]) - half) * (there * np.float32(keep[i]))
        for k in range(TERMS):
            total, x, y = right[k], rows[t, k], rows[u, k]
            for i in range(n):
                total[i] = (total[i] + one[i] * x) + other[i] * y


@subroutine
def substitute(factor: Floats32, right: Floats32, size: Counts, curve: Floats32, most: int, n: int) -> None:
    """Solve L D L' curve = right; terms beyond a pixel's ``size`` are 0."""
    for i in range(most, TERMS):
        row = curve[i]
        for pixel in range(n):
            row[pixel] = 0
    for i in range(most):
        row, product_sums = curve[i], right[i]
        for pixel in range(n):
            row[pixel] = product_sums[pixel] if i < size[pixel] else np.float32(0)
        for k in range(i):
            part, known = factor[i * (i + 1) // 2 + k], curve[k]
            for pixel in range(n):
                row[pixel] -= part[pixel] * known[pixel]
    for i in range(most):
        row, diagonal = curve[i], factor[i * (i + 1) // 2 + i]
        for pixel in range(n):
            row[pixel] *= diagonal[pixel]
    for i in range(most - 1, -1, -1):
        row = curve[i]
        for k in range(i + 1, most):
            part, known = factor[k * (k + 1) // 2 + i], curve[k]
            for pixel in range(n):
                row[pixel] -= part[pixel] * known[pixel]


@subroutine
def evaluate_curves(curve: Floats32, row: Floats32, value: Floats32, n: int) -> None:
    """Evaluate the curves on the day whose terms are ``row``: (pixel,)."""
    a, b, c, d, e, f, g = curve[0], curve[1], curve[2], curve[3], curve[4], curve[5], curve[6]
    p, q, r, s, t, u = row[1], row[2], row[3], row[4], row[5], row[6]
    for i in range(n):
        value[i] = a[i] + (b[i] * p + c[i] * q) + (d[i] * r + e[i] * s) + (f[i] * t + g[i] * u)
