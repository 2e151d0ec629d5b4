"""The plan of one area: everything that its search, archive and detection depend on."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from shapely.geometry.base import BaseGeometry

from minewatch.areas.aoi import Aoi
from minewatch.areas.grid import Grid, make_grid, refuse_empty
from minewatch.settings.pipeline import Pipeline


@dataclass(frozen=True)
class Query:
    """A search of a source."""

    area: BaseGeometry
    """Outline in lon/lat; by default only its bounding box is sent."""

    start: dt.date
    """First acquisition date."""

    end: dt.date
    """Last acquisition date."""

    max_cloud_cover: float = 100
    """Largest cloud cover of the whole tile, per cent."""


@dataclass(frozen=True)
class AreaPlan:
    """One area of a scan, everything resolved."""

    aoi: Aoi
    """The area."""

    grid: Grid
    """Its pixels."""

    pipeline: Pipeline
    """Every setting."""

    pipeline_name: str
    """Stem of the pipeline's file."""

    monitor_from: dt.date
    """First acquisition that may raise an alert."""

    until: dt.date
    """Last acquisition that is used."""

    deviations: tuple[str, ...] = ()
    """What makes the scan a what-if, in words: settings that are not the area's own, or a table of a later date."""

    @property
    def what_if(self) -> bool:
        """True where anything does."""
        return bool(self.deviations)

    budget: int | None = None
    """Bytes that the first baseline and the first year of monitoring may take; None = no limit."""

    @property
    def history_from(self) -> dt.date:
        """First acquisition of the baseline."""
        return self.monitor_from - dt.timedelta(days=round(self.pipeline.detector.baseline_years * 365.25))

    @property
    def query(self) -> Query:
        """The search of the source."""
        return Query(self.aoi.geometry, self.history_from, self.until, self.pipeline.scenes.max_cloud_cover)


def make_area_plan(
    aoi: Aoi,
    pipeline: Pipeline,
    pipeline_name: str,
    *,
    monitor_from: dt.date,
    until: dt.date,
    deviations: tuple[str, ...] = (),
    budget: int | None = None,
) -> AreaPlan:
    """Return the plan of an area, with its grid; raises AoiError where there can be none."""
    grid = make_grid(aoi)
    refuse_empty(aoi, grid)
    return AreaPlan(aoi, grid, pipeline, pipeline_name, monitor_from, until, deviations, budget)
