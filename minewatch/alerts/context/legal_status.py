"""The legal status of an alert, judged over the whole time in which its ground may have changed.

The ground changed between the last normal look and the first that shows the change; clouds decide how far these lie apart.
So the status is judged on every day between.  That it was inside a concession is only told where it was on all of them;
ground that was not on any of them has the status that grants most of those it had.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from minewatch.alerts.context.overlap import Overlap, measure_union
from minewatch.alerts.context.terms import (
    ALWAYS,
    APPLICATION,
    EXPIRED,
    EXPLORATION,
    INSIDE,
    LAPSED,
    LEGAL,
    NEVER,
    NO_DATES,
    NO_STATUS,
    OUTSIDE,
    PARTLY_VALID,
    TITLE,
    UNKNOWN,
    UNREAD,
)  # fmt: skip

INSIDE_SHARE = 0.5
"""Share of an alert's area in concessions from which it counts as inside."""


@dataclass(frozen=True)
class JudgedPeriod:
    """Days running on which the status is the same."""

    first: dt.date
    """ALWAYS where nothing is known before."""

    last: dt.date
    """The last of them."""

    status: str
    """One of LEGAL."""

    deciding: tuple[Overlap, ...]
    """The concessions that decide it on any of these days."""


@dataclass(frozen=True)
class Verdict:
    """The legal status of an alert, and why."""

    status: str
    """One of LEGAL."""

    reason: str
    """One of REASONS where the status is unknown, '' otherwise."""

    deciding: tuple[Overlap, ...]
    """The concessions that decide it; where titles were valid for a part of the time, those that were."""

    periods: tuple[JudgedPeriod, ...]
    """The time in which the ground may have changed."""


_PERHAPS, _ENDED, _NOTHING = "perhaps", "ended", ""
"""What a row can be on a day beside a title, an application and a permit to explore: a title, as far as is known; over, or not
begun; of no effect yet."""


def assess_legal_status(found: Sequence[Overlap], day: dt.date, total: float) -> tuple[str, Sequence[Overlap]]:
    """Return the legal status of a site of ``total`` hectares on a day, and the rows of registers that decide it."""
    held: dict[str, list[Overlap]] = {}
    for overlap in found:
        held.setdefault(_judge_row(overlap, day), []).append(overlap)
    titles, perhaps = held.get(TITLE, []), held.get(_PERHAPS, [])
    if _is_half(titles, total):
        return INSIDE, titles
    together = [*titles, *perhaps]
    if perhaps and _is_half(together, total):
        return UNKNOWN, perhaps
    for kind, status in ((APPLICATION, APPLICATION), (EXPLORATION, EXPLORATION), (_ENDED, EXPIRED)):
        rows = held.get(kind, [])
        together += rows
        if rows and _is_half(together, total):
            return status, rows
    return OUTSIDE, ()


def _judge_row(overlap: Overlap, day: dt.date) -> str:
    """Return what a row of a register is on a day."""
    if overlap.standing == APPLICATION:
        return APPLICATION if overlap.applied is None or overlap.applied <= day else _NOTHING
    if overlap.period and not overlap.period[0] <= day <= overlap.period[1]:
        return _ENDED
    if overlap.standing == EXPLORATION:
        return EXPLORATION
    if overlap.standing == LAPSED and overlap.as_of and day >= overlap.as_of:
        return _ENDED
    if overlap.standing in (LAPSED, UNREAD) or not overlap.period:
        return _PERHAPS  # since when a row has lapsed is not in the register: it may have been valid on an earlier day
    return TITLE


def _is_half(found: Sequence[Overlap], total: float) -> bool:
    # Exactly one half counts, whatever the last digits say.
    return bool(found) and measure_union(found) >= INSIDE_SHARE * total * (1 - 1e-5)


def assess_bracket(found: Sequence[Overlap], last_normal: dt.date | None, first_seen: dt.date, total: float) -> Verdict:
    """Return the legal status of a site of ``total`` hectares whose ground changed between two days, both included.

    Where no normal look is known (None), the ground may have changed on any day up to ``first_seen``.
    """
    periods = judge_bracket(found, last_normal, first_seen, total)
    statuses = {period.status for period in periods}
    if INSIDE in statuses and statuses - {INSIDE, UNKNOWN}:
        return Verdict(UNKNOWN, PARTLY_VALID, _list_deciding(periods, INSIDE), periods)
    if UNKNOWN in statuses:
        deciding = _list_deciding(periods, UNKNOWN)
        is_unread = any(overlap.standing == UNREAD for overlap in deciding)
        return Verdict(UNKNOWN, NO_STATUS if is_unread else NO_DATES, deciding, periods)
    status = min(statuses, key=LEGAL.index)
    return Verdict(status, "", _list_deciding(periods, status), periods)


def judge_bracket(
    found: Sequence[Overlap], last_normal: dt.date | None, first_seen: dt.date, total: float
) -> tuple[JudgedPeriod, ...]:
    """Judge every day between two; the status can change only where a concession begins or has ended."""
    start = min(last_normal or ALWAYS, first_seen)
    days = {start} | {day for day in _list_changes(found) if start < day <= first_seen}
    periods: list[JudgedPeriod] = []
    for day in sorted(days):
        status, deciding = assess_legal_status(found, day, total)
        if periods and periods[-1].status == status:
            together = tuple(dict.fromkeys([*periods[-1].deciding, *deciding]))
            periods[-1] = replace(periods[-1], deciding=together)
            continue
        if periods:
            periods[-1] = replace(periods[-1], last=day - dt.timedelta(days=1))
        periods.append(JudgedPeriod(day, first_seen, status, tuple(deciding)))
    return tuple(periods)


def _list_changes(found: Sequence[Overlap]) -> set[dt.date]:
    """Return the days on which what a row is can change: its first, that after its last, and those the register knows."""
    known = [overlap.period for overlap in found if overlap.period]
    stated = {day for overlap in found for day in (overlap.applied, overlap.as_of) if day}
    return stated | {first for first, _ in known} | {last + dt.timedelta(days=1) for _, last in known if last < NEVER}


def _list_deciding(periods: Sequence[JudgedPeriod], status: str) -> tuple[Overlap, ...]:
    return tuple(dict.fromkeys(overlap for period in periods if period.status == status for overlap in period.deciding))
