"""Chooses the looks that are read where an area has a budget of bytes.

The budget is split by calendar quarter, from the area's settings alone: it pays the years of the first baseline and the first
year of monitoring, and each later quarter costs as much.  Within a quarter, items are decided in the order in which they were
acquired, by those before them: whoever scans every night chooses what one scan at the end would choose, and an item that comes
late changes what is chosen after it in its own quarter, no other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import COARSE_PIXEL, PIXEL
from minewatch.core.units import add_years

CLOUDIEST = 90.0
"""Cloud cover of a tile, per cent, from which not even the scene classes of the area are looked at."""

LEAST_CLEAR = 0.1
"""Share of the area that a look must show to be worth its bytes."""

HEAD_START = 0.5
"""Share of a quarter's bytes that is at hand on its first day; the rest comes evenly, day by day.  The first look of a quarter
may take it all, where it is clear enough."""

PATIENCE = 0.9
"""Clear share that a look needs where the bytes at hand pay just for it; the more bytes are at hand, the less it needs."""

FULL_LOOKS = 4.0
"""Looks in pixels of 10 m that a quarter's bytes must pay for; else they are read in pixels of 20 m, where that is cheaper."""

WATCHED = 1.5
"""Bytes of a day of monitoring, of those of a day of the baseline: a change needs looks soon, a baseline only enough of them."""

RESERVE = 0.1
"""Share of a quarter's bytes that is kept for looking at the scene classes of what comes later in it."""


@dataclass(frozen=True)
class Candidate:
    """An overpass over an area that may be read."""

    key: str
    """Of its datatake."""

    day: dt.date
    """Acquisition date, UTC."""

    clear_share: float = 0.0
    """Share of the area that is clear."""

    looked: int = 0
    """Bytes that it took to find that out."""

    size: int | None = None
    """Bytes that reading it takes; None where it is not worth reading, or was not looked at."""

    coarse_size: int | None = None
    """Bytes that reading it in pixels of 20 m takes; None where that saves nothing."""


@dataclass(frozen=True)
class Split:
    """How a budget is spread over the days."""

    first: dt.date
    """First acquisition of the baseline; nothing is paid for before it."""

    monitor_from: dt.date
    """First acquisition that may raise an alert; from it on a day has WATCHED times the bytes of one before."""

    daily: float
    """Bytes of a day of the baseline."""

    def pay(self, start: dt.date, end: dt.date) -> float:
        """Return the bytes of the days from ``start`` up to the one before ``end``."""
        start = max(start, self.first)
        watched = max(0, (end - max(start, self.monitor_from)).days)
        return self.daily * (max(0, (end - start).days) + (WATCHED - 1) * watched)


def split_budget(area: AreaPlan) -> Split:
    """Return how an area's budget is spread: it pays the days of the first baseline and of the first year of monitoring."""
    assert area.budget is not None, "only areas with a budget choose"
    whole = Split(area.history_from, area.monitor_from, 1.0)
    return replace(whole, daily=area.budget / whole.pay(area.history_from, add_years(area.monitor_from, 1)))


def choose_looks(candidates: Iterable[Candidate], split: Split) -> dict[str, int]:
    """Return the looks to read: key to metres of the pixels that are read."""
    quarters: dict[dt.date, list[Candidate]] = {}
    for one in sorted(candidates, key=lambda candidate: (candidate.day, candidate.key)):
        quarters.setdefault(find_quarter(one.day), []).append(one)
    return {key: pixel for start, members in quarters.items() for key, pixel in _choose_in_quarter(members, start, split)}


def find_quarter(day: dt.date) -> dt.date:
    """Return the first day of a day's calendar quarter."""
    return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)


def _choose_in_quarter(candidates: Sequence[Candidate], start: dt.date, split: Split) -> list[tuple[str, int]]:
    share, spent = split.pay(start, find_quarter(start + dt.timedelta(days=100))), 0.0
    chosen: list[tuple[str, int]] = []
    for one in candidates:
        spent += one.looked
        due = split.pay(start, one.day + dt.timedelta(days=1))
        left = share - RESERVE * (share - due) - spent
        at_hand = min(left, left - (1 - HEAD_START) * share + due)
        size, pixel = _choose_pixel(one, share)
        if size is None or size > (at_hand if chosen else left):
            continue
        if one.clear_share >= max(LEAST_CLEAR, PATIENCE * min(1.0, size / max(at_hand, 1.0))):
            spent += size
            chosen.append((one.key, pixel))
    return chosen


def _choose_pixel(one: Candidate, share: float) -> tuple[int | None, int]:
    """Return the bytes of a look and the metres of the pixels to read, by what a quarter's share would pay for."""
    if one.size is None or one.coarse_size is None or one.size * FULL_LOOKS <= share:
        return one.size, PIXEL
    return one.coarse_size, COARSE_PIXEL
