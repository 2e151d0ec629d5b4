"""What a change of an area means for its archive and its alerts, said before it is made.

Scans are functions of looks and settings, so that a change needs no migration: the next scan gives what a first scan with the
new settings would.  Nothing in the archive is deleted, and decisions act on ground.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import shapely

from minewatch.alerts.read import read_alerts
from minewatch.archive.item import Observation, describe_grid, list_observations
from minewatch.areas.aoi import LARGEST_KM2, Aoi
from minewatch.areas.area_plan import make_area_plan
from minewatch.areas.area_source import SOURCE, choose_source
from minewatch.areas.grid import make_grid
from minewatch.core.errors import AoiError, PipelineError
from minewatch.core.text import count_of
from minewatch.core.traffic import format_exact
from minewatch.core.workspace import Workspace
from minewatch.settings.pipeline import read_pipeline


def explain_edit(workspace: Workspace, before: Aoi, after: Aoi) -> list[str]:
    """Return what an edit changes and what follows from it, a line each; nothing where it changes nothing."""
    archived = list(list_observations(workspace.archive(before.name), make_grid(before)).values())
    lines = [*_explain_outline(before, after, archived), *_explain_dates(workspace, before, after, archived)]
    if before.pipeline != after.pipeline:
        lines.append(f"pipeline {before.pipeline} -> {after.pipeline}: alerts are found and judged by its rules, old ones too")
    if lines and workspace.alerts.exists():
        lines += _explain_alerts(workspace, before, after)
    sources = [_name_source(workspace, aoi) for aoi in (before, after)]
    if sources[0] != sources[1]:
        lines.append(
            f"source {sources[0]} -> {sources[1]}: new looks are read from there; where it would read looks again, "
            "a scan says so first and asks for --switch-source"
        )
    elif before.properties != after.properties:
        lines.append(f"source: {sources[1]}, as before")
    if before.budget != after.budget:
        lines.append(f"budget {_name_budget(before)} -> {_name_budget(after)}: {_explain_budget(before, after)}")
    if before.large != after.large:
        lines.append(f"large: an area above {LARGEST_KM2:,} km² is allowed")
    return lines


def _explain_outline(before: Aoi, after: Aoi, archived: Sequence[Observation]) -> Iterator[str]:
    if before.geometry.equals(after.geometry):
        return
    sizes = f"outline {before.area_km2:,.2f} -> {after.area_km2:,.2f} km²"
    if describe_grid(make_grid(before)) == describe_grid(make_grid(after)):
        yield f"{sizes}: its pixel grid stays the same, so that nothing is read again"
    elif archived:
        yield (
            f"{sizes}: its pixel grid becomes another, so that the next scan reads {_name_looks(archived)} again; "
            "those of before stay in the archive, unused"
        )
    else:
        yield f"{sizes}: nothing is archived yet"


def _name_looks(archived: Sequence[Observation]) -> str:
    return "the 1 archived look" if len(archived) == 1 else f"all {len(archived)} archived looks"


def _explain_dates(workspace: Workspace, before: Aoi, after: Aoi, archived: Sequence[Observation]) -> Iterator[str]:
    """Explain another start of monitoring, and other looks that are needed, by the pipeline's years of baseline."""
    if before.monitor_from != after.monitor_from:
        yield (
            f"monitor_from {before.monitor_from} -> {after.monitor_from}: years of monitoring are counted from there, each with "
            "the years before it as its baseline, so that alerts may come, go, and change dates and ids"
        )
    start, former = _find_history(workspace, after), _find_history(workspace, before)
    if start and former and start < former and archived:
        yield f"history is needed from {start} on, in place of {former}: the next scan reads what lies between"


def _name_source(workspace: Workspace, aoi: Aoi) -> str:
    """Return the source of an area, or what its file says where that is none: the edit may mend it."""
    try:
        return choose_source(workspace, aoi)
    except AoiError:
        return str(aoi.properties[SOURCE])


def _name_budget(aoi: Aoi) -> str:
    return "none" if aoi.budget is None else format_exact(aoi.budget)


def _explain_budget(before: Aoi, after: Aoi) -> str:
    if after.budget is None or (before.budget is not None and before.budget < after.budget):
        return "the next scan reads what it left unread, and alerts rest on more looks"
    return "alerts rest on the looks that it pays for; the archive stays"


def _find_history(workspace: Workspace, aoi: Aoi) -> dt.date | None:
    """Return the first day whose looks a scan of an area needs; None where its pipeline is gone, which the edit may mend."""
    try:
        pipeline = read_pipeline(workspace, aoi.pipeline)
    except PipelineError:
        return None
    plan = make_area_plan(aoi, pipeline, aoi.pipeline, monitor_from=aoi.monitor_from, until=aoi.monitor_from)
    return plan.history_from


def _explain_alerts(workspace: Workspace, before: Aoi, after: Aoi) -> Iterator[str]:
    """Say how many alerts of the table leave it for certain, and what stays."""
    table = read_alerts(workspace.alerts)
    own = table[table["aoi"] == before.name]
    if own.empty:
        return
    outside = ~shapely.intersects(own.geometry.to_numpy(), after.geometry)
    early = (own["first_seen"].dt.date < after.monitor_from).to_numpy()
    reasons = {"outside the outline": outside, f"first seen before {after.monitor_from}": early}
    leave = [f"{mask.sum()} {reason}" for reason, mask in reasons.items() if mask.any()]
    if leave:
        yield f"of its {count_of(len(own), 'alert')} the next scan takes from the table {' and '.join(leave)}"
    yield (
        "what leaves the table or gets another id is listed by the next scan and in alert_history; reviews act on their ground, "
        "and evidence stays"
    )
