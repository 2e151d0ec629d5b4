"""Scans areas: from the catalogue to the alerts table, stage by stage."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minewatch import __version__
from minewatch.alerts.columns import Value
from minewatch.alerts.record import Alert
from minewatch.alerts.replay import replay_alerts
from minewatch.alerts.table import AreaResult, Tally, read_alerts, update_table, write_csv
from minewatch.archive import (
    Draft,
    Observation,
    list_observations,
    publish,
    read_stack,
    remove_drafts,
    write_collection,
    write_draft,
)
from minewatch.catalog import Found, Refusal, Source, find_scenes, has_scenes
from minewatch.changes import EPISODE, Episodes, TileChanges
from minewatch.coverage import Coverage, CoverageCount
from minewatch.detect import Scenes, TileInput, detect_changes, judge_scenes, make_looks, measure_scenes
from minewatch.errors import SceneError, SourceError
from minewatch.files import publish_json
from minewatch.grid import Window
from minewatch.mask import find_clear, margin_pixels
from minewatch.parallel import Engine, start_engine
from minewatch.picture import draw_quicklook
from minewatch.plan import AreaPlan, Request, ScanPlan, plan_scan
from minewatch.progress import Reporter
from minewatch.rasters import writing_changes
from minewatch.scene import Datatake, Scene, group_scenes
from minewatch.workspace import Workspace

TILE = 256
"""Side of a tile in pixels; any size gives the same result."""


@dataclass(frozen=True)
class AreaReport:
    """What a scan did in one area."""

    plan: AreaPlan
    """What was asked."""

    found: Found
    """What the source listed."""

    observations: Sequence[Observation]
    """What the result rests on."""

    fetched: int
    """Observations read in this scan."""

    failures: Sequence[Refusal]
    """Scenes that could not be read, or were refused."""

    coverage: Coverage
    """What could be seen."""

    alerts: Sequence[Alert]
    """As of the scan's date."""

    tally: Tally
    """What changed in the table."""

    notes: Sequence[str] = ()
    """Lines a person should read."""


@dataclass(frozen=True)
class ScanReport:
    """What a scan did."""

    run_id: str
    """Names it."""

    source: str
    """Where scenes came from."""

    areas: Sequence[AreaReport]
    """In the order asked for."""

    record: Path
    """The run record."""

    @property
    def failures(self) -> int:
        """Scenes that could not be read or were refused."""
        return sum(len(area.failures) for area in self.areas)


def scan(workspace: Workspace, request: Request, reporter: Reporter | None = None) -> ScanReport:
    """Scan areas and bring the alerts table up to date.

    Raises MinewatchError where the request, the source or the workspace will not do; the table is unchanged then.
    """
    reporter = reporter or Reporter()
    plan = plan_scan(workspace, request)
    with workspace.lock(), start_engine(plan.scheduler) as engine:
        areas = [_scan_area(workspace, plan, area, engine, reporter) for area in plan.areas]
        run = _describe_run(plan, areas)
        results = [_to_result(area) for area in areas]
        tallies = update_table(workspace.alerts, results, run)
        write_csv(read_alerts(workspace.alerts), workspace.alerts_csv)
        areas = [replace(area, tally=tallies[area.plan.aoi.name]) for area in areas]
        areas = [_add_picture(workspace, area) for area in areas]
        record = workspace.runs / f"{plan.run_id}.json"
        report = ScanReport(plan.run_id, plan.source.name, areas, record)
        publish_json(record, describe_scan(report) | {"started": plan.started.isoformat(), "version": __version__})
    return report


