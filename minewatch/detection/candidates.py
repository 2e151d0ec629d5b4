"""Screens all pixels: which have a look that could begin an anomaly, and which looks of the others count and are normal.

Only those candidates are tracked look by look.  A pixel that has no such look keeps its plain baseline, so that leaving it out
changes no result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import njit, subroutine
from minewatch.detection.baseline import HIGH_ROW, LOW_ROW, NDVI_ROW, NOISE_ROW, PRECISION, Baselines, is_monitored
from minewatch.detection.batch_algebra import BATCH, Floats32, evaluate_curves
from minewatch.detection.blindness import tells_bare_ground
from minewatch.detection.harmonics import TERMS
from minewatch.detection.residual import LEAF_SHARE, is_in_leaf, is_normal
from minewatch.detection.rules import Rules
from minewatch.detection.series import SCALES, Series

SLACK = 0.002
"""NDVI by which a loss may be too small and still make a candidate: the exact rules follow later, in double precision."""

USED_ROWS = np.array([*range(NDVI_ROW, NDVI_ROW + TERMS), LOW_ROW, HIGH_ROW, NOISE_ROW])
"""Rows of a baseline that pixels are screened with."""

DOUBT = 0.0001
"""NDVI by which single precision may be wrong; a look nearer to a threshold is judged in double precision."""


def find_candidates(
    ndvi: NDArray[np.uint8],
    clear: NDArray[np.bool_],
    start: int,
    stop: int,
    base: Baselines,
    days: NDArray[np.int32],
    terms: NDArray[np.float64],
    scale: NDArray[np.float64],
    scenes: NDArray[np.float64],
    is_consistent: NDArray[np.bool_],
    rules: Rules,
    candidate: NDArray[np.bool_],
    last_normal: NDArray[np.int32],
    is_counting: NDArray[np.bool_],
) -> None:
    """Mark in ``candidate`` (pixel,) the pixels with a look from ``start`` to ``stop`` that could begin an anomaly.

    ``last_normal`` (2, pixel) is set to the day of the last of those looks that is normal, and of the last that is normal and in
    leaf, where there is one; ``is_counting`` (time, pixel) is True where a look counts (see ``blindness``).  ``ndvi`` and
    ``clear`` (time, pixel) are C-contiguous; ``days`` is (time,), ``terms`` (3, time, term), ``scenes`` (time, 4),
    ``is_consistent`` (time,).
    """
    looks = days, terms[0], terms.astype(np.float32), scale, scenes, is_consistent
    reals, flags = np.empty((TERMS + 7, BATCH), np.float32), np.empty((3, BATCH), np.bool_)
    _find_candidates(ndvi, clear, start, stop, base, *looks, rules, USED_ROWS, reals, flags, candidate, last_normal, is_counting)


@njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _find_candidates(
    ndvi: NDArray[np.uint8],
    clear: NDArray[np.bool_],
    start: int,
    stop: int,
    base: Baselines,
    days: NDArray[np.int32],
    terms: NDArray[np.float64],
    rows: NDArray[np.float32],
    scale: NDArray[np.float64],
    scenes: NDArray[np.float64],
    is_consistent: NDArray[np.bool_],
    rules: Rules,
    used: NDArray[np.int64],
    reals: Floats32,
    flags: NDArray[np.bool_],
    candidate: NDArray[np.bool_],
    last_normal: NDArray[np.int32],
    is_counting: NDArray[np.bool_],
) -> None:
    """Do so for a batch of pixels at a time.

    ``used`` are USED_ROWS; ``reals`` (TERMS + 7, pixel of the batch) and ``flags`` (3, pixel of the batch) are overwritten.
    """
    edges, levels, value = reals[TERMS : TERMS + 3], reals[TERMS + 3 : TERMS + 6], reals[TERMS + 6]
    monitored, is_low, is_doubtful = flags[0], flags[1], flags[2]
    unit = np.float32(1 / PRECISION)
    for begin in range(0, clear.shape[1], BATCH):
        n = min(BATCH, clear.shape[1] - begin)
        if not _mark_monitored(base, begin, rules, monitored, n):
            continue
        for k in range(used.size):
            source, target = base[used[k], begin : begin + n], reals[k]
            for i in range(n):
                target[i] = np.float32(source[i]) * unit
        for t in range(start, stop):
            if is_consistent[t]:
                code, is_clear = ndvi[t, begin : begin + n], clear[t, begin : begin + n]
                _decode(code, scale, value, n)
                evaluate_curves(reals, rows[0, t], levels[0], n)
                if _exceeds_noise(value, is_clear, monitored, levels[0], edges, np.float32(scenes[t, 0]), is_low, n):
                    for season in range(1, levels.shape[0]):
                        evaluate_curves(reals, rows[season, t], levels[season], n)
                    _mark_candidates(value, is_low, levels, edges, scenes[t], rules, candidate[begin : begin + n], n)
                normal, leafy = last_normal[0, begin : begin + n], last_normal[1, begin : begin + n]
                last, counts = (normal, leafy), is_counting[t, begin : begin + n]
                if _mark_normal(value, is_clear, monitored, levels[0], edges[1], rules, days[t], last, counts, is_doubtful, n):
                    _judge_doubtful(
                        code, scale, base, begin, terms[t], scenes[t, 0], rules, days[t], last, counts, is_doubtful, n
                    )


@subroutine
def _mark_monitored(base: Baselines, begin: int, rules: Rules, monitored: NDArray[np.bool_], n: int) -> bool:
    """Mark the pixels of the batch that are monitored; True if any is."""
    count = 0
    for i in range(n):
        monitored[i] = is_monitored(base, begin + i, rules)
        count += monitored[i]
    return count > 0


@subroutine
def _decode(code: NDArray[np.uint8], scale: NDArray[np.float64], value: Floats32, n: int) -> None:
    """Return in ``value`` the NDVI of a look, less the slack."""
    lowest, step = np.float32(scale[0] - SLACK), np.float32(scale[1])
    for i in range(n):
        value[i] = lowest + step * np.float32(code[i])


@subroutine
def _exceeds_noise(
    value: Floats32,
    is_clear: NDArray[np.bool_],
    monitored: NDArray[np.bool_],
    level: Floats32,
    edges: Floats32,
    shift: np.float32,
    is_low: NDArray[np.bool_],
    n: int,
) -> bool:
    """Mark pixels at least three times the noise below the level of the day, which every rule requires; True if any is marked."""
    low, high, noise = edges[0], edges[1], edges[2]
    three, count = np.float32(3), 0
    for i in range(n):
        level[i] = min(max(level[i], low[i]), high[i]) + shift
        is_low[i] = is_clear[i] & monitored[i] & (level[i] - value[i] >= three * noise[i])
    for i in range(n):
        count += is_low[i]
    return count > 0


@subroutine
def _mark_candidates(
    value: Floats32,
    is_low: NDArray[np.bool_],
    levels: Floats32,
    edges: Floats32,
    scene: NDArray[np.float64],
    rules: Rules,
    candidate: NDArray[np.bool_],
    n: int,
) -> None:
    """Mark pixels whose loss, as :func:`compute_residual` has it, could begin an anomaly even if the season is early or late."""
    level, late, early = levels[0], levels[1], levels[2]
    low, high, noise = edges[0], edges[1], edges[2]
    shift, spread, nine = np.float32(scene[0]), np.float32(0.75 * scene[1]), np.float32(9)
    loss, bare = np.float32(min(rules.strong_loss, rules.weak_loss)), np.float32(rules.bare_ndvi)
    contrast = np.float32(rules.min_contrast - SLACK)
    for i in range(n):
        slipped = min(max(min(late[i], early[i]), low[i]), high[i]) + shift
        safe = min(slipped, level[i])
        fall = safe - value[i]
        sure = (fall > 0) & (fall * fall >= nine * (noise[i] * noise[i] + spread * spread))
        candidate[i] |= is_low[i] & (safe - bare >= contrast) & sure & (fall >= loss * (safe - bare))


@subroutine
def _mark_normal(
    value: Floats32,
    is_clear: NDArray[np.bool_],
    monitored: NDArray[np.bool_],
    level: Floats32,
    high: Floats32,
    rules: Rules,
    day: int,
    last: tuple[NDArray[np.int32], NDArray[np.int32]],
    counts: NDArray[np.bool_],
    is_doubtful: NDArray[np.bool_],
    n: int,
) -> bool:
    """Mark in ``counts`` where the look counts, and set ``last`` to the day where it is normal, and in leaf, too.

    True if any is doubtful; those are marked, too.
    """
    share, bare, contrast = np.float32(rules.normal_loss), np.float32(rules.bare_ndvi), np.float32(rules.min_contrast)
    slack, doubt, leaf_share, count = np.float32(SLACK), np.float32(DOUBT), np.float32(LEAF_SHARE), 0
    normal, leafy = last
    for i in range(n):
        span = level[i] - bare
        # What the look must not fall below, and what the level must: the nearer of the two decides.
        room = span - contrast
        margin = min(value[i] + slack - level[i] + share * span, room)
        watched = is_clear[i] & monitored[i]
        counts[i] = watched & (room > doubt)
        leaf = span - leaf_share * (high[i] - bare)
        normal[i] = day if watched & (margin > doubt) else normal[i]
        leafy[i] = day if watched & (min(margin, leaf) > doubt) else leafy[i]
        is_doubtful[i] = watched & (min(abs(margin), abs(room), abs(leaf)) <= doubt)
    for i in range(n):
        count += is_doubtful[i]
    return count > 0


@subroutine
def _judge_doubtful(
    code: NDArray[np.uint8],
    scale: NDArray[np.float64],
    base: Baselines,
    begin: int,
    row: NDArray[np.float64],
    shift: float,
    rules: Rules,
    day: int,
    last: tuple[NDArray[np.int32], NDArray[np.int32]],
    counts: NDArray[np.bool_],
    is_doubtful: NDArray[np.bool_],
    n: int,
) -> None:
    """Judge the doubtful pixels in double precision."""
    normal, leafy = last
    for i in range(n):
        if is_doubtful[i]:
            level = expect(base, begin + i, row) + shift
            counts[i] = tells_bare_ground(level, rules)
            if is_normal(level, scale[0] + scale[1] * code[i], rules):
                normal[i] = day
                leafy[i] = day if is_in_leaf(level, base[HIGH_ROW, begin + i] / PRECISION, rules) else leafy[i]


@subroutine
def expect(base: Baselines, pixel: int, row: NDArray[np.float64]) -> float:
    """Return the NDVI that a stored baseline expects on the day whose terms are ``row``, in double precision."""
    total = 0.0
    for k in range(TERMS):
        total += row[k] * (base[NDVI_ROW + k, pixel] / PRECISION)
    level: float = min(max(total, base[LOW_ROW, pixel] / PRECISION), base[HIGH_ROW, pixel] / PRECISION)
    return level


def find_history_normal(series: Series, base: Baselines, rules: Rules) -> NDArray[np.int32]:
    """Return the last normal look of each pixel before monitoring began, and the last one in leaf: (2, pixel) days, 0 = none.

    ``base`` are the baselines of the first year of monitoring, made from these looks; their scenes were not assessed.
    """
    first, start, _ = series.epochs[0].tolist()
    found = np.zeros((2, series.clear.shape[1]), np.int32)
    _find_history_normal(series.codes[0], series.clear, first, start, base, series.days, series.terms[0], SCALES[0], rules, found)
    return found


@njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _find_history_normal(
    ndvi: NDArray[np.uint8],
    clear: NDArray[np.bool_],
    first: int,
    start: int,
    base: Baselines,
    days: NDArray[np.int32],
    terms: NDArray[np.float64],
    scale: NDArray[np.float64],
    rules: Rules,
    found: NDArray[np.int32],
) -> None:
    """Go back from the last look of each pixel until both are found."""
    for pixel in range(clear.shape[1]):
        if not is_monitored(base, pixel, rules):
            continue
        high = base[HIGH_ROW, pixel] / PRECISION
        for t in range(start - 1, first - 1, -1):
            if clear[t, pixel]:
                level = expect(base, pixel, terms[t])
                if is_normal(level, scale[0] + scale[1] * ndvi[t, pixel], rules):
                    found[0, pixel] = max(found[0, pixel], days[t])
                    if is_in_leaf(level, high, rules):
                        found[1, pixel] = days[t]
                        break
