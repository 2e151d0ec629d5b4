"""Tracks pixels through the epochs: the baseline of each epoch is fitted, then its looks are compared with it one by one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import njit
from minewatch.detection.baseline import FULL, PRECISION, Baselines, is_monitored, view_baseline
from minewatch.detection.blindness import tells_bare_ground
from minewatch.detection.candidates import find_history_normal
from minewatch.detection.change_map import EPISODE, Episodes
from minewatch.detection.fit import fit_baselines
from minewatch.detection.monitor import STATE, Outcome, make_episodes, update_state
from minewatch.detection.residual import compute_residual
from minewatch.detection.rules import Rules
from minewatch.detection.scene_quality import SceneQuality
from minewatch.detection.series import SCALES, Series

ROOM = 256
"""Ends of anomalies that there is room for at first, and again when it is used up."""

MOST_ENDS = 2
"""Anomalies of a pixel that end at one look, at most."""


@dataclass(frozen=True)
class TrackResult:
    """The history of some pixels."""

    base: Baselines
    """(row, pixel) the latest baseline of each."""

    state: Any
    """(pixel,) STATE records after the last look."""

    closed: Episodes
    """EPISODE records of anomalies that have ended; ``row`` holds the pixel's number."""

    trace: NDArray[np.int8]
    """(pixel, 2, time) the Outcome of each look, and the epoch of its baseline; one row for all pixels unless traced."""

    is_counting: NDArray[np.bool_]
    """(time, pixel) True where a look counts, see :mod:`minewatch.detection.blindness`."""

    @cached_property
    def episodes(self) -> Episodes:
        """All anomalies, by pixel, and of one pixel in order of time."""
        return join_episodes(self.closed, list_open(self.state))


def join_episodes(closed: Episodes, still_open: Episodes) -> Episodes:
    """Sort episodes by pixel, those of one pixel in order of time."""
    return np.sort(np.concatenate([closed, still_open]), order="row", kind="stable")


def track_pixels(series: Series, scenes: SceneQuality, rules: Rules, *, traced: bool = False) -> TrackResult:
    """Track every pixel of a series through all its looks."""
    looks, pixels = series.clear.shape
    state = np.zeros(pixels, STATE).view(np.recarray)
    base, new_baseline = np.zeros((FULL, pixels), np.int16), np.zeros((FULL, pixels), np.int16)
    usable, closed = series.clear.copy(), [np.empty(0, EPISODE)]
    trace, is_counting = np.zeros((pixels if traced else 1, 2, looks), np.int8), np.zeros((looks, pixels), bool)
    if traced:
        begin = series.epochs[0, 1]
        trace[:, 0, :begin] = np.where(series.clear[:begin].T, Outcome.BASELINE, 0)
    for epoch, (first, start, stop) in enumerate(series.epochs.tolist()):
        fit_baselines(series.codes, usable, first, start, series.terms[0], series.products, SCALES, rules, new_baseline)
        if epoch == 0:
            state.last_normal, state.last_leafy = find_history_normal(series, new_baseline, rules)
        _renew_baselines(epoch, state, new_baseline, base)
        closed.append(track_epoch(series, start, stop, scenes, rules, base, state, usable, trace, is_counting))
    return TrackResult(base, state, np.concatenate(closed), trace, is_counting)


