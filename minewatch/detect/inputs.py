"""Everything that detection in one tile depends on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.detect.looks import Looks
from minewatch.grid import Window
from minewatch.pipeline import Detector
from minewatch.units import SCALE, to_day


@dataclass(frozen=True)
class Epoch:
    """A year of monitoring and the years that its baseline is made from."""

    history: slice
    """Looks that feed the baseline."""

    looks: slice
    """Looks that are monitored."""


@dataclass(frozen=True)
class TileInput:
    """A tile with its halo."""

    looks: Looks
    """All looks of the tile, halo included, up to the as-of date."""

    inside: NDArray[np.bool_]
    """(y, x) True inside the area."""

    window: Window
    """Where it lies on the grid."""

    settings: Detector
    """How to detect."""

    monitor_from: dt.date
    """First acquisition that may raise an alert."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.window.shape

    def epochs(self) -> Iterator[Epoch]:
        """Cut the looks into years after monitor_from, each with the years before it; the first is always there."""
        looks, year = self.looks, 0
        while year == 0 or looks.before(to_day(_add_years(self.monitor_from, year))) < len(looks.days):
            first, start, end = (_add_years(self.monitor_from, year + step) for step in (-self.settings.baseline_years, 0, 1))
            history = slice(looks.before(to_day(first)), looks.before(to_day(start)))
            yield Epoch(history, slice(history.stop, looks.before(to_day(end))))
            year += 1

    def values(self, layer: str, looks: int | slice) -> NDArray[np.float32]:
        """Give a layer as (pixel,) or (time, pixel) float32 in its own unit."""
        part = self.looks.layers[layer][looks]
        return (part.reshape(*part.shape[:-2], -1) / np.float32(SCALE)).astype(np.float32)

    def clear(self, looks: int | slice) -> NDArray[np.bool_]:
        """Tell what is clear, as (pixel,) or (time, pixel)."""
        part = self.looks.clear[looks]
        return part.reshape(*part.shape[:-2], -1)

    def history(self, layer: str, epoch: Epoch) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.int32]]:
        """Give values, use and days of the looks that a baseline is made from."""
        return self.values(layer, epoch.history), self.clear(epoch.history), self.looks.days[epoch.history]


def _add_years(date: dt.date, years: int) -> dt.date:
    try:
        return date.replace(year=date.year + years)
    except ValueError:  # 29 February
        return date.replace(year=date.year + years, day=28)
