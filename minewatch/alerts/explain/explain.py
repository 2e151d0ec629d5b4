"""Explains alerts look by look, with the code that found them: what was seen, what was expected, which rule applied."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch import __version__
from minewatch.alerts.explain.alert_pixels import (
    assess_area,
    choose_pixel,
    find_pixels,
    find_surroundings,
    trace_stack,
)
from minewatch.alerts.explain.record import Explanation
from minewatch.alerts.explain.writer import ExplanationWriter
from minewatch.alerts.read import read_alerts
from minewatch.alerts.rows import read_areas, suggest_alert
from minewatch.alerts.used_looks import select_used
from minewatch.archive.item import Observation, list_observations
from minewatch.archive.repair import refuse_pruned
from minewatch.archive.stack import Stack, batch_windows, read_stack, read_stacks
from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_plan import AreaPlan, make_area_plan
from minewatch.areas.grid import Window
from minewatch.core.errors import AlertsError, MinewatchError, RunRecordError
from minewatch.core.progress import Reporter
from minewatch.core.run_record import make_record_error, read_run_record
from minewatch.core.text import count_of
from minewatch.core.workspace import Workspace
from minewatch.detection.scene_quality import SceneQuality
from minewatch.settings.pipeline import read_pipeline


@dataclass(frozen=True)
class PreparedArea:
    """What all alerts of an area share."""

    area: AreaPlan
    """As in the scan."""

    observations: Sequence[Observation]
    """What its result rests on."""

    scenes: SceneQuality
    """What each look is like as a whole."""


def explain_alert(workspace: Workspace, alert_id: str, reporter: Reporter | None = None) -> Explanation:
    """Explain an alert as of the table's date, from the archive alone.

    Raises AlertsError for an unknown alert, and where the archive does not hold its area any more.
    """
    ((_, explained),) = explain_alerts(workspace, [alert_id], reporter)
    if isinstance(explained, MinewatchError):
        raise explained
    return explained


def explain_alerts(
    workspace: Workspace, alert_ids: Iterable[str], reporter: Reporter | None = None
) -> Iterator[tuple[str, Explanation | MinewatchError]]:
    """Explain alerts; what those of an area share, its scenes and the blocks of its archive, is assessed and read once.

    Yield each id with its explanation, or with the error that prevents it; neighbours follow each other.
    """
    rows = {str(row["alert_id"]): row for row in read_alerts(workspace.alerts).to_dict("records")}
    groups: dict[tuple[str, str], list[Mapping[Any, Any]]] = defaultdict(list)
    for alert_id in alert_ids:
        if alert_id in rows:
            groups[rows[alert_id]["aoi"], rows[alert_id]["pipeline"]].append(rows[alert_id])
        else:
            yield alert_id, AlertsError(f"there is no alert {alert_id!r}{suggest_alert(alert_id, rows)}")
    for (name, pipeline), alerts in groups.items():
        try:
            prepared = _prepare_area(workspace, name, pipeline, reporter or Reporter())
        except MinewatchError as error:
            yield from ((str(alert["alert_id"]), error) for alert in alerts)
            continue
        yield from _explain_area(workspace, {str(alert["alert_id"]): alert for alert in alerts}, prepared)


def _explain_area(
    workspace: Workspace, alerts: Mapping[str, Mapping[Any, Any]], prepared: PreparedArea
) -> Iterator[tuple[str, Explanation | MinewatchError]]:
    area, found = prepared.area, {}
    for alert_id, alert in alerts.items():
        try:
            found[alert_id] = find_pixels(alert, area.grid)
        except MinewatchError as error:
            yield alert_id, error
    around = {alert_id: find_surroundings(area, window) for alert_id, (window, _) in found.items()}
    for batch in batch_windows(around, len(prepared.observations)):
        stacks: dict[Window, Stack] = {}
        with contextlib.suppress(MinewatchError):  # each is read alone then, and says what fails
            stacks = read_stacks(prepared.observations, area.grid, set(batch.values()))
        for alert_id, outer in batch.items():
            try:
                stack = stacks.get(outer) or read_stack(prepared.observations, outer)
                yield alert_id, _explain(workspace, alerts[alert_id], prepared, *found[alert_id], stack)
            except MinewatchError as error:
                yield alert_id, error


def _explain(
    workspace: Workspace,
    alert: Mapping[Any, Any],
    prepared: PreparedArea,
    window: Window,
    members: NDArray[np.bool_],
    stack: Stack,
) -> Explanation:
    area, observations = prepared.area, prepared.observations
    traced = trace_stack(stack, area, prepared.scenes, window, members)
    notes = _compare_with_scan(workspace, alert, area, observations)
    return ExplanationWriter(alert, area, observations, traced, choose_pixel(alert, area.grid, window, members)).write(notes)


def _prepare_area(workspace: Workspace, name: str, pipeline: str, reporter: Reporter) -> PreparedArea:
    """Read what all alerts of an area share, which were found with a pipeline."""
    aoi = read_aoi(workspace, name)
    monitor_from, as_of = read_areas(workspace.alerts)[name]
    area = make_area_plan(aoi, read_pipeline(workspace, pipeline), pipeline, monitor_from=monitor_from, until=as_of)
    refuse_pruned(workspace.archive(name), area)
    observations = select_used(workspace, list_observations(workspace.archive(name), area.grid).values(), area)
    if not observations:
        raise AlertsError(f"the archive has no look at area {name!r}; fetch it again with: minewatch scan {name}")
    return PreparedArea(area, observations, assess_area(observations, area, reporter))


def _compare_with_scan(
    workspace: Workspace, alert: Mapping[str, Any], area: AreaPlan, observations: Sequence[Observation]
) -> tuple[str, ...]:
    """Return where the explanation may differ from the scan that wrote the table."""
    unknown = "whether the archive has changed since is not known"
    try:
        record = read_run_record(workspace, str(alert["run_id"]))
        if record is None:
            return (f"the record of the scan {alert['run_id']} is missing: {unknown}",)
        scanned = next(facts for facts in record["areas"] if facts["aoi"] == area.aoi.name)
        used, digest, version = set(scanned["scenes"]["used"]), scanned["pipeline_digest"], record["version"]
    except RunRecordError as error:
        return (f"{error}: {unknown}",)
    except (TypeError, LookupError, StopIteration):
        return (f"{make_record_error(workspace, str(alert['run_id']))}: {unknown}",)
    notes = []
    now = {name for observation in observations for name in observation.source_ids}
    if now != used:
        changed = f"{count_of(len(now - used), 'more scene')}, {len(used - now)} fewer"
        notes.append(f"the archive has changed since the scan ({changed}): scan again to bring the table up to date")
    if digest != area.pipeline.digest:
        notes.append(f"the scan had other settings than pipeline {area.pipeline_name!r} has now: rules may fire on other looks")
    if version != __version__:
        notes.append(f"the scan was made by minewatch {version}, this is {__version__}")
    return tuple(notes)
