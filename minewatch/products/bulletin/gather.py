"""Gathers the facts of a bulletin: from the table, the archive, and the records of the last scan."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from minewatch.alerts.cells import is_empty
from minewatch.alerts.columns import AOIS
from minewatch.alerts.credits import AlertCredits, credit_layers
from minewatch.alerts.database import recover, require_table
from minewatch.alerts.record import CLOSED, CONFIRMED
from minewatch.alerts.rows import read_layer, read_rows, reading
from minewatch.archive.item import Observation
from minewatch.archive.stac_item import credit_observations
from minewatch.areas.area_files import explain_no_area, list_aois
from minewatch.areas.coordinates import make_position
from minewatch.areas.vectorize import find_position
from minewatch.core.errors import AoiError, ReportError
from minewatch.core.progress import Reporter
from minewatch.core.text import count_of, format_day
from minewatch.core.workspace import Workspace
from minewatch.likeness.grades import LIKE, grade_score
from minewatch.products.bulletin.bulletin_facts import (
    BARE,
    MONTH,
    NEW,
    SPANS,
    BulletinFacts,
    BulletinRequest,
    Count,
    UnitAlert,
    UnitFacts,
)
from minewatch.products.bulletin.comparison import AlertChange, compare_alerts
from minewatch.products.bulletin.drawing import draw_unit
from minewatch.products.bulletin.period import Period, begin_with_year, go_back_a_year
from minewatch.products.bulletin.tally import Changes, Rows, UnitChange, is_dismissed, judge_sights, list_changes, tally_unit
from minewatch.products.bulletin.unit import Unit, find_units, make_whole_unit, open_unit_layers
from minewatch.products.bulletin.watched_area import WatchedArea, read_watched_area
from minewatch.settings.credits import list_license_links

MOST_LISTED = 20
"""Alerts of a unit that the page lists and numbers, those with most new ground; the tables have all."""


def gather_bulletin(workspace: Workspace, request: BulletinRequest, reporter: Reporter | None = None) -> BulletinFacts:
    """Gather the facts.

    Raises MinewatchError where there is no table, no area, no context layer of the kind, or where the table says nothing of the
    month: it lies after the as-of date, or before the monitoring, of all areas.
    """
    reporter, month = reporter or Reporter(), request.month
    spans = dict(zip(SPANS, (month, begin_with_year(month), go_back_a_year(month)), strict=True))
    names = list_aois(workspace)
    if not names:
        raise AoiError(explain_no_area(workspace))
    require_table(workspace.alerts)
    recover(workspace.alerts)
    with reading(workspace.alerts) as connection:
        scanned = {str(row["aoi"]): row for row in read_layer(connection, AOIS) if row["aoi"] in names}
    refuse_unknown(month, scanned)
    layers = open_unit_layers(workspace, request.by)
    rows = {str(row["alert_id"]): row for row in read_rows(workspace.alerts)}
    periods = tuple(spans.values())
    areas = [
        read_watched_area(workspace, name, scanned.get(name), periods)
        for name in reporter.track(names, "reading areas", len(names))
    ]
    changes = {period: _compare(areas, scanned, period) for period in periods}
    units, notes = find_units(layers, areas)
    drawn = [_describe_unit(unit, spans, changes, rows) for unit in reporter.track(units, "counting", len(units))]
    ranked = sorted(drawn, key=lambda unit: (-round(unit.month.laid_bare, 4), unit.is_outside, unit.name, unit.id))
    known = [row["as_of"] for row in scanned.values()]
    observations = [observation for area in areas for observation in area.observations]
    return BulletinFacts(
        request=request,
        made=dt.datetime.now(dt.UTC),
        as_of=(min(known), max(known)),
        known_to=min(month.last, max(known)),
        areas=len(names),
        total=_describe_unit(make_whole_unit("", areas), spans, changes, rows, with_map=False),
        units=tuple(replace(unit, number=number) for number, unit in enumerate(ranked, 1)),
        layers=tuple(layer.name for layer in layers),
        credits=_credit(workspace, observations),
        is_simulated=bool(observations) and all(observation.terms.is_simulated for observation in observations),
        notes=(*notes, *_note_strangers(changes[month], rows)),
        missing=tuple(area.missing for area in areas if area.missing),
    )


def refuse_unknown(month: Period, scanned: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ReportError where the table says nothing of a month, given the rows of its areas."""
    name = f"{month.first:%Y-%m}"
    if not scanned:
        raise ReportError("no area was scanned yet; run: minewatch scan")
    latest, first = max(row["as_of"] for row in scanned.values()), min(row["monitor_from"] for row in scanned.values())
    if month.first > latest:
        when = "has not begun" if month.first > dt.datetime.now(dt.UTC).date() else "is not scanned yet"
        raise ReportError(f"{name} {when}: the table is as of {format_day(latest)}; scan first, or take an earlier month")
    if month.last < first:
        raise ReportError(f"{name} was not watched: monitoring began on {format_day(first)}; take a later month")


