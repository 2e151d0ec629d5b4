"""The input of detection in one tile: its looks, settings and dates."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.areas.grid import Window
from minewatch.core.units import to_day
from minewatch.detection.looks import Looks
from minewatch.settings.pipeline import DetectorSettings


@dataclass(frozen=True)
class Epoch:
    """A year of monitoring and the years that its baseline is made from."""

    history: slice
    """Looks that feed the baseline."""

    looks: slice
    """Looks that are monitored."""


@dataclass(frozen=True)
class TileInput:
    """A tile."""

    looks: Looks
    """All its looks up to the as-of date."""

    inside: NDArray[np.bool_]
    """(y, x) True inside the area."""

    window: Window
    """Where it lies on the grid."""

    settings: DetectorSettings
    """How to detect."""

    monitor_from: dt.date
    """First acquisition that may raise an alert."""

    def epochs(self) -> Iterator[Epoch]:
        """Yield the years after monitor_from, each with the years before it; there is always a first."""
        looks = self.looks
        for year in range(count_epochs(self.monitor_from, int(looks.days[-1]) if len(looks.days) else 0)):
            first, start, end = (_add_years(self.monitor_from, year + step) for step in (-self.settings.baseline_years, 0, 1))
            history = slice(looks.before(to_day(first)), looks.before(to_day(start)))
            yield Epoch(history, slice(history.stop, looks.before(to_day(end))))


def count_epochs(monitor_from: dt.date, last_day: int) -> int:
    """Count the years of monitoring, begun ones included, up to a day (since 1970-01-01); at least one."""
    years = 1
    while to_day(_add_years(monitor_from, years)) <= last_day:
        years += 1
    return years


def _add_years(date: dt.date, years: int) -> dt.date:
    try:
        return date.replace(year=date.year + years)
    except ValueError:  # 29 February
        return date.replace(year=date.year + years, day=28)
