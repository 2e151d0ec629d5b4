"""Scans, explanations, scores and simulations as a notebook asks for them: plain arguments, and a value in return."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from minewatch.alerts.explain.explain import explain_alert
from minewatch.alerts.explain.record import Explanation
from minewatch.alerts.read import choose_area
from minewatch.alerts.validate import Scores, validate_area
from minewatch.core.progress import Reporter, reporting
from minewatch.core.workspace import Workspace, find_workspace
from minewatch.operations import scan as scans
from minewatch.operations.plan import ScanRequest, set_apart
from minewatch.operations.scan_report import ScanReport
from minewatch.simulation.series import SimulatedSeries, simulate_series
from minewatch.simulation.settings import demo_simulation


def scan(
    workspace: Workspace | Path | str,
    *areas: str,
    since: dt.date | None = None,
    until: dt.date | None = None,
    pipeline: str | None = None,
    overrides: Sequence[str] = (),
    source: str | None = None,
    into: Path | str | None = None,
    scheduler: str | None = None,
    check_archive: bool = False,
    switch_source: bool = False,
    progress: bool = False,
    replace: bool = False,
) -> ScanReport:
    """Scan areas of a workspace (all of them where none is named) and bring its alerts table up to date.

    ``since`` is the first date that may raise an alert, in place of each area's own; ``until`` the as-of date (today):
    nothing acquired later has any influence.  ``pipeline`` and ``source`` stand in for the areas' and the workspace's own,
    ``overrides`` change single settings (``"alerts.min_area_ha=0.5"``).  ``into`` is a folder for table and rasters in place
    of ``output``, ``scheduler`` the address of a Dask cluster.  ``check_archive`` compares every file of the archive with its
    checksum first.  ``switch_source`` reads looks again that an archive has from other sources.  ``progress`` draws bars.

    A scan with other settings than an area's own, or as of an older date than the table's, is a what-if: it needs ``into``, or
    ``replace=True`` to go over the table.

    Scenes that cannot be read are left out and named in the report.  Raises MinewatchError where the request, the source or
    the workspace will not do; the table is unchanged then.
    """
    workspace = find_workspace(workspace)
    if into:
        workspace = set_apart(workspace, into)
    request = ScanRequest(
        areas,
        pipeline,
        tuple(overrides),
        source,
        since,
        until,
        scheduler,
        check_archive=check_archive,
        replace=replace,
        switch_source=switch_source,
    )
    with _show(progress) as reporter:
        return scans.scan(workspace, request, reporter)


def explain(workspace: Workspace | Path | str, alert_id: str, *, progress: bool = False) -> Explanation:
    """Explain look by look why an alert is there: what was seen, what was expected, which rule fired.

    It follows the pixel in the middle of the alert, from the archive alone, as of the table's date.  ``progress`` draws bars.
    Raises AlertsError for an unknown alert, and where the archive does not hold its area any more.
    """
    with _show(progress) as reporter:
        return explain_alert(find_workspace(workspace), alert_id, reporter)


def validate(workspace: Workspace | Path | str, truth: Path | str, area: str | None = None) -> Scores:
    """Score the alerts of an area (the only one, where none is named) against known sites.

    ``truth`` is a GeoPackage with the layers ``sites`` and ``ignore``, such as a simulation writes.  Raises AlertsError where
    the area is not in the table, MinewatchError where the file is no truth.
    """
    workspace = find_workspace(workspace)
    return validate_area(workspace, Path(truth), choose_area(workspace, area))


def simulate(folder: Path | str, *, progress: bool = False, **settings: Any) -> SimulatedSeries:
    """Write a simulated series of Sentinel-2 scenes with known mines into a folder, as a static STAC catalogue.

    Without ``settings`` it is the demo's; any field of Simulation may be given by name: ``width=200, height=200, mines=2``.
    The same settings give the same bytes.  ``progress`` draws bars.  Raises SimulationError where the settings contradict
    each other or the ground has no room for the mines.
    """
    with _show(progress) as reporter:
        simulation = dataclasses.replace(demo_simulation(), **settings)
        return simulate_series(Path(folder), simulation, reporter.steps("simulating scenes"))


def _show(progress: bool) -> AbstractContextManager[Reporter]:
    return reporting() if progress else contextlib.nullcontext(Reporter())
