"""What is known of one area of interest: its alerts as known on some days, and which of its ground was examined when.

Alerts come from the records of the last scan, which hold all that its replay rests on; they are used only where they are of the
archive, the settings and the as-of date of the table.  Ground is judged on the area's sample, see ``SAMPLE_PIXELS``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.as_known import replay_as_known
from minewatch.alerts.record import Alert
from minewatch.alerts.used_looks import select_used
from minewatch.archive.item import Observation, list_observations
from minewatch.archive.raster_header import find_step
from minewatch.archive.stac_item import credit_observations
from minewatch.archive.stack import iterate_scl
from minewatch.areas.aoi import Aoi, read_aoi
from minewatch.areas.area_plan import AreaPlan, make_area_plan
from minewatch.areas.grid import PIXEL, Grid, Window, make_grid
from minewatch.core.errors import MinewatchError
from minewatch.core.files import AnyPath
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map import Status
from minewatch.detection.change_record import ChangeRecord, hash_inputs
from minewatch.detection.mask import find_clear
from minewatch.products.bulletin.bulletin_facts import (
    GROUNDS,
    NO_LOOK,
    NO_RECORD,
    NO_VEGETATION,
    NOT_BEGUN,
    NOT_MONITORED,
    NOT_REACHED,
    NOT_SCANNED,
    SEEN,
    UNSEEN,
)
from minewatch.products.bulletin.period import Period
from minewatch.raster.gdal import READ_ERRORS, open_numbers
from minewatch.settings.pipeline import read_pipeline

Ground = NDArray[np.uint8]
"""(y, x) of an area's sample: number in GROUNDS of what each pixel was in a time."""


AT_A_TIME = 4
"""Overpasses that are read together, the clearest first: mostly the first few show all ground."""


@dataclass(frozen=True, eq=False)
class WatchedArea:
    """One area of interest."""

    aoi: Aoi
    """The area."""

    grid: Grid
    """Its pixels."""

    as_of: dt.date | None
    """As-of date of the table; None where it was never scanned."""

    alerts: Mapping[dt.date, Sequence[Alert]] = field(default_factory=dict)
    """Day to the alerts as known after its looks; empty where they are not known."""

    grounds: Mapping[Period, Ground] = field(default_factory=dict)
    """Time to what the ground was in it."""

    looks: Mapping[Period, frozenset[str]] = field(default_factory=dict)
    """Time to the keys of its overpasses with data."""

    observations: Sequence[Observation] = ()
    """What the table rests on."""

    missing: str = ""
    """Why it could not be counted, and what to do; '' where it was."""

    @property
    def step(self) -> int:
        """The sample has every step-th pixel of every step-th row."""
        return find_step(self.grid.shape)

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(y, x) of the sample: what lies in the area."""
        return self.grid.inside(find_sample(self.grid), self.step)

    @property
    def pixel_m2(self) -> int:
        """Square metres that a pixel of the sample stands for."""
        return (PIXEL * self.step) ** 2

    def place(self, outlines: Sequence[BaseGeometry]) -> NDArray[np.bool_]:
        """Return which pixels of the sample lie in any of some outlines, in the grid's CRS: (y, x) bool.

        Of outlines that hold the centre of none, the nearest one.
        """
        found = np.zeros(find_sample(self.grid).shape, bool)
        side, (left, top) = PIXEL * self.step, (self.grid.transform.c, self.grid.transform.f)
        x = left + PIXEL / 2 + side * np.arange(found.shape[1])
        y = top - PIXEL / 2 - side * np.arange(found.shape[0])
        for outline in outlines:
            west, south, east, north = outline.bounds
            columns, rows = slice(*np.searchsorted(x, (west, east))), slice(*np.searchsorted(-y, (-north, -south)))
            shapely.prepare(outline)
            found[rows, columns] |= shapely.contains_xy(outline, *np.meshgrid(x[columns], y[rows]))
        if outlines and not found.any():
            point = shapely.point_on_surface(outlines[0])
            found[np.abs(y - point.y).argmin(), np.abs(x - point.x).argmin()] = True
        return found


def find_sample(grid: Grid) -> Window:
    """Return the sample of a grid as a window in its own pixels."""
    step = find_step(grid.shape)
    return Window(0, 0, -(-grid.shape[0] // step), -(-grid.shape[1] // step))


def read_watched_area(workspace: Workspace, name: str, row: Mapping[str, Any] | None, periods: Sequence[Period]) -> WatchedArea:
    """Read what is known of an area in some times; ``row`` is its row of the table, None where it has none.

    Raises MinewatchError where the file of the area, or its pipeline, cannot be used.
    """
    aoi = read_aoi(workspace, name)
    if row is None:
        grid = make_grid(aoi)
        grounds = dict.fromkeys(periods, _fill(grid, NOT_SCANNED))
        return WatchedArea(aoi, grid, None, grounds=grounds, missing=f"area {name!r} was never scanned: minewatch scan {name}")
    pipeline = read_pipeline(workspace, row["pipeline"])
    area = make_area_plan(aoi, pipeline, row["pipeline"], monitor_from=row["monitor_from"], until=row["as_of"])
    try:
        return _read_scanned(workspace, area, periods)
    except _UnknownError as error:
        grounds = dict.fromkeys(periods, _fill(area.grid, NO_RECORD))
        return WatchedArea(aoi, area.grid, area.until, grounds=grounds, missing=str(error))


class _UnknownError(Exception):
    """An area cannot be counted; the message says why, and what to do."""


def _read_scanned(workspace: Workspace, area: AreaPlan, periods: Sequence[Period]) -> WatchedArea:
    name = area.aoi.name
    try:
        observations = select_used(workspace, list_observations(workspace.archive(name), area.grid).values(), area)
        credit = credit_observations(observations)
        record = ChangeRecord(workspace.checkpoints(name), workspace.changes(name), hash_inputs(area, observations, credit))
        known = record.read(with_map=False)
        status = _read_status(workspace.changes(name) / "status.tif", area) if known and known.as_of == area.until else None
        if known is None or status is None:
            raise _UnknownError(
                f"area {name!r}: the records of its last scan are gone, or are of other looks or settings than archive and"
                f" table: minewatch scan {name}"
            )
        days = {day for period in periods for day in (period.before, min(period.last, area.until))}
        settings = area.pipeline.alerts
        return WatchedArea(
            area.aoi,
            area.grid,
            area.until,
            replay_as_known(known.changes.episodes, area.grid, name, settings, days),
            _judge_grounds(observations, area, status, periods),
            {period: frozenset(look.key for look in _find_looks(observations, period, area)) for period in periods},
            observations,
        )
    except (MinewatchError, *READ_ERRORS) as error:
        raise _UnknownError(f"area {name!r}: {error}") from error


def _read_status(path: AnyPath, area: AreaPlan) -> NDArray[np.uint8] | None:
    """Read the status of the sample's pixels, (y, x), as of the as-of date; None where the map is another one."""
    with open_numbers(path) as raster:
        stated = raster.tags.get("as_of"), raster.tags.get("pipeline_digest")
        if stated != (area.until.isoformat(), area.pipeline.digest) or raster.shape != area.grid.shape:
            return None
        step = find_step(area.grid.shape)
        status: NDArray[np.uint8] = raster.read((0, 0, *raster.shape))[::step, ::step].astype(np.uint8)
        return status


