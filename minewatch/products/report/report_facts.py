"""A report as a value: everything that its pages tell, before a word of it is written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shapely.geometry.base import BaseGeometry

from minewatch.alerts.explain.record import Explanation
from minewatch.alerts.history import HistoryEvent
from minewatch.areas.aoi import Aoi
from minewatch.areas.coordinates import Position
from minewatch.areas.grid import Grid
from minewatch.products.images.chips.pixels import Chip

Row = dict[str, Any]
"""Cells of the table by column; None where a cell is empty, dates as dates."""


@dataclass(frozen=True)
class ReportRequest:
    """What was asked for."""

    aoi: str = ""
    """An area, or '' where an alert was named."""

    alert_id: str = ""
    """One alert, or '' for all of the area."""

    since: dt.date | None = None
    """Only alerts first seen on this date or later."""

    until: dt.date | None = None
    """Only alerts first seen by this date."""

    language: str = "en"
    """One of LANGUAGES."""

    formats: tuple[str, ...] = ("html",)
    """Some of FORMATS."""


@dataclass(frozen=True)
class Month:
    """What was looked at in a month."""

    looks: int
    """Overpasses with data on the area."""

    clear: int
    """Those in which at least half of the area was clear."""

    best: float
    """Clear share of the clearest; 0 where there was none."""


@dataclass(frozen=True)
class ReportLook:
    """One overpass over the area."""

    date: dt.date
    """Acquisition, UTC."""

    scenes: tuple[str, ...]
    """Ids of the source items."""

    clear: float
    """Share of the area's pixels that were clear."""

    valid: float
    """Share with data, clear or not."""


@dataclass(frozen=True)
class VisibilitySummary:
    """What could be seen of the area, as the scan counted it; None = the record of the scan is gone."""

    shares: Mapping[str, float] | None
    """Share of each status of the change map."""

    unseen: float | None
    """Share without a clear look in the last month."""

    unseen_days: int | None
    """Days since the last clear look of half of that share."""

    last_clear: dt.date | None
    """The latest clear look of any pixel."""

    missing_looks: int
    """Looks that pixels not monitored still lack, the most frequent number."""


@dataclass(frozen=True)
class OverpassImages:
    """The images of one overpass over a frame."""

    date: dt.date
    """Acquisition, UTC."""

    scenes: tuple[str, ...]
    """Ids of the source items."""

    clear: float
    """Share of the frame that was clear."""

    chips: Mapping[str, Chip]
    """Its pixels: true colour, and false colour where an alert is shown."""


@dataclass(frozen=True)
class Scenery:
    """Images of one frame, and why there are none where there are none."""

    frame: Grid
    """Pixels of the images."""

    photos: Mapping[str, OverpassImages]
    """Some of 'before' and 'after'."""

    missing: Mapping[str, str]
    """The others, with the key of the text that says why."""


@dataclass(frozen=True)
class AlertFacts:
    """One alert."""

    number: int
    """In this report, from 1."""

    row: Row
    """Its cells of the table."""

    position: Position
    """Of a point inside."""

    outline: BaseGeometry
    """Degrees, in one piece across 180 degrees."""

    events: tuple[HistoryEvent, ...]
    """Of the table's history, oldest first."""

    is_new: bool
    """It was not in the last report."""

    explanation: Explanation | None
    """Look by look; None where it is not told, or where the archive cannot tell it."""

    scenery: Scenery | None
    """Before and after; None where it is not told."""

    @property
    def is_told(self) -> bool:
        """The report has a section for it, beyond its line in the table."""
        return self.scenery is not None


@dataclass(frozen=True)
class ReportFacts:
    """Everything that a report tells."""

    request: ReportRequest
    """What was asked for."""

    aoi: Aoi
    """The area."""

    grid: Grid
    """Its pixels."""

    monitor_from: dt.date
    """First acquisition that may raise an alert."""

    as_of: dt.date
    """Last acquisition that had any influence."""

    pipeline: str
    """Name of the settings."""

    digest: str
    """Of the settings."""

    run_id: str
    """The scan that wrote the table."""

    made: dt.datetime
    """When the report was made, UTC."""

    looks: tuple[ReportLook, ...]
    """Every look of the archive that the result rests on, by date."""

    months: Mapping[tuple[int, int], Month]
    """(year, month) to what was looked at; months without a look are absent."""

    sight: VisibilitySummary
    """What could be seen."""

    alerts: tuple[AlertFacts, ...]
    """By area, the largest first."""

    last_report: dt.date | None
    """As-of date of the last report on this area; None where this is the first."""

    map: Scenery
    """The whole area, after."""

    notes: tuple[str, ...]
    """Technical lines for whoever made the report; not on its pages."""
