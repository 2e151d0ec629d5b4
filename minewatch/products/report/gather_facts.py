"""Gathers the facts of a report: from the table, the archive, the records of scans and the source."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio

from minewatch.alerts.columns import AOIS
from minewatch.alerts.corroboration.unseen import ReportedPlace, find_reported_places
from minewatch.alerts.database import recover
from minewatch.alerts.explain.explain import explain_alerts
from minewatch.alerts.explain.record import Explanation
from minewatch.alerts.history import HistoryEvent, follow_renames, list_renames, read_history
from minewatch.alerts.lifetime import GREEN_AGAIN, find_fate
from minewatch.alerts.read import read_alerts
from minewatch.alerts.record import CONFIRMED, PROVISIONAL
from minewatch.alerts.rows import find_alert
from minewatch.alerts.used_looks import select_used
from minewatch.archive.choice import BUDGET, explain_coarse
from minewatch.archive.item import Observation, list_observations
from minewatch.archive.stac_item import credit_observations
from minewatch.areas.antimeridian import join_halves
from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_plan import AreaPlan, make_area_plan
from minewatch.areas.coordinates import make_position
from minewatch.core.errors import AlertsError, MinewatchError, RunRecordError
from minewatch.core.files import append_lines, read_lines
from minewatch.core.progress import Reporter
from minewatch.core.run_record import make_record_error, read_run_record
from minewatch.core.text import count_of
from minewatch.core.traffic import format_exact
from minewatch.core.url_policy import hide_secrets
from minewatch.core.workspace import Workspace
from minewatch.detection.chance import Chance
from minewatch.products.impact.assess import assess_impact
from minewatch.products.report.on_file import find_all_evidence
from minewatch.products.report.report_facts import (
    AlertFacts,
    Month,
    ReportFacts,
    ReportLook,
    ReportRequest,
    Row,
    VisibilitySummary,
)
from minewatch.products.report.report_images import AREA, ReportImageReader
from minewatch.settings.pipeline import read_pipeline
from minewatch.sources.run_source import find_run_source

CLEAR_SHARE = 0.5
"""Share of an area that must be clear for a look to count as clear in the calendar."""

RECORD = "reports.jsonl"
"""In the folder of reports: the alerts of each report, so that the next report can say which ones are new."""


def gather_facts(workspace: Workspace, request: ReportRequest, reporter: Reporter | None = None) -> ReportFacts:
    """Gather the facts; raises MinewatchError where area, alert or table are missing."""
    reporter = reporter or Reporter()
    table = read_alerts(workspace.alerts)
    name, chosen = _choose_alerts(workspace, table, request)
    area, area_row = _plan_area(workspace, name)
    observations, notes = _list_looks(workspace, area)
    if unread := area_row.get("left_unread"):
        notes.append(
            f"not read: {BUDGET} ({format_exact(int(area_row['budget']))}): {count_of(int(unread), 'look')} of the period"
        )
    rows = [_clean(row) for row in chosen.to_dict("records")]
    impact = assess_impact(workspace, rows, request.impact) if request.impact else None
    known_ids = set(table["alert_id"])
    detailed = [row for row in rows if has_section(row, request)]
    source = request.source or find_run_source(workspace, str(area_row["run_id"] or ""), area.aoi)
    reader = ReportImageReader(workspace, area.aoi.name, area.grid, source)
    images = reader.read_all(detailed, observations, area, min(request.until or area.until, area.until))
    explanations = dict(reporter.track(_explain(workspace, detailed, notes), f"{name}: reading alerts", len(detailed)))
    history: dict[str, list[HistoryEvent]] = defaultdict(list)
    events = read_history(workspace.alerts)
    renames = list_renames(events)
    for event in events:
        history[follow_renames(event.alert_id, renames, known_ids.__contains__) or event.alert_id].append(event)
    evidence = find_all_evidence(workspace, [row["alert_id"] for row in rows])
    last = read_last_report(workspace.reports / RECORD, name, area.until)
    known = last[1] if last else set()
    alerts = tuple(
        AlertFacts(
            number=number,
            row=row,
            position=make_position(row["lat"], row["lon"]),
            outline=join_halves(row["geometry"]),
            events=tuple(history.get(row["alert_id"], ())),
            is_new=last is not None and row["alert_id"] not in known,
            explanation=explanations.get(row["alert_id"]),
            images=images.get(row["alert_id"]),
            evidence=evidence.get(row["alert_id"]),
        )
        for number, row in enumerate(rows, 1)
    )
    looks = tuple(ReportLook(o.time.date(), o.source_ids, o.clear_share, o.valid_share, o.read_pixel) for o in observations)
    return ReportFacts(
        request=request,
        aoi=area.aoi,
        grid=area.grid,
        monitor_from=area.monitor_from,
        as_of=area.until,
        pipeline=area.pipeline_name,
        digest=str(area_row["digest"] or ""),
        run_id=str(area_row["run_id"] or ""),
        made=dt.datetime.now(dt.UTC),
        looks=looks,
        credit=credit_observations(observations),
        is_simulated=bool(observations) and all(observation.terms.is_simulated for observation in observations),
        months=count_months(looks),
        visibility=_read_visibility(workspace, name, area_row, notes),
        reported=_list_reported(workspace, name, request, notes),
        alerts=alerts,
        last_report=last[0] if last else None,
        map=images[AREA],
        source=hide_secrets(source),
        reasons=tuple(reader.reasons),
        notes=tuple(dict.fromkeys([*notes, *reader.notes])),
        left_unread=int(unread or 0),
        impact=impact,
    )


def has_section(row: Mapping[str, Any], request: ReportRequest) -> bool:
    """True if an alert has a section of its own: it is open, or closed after it was confirmed, or was asked for by its id."""
    if request.alert_id:
        return True
    return row["status"] in (PROVISIONAL, CONFIRMED) or find_fate(row) == GREEN_AGAIN


def _choose_alerts(workspace: Workspace, table: gpd.GeoDataFrame, request: ReportRequest) -> tuple[str, gpd.GeoDataFrame]:
    """Return the area's name and its alerts: open ones, then those green again, then the others; the largest first."""
    if request.alert_id:
        alert_id = find_alert(workspace.alerts, request.alert_id)
        chosen = table[table["alert_id"] == alert_id]
        return str(chosen["aoi"].iloc[0]), chosen
    read_aoi(workspace, request.aoi)  # raises where there is none
    chosen = table[table["aoi"] == request.aoi]
    if request.since:
        chosen = chosen[chosen["first_seen"] >= pd.Timestamp(request.since)]
    if request.until:
        chosen = chosen[chosen["first_seen"] <= pd.Timestamp(request.until)]
    ranked = chosen.assign(rank=[_rank_row(row) for row in chosen.to_dict("records")])
    return request.aoi, ranked.sort_values(["rank", "area_ha", "alert_id"], ascending=[True, False, True]).drop(columns="rank")


