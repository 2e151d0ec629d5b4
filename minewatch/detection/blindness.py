"""What could not have been found: how long each pixel went without two looks that count, and which clearings that hides.

A look *counts* at a pixel where it is clear, the pixel is monitored, the scene agrees with its baseline, and bare ground would
differ from the vegetation expected.  A clearing is taken to be confirmed by the second look that counts while it is bare.  Some
need a third: those that lose little green, are charred, or are seen through haze.  Days are counted from ``monitor_from``, day 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import njit, subroutine
from minewatch.detection.batch_algebra import BATCH, Floats32
from minewatch.detection.lasting import LASTING_DAYS
from minewatch.detection.rules import Rules

NONE = -1
"""Day of a look that there was not: the day before the watch began."""


@subroutine
def tells_bare_ground(level: float, rules: Rules) -> bool:
    """True if bare ground would differ from the expected ``level`` of vegetation."""
    tells: bool = level - rules.bare_ndvi >= rules.min_contrast
    return tells


def follow_counting(
    is_counting: NDArray[np.bool_],
    days: NDArray[np.int64],
    watched: NDArray[np.bool_],
    last_two: NDArray[np.int16],
    blind_days: NDArray[np.uint16],
    onsets: NDArray[np.int32],
) -> None:
    """Follow the looks that count at the ``watched`` pixels (pixel,); ``is_counting`` is (time, pixel), ``days`` (time,).

    Updated are ``last_two`` (2, pixel), the days of the last two such looks; ``blind_days`` (pixel,), the most days running with
    fewer than two of them; and ``onsets`` (day,), the change of the number of blind pixels from one day of onset to the next.
    """
    reals, is_blind = np.empty((4, BATCH), np.float32), np.empty(BATCH, np.bool_)
    _follow_batches(is_counting, days, watched, reals, is_blind, last_two, blind_days, onsets)


@njit(nogil=True, cache=True, _nrt=False)
def _follow_batches(
    is_counting: NDArray[np.bool_],
    days: NDArray[np.int64],
    watched: NDArray[np.bool_],
    reals: Floats32,
    is_blind: NDArray[np.bool_],
    last_two: NDArray[np.int16],
    blind_days: NDArray[np.uint16],
    onsets: NDArray[np.int32],
) -> None:
    """Do so for a batch of pixels at a time; ``reals`` (4, pixel of the batch) and ``is_blind`` are overwritten."""
    older, newer, longest, counts = reals[0], reals[1], reals[2], reals[3]
    for begin in range(0, is_counting.shape[1], BATCH):
        n, count = min(BATCH, is_counting.shape[1] - begin), 0
        chosen = watched[begin : begin + n]
        for i in range(n):
            count += chosen[i]
        if count == 0:
            continue
        for i in range(n):
            older[i], newer[i] = last_two[0, begin + i], last_two[1, begin + i]
            longest[i] = blind_days[begin + i]
        for t in range(is_counting.shape[0]):
            row = is_counting[t, begin : begin + n]
            for i in range(n):
                counts[i] = np.float32(row[i] & chosen[i])
            _add_look(counts, days[t], older, newer, longest, is_blind, onsets, n)
        for i in range(n):
            if chosen[i]:
                last_two[0, begin + i], last_two[1, begin + i] = np.int16(older[i]), np.int16(newer[i])
                blind_days[begin + i] = np.uint16(longest[i])


@subroutine
def _add_look(
    counts: Floats32,
    day: int,
    older: Floats32,
    newer: Floats32,
    longest: Floats32,
    is_blind: NDArray[np.bool_],
    onsets: NDArray[np.int32],
    n: int,
) -> None:
    """Add one look: clearings that began after the ``older`` of the last two looks, up to the ``newer``, meet their second now.

    ``counts`` is 1 where the look counts, else 0.  All numbers are whole and far below 16 million, so that float32 is exact and
    one instruction works on many pixels.
    """
    today, stretch, too_early = np.float32(day), np.float32(day - 1), np.float32(day - LASTING_DAYS - 1)
    nothing, half, found = np.float32(0), np.float32(0.5), 0
    for i in range(n):
        is_blind[i] = (counts[i] > nothing) & (too_early > older[i]) & (newer[i] > older[i])
    for i in range(n):
        found += is_blind[i]
    if found > 0:
        for i in range(n):
            if is_blind[i]:
                onsets[np.int64(older[i]) + 1] += 1
                onsets[np.int64(min(newer[i], too_early)) + 1] -= 1
    for i in range(n):
        longer = counts[i] * (stretch - older[i]) - longest[i]
        longest[i] += half * (longer + abs(longer))  # where it is longer
        older[i] += counts[i] * (newer[i] - older[i])
        newer[i] += counts[i] * (today - newer[i])


def close_blind_days(blind_days: NDArray[np.uint16], last_two: NDArray[np.int16], until: int) -> NDArray[np.uint16]:
    """Return the most days running with fewer than two looks that count, the days up to ``until`` among them: (pixel,)."""
    still_open = (until - last_two[0].astype(np.int64)).astype(np.uint16)
    return np.where(blind_days > still_open, blind_days, still_open)


def count_onsets(onsets: NDArray[np.int32], last_two: NDArray[np.int16], watched: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return by how many pixels more a clearing would not have been confirmed, from one day of onset to the next: (day,).

    It holds for every as-of date up to the next look; :func:`count_blind` makes the numbers of one.
    """
    open_from = np.bincount(last_two[0, watched].astype(np.int64) + 1, minlength=len(onsets))
    open_from[: len(onsets)] += onsets
    return open_from


def count_blind(onsets: NDArray[np.int64], until: int) -> NDArray[np.int64]:
    """Count the pixels where a clearing would not have been confirmed, by the day on which it begins: (day,).

    The last day is the one from which LASTING_DAYS have passed ``until``; later ones cannot be judged yet.
    """
    change = np.zeros(max(until - LASTING_DAYS + 1, 0), np.int64)
    known = min(len(change), len(onsets))
    change[:known] = onsets[:known]
    return np.cumsum(change)


def add_onsets(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sum of what :func:`count_onsets` counted of two tiles."""
    total = np.zeros(max(len(one), len(other)), np.int64)
    total[: len(one)] += one
    total[: len(other)] += other
    return total
