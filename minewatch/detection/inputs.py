"""The input of detection in one tile: its looks, settings and dates."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.areas.grid import Window
from minewatch.core.units import add_years, to_day
from minewatch.detection.looks import Looks
from minewatch.settings.pipeline import DetectorSettings


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

    until: dt.date
    """As-of date."""

    def epochs(self) -> NDArray[np.int64]:
        """Return the looks of each year after monitor_from, as :class:`Series` has them; there is always a first year."""
        years = range(count_epochs(self.monitor_from, int(self.looks.days[-1]) if len(self.looks.days) else 0))
        edges = [[add_years(self.monitor_from, year + step) for step in (-self.settings.baseline_years, 0, 1)] for year in years]
        return np.array([[self.looks.before(to_day(date)) for date in dates] for dates in edges], np.int64)


def count_epochs(monitor_from: dt.date, last_day: int) -> int:
    """Count the years of monitoring, begun ones included, up to a day (since 1970-01-01); at least one."""
    years = 1
    while to_day(add_years(monitor_from, years)) <= last_day:
        years += 1
    return years
