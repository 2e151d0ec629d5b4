"""Examines the data of an area, to find out whether its results can be trusted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from minewatch.alerts.rows import read_areas
from minewatch.alerts.used_looks import read_choice
from minewatch.archive.item import list_observations, select_observations, sort_observations
from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_plan import AreaPlan, make_area_plan
from minewatch.areas.area_source import choose_source
from minewatch.core.errors import ArchiveError, MinewatchError, SourceError
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.operations.doctor.broken_numbers import check_broken_numbers
from minewatch.operations.doctor.catalogue_items import CatalogueItem, list_items
from minewatch.operations.doctor.checks import CheckFinding, DataCheck, Examination, ExaminedData
from minewatch.operations.doctor.duplicates import check_duplicates
from minewatch.operations.doctor.late_items import check_late, check_unfetched
from minewatch.operations.doctor.offsets import check_offset_pixels, check_recorded_offsets
from minewatch.operations.doctor.orbits import check_missing
from minewatch.operations.doctor.reference_pixels import read_reference_pixels
from minewatch.operations.doctor.registration import check_registration
from minewatch.operations.doctor.valid_pixels import check_valid_pixels
from minewatch.settings.document import list_providers
from minewatch.settings.pipeline import read_pipeline
from minewatch.sources.stac import open_source


def examine_area(
    workspace: Workspace,
    name: str,
    *,
    source: str | None = None,
    offline: bool = False,
    until: dt.date | None = None,
    reporter: Reporter | None = None,
) -> Examination:
    """Examine what the archive holds of an area and, unless ``offline``, what the source lists now.

    The period is that of a scan as of ``until``, by default the date of the alerts table, or today.  Where the workspace's own
    source does not answer, its checks are left out with a note.  Raises ArchiveError where the area was never scanned, and
    MinewatchError where the area, a named source or the workspace cannot be used.
    """
    reporter = reporter or Reporter()
    area = _plan_area(workspace, name, until)
    known = sort_observations(list_observations(workspace.archive(name), area.grid).values())
    archived = [o for o in known if area.history_from <= o.time.date() <= area.until]
    observations = select_observations(archived, area)
    if not observations:
        raise ArchiveError(_explain_nothing(area, len(known), len(archived)))
    notes: list[str] = []
    listed = None if offline else _list_current_items(workspace, area, source, reporter, notes)
    contacted = "" if listed is None else choose_source(workspace, area.aoi, source)
    chosen = read_choice(workspace, name) if area.aoi.budget is not None else None
    data = ExaminedData(area, observations, archived, listed, contacted, chosen.left_unread if chosen else frozenset())
    return Examination(data, list(_run_checks(data, reporter)), notes)


def _run_checks(data: ExaminedData, reporter: Reporter) -> Iterator[DataCheck]:
    pixels = read_reference_pixels(data.observations, data.area, reporter)
    yield check_recorded_offsets(data)
    yield check_offset_pixels(data, pixels)
    yield check_duplicates(data)
    yield check_missing(data)
    yield check_registration(data, reporter)
    yield check_valid_pixels(data, pixels)
    yield check_broken_numbers(data)
    yield check_late(data)
    yield check_unfetched(data)


def _plan_area(workspace: Workspace, name: str, until: dt.date | None) -> AreaPlan:
    aoi = read_aoi(workspace, name)
    _, as_of = read_areas(workspace.alerts).get(name, (None, None))
    last = until or as_of or dt.datetime.now(dt.UTC).date()
    if last < aoi.monitor_from:
        raise MinewatchError(f"area {name!r}: the date (--until) {last} is before its monitor_from {aoi.monitor_from}")
    pipeline = read_pipeline(workspace, aoi.pipeline)
    return make_area_plan(aoi, pipeline, aoi.pipeline, monitor_from=aoi.monitor_from, until=last)


def _explain_nothing(area: AreaPlan, known: int, archived: int) -> str:
    """Explain why there is nothing to examine: the area was never scanned, or the period has no usable observation."""
    name = area.aoi.name
    if not known:
        return f"area {name!r} was never scanned, or its archive is of other settings; fetch it with: minewatch scan {name}"
    window = f"from {area.history_from} to {area.until}"
    if not archived:
        return f"the archive of area {name!r} has no observation {window}; give another --until"
    return f"the archive of area {name!r} has no observation {window} that the pipeline uses: all are too cloudy or were refused"


def _list_current_items(
    workspace: Workspace, area: AreaPlan, name: str | None, reporter: Reporter, notes: list[str]
) -> list[CatalogueItem] | None:
    """List the items of the source, by time; None, and a note, where the workspace's own source does not answer."""
    try:
        source = open_source(choose_source(workspace, area.aoi, name), list_providers(workspace))
        items = reporter.track(list_items(source, area.query), f"{area.aoi.name}: searching")
        return sorted(items, key=lambda item: (item.time, item.id))
    except SourceError as error:
        if name:
            raise
        notes.append(f"{error}; the checks that need the source were left out")
        return None


def describe_examination(examination: Examination) -> dict[str, Any]:
    """Return an examination as plain data."""
    data = examination.data
    return {
        "aoi": data.area.aoi.name,
        "from": data.area.history_from.isoformat(),
        "until": data.area.until.isoformat(),
        "source": data.source or None,
        "observations": len(data.observations),
        "listed": None if data.listed is None else len(data.listed),
        "faults": examination.faults,
        "notes": list(examination.notes),
        "checks": [
            {"check": check.name, "result": str(check.outcome), "figure": check.figure, "text": check.text}
            | {"facts": dict(check.facts), "scenes": [_describe_finding(finding) for finding in check.findings]}
            for check in examination.checks
        ],
    }


def _describe_finding(finding: CheckFinding) -> dict[str, Any]:
    facts = {"scene": finding.subject, "date": finding.date.isoformat(), "result": str(finding.outcome), "text": finding.text}
    return facts | dict(finding.facts)
