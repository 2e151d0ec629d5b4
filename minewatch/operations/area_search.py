"""Asks each source of a scan for the scenes of its areas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from minewatch.archive.area_scan import AreaScan
from minewatch.archive.fetch import search_areas
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import SourceError, SwitchError
from minewatch.core.progress import Reporter
from minewatch.operations.plan import ScanPlan
from minewatch.operations.scan_report import FailedArea
from minewatch.sources.search import SearchResult


def search_sources(plan: ScanPlan, areas: Sequence[AreaPlan], reporter: Reporter) -> list[SearchResult | SourceError]:
    """Search each source for its areas; raises SourceError where all searches failed."""
    answers: dict[str, SearchResult | SourceError] = {}
    by_source: dict[str, list[AreaPlan]] = defaultdict(list)
    for area in areas:
        source = plan.sources[area.aoi.name]
        if isinstance(source, SourceError):
            answers[area.aoi.name] = source
        else:
            by_source[source.name].append(area)
    for own in by_source.values():
        try:
            found = search_areas(plan.find_source(own[0]), own, reporter)
            answers |= {area.aoi.name: answer for area, answer in zip(own, found, strict=True)}
        except SourceError as error:
            answers |= {area.aoi.name: error for area in own}
    if not any(isinstance(answer, SearchResult) for answer in answers.values()):
        raise next(answer for answer in answers.values() if isinstance(answer, SourceError))
    return [answers[area.aoi.name] for area in areas]


def split_switched(scans: Sequence[AreaScan], areas: int) -> tuple[list[AreaScan], list[FailedArea]]:
    """Split off the areas whose archive is from another source; raises SwitchError where there is no other area."""
    failed = [FailedArea(scan.plan.aoi.name, scan.switch) for scan in scans if scan.switch]
    if failed and len(failed) == areas:
        raise SwitchError("; ".join(f"area {one.aoi!r}: {one.reason}" for one in failed))
    return [scan for scan in scans if not scan.switch], failed
