"""Gathers what a report tells: from the table, the archive, the records of scans and the source."""

from __future__ import annotations

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio

from minewatch.alerts.columns import AOIS
from minewatch.alerts.explain.explain import explain_alerts
from minewatch.alerts.explain.record import Explanation
from minewatch.alerts.geopackage import recover
from minewatch.alerts.history import HistoryEvent, read_history
from minewatch.alerts.read import read_alerts
from minewatch.alerts.record import CLOSED, CONFIRMED, DISMISSED, PROVISIONAL
from minewatch.alerts.reviews import find_alert
from minewatch.archive.item import Observation, list_observations, select_observations
from minewatch.areas.antimeridian import join_halves
from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_plan import AreaPlan, make_area_plan
from minewatch.areas.coordinates import make_position
from minewatch.core.errors import AlertsError, MinewatchError
from minewatch.core.files import append_lines, read_lines
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.products.report.record import (
    AlertFacts,
    Month,
    ReportFacts,
    ReportLook,
    ReportRequest,
    Row,
    Scenery,
    VisibilitySummary,
)
from minewatch.products.report.scenery import AREA, Photographer
from minewatch.settings.pipeline import read_pipeline

CLEAR_SHARE = 0.5
"""Share of an area that must be clear for a look to count as clear in the calendar."""

RECORD = "reports.jsonl"
"""In the folder of reports: which alerts each report told, so that the next one can say what is new."""


def gather_facts(workspace: Workspace, request: ReportRequest, reporter: Reporter | None = None) -> ReportFacts:
    """Gather what a report tells; raises MinewatchError where area, alert or table are missing."""
    reporter = reporter or Reporter()
    table = read_alerts(workspace.alerts)
    name, chosen = _choose_alerts(workspace, table, request)
    area, cells = _plan_area(workspace, name)
    observations, notes = _list_looks(workspace, area)
    rows = [_clean(row) for row in chosen.to_dict("records")]
    told = [row for row in rows if is_told(row, request)]
    sceneries, lines = _take_photos(workspace, area, observations, told, request)
    explanations = dict(reporter.track(_explain(workspace, told, notes), f"{name}: reading alerts", len(told)))
    history, earlier = _sort_history(workspace.alerts), read_last_report(workspace.reports / RECORD, name, area.until)
    known = earlier[1] if earlier else set()
    alerts = tuple(
        AlertFacts(
            number=number,
            row=row,
            position=make_position(row["lat"], row["lon"]),
            outline=join_halves(row["geometry"]),
            events=tuple(history.get(row["alert_id"], ())),
            is_new=earlier is not None and row["alert_id"] not in known,
            explanation=explanations.get(row["alert_id"]),
            scenery=sceneries.get(row["alert_id"]),
        )
        for number, row in enumerate(rows, 1)
    )
    looks = tuple(ReportLook(o.time.date(), o.source_ids, o.clear_share, o.valid_share) for o in observations)
    return ReportFacts(
        request=request,
        aoi=area.aoi,
        grid=area.grid,
        monitor_from=area.monitor_from,
        as_of=area.until,
        pipeline=area.pipeline_name,
        digest=str(cells["digest"] or ""),
        run_id=str(cells["run_id"] or ""),
        made=dt.datetime.now(dt.UTC),
        looks=looks,
        months=count_months(looks),
        sight=_read_sight(workspace, name, cells),
        alerts=alerts,
        last_report=earlier[0] if earlier else None,
        map=sceneries[AREA],
        notes=tuple(dict.fromkeys([*notes, *lines])),
    )


def is_told(row: Mapping[str, Any], request: ReportRequest) -> bool:
    """True if an alert has a section of its own: it stands, or stood confirmed; one that was asked for always has."""
    if request.alert_id:
        return True
    stands = row["status"] in (PROVISIONAL, CONFIRMED)
    return stands or (row["status"] == CLOSED and row["confirmed_on"] is not None and not row["merged_into"])


def _choose_alerts(workspace: Workspace, table: gpd.GeoDataFrame, request: ReportRequest) -> tuple[str, gpd.GeoDataFrame]:
    """Return the area's name and its alerts, the largest first."""
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
    ranked = chosen.assign(rank=chosen["status"].isin((CLOSED, DISMISSED)))
    return request.aoi, ranked.sort_values(["rank", "area_ha", "alert_id"], ascending=[True, False, True]).drop(columns="rank")


