"""Renders a message for people: subject, plain text, HTML that escapes all untrusted text, and attachments."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from minewatch import __version__
from minewatch.core.text import render_json
from minewatch.operations.notify.content import AlertLine, list_alert_lines, list_area_news, make_geojson, make_subject
from minewatch.operations.notify.images import Thumbnail
from minewatch.operations.notify.outbox import Message
from minewatch.operations.notify.rule import Rule
from minewatch.products.report.texts import Texts, read_texts

FOLDER = Path(__file__).parent

GEOJSON = "alerts.geojson"

MOST_ROWS = 100
"""Alerts in the table of a message; the attached file has all."""

LONGEST_TEXT = 20_000
"""Characters of the plain text, unless the service allows fewer."""


@dataclass(frozen=True)
class Attachment:
    """An attached file."""

    name: str
    """File name."""

    kind: str
    """MIME type."""

    data: bytes
    """Content."""


@dataclass(frozen=True)
class RenderedMessage:
    """A message for people."""

    message_id: str
    """The same at each attempt."""

    written: dt.datetime
    """When the message was made, UTC."""

    subject: str
    """One line."""

    html: str
    """A page that shows ``images`` by ``cid:`` and their names."""

    images: tuple[Attachment, ...]
    """Shown in the page."""

    files: tuple[Attachment, ...]
    """Attached."""

    content: _Content
    """What the plain text is rendered from, once its length is known."""

    def render_text(self, longest: int = LONGEST_TEXT) -> str:
        """Return plain text of at most ``longest`` characters, with as many alerts as fit."""
        return _render_text(self.content, longest)


@dataclass(frozen=True)
class _Image:
    name: str
    caption: str


@dataclass(frozen=True)
class _Content:
    """What text and HTML contain."""

    texts: Texts
    area_news: Sequence[str]
    alerts: Sequence[AlertLine]
    hints: Sequence[str]
    footer: str
    is_test: bool
    has_file: bool


def read_message_texts(language: str) -> Texts:
    """Return the texts of messages: those of reports, and their own."""
    shared, own = read_texts(language), read_texts(language, FOLDER / "texts")
    return Texts(language, {**shared.words, **own.words})


def render_message(message: Message, rule: Rule, thumbnails: Sequence[Thumbnail], *, is_test: bool = False) -> RenderedMessage:
    """Render a message for the recipient of a rule."""
    texts = read_message_texts(rule.table.language)
    entries, geojson = list_alert_lines(message, texts), make_geojson(message) if rule.table.coordinates else None
    footer = texts.text("footer", version=__version__, rule=rule.name, message=message.message_id)
    hints = list(_list_hints(entries, rule, thumbnails, texts, has_file=geojson is not None))
    content = _Content(texts, list_area_news(message, texts), entries, hints, footer, is_test, geojson is not None)
    subject = make_subject(message, texts, is_test=is_test)
    numbers = {entry.alert_id: entry for entry in entries}
    captions = [_name_image(numbers[thumbnail.alert_id], thumbnail, texts) for thumbnail in thumbnails]
    pairs = zip(captions, thumbnails, strict=True)
    images = tuple(Attachment(caption.name, "image/png", thumbnail.data) for caption, thumbnail in pairs)
    file = render_json(geojson).encode() if geojson else b""
    files = (Attachment(GEOJSON, "application/geo+json", file),) if file else ()
    html = _render_html(content, subject, captions, has_places=rule.table.coordinates)
    written = dt.datetime.fromisoformat(message.created)
    return RenderedMessage(message.message_id, written, subject, html, images, files, content)


def _name_image(entry: AlertLine, thumbnail: Thumbnail, texts: Texts) -> _Image:
    named = {"before": thumbnail.before, "after": thumbnail.after}
    days = {name: texts.short_date(dt.date.fromisoformat(day)) for name, day in named.items() if day}
    key = "image_of" if thumbnail.before else "image_after"
    caption = texts.text(key, number=entry.number, area=entry.aoi, **days)
    return _Image(f"before-after-{entry.number}.png", caption)


def _list_hints(
    entries: Sequence[AlertLine], rule: Rule, thumbnails: Sequence[Thumbnail], texts: Texts, *, has_file: bool
) -> list[str]:
    """Return what the message lacks, and how to read it."""
    if not entries:
        return []
    hints = []
    shown = {thumbnail.alert_id for thumbnail in thumbnails}
    missing = [str(entry.number) for entry in entries if entry.alert_id not in shown]
    if rule.table.shows_images and not shown:
        hints.append(texts.text("no_images"))
    elif rule.table.shows_images and missing:
        numbers = ", ".join(missing[:20]) + (" …" if len(missing) > 20 else "")
        hints.append(texts.text("no_images_some", numbers=numbers))
    if not rule.table.coordinates:
        hints.append(texts.text("no_places"))
    if has_file:
        hints.append(texts.text("attached"))
    return [*hints, texts.text("caution")]


def _render_html(content: _Content, subject: str, images: Sequence[_Image], *, has_places: bool) -> str:
    texts, rest = content.texts, len(content.alerts) - MOST_ROWS
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("message.html").render(
        t=texts.text,
        language=texts.language,
        subject=subject,
        is_test=content.is_test,
        news=content.area_news,
        entries=content.alerts[:MOST_ROWS],
        columns=_name_columns(texts, has_places=has_places),
        has_places=has_places,
        more=_describe_rest(content, rest) if rest > 0 else "",
        images=images,
        hints=content.hints,
        footer=content.footer,
    )


def _name_columns(texts: Texts, *, has_places: bool) -> list[tuple[str, str]]:
    names = [
        ("column_number", "right"), ("column_area", "left"), ("column_what", "left"), ("column_changed", "left"),
        ("column_hectares", "right"), ("column_coordinates", "left"), ("column_status", "left"), ("column_legal_status", "left"),
    ]  # fmt: skip
    return [(texts.text(name), side) for name, side in names if has_places or name != "column_coordinates"]


def _describe_rest(content: _Content, count: int) -> str:
    return content.texts.count("more_attached" if content.has_file else "more", count)


def _render_text(content: _Content, longest: int) -> str:
    texts = content.texts
    head = [texts.text("test_note"), ""] if content.is_test else []
    head += [f"- {line}" for line in content.area_news]
    blocks = [_render_entry(entry, texts) for entry in content.alerts]
    tail = ["", *content.hints, "", content.footer, texts.text("footer_repeat")]
    room = longest - sum(len(line) + 1 for line in [*head, *tail]) - 80
    kept: list[str] = []
    for block in blocks:
        room -= len(block) + 2
        if room < 0:
            break
        kept += ["", block] if head or kept else [block]
    left = len(content.alerts) - sum(1 for line in kept if line)
    kept += ["", _describe_rest(content, left)] if left else []
    return "\n".join([*head, *kept, *tail])[:longest]


def _render_entry(entry: AlertLine, texts: Texts) -> str:
    lines = [
        f"{entry.number}. {entry.aoi}{texts.colon} {entry.what}",
        f"   {entry.hectares} ha · {entry.status} · {texts.text('column_changed')} {entry.changed}",
        f"   {texts.text('column_legal_status')}{texts.colon} {entry.legal}",
    ]
    lines += [f"   {entry.position}", f"   {entry.link}"] if entry.position else []
    return "\n".join([*lines, *(f"   {note}" for note in entry.notes), f"   {entry.alert_id}"])
