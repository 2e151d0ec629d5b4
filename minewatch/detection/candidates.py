"""Which pixels have a look that could begin an anomaly: the few that are followed look by look.

Only such a look opens an anomaly, and a pixel that never has one keeps its plain baseline, so leaving the others out changes
nothing but time.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.detection.baseline import HIGH_ROW, LOW_ROW, NDVI_ROW, NOISE_ROW, PRECISION, Baselines, are_monitored
from minewatch.detection.batch_algebra import LANES, draw_curve
from minewatch.detection.harmonics import TERMS
from minewatch.detection.rules import Rules

Lanes = NDArray[np.float32]

SLACK = 0.002
"""Losses this much smaller are followed too (NDVI): the rules are told exactly later, in double precision."""


@njit(nogil=True, cache=True)
def find_candidates(
    ndvi: NDArray[np.uint8],
    clear: NDArray[np.bool_],
    start: int,
    stop: int,
    base: Baselines,
    terms: NDArray[np.float32],
    scale: NDArray[np.float64],
    scenes: NDArray[np.float64],
    agrees: NDArray[np.bool_],
    rules: Rules,
    suspect: NDArray[np.bool_],
) -> None:
    """Mark, in ``suspect`` (pixel,), pixels with a look from ``start`` to ``stop`` that could begin an anomaly.

    ``ndvi`` and ``clear`` (time, pixel) lie in one piece; ``terms`` (3, time, term), ``scenes`` (time, 4), ``agrees`` (time,).
    """
    curve, drawn = np.empty((TERMS, LANES), np.float32), np.empty((3, LANES), np.float32)
    edges = np.empty((3, LANES), np.float32)
    lowest, step = np.float32(scale[0] - SLACK), np.float32(scale[1])
    value, dark, unit = np.empty(LANES, np.float32), np.empty(LANES, np.bool_), np.float32(1 / PRECISION)
    for begin in range(0, clear.shape[1], LANES):
        n = min(LANES, clear.shape[1] - begin)
        part = base[:, begin : begin + n]
        watched = are_monitored(part, rules)
        if not watched.any():
            continue
        curve[:, :n] = part[NDVI_ROW : NDVI_ROW + TERMS] * unit
        for edge, row in enumerate((LOW_ROW, HIGH_ROW, NOISE_ROW)):
            edges[edge, :n] = part[row] * unit
        for t in range(start, stop):
            if agrees[t]:
                code, shows = ndvi[t, begin : begin + n], clear[t, begin : begin + n]
                for i in range(n):
                    value[i] = lowest + step * np.float32(code[i])
                draw_curve(curve, terms[0, t], drawn[0], n)
                if _stands_out(value, shows, watched, drawn[0], edges, np.float32(scenes[t, 0]), dark, n):
                    draw_curve(curve, terms[1, t], drawn[1], n)
                    draw_curve(curve, terms[2, t], drawn[2], n)
                    _mark_candidates(value, dark, drawn, edges, scenes[t], rules, suspect[begin : begin + n], n)


@njit(nogil=True, cache=True)
def _stands_out(
    value: Lanes,
    shows: NDArray[np.bool_],
    watched: NDArray[np.bool_],
    level: Lanes,
    edges: Lanes,
    shift: np.float32,
    dark: NDArray[np.bool_],
    n: int,
) -> bool:
    """Mark pixels three times the noise below the level of the day, which is the least that any rule asks for."""
    low, high, noise = edges
    three, count = np.float32(3), 0
    for i in range(n):
        level[i] = min(max(level[i], low[i]), high[i]) + shift
        dark[i] = shows[i] & watched[i] & (level[i] - value[i] >= three * noise[i])
    for i in range(n):
        count += dark[i]
    return count > 0


@njit(nogil=True, cache=True)
def _mark_candidates(
    value: Lanes,
    dark: NDArray[np.bool_],
    drawn: Lanes,
    edges: Lanes,
    scene: NDArray[np.float64],
    rules: Rules,
    suspect: NDArray[np.bool_],
    n: int,
) -> None:
    """Mark pixels whose loss could begin an anomaly whichever way the season slips, as ``see`` counts it."""
    level, late, early = drawn
    low, high, noise = edges
    shift, spread, nine = np.float32(scene[0]), np.float32(0.75 * scene[1]), np.float32(9)
    loss, bare = np.float32(min(rules.strong_loss, rules.begin_loss)), np.float32(rules.bare_ndvi)
    contrast = np.float32(rules.min_contrast - SLACK)
    for i in range(n):
        slipped = min(max(min(late[i], early[i]), low[i]), high[i]) + shift
        safe = min(slipped, level[i])
        fall = safe - value[i]
        sure = (fall > 0) & (fall * fall >= nine * (noise[i] * noise[i] + spread * spread))
        suspect[i] |= dark[i] & (safe - bare >= contrast) & sure & (fall >= loss * (safe - bare))
