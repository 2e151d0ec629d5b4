"""The chance that a lasting clearing would have been confirmed, from the pixels that were blind to it on each day."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from minewatch.core.text import format_day, format_percent
from minewatch.detection.lasting import LASTING_DAYS


@dataclass(frozen=True)
class Chance:
    """Whether a clearing of LASTING_DAYS would have been confirmed while it was bare, on the watched ground of an area.

    A share of clearings is one of all places and days of onset alike; None where no ground was watched, or not for long enough.
    """

    share: float | None
    """Share of clearings that would have been confirmed."""

    months: Mapping[str, float] = field(default_factory=dict)
    """The same for the clearings that begin in a month, YYYY-MM."""

    blind_from: dt.date | None = None
    """First day of onset of the longest time in which at least half of the clearings would not have been; None: never."""

    blind_to: dt.date | None = None
    """Its last day of onset."""

    blind_share: float | None = None
    """Share of the clearings of that time that would not have been confirmed."""

    def describe(self) -> str:
        """Return in one line what would have been confirmed; empty where nothing can be said."""
        if self.share is None:
            return ""
        text = (
            f"a clearing that lasts {LASTING_DAYS} days would have been confirmed on {_percent(self.share)} of the watched ground"
        )
        if self.blind_from is None or self.blind_to is None or self.blind_share is None:
            return text
        first, last = format_day(self.blind_from), format_day(self.blind_to)
        when = f"on {first}" if first == last else f"from {first} to {last}"
        return f"{text}; blind to those that began {when} on {_percent(self.blind_share)}"


def judge_chance(blind: NDArray[np.int64], watched: int, monitor_from: dt.date) -> Chance:
    """Return the chance of a clearing from the number of blind pixels by day of onset, (day,), and that of the watched ones."""
    if not watched or not len(blind):
        return Chance(None)
    by_month = defaultdict(list)
    for day, count in enumerate(blind.tolist()):
        by_month[f"{monitor_from + dt.timedelta(day):%Y-%m}"].append(count)
    months = {month: 1 - sum(counts) / (watched * len(counts)) for month, counts in by_month.items()}
    share = 1 - int(blind.sum()) / (watched * len(blind))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], 2 * blind >= watched, [False]])))
    if not len(edges):
        return Chance(share, months)
    begins, ends = edges[::2], edges[1::2]
    longest = int((ends - begins).argmax())
    begin, end = int(begins[longest]), int(ends[longest])
    first, last = (monitor_from + dt.timedelta(day) for day in (begin, end - 1))
    return Chance(share, months, first, last, int(blind[begin:end].sum()) / (watched * (end - begin)))


def _percent(share: float) -> str:
    """Return a share in per cent; only 0 is written as 0 %, and only 1 as 100 %."""
    return format_percent(share if share in (0, 1) else min(max(share, 0.01), 0.99))
