"""The times that a bulletin speaks of: a month, the year up to its end, and the same month a year before."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from minewatch.core.errors import ReportError


@dataclass(frozen=True, order=True)
class Period:
    """Days running."""

    first: dt.date
    """The first of them."""

    last: dt.date
    """The last of them."""

    @property
    def before(self) -> dt.date:
        """The day before the first."""
        return self.first - dt.timedelta(days=1)

    def cut(self, first: dt.date, last: dt.date) -> Period | None:
        """Return the days of it that lie between two; None where there are none."""
        begin, end = max(self.first, first), min(self.last, last)
        return Period(begin, end) if begin <= end else None


def parse_month(text: str) -> Period:
    """Return the days of a month, given as 2025-06; raises ReportError where it is none."""
    found = re.fullmatch(r"(\d{4})-(\d{2})", text.strip())
    if not found or not (1 <= int(found[2]) <= 12 and int(found[1]) > 1970):
        raise ReportError(f"--month {text!r} is no month; give year and month, for example 2025-06")
    year, month = int(found[1]), int(found[2])
    following = dt.date(year + month // 12, month % 12 + 1, 1)
    return Period(dt.date(year, month, 1), following - dt.timedelta(days=1))


def begin_with_year(month: Period) -> Period:
    """Return the days from the first of January to the end of a month."""
    return Period(month.first.replace(month=1), month.last)


def go_back_a_year(month: Period) -> Period:
    """Return the same month of the year before."""
    return parse_month(f"{month.first.year - 1:04d}-{month.first.month:02d}")
