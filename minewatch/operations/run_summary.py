"""The run summary: a scan in words beside the run record, and in the structured log."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minewatch.alerts.history import MERGED, RENAMED, REOPENED
from minewatch.alerts.lifetime import FATES, WORDS
from minewatch.alerts.record import CLOSED, CONFIRMED, DISMISSED, PROVISIONAL
from minewatch.core.logging import log_event
from minewatch.core.text import count_of, format_day, format_time, show
from minewatch.core.traffic import format_bytes
from minewatch.operations.scan_report import AreaReport, ScanReport

LONGEST = 400
"""Characters of a reason that are shown."""

MOST = 50
"""Lines of one kind; the run record has the others."""


def render_summary(record: Mapping[str, Any]) -> str:
    """Return a run record of ``output/runs`` in words."""
    return "\n".join(_list_lines(record)) + "\n"


def _list_lines(record: Mapping[str, Any]) -> Iterator[str]:
    minutes, rest = divmod(round(record["seconds"]), 60)
    took = f"{minutes} min {rest} s" if minutes else f"{record['seconds']:.1f} s"
    yield f"Scan {record['run_id']}"
    yield f"  started {format_time(dt.datetime.fromisoformat(record['started']))}; took {took}"
    yield f"  minewatch {record['version']}, scenes from {show(record['source'])}"
    if record["bytes"]:
        yield f"  {format_bytes(record['bytes'])} came over the line"
    for failed in record["not_searched"]:
        yield f"\n{show(failed['aoi'])}: NOT SCANNED, its alerts stay as they were"
        yield f"  {show(failed['reason'], LONGEST)}"
    for area in record["areas"]:
        yield ""
        yield from _describe_area(area)


def _describe_area(area: Mapping[str, Any]) -> Iterator[str]:
    scenes = area["scenes"]
    kind = f", a what-if ({show('; '.join(area['deviations']), LONGEST)})" if area["what_if"] else ""
    as_of, since = (format_day(dt.date.fromisoformat(area[name])) for name in ("as_of", "monitor_from"))
    yield f"{show(area['aoi'])}: as of {as_of}, monitored since {since}{kind}"
    yield f"  pipeline {show(area['pipeline'])} ({area['pipeline_digest']})"
    read = count_of(scenes["observations_read"], "look")
    yield f"  scenes: {scenes['found']} found, {read} read now, {scenes['observations_used']} used"
    if scenes["too_cloudy"]:
        yield f"  skipped: {count_of(len(scenes['too_cloudy']), 'scene')} with more cloud than the pipeline allows"
    yield from _cut([f"  skipped: {show(s['id'])}: {show(s['reason'], LONGEST)}" for s in scenes["failed"]])
    yield f"  coverage: {area['coverage']['text']}"
    alerts = ", ".join(f"{count} {name}" for name, count in sorted(area["alerts"].items()))
    yield f"  alerts: {alerts or 'none'}"
    yield f"  ever confirmed: {area['ever_confirmed']['confirmed']}, of them {_list_fates(area['ever_confirmed'])}"
    yield from _cut([f"  {one['event']}: {one['alert_id']} {show(one['detail'])}".rstrip() for one in area["changed"]])
    yield f"  unchanged: {area['changes'].get('unchanged', 0)}"
    yield from (f"  evidence written: {alert_id}" for alert_id in area["evidence"]["written"])
    yield from (f"  evidence NOT written: {e['alert_id']}: {show(e['reason'], LONGEST)}" for e in area["evidence"]["failed"])
    yield from _cut([f"  note: {show(note, LONGEST)}" for note in area["notes"]])


LOSSES = ("withdrawn", RENAMED, REOPENED, MERGED, CLOSED, PROVISIONAL, DISMISSED, CONFIRMED)
"""Events that people are told one by one, in this order: an alert leaves the table, or has another id or status."""


def list_table_changes(area: AreaReport) -> list[str]:
    """Return what a scan withdrew, renamed, re-opened or closed, or gave another status, a line each."""
    events = [event for event in area.table_changes.changed if event.event in LOSSES]
    events.sort(key=lambda event: LOSSES.index(event.event))
    return [f"{event.event}: {event.alert_id} {show(event.detail, LONGEST)}".rstrip() for event in events]


def _list_fates(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[fate]} {WORDS[fate]}" for fate in FATES)


def _cut(lines: Sequence[str]) -> list[str]:
    rest = len(lines) - MOST
    return [*lines[:MOST], *([f"  ... and {rest} more; the run record names them"] if rest > 0 else [])]


def log_scan(report: ScanReport, seconds: float) -> None:
    """Log what a scan did, area by area."""
    for area in report.areas:
        _log_area(area)
    for failed in report.failed_areas:
        log_event("area not scanned", level="warning", aoi=failed.aoi, reason=failed.reason)
    log_event(
        "scan ended",
        seconds=round(seconds, 2),
        record=str(report.record),
        areas=len(report.areas),
        scenes_skipped=report.failures,
        bytes=report.received,
        evidence_missing=report.evidence_missing,
    )


def _log_area(area: AreaReport) -> None:
    aoi = area.plan.aoi.name
    for failure in area.failures:
        log_event("scene skipped", level="warning", aoi=aoi, scene=failure.id, reason=failure.reason)
    for alert_id in area.evidence.written:
        log_event("evidence written", aoi=aoi, alert_id=alert_id)
    for alert_id, reason in area.evidence.failed.items():
        log_event("evidence not written", level="warning", aoi=aoi, alert_id=alert_id, reason=reason)
    log_event(
        "area done",
        aoi=aoi,
        as_of=area.plan.until.isoformat(),
        what_if=area.plan.what_if,
        scenes_found=area.scenes_found,
        looks_read=area.fetched,
        looks_used=len(area.observations),
        scenes_skipped=len(area.failures),
        alerts=dict(Counter(alert.status for alert in area.alerts)),
        changes=dict(area.table_changes.events),
        unseen=round(area.coverage.unseen, 4),
        lasting=area.coverage.chance.share and round(area.coverage.chance.share, 4),
        notes=list(area.notes),
    )
