"""The seasonal baseline of each pixel: a robust harmonic fit to its clear looks of the years before.

Harmonic regression on the day of the year, as in Zhu and Woodcock 2014 (CCDC) but without a trend.  Robust by rejection: the
looks whose NDVI lies beyond REJECTED robust deviations of a first fit leave, then the fit is made anew (reweighted least
squares of Rousseeuw and Leroy 1987); bare soil index and blue are fitted to the looks that stay.

Compiled, LANES pixels side by side.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.detection.batch_algebra import (
    LANES,
    Codes,
    Counts,
    Lanes,
    add_products,
    add_up,
    add_values,
    count_up_to,
    draw_curve,
    factorise,
    select,
    substitute,
)
from minewatch.detection.harmonics import PAIRS, TERMS, count_terms
from minewatch.detection.rules import Rules

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


@njit(nogil=True, cache=True)
def unpack_baseline(column: NDArray[np.int16]) -> PixelBaseline:
    """Return the numbers of one pixel, a column of full Baselines."""
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
        add_products(kept, products, common, mixed, own, n)
        for fitted in range(ROUNDS):
            if fitted > 0:
                _reject(ranked, chosen, cut, kept, products, own, n)
            add_up(common, mixed, own, size, factor, most, n)
            factorise(factor, most, n)
            add_values(ndvi, begin, kept, rows, right, n)
            substitute(factor, right, size, curve, most, n)
            _rank_residuals(ndvi, begin, chosen, rows, curve, scales[0, 1], ranked, low, high, fitted == ROUNDS - 1, n)
            select(ranked, count, middle, n)
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
                add_values(codes[layer, history], begin, kept, rows, right, n)
                substitute(factor, right, size, curve, most, n)
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
    count_up_to(chosen, np.zeros(n, np.uint8), level, n)
    count_up_to(ranked, np.full(n, 254, np.uint8), count, n)
    for i in range(n):
        share[i] = round(PRECISION * level[i] / count[i]) if count[i] else 0
        count[i] //= 3
    select(ranked, count, level, n)
    limit = np.empty(n, np.uint8)
    for i in range(n):
        limit[i] = min(level[i] + allowance, 255)
    for t in range(chosen.shape[0]):
        order, use = ranked[t], chosen[t]
        for i in range(n):
            use[i] = order[i] < limit[i]
    for i in range(n):
        limit[i] -= 1
    count_up_to(ranked, limit, count, n)


@njit(nogil=True, cache=True)
def _first_code(value: float, scale: Floats) -> int:
    """Return the first code whose value is not below ``value``."""
    return min(max(int(np.ceil((value - scale[0]) / scale[1] - 1e-9)), 0), 255)


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
    """Return the residuals' sizes in steps of 1 / FINE, 255 where a look is not chosen; of the last fit, its range over them."""
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
