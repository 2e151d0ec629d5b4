"""The legal status of an alert, judged over the whole time in which its ground may have changed.

The ground changed between the last normal look and the first that shows the change; clouds decide how far these lie apart.
So the status is judged on every day between, and is only told where it is the same on all of them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

from minewatch.alerts.context.overlap import Overlap, measure_union
from minewatch.alerts.context.terms import ALWAYS, EXPIRED, INSIDE, NEVER, NO_DATES, OUTSIDE, PARTLY_VALID, UNKNOWN

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


def assess_legal_status(found: Sequence[Overlap], day: dt.date, total: float) -> tuple[str, Sequence[Overlap]]:
    """Return the legal status of a site of ``total`` hectares on a day, and the concessions that decide it."""
    undated = [overlap for overlap in found if overlap.period is None]
    dated = [(overlap, overlap.period) for overlap in found if overlap.period]
    valid = [overlap for overlap, (first, last) in dated if first <= day <= last]
    others = [overlap for overlap, (first, last) in dated if not first <= day <= last]
    if _is_half(valid, total):
        return INSIDE, valid
    if undated and _is_half([*valid, *undated], total):
        return UNKNOWN, undated
    if _is_half(found, total):
        return EXPIRED, others
    return OUTSIDE, ()


def _is_half(found: Sequence[Overlap], total: float) -> bool:
    # Exactly one half counts, whatever the last digits say.
    return bool(found) and measure_union(found) >= INSIDE_SHARE * total * (1 - 1e-5)


def assess_bracket(found: Sequence[Overlap], last_normal: dt.date | None, first_seen: dt.date, total: float) -> Verdict:
    """Return the legal status of a site of ``total`` hectares whose ground changed between two days, both included.

    Where no normal look is known (None), the ground may have changed on any day up to ``first_seen``.
    """
    periods = judge_bracket(found, last_normal, first_seen, total)
    statuses = {period.status for period in periods}
    if {INSIDE, EXPIRED} <= statuses:
        return Verdict(UNKNOWN, PARTLY_VALID, _list_deciding(periods, INSIDE), periods)
    if UNKNOWN in statuses:
        return Verdict(UNKNOWN, NO_DATES, _list_deciding(periods, UNKNOWN), periods)
    (status,) = statuses  # outside is so on every day, since it asks for no date
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
    """Return the first day of each concession, and the day after its last one."""
    known = [overlap.period for overlap in found if overlap.period]
    return {first for first, _ in known} | {last + dt.timedelta(days=1) for _, last in known if last < NEVER}


def _list_deciding(periods: Sequence[JudgedPeriod], status: str) -> tuple[Overlap, ...]:
    return tuple(dict.fromkeys(overlap for period in periods if period.status == status for overlap in period.deciding))
