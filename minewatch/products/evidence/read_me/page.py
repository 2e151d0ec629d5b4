"""The page as HTML: one file that loads nothing else, has no script, and in which no text from the data can run as code."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from minewatch import __version__
from minewatch.alerts.cells import plain_cell, read_day
from minewatch.alerts.lifetime import GREEN_AGAIN, MERGED, STILL_BARE, find_fate, find_green_again
from minewatch.core.text import show
from minewatch.core.units import SCALE
from minewatch.products.evidence.manifest import AFTER, BEFORE, BEFORE_SEASON
from minewatch.products.evidence.read_me.facts import ReadMeFacts
from minewatch.products.evidence.read_me.law import NO_LAW, list_law
from minewatch.products.evidence.read_me.looks import EvidenceLook
from minewatch.products.evidence.read_me.wording import Wording, read_wording
from minewatch.products.images.chips.rendering import Stretch, render_reflectance
from minewatch.products.images.stretch import DARKEST, find_white
from minewatch.products.report.change_words import describe_change
from minewatch.products.report.drawing import Map, OutlineLayer, draw_map, trace_outline
from minewatch.products.report.law_words import describe_law
from minewatch.products.report.likeness_words import describe_cell
from minewatch.settings.credits import credit_data

FOLDER = Path(__file__).parent

SHARPNESS = 900
"""Pixels of a picture's longer side, at least: those of the image are shown as larger squares."""

FALL = 0.15
"""Least fall of the median NDVI between two images that is called one."""


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
        "change": describe_change(facts.last_normal, facts.first_seen, words.texts),
        "hectares": words.write_hectares(float(facts.alert["area_ha"])),
        "on_file": _describe_moment(facts, words),
        "place": _list_place(facts, words),
        "law": list_law(facts, words),
        "since_then": _describe_since(facts, words),
        "likeness": describe_cell(facts.table.row.get("mine_basis"), words.texts) if facts.table else "",
        "sure": _list_figures(facts, words),
        "fall": _describe_fall(facts, words),
        "unverified": _list_unverified(facts, words),
        "last_number": facts.content.entries[-1].number if facts.content.entries else 0,
    }


def _describe_moment(facts: ReadMeFacts, words: Wording) -> str:
    """Return of which day outline and hectares are."""
    key = "on_file_confirmed" if facts.describes_confirmation else "on_file_scan"
    return words.texts.text(key, date=words.texts.date(_find_moment(facts)))


def _find_moment(facts: ReadMeFacts) -> dt.date:
    """Return the day of which outline, hectares and number of looks are."""
    is_early = facts.describes_confirmation
    return facts.confirmed_on if is_early else read_day(facts.alert.get("as_of")) or facts.confirmed_on


def _list_place(facts: ReadMeFacts, words: Wording) -> list[tuple[str, str]]:
    """Return label and text of where it is."""
    position, text = facts.position, words.texts.text
    rows = [(text("place_position"), f"{position.decimal} · {position.dms}")]
    if position.utm:
        rows.append(("UTM · MGRS", f"{position.utm} (EPSG:{position.epsg}) · {position.mgrs}"))
    if unit := facts.alert.get("admin_unit"):
        rows.append((text("fact_admin"), show(unit)))
    return rows


def _describe_since(facts: ReadMeFacts, words: Wording) -> str:
    """Return what the table says of the alert when the page is made; '' where it has none."""
    table, texts = facts.table, words.texts
    if table is None:
        return ""
    row, green = table.row, find_green_again(table.row)
    fates = {
        STILL_BARE: texts.text("since_bare"),
        GREEN_AGAIN: texts.text("since_green", date=texts.date(green)) if green else "",
        MERGED: texts.text("since_merged", name=show(row["merged_into"])),
    }
    status = fates.get(find_fate(row) or "") or texts.text(f"since_{row['status']}")
    hectares = words.write_hectares(float(row["area_ha"]))
    line = texts.text("since_then", date=texts.date(table.as_of), status=status, hectares=hectares)
    renamed = texts.text("since_renamed", name=show(table.alert_id)) if table.alert_id != facts.content.name else ""
    return "; ".join(filter(None, (line, _describe_law_since(facts, row, words), renamed)))


def _describe_law_since(facts: ReadMeFacts, row: Mapping[str, Any], words: Wording) -> str:
    """Return the legal status that the table has, where it is another than that of the evidence; '' where it is the same."""
    now = {name: plain_cell(row.get(name)) for name in NO_LAW}
    is_same = all(str(facts.alert.get(name) or "") == now[name] for name in ("legal_status", "legal_reason"))
    return "" if is_same else words.texts.text("since_law", status=describe_law(now, words.texts).status)


def _list_figures(facts: ReadMeFacts, words: Wording) -> list[tuple[str, str]]:
    """Return label and text of what the method saw."""
    texts, alert = words.texts, facts.alert
    rows = [
        (texts.text("sure_first"), texts.date(facts.first_seen)),
        (texts.text("sure_confirmed"), texts.date(facts.confirmed_on)),
    ]
    if alert.get("looks"):
        count = texts.count("sure_looks_count", int(alert["looks"]), date=texts.date(_find_moment(facts)))
        rows.append((texts.text("sure_looks"), count))
    changes = [
        f"{name} {words.write_signed(float(alert[column]))}"
        for name, column in (("NDVI", "ndvi_change"), ("BSI", "bsi_change"))
        if alert.get(column) is not None
    ]
    if changes:
        rows.append((texts.text("sure_change"), " · ".join(changes)))
    return [*rows, *_list_growth(facts, words), *_list_recomputed(facts, words)]


