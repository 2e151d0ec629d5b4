"""Scans areas: from the catalogue to the alerts table, stage by stage."""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from minewatch import __version__
from minewatch.alerts.context.layer import ContextLayer, open_layers
from minewatch.alerts.context.place import AlertSite, place_sites
from minewatch.alerts.corroboration.agreement import AlertExtent, describe_agreements
from minewatch.alerts.corroboration.match import match_external_alerts
from minewatch.alerts.corroboration.record import read_external_sources
from minewatch.alerts.read import read_alerts
from minewatch.alerts.replay import replay_alerts
from minewatch.alerts.table import TableChanges, update_table, write_csv
from minewatch.archive.area_scan import AreaScan
from minewatch.archive.fetch import fetch_observations, search_areas
from minewatch.archive.integrity import IntegrityReport
from minewatch.archive.item import list_observations, select_observations, write_collection
from minewatch.archive.repair import check_archives, reconcile_damage, refuse_pruned
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import ArchiveError, PrunedError, SceneError
from minewatch.core.files import check_writable, publish_bytes, publish_json, wrap_disk_errors
from minewatch.core.lock import HeldLock
from minewatch.core.logging import bind_run_id, log_event
from minewatch.core.parallel import Engine, start_engine
from minewatch.core.progress import Reporter
from minewatch.core.text import format_day
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map_writer import ChangeMap
from minewatch.detection.coverage import find_emptiness
from minewatch.detection.parallel_tiles import assess_areas, map_changes
from minewatch.detection.tiles import Task
from minewatch.operations.plan import ScanPlan, ScanRequest, plan_scan
from minewatch.operations.run_summary import log_scan, render_account
from minewatch.operations.scan_report import (
    AreaReport,
    FailedArea,
    ScanReport,
    describe_run,
    describe_scan,
    explain_blindness,
    explain_conflicts,
    explain_emptiness,
    explain_gaps,
    explain_sources,
    give_result,
)
from minewatch.products.evidence.folder import EvidenceInput, keep_evidence
from minewatch.products.images.quicklook import draw_quicklook, shows
from minewatch.sources.scene import Datatake, group_scenes
from minewatch.sources.search import SearchResult
from minewatch.sources.stac import Source


def scan(workspace: Workspace, request: ScanRequest, reporter: Reporter | None = None) -> ScanReport:
    """Scan areas and bring the alerts table up to date.

    Raises MinewatchError where the request, the source or the workspace will not do; the table is unchanged then.
    """
    reporter = reporter or Reporter()
    plan = plan_scan(workspace, request)
    with bind_run_id(plan.run_id), wrap_disk_errors():
        return _run(workspace, plan, reporter, thorough=request.check_archive)


def _run(workspace: Workspace, plan: ScanPlan, reporter: Reporter, *, thorough: bool) -> ScanReport:
    began = time.monotonic()  # a clock that is never set back
    log_event("scan started", areas=[area.aoi.name for area in plan.areas], source=plan.source.name, version=__version__)
    layers = open_layers(workspace)
    with workspace.lock(report=reporter.note) as holding, start_engine(plan.scheduler) as engine:
        for place in (workspace.archives, workspace.change_maps):
            check_writable(place)
        areas, missed = _scan_whole(workspace, plan, engine, reporter, holding, thorough=thorough)
        areas = [_place_alerts(workspace, area, layers) for area in areas]
        run = describe_run(plan, areas)
        results = [give_result(area) for area in areas]
        holding.check()
        tallies = update_table(workspace.alerts, results, run, workspace.decisions)
        log_event("table updated", events=dict(sum((tally.events for tally in tallies.values()), Counter())))
        write_csv(read_alerts(workspace.alerts), workspace.alerts_csv)
        areas = [_take_in(area, tallies[area.plan.aoi.name]) for area in areas]
        areas = [_keep_evidence(workspace, plan, area) for area in areas]
        areas = [_add_picture(workspace, area) for area in areas]
        record = workspace.runs / f"{plan.run_id}.json"
        report = ScanReport(plan.run_id, plan.source.name, areas, record, missed)
        _record_run(plan, report, time.monotonic() - began)
    return report


