"""Least squares for a batch of pixels at once, so that one SIMD instruction works on many of them.

The result of a pixel depends on that pixel alone, and so not on the tile size: sums over looks that pixels share are integers,
all others are added in the order of the looks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import njit
from minewatch.detection.harmonics import PAIRS, TERMS, UNIT

BATCH = 256
"""Pixels in a batch: their looks fit into a core's cache."""

RIDGE = 0.15
"""Penalty of the second harmonic, in looks; that of the third is twice as large.  It keeps the curve from swinging in seasons
without looks."""

Floats32 = NDArray[np.float32]
Codes = NDArray[np.uint8]
Counts = NDArray[np.int32]


@njit(nogil=True, cache=True)
def count_up_to(values: Codes, limit: Codes, count: Counts, n: int) -> None:
    """Count, for each pixel, the values that are not above its limit."""
    few = np.empty(n, np.uint8)
    count[:n] = 0
    for first in range(0, values.shape[0], 255):
        # Counts of 255 looks fit into a byte, so that an instruction works on as many pixels as possible.
        few[:] = 0
        for t in range(first, min(first + 255, values.shape[0])):
            row = values[t]
            for i in range(n):
                few[i] += np.uint8(row[i] <= limit[i])
        for i in range(n):
            count[i] += few[i]


@njit(nogil=True, cache=True)
def select_rank(values: Codes, rank: Counts, selected: Counts, n: int) -> None:
    """Find the value of a rank (0 = the smallest) of each pixel by bisection; values of 255 do not count."""
    limit, below = np.empty(n, np.uint8), np.empty(n, np.int32)
    selected[:n] = 0
    step = 128
    while step > 0:
        for i in range(n):
            limit[i] = selected[i] + (step - 1)
        count_up_to(values, limit, below, n)
        for i in range(n):
            selected[i] += step if below[i] <= rank[i] else 0
        step //= 2


@njit(nogil=True, cache=True)
def sum_products(
    kept: Codes,
    products: NDArray[np.int32],
    common: NDArray[np.int32],
    mixed: NDArray[np.int32],
    correction: NDArray[np.int32],
    n: int,
) -> None:
    """Sum the products of the looks: ``common`` of looks that all pixels keep, ``mixed`` of looks that some keep."""
    mask = np.empty(n, np.int32)
    common[:] = 0
    mixed[:] = 0
    correction[:] = 0
    for t in range(kept.shape[0]):
        row, total = kept[t], 0
        for i in range(n):
            total += row[i]
        if total == n:
            common += products[t]
        elif total > 0:
            for i in range(n):
                mask[i] = -np.int32(row[i])
            for k in range(PAIRS):
                target, product = mixed[k], products[t, k]
                for i in range(n):
                    target[i] += product & mask[i]


@njit(nogil=True, cache=True)
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


@njit(nogil=True, cache=True)
def factorise(factor: Floats32, most: int, n: int) -> None:
    """Factorise a normal matrix in place into L D L', (pair, pixel): below the diagonal L, on it 1 / D."""
    scaled = np.empty(n, np.float32)
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


@njit(nogil=True, cache=True)
def sum_values(codes: Codes, begin: int, kept: Codes, rows: Floats32, right: Floats32, n: int) -> None:
    """Sum values times terms over the looks that are kept: (term, pixel); values are codes less 128."""
    one, other = np.empty(n, np.float32), np.empty(n, np.float32)
    half = np.float32(128)
    right[:] = 0
    # Two looks at a time, so that the sums are loaded and stored half as often; the order of addition stays the same.
    for t in range(0, kept.shape[0], 2):
        u = min(t + 1, kept.shape[0] - 1)
        code, keep = codes[t, begin : begin + n], kept[t]
        for i in range(n):
            one[i] = (np.float32(code[i]) - half) * np.float32(keep[i])
        code, keep = codes[u, begin : begin + n], kept[u]
        there = np.float32(u > t)
        for i in range(n):
            other[i] = (np.float32(code[i]) - half) * (there * np.float32(keep[i]))
        for k in range(TERMS):
            total, x, y = right[k], rows[t, k], rows[u, k]
            for i in range(n):
                total[i] = (total[i] + one[i] * x) + other[i] * y


@njit(nogil=True, cache=True)
def substitute(factor: Floats32, right: Floats32, size: Counts, curve: Floats32, most: int, n: int) -> None:
    """Solve L D L' curve = right; terms beyond a pixel's ``size`` are 0."""
    curve[most:] = 0
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


@njit(nogil=True, cache=True)
def evaluate_curves(curve: Floats32, row: Floats32, value: Floats32, n: int) -> None:
    """Evaluate the curves on the day whose terms are ``row``: (pixel,)."""
    a, b, c, d, e, f, g = curve[0], curve[1], curve[2], curve[3], curve[4], curve[5], curve[6]
    p, q, r, s, t, u = row[1], row[2], row[3], row[4], row[5], row[6]
    for i in range(n):
        value[i] = a[i] + (b[i] * p + c[i] * q) + (d[i] * r + e[i] * s) + (f[i] * t + g[i] * u)
