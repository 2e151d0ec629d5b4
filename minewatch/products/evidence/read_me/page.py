"""The page as HTML: one file that loads nothing else, has no script, and in which no text from the data can run as code."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from minewatch import __version__
from minewatch.alerts.lifetime import GREEN_AGAIN, MERGED, STILL_BARE, find_fate, find_green_again, read_day
from minewatch.core.text import show
from minewatch.core.units import NODATA, SCALE
from minewatch.products.evidence.read_me.facts import ReadMeFacts
from minewatch.products.evidence.read_me.looks import AFTER, BEFORE, SEASON, EvidenceLook
from minewatch.products.evidence.read_me.wording import Wording, read_wording
from minewatch.products.images.chips.rendering import Stretch, render_reflectance
from minewatch.products.images.stretch import DARKEST, find_white
from minewatch.products.report.drawing import Map, OutlineLayer, draw_map, trace_outline

FOLDER = Path(__file__).parent

SHARPNESS = 900
"""Pixels of a picture's longer side, at least: those of the image are shown as larger squares."""

FALL = 0.15
"""Least fall of the median NDVI between two images that is called one."""

OVERLAPS = (
    ("overlap_concession", "concession", "concession_ha", "concession_pct"),
    ("overlap_protected", "protected_area", "protected_ha", "protected_pct"),
    ("overlap_territory", "territory", "territory_ha", "territory_pct"),
)
"""Key of the text, and the columns, of what an alert may overlap."""


def render_page(facts: ReadMeFacts, language: str) -> str:
    """Return the page in one of LANGUAGES."""
    words = read_wording(language)
    style = (FOLDER / "page.css").read_text("utf-8")
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html").render(
        t=words.texts.text,
        words=words,
        show=show,
        language=language,
        version=__version__,
        style=style,
        policy=_make_policy(style),
        facts=facts,
        evidence=facts.content,
        **_list_sentences(facts, words),
        **_list_pictures(facts, words),
    )


