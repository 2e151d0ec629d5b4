"""What is known of a tile's pixels after its looks, and how later looks of the same year of monitoring add to it.

A pixel without an open anomaly is known by its baseline alone; so are most.  Going on from a memory gives, to the byte, what
all looks from the first would give.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.core.units import to_day
from minewatch.detection.baseline import BRIEF, FULL, Baselines, fit_baselines
from minewatch.detection.candidates import find_candidates
from minewatch.detection.change_map import Episodes
from minewatch.detection.inputs import TileInput
from minewatch.detection.monitor import STATE
from minewatch.detection.rules import make_rules
from minewatch.detection.scene_quality import SceneQuality
from minewatch.detection.series import SCALES, Series
from minewatch.detection.track import join_episodes, list_open, track_epoch, track_pixels


@dataclass(frozen=True)
class TileState:
    """A tile after its looks; pixels are numbered inside the area, row by row."""

    base: Baselines
    """(row, pixel) the latest baselines: BRIEF rows, or FULL where looks are to follow."""

    open: NDArray[np.int64]
    """Pixels with an open anomaly, ascending."""

    state: Any
    """Their STATE records."""

    closed: Episodes
    """EPISODE records of anomalies that have ended; ``row`` holds the pixel's number."""

    seen: NDArray[np.uint16]
    """(pixel,) clear looks since the monitoring began."""

    last: NDArray[np.int32]
    """(pixel,) day of the last clear look, 0 = none."""

    covered: NDArray[np.bool_]
    """(pixel,) True where any scene has had data."""

    @property
    def episodes(self) -> Episodes:
        """All anomalies, in order of the pixels' numbers, and of one pixel in order of time."""
        found = list_open(self.state)
        found["row"] = self.open[found["row"]]
        return join_episodes(self.closed, found)


def process_history(tile: TileInput, scenes: SceneQuality, *, whole: bool = False) -> TileState:
    """Go through all looks of a tile; ``whole`` keeps what later looks need."""
    series, rules = Series.of(tile), make_rules(tile.settings)
    pixels = series.clear.shape[1]
    base, suspect = np.zeros((FULL if whole else BRIEF, pixels), np.int16), np.zeros(pixels, bool)
    terms = series.terms.astype(np.float32)
    for first, start, stop in series.epochs.tolist():
        fit_baselines(series.codes, series.clear, first, start, series.terms[0], series.products, SCALES, rules, base)
        find_candidates(
            series.codes[0], series.clear, start, stop, base, terms, SCALES[0], scenes.numbers, scenes.agrees, rules, suspect
        )
    chosen = np.flatnonzero(suspect)
    followed = track_pixels(series.take(chosen), scenes, rules)
    base[:, chosen] = followed.base[: len(base)]
    closed, is_open = followed.closed.copy(), followed.state.is_open > 0
    closed["row"] = chosen[closed["row"]]
    seen, last = np.zeros(pixels, np.uint16), np.zeros(pixels, np.int32)
    _sum_looks(series.clear, series.days, tile.looks.before(to_day(tile.monitor_from)), seen, last)
    covered = tile.looks.covered[tile.inside]
    return TileState(base, chosen[is_open], followed.state[is_open], closed, seen, last, covered)


def update_history(memory: TileState, tile: TileInput, scenes: SceneQuality) -> TileState:
    """Add later looks to a whole memory: ``tile`` and ``scenes`` hold these alone, all of the memory's year of monitoring."""
    series, rules = Series.of(tile), make_rules(tile.settings)
    looks, pixels = series.clear.shape
    suspect = np.zeros(pixels, bool)
    suspect[memory.open] = True
    terms = series.terms.astype(np.float32)
    find_candidates(
        series.codes[0], series.clear, 0, looks, memory.base, terms, SCALES[0], scenes.numbers, scenes.agrees, rules, suspect
    )
    chosen = np.flatnonzero(suspect)
    state = np.zeros(len(chosen), STATE).view(np.recarray)
    state.last_clear = memory.last[chosen]
    state[np.searchsorted(chosen, memory.open)] = memory.state
    part = series.take(chosen)
    base, trace = np.ascontiguousarray(memory.base[:, chosen]), np.zeros((1, 2, looks), np.int8)
    closed = track_epoch(part, 0, looks, scenes, rules, base, state, part.clear.copy(), trace)
    closed["row"] = chosen[closed["row"]]
    seen, last = memory.seen.copy(), memory.last.copy()
    _sum_looks(series.clear, series.days, 0, seen, last)
    is_open = state.is_open > 0
    return replace(
        memory,
        open=chosen[is_open],
        state=state[is_open],
        closed=np.concatenate([memory.closed, closed]),
        seen=seen,
        last=last,
        covered=memory.covered | tile.looks.covered[tile.inside],
    )


@njit(nogil=True, cache=True)
def _sum_looks(
    clear: NDArray[np.bool_], days: NDArray[np.int32], start: int, seen: NDArray[np.uint16], last: NDArray[np.int32]
) -> None:
    """Count the clear looks from ``start`` on, and find the day of the last of all."""
    for t in range(clear.shape[0]):
        row, day = clear[t], days[t]
        for pixel in range(row.size):
            last[pixel] = day if row[pixel] else last[pixel]
        if t >= start:
            for pixel in range(row.size):
                seen[pixel] += row[pixel]
