"""Scans areas, stage by stage: from the catalogue to the alerts table, the evidence and the run record."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minewatch import __version__
from minewatch.alerts.context.layer import ContextLayer, open_layers
from minewatch.alerts.context.place import place_sites
from minewatch.alerts.context.region import AlertSite
from minewatch.alerts.corroboration.agreement import make_cells, match_external_alerts
from minewatch.alerts.corroboration.record import read_external_sources
from minewatch.alerts.csv_file import publish_csv
from minewatch.alerts.record import CONFIRMED, PROVISIONAL
from minewatch.alerts.replay_record import recall_alerts
from minewatch.alerts.rows import read_areas
from minewatch.alerts.table import TableChanges, update_table
from minewatch.archive.area_scan import AreaScan
from minewatch.archive.choice import choose_within_budget, explain_budget, explain_coarse
from minewatch.archive.fetch import fetch_observations, put_off
from minewatch.archive.integrity import IntegrityReport
from minewatch.archive.item import list_observations, select_observations
from minewatch.archive.repair import check_archives, note_fetched, reconcile_damage, refuse_pruned
from minewatch.archive.stac_item import write_collection
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.compilation import CACHE
from minewatch.core.errors import ArchiveError, PrunedError, SceneError
from minewatch.core.files import check_writable, publish_bytes, publish_json, wrap_disk_errors
from minewatch.core.lock import HeldLock
from minewatch.core.logging import bind_run_id, log_event
from minewatch.core.parallel import Engine, start_engine
from minewatch.core.progress import Reporter
from minewatch.core.text import count_of, format_day
from minewatch.core.traffic import RECEIVED
from minewatch.core.workspace import Workspace
from minewatch.detection.area_changes import MapJob, find_changes
from minewatch.detection.change_record import AreaChanges
from minewatch.detection.coverage import find_emptiness
from minewatch.detection.tiles import Task
from minewatch.operations.area_search import search_sources, split_switched
from minewatch.operations.plan import ScanPlan, ScanRequest, plan_scan
from minewatch.operations.run_summary import log_scan, render_summary
from minewatch.operations.scan_notes import (
    explain_broken_numbers,
    explain_conflicts,
    explain_missing_data,
    explain_no_clear_look,
    explain_no_scenes,
    explain_sources,
)
from minewatch.operations.scan_report import AreaReport, FailedArea, ScanReport, describe_scan, make_area_result, make_run_row
from minewatch.operations.score_alerts import ScoringInput, score_alerts
from minewatch.products.evidence.folder_writer import EvidenceFolders, EvidenceInput, write_evidence
from minewatch.products.evidence.timestamps import stamp_in_passing
from minewatch.products.images.quicklook import draw_quicklook, shows
from minewatch.sources.run_source import describe_source
from minewatch.sources.scene import Datatake, group_scenes
from minewatch.sources.search import SearchResult


@dataclass(frozen=True)
class _Run:
    """What the stages of a scan share."""

    workspace: Workspace
    plan: ScanPlan
    engine: Engine
    reporter: Reporter
    lock: HeldLock
    arrived: Callable[[], int]
    early: dict[str, TableChanges] = field(default_factory=dict)


def scan(workspace: Workspace, request: ScanRequest, reporter: Reporter | None = None) -> ScanReport:
    """Scan areas and bring the alerts table up to date.

    Raises MinewatchError where the request, the source or the workspace cannot be used; the table is unchanged then.
    """
    reporter, arrived = reporter or Reporter(), RECEIVED.count_from_now()
    plan = plan_scan(workspace, request)
    with bind_run_id(plan.run_id), wrap_disk_errors():
        began = time.monotonic()  # a clock that is never set back
        log_event("scan started", areas=[area.aoi.name for area in plan.areas], source=plan.source_names, version=__version__)
        if CACHE.note:
            reporter.note(CACHE.note)
        layers = open_layers(workspace)
        with workspace.lock(report=reporter.note) as lock, start_engine(plan.scheduler) as engine:
            for place in (workspace.archives, workspace.change_maps):
                check_writable(place)
            run = _Run(workspace, plan, engine, reporter, lock, arrived)
            areas, failed = _scan_areas(run, thorough=request.check_archive)
            areas = [_add_context(workspace, area, layers) for area in areas]
            areas = [_add_likeness(run, area) for area in areas]
            areas = _update_table(run, areas)
            folders = EvidenceFolders(workspace)
            areas = [_write_evidence(run, area, layers, folders) for area in areas]
            areas = [_update_quicklook(workspace, area) for area in areas]
            report = _record_run(run, areas, failed, began)
        _ask_for_timestamps(workspace, reporter)
        return report


def _ask_for_timestamps(workspace: Workspace, reporter: Reporter) -> None:
    """Ask for the time stamps that wait, when all is written and the lock is free; whatever fails is one line."""
    done = stamp_in_passing(workspace)
    if done.stamped or done.waiting or done.notes:
        log_event("time stamps", stamped=done.stamped, waiting=done.waiting, since=done.since, reason=done.reason)
    for line in (*done.notes, *filter(None, [done.describe()])):
        reporter.note(line)


# --- from the search to the alerts of each area ------------------------------------------------------------------------


def _scan_areas(run: _Run, *, thorough: bool) -> tuple[list[AreaReport], list[FailedArea]]:
    """Find the alerts of all areas; where a file of an archive turns out damaged on the way, once more without it."""
    for area in run.plan.areas:
        for repair in area.aoi.repairs:
            run.reporter.note(f"{area.aoi.name}: {repair}")
    areas, pruned = _skip_pruned(run.workspace, run.plan.areas)
    integrity = check_archives(run.workspace, areas, thorough=thorough)
    try:
        scanned, failed = _find_alerts(run, areas, integrity)
    except ArchiveError:
        integrity = check_archives(run.workspace, areas, thorough=True)
        if not any(report.damages for report in integrity):
            raise
        scanned, failed = _find_alerts(run, areas, integrity)
    return scanned, [*pruned, *failed]


def _skip_pruned(workspace: Workspace, areas: Sequence[AreaPlan]) -> tuple[list[AreaPlan], list[FailedArea]]:
    """Leave out the areas that need pruned observations; raises PrunedError where all do."""
    kept: list[AreaPlan] = []
    failed: list[FailedArea] = []
    for area in areas:
        try:
            refuse_pruned(workspace.archive(area.aoi.name), area)
            kept.append(area)
        except PrunedError as error:
            if len(failed) + 1 == len(areas):
                raise
            failed.append(FailedArea(area.aoi.name, str(error)))
    return kept, failed


def _find_alerts(
    run: _Run, areas: Sequence[AreaPlan], integrity: Sequence[IntegrityReport]
) -> tuple[list[AreaReport], list[FailedArea]]:
    """Take all areas through each stage together, so that they share searches, scenes and cores."""
    scans, failed = _search(run, areas, integrity)
    scans = [_choose_looks(run, scan) for scan in scans]
    scans = _raise_first_alerts(run, scans)
    scans, switched = split_switched(fetch_observations(scans, run.engine, run.reporter), len(areas))
    return _judge(run, scans), failed + switched


def _judge(run: _Run, scans: Sequence[AreaScan]) -> list[AreaReport]:
    """Find the alerts of areas in what their archives hold."""
    scans = [reconcile_damage(scan, scan.source) for scan in scans]
    scans = [_choose_observations(run.workspace, scan) for scan in scans]
    changes = _find_changes(run, scans)
    return [_report_area(run, scan, of_area) for scan, of_area in zip(scans, changes, strict=True)]


def _raise_first_alerts(run: _Run, scans: Sequence[AreaScan]) -> list[AreaScan]:
    """Read of new areas what was acquired lately, and write the alerts that it shows; what is older is read after that.

    The result of the scan is the same: it rests on what the archive holds in the end.
    """
    known = read_areas(run.workspace.alerts)
    late = {scan.plan.aoi.name: put_off(scan) for scan in scans if scan.plan.aoi.name not in known}
    recent = [replace(scan, not_fetched=scan.not_fetched | late[name]) for scan in scans if late.get(name := scan.plan.aoi.name)]
    if not recent:
        return list(scans)
    recent = fetch_observations(recent, run.engine, run.reporter)
    areas = [_add_likeness(run, _add_context(run.workspace, area, open_layers(run.workspace))) for area in _judge(run, recent)]
    for area in _update_table(run, areas):
        run.early[area.plan.aoi.name] = area.table_changes
        run.reporter.note(f"{area.plan.aoi.name}: {_describe_first_alerts(area)}")
    read = {scan.plan.aoi.name: (scan.fetched, scan.received) for scan in recent}
    return [
        replace(scan, fetched=read[name][0], received=read[name][1]) if (name := scan.plan.aoi.name) in read else scan
        for scan in scans
    ]


def _describe_first_alerts(area: AreaReport) -> str:
    status = Counter(alert.status for alert in area.alerts)
    alerts = ", ".join(f"{status[name]} {name}" for name in (CONFIRMED, PROVISIONAL) if status[name]) or "none"
    looks = count_of(len(area.observations), "look")
    return f"first alerts, from {looks}: {alerts}; the table has them, the other looks are read now"


def _search(
    run: _Run, areas: Sequence[AreaPlan], integrity: Sequence[IntegrityReport]
) -> tuple[list[AreaScan], list[FailedArea]]:
    """Search the scenes of all areas; an area for which its source does not answer has failed."""
    scans: list[AreaScan] = []
    failed: list[FailedArea] = []
    answers = search_sources(run.plan, areas, run.reporter)
    for area, report, answer in zip(areas, integrity, answers, strict=True):
        if isinstance(answer, SearchResult):
            source = run.plan.find_source(area)
            notes = explain_no_scenes(source, area, answer, len(areas))
            archive = run.workspace.archive(area.aoi.name)
            may_sharpen = run.workspace.output_root is None
            scans.append(AreaScan(area, archive, report, answer, source.name, run.plan.switch_source, notes, may_sharpen))
        else:
            failed.append(FailedArea(area.aoi.name, str(answer)))
    return scans, failed


def _choose_looks(run: _Run, scan: AreaScan) -> AreaScan:
    """Leave unread what the area's budget does not pay for."""
    memory = run.workspace.surveys(scan.plan.aoi.name)
    return choose_within_budget(scan, run.engine, run.reporter, memory).scan


