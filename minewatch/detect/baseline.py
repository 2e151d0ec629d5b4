"""The seasonal baseline of each pixel: a robust harmonic fit to its clear looks of the years before.

Harmonic regression on the day of the year, as in Zhu and Woodcock 2014 (CCDC) but without a trend.  Robust by rejection: the
looks whose NDVI lies beyond REJECTED robust deviations of a first fit leave, then the fit is made anew (reweighted least
squares of Rousseeuw and Leroy 1987); bare soil index and blue are fitted to the looks that stay.

Compiled.  LANES pixels go side by side, so that one instruction serves many of them; each pixel's numbers depend on that pixel
alone, so no tile size can show: sums over looks are made of integers where lanes share them, and in the order of the looks
where they do not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.detect.rules import Rules

YEAR = 365.25
"""Days."""

HARMONICS = 3
"""Annual harmonics at most; leaf-out within three weeks needs the third."""

TERMS = 1 + 2 * HARMONICS
"""A level, then cosine and sine of each harmonic."""

PAIRS = TERMS * (TERMS + 1) // 2
"""Products of two terms."""

FIRST_HARMONIC, SECOND_HARMONIC, THIRD_HARMONIC = 12, 24, 36
"""Clear looks that each harmonic needs."""

RIDGE = 0.15
"""Penalty of the second harmonic, twice that of the third, in looks: seasons without looks are not invented."""

ROUNDS = 2
"""Fits: one to all looks, one without those that were rejected."""

REJECTED = 2.5
"""Robust deviations beyond which a look is rejected."""

DEVIATION = 1.4826
"""Standard deviation of a normal distribution whose median absolute value is 1."""

NOISE_FLOOR = 0.02
"""Least noise that is believed, in the unit of the index."""

HAZE_ALLOWANCE = 0.05
"""Looks this much brighter in blue than the lower third of a pixel's looks are haze or snow, and feed no baseline."""

LANES = 256
"""Pixels side by side: their looks fit into a core's cache."""

UNIT = 1 << 14
"""Products of terms are kept as whole numbers of 1 / UNIT: their sums are exact in any order."""

FINE = 1000
"""Residuals are ranked in steps of 1 / FINE; beyond 255 steps all are alike."""

FAR = 1e6
"""A code that no curve reaches."""

PRECISION = 10_000
"""Baselines are kept as whole numbers of 1 / PRECISION, so that a stored one and a fresh one are the same."""

NDVI_ROW, NOISE_ROW, LOW_ROW, HIGH_ROW, LOOKS_ROW, BARE_ROW, BSI_ROW, BLUE_ROW = 0, TERMS, TERMS + 1, TERMS + 2, 10, 11, 12, 19
"""Where the numbers of a baseline stand; NDVI, BSI and blue take TERMS rows each."""

BRIEF, FULL = BSI_ROW, BLUE_ROW + TERMS
"""Rows of a baseline of NDVI alone, and of a whole one."""

Baselines = NDArray[np.int16]
"""(row, pixel) x PRECISION; LOOKS_ROW holds a plain number."""

Floats = NDArray[np.float64]
Lanes = NDArray[np.float32]
Codes = NDArray[np.uint8]
Counts = NDArray[np.int32]


class PixelBaseline(NamedTuple):
    """What one pixel looks like in each season."""

    ndvi: Floats
    """(term,) coefficients."""

    bsi: Floats
    """(term,) coefficients."""

    blue: Floats
    """(term,) coefficients."""

    noise: float
    """Robust standard deviation of NDVI about its curve."""

    low: float
    """Least NDVI of the curve on the days of its looks: no level is taken from beyond them."""

    high: float
    """Largest NDVI of the curve on those days."""

    looks: int
    """Clear looks it rests on."""

    bare: float
    """Share of the clear looks, hazy ones included, that show bare ground."""


def harmonic_terms(days: NDArray[np.int32]) -> Floats:
    """Give the regressors of days since 1970-01-01: (time, TERMS)."""
    angle = 2 * np.pi * np.asarray(days, np.float64) / YEAR
    waves = [wave(k * angle) for k in range(1, HARMONICS + 1) for wave in (np.cos, np.sin)]
    return np.stack([np.ones(len(angle)), *waves], axis=1)


