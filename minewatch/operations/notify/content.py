"""The content of a message as plain data: one entry for each alert, however many events it has."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minewatch.alerts.cells import read_day
from minewatch.alerts.lifetime import GREEN_AGAIN, MERGED
from minewatch.core.text import show
from minewatch.operations.notify.event import CLOSED, GROWN, REPORTED, REVIEWED, SCAN_FAILED, WITHDRAWN, Event
from minewatch.operations.notify.outbox import Message
from minewatch.products.report.decision_words import DecisionFacts, name_person
from minewatch.products.report.law_words import explain_doubt
from minewatch.products.report.texts import Texts
from minewatch.products.report.witness_words import explain_unseen, name_systems

MAP = "https://www.openstreetmap.org/?mlat={lat:.6f}&mlon={lon:.6f}#map=15/{lat:.6f}/{lon:.6f}"
"""Address of a map with a marker."""

OVERLAPS = ("protected_area", "territory", "concession", "admin_unit")
"""Columns with the names of areas that an alert overlaps."""


@dataclass(frozen=True)
class AlertLine:
    """An alert in a message."""

    number: int
    """In the message, from 1."""

    alert_id: str
    """Its id."""

    aoi: str
    """Name of the area."""

    what: str
    """What is new, in words."""

    changed: str
    """When its ground changed, in words."""

    hectares: str
    """In the format of the language."""

    position: str
    """Latitude and longitude; '' where they are withheld."""

    link: str
    """To a map; '' where there is no position."""

    status: str
    """In words."""

    legal: str
    """In words."""

    notes: tuple[str, ...]
    """What it overlaps, and what reviewers wrote."""


def list_alert_lines(message: Message, texts: Texts) -> list[AlertLine]:
    """Return the alerts of a message: closed ones last, large ones first."""
    events: dict[str, list[tuple[Event, str]]] = {}
    for event, kind in zip(message.events, message.kinds, strict=True):
        if event.alert_id:
            events.setdefault(event.alert_id, []).append((event, kind))
    order = sorted(events.values(), key=lambda pairs: _rank(pairs[-1][0]))
    return [_make_alert_line(number, pairs, texts) for number, pairs in enumerate(order, 1)]


def _rank(event: Event) -> tuple[bool, float, str]:
    return event.event == CLOSED, -float(event.facts["area_ha"] or 0), event.alert_id


def _make_alert_line(number: int, pairs: Sequence[tuple[Event, str]], texts: Texts) -> AlertLine:
    event = pairs[-1][0]
    facts = event.facts
    has_place = facts.get("lat") not in (None, "")
    return AlertLine(
        number=number,
        alert_id=event.alert_id,
        aoi=show(event.aoi),
        what=", ".join(dict.fromkeys(describe_kind(one, kind, texts) for one, kind in pairs)),
        changed=_describe_bracket(facts, texts),
        hectares=texts.number(float(facts["area_ha"] or 0), "#,##0.00"),
        position=f"{facts['lat']:.5f}, {facts['lon']:.5f}" if has_place else "",
        link=make_link(facts),
        status=_find_word(texts, "status", facts["status"]),
        legal=_describe_legal(facts, texts),
        notes=tuple(_list_notes(pairs, texts)),
    )


def _describe_legal(facts: Mapping[str, Any], texts: Texts) -> str:
    """Return the legal status; where it is unknown since titles were valid for a part of the time, that too."""
    status = _find_word(texts, "legal", facts["legal_status"] or "unknown")
    doubt = explain_doubt({"legal_reason": facts.get("legal_reason")}, texts)  # events of earlier versions have none
    return f"{status}{texts.colon} {doubt}" if doubt else status


def make_link(facts: Mapping[str, Any]) -> str:
    """Return the address of a map of an alert; '' where its position is withheld."""
    has_place = facts.get("lat") not in (None, "")
    return MAP.format(lat=facts["lat"], lon=facts["lon"]) if has_place else ""


def _describe_bracket(facts: Mapping[str, Any], texts: Texts) -> str:
    """Return between which looks the ground changed; events of earlier versions do not hold the last normal look."""
    first, last = (read_day(facts.get(name)) for name in ("first_seen", "last_normal"))
    assert first is not None, "an alert was seen"
    if last is None:
        return texts.text("bracket_open_short", first=texts.short_date(first))
    return texts.text("bracket", last=texts.short_date(last), first=texts.short_date(first))


def describe_kind(event: Event, kind: str, texts: Texts) -> str:
    """Describe an event in words."""
    name = _name_kind(event, kind)
    if name == GREEN_AGAIN and (day := read_day(event.facts.get("closed_on"))):
        return texts.text("kind_green_again_since", date=texts.short_date(day))
    word = _find_word(texts, "kind", name)
    if event.event == GROWN and kind == GROWN and "gained_ha" in event.facts:
        return f"{word} {texts.text('grown_by', hectares=texts.number(event.facts['gained_ha'], '#,##0.00'))}"
    return word


def _name_kind(event: Event, kind: str) -> str:
    """Return the key of an event's kind; of one that closes an alert, of what became of it."""
    facts = event.facts
    if kind != CLOSED:
        return kind.replace("-", "_")
    if facts["status"] == WITHDRAWN:
        return WITHDRAWN
    if facts.get("merged_into"):
        return MERGED
    return GREEN_AGAIN if facts.get("confirmed_on") else CLOSED


