"""Writes a message for people: a subject, plain text, HTML in which no stranger's text is markup, and what is attached."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from minewatch import __version__
from minewatch.core.text import render_json
from minewatch.operations.notify.facts import AlertLine, list_area_news, list_entries, make_geojson, make_subject
from minewatch.operations.notify.images import Thumbnail
from minewatch.operations.notify.outbox import Message
from minewatch.operations.notify.rule import Rule
from minewatch.products.report.texts import Texts, read_texts

FOLDER = Path(__file__).parent

GEOJSON = "alerts.geojson"

MOST_ROWS = 100
"""Alerts in the table of a letter; the attached file has all."""

LONGEST_TEXT = 20_000
"""Characters of the plain text, where the service does not want fewer."""


@dataclass(frozen=True)
class Attachment:
    """A file that goes with a letter."""

    name: str
    """Of the file; a plain name of ours."""

    kind: str
    """MIME type."""

    data: bytes
    """Content."""


@dataclass(frozen=True)
class Letter:
    """A message for people."""

    message_id: str
    """The same at each try."""

    written: dt.datetime
    """When the message was made, UTC."""

    subject: str
    """One line."""

    html: str
    """A page; its images are those of ``images``, by ``cid:`` and their names."""

    images: tuple[Attachment, ...]
    """Shown in the page."""

    files: tuple[Attachment, ...]
    """Attached."""

    facts: _Facts
    """What the plain text is written from, once its length is known."""

    def render_text(self, longest: int = LONGEST_TEXT) -> str:
        """Return plain text of at most so many characters, with as many alerts as there is room for."""
        return _render_text(self.facts, longest)


@dataclass(frozen=True)
class _Image:
    name: str
    caption: str


@dataclass(frozen=True)
class _Facts:
    """What a letter says."""

    texts: Texts
    news: Sequence[str]
    entries: Sequence[AlertLine]
    remarks: Sequence[str]
    footer: str
    is_test: bool
    has_file: bool


def read_words(language: str) -> Texts:
    """Return the words of messages: those of reports, and their own."""
    shared, own = read_texts(language), read_texts(language, FOLDER / "texts")
    return Texts(language, {**shared.words, **own.words})


def write_letter(message: Message, rule: Rule, thumbnails: Sequence[Thumbnail], *, is_test: bool = False) -> Letter:
    """Write a message for the recipient of a rule."""
    texts = read_words(rule.table.language)
    entries, geojson = list_entries(message, texts), make_geojson(message) if rule.table.coordinates else None
    footer = texts.text("footer", version=__version__, rule=rule.name, message=message.message_id)
    remarks = list(_list_remarks(entries, rule, thumbnails, texts, has_file=geojson is not None))
    facts = _Facts(texts, list_area_news(message, texts), entries, remarks, footer, is_test, geojson is not None)
    subject = make_subject(message, texts, is_test=is_test)
    numbers = {entry.alert_id: entry for entry in entries}
    captions = [_name_image(numbers[thumbnail.alert_id], thumbnail, texts) for thumbnail in thumbnails]
    pairs = zip(captions, thumbnails, strict=True)
    images = tuple(Attachment(caption.name, "image/png", thumbnail.data) for caption, thumbnail in pairs)
    file = render_json(geojson).encode() if geojson else b""
    files = (Attachment(GEOJSON, "application/geo+json", file),) if file else ()
    html = _render_html(facts, subject, captions, has_places=rule.table.coordinates)
    written = dt.datetime.fromisoformat(message.created)
    return Letter(message.message_id, written, subject, html, images, files, facts)


def _name_image(entry: AlertLine, thumbnail: Thumbnail, texts: Texts) -> _Image:
    days = [texts.short_date(dt.date.fromisoformat(day)) for day in (thumbnail.before, thumbnail.after)]
    caption = texts.text("image_of", number=entry.number, area=entry.aoi, before=days[0], after=days[1])
    return _Image(f"before-after-{entry.number}.png", caption)


def _list_remarks(
    entries: Sequence[AlertLine], rule: Rule, thumbnails: Sequence[Thumbnail], texts: Texts, *, has_file: bool
) -> list[str]:
    """Say what the letter lacks, and how to read it."""
    if not entries:
        return []
    remarks = []
    shown = {thumbnail.alert_id for thumbnail in thumbnails}
    missing = [str(entry.number) for entry in entries if entry.alert_id not in shown]
    if rule.table.shows_images and not shown:
        remarks.append(texts.text("no_images"))
    elif rule.table.shows_images and missing:
        numbers = ", ".join(missing[:20]) + (" …" if len(missing) > 20 else "")
        remarks.append(texts.text("no_images_some", numbers=numbers))
    if not rule.table.coordinates:
        remarks.append(texts.text("no_places"))
    if has_file:
        remarks.append(texts.text("attached"))
    return [*remarks, texts.text("caution")]


def _render_html(facts: _Facts, subject: str, images: Sequence[_Image], *, has_places: bool) -> str:
    texts, rest = facts.texts, len(facts.entries) - MOST_ROWS
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("letter.html").render(
        t=texts.text,
        language=texts.language,
        subject=subject,
        is_test=facts.is_test,
        news=facts.news,
        entries=facts.entries[:MOST_ROWS],
        columns=_name_columns(texts, has_places=has_places),
        has_places=has_places,
        more=_tell_more(facts, rest) if rest > 0 else "",
        images=images,
        remarks=facts.remarks,
        footer=facts.footer,
    )


def _name_columns(texts: Texts, *, has_places: bool) -> list[tuple[str, str]]:
    names = [
        ("column_number", "right"), ("column_area", "left"), ("column_what", "left"), ("column_first_seen", "left"),
        ("column_hectares", "right"), ("column_coordinates", "left"), ("column_status", "left"), ("column_legal_status", "left"),
    ]  # fmt: skip
    return [(texts.text(name), side) for name, side in names if has_places or name != "column_coordinates"]


def _tell_more(facts: _Facts, count: int) -> str:
    return facts.texts.count("more_attached" if facts.has_file else "more", count)


def _render_text(facts: _Facts, longest: int) -> str:
    texts = facts.texts
    head = [texts.text("test_note"), ""] if facts.is_test else []
    head += [f"- {line}" for line in facts.news]
    blocks = [_render_entry(entry, texts) for entry in facts.entries]
    tail = ["", *facts.remarks, "", facts.footer, texts.text("footer_repeat")]
    room = longest - sum(len(line) + 1 for line in [*head, *tail]) - 80
    kept: list[str] = []
    for block in blocks:
        room -= len(block) + 2
        if room < 0:
            break
        kept += ["", block] if head or kept else [block]
    left = len(facts.entries) - sum(1 for line in kept if line)
    kept += ["", _tell_more(facts, left)] if left else []
    return "\n".join([*head, *kept, *tail])[:longest]


def _render_entry(entry: AlertLine, texts: Texts) -> str:
    lines = [
        f"{entry.number}. {entry.aoi}{texts.colon} {entry.what}",
        f"   {entry.hectares} ha · {entry.status} · {texts.text('column_first_seen')}{texts.colon} {entry.first_seen}",
        f"   {texts.text('column_legal_status')}{texts.colon} {entry.legal}",
    ]
    lines += [f"   {entry.position}", f"   {entry.link}"] if entry.position else []
    return "\n".join([*lines, *(f"   {note}" for note in entry.notes), f"   {entry.alert_id}"])
