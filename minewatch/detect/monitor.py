"""Follows each pixel from look to look: an anomaly is seen, grows sure, and ends when vegetation is back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.changes import EPISODE, Episodes
from minewatch.pipeline import Detector
from minewatch.units import SCALE

Bool = NDArray[np.bool_]
Float = NDArray[np.float32]
Int = NDArray[np.int32]


@dataclass(frozen=True)
class Evidence:
    """What one look says of each pixel."""

    day: int
    """Days since 1970-01-01."""

    clear: Bool
    """(pixel,) the ground shows, and the baseline of this date stands clear of bare ground."""

    seen: Bool
    """(pixel,) the ground shows."""

    anomalous: Bool
    """(pixel,) part of a patch that lost its vegetation."""

    strength: Float
    """(pixel,) share of the vegetation that is lost, 0 to 1."""

    ndvi: Float
    """(pixel,) difference from the baseline."""

    bsi: Float
    """(pixel,) difference from the baseline."""


class Monitor:
    """The state of every pixel between two looks; all arrays are (pixel,)."""

    def __init__(self, pixels: int, settings: Detector) -> None:
        self.settings = settings
        self.open = np.zeros(pixels, bool)
        self.strength, self.ndvi, self.bsi = (np.zeros(pixels, np.float32) for _ in range(3))
        self.count, self.looks, self.clean = (np.zeros(pixels, np.int32) for _ in range(3))
        self.first_seen, self.confirmed_on, self.last_seen = (np.zeros(pixels, np.int32) for _ in range(3))
        self.clear_before, self.last_clear = (np.zeros(pixels, np.int32) for _ in range(2))
        self.ended: list[Episodes] = []

    def look(self, evidence: Evidence) -> None:
        """Take in the next look."""
        hit = evidence.clear & evidence.anomalous
        self._begin(hit & ~self.open, evidence.day)
        self._gather(hit & self.open, evidence)
        self.looks[self.open & evidence.seen] += 1
        quiet = self.open & evidence.clear & ~hit
        self.clean[quiet] += 1
        sure = self.open & (self.confirmed_on == 0) & (self.count >= 2)
        mean = 100 * self.strength / np.maximum(self.count, 1)
        self.confirmed_on[sure & (mean * self.count**2 >= self.settings.confirmation)] = evidence.day
        self._end(quiet & (self.clean >= self._patience()), evidence.day)
        self.last_clear[evidence.seen] = evidence.day

    def _begin(self, new: Bool, day: int) -> None:
        self.open |= new
        for total in (self.strength, self.ndvi, self.bsi, self.count, self.looks, self.clean, self.confirmed_on):
            total[new] = 0
        self.first_seen[new] = day
        self.clear_before[new] = self.last_clear[new]

    def _gather(self, hit: Bool, evidence: Evidence) -> None:
        self.strength[hit] += evidence.strength[hit]
        self.ndvi[hit] += evidence.ndvi[hit]
        self.bsi[hit] += evidence.bsi[hit]
        self.count[hit] += 1
        self.clean[hit] = 0
        self.last_seen[hit] = evidence.day

    def _patience(self) -> Int:
        return np.where(self.confirmed_on > 0, self.settings.clean_looks_confirmed, self.settings.clean_looks)

    def _end(self, over: Bool, day: int) -> None:
        if over.any():
            self.ended.append(self._record(over, day))
            self.open &= ~over

    def _record(self, which: Bool, closed_on: int) -> Episodes:
        episodes = np.zeros(int(which.sum()), EPISODE)
        episodes["row"] = np.flatnonzero(which)
        episodes["closed_on"] = closed_on
        episodes["provisional_on"] = self.first_seen[which]
        for name in ("first_seen", "confirmed_on", "last_seen", "clear_before", "looks"):
            episodes[name] = getattr(self, name)[which]
        count = np.maximum(self.count[which], 1)
        episodes["ndvi_change"] = np.rint(self.ndvi[which] / count * SCALE)
        episodes["bsi_change"] = np.rint(self.bsi[which] / count * SCALE)
        return episodes

    def episodes(self) -> Episodes:
        """Give every anomaly so far; ``row`` holds the flat pixel number."""
        return np.concatenate([*self.ended, self._record(self.open, 0)])