def _scan_area(workspace: Workspace, plan: ScanPlan, area: AreaPlan, engine: Engine, reporter: Reporter) -> AreaReport:
    name = area.aoi.name
    for repair in area.aoi.repairs:
        reporter.note(f"{name}: {repair}")
    found = find_scenes(plan.source, area.query, lambda items: reporter.track(items, f"{name}: searching"))
    notes = _explain_emptiness(plan.source, area, found, len(plan.areas))
    folder = workspace.archive(name)
    fetched, failures = fetch_observations(area, group_scenes(found.scenes), folder, engine, reporter)
    archived = list_observations(folder, area.grid)
    write_collection(folder, name, area.aoi.geometry, archived.values())
    observations = select_observations(archived.values(), area)
    notes += _explain_sources(observations, plan.source)
    with writing_changes(workspace.changes(name), area.grid, _tags(area)) as writer:
        episodes, coverage = _map_changes(observations, area, engine, reporter, writer.write)
    notes += _explain_blindness(observations, area, coverage)
    alerts = replay_alerts(episodes, area.grid, name, area.pipeline.alerts)
    return AreaReport(area, found, observations, fetched, [*found.refused, *failures], coverage, alerts, Tally(), notes)


def _explain_emptiness(source: Source, area: AreaPlan, found: Found, areas: int) -> list[str]:
    """Tell an empty window from an empty source; raises SourceError for the latter where it is the only area."""
    if found.scenes or found.refused or found.cloudy:
        return []
    if has_scenes(source, area.aoi.geometry):
        return [f"the source has no scene over {area.aoi.name!r} from {area.history_from} to {area.until}"]
    text = f"source {source.name} has no Sentinel-2 L2A scene over area {area.aoi.name!r}"
    if areas == 1:
        raise SourceError(f"{text}; check the area's place and the source")
    return [text]


def _explain_blindness(observations: Sequence[Observation], area: AreaPlan, coverage: Coverage) -> list[str]:
    """Say why nothing could be seen, where nothing could: "no change" is another answer."""
    if coverage.never_clear < 1:
        return []
    looks = sum(observation.time.date() >= area.monitor_from for observation in observations)
    why = "every scene was cloudy there" if looks else "there is no scene since then"
    return [f"nothing to see since {area.monitor_from}: {why} ({looks} scenes)"]


def _explain_sources(observations: Iterable[Observation], source: Source) -> list[str]:
    others = Counter(str(s["source"]) for o in observations for s in o.sources if s["source"] != source.name)
    return [f"{count} archived observations came from another source, {name}" for name, count in sorted(others.items())]


def _tags(area: AreaPlan) -> dict[str, str]:
    return {
        "aoi": area.aoi.name,
        "as_of": area.until.isoformat(),
        "monitor_from": area.monitor_from.isoformat(),
        "pipeline": area.pipeline_name,
        "pipeline_digest": area.pipeline.digest,
        "software": f"minewatch {__version__}",
    }


def fetch_observations(
    area: AreaPlan, takes: Sequence[Datatake], folder: Path, engine: Engine, reporter: Reporter
) -> tuple[int, list[Refusal]]:
    """Read what the archive lacks and publish each as it comes; gives the number read, and what failed.

    A scan that is cut off keeps what was published; the next one goes on from there.
    """
    remove_drafts(folder)
    archived = list_observations(folder, area.grid)
    missing = [take for take in takes if _is_news(take, archived.get(take.key))]
    failures: list[Refusal] = []
    results = engine.run(write_draft, [(take, area.grid, folder) for take in missing])
    for number, result in reporter.track(results, f"{area.aoi.name}: reading scenes", len(missing)):
        take = missing[number]
        if isinstance(result, Draft):
            version = archived[take.key].version + 1 if take.key in archived else 1
            publish(result, area.grid, area.aoi.geometry, folder, version)
        elif isinstance(result, SceneError):
            failures += [Refusal(scene.id, str(result)) for scene in take.scenes if f"scene {scene.id}," in str(result)]
        else:
            raise result
    return len(missing) - len({f.id for f in failures}), failures


def _is_news(take: Datatake, archived: Observation | None) -> bool:
    """Tell whether a datatake has a scene that the archive lacks: another tile, or a newer baseline."""
    return archived is None or any(_is_new_scene(scene, archived) for scene in take.scenes)