def _choose_observations(workspace: Workspace, scan: AreaScan) -> AreaScan:
    """Write the archive's collection, and choose the observations that the result rests on."""
    area = scan.plan
    archived = list_observations(scan.archive, area.grid).values()
    note_fetched(workspace, scan, archived)
    write_collection(scan.archive, area.aoi.name, area.aoi.geometry, archived)
    unread = {datatake.key for datatake in scan.left_unread}  # some may have been read when the budget was larger
    return replace(scan, observations=[o for o in select_observations(archived, area) if o.key not in unread])


def _find_changes(run: _Run, scans: Sequence[AreaScan]) -> list[AreaChanges]:
    """Find the changes of each area, and publish its map; with ``--into`` maps lie elsewhere than checkpoints."""
    workspace, is_recorded = run.workspace, run.workspace.output_root is None
    jobs = [
        MapJob(
            Task(scan.observations, scan.plan, _find_checkpoints(workspace, scan.plan)),
            workspace.changes(scan.plan.aoi.name),
            is_recorded,
        )
        for scan in scans
    ]
    return find_changes(jobs, run.engine, run.reporter, run.lock.check)


def _find_checkpoints(workspace: Workspace, area: AreaPlan) -> Path | None:
    """Return the folder for an area's checkpoints; a what-if has none."""
    return None if area.what_if else workspace.checkpoints(area.aoi.name)