def _rank_row(row: Mapping[Any, Any]) -> int:
    return 0 if row["status"] in (PROVISIONAL, CONFIRMED) else 1 if find_fate(row) == GREEN_AGAIN else 2


def _plan_area(workspace: Workspace, name: str) -> tuple[AreaPlan, Row]:
    """Return the area as its last scan had it, and its row in the table."""
    recover(workspace.alerts)
    frame = pyogrio.read_dataframe(workspace.alerts, layer=AOIS, read_geometry=False)
    rows = [_clean(row) for row in frame.to_dict("records") if row["aoi"] == name]
    if not rows:
        raise AlertsError(f"area {name!r} was never scanned; scan it first with: minewatch scan {name}")
    aoi, row = read_aoi(workspace, name), rows[0]
    pipeline = read_pipeline(workspace, row["pipeline"])
    return make_area_plan(aoi, pipeline, row["pipeline"], monitor_from=row["monitor_from"], until=row["as_of"]), row


def _clean(row: Mapping[Any, Any]) -> Row:
    """Return a row with plain dates, and None for what is empty."""
    return {str(name): _clean_value(value) for name, value in row.items()}


def _clean_value(value: Any) -> Any:
    if hasattr(value, "geom_type"):
        return value
    if value == "" or pd.isna(value):
        return None
    return value.date() if isinstance(value, dt.datetime) else value


def _list_looks(workspace: Workspace, area: AreaPlan) -> tuple[list[Observation], list[str]]:
    try:
        archived = list_observations(workspace.archive(area.aoi.name), area.grid).values()
    except MinewatchError as error:
        return [], [str(error)]
    looks = select_used(workspace, archived, area)
    return looks, explain_coarse(looks)