def multiply_terms(terms: Floats) -> NDArray[np.int32]:
    """Give the products of each look's terms, the lower triangle row by row: (time, PAIRS), in 1 / UNIT."""
    rows, columns = np.tril_indices(TERMS)
    return np.rint(UNIT * terms[:, rows] * terms[:, columns]).astype(np.int32)


@njit(nogil=True, cache=True)
def count_terms(looks: int) -> int:
    """Give how many terms a number of looks can carry."""
    if looks >= THIRD_HARMONIC:
        return 7
    if looks >= SECOND_HARMONIC:
        return 5
    return 3 if looks >= FIRST_HARMONIC else 1


@njit(nogil=True, cache=True)
def evaluate(row: Floats, coefficients: Floats) -> float:
    """Give the curve's value on the day whose terms are ``row``."""
    total = 0.0
    for k in range(coefficients.size):
        total += row[k] * coefficients[k]
    return total


@njit(nogil=True, cache=True)
def unpack_baseline(column: NDArray[np.int16]) -> PixelBaseline:
    """Give the numbers of one pixel, a column of full Baselines."""
    numbers = column / PRECISION
    return PixelBaseline(
        numbers[NDVI_ROW : NDVI_ROW + TERMS],
        numbers[BSI_ROW : BSI_ROW + TERMS],
        numbers[BLUE_ROW : BLUE_ROW + TERMS],
        numbers[NOISE_ROW],
        numbers[LOW_ROW],
        numbers[HIGH_ROW],
        int(column[LOOKS_ROW]),
        numbers[BARE_ROW],
    )


@njit(nogil=True, cache=True)
def has_vegetation(base: Baselines, rules: Rules) -> NDArray[np.bool_]:
    """Tell which pixels have vegetation to lose, and were not bare time and again before: (pixel,) bool."""
    high, bare = base[HIGH_ROW] / PRECISION, base[BARE_ROW] / PRECISION
    vegetated: NDArray[np.bool_] = (high >= rules.min_vegetation) & (bare < rules.tilled_share)
    return vegetated


@njit(nogil=True, cache=True)
def are_monitored(base: Baselines, rules: Rules) -> NDArray[np.bool_]:
    """Tell which pixels have looks enough as well: (pixel,) bool."""
    monitored: NDArray[np.bool_] = (base[LOOKS_ROW] >= rules.min_looks) & has_vegetation(base, rules)
    return monitored


@njit(nogil=True, cache=True)
def fit_baselines(
    codes: Codes,
    usable: NDArray[np.bool_],
    first: int,
    start: int,
    terms: Floats,
    products: NDArray[np.int32],
    scales: Floats,
    rules: Rules,
    base: Baselines,
) -> None:
    """Fit the looks ``first`` to ``start`` of each pixel into ``base`` (BRIEF or FULL rows).

    ``codes`` (layer, time, pixel) and ``usable`` (time, pixel) lie in one piece, ``terms`` (time, term) and ``products``
    (time, pair) belong to them.
    """
    looks, pixels = start - first, usable.shape[1]
    history, products, rows = slice(first, start), products[first:start], terms[first:start].astype(np.float32)
    ndvi = codes[0, history]
    chosen, kept, ranked = (
        np.zeros((looks, LANES), np.uint8),
        np.zeros((looks, LANES), np.uint8),
        np.zeros((looks, LANES), np.uint8),
    )
    common, mixed, own = np.empty(PAIRS, np.int32), np.empty((PAIRS, LANES), np.int32), np.empty((LANES, PAIRS), np.int32)
    factor, right = np.zeros((PAIRS, LANES), np.float32), np.zeros((TERMS, LANES), np.float32)
    curve, low, high = np.zeros((TERMS, LANES), np.float32), np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    count, size = np.zeros(LANES, np.int32), np.zeros(LANES, np.int32)
    middle, cut = np.zeros(LANES, np.int32), np.zeros(LANES, np.int32)
    for begin in range(0, pixels, LANES):
        n = min(LANES, pixels - begin)
        place = slice(begin, begin + n)
        _choose_looks(codes, usable, first, begin, scales, rules, ranked, chosen, count, base[BARE_ROW, place], n)
        base[LOOKS_ROW, place] = count[:n]
        most = 1
        for i in range(n):
            size[i] = count_terms(count[i])
            most = max(most, size[i])
            count[i] = max(count[i] - 1, 0) // 2
        kept[:] = chosen
        _add_products(kept, products, common, mixed, own, n)
        for fitted in range(ROUNDS):
            if fitted > 0:
                _reject(ranked, chosen, cut, kept, products, own, n)
            _factorise(common, mixed, own, size, factor, most, n)
            _add_values(ndvi, begin, kept, rows, right, n)
            _substitute(factor, right, size, curve, most, n)
            _rank_residuals(ndvi, begin, chosen, rows, curve, scales[0, 1], ranked, low, high, fitted == ROUNDS - 1, n)
            _select(ranked, count, middle, n)
            for i in range(n):
                noise = max(DEVIATION * middle[i] / FINE, NOISE_FLOOR)
                base[NOISE_ROW, begin + i] = round(PRECISION * noise)
                cut[i] = min(int(REJECTED * noise * FINE), 254)
        for i in range(n):
            seen = low[i] <= high[i]
            base[LOW_ROW, begin + i] = _round(PRECISION * (scales[0, 0] + scales[0, 1] * (128 + low[i]))) if seen else 0
            base[HIGH_ROW, begin + i] = _round(PRECISION * (scales[0, 0] + scales[0, 1] * (128 + high[i]))) if seen else 0
        _pack(curve, scales[0], base, NDVI_ROW, begin, n)
        if base.shape[0] == FULL:
            for layer, row in ((1, BSI_ROW), (2, BLUE_ROW)):
                _add_values(codes[layer, history], begin, kept, rows, right, n)
                _substitute(factor, right, size, curve, most, n)
                _pack(curve, scales[layer], base, row, begin, n)