def _report_area(run: _Run, scan: AreaScan, changes: AreaChanges) -> AreaReport:
    """Gather the results of an area, with the alerts of its changes."""
    source, area, observations, coverage = scan.source, scan.plan, scan.observations, changes.cover(scan.plan)
    checkpoints = _find_checkpoints(run.workspace, scan.plan)
    failures = [*scan.found.refused, *scan.failures]
    emptiness = find_emptiness(observations, scan.found.scenes, area.grid)
    notes = [
        *scan.notes,
        *explain_sources(observations, source),
        *explain_conflicts(observations),
        *explain_no_clear_look(observations, scan, coverage, failures),
        *explain_missing_data(emptiness),
        *explain_broken_numbers(observations),
        *explain_budget(scan),
        *explain_coarse(observations),
    ]
    return AreaReport(
        plan=area,
        source=source,
        found=scan.found,
        observations=observations,
        fetched=scan.fetched,
        received=scan.received,
        left_unread=scan.left_unread,
        failures=failures,
        coverage=coverage,
        scene_quality=changes.scene_quality,
        alerts=recall_alerts(checkpoints, changes.episodes, area.grid, area.aoi.name, area.pipeline.alerts),
        table_changes=TableChanges(),
        notes=notes,
        emptiness=emptiness,
    )


# --- what follows from the alerts ----------------------------------------------------------------------------------------


def _add_context(workspace: Workspace, area: AreaReport, layers: Sequence[ContextLayer]) -> AreaReport:
    """Add to each alert the context layers that it lies in, and the external alerts that agree with it."""
    sites = {a.alert_id: AlertSite(a.geometry, a.first_seen, a.last_seen, a.last_normal, a.confirmed_on) for a in area.alerts}
    placed = place_sites(layers, sites)
    sources = read_external_sources(workspace.external_sources)
    matches, notes = match_external_alerts(sources, workspace.external_alerts, area.plan.aoi.name, area.plan.until, sites)
    context = {alert_id: {**placed.cells[alert_id], **make_cells(matches[alert_id], site)} for alert_id, site in sites.items()}
    return replace(area, context=context, notes=[*area.notes, *placed.notes, *notes])