def _plan_area(workspace: Workspace, name: str) -> tuple[AreaPlan, Row]:
    """Return the area as its last scan had it, and its row in the table."""
    recover(workspace.alerts)
    frame = pyogrio.read_dataframe(workspace.alerts, layer=AOIS, read_geometry=False)
    rows = [_clean(row) for row in frame.to_dict("records") if row["aoi"] == name]
    if not rows:
        raise AlertsError(f"area {name!r} was never scanned; scan it first with: minewatch scan {name}")
    aoi, cells = read_aoi(workspace, name), rows[0]
    pipeline = read_pipeline(workspace, cells["pipeline"])
    dates = {"monitor_from": cells["monitor_from"], "until": cells["as_of"]}
    return make_area_plan(aoi, pipeline, cells["pipeline"], **dates), cells


def _clean(row: Mapping[Any, Any]) -> Row:
    """Return a row with plain dates, and None for what is empty."""
    return {str(name): _clean_cell(value) for name, value in row.items()}


def _clean_cell(value: Any) -> Any:
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
    return select_observations(archived, area), []


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


def _take_photos(
    workspace: Workspace, area: AreaPlan, observations: Sequence[Observation], rows: Sequence[Row], request: ReportRequest
) -> tuple[dict[str, Scenery], list[str]]:
    """Take the images of the whole area and of the alerts."""
    until = min(request.until or area.until, area.until)
    photographer = Photographer(workspace, area.aoi.name, area.grid)
    return photographer.take(rows, observations, until, area.until), photographer.notes


def _explain(workspace: Workspace, rows: Iterable[Row], notes: list[str]) -> Iterable[tuple[str, Explanation | None]]:
    """Explain alerts look by look; where the archive cannot, a note says so."""
    for alert_id, told in explain_alerts(workspace, [row["alert_id"] for row in rows]):
        if isinstance(told, MinewatchError):
            notes.append(f"{alert_id}: {told}")
            yield alert_id, None
        else:
            notes += told.notes
            yield alert_id, told


def _sort_history(path: Path) -> dict[str, list[HistoryEvent]]:
    events: dict[str, list[HistoryEvent]] = defaultdict(list)
    for event in read_history(path):
        events[event.alert_id].append(event)
    return events


def _read_sight(workspace: Workspace, name: str, cells: Row) -> VisibilitySummary:
    """Read what the scan counted; the table alone knows less."""
    try:
        record = json.loads((workspace.runs / f"{cells['run_id']}.json").read_text("utf-8"))
        facts = next(area["coverage"] for area in record["areas"] if area["aoi"] == name)
        shares = {str(status): float(share) for status, share in facts["status"].items()}
        last = dt.date.fromisoformat(facts["last_clear"]) if facts["last_clear"] else None
        return VisibilitySummary(shares, float(facts["unseen"]), facts["unseen_days"], last, int(facts["missing_looks"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration):
        return VisibilitySummary(None, cells["share_unseen"], None, cells["last_clear"], 0)


# --- what earlier reports told -----------------------------------------------------------------------------------------


def read_last_report(path: Path, aoi: str, as_of: dt.date) -> tuple[dt.date, set[str]] | None:
    """Return date and alerts of the latest report on an area that is of an earlier as-of date; None where there is none."""
    told: dict[dt.date, set[str]] = defaultdict(set)
    for name, day, ids in read_lines(path, _parse_line)[0]:
        if name == aoi and day < as_of:
            told[day] |= ids
    return max(told.items(), default=None, key=lambda item: item[0])


def _parse_line(line: Any) -> tuple[str, dt.date, set[str]]:
    return str(line["aoi"]), dt.date.fromisoformat(line["as_of"]), {str(alert_id) for alert_id in line["alerts"]}


def record_report(path: Path, facts: ReportFacts) -> None:
    """Remember which alerts a report on a whole area told; reports on a part of them count for nothing."""
    request = facts.request
    if request.alert_id or request.since or request.until:
        return
    ids = [alert.row["alert_id"] for alert in facts.alerts]
    line = {"aoi": facts.aoi.name, "as_of": facts.as_of.isoformat(), "made": facts.made.isoformat(), "alerts": ids}
    append_lines(path, [json.dumps(line)])