def _compare(
    areas: Iterable[WatchedArea], scanned: Mapping[str, Mapping[str, Any]], period: Period
) -> dict[str, list[AlertChange]]:
    """Return what became of the alerts of each area in a time that was watched there."""
    found = {}
    for area in areas:
        last = area.as_of and min(period.last, area.as_of)
        if area.missing or last is None or last < max(period.first, scanned[area.aoi.name]["monitor_from"]):
            continue
        found[area.aoi.name] = compare_alerts(area.alerts[period.before], area.alerts[last], period)
    return found


def _describe_unit(unit: Unit, spans: Mapping[str, Period], changes: Changes, rows: Rows, *, with_map: bool = True) -> UnitFacts:
    sights = judge_sights(unit, tuple(spans.values()))
    found = {name: list_changes(unit, changes, period) for name, period in spans.items()}
    kept = [one for one in found[MONTH] if not is_dismissed(one, rows) and not one.change.is_faded]
    alerts = [
        _describe_alert(one, rows.get(one.change.alert.alert_id, {}), is_whole=unit.layer == "" and not unit.is_outside)
        for one in kept
        if one.change.alert.status != CLOSED or one.tags
    ]
    alerts.sort(key=lambda alert: (not alert.tags, -alert.gained, -alert.hectares, alert.alert_id))
    numbered = tuple(replace(alert, number=number) for number, alert in enumerate(alerts, 1))
    known = [part.area.as_of for part in unit.parts if part.area.as_of]
    counted = [one for one in numbered if NEW in one.tags or one.status == CONFIRMED]
    scores = [one.mine_score for one in counted if one.mine_score is not None]
    return UnitFacts(
        number=0,
        name=unit.name,
        id=unit.id,
        layer=unit.layer,
        standing=unit.standing,
        is_outside=unit.is_outside,
        km2=(unit.watched_ha if unit.is_outside else unit.hectares) / 100,
        watched=min(1.0, unit.watched_ha / unit.hectares) if unit.hectares else 1.0,
        as_of=(min(known), max(known)) if known else None,
        tallies={name: tally_unit(found[name], sights[period], rows) for name, period in spans.items()},
        legal={
            NEW: _count_legal(one for one in numbered if NEW in one.tags),
            BARE: _count_legal(one for one in numbered if one.status == CONFIRMED),
        },
        scored=len(scores),
        like=sum(grade_score(score) == LIKE for score in scores),
        alerts=numbered,
        map=draw_unit(unit, spans[MONTH], numbered, MOST_LISTED) if with_map else None,
    )


def _describe_alert(one: UnitChange, row: Mapping[str, Any], *, is_whole: bool) -> UnitAlert:
    alert = one.change.alert
    place = (alert.lat, alert.lon) if is_whole else find_position(one.ground)
    score = row.get("mine_score")
    return UnitAlert(
        number=0,
        alert_id=alert.alert_id,
        aoi=alert.aoi,
        status=alert.status,
        tags=one.tags,
        last_normal=alert.last_normal,
        first_seen=alert.first_seen,
        confirmed_on=alert.confirmed_on,
        green_on=alert.closed_on if one.change.is_green_now else None,
        hectares=one.hectares,
        gained=one.gained,
        position=make_position(*place),
        outline=one.ground,
        legal_status=str(row.get("legal_status") or "unknown"),
        legal_reason=str(row.get("legal_reason") or ""),
        mine_score=None if score is None or is_empty(score) else float(score),
        review=str(row.get("review") or ""),
    )


def _count_legal(alerts: Iterable[UnitAlert]) -> dict[str, Count]:
    found: dict[str, list[float]] = defaultdict(list)
    for alert in alerts:
        found[alert.legal_status].append(alert.hectares)
    return {status: Count(len(hectares), sum(hectares)) for status, hectares in found.items()}


def _credit(workspace: Workspace, observations: Sequence[Observation]) -> AlertCredits:
    terms = list(dict.fromkeys(observation.terms for observation in observations))
    licenses = tuple(link["href"] for link in list_license_links(terms))
    return AlertCredits((credit_observations(observations), *credit_layers(workspace)), licenses)


def _note_strangers(changes: Mapping[str, Sequence[AlertChange]], rows: Rows) -> list[str]:
    """Return a line where the table lacks alerts of the records: a scan was cut off before it wrote them."""
    strange = [
        one.alert.alert_id for found in changes.values() for one in found if one.is_open and one.alert.alert_id not in rows
    ]
    if not strange:
        return []
    first = strange[0].rsplit("-", 2)[0]
    return [f"{count_of(len(strange), 'alert')} not in the table, as {strange[0]}; scan the area again: minewatch scan {first}"]