@njit(nogil=True, cache=True)
def _choose_looks(
    codes: Codes,
    usable: NDArray[np.bool_],
    first: int,
    begin: int,
    scales: Floats,
    rules: Rules,
    ranked: Codes,
    chosen: Codes,
    count: Counts,
    share: NDArray[np.int16],
    n: int,
) -> None:
    """Leave out looks far brighter in blue than the pixel's lower third; of all, give the share that shows bare ground."""
    green = np.uint8(_first_code(rules.min_vegetation, scales[0]))
    soil = np.uint8(_first_code(rules.bare_bsi, scales[1]))
    nothing, something = np.uint8(255), np.uint8(0)
    allowance = round(HAZE_ALLOWANCE / scales[2, 1])
    level = np.empty(n, np.int32)
    for t in range(chosen.shape[0]):
        use, order, bare = usable[first + t, begin : begin + n], ranked[t], chosen[t]
        ndvi, bsi = codes[0, first + t, begin : begin + n], codes[1, first + t, begin : begin + n]
        blue = codes[2, first + t, begin : begin + n]
        for i in range(n):
            order[i] = blue[i] if use[i] else nothing
        for i in range(n):
            bare[i] = something if use[i] & (ndvi[i] < green) & (bsi[i] >= soil) else nothing
    _count_up_to(chosen, np.zeros(n, np.uint8), level, n)
    _count_up_to(ranked, np.full(n, 254, np.uint8), count, n)
    for i in range(n):
        share[i] = round(PRECISION * level[i] / count[i]) if count[i] else 0
        count[i] //= 3
    _select(ranked, count, level, n)
    limit = np.empty(n, np.uint8)
    for i in range(n):
        limit[i] = min(level[i] + allowance, 255)
    for t in range(chosen.shape[0]):
        order, use = ranked[t], chosen[t]
        for i in range(n):
            use[i] = order[i] < limit[i]
    for i in range(n):
        limit[i] -= 1
    _count_up_to(ranked, limit, count, n)


@njit(nogil=True, cache=True)
def _first_code(value: float, scale: Floats) -> int:
    """Give the first code whose value is not below ``value``."""
    return min(max(int(np.ceil((value - scale[0]) / scale[1] - 1e-9)), 0), 255)


@njit(nogil=True, cache=True)
def _count_up_to(values: Codes, limit: Codes, count: Counts, n: int) -> None:
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
def _select(values: Codes, rank: Counts, found: Counts, n: int) -> None:
    """Give each lane's value of a rank (0 = the smallest) by halving the range; what does not count is 255."""
    limit, below = np.empty(n, np.uint8), np.empty(n, np.int32)
    found[:n] = 0
    step = 128
    while step > 0:
        for i in range(n):
            limit[i] = found[i] + (step - 1)
        _count_up_to(values, limit, below, n)
        for i in range(n):
            found[i] += step if below[i] <= rank[i] else 0
        step //= 2


