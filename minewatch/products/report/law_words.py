"""Says what the legal status of an alert is, and what it rests on, in the words of a report."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minewatch.alerts.context.legal_basis import BasisLayer, BasisPeriod, LegalBasis, Title, read_legal_basis
from minewatch.alerts.context.terms import APPLICATION, PARTLY_VALID, REASONS, STALE_DAYS, TITLE
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

    standing: str = ""
    """What it is, with the register's own words; '' where the layer does not say."""


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

    stale: tuple[str, ...] = ()
    """What is to be said of registers that are old by now."""


def describe_law(row: Mapping[Any, Any], texts: Texts, today: dt.date | None = None) -> LawWords:
    """Say what the legal status of a row of the table is, and what it rests on; given a day, which registers are old on it."""
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
    stale = tuple(_describe_age(layer, today, texts) for layer in basis.layers if today and _is_stale(layer, today))
    return LawWords(status, judged, titles, _describe_others(basis, texts), files, stale)


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
    name, feature_id, layer = show(title.name), show(title.id), show(title.layer)
    return TitleWords(name, feature_id, validity, hectares, title.decides, layer, _describe_standing(title, texts))


def _describe_standing(title: Title, texts: Texts) -> str:
    if title.standing == TITLE and not title.words:
        return ""
    standing = texts.text(f"standing_{title.standing}")
    return f"{standing} ({show(title.words)})" if title.words else standing


def _describe_validity(title: Title, texts: Texts) -> str:
    applied = texts.text("law_applied", date=texts.date(title.applied)) if title.applied else ""
    if title.standing == APPLICATION:
        return applied or texts.text("law_valid_unknown")
    return "; ".join(filter(None, (applied, _describe_period_of(title, texts))))


def _describe_period_of(title: Title, texts: Texts) -> str:
    first, last = title.valid_from, title.valid_to
    if not title.dated:
        return texts.text("law_valid_unknown")
    if first and last:
        return texts.text("law_valid", first=texts.date(first), last=texts.date(last))
    if first:
        return texts.text("law_valid_from", first=texts.date(first))
    return texts.text("law_valid_to", last=texts.date(last)) if last else texts.text("law_valid_always")


def _find_age(layer: BasisLayer) -> dt.date | None:
    """Return the day whose state a layer shows: as declared, else the last on which one of its files was modified."""
    if layer.as_of:
        return layer.as_of
    days = [file.modified[:10] for file in layer.files]
    try:
        return max(map(dt.date.fromisoformat, days), default=None)
    except ValueError:
        return None


def _is_stale(layer: BasisLayer, today: dt.date) -> bool:
    day = _find_age(layer)
    return day is not None and (today - day).days > STALE_DAYS


def _describe_age(layer: BasisLayer, today: dt.date, texts: Texts) -> str:
    day = _find_age(layer) or today
    return texts.text("law_stale", layer=show(layer.layer), date=texts.date(day), days=texts.number((today - day).days, "#,##0"))


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