def _make_policy(style: str) -> str:
    """Return the Content-Security-Policy: embedded images and this style are allowed, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    return f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


# --- sentences -------------------------------------------------------------------------------------------------------


def _list_sentences(facts: ReadMeFacts, words: Wording) -> dict[str, Any]:
    """Return the sentences that depend on the data."""
    return {
        "title": words.texts.text("read_me_title", name=show(facts.content.name)),
        "change": words.describe_change(facts.last_normal, facts.first_seen),
        "hectares": words.write_hectares(float(facts.alert["area_ha"])),
        "on_file": _describe_moment(facts, words),
        "law": _list_law(facts.alert, words),
        "since_then": _describe_since(facts, words),
        "sure": [*_list_figures(facts, words)],
        "fall": _describe_fall(facts, words),
        "unverified": _list_unverified(facts, words),
        "last_number": facts.content.entries[-1].number if facts.content.entries else 0,
    }


def _describe_moment(facts: ReadMeFacts, words: Wording) -> str:
    """Return of which day outline and hectares are."""
    if facts.describes_confirmation:
        return words.texts.text("on_file_confirmed", date=words.texts.date(facts.confirmed_on))
    as_of = read_day(facts.alert.get("as_of")) or facts.confirmed_on
    return words.texts.text("on_file_scan", date=words.texts.date(as_of))


def _list_law(alert: Mapping[str, Any], words: Wording) -> list[tuple[str, str]]:
    """Return label and text of the legal status, of each kind of area, and of the administrative unit."""
    texts = words.texts
    status = str(alert.get("legal_status") or "unknown")
    label = texts.text(f"legal_{status}") if f"legal_{status}" in texts.words else show(status)
    meaning = texts.text(f"legal_meaning_{status}") if f"legal_meaning_{status}" in texts.words else ""
    rows = [(texts.text("column_legal_status"), f"{label}{texts.colon} {meaning}" if meaning else label)]
    for key, name, area, share in OVERLAPS:
        rows.append((texts.text(key), _describe_overlap(alert.get(name), alert.get(area), alert.get(share), words)))
    return rows


def _describe_overlap(name: Any, hectares: Any, share: Any, words: Wording) -> str:
    if hectares is None:
        return words.texts.text("overlap_unknown")
    if not hectares:
        return words.texts.text("overlap_none")
    percent = words.texts.percent(float(share or 0) / 100)
    return words.texts.text("overlap", name=show(name or "–"), hectares=words.texts.number(hectares, "#,##0.00"), share=percent)


def _describe_since(facts: ReadMeFacts, words: Wording) -> str:
    """Return what the table says of the alert when the page is made; '' where it has none."""
    table, texts = facts.table, words.texts
    if table is None:
        return ""
    row, day = table.row, texts.date(table.as_of)
    status = texts.text(f"status_{row['status']}")
    line = texts.text("since_then", date=day, status=status, hectares=words.write_hectares(float(row["area_ha"])))
    fate, green = find_fate(row), find_green_again(row)
    more = {
        STILL_BARE: texts.text("fate_still_bare", date=day),
        GREEN_AGAIN: texts.text("fate_green_again", date=texts.date(green)) if green else "",
        MERGED: texts.text("fate_merged", alert=show(row["merged_into"])),
    }.get(fate or "", "")
    renamed = texts.text("since_renamed", name=show(table.alert_id)) if table.alert_id != facts.content.name else ""
    return "; ".join(filter(None, (line, more, renamed)))


def _list_figures(facts: ReadMeFacts, words: Wording) -> list[tuple[str, str]]:
    """Return label and text of what the method saw."""
    texts, alert = words.texts, facts.alert
    rows = [
        (texts.text("sure_bracket"), words.describe_days(facts.last_normal, facts.first_seen)),
        (texts.text("sure_confirmed"), texts.date(facts.confirmed_on)),
        (texts.text("sure_looks"), f"{texts.number(int(alert['looks']))} ({_describe_moment(facts, words)})"),
    ]
    for key, name in (("sure_ndvi", "ndvi_change"), ("sure_bsi", "bsi_change")):
        if alert.get(name) is not None:
            rows.append((texts.text(key), texts.number(float(alert[name]), "+0.00;-0.00").replace("-", "\N{MINUS SIGN}")))
    return rows


def _describe_fall(facts: ReadMeFacts, words: Wording) -> str:
    """Return how green the ground within the outline is in the two pictures; it is called a fall only where it is one."""
    before, after = _find_before(facts), facts.looks.get(AFTER)
    if before is None or after is None or before.ndvi is None or after.ndvi is None:
        return ""
    # What is printed must add up: the difference is that of the rounded numbers.
    first, second = round(before.ndvi, 2), round(after.ndvi, 2)
    number = words.texts.number
    values = {"before": number(first, "0.00"), "after": number(second, "0.00"), "fall": number(first - second, "0.00")}
    days = {"day_before": words.texts.date(before.day), "day_after": words.texts.date(after.day)}
    key = "sure_fall" if first - second >= FALL else "sure_no_fall"
    return words.texts.count(key, after.pixels, **values, **days).replace("-", "\N{MINUS SIGN}")


def _list_unverified(facts: ReadMeFacts, words: Wording) -> list[str]:
    """Return what was not verified, a sentence or two each."""
    text = words.texts.text
    lines = [text("unverified_ground"), text("unverified_cause"), text("unverified_law"), text("unverified_pixels")]
    lines.append(text("unverified_token" if facts.has_token else "unverified_clock"))
    if facts.is_signed:
        lines.append(text("unverified_signed", key=show(facts.manifest["signed_with"].get("fingerprint", ""))))
    else:
        lines.append(text("unverified_unsigned"))
    if facts.manifest.get("what_if"):
        lines.insert(0, text("unverified_what_if"))
    return lines


# --- pictures --------------------------------------------------------------------------------------------------------


def _find_before(facts: ReadMeFacts) -> EvidenceLook | None:
    """Return the look before the change: the last normal one, else the one of the same season."""
    return facts.looks.get(BEFORE) or facts.looks.get(SEASON)


def _list_pictures(facts: ReadMeFacts, words: Wording) -> dict[str, Any]:
    """Return the two pictures, which share a stretch, their captions, and the years of the credit."""
    shown = {"before": _find_before(facts), "after": facts.looks.get(AFTER)}
    looks = [look for look in shown.values() if look]
    years = sorted({look.day.year for look in looks} or {facts.confirmed_on.year})
    maps = _draw(facts, looks)
    pictures = {
        when: {"map": maps[look.name], "day": words.texts.date(look.day), "what": _describe_look(facts, look, words), "look": look}
        for when, look in shown.items()
        if look
    }
    return {"pictures": pictures, "credit": words.texts.text("credits", years=", ".join(map(str, years)))}


def _draw(facts: ReadMeFacts, looks: list[EvidenceLook]) -> dict[str, Map]:
    if not looks:
        return {}
    values = np.concatenate([look.colours[(look.colours != NODATA).all(axis=-1)].ravel() for look in looks])
    stretch = Stretch((DARKEST,) * 3, (find_white(values, SCALE),) * 3)
    maps = {}
    for look in looks:
        zoom = max(1, -(-SHARPNESS // max(look.frame.shape)))
        colours = render_reflectance(look.colours, stretch).repeat(zoom, axis=0).repeat(zoom, axis=1)
        outline = OutlineLayer(trace_outline(facts.outline, look.frame), "alert-confirmed")
        maps[look.name] = draw_map(look.frame, colours, [outline])
    return maps


def _describe_look(facts: ReadMeFacts, look: EvidenceLook, words: Wording) -> str:
    """Return which look of the alert a picture shows."""
    if look.name == AFTER:
        return words.texts.text("picture_confirming" if look.day == facts.confirmed_on else "picture_after")
    if look.name == SEASON:
        return words.texts.text("picture_season")
    return words.texts.text("picture_last_normal" if look.day == facts.last_normal else "picture_earlier")
