"""The words of the page in one language: its own texts, and those that it shares with reports."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from minewatch.core.text import show
from minewatch.products.evidence.custody_log import CustodyEntry
from minewatch.products.evidence.read_me.decision_rows import DecisionRow
from minewatch.products.report.texts import Texts, read_texts

FOLDER = Path(__file__).parent / "texts"

LONG = 600
"""Characters of what people wrote that are printed; all of it is in the files of the pack."""

DIGITS = 16
"""Of the SHA-256 of a file that left, as printed; custody.jsonl has all."""


@dataclass(frozen=True)
class Wording:
    """The page's words in one language."""

    texts: Texts
    """Those of reports, and its own."""

    def write_hectares(self, hectares: float) -> str:
        """Return an area."""
        return self.texts.count("hectares", hectares, "#,##0.00")

    def write_signed(self, change: float) -> str:
        """Return a change of an index, with its sign."""
        return self.texts.number(change, "+0.00;-0.00").replace("-", "\N{MINUS SIGN}")

    def moment(self, when: str) -> str:
        """Return a time of the log in UTC, to the second."""
        try:
            return f"{dt.datetime.fromisoformat(when).astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}"
        except ValueError:
            return show(when)

    def describe_entry(self, entry: CustodyEntry) -> str:
        """Return how, for whom and why evidence was handled."""
        said = (("entry_for", entry.recipient), ("entry_from", entry.sender), ("entry_purpose", entry.purpose))
        files = (self.texts.text("entry_file", name=show(name), sha256=sha256[:DIGITS]) for name, sha256, _ in entry.files)
        parts = [show(entry.detail, LONG), *files, *(self.texts.text(key, text=show(text)) for key, text in said if text)]
        return "; ".join(filter(None, parts))

    def name_action(self, entry: CustodyEntry) -> str:
        """Return what was done with evidence."""
        key = f"action_{entry.action.replace('-', '_')}"
        return self.texts.text(key) if key in self.texts.words else show(entry.action)

    def name_review(self, row: DecisionRow) -> str:
        """Return what a person decided."""
        key = f"decision_{row.review.replace('-', '_')}"
        return self.texts.text(key) if key in self.texts.words else show(row.review)

    def describe_decided(self, row: DecisionRow) -> str:
        """Return when it was decided; of an edit in QGIS only a range is known."""
        if row.decided:
            return f"{row.decided:%Y-%m-%d %H:%M:%S}"
        if row.since and row.until:
            return self.texts.text("decided_between", since=f"{row.since:%Y-%m-%d %H:%M}", until=f"{row.until:%Y-%m-%d %H:%M}")
        return self.texts.text("decided_before", until=f"{row.until:%Y-%m-%d %H:%M}") if row.until else "–"

    def describe_reason(self, row: DecisionRow) -> str:
        """Return reason and note."""
        return "; ".join(show(text, LONG) for text in (row.reason, row.note) if text) or "–"


def read_wording(language: str) -> Wording:
    """Return the words of one of LANGUAGES."""
    shared, own = read_texts(language), read_texts(language, FOLDER)
    return Wording(Texts(language, {**shared.words, **own.words}))
