"""The words of the print layout: text and expressions that QGIS evaluates when it draws the page."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from minewatch.alerts.record import CLOSED, CONFIRMED, PROVISIONAL
from minewatch.alerts.style import IS_GREEN_AGAIN, write_number
from minewatch.products.images.quicklook import TIMES
from minewatch.products.qgis.project_layers import ALERTS_ID, AREAS_ID, Project
from minewatch.products.report.texts import Texts
from minewatch.settings.credits import credit_sentinel

LISTED = (CONFIRMED, PROVISIONAL)
"""The status of alerts in the table, besides those that are green again."""

MOST_NAMED = 3
"""Areas or images that are named on the page, at most."""

CREDIT = credit_sentinel(())
"""Words that the licence of the data asks for, in every language; the years follow."""


def list_columns(texts: Texts) -> list[tuple[str, str]]:
    """Return heading and expression of each column of the table."""
    words = " ".join(f"WHEN \"status\" = '{status}' THEN {_quote(texts.text(f'short_{status}'))}" for status in LISTED)
    status = f'CASE {words} ELSE "status" END'
    return [
        (texts.text("column_number"), write_number(f"'{ALERTS_ID}'")),
        (
            texts.text("column_alert"),
            'if(length("alert_id") > 16, \'…\' || right("alert_id", 15), "alert_id")',
        ),  # the end differs
        (texts.text("column_status"), f"if({IS_GREEN_AGAIN}, {_quote(texts.text('short_green_again'))}, {status})"),
        (texts.text("column_hectares"), f"format_number(\"area_ha\", 2, '{texts.language}')"),
        (
            texts.text("column_last_normal"),
            f"coalesce(format_date(\"last_normal\", 'yyyy-MM-dd'), {_quote(texts.text('unknown'))})",
        ),
        (texts.text("column_first_seen"), "format_date(\"first_seen\", 'yyyy-MM-dd')"),
        (texts.text("column_latitude"), "format_number(\"lat\", 5, 'en')"),
        (texts.text("column_longitude"), "format_number(\"lon\", 5, 'en')"),
    ]


def _quote(text: str) -> str:
    """Return a text as an expression of QGIS has it."""
    return "'" + text.replace("'", "''") + "'"


def _aggregate(layer: str, aggregate: str, expression: str, condition: str = "") -> str:
    """Return the QGIS expression of an aggregate over a layer."""
    chosen = f", filter:={condition}" if condition else ""
    return f"aggregate(layer:='{layer}', aggregate:='{aggregate}', expression:={expression}{chosen})"


def name_some(names: Sequence[str], texts: Texts) -> str:
    """Return the first few of some names, and how many more there are."""
    more, shown = len(names) - MOST_NAMED, ", ".join(names[:MOST_NAMED])
    return texts.text("and_more", names=shown, count=more) if more > 0 else shown


def _write_period(first: str, last: str, texts: Texts) -> str:
    """Return the text of one day, or of the first to the last: both are expressions."""
    words = _quote(texts.text("days", first="%1", last="%2"))
    return f"[% if({first} = {last}, {last}, replace({words}, map('%1', {first}, '%2', {last}))) %]"


def _write_as_of(texts: Texts) -> str:
    """Return the text of the as-of date, or of the dates of several areas."""
    form = {"en": "d MMMM yyyy", "fr": "d MMMM yyyy"}.get(texts.language, "d 'de' MMMM 'de' yyyy").replace("'", "''")
    first, last = (
        f"format_date({_aggregate(AREAS_ID, which, 'as_of')}, '{form}', '{texts.language}')" for which in ("min", "max")
    )
    return _write_period(first, last, texts)


def write_facts(texts: Texts) -> str:
    """Return the text with as-of date, and numbers: alerts ever confirmed, those still bare and green again, provisional ones."""
    parts = [texts.text("facts", date=_write_as_of(texts))]
    is_bare, is_provisional = f"status = '{CONFIRMED}'", f"status = '{PROVISIONAL}'"
    ever = f"{is_bare} OR (status = '{CLOSED}' AND \"confirmed_on\" IS NOT NULL)"
    kinds = (("confirmed", ever, False), ("still_bare", is_bare, True), ("green_again", IS_GREEN_AGAIN, False))
    for name, chosen, has_area in (*kinds, ("provisional", is_provisional, True)):
        count = f"coalesce({_aggregate(ALERTS_ID, 'count', 'alert_id', chosen)}, 0)"
        area = f"format_number(coalesce({_aggregate(ALERTS_ID, 'sum', 'area_ha', chosen)}, 0), 1, '{texts.language}')"
        parts.append(f"{texts.text(f'count_{name}')}{texts.colon} [% {count} %]" + (f" ([% {area} %] ha)" if has_area else ""))
    return "  ·  ".join(parts)


def write_credits(project: Project) -> str:
    """Return the text with the source of the data, the images that are shown, and the grid."""
    texts = project.texts
    first, last = (f"year({_aggregate(AREAS_ID, which, name)})" for which, name in (("min", "monitor_from"), ("max", "as_of")))
    years = f"[% if({first} = {last}, {last}, {first} || '-' || {last}) %]"
    shown = [
        f"{area}, {texts.date(dt.date.fromisoformat(image.date))}" for area, image in project.images if image.when == TIMES[-1]
    ]
    images = texts.text("images", names=name_some(shown, texts)) if shown else ""
    grid = ":".join(project.crs.to_authority() or ()) or project.crs.name
    source = texts.text("source", credit=f"{CREDIT} {years}", images=images, date=_write_as_of(texts))
    return f"{source}\n{texts.text('place', grid=grid)}"
