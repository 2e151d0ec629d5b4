"""What the evidence says of law and place, as rows of the page; columns that older evidence lacks are left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minewatch.alerts.context.legal_basis import read_legal_basis
from minewatch.core.text import show
from minewatch.products.evidence.read_me.facts import ReadMeFacts
from minewatch.products.evidence.read_me.wording import Wording
from minewatch.products.report.law_words import LawWords, describe_law

OVERLAPS = (
    ("overlap_concession", "concession", "concession_ha", "concession_pct"),
    ("overlap_protected", "protected_area", "protected_ha", "protected_pct"),
    ("overlap_territory", "territory", "territory_ha", "territory_pct"),
)
"""Key of the text, and the columns, of what an alert may overlap."""

NO_LAW = {"legal_status": "", "legal_reason": "", "legal_basis": ""}
"""What evidence of format 1 may lack."""

MOST_TITLES = 12
"""Concessions that are listed; alert.geojson has all."""

Row = tuple[str, str]
"""Label and text."""


def list_law(facts: ReadMeFacts, words: Wording) -> list[Row]:
    """Return the legal status, what it rests on, and the overlap with each kind of area."""
    said = describe_law({**NO_LAW, **facts.alert}, words.texts, facts.made.date())
    has_bracket = read_legal_basis(facts.alert.get("legal_basis")) is not None
    status = words.texts.text("column_legal_status"), _describe_status(facts, words, has_bracket=has_bracket)
    stale = [(words.texts.text("stale_label"), line) for line in said.stale]
    return [status, *_list_titles(said, words), *_list_files(said, words), *stale, *_list_overlaps(facts.alert, words)]


def _describe_status(facts: ReadMeFacts, words: Wording, *, has_bracket: bool) -> str:
    """Return the status and what it means: judged over the whole bracket, or, in older evidence, on the day of the first look."""
    texts, status = words.texts, str(facts.alert.get("legal_status") or "unknown")
    label = texts.text(f"legal_{status}") if f"legal_{status}" in texts.words else show(status)
    when = texts.text("law_when_bracket") if has_bracket else texts.text("law_when_day", date=texts.date(facts.first_seen))
    reason = str(facts.alert.get("legal_reason") or "").replace("-", "_")
    key = f"law_{status}_{reason}" if reason else f"law_{status}"
    return f"{label}{texts.colon} {texts.text(key, when=when)}" if key in texts.words else label


def _list_titles(said: LawWords, words: Wording) -> Iterator[Row]:
    for title in said.titles[:MOST_TITLES]:
        name = ", ".join(filter(None, (title.name, title.id))) or "–"
        period = "; ".join(filter(None, (title.standing, title.validity)))
        facts = {"name": name, "period": period, "hectares": title.hectares, "layer": title.layer}
        decides = words.texts.text("title_decides") if title.decides else ""
        yield words.texts.text("title_label"), "; ".join(filter(None, (words.texts.text("title", **facts), decides)))


def _list_files(said: LawWords, words: Wording) -> Iterator[Row]:
    for file in said.files:
        stated = {"file": file.file, "modified": file.modified, "sha256": file.sha256}
        yield words.texts.text("layer_label", name=file.layer), words.texts.text("layer_file", **stated)


def _list_overlaps(alert: Mapping[str, Any], words: Wording) -> list[Row]:
    """Return the overlap with each kind of area; kinds of which the same is to be said share a row."""
    said: dict[str, list[str]] = {}
    for key, name, area, share in OVERLAPS:
        text = _describe_overlap(alert.get(name), alert.get(area), alert.get(share), words)
        said.setdefault(text, []).append(words.texts.text(key))
    return [(_join(labels), text) for text, labels in said.items()]


def _join(labels: Sequence[str]) -> str:
    return ", ".join([labels[0], *(label[:1].lower() + label[1:] for label in labels[1:])])


def _describe_overlap(name: Any, hectares: Any, share: Any, words: Wording) -> str:
    if hectares is None:
        return words.texts.text("overlap_unknown")
    if not hectares:
        return words.texts.text("overlap_none")
    percent = words.texts.percent(float(share or 0) / 100)
    return words.texts.text("overlap", name=show(name or "–"), hectares=words.texts.number(hectares, "#,##0.00"), share=percent)