# --- what was examined -----------------------------------------------------------------------------------------------


def _fill(grid: Grid, ground: str) -> Ground:
    return np.full(find_sample(grid).shape, GROUNDS.index(ground), np.uint8)


def _judge_grounds(
    observations: Sequence[Observation], area: AreaPlan, status: NDArray[np.uint8], periods: Sequence[Period]
) -> dict[Period, Ground]:
    """Return what the ground was in each time."""
    no_vegetation = status == Status.NO_VEGETATION
    not_monitored = (status == Status.NOT_MONITORED) | (status == Status.NEVER_COVERED)
    grounds = {}
    for period in periods:
        if watched := period.cut(area.monitor_from, area.until):
            looks = _find_looks(observations, watched, area)
            ground = _fill(area.grid, UNSEEN if looks else NO_LOOK)
            to_see = area.grid.inside(find_sample(area.grid), find_step(area.grid.shape)) & ~no_vegetation & ~not_monitored
            ground[_find_seen(looks, area, to_see)] = GROUNDS.index(SEEN)
            ground[no_vegetation] = GROUNDS.index(NO_VEGETATION)
            ground[not_monitored] = GROUNDS.index(NOT_MONITORED)
        else:
            ground = _fill(area.grid, NOT_BEGUN if period.last < area.monitor_from else NOT_REACHED)
        grounds[period] = ground
    return grounds


def _find_looks(observations: Sequence[Observation], period: Period, area: AreaPlan) -> list[Observation]:
    """Return the overpasses with data of a time since monitoring began, the clearest first."""
    watched = period.cut(area.monitor_from, area.until)
    found = [o for o in observations if watched and watched.first <= o.time.date() <= watched.last and o.valid_share > 0]
    return sorted(found, key=lambda observation: (-observation.clear_share, observation.key))


def _find_seen(looks: Sequence[Observation], area: AreaPlan, to_see: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of some pixels had a clear look; reading ends when all had."""
    seen, window, mask = np.zeros_like(to_see), find_sample(area.grid), area.pipeline.mask
    pixel = PIXEL * find_step(area.grid.shape)
    for first in range(0, len(looks), AT_A_TIME):
        for scl in iterate_scl(looks[first : first + AT_A_TIME], window, sample=True):
            seen |= find_clear(scl[None], mask, pixel)[0] & to_see
        if np.array_equal(seen, to_see):
            break
    return seen
