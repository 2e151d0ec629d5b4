"""Resolves all settings of a scan into one value, before the first pixel is read."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from minewatch.alerts.rows import read_areas
from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_files import list_aois
from minewatch.areas.area_plan import AreaPlan, make_area_plan
from minewatch.areas.area_source import choose_source
from minewatch.core.errors import AoiError, MinewatchError, SourceError
from minewatch.core.workspace import Workspace
from minewatch.settings.document import list_providers
from minewatch.settings.pipeline import read_pipeline
from minewatch.sources.stac import Source, open_source


@dataclass(frozen=True)
class ScanRequest:
    """What to scan, as requested."""

    names: tuple[str, ...] = ()
    """Areas; empty = all."""

    pipeline: str | None = None
    """In place of each area's own."""

    overrides: tuple[str, ...] = ()
    """SECTION.KEY=VALUE."""

    source: str | None = None
    """In place of the areas' own and the workspace's."""

    since: dt.date | None = None
    """In place of each area's monitor_from."""

    until: dt.date | None = None
    """As-of date; today where it is not given."""

    scheduler: str | None = None
    """Address of a Dask cluster."""

    check_archive: bool = False
    """Compare every file of the archives with its checksum first."""

    switch_source: bool = False
    """Read looks again that an archive has from other sources, where this one lists them anew."""


@dataclass(frozen=True)
class ScanPlan:
    """All settings of a scan, resolved."""

    run_id: str
    """Id of the scan."""

    started: dt.datetime
    """UTC; only for records."""

    sources: Mapping[str, Source | SourceError]
    """Area to where its scenes come from, or why that does not answer; never such errors alone."""

    areas: tuple[AreaPlan, ...]
    """In the requested order."""

    scheduler: str | None
    """Address of a Dask cluster, or None for threads."""

    switch_source: bool = False
    """As requested."""

    @property
    def source(self) -> Source:
        """The first source that answers: of most scans the only one."""
        return next(source for source in self.sources.values() if isinstance(source, Source))

    @property
    def source_names(self) -> str:
        """Names of all that answer."""
        found = [source.name for source in self.sources.values() if isinstance(source, Source)]
        return ", ".join(dict.fromkeys(found))


def plan_scan(workspace: Workspace, request: ScanRequest) -> ScanPlan:
    """Resolve a request; raises MinewatchError where it is not valid."""
    started = dt.datetime.now(dt.UTC)
    until = request.until or started.date()
    names = request.names or tuple(list_aois(workspace))
    if not names:
        raise AoiError(f"there is no area in {workspace.aois}; add one with: minewatch aoi add NAME FILE")
    table = read_areas(workspace.alerts)
    areas = tuple(plan_area(workspace, request, name, until, table) for name in dict.fromkeys(names))
    sources = _open_sources(workspace, {area.aoi.name: choose_source(workspace, area.aoi, request.source) for area in areas})
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    return ScanPlan(run_id, started, sources, areas, request.scheduler, request.switch_source)


def _open_sources(workspace: Workspace, chosen: Mapping[str, str]) -> dict[str, Source | SourceError]:
    """Open the source of each area, each source once; raises SourceError where none answers."""
    providers, opened = list_providers(workspace), dict[str, Source | SourceError]()
    for name in dict.fromkeys(chosen.values()):
        try:
            opened[name] = open_source(name, providers)
        except SourceError as error:
            opened[name] = error
    if not any(isinstance(source, Source) for source in opened.values()):
        raise next(error for error in opened.values() if isinstance(error, SourceError))
    return {aoi: opened[name] for aoi, name in chosen.items()}


def plan_area(
    workspace: Workspace, request: ScanRequest, name: str, until: dt.date, table: Mapping[str, tuple[dt.date, dt.date]]
) -> AreaPlan:
    """Resolve one area; ``table`` gives monitor_from and as-of date of each area in it.  Raises MinewatchError."""
    aoi = read_aoi(workspace, name)
    pipeline_name = request.pipeline or aoi.pipeline
    pipeline = read_pipeline(workspace, pipeline_name, request.overrides)
    since = request.since or aoi.monitor_from
    if until < since:
        kind = "--since" if request.since else "its monitor_from"
        raise MinewatchError(f"area {name!r}: the as-of date (--until) {until} is before {kind} {since}; give a later one")
    own = pipeline_name == aoi.pipeline and not request.overrides and since == aoi.monitor_from
    what_if = not own or (name in table and until < table[name][1])
    return make_area_plan(aoi, pipeline, pipeline_name, monitor_from=since, until=until, what_if=what_if)
