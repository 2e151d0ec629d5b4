"""Fits baselines: a robust harmonic fit to the clear looks of each pixel of the years before monitoring.

Harmonic regression on the day of the year, as in Zhu and Woodcock 2014 (CCDC) but without a trend.  Robust by rejection: looks
whose NDVI lies beyond REJECTED robust deviations of a first fit are left out of a second one (reweighted least squares of
Rousseeuw and Leroy 1987); bare soil index and blue are fitted to the remaining looks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import njit, subroutine
from minewatch.detection.baseline import (
    BARE_ROW,
    BLUE_ROW,
    BSI_ROW,
    FULL,
    HIGH_ROW,
    LOOKS_ROW,
    LOW_ROW,
    NDVI_ROW,
    NOISE_FLOOR,
    NOISE_ROW,
    PRECISION,
    Baselines,
    Floats,
)
from minewatch.detection.batch_algebra import (
    BATCH,
    STEPS,
    WIDE,
    Codes,
    Counts,
    Floats32,
    add_products,
    count_up_to,
    evaluate_curves,
    factorise,
    make_normal_matrix,
    pad_products,
    select_rank,
    substitute,
    sum_products,
    sum_values,
)
from minewatch.detection.harmonics import PAIRS, TERMS, count_terms
from minewatch.detection.rules import Rules

ROUNDS = 2
"""Fits: one to all looks, one without those that were rejected."""

REJECTED = 2.5
"""Robust deviations beyond which a look is rejected."""

DEVIATION = 1.4826
"""Standard deviation of a normal distribution whose median absolute value is 1."""

HAZE_ALLOWANCE = 0.05
"""Looks this much brighter in blue than the lower third of a pixel's looks are haze or snow, and are not used; reflectance."""

FINE = 1000
"""Residuals are ranked in steps of 1 / FINE; those beyond 254 steps are equal."""

FAR = 1e6
"""A code that no curve reaches."""


class _Scratch(NamedTuple):
    """The arrays that the fits of a batch are made in, one after the other; (..., pixel) of the batch."""

    ranked: Codes
    """(look, pixel) sort key of each look: its blue, then the size of its residual; 255 where it does not count."""

    chosen: Codes
    """(look, pixel) 1 where a look is clear and not hazy."""

    kept: Codes
    """(look, pixel) 1 where a look is used by the present fit."""

    common: NDArray[np.int32]
    """(pair,) products of the looks that most pixels keep."""

    own: NDArray[np.int32]
    """(pixel, pair) products of the looks that a pixel keeps, less the common ones."""

    factor: Floats32
    """(pair, pixel) the normal matrix, then its factors."""

    right: Floats32
    """(term, pixel) right side of the normal equations."""

    curve: Floats32
    """(term, pixel) the fitted coefficients, in codes."""

    low: Floats32
    """(pixel,) least value of the curve on the days of the chosen looks."""

    high: Floats32
    """(pixel,) largest value of the curve on those days."""

    looks: Counts
    """(pixel,) number of chosen looks."""

    rank: Counts
    """(pixel,) rank of their median."""

    size: Counts
    """(pixel,) number of terms."""

    middle: Counts
    """(pixel,) median size of the residuals, in steps of 1 / FINE."""

    cut: Counts
    """(pixel,) largest residual that is kept, in the same steps."""

    odd: Codes
    """(pixel,) 1 where the present look is rejected, or kept unlike by most."""

    eights: NDArray[np.uint64]
    """The same, eight pixels in one number."""

    steps: Codes
    """STEPS."""

    bytes: Codes
    """(3, pixel) for passing use."""

    whole: Counts
    """(pixel,) for passing use."""

    real: Floats32
    """(4, pixel) for passing use."""


