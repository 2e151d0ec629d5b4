"""The words of a bulletin: texts of its own and of reports, and what a cell says that counts nothing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from minewatch.alerts.context.terms import TITLE
from minewatch.core.text import show
from minewatch.products.bulletin.bulletin_facts import (
    BEFORE,
    GROUNDS,
    MONTH,
    NO_LOOK,
    NO_RECORD,
    NO_VEGETATION,
    NOT_BEGUN,
    NOT_MONITORED,
    NOT_REACHED,
    NOT_SCANNED,
    SEEN,
    UNSEEN,
    BulletinFacts,
    Count,
    Sight,
    Tally,
    UnitAlert,
    UnitFacts,
)
from minewatch.products.bulletin.period import Period, go_back_a_year
from minewatch.products.report.html_page import describe_bracket
from minewatch.products.report.texts import Texts, read_texts

FOLDER = Path(__file__).parent / "texts"

WORDS = {
    UNSEEN: "cell_unseen", NO_LOOK: "cell_unseen", NO_VEGETATION: "cell_unseen", NOT_MONITORED: "cell_unseen",
    NOT_BEGUN: "cell_not_begun", NOT_REACHED: "cell_not_reached", NOT_SCANNED: "cell_not_scanned", NO_RECORD: "cell_no_record",
}  # fmt: skip
"""Why a unit was not seen to what its cells say in place of a zero."""

COUNTS = ("new", "confirmed", "grown", "green", "bare", "provisional")
"""What is counted in each time, in the order of tables."""


def read_bulletin_texts(language: str) -> Texts:
    """Return the texts of reports and of bulletins in a language; where both have a key, the bulletin's."""
    return Texts(language, {**read_texts(language).words, **read_texts(language, FOLDER).words})


def write_hectares(hectares: float, texts: Texts) -> str:
    """Return hectares with their unit."""
    return f"{texts.number(hectares, '#,##0.00')}\N{NO-BREAK SPACE}ha"


def describe_count(count: Count, sight: Sight, texts: Texts, none: str = "cell_none") -> str:
    """Return a cell: number and hectares; where there is none, that there is none, or why that cannot be said."""
    if not count.alerts:
        return texts.text(none if sight.state == SEEN else WORDS[sight.state])
    said = f"{texts.number(count.alerts, '#,##0')} · {write_hectares(count.hectares, texts)}"
    return said if sight.state == SEEN else texts.text("cell_at_least", count=said)


def describe_sight(sight: Sight, when: str, texts: Texts) -> str:
    """Return in a sentence or two what was examined of a unit in a time; ``when`` names it."""
    if not sight.shares:
        return texts.text("sight_nothing")
    examined = texts.percent(sight.examined)
    looks = texts.count("sight_looks", sight.looks)
    key = "sight_seen" if sight.state == SEEN else "sight_unseen"
    rest = [describe_ground(ground, sight.shares[ground], texts) for ground in GROUNDS[1:] if ground in sight.shares]
    said = texts.text(key, examined=examined, when=when, looks=looks)
    return f"{said} {texts.text('sight_rest', rest='; '.join(rest))}" if rest else said


def describe_ground(ground: str, share: float, texts: Texts) -> str:
    """Return a share of ground that was not examined, and why."""
    return texts.text(f"rest_{ground.replace('-', '_')}", share=texts.percent(share))


def name_unit(unit: UnitFacts, texts: Texts) -> str:
    """Return the name of a unit, with its id where it has one, and what the register says that it is where that is no title."""
    if unit.is_outside:
        return texts.text("outside_any")
    name = show(unit.name)
    whole = f"{name} ({show(unit.id)})" if unit.id and unit.id != unit.name else name
    return whole if unit.standing in ("", TITLE) else f"{whole} · {texts.text(f'standing_{unit.standing}')}"


def name_span(span: str, month: Period, texts: Texts) -> str:
    """Return the name of a time."""
    if span == MONTH:
        return texts.month(month.first)
    if span == BEFORE:
        return texts.month(go_back_a_year(month).first)
    return texts.text("span_year", year=month.first.year)


def describe_days(days: tuple[dt.date, dt.date], texts: Texts) -> str:
    """Return a day, or the first and the last of some."""
    first, last = map(texts.date, days)
    return first if first == last else texts.text("days", first=first, last=last)


def describe_alert(alert: UnitAlert, texts: Texts) -> str:
    """Return what became of an alert in the month."""
    said = [texts.text(f"tag_{tag}") for tag in alert.tags if tag != "green"]
    if alert.green_on:
        said.append(texts.text("tag_green", date=texts.short_date(alert.green_on)))
    return ", ".join(said)


def describe_change_of(alert: UnitAlert, texts: Texts) -> str:
    """Return between which looks the ground of an alert changed."""
    return describe_bracket({"last_normal": alert.last_normal, "first_seen": alert.first_seen}, texts, is_short=True)


def describe_legal(unit: UnitFacts, kind: str, texts: Texts) -> str:
    """Return the legal statuses of the new alerts of a unit, or of those still bare; '' where there is none."""
    counts = sorted(unit.legal[kind].items(), key=lambda item: (-item[1].alerts, item[0]))
    parts = [
        f"{texts.text(f'legal_{status}') if f'legal_{status}' in texts.words else show(status)} {texts.number(count.alerts)}"
        f" ({write_hectares(count.hectares, texts)})"
        for status, count in counts
    ]
    return " · ".join(parts)


def describe_apart(tally: Tally, texts: Texts) -> str:
    """Return what is not in the numbers: alerts that faded, and those that people dismissed; '' where there is none."""
    counts = {"apart_faded": tally.faded, "apart_dismissed": tally.dismissed}
    return " ".join(texts.count(key, count) for key, count in counts.items() if count)


def title_of(facts: BulletinFacts, texts: Texts) -> str:
    """Return the title of a bulletin."""
    return texts.text("title", month=texts.month(facts.request.month.first), by=texts.text(f"by_{_key(facts.request.by)}"))


def _key(by: str) -> str:
    return by.replace("-", "_")