def _is_new_scene(scene: Scene, archived: Observation) -> bool:
    baseline = "{:02d}.{:02d}".format(*scene.baseline)
    for source in archived.sources:
        same_tile = scene.tile != "" and source["tile"] == scene.tile
        if source["id"] == scene.id or (same_tile and source["source"] != scene.source):
            if source["baseline"] >= baseline:
                return False
        elif same_tile and source["baseline"] > baseline:
            return False
    return True


def select_observations(archived: Iterable[Observation], area: AreaPlan) -> list[Observation]:
    """Choose what a result rests on, by date and cloud cover alone, so that earlier scans leave no trace."""
    chosen = [
        observation
        for observation in archived
        if area.history_from <= observation.time.date() <= area.until
        and min(float(source["cloud_cover"]) for source in observation.sources) <= area.pipeline.scenes.max_cloud_cover
    ]
    return sorted(chosen, key=lambda o: (o.day, o.key))


def _map_changes(
    observations: Sequence[Observation], area: AreaPlan, engine: Engine, reporter: Reporter, write: Any
) -> tuple[Episodes, Coverage]:
    """Run detection over the tiles in two passes: what each scene is like as a whole, then each pixel."""
    tiles = list(area.grid.tiles(TILE))
    name = area.aoi.name
    measured = engine.run(measure_tile, [(observations, area, tile) for tile in tiles])
    totals = sum(_unwrap(counts) for _, counts in reporter.track(measured, f"{name}: comparing scenes", len(tiles)))
    scenes = judge_scenes(totals, area.pipeline.detector)
    count, episodes = CoverageCount(), [np.empty(0, EPISODE)]
    detected = engine.run(detect_tile, [(observations, area, tile, scenes) for tile in tiles])
    for _, result in reporter.track(detected, f"{name}: finding changes", len(tiles)):
        changes = _unwrap(result)
        write(changes)
        count.add(changes)
        episodes.append(changes.episodes)
    return np.concatenate(episodes), count.close(area.monitor_from, area.until)


def _unwrap(result: Any) -> Any:
    if isinstance(result, Exception):
        raise result
    return result


def measure_tile(observations: Sequence[Observation], area: AreaPlan, tile: Window) -> Any:
    """Count, for each look of a tile, what scene-wide quantities are made from."""
    return measure_scenes(load_tile(observations, area, tile))


def detect_tile(observations: Sequence[Observation], area: AreaPlan, tile: Window, scenes: Scenes) -> TileChanges:
    """Find the changes of one tile."""
    return detect_changes(load_tile(observations, area, tile), scenes)


def load_tile(observations: Sequence[Observation], area: AreaPlan, tile: Window) -> TileInput:
    """Read a tile from the archive and mask it; the mask looks over its edges."""
    around = tile.grow(margin_pixels(area.pipeline.mask), area.grid.shape)
    stack = read_stack(observations, around)
    inner = tile.within(around)
    clear = find_clear(stack.scl, area.pipeline.mask)[:, *inner]
    looks = make_looks(stack.crop(inner), clear)
    return TileInput(looks, area.grid.inside(tile), tile, area.pipeline.detector, area.monitor_from)


def describe_scan(report: ScanReport) -> dict[str, Any]:
    """Give a scan as plain data, for ``--json`` and the run record."""
    return {
        "run_id": report.run_id,
        "source": report.source,
        "areas": [_describe_area(area) for area in report.areas],
        "record": str(report.record),
    }


