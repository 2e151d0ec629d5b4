"""The page of a bulletin: one HTML file that loads nothing else, and in which no text from the data can run as code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from minewatch import __version__
from minewatch.alerts.table import GROWTH_HA
from minewatch.archive.raster_header import SAMPLE_PIXELS
from minewatch.products.bulletin.bulletin_facts import (
    NO_RECORD,
    NOT_BEGUN,
    NOT_MONITORED,
    NOT_REACHED,
    NOT_SCANNED,
    SEEN,
    SPANS,
    BulletinFacts,
    Sight,
)
from minewatch.products.bulletin.drawing import COLOURS, GROUND_COLOURS
from minewatch.products.bulletin.gather import MOST_LISTED
from minewatch.products.bulletin.options import AREA
from minewatch.products.bulletin.tally import SMALLEST_HA
from minewatch.products.bulletin.wording import (
    COUNTS,
    describe_alert,
    describe_apart,
    describe_change_of,
    describe_count,
    describe_days,
    describe_legal,
    describe_sight,
    name_span,
    name_unit,
    read_bulletin_texts,
    title_of,
    write_hectares,
)
from minewatch.products.report.html_page import FOLDER as REPORT_FOLDER
from minewatch.products.report.html_page import make_policy, split_id
from minewatch.products.report.law_words import name_legal_status
from minewatch.products.report.texts import Texts

FOLDER = Path(__file__).parent

OUTLINES = {"new": "new", "grown": "grown", "bare": "bare", "green": "green", "provisional": "alert-provisional", "unit": "unit"}
"""Key of a text of the legend to the key of its colour."""


def render_bulletin(facts: BulletinFacts) -> str:
    """Return the page as HTML."""
    texts = read_bulletin_texts(facts.request.language)
    style = (REPORT_FOLDER / "page.css").read_text("utf-8") + (FOLDER / "page.css").read_text("utf-8")
    script = (REPORT_FOLDER / "page.js").read_text("utf-8")
    environment = Environment(
        loader=FileSystemLoader([FOLDER, REPORT_FOLDER]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        **_list_template_functions(facts, texts),
        facts=facts,
        month=facts.request.month,
        title=title_of(facts, texts),
        unseen=sum(unit.month.sight.state != SEEN for unit in facts.units),
        spans=SPANS,
        counts=COUNTS,
        shares=list_shares(texts),
        colours=COLOURS,
        grounds=GROUND_COLOURS,
        outlines=OUTLINES,
        most_listed=MOST_LISTED,
        readings=list_readings(facts, texts),
        language=texts.language,
        version=__version__,
        style=style,
        script=script,
        policy=make_policy(style, script),
    )


def _list_template_functions(facts: BulletinFacts, texts: Texts) -> dict[str, Any]:
    """Return what the template calls."""
    return {
        "t": texts.text,
        "n": texts.count,
        "colon": texts.colon,
        "date": texts.date,
        "moment": texts.moment,
        "number": texts.number,
        "percent": texts.percent,
        "hectares": lambda value: write_hectares(value, texts),
        "days": lambda found: describe_days(found, texts),
        "span_name": lambda span: name_span(span, facts.request.month, texts),
        "name": lambda unit: name_unit(unit, texts),
        "count_cell": lambda count, sight: describe_count(count, sight, texts),
        "sight": lambda sight, when: describe_sight(sight, when, texts),
        "legal": lambda unit, kind: describe_legal(unit, kind, texts),
        "legal_of": lambda alert: name_legal_status({"legal_status": alert.legal_status}, texts),
        "apart": lambda tally: describe_apart(tally, texts),
        "what": lambda alert: describe_alert(alert, texts),
        "change": lambda alert: describe_change_of(alert, texts),
        "split_id": split_id,
    }


def list_shares(texts: Texts) -> Mapping[str, Callable[[Sight], str]]:
    """Return the rows on what was examined: the key of each with what its cells say."""
    unwatched = NOT_MONITORED, NOT_BEGUN, NOT_REACHED, NOT_SCANNED, NO_RECORD
    return {
        "examined": lambda sight: f"{texts.percent(sight.examined)} ({texts.number(sight.looks)})",
        "ground": lambda sight: " · ".join(map(texts.percent, (sight.not_seen, sight.blind, sight.share(*unwatched)))),
    }


def list_readings(facts: BulletinFacts, texts: Texts) -> list[str]:
    """Return the sentences on how to read a bulletin."""
    limits = {
        "growth": texts.number(GROWTH_HA),
        "smallest": texts.number(SMALLEST_HA),
        "pixels": texts.number(SAMPLE_PIXELS, "#,##0"),
    }
    by_layer = [] if facts.request.by == AREA else ["read_units"]
    keys = ["read_known", "read_new", "read_grown", "read_bare", "read_green", "read_examined", *by_layer, "read_words"]
    return [texts.text(key, **limits) for key in (*keys, "likeness_meaning", "read_ground")]
