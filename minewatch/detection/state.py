"""The state of a tile's pixels after its looks, and how later looks of the same year of monitoring update it.

Of a pixel without an open anomaly, as most are, the baseline is all that is kept.  Updating a state gives, to the byte, what
processing all looks from the first would give.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.core.compilation import njit
from minewatch.core.units import to_day
from minewatch.detection.baseline import BRIEF, FULL, Baselines, are_monitored
from minewatch.detection.blindness import NONE, follow_counting
from minewatch.detection.candidates import find_candidates, find_history_normal
from minewatch.detection.change_map import Episodes
from minewatch.detection.fit import fit_baselines
from minewatch.detection.inputs import TileInput
from minewatch.detection.monitor import STATE
from minewatch.detection.rules import Rules, make_rules
from minewatch.detection.scene_quality import SceneQuality
from minewatch.detection.series import SCALES, Series
from minewatch.detection.track import join_episodes, list_open, track_epoch, track_pixels


@dataclass(frozen=True)
class TileState:
    """A tile after its looks; pixels are numbered inside the area, row by row."""

    base: Baselines
    """(row, pixel) the latest baselines: BRIEF rows, or FULL where later looks are to update them."""

    open_pixels: NDArray[np.int64]
    """Pixels with an open anomaly, ascending."""

    anomalies: Any
    """Their STATE records."""

    closed: Episodes
    """EPISODE records of anomalies that have ended; ``row`` holds the pixel's number."""

    clear_looks: NDArray[np.uint16]
    """(pixel,) clear looks since the monitoring began."""

    last_clear: NDArray[np.int32]
    """(pixel,) day of the last clear look, 0 = none."""

    last_normal: NDArray[np.int32]
    """(2, pixel) days of the last look that was judged normal, and of the last such look in leaf; 0 = none."""

    last_counting: NDArray[np.int16]
    """(2, pixel) days of the last but one and of the last look that counted, since monitor_from; -1 = none."""

    blind_days: NDArray[np.uint16]
    """(pixel,) most days running with fewer than two looks that counted, up to the last such look."""

    onsets: NDArray[np.int32]
    """(day,) change of the number of blind pixels from one day of onset to the next, as far as looks have decided it."""

    covered: NDArray[np.bool_]
    """(pixel,) True where any scene has had data."""

    @property
    def episodes(self) -> Episodes:
        """All anomalies, by pixel, and of one pixel in order of time."""
        still_open = list_open(self.anomalies)
        still_open["row"] = self.open_pixels[still_open["row"]]
        return join_episodes(self.closed, still_open)


def process_history(tile: TileInput, scenes: SceneQuality, *, whole: bool = False) -> TileState:
    """Return the state of a tile after all its looks; ``whole`` keeps what later looks need."""
    series, rules = Series.of(tile), make_rules(tile.settings)
    pixels = series.clear.shape[1]
    base, candidate = np.zeros((FULL if whole else BRIEF, pixels), np.int16), np.zeros(pixels, bool)
    last_normal, is_counting = np.zeros((2, pixels), np.int32), np.zeros(series.clear.shape, bool)
    for epoch, (first, start, stop) in enumerate(series.epochs.tolist()):
        fit_baselines(series.codes, series.clear, first, start, series.terms[0], series.products, SCALES, rules, base)
        _find_candidates(series, start, stop, base, scenes, rules, candidate, last_normal, is_counting)
        if epoch == 0:
            _look_back(series, base, rules, last_normal)
    chosen = np.flatnonzero(candidate)
    tracked = track_pixels(series.choose(chosen), scenes, rules)
    base[:, chosen] = tracked.base[: len(base)]
    last_normal[:, chosen] = np.stack([tracked.state.last_normal, tracked.state.last_leafy])
    is_counting[:, chosen] = tracked.is_counting
    closed, is_open = tracked.closed.copy(), tracked.state.is_open > 0
    closed["row"] = chosen[closed["row"]]
    clear_looks, last_clear = np.zeros(pixels, np.uint16), np.zeros(pixels, np.int32)
    _count_clear(series.clear, series.days, tile.looks.before(to_day(tile.monitor_from)), clear_looks, last_clear)
    counted = np.full((2, pixels), NONE, np.int16), np.zeros(pixels, np.uint16), np.zeros(0, np.int32)
    counted = _follow_counting(tile, is_counting, are_monitored(base, rules), *counted)
    covered = tile.looks.covered[tile.inside]
    anomalies = tracked.state[is_open]
    return TileState(base, chosen[is_open], anomalies, closed, clear_looks, last_clear, last_normal, *counted, covered)