def _describe_area(area: AreaReport) -> dict[str, Any]:
    plan = area.plan
    return {
        "aoi": plan.aoi.name,
        "pipeline": plan.pipeline_name,
        "pipeline_digest": plan.pipeline.digest,
        "monitor_from": plan.monitor_from.isoformat(),
        "as_of": plan.until.isoformat(),
        "what_if": plan.what_if,
        "scenes": {
            "found": len(area.found.scenes) + len(area.found.refused) + len(area.found.cloudy),
            "observations_read": area.fetched,
            "observations_used": len(area.observations),
            "too_cloudy": list(area.found.cloudy),
            "failed": [{"id": refusal.id, "reason": refusal.reason} for refusal in area.failures],
            "used": [source for observation in area.observations for source in observation.source_ids],
        },
        "alerts": dict(sorted(Counter(alert.status for alert in area.alerts).items())),
        "changes": dict(sorted(area.tally.events.items())),
        "coverage": _describe_coverage(area.coverage),
        "notes": list(area.notes),
    }


def _describe_coverage(coverage: Coverage) -> dict[str, Any]:
    return {
        "status": {name: round(share, 4) for name, share in coverage.status.items()},
        "never_clear": round(coverage.never_clear, 4),
        "unseen": round(coverage.unseen, 4),
        "unseen_days": coverage.unseen_days,
        "last_clear": coverage.last_clear.isoformat() if coverage.last_clear else None,
        "missing_looks": coverage.missing_looks,
        "text": coverage.describe(),
    }


def _add_picture(workspace: Workspace, area: AreaReport) -> AreaReport:
    """Draw the quick look where the alerts changed; where that fails, a note says so and the scan stands."""
    path = workspace.images / f"{area.plan.aoi.name}.png"
    takes = choose_pictured(area)
    if takes is None or (path.exists() and not set(area.tally.events) - {"unchanged"}):
        return area
    title = f"{area.plan.aoi.name}: alerts as of {area.plan.until}"
    try:
        draw_quicklook(path, area.plan.grid, *takes, area.alerts, title)
    except SceneError as error:
        return replace(area, notes=[*area.notes, f"no picture was drawn: {error}"])
    return area


def choose_pictured(area: AreaReport) -> tuple[Datatake, Datatake] | None:
    """Choose the clearest overpass of the half year before monitoring began, and of the last half year.

    None where the source lists no scene that was archived.
    """
    takes = {take.key: take for take in group_scenes(area.found.scenes)}
    known = [observation for observation in area.observations if observation.key in takes]
    if not known:
        return None
    half_year = dt.timedelta(days=183)

    def clearest(first: dt.date, last: dt.date) -> Datatake:
        near = [o for o in known if first <= o.time.date() <= last] or known
        return takes[max(near, key=lambda o: (o.clear_share, o.time)).key]

    before = clearest(area.plan.monitor_from - half_year, area.plan.monitor_from)
    return before, clearest(max(area.plan.monitor_from, area.plan.until - half_year), area.plan.until)


def _describe_run(plan: ScanPlan, areas: Sequence[AreaReport]) -> dict[str, Value]:
    return {
        "run_id": plan.run_id,
        "started": plan.started.isoformat(timespec="seconds"),
        "version": __version__,
        "aois": ", ".join(area.plan.aoi.name for area in areas),
        "what_if": int(any(area.plan.what_if for area in areas)),
        "scenes_used": sum(len(area.observations) for area in areas),
        "scenes_skipped": sum(len(area.failures) for area in areas),
    }


def _to_result(area: AreaReport) -> AreaResult:
    plan, coverage = area.plan, area.coverage
    facts: dict[str, Value] = {
        "monitor_from": plan.monitor_from,
        "as_of": plan.until,
        "pipeline": plan.pipeline_name,
        "digest": plan.pipeline.digest,
        "area_km2": round(plan.aoi.area_km2, 4),
        "share_unseen": round(coverage.unseen, 4),
        "last_clear": coverage.last_clear,
    }
    sources = {o.time.date(): ", ".join(o.source_ids) for o in reversed(area.observations)}
    scenes = {a.alert_id: (sources.get(a.day_before or dt.date.min, ""), sources.get(a.last_seen, "")) for a in area.alerts}
    return AreaResult(plan.aoi.name, plan.aoi.geometry, area.alerts, scenes, facts, plan.what_if)
