"""Resolves all settings of a scan into one value, before the first pixel is read."""

from __future__ import annotations

import datetime as dt
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType

from minewatch.alerts.rows import read_areas, read_budgets
from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_files import explain_no_area, list_aois
from minewatch.areas.area_plan import AreaPlan, make_area_plan
from minewatch.areas.area_source import choose_source
from minewatch.core.errors import AoiError, MinewatchError, SourceError, WorkspaceError
from minewatch.core.text import join_some
from minewatch.core.traffic import format_exact
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

    budget: int | None = None
    """Bytes, in place of each area's own budget."""

    check_archive: bool = False
    """Compare every file of the archives with its checksum first."""

    replace: bool = False
    """Write a what-if over the workspace's own table."""

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

    def find_source(self, area: AreaPlan) -> Source:
        """Return the source of an area, which answers; raises its SourceError where it does not."""
        source = self.sources[area.aoi.name]
        if isinstance(source, SourceError):
            raise source
        return source

    @property
    def source_names(self) -> str:
        """Names of all that answer."""
        found = [source.name for source in self.sources.values() if isinstance(source, Source)]
        return ", ".join(dict.fromkeys(found))


def set_apart(workspace: Workspace, into: Path | str) -> Workspace:
    """Return the workspace with a folder of its own for table and rasters.

    Raises WorkspaceError where that folder is the output of a workspace, or holds alerts that no scan put there.
    """
    apart = replace(workspace, output_root=Path(into).resolve())
    folder = apart.output
    for place in (folder, *folder.parents):
        live = Workspace(place.parent)
        if place == live.output and live.settings.is_file() and not folder.is_relative_to(live.what_ifs):
            raise WorkspaceError(f"--into {into} is the output of the workspace {live.root}; name a folder apart from it")
    if (apart.alerts.exists() or apart.alerts_csv.exists()) and not apart.runs.is_dir():
        raise WorkspaceError(f"--into {into} holds alerts that no scan put there; name another folder")
    return apart


def plan_scan(workspace: Workspace, request: ScanRequest) -> ScanPlan:
    """Resolve a request; raises MinewatchError where it is not valid, or a what-if would go over the table unawares."""
    started = dt.datetime.now(dt.UTC)
    today = started.date()
    until = request.until or today
    names = request.names or tuple(list_aois(workspace))
    if not names:
        raise AoiError(explain_no_area(workspace))
    table = _read_dates(workspace)
    budgets = read_budgets(workspace.alerts)
    areas = tuple(plan_area(workspace, request, name, until, table, budgets) for name in dict.fromkeys(names))
    for area in areas:
        if until > max(today, table.get(area.aoi.name, (today, today))[1]):
            raise MinewatchError(
                f"--until {until} is in the future, of which no image is known: today is {today} (UTC); leave --until out"
            )
    if workspace.output_root is None and not request.replace:
        _refuse_unawares([area for area in areas if area.what_if])
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


def _read_dates(workspace: Workspace) -> dict[str, tuple[dt.date, dt.date]]:
    """Return monitor_from and as-of date of each area: of the workspace's table and that of ``--into``, the later ones."""
    dates = read_areas(Workspace(workspace.root).alerts)
    if workspace.output_root:
        dates |= {name: max(own, dates.get(name, own), key=itemgetter(1)) for name, own in read_areas(workspace.alerts).items()}
    return dates


def _refuse_unawares(what_ifs: Sequence[AreaPlan]) -> None:
    """Raise MinewatchError, which says why and how, where there is any what-if."""
    named: dict[str, list[str]] = defaultdict(list)
    for area in what_ifs:
        named["; ".join(area.deviations)].append(area.aoi.name)
    if named:
        why = " and ".join(f"{join_some(names)} ({reason})" for reason, names in named.items())
        how = "keep it apart with --into DIR, or write it over the table with --replace"
        raise MinewatchError(f"nothing was scanned, since a what-if would change the alerts table: {why}; {how}")


def plan_area(
    workspace: Workspace,
    request: ScanRequest,
    name: str,
    until: dt.date,
    table: Mapping[str, tuple[dt.date, dt.date]],
    budgets: Mapping[str, int | None] = MappingProxyType({}),
) -> AreaPlan:
    """Resolve one area; ``table`` gives monitor_from and as-of date of each area in it, ``budgets`` the bytes it rests on.

    Raises MinewatchError.
    """
    aoi = read_aoi(workspace, name)
    pipeline_name = request.pipeline or aoi.pipeline
    pipeline = read_pipeline(workspace, pipeline_name, request.overrides)
    since = request.since or aoi.monitor_from
    if until < since:
        kind = "--since" if request.since else "its monitor_from"
        raise MinewatchError(f"area {name!r}: the as-of date (--until) {until} is before {kind} {since}; give a later one")
    budget = aoi.budget if request.budget is None else request.budget
    deviations = []
    if pipeline_name != aoi.pipeline:
        deviations.append(f"--pipeline {pipeline_name}, its own is {aoi.pipeline}")
    if request.overrides and pipeline.digest != read_pipeline(workspace, pipeline_name).digest:
        deviations.append(" ".join(f"--set {one}" for one in request.overrides))
    if since != aoi.monitor_from:
        deviations.append(f"--since {since}, its own is {aoi.monitor_from}")
    if name in table and until < table[name][1]:
        given = f"--until {until}" if request.until else f"today is {until}"
        deviations.append(f"{given}, its table is as of {table[name][1]}")
    if budget != aoi.budget and name in budgets and budget != budgets[name]:  # a first scan withdraws nothing
        deviations.append(f"--budget {_say_budget(budget)}, its table was made with {_say_budget(budgets[name])}")
    return make_area_plan(
        aoi, pipeline, pipeline_name, monitor_from=since, until=until, deviations=tuple(deviations), budget=budget
    )


def _say_budget(budget: int | None) -> str:
    return "none" if budget is None else format_exact(budget)
