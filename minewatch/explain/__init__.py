"""Explains an alert look by look, with the very code that found it: what was seen, what was expected, which rule fired."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from minewatch import __version__
from minewatch.alerts.table import read_alerts, read_areas
from minewatch.aoi import read_aoi
from minewatch.archive import Observation, list_observations
from minewatch.errors import AlertsError
from minewatch.explain.ground import choose_pixel, find_pixels, judge_area, trace_ground
from minewatch.explain.record import OUTCOMES, Curve, Episode, Explanation, Look
from minewatch.explain.writer import Writer
from minewatch.grid import make_grid
from minewatch.mapping import select_observations
from minewatch.mending import refuse_pruned
from minewatch.pipeline import read_pipeline
from minewatch.plan import AreaPlan
from minewatch.progress import Reporter
from minewatch.workspace import Workspace

__all__ = ["OUTCOMES", "Curve", "Episode", "Explanation", "Look", "explain_alert"]


def explain_alert(workspace: Workspace, alert_id: str, reporter: Reporter | None = None) -> Explanation:
    """Explain an alert as of the table's date, from the archive alone.

    Raises AlertsError for an unknown alert, and where the archive does not hold its area any more.
    """
    table = read_alerts(workspace.alerts)
    rows = table[table["alert_id"] == alert_id]
    if rows.empty:
        raise AlertsError(f"there is no alert {alert_id!r}; list them with: minewatch alerts list")
    alert = rows.iloc[0].to_dict()
    area = _plan_area(workspace, alert)
    refuse_pruned(workspace.archive(area.aoi.name), area)
    observations = select_observations(list_observations(workspace.archive(area.aoi.name), area.grid).values(), area)
    if not observations:
        raise AlertsError(
            f"the archive has no look at area {area.aoi.name!r}; fetch it again with: minewatch scan {area.aoi.name}"
        )
    scenes = judge_area(observations, area, reporter or Reporter())
    window, members = find_pixels(alert, area.grid)
    ground = trace_ground(observations, area, scenes, window, members)
    notes = _compare_with_scan(workspace, alert, area, observations)
    return Writer(alert, area, observations, ground, choose_pixel(alert, area.grid, window, members)).write(notes)


def _plan_area(workspace: Workspace, alert: Mapping[str, Any]) -> AreaPlan:
    aoi = read_aoi(workspace, alert["aoi"])
    monitor_from, as_of = read_areas(workspace.alerts)[aoi.name]
    pipeline = read_pipeline(workspace, alert["pipeline"])
    return AreaPlan(aoi, make_grid(aoi), pipeline, alert["pipeline"], monitor_from, as_of, what_if=False)


def _compare_with_scan(
    workspace: Workspace, alert: Mapping[str, Any], area: AreaPlan, observations: Sequence[Observation]
) -> tuple[str, ...]:
    """Say where the explanation may differ from the scan that wrote the table."""
    try:
        record = json.loads((workspace.runs / f"{alert['run_id']}.json").read_text("utf-8"))
        scanned = next(facts for facts in record["areas"] if facts["aoi"] == area.aoi.name)
        used, digest, version = set(scanned["scenes"]["used"]), scanned["pipeline_digest"], record["version"]
    except (OSError, ValueError, LookupError, StopIteration):
        return (f"the record of the scan {alert['run_id']} is missing: it cannot be told whether the archive has changed since",)
    notes = []
    now = {name for observation in observations for name in observation.source_ids}
    if now != used:
        changed = f"{len(now - used)} scenes more, {len(used - now)} fewer"
        notes.append(f"the archive has changed since the scan ({changed}): scan again to bring the table up to date")
    if digest != area.pipeline.digest:
        notes.append(f"the scan had other settings than pipeline {area.pipeline_name!r} has now: rules may fire on other looks")
    if version != __version__:
        notes.append(f"the scan was made by minewatch {version}, this is {__version__}")
    return tuple(notes)
