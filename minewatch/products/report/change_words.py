"""Says when the ground of an alert changed, in the words of a report."""

from __future__ import annotations

import datetime as dt

from minewatch.products.report.texts import Texts


def describe_change(last_normal: dt.date | None, first_seen: dt.date, texts: Texts) -> str:
    """Return a sentence on when the ground of an alert changed, and how many days lie between the two looks."""
    if last_normal is None:
        return texts.text("changed_open", first=texts.date(first_seen))
    begin = texts.day_of_year(last_normal) if last_normal.year == first_seen.year else texts.date(last_normal)
    return texts.count("changed_days", (first_seen - last_normal).days, last=begin, first=texts.date(first_seen))