def track_epoch(
    series: Series,
    start: int,
    stop: int,
    scenes: SceneQuality,
    rules: Rules,
    base: Baselines,
    state: Any,
    usable: NDArray[np.bool_],
    trace: NDArray[np.int8],
    is_counting: NDArray[np.bool_],
) -> Episodes:
    """Track pixels through looks that have one baseline; update ``state`` and return the anomalies that ended.

    In ``trace`` and ``is_counting``, as :class:`TrackResult` has them, those looks are filled in.
    """
    pixels, begin, count = series.clear.shape[1], 0, 0
    looks = series.days, series.clear, series.codes, series.terms, SCALES
    quality = scenes.numbers, scenes.is_consistent
    ended, ends = np.zeros(0, STATE).view(np.recarray), np.zeros((0, 2), np.int64)
    while True:
        room = np.zeros(len(ended) + max(ROOM, MOST_ENDS * (stop - start)), STATE).view(np.recarray)
        places = np.zeros((len(room), 2), np.int64)
        room[:count], places[:count] = ended[:count], ends[:count]
        ended, ends = room, places
        found = base, state, usable, trace, is_counting, np.empty(4), np.empty(FULL), ended, ends, count
        arguments: Any = begin, start, stop, *looks, rules, *quality, *found
        begin, count = _track_looks(*arguments)
        if begin == pixels:
            break
    return make_episodes(ended[:count], ends[:count, 0], ends[:count, 1])


def list_open(state: Any) -> Episodes:
    """Return the anomalies that have not ended; ``row`` holds the place in ``state``."""
    still_open = np.flatnonzero(state.is_open > 0)
    return make_episodes(state[still_open], still_open, 0)


def _renew_baselines(epoch: int, state: Any, new_baseline: Baselines, base: Baselines) -> None:
    """Replace the baselines by those of an epoch, but where an anomaly is open: it keeps the one it began with."""
    free = state.is_open == 0
    state.epoch[free] = epoch
    base[:, free] = new_baseline[:, free]


@njit(nogil=True, cache=True, _nrt=False, error_model="numpy")
def _track_looks(
    begin: int,
    start: int,
    stop: int,
    days: NDArray[np.int32],
    clear: NDArray[np.bool_],
    codes: NDArray[np.uint8],
    terms: NDArray[np.float64],
    scales: NDArray[np.float64],
    rules: Rules,
    scenes: NDArray[np.float64],
    is_consistent: NDArray[np.bool_],
    base: Baselines,
    states: Any,
    usable: NDArray[np.bool_],
    trace: NDArray[np.int8],
    is_counting: NDArray[np.bool_],
    values: NDArray[np.float64],
    numbers: NDArray[np.float64],
    ended: Any,
    ends: NDArray[np.int64],
    count: int,
) -> tuple[int, int]:
    """Track the pixels from ``begin`` on through the looks ``start`` to ``stop``; looks of anomalies leave ``usable``.

    Ends of anomalies are recorded from ``count`` on.  Returned are the pixel at which there was no room for more, else the number
    of pixels, and the new count.
    """
    for pixel in range(begin, clear.shape[1]):
        if len(ends) - count < MOST_ENDS * (stop - start):
            return pixel, count
        state, trace_row, monitored = states[pixel], trace[pixel % trace.shape[0]], is_monitored(base, pixel, rules)
        for row in range(FULL):
            numbers[row] = base[row, pixel] / PRECISION
        baseline = view_baseline(numbers)
        for t in range(start, stop):
            trace_row[1, t] = state.epoch
            if not clear[t, pixel]:
                continue
            state.n_clear += 1
            if monitored and is_consistent[t]:
                for layer in range(4):
                    values[layer] = scales[layer, 0] + scales[layer, 1] * codes[layer, t, pixel]
                rows = terms[0, t], terms[1, t], terms[2, t]
                residual = compute_residual(values, baseline, rows, scenes[t], rules)
                look = days[t], values[0], residual, baseline
                trace_row[0, t], count = update_state(*look, rules, state, pixel, ended, ends, count)
                is_counting[t, pixel] = tells_bare_ground(residual.level, rules)
                if residual.is_normal:
                    state.last_normal = days[t]
                    state.last_leafy = days[t] if residual.is_in_leaf else state.last_leafy
                usable[t, pixel] = usable[t, pixel] and state.is_counted == 0
            else:
                trace_row[0, t] = Outcome.SCENE_DISAGREES if monitored else Outcome.NOT_MONITORED
    return clear.shape[1], count
