"""The life of an alert in dates: between which looks its ground changed, and what became of it after it was confirmed."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from minewatch.alerts.cells import read_day
from minewatch.alerts.record import CLOSED, CONFIRMED, DISMISSED
from minewatch.core.text import count_of, format_day

STILL_BARE, GREEN_AGAIN, MERGED = "still_bare", "green_again", "merged"
FATES = (STILL_BARE, GREEN_AGAIN, MERGED)
"""What may become of a confirmed alert."""

WORDS: Mapping[str, str] = {STILL_BARE: "still bare", GREEN_AGAIN: "green again", MERGED: "merged into another"}
"""What each fate is called."""


def find_last_before(last_normal: dt.date | None, monitor_from: dt.date) -> dt.date:
    """Return the last day whose looks may show an alert's ground without the change.

    Between the last normal look and the first with the change, a look may show the change already; where no normal look is
    known, so may all since monitoring began.
    """
    return last_normal or monitor_from - dt.timedelta(days=1)


def describe_bracket(last_normal: dt.date | None, first_seen: dt.date) -> str:
    """Return when the ground of an alert changed: between its last normal look and the first that shows the change."""
    if last_normal is None:
        return f"not later than {format_day(first_seen)}: no normal look is known before"
    return f"between {format_day(last_normal)} and {format_day(first_seen)}"


def describe_change_days(last_normal: dt.date | None, first_seen: dt.date) -> str:
    """Return the bracket as a sentence with its length: the ground changed between 7 April and 16 June 2019 (70 days)."""
    if last_normal is None:
        return f"the ground changed {describe_bracket(None, first_seen)}"
    last = format_day(last_normal)
    last = last.removesuffix(f" {last_normal.year}") if last_normal.year == first_seen.year else last
    days = count_of((first_seen - last_normal).days, "day")
    return f"the ground changed between {last} and {format_day(first_seen)} ({days})"


# --- its two looks -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LookPair:
    """The two looks that show an alert before and after its change; whatever shows an alert shows these."""

    before: dt.date | None
    """The last normal look; None where none is known, and then nothing shows the ground before."""

    after: dt.date
    """The look that confirmed it; of an alert that was never confirmed, the last look that shows it."""

    is_confirming: bool
    """True where ``after`` is the look that confirmed it."""


def find_look_pair(row: Mapping[Any, Any]) -> LookPair:
    """Return the two looks of an alert: a row of the table, or the fields of an Alert."""
    confirmed_on, last_seen = (read_day(row[name]) for name in ("confirmed_on", "last_seen"))
    after = confirmed_on or last_seen
    assert after is not None, "an alert was seen"
    return LookPair(read_day(row["last_normal"]), after, confirmed_on is not None)


# --- after the confirmation -----------------------------------------------------------------------------------------------


def find_green_again(row: Mapping[Any, Any]) -> dt.date | None:
    """Return the look from which confirmed ground counts as green again; None where it is open, part of another, or unproven."""
    return None if row["merged_into"] or read_day(row["confirmed_on"]) is None else read_day(row["closed_on"])


def find_fate(row: Mapping[Any, Any]) -> str | None:
    """Return what became of an alert, one of FATES; None where it was never confirmed, or a person dismissed it."""
    if row["status"] not in (CONFIRMED, CLOSED) or read_day(row["confirmed_on"]) is None:
        return None
    if row["status"] == CONFIRMED:
        return STILL_BARE
    return MERGED if row["merged_into"] else GREEN_AGAIN


def describe_fate(row: Mapping[Any, Any]) -> str:
    """Return what became of an alert in words; '' where it was never confirmed, or a person dismissed it."""
    fate = find_fate(row)
    if fate == MERGED:
        return f"merged into {row['merged_into']}"
    day = find_green_again(row)
    return f"green again since {format_day(day)}" if fate == GREEN_AGAIN and day else WORDS.get(fate or "", "")


@dataclass(frozen=True)
class FateCount:
    """How many alerts were ever confirmed, by what became of them; those that a person dismissed are not counted."""

    still_bare: int = 0
    """Open: the ground is bare on the as-of date."""

    green_again: int = 0
    """Closed, since the vegetation is back."""

    merged: int = 0
    """Closed, since their ground is part of another alert."""

    @classmethod
    def of(cls, rows: Iterable[Mapping[Any, Any]]) -> Self:
        """Count rows of the table."""
        found = Counter(filter(None, map(find_fate, rows)))
        return cls(**{fate: found[fate] for fate in FATES})

    @property
    def confirmed(self) -> int:
        """All of them."""
        return self.still_bare + self.green_again + self.merged

    def describe(self, since: dt.date | None = None) -> str:
        """Return the numbers in words; ``since`` is the day on which monitoring began."""
        period = f" since {format_day(since)}" if since else ""
        if not self.confirmed:
            return f"no alert confirmed{period}"
        parts = [f"{count} {WORDS[fate]}" for fate in FATES if (count := getattr(self, fate))]
        return f"{count_of(self.confirmed, 'alert')} confirmed{period}: {', '.join(parts)}"

    def as_data(self) -> dict[str, int]:
        """Return the numbers for JSON."""
        return {"confirmed": self.confirmed, **{fate: getattr(self, fate) for fate in FATES}}


def is_ever_confirmed(row: Mapping[Any, Any]) -> bool:
    """True if an alert was ever confirmed, and not dismissed by a person."""
    return row["status"] != DISMISSED and read_day(row["confirmed_on"]) is not None
