"""Examines the data behind an area, to tell whether what scans say of it can be trusted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

from minewatch.alerts.read import read_areas
from minewatch.archive.item import list_observations, select_observations, sort_observations
from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_plan import AreaPlan, make_area_plan
from minewatch.core.errors import ArchiveError, MinewatchError, SourceError
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.operations.doctor.emptiness import check_emptiness
from minewatch.operations.doctor.identity import check_duplicates
from minewatch.operations.doctor.listing import Listed, list_items
from minewatch.operations.doctor.offsets import check_offset_pixels, check_recorded_offsets
from minewatch.operations.doctor.orbits import check_missing
from minewatch.operations.doctor.record import CheckFinding, DataCheck, Examination, ExaminedData
from minewatch.operations.doctor.reference_pixels import read_reference_pixels
from minewatch.operations.doctor.registration import check_registration
from minewatch.operations.doctor.timeliness import check_late, check_unfetched
from minewatch.settings.document import default_source, list_providers
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

    The window is that of a scan as of ``until``; not given, it is the date of the alerts table, or today.  A source that was
    not named and does not answer is left out with a note.  Raises ArchiveError where the area was never scanned, and
    MinewatchError where the area, a named source or the workspace will not do.
    """
    reporter = reporter or Reporter()
    area = _plan_area(workspace, name, until)
    known = sort_observations(list_observations(workspace.archive(name), area.grid).values())
    archived = [o for o in known if area.history_from <= o.time.date() <= area.until]
    observations = select_observations(archived, area)
    if not observations:
        raise ArchiveError(_explain_nothing(area, len(known), len(archived)))
    notes: list[str] = []
    listed = None if offline else _ask(workspace, area, source, reporter, notes)
    asked = "" if listed is None else source or default_source(workspace)
    evidence = ExaminedData(area, observations, archived, listed, asked)
    return Examination(evidence, list(_run_checks(evidence, reporter)), notes)


def _run_checks(evidence: ExaminedData, reporter: Reporter) -> Iterator[DataCheck]:
    witnesses = read_reference_pixels(evidence.observations, evidence.area, reporter)
    yield check_recorded_offsets(evidence)
    yield check_offset_pixels(evidence, witnesses)
    yield check_duplicates(evidence)
    yield check_missing(evidence)
    yield check_registration(evidence, reporter)
    yield check_emptiness(evidence, witnesses)
    yield check_late(evidence)
    yield check_unfetched(evidence)


def _plan_area(workspace: Workspace, name: str, until: dt.date | None) -> AreaPlan:
    aoi = read_aoi(workspace, name)
    _, as_of = read_areas(workspace.alerts).get(name, (None, None))
    last = until or as_of or dt.datetime.now(dt.UTC).date()
    if last < aoi.monitor_from:
        raise MinewatchError(f"area {name!r}: the date (--until) {last} is before its monitor_from {aoi.monitor_from}")
    pipeline = read_pipeline(workspace, aoi.pipeline)
    return make_area_plan(aoi, pipeline, aoi.pipeline, monitor_from=aoi.monitor_from, until=last)


def _explain_nothing(area: AreaPlan, known: int, archived: int) -> str:
    """Tell an area that was never scanned from one whose archive has nothing to examine."""
    name = area.aoi.name
    if not known:
        return f"area {name!r} was never scanned, or its archive is of other settings; fetch it with: minewatch scan {name}"
    window = f"from {area.history_from} to {area.until}"
    if not archived:
        return f"the archive of area {name!r} has no observation {window}; give another --until"
    return f"the archive of area {name!r} has no observation {window} that the pipeline uses: all are too cloudy or were refused"


def _ask(workspace: Workspace, area: AreaPlan, name: str | None, reporter: Reporter, notes: list[str]) -> list[Listed] | None:
    """List what the source has now, by time; None, and a note, where the workspace's own source does not answer."""
    try:
        source = open_source(name or default_source(workspace), list_providers(workspace))
        items = reporter.track(list_items(source, area.query), f"{area.aoi.name}: searching")
        return sorted(items, key=lambda item: (item.time, item.id))
    except SourceError as error:
        if name:
            raise
        notes.append(f"{error}; the checks that need the source were left out")
        return None


def describe_examination(examination: Examination) -> dict[str, Any]:
    """Return an examination as plain data."""
    evidence = examination.evidence
    return {
        "aoi": evidence.area.aoi.name,
        "from": evidence.area.history_from.isoformat(),
        "until": evidence.area.until.isoformat(),
        "source": evidence.source or None,
        "observations": len(evidence.observations),
        "listed": None if evidence.listed is None else len(evidence.listed),
        "faults": examination.faults,
        "notes": list(examination.notes),
        "checks": [_describe_check(check) for check in examination.checks],
    }


def _describe_check(check: DataCheck) -> dict[str, Any]:
    facts = {"check": check.name, "result": str(check.verdict), "figure": check.figure, "text": check.text}
    return facts | {"facts": dict(check.facts), "scenes": [_describe_finding(finding) for finding in check.findings]}


def _describe_finding(finding: CheckFinding) -> dict[str, Any]:
    facts = {"scene": finding.subject, "date": finding.date.isoformat(), "result": str(finding.verdict), "text": finding.text}
    return facts | dict(finding.facts)
