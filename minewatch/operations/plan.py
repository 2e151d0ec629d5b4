"""Resolves all settings of a scan into one value, before the first pixel is read."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from minewatch.alerts.rows import read_areas, read_budgets
from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_files import list_aois
from minewatch.areas.area_plan import AreaPlan, make_area_plan
from minewatch.core.errors import AoiError, MinewatchError
from minewatch.core.workspace import Workspace
from minewatch.settings.document import default_source, list_providers
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
    """In place of the workspace's."""

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


@dataclass(frozen=True)
class ScanPlan:
    """All settings of a scan, resolved."""

    run_id: str
    """Id of the scan."""

    started: dt.datetime
    """UTC; only for records."""

    source: Source
    """Where scenes come from."""

    areas: tuple[AreaPlan, ...]
    """In the requested order."""

    scheduler: str | None
    """Address of a Dask cluster, or None for threads."""


def plan_scan(workspace: Workspace, request: ScanRequest) -> ScanPlan:
    """Resolve a request; raises MinewatchError where it is not valid."""
    started = dt.datetime.now(dt.UTC)
    until = request.until or started.date()
    names = request.names or tuple(list_aois(workspace))
    if not names:
        raise AoiError(f"there is no area in {workspace.aois}; add one with: minewatch aoi add NAME FILE")
    table = read_areas(workspace.alerts)
    budgets = read_budgets(workspace.alerts)
    areas = tuple(plan_area(workspace, request, name, until, table, budgets) for name in dict.fromkeys(names))
    source = open_source(request.source or default_source(workspace), list_providers(workspace))
    run_id = f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    return ScanPlan(run_id, started, source, areas, request.scheduler)


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
    own = pipeline_name == aoi.pipeline and not request.overrides and since == aoi.monitor_from
    what_if = not own or (name in table and until < table[name][1])
    budget = aoi.budget if request.budget is None else request.budget
    # A first scan withdraws nothing, and one like the last withdraws nothing either.
    what_if = what_if or (budget != aoi.budget and name in budgets and budget != budgets[name])
    return make_area_plan(aoi, pipeline, pipeline_name, monitor_from=since, until=until, what_if=what_if, budget=budget)
