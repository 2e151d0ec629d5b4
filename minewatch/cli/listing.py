"""Prints lists of alerts, and what external alerts agree with them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minewatch.alerts.cells import data_cell, is_empty, plain_cell
from minewatch.alerts.context.legal_basis import read_legal_basis
from minewatch.alerts.context.terms import PARTLY_VALID, UNKNOWN
from minewatch.alerts.corroboration.cells import read_agreements
from minewatch.alerts.lifetime import find_green_again
from minewatch.cli.output import echo, print_table, say
from minewatch.core.text import count_of
from minewatch.likeness.basis import Basis
from minewatch.likeness.grades import MEANING
from minewatch.products.report.decision_words import DecisionFacts, describe_decision
from minewatch.products.report.law_words import describe_law
from minewatch.products.report.texts import Texts, read_texts

if TYPE_CHECKING:
    from minewatch.alerts.corroboration.corroboration import Corroboration
    from minewatch.alerts.corroboration.unseen import ReportedPlace


LIKENESS = "likeness"
"""Column of the mine-likeness."""

SPARE = ("BSI", "NDVI", "merged into", "last normal", "green again", "confirmed", LIKENESS, "legal", "review")
"""Columns of a list of alerts for which a narrow terminal has no room, the first to be left out first."""


def print_alerts(alerts: Sequence[Mapping[Any, Any]]) -> None:
    """Print a table of alerts, with the likeness, the legal status and what alerts were merged into where any is known."""
    is_partly = any(row["legal_reason"] == PARTLY_VALID for row in alerts)
    is_placed = is_partly or any(row["legal_status"] not in ("", UNKNOWN) for row in alerts)
    is_merged = any(row["merged_into"] for row in alerts)
    is_scored = any(not is_empty(row["mine_score"]) for row in alerts)
    rows = [
        (
            row["alert_id"],
            row["status"],
            plain_cell(row["last_normal"]) or "unknown",
            plain_cell(row["first_seen"]),
            plain_cell(row["confirmed_on"]),
            str(find_green_again(row) or ""),
            float(row["area_ha"]),
            f"{row['lat']:.5f}",
            f"{row['lon']:.5f}",
            f"{row['ndvi_change']:+.2f}",
            f"{row['bsi_change']:+.2f}",
            row["review"],
            *(["–" if is_empty(row["mine_score"]) else f"{row['mine_score']:.2f}"] if is_scored else []),
            *([f"{row['legal_status']}*" if row["legal_reason"] == PARTLY_VALID else row["legal_status"]] if is_placed else []),
            *([row["merged_into"]] if is_merged else []),
        )
        for row in alerts
    ]
    dates = ("last normal", "first seen", "confirmed", "green again")
    columns = ("alert", "status", *dates, "ha", "lat", "lon", "NDVI", "BSI", "review")
    names = (*columns, *[LIKENESS] * is_scored, *["legal"] * is_placed, *["merged into"] * is_merged)
    dropped = print_table(names, rows, spare=SPARE)
    texts = read_texts("en")
    if is_scored and LIKENESS not in dropped:
        say(MEANING)
    if is_partly:
        echo(f"* {texts.text('legal_meaning_partly_valid')}")
    for row in alerts:
        if (facts := DecisionFacts.of_row(row)).is_made:
            echo(f"{row['alert_id']}: {describe_decision(facts, texts)}")


def describe_alerts(alerts: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Return alerts as plain data, without their outlines."""
    return [{name: data_cell(cell) for name, cell in row.items()} | _parse_bases(row) for row in alerts]