def _add_likeness(run: _Run, area: AreaReport) -> AreaReport:
    """Add to each alert how much its ground looks like a mine; notes say of which that could not be read."""
    parts = ScoringInput(area.plan, area.source, area.found.scenes, area.observations, area.alerts)
    scores = score_alerts(parts, _find_checkpoints(run.workspace, area.plan), run.workspace.home_layers)
    cells = {alert_id: {**cells, **scores.cells[alert_id]} for alert_id, cells in area.context.items()}
    return replace(area, context=cells, likeness=scores.counts, notes=[*area.notes, *scores.notes])


def _update_table(run: _Run, areas: Sequence[AreaReport]) -> list[AreaReport]:
    """Update the alerts table in one transaction; the reports then have the alerts as the table has them."""
    workspace = run.workspace
    results = [make_area_result(area) for area in areas]
    run.lock.check()
    tables = update_table(workspace.alerts, results, make_run_row(run.plan, areas), workspace.decisions)
    log_event("table updated", events=dict(sum((changes.events for changes in tables.values()), Counter())))
    publish_csv(workspace)
    return [
        replace(area, table_changes=changes, alerts=changes.alerts, notes=[*area.notes, *changes.notes])
        for area, changes in ((area, tables[name].after(run.early.get(name))) for area in areas for name in [area.plan.aoi.name])
    ]


def _write_evidence(run: _Run, area: AreaReport, layers: Sequence[ContextLayer], folders: EvidenceFolders) -> AreaReport:
    """Write the evidence of the confirmed alerts; a note names what could not be written, and the next scan tries again.

    A folder is written once, so a what-if writes none into the workspace's own: the alert would never get another.
    """
    if area.plan.what_if and run.workspace.output_root is None:
        return area
    scenes, found = area.found.scenes, area.alerts
    parts = (
        area.plan,
        run.plan.find_source(area.plan),
        scenes,
        area.observations,
        found,
        area.scene_quality,
        layers,
        run.plan.run_id,
    )
    evidence = write_evidence(run.workspace, EvidenceInput(*parts), folders)
    failed = evidence.failed.items()
    notes = [f"no evidence of {alert_id} was written, the next scan tries again: {reason}" for alert_id, reason in failed]
    return replace(area, evidence=evidence, notes=[*area.notes, *notes])


def _update_quicklook(workspace: Workspace, area: AreaReport) -> AreaReport:
    """Draw the quick look where alerts or overpasses changed; where that fails a note says so, and the scan goes on."""
    path = workspace.images / f"{area.plan.aoi.name}.png"
    datatakes = choose_quicklook_datatakes(area)
    if datatakes is None or shows(path, *datatakes, area.alerts):
        return area
    title = f"{area.plan.aoi.name}: alerts as of {format_day(area.plan.until)}"
    try:
        draw_quicklook(path, area.plan.grid, *datatakes, area.alerts, title)
    except SceneError as error:
        return replace(area, notes=[*area.notes, f"no picture was drawn: {error}"])
    return area


def choose_quicklook_datatakes(area: AreaReport) -> tuple[Datatake, Datatake] | None:
    """Return the clearest overpasses of the half year before monitoring began, and of the last half year.

    The first may be older; it is later only where the archive has no look before monitoring began.  None where the source
    lists no scene that was archived.
    """
    datatakes = {datatake.key: datatake for datatake in group_scenes(area.found.scenes)}
    archived = [observation for observation in area.observations if observation.key in datatakes]
    if not archived:
        return None
    half_year = dt.timedelta(days=183)

    def find_clearest(first: dt.date, last: dt.date) -> Datatake:
        until = [o for o in archived if o.time.date() <= last] or archived[:1]
        near = [o for o in until if first <= o.time.date()] or until
        return datatakes[max(near, key=lambda o: (o.clear_share, o.time)).key]

    before = find_clearest(area.plan.monitor_from - half_year, area.plan.monitor_from - dt.timedelta(days=1))
    return before, find_clearest(max(area.plan.monitor_from, area.plan.until - half_year), area.plan.until)


def _record_run(run: _Run, areas: Sequence[AreaReport], failed: Sequence[FailedArea], began: float) -> ScanReport:
    """Write the run record as JSON and as a summary in words, and log it."""
    plan, seconds = run.plan, time.monotonic() - began
    received = run.arrived() + (sum(area.received for area in areas) if plan.scheduler else 0)  # by the workers
    path = run.workspace.runs / f"{plan.run_id}.json"
    report = ScanReport(plan.run_id, plan.source_names, areas, path, failed, received)
    about = {"started": plan.started.isoformat(), "seconds": round(seconds, 2), "version": __version__}
    record = describe_scan(report) | describe_source(run.workspace, plan.source) | {"source": plan.source_names} | about
    record["sources"] = {area.plan.aoi.name: describe_source(run.workspace, run.plan.find_source(area.plan)) for area in areas}
    publish_json(path, record)
    publish_bytes(path.with_suffix(".txt"), render_summary(record).encode())
    log_scan(report, seconds)
    return report
