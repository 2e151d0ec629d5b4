"""Follows pixels through the epochs: each epoch's baseline is fitted, then its looks are judged one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.detection.baseline import FULL, Baselines, are_monitored, fit_baselines, unpack_baseline
from minewatch.detection.change_map import EPISODE, Episodes
from minewatch.detection.harmonics import evaluate
from minewatch.detection.monitor import STATE, Outcome, record_episode, update_state
from minewatch.detection.residual import compute_residual
from minewatch.detection.rules import Rules
from minewatch.detection.scene_quality import SceneQuality
from minewatch.detection.series import SCALES, Series


@dataclass(frozen=True)
class TrackResult:
    """What became of some pixels."""

    base: Baselines
    """(row, pixel) the latest baseline of each."""

    state: Any
    """(pixel,) STATE records after the last look."""

    closed: Episodes
    """EPISODE records of anomalies that have ended; ``row`` holds the pixel's number."""

    trace: NDArray[np.int8]
    """(pixel, 2, time) the Outcome of each look, and the epoch of its baseline; of all pixels only where that was asked for."""

    @property
    def episodes(self) -> Episodes:
        """All anomalies, in order of the pixels' numbers, and of one pixel in order of time."""
        return join_episodes(self.closed, list_open(self.state))


def join_episodes(closed: Episodes, still_open: Episodes) -> Episodes:
    """Put episodes in order of the pixels' numbers, and of one pixel in order of time."""
    return np.sort(np.concatenate([closed, still_open]), order="row", kind="stable")


def track_pixels(series: Series, scenes: SceneQuality, rules: Rules, *, traced: bool = False) -> TrackResult:
    """Follow every pixel of a series through all its looks."""
    looks, pixels = series.clear.shape
    state = np.zeros(pixels, STATE).view(np.recarray)
    base, fresh = np.zeros((FULL, pixels), np.int16), np.zeros((FULL, pixels), np.int16)
    usable, closed = series.clear.copy(), [np.empty(0, EPISODE)]
    trace = np.zeros((pixels if traced else 1, 2, looks), np.int8)
    _recall_history(series.days[: series.epochs[0, 1]], series.clear, state, trace)
    for epoch, (first, start, stop) in enumerate(series.epochs.tolist()):
        fit_baselines(series.codes, usable, first, start, series.terms[0], series.products, SCALES, rules, fresh)
        _renew(epoch, state, fresh, base)
        closed.append(track_epoch(series, start, stop, scenes, rules, base, state, usable, trace))
    return TrackResult(base, state, np.concatenate(closed), trace)


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
) -> Episodes:
    """Follow pixels through looks that have one baseline; changes ``state``, gives the anomalies that ended."""
    found = np.zeros(256, EPISODE).view(np.recarray)
    seen = series.days, series.clear, series.codes, series.terms, SCALES
    found, count = _follow(start, stop, *seen, rules, scenes.numbers, scenes.agrees, base, state, usable, trace, found)
    return np.asarray(found[:count])


def list_open(state: Any) -> Episodes:
    """Return the anomalies that have not ended; ``row`` holds the place in ``state``."""
    found = np.zeros(int((state.is_open > 0).sum()), EPISODE).view(np.recarray)
    _record_open(state, found)
    return np.asarray(found)


@njit(nogil=True, cache=True)
def _recall_history(days: NDArray[np.int32], clear: NDArray[np.bool_], state: Any, trace: NDArray[np.int8]) -> None:
    """Note the looks before the monitoring."""
    for pixel in range(clear.shape[1]):
        for t in range(days.size):
            if clear[t, pixel]:
                state[pixel].last_clear = days[t]
                trace[pixel % trace.shape[0], 0, t] = Outcome.BASELINE


@njit(nogil=True, cache=True)
def _renew(epoch: int, state: Any, fresh: Baselines, base: Baselines) -> None:
    """Take the epoch's baselines; an anomaly keeps the one that raised it until it closes."""
    for pixel in range(base.shape[1]):
        if state[pixel].is_open == 0:
            state[pixel].source = epoch
            base[:, pixel] = fresh[:, pixel]


@njit(nogil=True, cache=True)
def _follow(
    start: int,
    stop: int,
    days: NDArray[np.int32],
    clear: NDArray[np.bool_],
    codes: NDArray[np.uint8],
    terms: NDArray[np.float64],
    scales: NDArray[np.float64],
    rules: Rules,
    scenes: NDArray[np.float64],
    agrees: NDArray[np.bool_],
    base: Baselines,
    state: Any,
    usable: NDArray[np.bool_],
    trace: NDArray[np.int8],
    found: Any,
) -> tuple[Any, int]:
    """Follow the pixels through the looks ``start`` to ``stop``; looks of anomalies leave ``usable``."""
    values, watched, count = np.empty(4), are_monitored(base, rules), 0
    for pixel in range(clear.shape[1]):
        own, did, monitored = state[pixel], trace[pixel % trace.shape[0]], watched[pixel]
        baseline = unpack_baseline(base[:, pixel])
        for t in range(start, stop):
            did[1, t] = own.source
            if not clear[t, pixel]:
                continue
            own.seen += 1
            if monitored and agrees[t]:
                for layer in range(4):
                    values[layer] = scales[layer, 0] + scales[layer, 1] * codes[layer, t, pixel]
                sight = compute_residual(values, baseline, terms[:, t], scenes[t], rules)
                bsi_change = values[1] - evaluate(terms[0, t], baseline.bsi)
                if count + 2 > found.size:
                    found = np.concatenate((found, np.zeros(found.size, found.dtype)))
                did[0, t], count = update_state(days[t], values[0], bsi_change, sight, rules, own, pixel, found, count)
                usable[t, pixel] = usable[t, pixel] and own.counted == 0
            else:
                did[0, t] = Outcome.SCENE_DISAGREES if monitored else Outcome.NOT_MONITORED
            own.last_clear = days[t]
    return found, count


@njit(nogil=True, cache=True)
def _record_open(state: Any, found: Any) -> None:
    count = 0
    for pixel in range(state.size):
        if state[pixel].is_open > 0:
            count = record_episode(found, count, pixel, state[pixel], 0)