@njit(nogil=True, cache=True)
def _add_products(
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
def _reject(
    ranked: Codes, chosen: Codes, cut: Counts, kept: Codes, products: NDArray[np.int32], own: NDArray[np.int32], n: int
) -> None:
    """Leave out the looks whose residual is beyond the cut, and take their products back from ``own``."""
    limit, gone = cut.astype(np.uint8), np.zeros(LANES, np.uint8)
    eights = gone.view(np.uint64)
    for t in range(kept.shape[0]):
        row, use, rank, product = kept[t], chosen[t], ranked[t], products[t]
        for i in range(n):
            row[i] = use[i] & np.uint8(rank[i] <= limit[i])
        for i in range(n):
            gone[i] = use[i] - row[i]
        for eight in range(eights.size):
            if eights[eight] != 0:
                for i in range(8 * eight, 8 * eight + 8):
                    if gone[i] != 0:
                        own[i] -= product


@njit(nogil=True, cache=True)
def _factorise(
    common: Counts, mixed: NDArray[np.int32], own: NDArray[np.int32], size: Counts, factor: Lanes, most: int, n: int
) -> None:
    """Split the normal matrix into L D L', (pair, lane): below the diagonal L, on it 1 / D."""
    scaled, unit = np.empty(n, np.float32), np.float32(1 / UNIT)
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
def _add_values(codes: Codes, begin: int, kept: Codes, rows: Lanes, right: Lanes, n: int) -> None:
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
def _substitute(factor: Lanes, right: Lanes, size: Counts, curve: Lanes, most: int, n: int) -> None:
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
    """Give the curves' values on a day: (lane,)."""
    a, b, c, d, e, f, g = curve[0], curve[1], curve[2], curve[3], curve[4], curve[5], curve[6]
    p, q, r, s, t, u = row[1], row[2], row[3], row[4], row[5], row[6]
    for i in range(n):
        drawn[i] = a[i] + (b[i] * p + c[i] * q) + (d[i] * r + e[i] * s) + (f[i] * t + g[i] * u)


@njit(nogil=True, cache=True)
def _rank_residuals(
    codes: Codes,
    begin: int,
    chosen: Codes,
    rows: Lanes,
    curve: Lanes,
    step: float,
    ranked: Codes,
    low: Lanes,
    high: Lanes,
    is_last: bool,
    n: int,
) -> None:
    """Give the residuals' sizes in steps of 1 / FINE, 255 where a look is not chosen; of the last fit, its range over them."""
    drawn, fine, away = np.empty(n, np.float32), np.empty(n, np.int32), np.empty(n, np.float32)
    scale, half, rounding = np.float32(FINE * step), np.float32(128), np.float32(0.5)
    largest, nothing, one, far = np.float32(254), np.uint8(255), np.float32(1), np.float32(FAR)
    low[:n] = far
    high[:n] = -far
    for t in range(chosen.shape[0]):
        draw_curve(curve, rows[t], drawn, n)
        code, use, rank = codes[t, begin : begin + n], chosen[t], ranked[t]
        for i in range(n):
            fine[i] = np.int32(min(abs(np.float32(code[i]) - half - drawn[i]) * scale + rounding, largest))
        for i in range(n):
            rank[i] = np.uint8(fine[i]) if use[i] else nothing
        if is_last:
            for i in range(n):
                away[i] = (one - np.float32(use[i])) * far
            for i in range(n):
                low[i] = min(low[i], drawn[i] + away[i])
                high[i] = max(high[i], drawn[i] - away[i])


@njit(nogil=True, cache=True)
def _pack(curve: Lanes, scale: Floats, base: Baselines, row: int, begin: int, n: int) -> None:
    """Turn curves of codes into coefficients of the layer's unit, rounded."""
    level, slope = np.float32(PRECISION * (scale[0] + 128 * scale[1])), np.float32(PRECISION * scale[1])
    least, most = np.float32(-32767), np.float32(32767)
    for k in range(TERMS):
        target, number, start = base[row + k, begin : begin + n], curve[k], level if k == 0 else np.float32(0)
        for i in range(n):
            target[i] = np.int16(min(max(np.rint(start + slope * number[i]), least), most))


@njit(nogil=True, cache=True)
def _round(value: float) -> int:
    return int(min(max(np.rint(value), -32767.0), 32767.0))