def _make_scratch(looks: int) -> _Scratch:
    odd = np.zeros(BATCH, np.uint8)
    return _Scratch(
        np.zeros((looks, BATCH), np.uint8),
        np.zeros((looks, BATCH), np.uint8),
        np.zeros((looks, BATCH), np.uint8),
        np.empty(WIDE, np.int32),
        np.empty((BATCH, WIDE), np.int32),
        np.zeros((PAIRS, BATCH), np.float32),
        np.zeros((TERMS, BATCH), np.float32),
        np.zeros((TERMS, BATCH), np.float32),
        np.empty(BATCH, np.float32),
        np.empty(BATCH, np.float32),
        np.zeros(BATCH, np.int32),
        np.zeros(BATCH, np.int32),
        np.zeros(BATCH, np.int32),
        np.zeros(BATCH, np.int32),
        np.zeros(BATCH, np.int32),
        odd,
        odd.view(np.uint64),
        STEPS,
        np.zeros((3, BATCH), np.uint8),
        np.zeros(BATCH, np.int32),
        np.zeros((4, BATCH), np.float32),
    )


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

    ``codes`` (layer, time, pixel) and ``usable`` (time, pixel) are C-contiguous, ``terms`` (time, term) and ``products``
    (time, pair) belong to them.
    """
    rows = terms[first:start].astype(np.float32)
    _fit_batches(
        codes, usable, first, rows, pad_products(products[first:start]), scales, rules, ROUNDS, _make_scratch(len(rows)), base
    )


@njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _fit_batches(
    codes: Codes,
    usable: NDArray[np.bool_],
    first: int,
    rows: Floats32,
    products: NDArray[np.int32],
    scales: Floats,
    rules: Rules,
    rounds: int,
    s: _Scratch,
    base: Baselines,
) -> None:
    """Fit the looks of each pixel into ``base``, a batch of pixels at a time."""
    for begin in range(0, usable.shape[1], BATCH):
        n = min(BATCH, usable.shape[1] - begin)
        _choose_looks(codes, usable, first, begin, scales, rules, s, base[BARE_ROW, begin : begin + n], n)
        for i in range(n):
            base[LOOKS_ROW, begin + i] = s.looks[i]
            s.size[i] = count_terms(s.looks[i])
            s.rank[i] = max(s.looks[i] - 1, 0) // 2
        most = int(s.size[0])
        for i in range(n):
            most = max(most, int(s.size[i]))
        for layer, row in ((0, NDVI_ROW), (1, BSI_ROW), (2, BLUE_ROW)):
            if layer == 0:
                _fit_ndvi(codes[0], first, begin, rows, products, scales[0], rounds, s, base, most, n)
            elif base.shape[0] == FULL:
                sum_values(codes[layer], first, begin, s.kept, rows, s.real, s.right, n)
                substitute(s.factor, s.right, s.size, s.curve, most, n)
            else:
                break
            _pack(s.curve, scales[layer], base, row, begin, n)


@subroutine
def _fit_ndvi(
    ndvi: Codes,
    first: int,
    begin: int,
    rows: Floats32,
    products: NDArray[np.int32],
    scale: Floats,
    rounds: int,
    s: _Scratch,
    base: Baselines,
    most: int,
    n: int,
) -> None:
    """Fit NDVI to the chosen looks, and again without the rejected ones; write the curve, its noise and range into ``base``."""
    for t in range(s.kept.shape[0]):
        kept, chosen = s.kept[t], s.chosen[t]
        for i in range(n):
            kept[i] = chosen[i]
    sum_products(s.kept, products, s.common, s.own, s.odd, s.eights, n)
    for fitted in range(rounds):
        if fitted > 0:
            _reject(s, products, n)
        make_normal_matrix(s.common, s.own, s.size, s.factor, most, n)
        factorise(s.factor, s.real[0], most, n)
        sum_values(ndvi, first, begin, s.kept, rows, s.real, s.right, n)
        substitute(s.factor, s.right, s.size, s.curve, most, n)
        _rank_residuals(ndvi, first, begin, rows, scale[1], s, fitted == rounds - 1, n)
        select_rank(s.ranked, s.rank, s.steps, s.bytes[0], s.bytes[1], s.whole, s.middle, n)
        for i in range(n):
            noise = max(DEVIATION * s.middle[i] / FINE, NOISE_FLOOR)
            base[NOISE_ROW, begin + i] = round(PRECISION * noise)
            s.cut[i] = min(int(REJECTED * noise * FINE), 254)
    for i in range(n):
        seen = s.low[i] <= s.high[i]
        base[LOW_ROW, begin + i] = _round(PRECISION * (scale[0] + scale[1] * (128 + s.low[i]))) if seen else 0
        base[HIGH_ROW, begin + i] = _round(PRECISION * (scale[0] + scale[1] * (128 + s.high[i]))) if seen else 0


@subroutine
def _choose_looks(
    codes: Codes,
    usable: NDArray[np.bool_],
    first: int,
    begin: int,
    scales: Floats,
    rules: Rules,
    s: _Scratch,
    share: NDArray[np.int16],
    n: int,
) -> None:
    """Choose the clear looks that are not far brighter in blue than the pixel's lower third.

    ``share`` (pixel,) gets the share of all clear looks that shows bare ground, x PRECISION.
    """
    ranked, chosen, count, level = s.ranked, s.chosen, s.looks, s.middle
    limit, few, most = s.bytes[0], s.bytes[1], s.bytes[2]
    green = np.uint8(_first_code(rules.min_vegetation, scales[0]))
    soil = np.uint8(_first_code(rules.bare_bsi, scales[1]))
    nothing, something, one = np.uint8(255), np.uint8(0), np.uint8(1)
    allowance = round(HAZE_ALLOWANCE / scales[2, 1])
    for t in range(chosen.shape[0]):
        use, order, bare = usable[first + t, begin : begin + n], ranked[t], chosen[t]
        ndvi, bsi = codes[0, first + t, begin : begin + n], codes[1, first + t, begin : begin + n]
        blue = codes[2, first + t, begin : begin + n]
        for i in range(n):
            order[i] = blue[i] | (np.uint8(use[i]) - one)  # 255 where it is not used; without a branch, ten times as fast
        for i in range(n):
            bare[i] = something if use[i] & (ndvi[i] < green) & (bsi[i] >= soil) else nothing
    for i in range(n):
        limit[i], most[i] = 0, 254
    count_up_to(chosen, limit, few, level, n)
    count_up_to(ranked, most, few, count, n)
    for i in range(n):
        share[i] = round(PRECISION * level[i] / count[i]) if count[i] else 0
        count[i] //= 3
    select_rank(ranked, count, s.steps, limit, few, s.whole, level, n)
    for i in range(n):
        limit[i] = min(level[i] + allowance, 255)
    for t in range(chosen.shape[0]):
        order, use = ranked[t], chosen[t]
        for i in range(n):
            use[i] = order[i] < limit[i]
    for i in range(n):
        limit[i] -= 1
    count_up_to(ranked, limit, few, count, n)


@subroutine
def _first_code(value: float, scale: Floats) -> int:
    """Return the first code whose value is not below ``value``."""
    return min(max(int(np.ceil((value - scale[0]) / scale[1] - 1e-9)), 0), 255)


@subroutine
def _reject(s: _Scratch, products: NDArray[np.int32], n: int) -> None:
    """Leave out the looks whose residual is beyond the cut, and subtract their products."""
    kept, chosen, ranked, limit, odd = s.kept, s.chosen, s.ranked, s.bytes[0], s.odd
    for i in range(n):
        limit[i] = s.cut[i]
    for t in range(kept.shape[0]):
        row, use, rank = kept[t], chosen[t], ranked[t]
        for i in range(n):
            row[i] = use[i] & np.uint8(rank[i] <= limit[i])
        for i in range(n):
            odd[i] = use[i] - row[i]
        add_products(odd, s.eights, products[1, t], s.own)


@subroutine
def _rank_residuals(
    codes: Codes, first: int, begin: int, rows: Floats32, step: float, s: _Scratch, is_last: bool, n: int
) -> None:
    """Rank residuals by size, in steps of 1 / FINE, 255 where a look is not chosen; of the last fit, find the curve's range."""
    chosen, curve, ranked, low, high, level, fine = s.chosen, s.curve, s.ranked, s.low, s.high, s.real[0], s.whole
    scale, half, rounding = np.float32(FINE * step), np.float32(128), np.float32(0.5)
    largest, one, far = np.float32(254), np.uint8(1), np.float32(FAR)
    for i in range(n):
        low[i], high[i] = far, -far
    for t in range(chosen.shape[0]):
        evaluate_curves(curve, rows[t], level, n)
        code, use, rank = codes[first + t, begin : begin + n], chosen[t], ranked[t]
        for i in range(n):
            fine[i] = np.int32(min(abs(np.float32(code[i]) - half - level[i]) * scale + rounding, largest))
        for i in range(n):
            rank[i] = np.uint8(fine[i]) | (use[i] - one)
        if is_last:
            for i in range(n):
                lowest = level[i] if use[i] else far
                low[i] = min(low[i], lowest)
            for i in range(n):
                highest = level[i] if use[i] else -far
                high[i] = max(high[i], highest)


@subroutine
def _pack(curve: Floats32, scale: Floats, base: Baselines, row: int, begin: int, n: int) -> None:
    """Convert curves of codes into rounded coefficients in the unit of the layer, and write them into rows of ``base``."""
    level, slope = np.float32(PRECISION * (scale[0] + 128 * scale[1])), np.float32(PRECISION * scale[1])
    least, most = np.float32(-32767), np.float32(32767)
    for k in range(curve.shape[0]):
        target, number, start = base[row + k, begin : begin + n], curve[k], level if k == 0 else np.float32(0)
        for i in range(n):
            target[i] = np.int16(min(max(np.rint(start + slope * number[i]), least), most))


@subroutine
def _round(value: float) -> int:
    return int(min(max(np.rint(value), -32767.0), 32767.0))
