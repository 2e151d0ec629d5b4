"""Says what a person decided about an alert, when, and from which date it acts, in the words of a report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from minewatch.alerts.cells import read_day
from minewatch.alerts.history import HistoryEvent, read_time
from minewatch.core.text import show
from minewatch.products.report.texts import Texts

if TYPE_CHECKING:
    from minewatch.alerts.decisions import Decision

LONGEST = 1000
"""Characters of a reason or note that are shown."""


@dataclass(frozen=True)
class DecisionFacts:
    """What is known of a decision, wherever that was kept."""

    review: str
    """What was decided."""

    by: str
    """Who; '' where nobody was named."""

    text: str
    """Reason and note."""

    decided_at: dt.datetime | None
    """When, UTC; None for edits of the table, and where it was not recorded."""

    found_at: dt.datetime | None
    """When an edit was found, UTC."""

    made_after: dt.datetime | None
    """When the table was last known to be without the edit, UTC."""

    effective: dt.date | None
    """From which date it acts; None where a scan has yet to take it in."""

    @classmethod
    def of_row(cls, row: Mapping[Any, Any]) -> Self:
        """Read it from a row of the alerts table."""
        review, by, text = (str(row[name] or "").strip() for name in ("review", "reviewed_by", "review_note"))
        decided, found, after = (read_time(row[name]) for name in ("decided_at", "found_at", "made_after"))
        return cls(review, by, text, decided, found, after, read_day(row["effective"]))

    @classmethod
    def of_event(cls, event: HistoryEvent) -> Self:
        """Read it from the history of the table."""
        text = "; ".join(filter(None, (event.reason, event.note)))
        return cls(event.review, event.by, text, event.decided_at, event.found_at, event.made_after, event.as_of)

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """Read it from the decisions file."""
        times = decision.decided, decision.found_at, decision.made_after
        return cls(decision.review, decision.by, decision.text, *times, decision.effective)

    @property
    def is_made(self) -> bool:
        """True if anybody decided or wrote anything."""
        return bool(self.review or self.by or self.text) or self.is_recorded

    @property
    def is_recorded(self) -> bool:
        """True if it is known when it was made, be it as a range."""
        return self.decided_at is not None or self.found_at is not None


def describe_decision(facts: DecisionFacts, texts: Texts) -> str:
    """Return what was decided, when, by whom, from which date it acts, and why; one line."""
    parts = [name_review(facts.review, texts)]
    if facts.is_made:
        parts.append(_describe_making(facts, texts))
    if facts.decided_at and not facts.review:
        parts[0] = texts.text("decision_withdrawn")
    line = " · ".join(parts)
    return f"{line}{texts.colon} {show(facts.text, LONGEST)}" if facts.text else line


def _describe_making(facts: DecisionFacts, texts: Texts) -> str:
    by = show(facts.by) or texts.text("decision_unnamed")
    day = texts.date(facts.effective) if facts.effective else ""
    if facts.decided_at:
        made = texts.text("decision_made", day=texts.date(facts.decided_at.astimezone(dt.UTC).date()), by=by)
    elif facts.found_at and facts.made_after:
        made = texts.text("decision_edit", after=_write(facts.made_after, texts), before=_write(facts.found_at, texts), by=by)
    elif facts.found_at:
        made = texts.text("decision_edit_open", before=_write(facts.found_at, texts), by=by)
    else:
        made = texts.text("decision_unrecorded", by=by)
    return ", ".join([made, texts.text("decision_effective", day=day)] if day else [made])


def _write(time: dt.datetime, texts: Texts) -> str:
    return texts.text("time_utc", time=texts.moment(time.astimezone(dt.UTC)))


def name_review(review: str, texts: Texts) -> str:
    """Return a review in one or two words; an unknown one is shown as it is written."""
    if not review:
        return texts.text("review_")
    key = f"decided_{review.replace('-', '_')}"
    return texts.text(key) if key in texts.words else texts.text("review_other", text=show(review))


def name_person(facts: DecisionFacts, texts: Texts) -> str:
    """Return whose word a review is: confirmed by NAME on DATE; the day of an edit of the table is known as a range only."""
    key = f"said_{facts.review.replace('-', '_')}"
    if key not in texts.words:
        return name_review(facts.review, texts)
    day = texts.date(facts.decided_at.astimezone(dt.UTC).date()) if facts.decided_at else ""
    who = ("by_name" if facts.by else "by_unknown") + ("_on" if day else "")
    return texts.text(key, by=texts.text(who, name=show(facts.by), date=day))


def describe_review_event(event: HistoryEvent, texts: Texts) -> str:
    """Return a review of the table's history; of those that an older version recorded, what it wrote, and from when it acts."""
    facts = DecisionFacts.of_event(event)
    if facts.is_recorded:
        return describe_decision(facts, texts)
    day = [texts.text("decision_effective", day=texts.date(event.as_of))] if event.as_of else []
    return " · ".join([show(event.detail, LONGEST), ", ".join([texts.text("decision_undated"), *day])])