def _list_growth(facts: ReadMeFacts, words: Wording) -> list[tuple[str, str]]:
    """Return what the alert had grown to, of the days of which there is an addendum."""
    sizes = [f"{words.texts.date(day)}{words.texts.colon} {words.write_hectares(hectares)}" for day, hectares in facts.growth]
    return [(words.texts.text("sure_growth"), "; ".join(sizes))] if sizes else []


def _list_recomputed(facts: ReadMeFacts, words: Wording) -> list[tuple[str, str]]:
    """Return whether the folder alone gave the same alert when it was written; nothing for evidence of format 1."""
    stated = facts.manifest.get("recomputed")
    if not isinstance(stated, dict):
        return []
    what = ", ".join(map(show, stated.get("differing") or ()))
    text = words.texts.text("recomputed_same") if stated.get("agrees") else words.texts.text("recomputed_other", what=what)
    return [(words.texts.text("sure_recomputed"), text)]


def _describe_fall(facts: ReadMeFacts, words: Wording) -> str:
    """Return how green the ground within the outline is before and after; it is called a fall only where it is one.

    Where two images are from before, the last normal look comes first, unless only the one of the same season shows a fall.
    """
    after, number = facts.looks.get(AFTER), words.texts.number
    # What is printed must add up: the difference is that of the rounded numbers.
    known = [look for name in (BEFORE, BEFORE_SEASON) if (look := facts.looks.get(name))]
    before = [(look, round(look.ndvi, 2)) for look in known if look.ndvi is not None]
    if not before or after is None or after.ndvi is None:
        return ""
    last = round(after.ndvi, 2)
    look, first = next(((look, ndvi) for look, ndvi in before if ndvi - last >= FALL), before[0])
    values = {"before": number(first, "0.00"), "after": number(last, "0.00"), "fall": number(first - last, "0.00")}
    days = {"day_before": words.texts.date(look.day), "day_after": words.texts.date(after.day)}
    lines = [words.texts.count("sure_fall" if first - last >= FALL else "sure_no_fall", after.pixels, **values, **days)]
    for other, ndvi in before:
        if other is not look:
            lines.append(
                words.texts.text(
                    "sure_other_season" if other.name == BEFORE_SEASON else "sure_other",
                    day=words.texts.date(other.day),
                    value=number(ndvi, "0.00"),
                )
            )
    return " ".join(lines).replace("-", "\N{MINUS SIGN}")


def _list_unverified(facts: ReadMeFacts, words: Wording) -> list[str]:
    """Return what was not verified, a sentence or two each."""
    text = words.texts.text
    lines = [text("unverified_ground"), text("unverified_cause"), text("unverified_law"), text("unverified_pixels")]
    lines.append(text("unverified_token" if facts.has_token else "unverified_clock"))
    if facts.is_signed:
        lines.append(text("unverified_signed", fingerprint=show(facts.manifest["signed_with"].get("fingerprint", ""))))
    else:
        lines.append(text("unverified_unsigned"))
    if facts.manifest.get("what_if"):
        lines.insert(0, text("unverified_what_if"))
    return lines


# --- pictures --------------------------------------------------------------------------------------------------------


def _find_before(facts: ReadMeFacts) -> EvidenceLook | None:
    """Return the look before the change: the last normal one, else the one of the same season."""
    return facts.looks.get(BEFORE) or facts.looks.get(BEFORE_SEASON)


def _list_pictures(facts: ReadMeFacts, words: Wording) -> dict[str, Any]:
    """Return the two pictures, which share a stretch, their captions, and whom to credit for them."""
    shown = {"before": _find_before(facts), "after": facts.looks.get(AFTER)}
    looks = [look for look in shown.values() if look]
    years, terms = [look.day.year for look in looks], [look.terms for look in looks]
    about = "" if terms and all(one.is_simulated for one in terms) else words.texts.text("credits")
    maps = _draw(facts, looks)
    pictures = {
        when: {
            "map": maps[look.name],
            "day": words.texts.date(look.day),
            "what": _describe_look(facts, look, words),
            "scenes": ", ".join(map(show, look.scenes)),
        }
        for when, look in shown.items()
        if look
    }
    missing = {when: _describe_missing(facts, when, words) for when, look in shown.items() if not look}
    return {"pictures": pictures, "missing": missing, "credit": f"{credit_data(terms, years)}. {about}"}


def _describe_missing(facts: ReadMeFacts, when: str, words: Wording) -> str:
    """Return that a picture is missing, and why where the manifest says so."""
    stated = facts.manifest.get("not_shown")
    reason = str(stated.get(when) or "") if isinstance(stated, dict) else ""
    return " ".join(filter(None, (words.texts.text(f"picture_missing_{when}"), f"({show(reason)})" if reason else "")))


def _draw(facts: ReadMeFacts, looks: list[EvidenceLook]) -> dict[str, Map]:
    if not looks:
        return {}
    # Clouds would take the bright tones and leave the ground dark; the alert's own soil shall not be all white.
    masks = [[look.clear for look in looks], [look.clear & look.inside for look in looks]]
    values = [np.concatenate([look.colours[mask].ravel() for look, mask in zip(looks, part, strict=True)]) for part in masks]
    white = max(find_white(part, SCALE) for part in values if part.size) if values[0].size else 1.0
    stretch = Stretch((DARKEST,) * 3, (white,) * 3)
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
    if look.name == BEFORE_SEASON:
        return words.texts.text("picture_season")
    return words.texts.text("picture_last_normal" if look.day == facts.last_normal else "picture_earlier")
