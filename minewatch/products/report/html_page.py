"""The HTML page of a report: one file that loads nothing else, and in which no text from the data can run as code."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from minewatch import __version__
from minewatch.alerts.history import LEGAL_STATUS, REVIEWED, HistoryEvent
from minewatch.alerts.lifetime import GREEN_AGAIN, MERGED, STILL_BARE, FateCount, LookPair, find_fate, find_green_again
from minewatch.alerts.record import DISMISSED, PROVISIONAL
from minewatch.alerts.style import CHART_COLOURS, COLOURS
from minewatch.areas.coordinates import make_position
from minewatch.core.text import show
from minewatch.core.url_policy import is_web
from minewatch.detection.chance import Chance
from minewatch.detection.lasting import LASTING_DAYS
from minewatch.products.report.change_words import describe_change
from minewatch.products.report.charts import draw_growth, draw_series, measure_growth
from minewatch.products.report.decision_words import DecisionFacts, describe_decision, describe_review_event, name_person
from minewatch.products.report.drawing import draw_outline_alone, draw_overview, draw_pairs, list_vertices
from minewatch.products.report.impact_words import describe_impact
from minewatch.products.report.law_words import describe_law
from minewatch.products.report.likeness_words import describe_cell
from minewatch.products.report.report_facts import BEFORE, AlertFacts, ReportFacts, Row
from minewatch.products.report.texts import Texts, read_texts
from minewatch.products.report.witness_words import describe_witnesses, explain_unseen, name_systems
from minewatch.settings.providers import PROVIDERS

FOLDER = Path(__file__).parent

AREA_COLOUR = "#ffe14d"
"""Outline of the area on the overview map."""

MOST_REPORTED = 50
"""Places that others report and that a page lists; the largest come first."""

MOST_CORNERS = 600
"""Corners of an outline that are listed; the alerts table has them all."""

OVERLAPS = (
    ("overlap_concession", "concession", "concession_ha", "concession_pct"),
    ("overlap_protected", "protected_area", "protected_ha", "protected_pct"),
    ("overlap_territory", "territory", "territory_ha", "territory_pct"),
)
"""Key of the text, and the columns, of what an alert may overlap."""

DISTANCES = (
    ("fact_river", "river_m"),
    ("fact_road", "road_m"),
    ("fact_airstrip", "airstrip_m"),
    ("fact_settlement", "settlement_m"),
)
"""Key of the text, and the column, of what an alert may be near to."""


def render_page(facts: ReportFacts) -> str:
    """Return the page as HTML."""
    texts = read_texts(facts.request.language)
    style, script = ((FOLDER / name).read_text("utf-8") for name in ("page.css", "page.js"))
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("page.html")
    return template.render(
        **_list_template_functions(texts),
        **_list_facts(facts, texts),
        **_draw(facts, texts),
        language=texts.language,
        version=__version__,
        style=style,
        script=script,
        policy=make_policy(style, script),
    )


def make_policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy: only embedded images, this style and this script are allowed."""
    style_hash, script_hash = (
        base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") for text in (style, script)
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _list_template_functions(texts: Texts) -> dict[str, Any]:
    """Return what the template calls, and the constants that it uses."""
    return {
        "t": texts.text,
        "n": texts.count,
        "colon": texts.colon,
        "date": texts.date,
        "short_date": texts.short_date,
        "moment": texts.moment,
        "number": texts.number,
        "percent": texts.percent,
        "hectares": lambda value: texts.number(value, "#,##0.00"),
        "signed": lambda value: None if value is None else texts.number(value, "+0.00;-0.00"),
        "distance": lambda metres: describe_distance(metres, texts),
        "decimal_position": lambda position: make_position(*position).decimal,
        "bracket": lambda row: describe_bracket(row, texts),
        "bracket_short": lambda row: describe_bracket(row, texts, is_short=True),
        "split_id": split_id,
        "fate": lambda row, day: describe_fate(row, day, texts),
        "green_again": find_green_again,
        "said": lambda row: name_person(DecisionFacts.of_row(row), texts),
        "change": lambda row: describe_change(row["last_normal"], row["first_seen"], texts),
        "outline_of": lambda alert: describe_outline(alert, texts),
        "look_name": lambda when, pair: texts.text(name_look(when, pair)),
        "decision": lambda row: describe_decision(DecisionFacts.of_row(row), texts),
        "likeness_of": lambda row: describe_cell(row["mine_basis"], texts),
        "witnesses_of": lambda row: describe_witnesses(row, texts),
        "systems_of": lambda place: name_systems(place.systems, texts),
        "unseen_since": lambda place: explain_unseen(place.why, place.last_clear, texts),
        "most_reported": MOST_REPORTED,
        "reviewed_event": REVIEWED,
        "event_name": lambda event: name_event(event, texts),
        "event_change": lambda event: describe_event(event, texts),
        "months": texts.months(),
        "overlaps": OVERLAPS,
        "distances": DISTANCES,
        "most_corners": MOST_CORNERS,
        "chart_colours": CHART_COLOURS,
        "colours": {"aoi": AREA_COLOUR} | {f"alert-{status}": colour for status, colour in COLOURS.items()},
    }


def _list_facts(facts: ReportFacts, texts: Texts) -> dict[str, Any]:
    """Return the facts, and what the summary counts."""
    request = facts.request
    rows = [alert.row for alert in facts.alerts]
    fates = FateCount.of(rows)
    dismissed = sum(row["status"] == DISMISSED for row in rows)
    counts = {"provisional": sum(row["status"] == PROVISIONAL for row in rows), "dismissed": dismissed}
    years = [year for year, _ in facts.months]
    alert_id = facts.alerts[0].row["alert_id"] if request.alert_id else ""
    title = texts.text("title_alert", name=show(alert_id)) if alert_id else texts.text("title_area", name=show(facts.aoi.name))
    return {
        "facts": facts,
        "law_of": lambda row: describe_law(row, texts, facts.made.date()),
        "impact": describe_impact(facts.impact, texts) if facts.impact else None,
        "title": title,
        "detailed": [alert for alert in facts.alerts if alert.has_section],
        "fates": fates,
        "bare_ha": sum(row["area_ha"] for row in rows if find_fate(row) == STILL_BARE),
        "new_alerts": [alert for alert in facts.alerts if alert.is_new],
        "besides": counts | {"closed": len(rows) - fates.confirmed - sum(counts.values())},
        "visibility": describe_visibility(facts, texts),
        "on_behalf": [("case_number", request.case), ("author", request.author), ("organisation", request.organisation)],
        # The path of a catalogue on this machine is private.
        "source": facts.source if is_web(facts.source) or facts.source in PROVIDERS else "",
        "years": list(range(min(years), max(years) + 1)) if years else [],
    }


def _draw(facts: ReportFacts, texts: Texts) -> dict[str, Any]:
    """Return the maps and charts."""
    detailed = [alert for alert in facts.alerts if alert.has_section]
    growth = measure_growth(detailed)
    return {
        "overview": draw_overview(facts),
        "map_overpass": next(iter(facts.map.overpasses.values()), None),
        "pairs": {alert.number: draw_pairs(alert) for alert in detailed},
        "outlines": {alert.number: draw_outline_alone(alert) for alert in detailed},
        "series": {a.number: draw_series(a.explanation, texts) for a in detailed if a.explanation is not None},
        "vertices": {alert.number: _list_corners(alert) for alert in detailed},
        "growth": draw_growth(growth, facts, texts) if growth else None,
        "growth_first": growth[0][1] if growth else 0.0,
        "growth_last": growth[-1][1] if growth else 0.0,
    }


@dataclass(frozen=True)
class Ring:
    """A closed line of an outline."""

    part: int
    """Number of the polygon, from 1."""

    ring: int
    """1 = outer edge, others are holes."""

    corners: tuple[tuple[int, float, float, str], ...]
    """Number in the ring, latitude, longitude, UTM: east and north."""


@dataclass(frozen=True)
class Corners:
    """The corners of an outline, as the appendix lists them."""

    count: int
    """Number of all corners."""

    rings: tuple[Ring, ...]
    """The first MOST_CORNERS corners, by ring."""

    zone: str
    """UTM zone and hemisphere; '' where the corners lie in several, and each states its own."""

    across: int
    """Corners in each row of the table."""


def _list_corners(alert: AlertFacts) -> Corners:
    rows = list_vertices(alert.outline)
    places = [(row, make_position(row[3], row[4])) for row in rows[:MOST_CORNERS]]
    zones = {place.utm.rpartition(" ")[0].rpartition(" ")[0] for _, place in places}
    zone = zones.pop() if len(zones) == 1 else ""
    rings = [
        Ring(part, ring, tuple((row[2], place.lat, place.lon, place.utm.removeprefix(zone).strip()) for row, place in found))
        for (part, ring), found in itertools.groupby(places, key=lambda item: item[0][:2])
    ]
    return Corners(len(rows), tuple(rings), zone, across=3 if zone else 2)


def describe_visibility(facts: ReportFacts, texts: Texts) -> str:
    """Return a few sentences on how much of the area was not seen lately, and what could not have been found."""
    return " ".join([_describe_unseen(facts, texts), *describe_chance(facts.visibility.chance, texts)])


def describe_chance(chance: Chance, texts: Texts) -> list[str]:
    """Return a sentence on the clearings that would have been confirmed, and one on when most would not; [] where unknown."""
    if chance.share is None:
        return []
    lines = [texts.count("lasting_confirmed", LASTING_DAYS, share=texts.percent(chance.share))]
    if chance.blind_from is not None and chance.blind_to is not None and chance.blind_share is not None:
        key = "lasting_blind_day" if chance.blind_from == chance.blind_to else "lasting_blind"
        first, last = texts.date(chance.blind_from), texts.date(chance.blind_to)
        lines.append(texts.text(key, first=first, last=last, share=texts.percent(chance.blind_share)))
    return lines


def _describe_unseen(facts: ReportFacts, texts: Texts) -> str:
    visibility, day = facts.visibility, texts.date(facts.as_of)
    if visibility.unseen is None:
        return texts.text("seen_unknown")
    if visibility.unseen <= 0:
        return texts.text("seen_all", date=day)
    lines = [texts.text("seen_summary", unseen=texts.percent(visibility.unseen), date=day)]
    if visibility.unseen_days is not None:
        lines.append(texts.count("seen_since", visibility.unseen_days))
    last = visibility.last_clear
    lines.append(texts.text("seen_last", date=texts.date(last)) if last else texts.text("seen_never"))
    if visibility.skipped:
        lines.append(texts.count("seen_skipped", visibility.skipped))
    return " ".join(lines)


def describe_bracket(row: Row, texts: Texts, *, is_short: bool = False) -> str:
    """Return when the ground of an alert changed: between its last normal look and the first that shows the change."""
    last, first, write = row["last_normal"], row["first_seen"], texts.short_date if is_short else texts.date
    if last is None:
        return texts.text("bracket_open_short" if is_short else "bracket_open", first=write(first))
    return texts.text("bracket", last=write(last), first=write(first))


def describe_fate(row: Row, as_of: dt.date, texts: Texts) -> str:
    """Return what became of a confirmed alert; '' where it was never confirmed, was dismissed, or the day is not known."""
    fate, day = find_fate(row), find_green_again(row)
    if fate == GREEN_AGAIN:
        return texts.text("fate_green_again", date=texts.date(day)) if day else ""
    if fate == MERGED:
        return texts.text("fate_merged", alert=show(row["merged_into"]))
    return texts.text("fate_still_bare", date=texts.date(as_of)) if fate == STILL_BARE else ""


def describe_distance(metres: float, texts: Texts) -> str:
    """Return a distance in metres as text, from 1 km on in kilometres."""
    return f"{texts.number(metres / 1000, '#,##0.0')} km" if metres >= 1000 else f"{texts.number(metres, '0')} m"


def split_id(alert_id: str) -> tuple[str, str]:
    """Return the name of an id, with its hyphen, and its date with the hash, which stay together on a line."""
    name, *key = alert_id.rsplit("-", 2)
    return (f"{name}-", "-".join(key)) if key else ("", alert_id)


def describe_outline(alert: AlertFacts, texts: Texts) -> str:
    """Return of which day the outline on the images of an alert is, and its hectares on that day."""
    drawn = alert.drawn
    return texts.text("outline_of", date=texts.date(drawn.day), hectares=texts.number(drawn.area_ha, "#,##0.00"))


def name_look(when: str, pair: LookPair) -> str:
    """Return the key of the text that says which of an alert's looks an image shows."""
    if when == BEFORE:
        return "look_last_normal"
    return "look_confirming" if pair.is_confirming else "look_latest"


def name_event(event: HistoryEvent, texts: Texts) -> str:
    """Return the name of an event of the alert's history."""
    key = f"event_{event.event.replace(' ', '_')}"
    return texts.text(key if key in texts.words else "event_other")


def describe_event(event: HistoryEvent, texts: Texts) -> str:
    """Return what changed; where the history has only a sentence (``detail``), that sentence."""
    if event.event == REVIEWED:
        return describe_review_event(event, texts)
    said = _describe_change(event, texts)
    if not said:
        return show(event.detail)
    return "; ".join([said, texts.text("what_if")] if event.what_if else [said])


def _describe_change(event: HistoryEvent, texts: Texts) -> str:
    if event.former_id:
        return f"{show(event.former_id)} → {show(event.alert_id)}"
    if event.merged_into:
        return f"→ {show(event.merged_into)}"
    if event.gained_ha is not None and event.area_ha is not None:
        return f"{texts.number(event.gained_ha, '+0.00;-0.00')} ha → {texts.number(event.area_ha, '#,##0.00')} ha"
    kind = "legal" if event.event == LEGAL_STATUS else "status"
    keys = [(f"{kind}_{word}", word) for word in (event.from_status, event.to_status) if word]
    return " → ".join(show(texts.text(key) if key in texts.words else word) for key, word in keys)