def update_history(state: TileState, tile: TileInput, scenes: SceneQuality) -> TileState:
    """Add later looks to a whole state; ``tile`` and ``scenes`` hold these alone, all of the state's year of monitoring."""
    series, rules = Series.of(tile), make_rules(tile.settings)
    looks, pixels = series.clear.shape
    candidate = np.zeros(pixels, bool)
    candidate[state.open_pixels] = True
    last_normal, is_counting = state.last_normal.copy(), np.zeros(series.clear.shape, bool)
    _find_candidates(series, 0, looks, state.base, scenes, rules, candidate, last_normal, is_counting)
    chosen = np.flatnonzero(candidate)
    anomalies = np.zeros(len(chosen), STATE).view(np.recarray)
    anomalies.last_normal, anomalies.last_leafy = state.last_normal[:, chosen]
    anomalies[np.searchsorted(chosen, state.open_pixels)] = state.anomalies
    part = series.choose(chosen)
    base, trace = np.ascontiguousarray(state.base[:, chosen]), np.zeros((1, 2, looks), np.int8)
    part_counting = np.zeros((looks, len(chosen)), bool)
    closed = track_epoch(part, 0, looks, scenes, rules, base, anomalies, part.clear.copy(), trace, part_counting)
    is_counting[:, chosen] = part_counting
    closed["row"], last_normal[:, chosen] = chosen[closed["row"]], np.stack([anomalies.last_normal, anomalies.last_leafy])
    clear_looks, last_clear = state.clear_looks.copy(), state.last_clear.copy()
    _count_clear(series.clear, series.days, 0, clear_looks, last_clear)
    watched = are_monitored(state.base, rules)
    counted = _follow_counting(tile, is_counting, watched, state.last_counting, state.blind_days, state.onsets)
    is_open = anomalies.is_open > 0
    return replace(
        state,
        open_pixels=chosen[is_open],
        anomalies=anomalies[is_open],
        closed=np.concatenate([state.closed, closed]),
        clear_looks=clear_looks,
        last_clear=last_clear,
        last_normal=last_normal,
        last_counting=counted[0],
        blind_days=counted[1],
        onsets=counted[2],
        covered=state.covered | tile.looks.covered[tile.inside],
    )


def _look_back(series: Series, base: Baselines, rules: Rules, last_normal: NDArray[np.int32]) -> None:
    """Fill in the last normal looks before monitoring of the pixels that have had none since."""
    missing = np.flatnonzero((last_normal == 0).any(axis=0))
    if len(missing):
        found = find_history_normal(series.choose(missing), np.take(base, missing, axis=1), rules)
        last_normal[:, missing] = np.where(last_normal[:, missing] == 0, found, last_normal[:, missing])


def _find_candidates(
    series: Series,
    start: int,
    stop: int,
    base: Baselines,
    scenes: SceneQuality,
    rules: Rules,
    candidate: NDArray[np.bool_],
    last_normal: NDArray[np.int32],
    is_counting: NDArray[np.bool_],
) -> None:
    looks, quality = (series.days, series.terms, SCALES[0]), (scenes.numbers, scenes.is_consistent)
    find_candidates(
        series.codes[0], series.clear, start, stop, base, *looks, *quality, rules, candidate, last_normal, is_counting
    )


def _follow_counting(
    tile: TileInput,
    is_counting: NDArray[np.bool_],
    watched: NDArray[np.bool_],
    last_counting: NDArray[np.int16],
    blind_days: NDArray[np.uint16],
    onsets: NDArray[np.int32],
) -> tuple[NDArray[np.int16], NDArray[np.uint16], NDArray[np.int32]]:
    """Return the last two looks that counted, the blind days and the onsets after the looks of a tile; nothing is changed."""
    start = to_day(tile.monitor_from)
    first = tile.looks.before(start)
    days = tile.looks.days[first:].astype(np.int64) - start
    size = int(days[-1]) + 1 if len(days) else 0
    after = last_counting.copy(), blind_days.copy(), np.pad(onsets, (0, max(size - len(onsets), 0)))
    follow_counting(is_counting[first:], days, watched, *after)
    return after


@njit(nogil=True, cache=True, _nrt=False)
def _count_clear(
    clear: NDArray[np.bool_], days: NDArray[np.int32], start: int, count: NDArray[np.uint16], last: NDArray[np.int32]
) -> None:
    """Add to ``count`` the clear looks from ``start`` on, and set ``last`` to the day of the last clear look of all."""
    for t in range(clear.shape[0]):
        row, day = clear[t], days[t]
        for pixel in range(row.size):
            last[pixel] = day if row[pixel] else last[pixel]
        if t >= start:
            for pixel in range(row.size):
                count[pixel] += row[pixel]