def _parse_bases(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what legal status and likeness rest on as data; None where nothing is known."""
    law, likeness, others = row["legal_basis"], row["mine_basis"], row["witness_basis"]
    return {
        "legal_basis": json.loads(law) if read_legal_basis(law) else None,
        "mine_basis": json.loads(likeness) if Basis.parse(likeness) else None,
        "witness_basis": read_agreements(others),
    }


def describe_law_lines(row: Mapping[Any, Any], texts: Texts) -> list[tuple[str, str]]:
    """Return the legal status of an alert and what it rests on, a line for each title and file."""
    law = describe_law(row, texts, dt.datetime.now(dt.UTC).date())
    lines = [("law", law.status), *([("judged", law.judged)] if law.judged else [])]
    for title in law.titles:
        parts = (
            title.name,
            title.id,
            f"{texts.text('law_layer').lower()} {title.layer}",
            title.standing,
            title.validity,
            title.hectares,
        )
        lines.append(("deciding title" if title.decides else "title", " · ".join(filter(None, parts))))
    lines += [("old register", line) for line in law.stale]
    lines += [("titles", law.others)] if law.others else []
    return [*lines, *(("layer", f"{f.layer} · {f.file} · {f.modified} · SHA-256 {f.sha256}") for f in law.files)]


def describe_source_file(result: Corroboration, file: Path) -> list[str]:
    """Describe what a file of external alerts contains."""
    reading = result.reading
    near = sum(map(len, reading.sightings.values()))
    if not near and reading.coding:
        return [f"{result.name}: no dated alert near an area of the table (coding {reading.coding}); nothing was added"]
    if not near:
        lines = [f"none of the {reading.rows} in {file} is near an area of the table; nothing was added"]
        if reading.swapped:
            lines.append(f"{reading.swapped} would, with latitude and longitude exchanged; look at the columns")
        return lines
    if reading.coding:
        pixels = f"{count_of(reading.rows, 'pixel')} with an alert near {', '.join(reading.sightings)}"
        lines = [f"{result.name}: {pixels}, patches of one day: {near} (coding {reading.coding})"]
    else:
        dates = f"dates from {reading.date_column}" if reading.date_column else "without dates"
        lines = [f"{near} of {reading.rows} lie near {', '.join(reading.sightings)} ({dates})"]
    lines.append(f"{len(result.agreements)} of {len(result.sites)} alerts agree")
    return [*lines, *([] if result.added else ["all of it was known already; nothing was added"])]


def describe_corroboration(result: Corroboration) -> dict[str, Any]:
    """Return the result of adding external alerts as plain data."""
    agreements = [
        {"alert_id": alert_id, "date": facts["seen"] or "", **facts} for alert_id, facts in _list_agreements(result).items()
    ]
    near = {aoi: len(sightings) for aoi, sightings in result.reading.sightings.items()}
    return {
        "name": result.name,
        "coding": result.reading.coding,
        "rows": result.reading.rows,
        "near": near,
        "added": [source.aoi for source in result.added],
        "alerts": len(result.sites),
        "agreements": agreements,
    }


def describe_unseen(places: Sequence[ReportedPlace]) -> list[str]:
    """Return a line on what others report on unseen ground; [] where there is nothing."""
    hectares = sum(place.area_ha for place in places)
    command = "list them with: minewatch alerts unseen"
    return [f"{count_of(len(places), 'place')} of {hectares:.2f} ha that could not be seen here; {command}"] if places else []


def print_corroboration(result: Corroboration) -> None:
    """Print the alerts that external alerts agree with."""
    rows = [
        (
            alert_id,
            facts["name"],
            facts["first"] or "",
            _write_days(facts["days_before_first_seen"]),
            _write_days(facts["days_before_confirmed"]),
            facts["confidence"] or "",
            facts["distance_m"],
        )
        for alert_id, facts in _list_agreements(result).items()
    ]
    print_table(("alert", "seen by", "first on", "d seen", "d conf.", "sure", "m away"), rows)
    echo("d seen, d conf.: days from their first detection to the look on which ours was")
    echo("first seen, and to that which confirmed it; below 0 theirs was later.")
    echo("Agreement is no proof of mining.")


def _list_agreements(result: Corroboration) -> dict[str, dict[str, Any]]:
    """Return what agrees as plain data, by alert."""
    from minewatch.alerts.corroboration.agreement import describe_agreement

    return {
        alert_id: describe_agreement(match, result.sites[alert_id].first_seen, result.sites[alert_id].confirmed_on)
        for alert_id, match in sorted(result.agreements.items())
    }


def _write_days(days: int | None) -> str:
    return "" if days is None else str(days)


def describe_places(places: Sequence[ReportedPlace]) -> list[dict[str, Any]]:
    """Return places that others report on unseen ground as plain data, with their outlines as GeoJSON."""
    from shapely.geometry import mapping

    return [{**place.describe(), "geometry": mapping(place.outline)} for place in places]


def print_places(places: Sequence[ReportedPlace]) -> None:
    """Print places that others report on unseen ground."""
    rows = [
        (
            place.aoi,
            ", ".join(f"{name} ({word})" if word else name for name, word in place.systems.items()),
            str(place.first),
            place.area_ha,
            f"{place.lat:.5f}",
            f"{place.lon:.5f}",
            f"{place.why} {place.last_clear or 'the beginning'}" if place.why.endswith("since") else place.why,
        )
        for place in places
    ]
    print_table(("area", "reported by", "first on", "ha", "lat", "lon", "why not seen"), rows)
    echo("These are no alerts of ours: nothing there has been checked.")
    echo("Dates are those of their first detection.")
