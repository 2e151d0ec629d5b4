"""Says what the legal status of an alert is, and what it rests on, in the words of a report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minewatch.alerts.context.legal_basis import BasisPeriod, LegalBasis, Title, read_legal_basis
from minewatch.alerts.context.terms import PARTLY_VALID, REASONS
from minewatch.core.text import show
from minewatch.products.report.texts import Texts


@dataclass(frozen=True)
class TitleWords:
    """One title, as a row of a table."""

    name: str
    """Of the title."""

    id: str
    """In its register; '' where it is not known."""

    validity: str
    """Between which days it is valid."""

    hectares: str
    """Of the alert in it, with the share of the alert."""

    decides: bool
    """True if the status rests on it."""

    layer: str
    """The layer that holds it."""


@dataclass(frozen=True)
class FileWords:
    """One file that was consulted, as a row of a table."""

    layer: str
    """Name of the layer."""

    file: str
    """As declared."""

    modified: str
    """When it was last changed."""

    sha256: str
    """Of its bytes."""


@dataclass(frozen=True)
class LawWords:
    """All that is said of the legal status of an alert."""

    status: str
    """The status, and why it is so."""

    judged: str
    """The days that were judged, and the status on them; '' where nothing was."""

    titles: tuple[TitleWords, ...] = ()
    """Those that decide first."""

    others: str = ""
    """That titles are not listed, or that there are none; '' where all are."""

    files: tuple[FileWords, ...] = ()
    """Of the layers that were consulted."""


def describe_law(row: Mapping[Any, Any], texts: Texts) -> LawWords:
    """Say what the legal status of a row of the table is, and what it rests on."""
    status = f"{name_legal_status(row, texts)}{texts.colon} {_explain_status(row, texts)}"
    basis = read_legal_basis(row["legal_basis"])
    if basis is None:
        return LawWords(status, "")
    files = tuple(
        FileWords(show(layer.layer), show(file.file), describe_time(file.modified, texts), show(file.sha256))
        for layer in basis.layers
        for file in layer.files
    )
    judged = "; ".join(_describe_period(period, texts) for period in basis.periods)
    titles = tuple(_describe_title(title, texts) for title in basis.titles)
    return LawWords(status, judged, titles, _describe_others(basis, texts), files)


def name_legal_status(row: Mapping[Any, Any], texts: Texts) -> str:
    """Return the legal status in one or two words."""
    return _name_status(str(row["legal_status"] or "unknown"), texts)


def _name_status(status: str, texts: Texts) -> str:
    key = f"legal_{status}"
    return texts.text(key) if key in texts.words else show(status)


def _explain_status(row: Mapping[Any, Any], texts: Texts) -> str:
    status, reason = str(row["legal_status"] or "unknown"), str(row["legal_reason"] or "")
    key = f"legal_meaning_{reason.replace('-', '_') if reason in REASONS else status}"
    return texts.text(key if key in texts.words else "legal_meaning_unknown")


def explain_doubt(row: Mapping[Any, Any], texts: Texts) -> str:
    """Return why a status that looks unknown is a finding: titles were valid for a part of the time; '' otherwise."""
    return texts.text("legal_meaning_partly_valid") if row["legal_reason"] == PARTLY_VALID else ""


def _describe_period(period: BasisPeriod, texts: Texts) -> str:
    status, last = _name_status(period.status, texts), texts.date(period.last)
    if period.first is None:
        return texts.text("law_period_open", last=last, status=status)
    if period.first == period.last:
        return texts.text("law_period_day", day=last, status=status)
    return texts.text("law_period", first=texts.date(period.first), last=last, status=status)


def _describe_title(title: Title, texts: Texts) -> TitleWords:
    share = texts.percent(title.per_cent / 100)
    hectares, validity = f"{texts.number(title.hectares, '#,##0.00')} ha, {share}", _describe_validity(title, texts)
    return TitleWords(show(title.name), show(title.id), validity, hectares, title.decides, show(title.layer))


def _describe_validity(title: Title, texts: Texts) -> str:
    first, last = title.valid_from, title.valid_to
    if not title.dated:
        return texts.text("law_valid_unknown")
    if first and last:
        return texts.text("law_valid", first=texts.date(first), last=texts.date(last))
    if first:
        return texts.text("law_valid_from", first=texts.date(first))
    return texts.text("law_valid_to", last=texts.date(last)) if last else texts.text("law_valid_always")


def _describe_others(basis: LegalBasis, texts: Texts) -> str:
    if basis.smaller:
        return texts.count("law_smaller", basis.smaller)
    return "" if basis.titles else texts.text("law_no_title")


def describe_time(moment: str, texts: Texts) -> str:
    """Return a time in UTC, given as ISO 8601, for a table or a sentence; what is none is returned as it is."""
    try:
        return texts.text("time_utc", time=texts.moment(dt.datetime.fromisoformat(moment)))
    except ValueError:
        return show(moment)