def _record_run(plan: ScanPlan, report: ScanReport, seconds: float) -> None:
    """Write the run record, once for programs and once for people, and tell the journal."""
    facts = {"started": plan.started.isoformat(), "seconds": round(seconds, 2), "version": __version__}
    record = describe_scan(report) | facts
    publish_json(report.record, record)
    publish_bytes(report.record.with_suffix(".txt"), render_account(record).encode())
    log_scan(report, seconds)


def _scan_whole(
    workspace: Workspace, plan: ScanPlan, engine: Engine, reporter: Reporter, holding: HeldLock, *, thorough: bool
) -> tuple[list[AreaReport], list[FailedArea]]:
    """Scan all areas whose windows are whole; where a file turns out damaged on the way, once more without it."""
    for area in plan.areas:
        for repair in area.aoi.repairs:
            reporter.note(f"{area.aoi.name}: {repair}")
    areas, missed = _leave_pruned(workspace, plan.areas)
    plan = replace(plan, areas=areas)
    healths = check_archives(workspace, areas, thorough=thorough)
    try:
        scanned, unsearched = _scan_areas(workspace, plan, healths, engine, reporter, holding)
    except ArchiveError:
        again = check_archives(workspace, areas, thorough=True)
        if not any(health.damages for health in again):
            raise
        scanned, unsearched = _scan_areas(workspace, plan, again, engine, reporter, holding)
    return scanned, [*missed, *unsearched]


def _leave_pruned(workspace: Workspace, areas: Sequence[AreaPlan]) -> tuple[tuple[AreaPlan, ...], list[FailedArea]]:
    """Leave out the areas whose windows need what was pruned; raises PrunedError where that are all."""
    whole: list[AreaPlan] = []
    missed: list[FailedArea] = []
    for area in areas:
        try:
            refuse_pruned(workspace.archive(area.aoi.name), area)
            whole.append(area)
        except PrunedError as error:
            if len(missed) + 1 == len(areas):
                raise
            missed.append(FailedArea(area.aoi.name, str(error)))
    return tuple(whole), missed


def _scan_areas(
    workspace: Workspace,
    plan: ScanPlan,
    healths: Sequence[IntegrityReport],
    engine: Engine,
    reporter: Reporter,
    holding: HeldLock,
) -> tuple[list[AreaReport], list[FailedArea]]:
    """Take all areas through each stage together, so that they share searches, scenes and cores."""
    scans, missed = _search_areas(workspace, plan, healths, reporter)
    scans = fetch_observations(scans, engine, reporter)
    scans = [reconcile_damage(scan, plan.source.name) for scan in scans]
    scans = [_choose_observations(scan) for scan in scans]
    mapped = _map_areas(workspace, scans, engine, reporter, holding)
    return [_report_area(plan.source, scan, change_map) for scan, change_map in mapped], missed


def _search_areas(
    workspace: Workspace, plan: ScanPlan, healths: Sequence[IntegrityReport], reporter: Reporter
) -> tuple[list[AreaScan], list[FailedArea]]:
    """Begin the record of each area that the source answers for; the others are missed."""
    scans: list[AreaScan] = []
    missed: list[FailedArea] = []
    answers = search_areas(plan.source, plan.areas, reporter)
    for area, health, answer in zip(plan.areas, healths, answers, strict=True):
        if isinstance(answer, SearchResult):
            notes = explain_emptiness(plan.source, area, answer, len(plan.areas))
            scans.append(AreaScan(area, workspace.archive(area.aoi.name), health, answer, notes))
        else:
            missed.append(FailedArea(area.aoi.name, str(answer)))
    return scans, missed


def _choose_observations(scan: AreaScan) -> AreaScan:
    """List the whole archive in its collection, and choose what the result rests on."""
    area = scan.plan
    archived = list_observations(scan.archive, area.grid).values()
    write_collection(scan.archive, area.aoi.name, area.aoi.geometry, archived)
    return replace(scan, observations=select_observations(archived, area))