def _find_word(texts: Texts, kind: str, name: str) -> str:
    key = f"{kind}_{name}"
    return texts.text(key) if key in texts.words else show(name)


def _list_notes(pairs: Sequence[tuple[Event, str]], texts: Texts) -> list[str]:
    facts = pairs[-1][0].facts
    notes = [show(facts[name]) for name in OVERLAPS if facts.get(name)]
    if facts["status"] == WITHDRAWN:
        notes.append(texts.text("withdrawn"))
    if facts.get("merged_into"):
        notes.append(texts.text("merged", alert=show(facts["merged_into"])))
    return notes + [_describe_review(event, texts) for event, _ in pairs if event.event == REVIEWED]


def _describe_review(event: Event, texts: Texts) -> str:
    """Return what a person decided, who and when, and what they noted."""
    review, by, note, decided = (str(event.facts.get(n) or "") for n in ("review", "reviewed_by", "review_note", "decided"))
    time = dt.datetime.fromisoformat(decided) if decided else None
    said = name_person(DecisionFacts(review, by, note, time, None, None, None), texts)
    return f"{said}{texts.colon} {show(note)}" if note else said


def list_area_news(message: Message, texts: Texts) -> list[str]:
    """Describe the events of areas, a sentence each."""
    return [_describe_area(event, texts) for event in message.events if not event.alert_id]


def _describe_area(event: Event, texts: Texts) -> str:
    area, facts = show(event.aoi), event.facts
    if event.event == SCAN_FAILED:
        since = texts.moment(dt.datetime.fromisoformat(facts["since"]))
        if facts.get("reason"):
            return texts.text("scan_failed_reason", area=area, since=since, reason=show(facts["reason"], 300))
        return texts.text("scan_failed", area=area, since=since)
    if event.event == REPORTED:
        return _describe_place(area, facts, texts)
    days = facts["days"]
    last = facts.get("last_clear")
    if last:
        line = texts.count("unseen", days, area=area, date=texts.date(dt.date.fromisoformat(last)))
    else:
        line = texts.count("unseen_ever", days, area=area)
    skipped = facts.get("skipped")
    return f"{line} {texts.count('unseen_skipped', skipped)}" if skipped else line


def _describe_place(area: str, facts: Mapping[str, Any], texts: Texts) -> str:
    """Return what others report on ground that could not be seen, and where, unless that is withheld."""
    systems = {str(system["name"]): str(system["confidence"] or "") for system in facts["systems"]}
    line = texts.text(
        "reported_unseen",
        area=area,
        systems=name_systems(systems, texts),
        date=texts.date(dt.date.fromisoformat(facts["first"])),
        hectares=texts.number(facts["area_ha"], "#,##0.00"),
        why=explain_unseen(str(facts["why"]), read_day(facts["last_clear"]), texts),
    )
    place = f"{facts['lat']:.5f}, {facts['lon']:.5f}" if facts.get("lat") is not None else ""
    return f"{line} {texts.text('reported_at', position=place)}" if place else line


def make_subject(message: Message, texts: Texts, *, is_test: bool) -> str:
    """Return the subject line of a message."""
    if is_test:
        return f"minewatch: {texts.text('subject_test')}"
    areas = sorted({show(event.aoi, 64) for event in message.events})
    named = ", ".join(areas[:3]) + (f" … (+{len(areas) - 3})" if len(areas) > 3 else "")
    pairs = zip(message.events, message.kinds, strict=True)
    last = {event.alert_id or event.event_id: _name_kind(event, kind) for event, kind in pairs}
    counts = Counter(f"kind_{kind}" for kind in last.values())
    words = {
        key: texts.count(key, count) if key in texts.words else show(key.removeprefix("kind_")) for key, count in counts.items()
    }
    return show(f"minewatch: {named}: " + ", ".join(f"{counts[key]} {word}" for key, word in words.items()), 180)


def make_geojson(message: Message) -> dict[str, Any] | None:
    """Return the alerts of a message as GeoJSON (RFC 7946); None where there are no outlines."""
    last = {event.alert_id: event for event in message.events if event.geometry and event.alert_id}
    if not last:
        return None
    features = [
        {
            "type": "Feature",
            "id": event.alert_id,
            "geometry": event.geometry,
            "properties": {"event_id": event.event_id, "event": event.event, **event.facts},
        }
        for event in last.values()
    ]
    return {"type": "FeatureCollection", "features": features}