def count_months(looks: Iterable[ReportLook]) -> dict[tuple[int, int], Month]:
    """Count the looks of each month that have data, and how many were clear."""
    months: dict[tuple[int, int], list[ReportLook]] = defaultdict(list)
    for look in looks:
        if look.valid > 0:
            months[look.date.year, look.date.month].append(look)
    return {
        month: Month(len(found), sum(look.clear >= CLEAR_SHARE for look in found), max(look.clear for look in found))
        for month, found in months.items()
    }


def _explain(workspace: Workspace, rows: Iterable[Row], notes: list[str]) -> Iterable[tuple[str, Explanation | None]]:
    """Yield the explanation of each alert; where the archive allows none, a note says why."""
    for alert_id, explanation in explain_alerts(workspace, [row["alert_id"] for row in rows]):
        if isinstance(explanation, MinewatchError):
            notes.append(f"{alert_id}: {explanation}")
            yield alert_id, None
        else:
            notes += explanation.notes
            yield alert_id, explanation


def _read_visibility(workspace: Workspace, name: str, area_row: Row, notes: list[str]) -> VisibilitySummary:
    """Read what the record of the scan says; where it is gone, or damaged as a note says, what the table has, which is less."""
    rest = _read_chance(area_row), _count_skipped(area_row)
    table = VisibilitySummary(None, area_row["share_unseen"], None, area_row["last_clear"], 0, *rest)
    run_id = str(area_row["run_id"] or "")
    try:
        record = read_run_record(workspace, run_id)
        if record is None:
            return table
        facts = next(area["coverage"] for area in record["areas"] if area["aoi"] == name)
        shares = {str(status): float(share) for status, share in facts["status"].items()}
        last = dt.date.fromisoformat(facts["last_clear"]) if facts["last_clear"] else None
        seen = shares, float(facts["unseen"]), facts["unseen_days"], last, int(facts["missing_looks"])
        return VisibilitySummary(*seen, *rest)
    except RunRecordError as error:
        notes.append(f"{error}: of what was seen the report says less")
    except (ArithmeticError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
        notes.append(f"{make_record_error(workspace, run_id)}: of what was seen the report says less")
    return table


def _list_reported(workspace: Workspace, name: str, request: ReportRequest, notes: list[str]) -> tuple[ReportedPlace, ...]:
    """Return what others report on unseen ground, where a report is on a whole area."""
    if request.alert_id:
        return ()
    places, more = find_reported_places(workspace, name)
    notes += more
    return tuple(
        place for place in places
        if (request.since is None or place.last >= request.since) and (request.until is None or place.first <= request.until)
    )  # fmt: skip


def _count_skipped(area_row: Row) -> int:
    """Return the scenes that were refused or could not be read; 0 in tables of earlier versions, which do not say."""
    counts = [area_row.get(name) for name in ("scenes_refused", "scenes_unreadable")]
    return sum(int(count) for count in counts if count and not math.isnan(count))


def _read_chance(area_row: Row) -> Chance:
    """Read what the table has on lasting clearings; tables of earlier versions have nothing."""
    share, first, last, blind = (area_row.get(name) for name in ("share_lasting", "blind_from", "blind_to", "share_blind"))
    return Chance(share, {}, first, last, blind)


# --- earlier reports ---------------------------------------------------------------------------------------------------


def read_last_report(path: Path, aoi: str, as_of: dt.date) -> tuple[dt.date, set[str]] | None:
    """Return as-of date and alert ids of the latest report on an area before ``as_of``; None where there is none."""
    reported: dict[dt.date, set[str]] = defaultdict(set)
    for name, day, ids in read_lines(path, _parse_line)[0]:
        if name == aoi and day < as_of:
            reported[day] |= ids
    return max(reported.items(), default=None, key=lambda item: item[0])


def _parse_line(line: Any) -> tuple[str, dt.date, set[str]]:
    return str(line["aoi"]), dt.date.fromisoformat(line["as_of"]), {str(alert_id) for alert_id in line["alerts"]}


def record_report(path: Path, facts: ReportFacts) -> None:
    """Record the alerts of a report on a whole area; a report on some of its alerts is not recorded."""
    request = facts.request
    if request.alert_id or request.since or request.until:
        return
    ids = [alert.row["alert_id"] for alert in facts.alerts]
    line = {"aoi": facts.aoi.name, "as_of": facts.as_of.isoformat(), "made": facts.made.isoformat(), "alerts": ids}
    append_lines(path, [json.dumps(line)])
