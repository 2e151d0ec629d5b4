"""Least squares of LANES pixels side by side, so that one instruction serves many of them.

Each pixel's numbers depend on that pixel alone, so no tile size can show: sums over looks are made of integers where lanes
share them, and in the order of the looks where they do not.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.detection.harmonics import PAIRS, TERMS, UNIT

LANES = 256
"""Pixels side by side: their looks fit into a core's cache."""

RIDGE = 0.15
"""Penalty of the second harmonic, twice that of the third, in looks: seasons without looks are not invented."""

Lanes = NDArray[np.float32]
Codes = NDArray[np.uint8]
Counts = NDArray[np.int32]


@njit(nogil=True, cache=True)
def count_up_to(values: Codes, limit: Codes, count: Counts, n: int) -> None:
    """Count, for each lane, the values that are not above its limit."""
    few = np.empty(n, np.uint8)
    count[:n] = 0
    for first in range(0, values.shape[0], 255):
        # Counts of 255 looks fit into a byte, which is as many lanes to an instruction as can be.
        few[:] = 0
        for t in range(first, min(first + 255, values.shape[0])):
            row = values[t]
            for i in range(n):
                few[i] += np.uint8(row[i] <= limit[i])
        for i in range(n):
            count[i] += few[i]


@njit(nogil=True, cache=True)
def select(values: Codes, rank: Counts, found: Counts, n: int) -> None:
    """Return each lane's value of a rank (0 = the smallest) by halving the range; what does not count is 255."""
    limit, below = np.empty(n, np.uint8), np.empty(n, np.int32)
    found[:n] = 0
    step = 128
    while step > 0:
        for i in range(n):
            limit[i] = found[i] + (step - 1)
        count_up_to(values, limit, below, n)
        for i in range(n):
            found[i] += step if below[i] <= rank[i] else 0
        step //= 2


@njit(nogil=True, cache=True)
def add_products(
    kept: Codes, products: NDArray[np.int32], common: NDArray[np.int32], mixed: NDArray[np.int32], own: NDArray[np.int32], n: int
) -> None:
    """Add up the products of the looks: ``common`` of those that all lanes keep, ``mixed`` of those that some do."""
    mask = np.empty(n, np.int32)
    common[:] = 0
    mixed[:] = 0
    own[:] = 0
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
def add_up(
    common: Counts, mixed: NDArray[np.int32], own: NDArray[np.int32], size: Counts, factor: Lanes, most: int, n: int
) -> None:
    """Make the normal matrix, (pair, lane), out of its sums; terms that a lane cannot carry stand alone."""
    unit = np.float32(1 / UNIT)
    for i in range(most):
        penalty = np.float32(1e-6 + RIDGE * max(0, (i + 1) // 2 - 1))
        for j in range(i + 1):
            pair = i * (i + 1) // 2 + j
            row, shared, some = factor[pair], common[pair], mixed[pair]
            for lane in range(n):
                row[lane] = np.float32(shared + some[lane] + own[lane, pair]) * unit
            left = np.float32(0)
            if i == j:
                left = np.float32(1)
                for lane in range(n):
                    row[lane] += penalty
            for lane in range(n):
                row[lane] = row[lane] if i < size[lane] else left


@njit(nogil=True, cache=True)
def factorise(factor: Lanes, most: int, n: int) -> None:
    """Split a normal matrix in place into L D L', (pair, lane): below the diagonal L, on it 1 / D."""
    scaled = np.empty(n, np.float32)
    for j in range(most):
        diagonal = factor[j * (j + 1) // 2 + j]
        for lane in range(n):
            diagonal[lane] = np.float32(1) / max(diagonal[lane], np.float32(1e-6))
        for i in range(j + 1, most):
            column = factor[i * (i + 1) // 2 + j]
            for lane in range(n):
                scaled[lane] = column[lane]
                column[lane] *= diagonal[lane]
            # What lies to the right in this row is made smaller; the rows above hold their part of L already.
            for k in range(j + 1, i + 1):
                other, target = factor[k * (k + 1) // 2 + j], factor[i * (i + 1) // 2 + k]
                for lane in range(n):
                    target[lane] -= scaled[lane] * other[lane]


@njit(nogil=True, cache=True)
def add_values(codes: Codes, begin: int, kept: Codes, rows: Lanes, right: Lanes, n: int) -> None:
    """Add up values times terms over the looks that are kept: (term, lane); values are codes less 128."""
    one, other = np.empty(n, np.float32), np.empty(n, np.float32)
    half = np.float32(128)
    right[:] = 0
    # Two looks at a time, so that the sums are loaded and stored half as often; still one is added after the other.
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
def substitute(factor: Lanes, right: Lanes, size: Counts, curve: Lanes, most: int, n: int) -> None:
    """Solve L D L' curve = right; terms that a lane cannot carry are 0."""
    curve[most:] = 0
    for i in range(most):
        row, wanted = curve[i], right[i]
        for lane in range(n):
            row[lane] = wanted[lane] if i < size[lane] else np.float32(0)
        for k in range(i):
            part, known = factor[i * (i + 1) // 2 + k], curve[k]
            for lane in range(n):
                row[lane] -= part[lane] * known[lane]
    for i in range(most):
        row, diagonal = curve[i], factor[i * (i + 1) // 2 + i]
        for lane in range(n):
            row[lane] *= diagonal[lane]
    for i in range(most - 1, -1, -1):
        row = curve[i]
        for k in range(i + 1, most):
            part, known = factor[k * (k + 1) // 2 + i], curve[k]
            for lane in range(n):
                row[lane] -= part[lane] * known[lane]


@njit(nogil=True, cache=True)
def draw_curve(curve: Lanes, row: Lanes, drawn: Lanes, n: int) -> None:
    """Return the curves' values on a day: (lane,)."""
    a, b, c, d, e, f, g = curve[0], curve[1], curve[2], curve[3], curve[4], curve[5], curve[6]
    p, q, r, s, t, u = row[1], row[2], row[3], row[4], row[5], row[6]
    for i in range(n):
        drawn[i] = a[i] + (b[i] * p + c[i] * q) + (d[i] * r + e[i] * s) + (f[i] * t + g[i] * u)