def _map_areas(
    workspace: Workspace, scans: Sequence[AreaScan], engine: Engine, reporter: Reporter, holding: HeldLock
) -> list[tuple[AreaScan, ChangeMap]]:
    """Make the change map of each area; each is published with its last tile."""
    tasks = [_make_task(workspace, scan) for scan in scans]
    scenes = assess_areas(tasks, engine, reporter)
    mapped = [(scan, ChangeMap(workspace.changes(scan.plan.aoi.name), scan.plan)) for scan in scans]
    with contextlib.ExitStack() as stack:
        for _, change_map in mapped:
            stack.enter_context(change_map)
        for number, changes in map_changes(tasks, scenes, engine, reporter):
            holding.check()  # the last tile publishes its map
            mapped[number][1].add(changes)
    return mapped


def _make_task(workspace: Workspace, scan: AreaScan) -> Task:
    checkpoints = None if scan.plan.what_if else workspace.checkpoints(scan.plan.aoi.name)
    return Task(scan.observations, scan.plan, checkpoints)


def _report_area(source: Source, scan: AreaScan, change_map: ChangeMap) -> AreaReport:
    """Gather what came of an area, with the alerts of its change map."""
    area, observations, coverage = scan.plan, scan.observations, change_map.coverage
    emptiness = find_emptiness(observations, scan.found.scenes, area.grid)
    notes = [
        *scan.notes,
        *explain_sources(observations, source),
        *explain_conflicts(observations),
        *explain_blindness(observations, area, coverage),
        *explain_gaps(emptiness),
    ]
    return AreaReport(
        plan=area,
        found=scan.found,
        observations=observations,
        fetched=scan.fetched,
        failures=[*scan.found.refused, *scan.failures],
        coverage=coverage,
        alerts=replay_alerts(change_map.episodes, area.grid, area.aoi.name, area.pipeline.alerts),
        tally=TableChanges(),
        notes=notes,
        emptiness=emptiness,
    )


def _place_alerts(workspace: Workspace, area: AreaReport, layers: Sequence[ContextLayer]) -> AreaReport:
    """Tell of each alert where it lies in law and landscape, and who saw it too."""
    placed = place_sites(layers, {alert.alert_id: AlertSite(alert.geometry, alert.first_seen) for alert in area.alerts})
    subjects = {alert.alert_id: AlertExtent(alert.geometry, alert.first_seen, alert.last_seen) for alert in area.alerts}
    known = read_external_sources(workspace.external_sources)
    heard, notes = match_external_alerts(known, workspace.external_alerts, area.plan.aoi.name, area.plan.until, subjects)
    told = {alert_id: {"witnesses": describe_agreements(answers)} for alert_id, answers in heard.items()}
    cells = {alert_id: {**placed.cells[alert_id], **told[alert_id]} for alert_id in subjects}
    return replace(area, context=cells, notes=[*area.notes, *placed.notes, *notes])


def _take_in(area: AreaReport, tally: TableChanges) -> AreaReport:
    return replace(area, tally=tally, alerts=tally.alerts, notes=[*area.notes, *tally.notes])


def _keep_evidence(workspace: Workspace, plan: ScanPlan, area: AreaReport) -> AreaReport:
    """Put on file what the confirmed alerts rest on; what could not be is named, and the next scan tries again."""
    parts = area.plan, plan.source, area.found.scenes, area.observations, area.alerts, area.context, plan.run_id
    kept = keep_evidence(workspace, EvidenceInput(*parts))
    failed = kept.failed.items()
    notes = [f"no evidence of {alert_id} was written, the next scan tries again: {reason}" for alert_id, reason in failed]
    return replace(area, evidence=kept, notes=[*area.notes, *notes])


def _add_picture(workspace: Workspace, area: AreaReport) -> AreaReport:
    """Draw the quick look where alerts or overpasses changed; where that fails, a note says so and the scan stands."""
    path = workspace.images / f"{area.plan.aoi.name}.png"
    takes = choose_pictured(area)
    if takes is None or shows(path, *takes, area.alerts):
        return area
    title = f"{area.plan.aoi.name}: alerts as of {format_day(area.plan.until)}"
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
