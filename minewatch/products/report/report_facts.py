"""The facts of a report, before they are written as text."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shapely.geometry.base import BaseGeometry

from minewatch.alerts.corroboration.unseen import ReportedPlace
from minewatch.alerts.explain.record import Explanation
from minewatch.alerts.history import HistoryEvent
from minewatch.alerts.lifetime import LookPair, find_look_pair
from minewatch.areas.aoi import Aoi
from minewatch.areas.coordinates import Position
from minewatch.areas.grid import PIXEL, Grid
from minewatch.detection.chance import Chance
from minewatch.products.evidence.stages import OutlineStage
from minewatch.products.images.chips.pixels import Chip
from minewatch.products.impact.assess import Impact
from minewatch.settings.impact import ImpactTable

Row = dict[str, Any]
"""A row of the table: column to value; None where it is empty, dates as dates."""

BEFORE, AFTER = "before", "after"
"""Names of the two images of an alert."""

NO_LOOK, NO_NORMAL_LOOK = "missing_no_look", "missing_no_normal_look"
UNREADABLE, NO_SOURCE, NOT_LISTED = "missing_unreadable", "missing_no_source", "missing_not_listed"
"""Keys of the texts that say why an image is missing."""

FAULTS = frozenset({UNREADABLE, NO_SOURCE, NOT_LISTED})
"""Of those, the reasons why an image is missing that should be there: its look is known."""


@dataclass(frozen=True)
class ReportRequest:
    """What a report is about, and how it is written."""

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

    source: str | None = None
    """Where the images are read from; None = the source of the scan that wrote the table."""

    case: str = ""
    """Number of the case, as the user gives it; '' = not given, as the next two."""

    author: str = ""
    """Who makes the report."""

    organisation: str = ""
    """On whose behalf."""

    impact: ImpactTable | None = None
    """What is assumed where it says what mining cost the land, with the kind of mining; None = it says nothing of that."""


@dataclass(frozen=True)
class Month:
    """The looks of a month."""

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

    pixel: int = PIXEL
    """Metres of the pixels in which its bands of 10 m were read."""


@dataclass(frozen=True)
class VisibilitySummary:
    """How much of the area could be seen, as the scan counted it; None = the record of the scan is gone."""

    shares: Mapping[str, float] | None
    """Share of each status of the change map."""

    unseen: float | None
    """Share without a clear look in the last month."""

    unseen_days: int | None
    """Days since the last clear look of half of that share."""

    last_clear: dt.date | None
    """The latest clear look of any pixel."""

    missing_looks: int
    """Looks that pixels not monitored still lack: the most frequent number."""

    chance: Chance
    """Whether a lasting clearing would have been confirmed."""

    skipped: int = 0
    """Scenes of the scan that were refused or could not be read."""


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
    """Name of the composite to its chip: true colour, and for an alert false colour."""

    @property
    def lacks_green(self) -> bool:
        """True if a scene has no green band: the mean of red and blue stands in its place."""
        return any("green" not in scene.hrefs for chip in self.chips.values() for scene in chip.look.datatake.scenes)


@dataclass(frozen=True)
class FrameImages:
    """The images of one frame, or why they are missing."""

    frame: Grid
    """Pixels of the images."""

    overpasses: Mapping[str, OverpassImages]
    """'before' or 'after' to the images."""

    missing: Mapping[str, str]
    """'before' or 'after' to the key of the text that says why there are none."""

    @property
    def lacks_green(self) -> bool:
        """True if an image was made without a green band."""
        return any(overpass.lacks_green for overpass in self.overpasses.values())


@dataclass(frozen=True)
class EvidenceFacts:
    """The folder of evidence of an alert."""

    name: str
    """Of the folder, in ``output/evidence``."""

    manifests: Mapping[str, str]
    """Folder to the SHA-256 of its manifest: the folder itself first, then those of its growth."""

    dates: Mapping[str, dt.date]
    """'before' or 'after' to the day of its image; those that it does not have are absent."""

    stage: OutlineStage | None
    """The outline as of the confirming look; None where the folder does not say which."""

    format: int = 0
    """Of the folder; 0 where its manifest cannot be read."""


@dataclass(frozen=True)
class AlertFacts:
    """One alert."""

    number: int
    """In this report, from 1."""

    row: Row
    """Its row of the table."""

    position: Position
    """Of a point inside."""

    outline: BaseGeometry
    """Degrees, in one piece across 180 degrees."""

    events: tuple[HistoryEvent, ...]
    """Of the table's history, oldest first."""

    is_new: bool
    """It was not in the last report."""

    explanation: Explanation | None
    """Look by look; None where the alert has no section, or the archive cannot explain it."""

    images: FrameImages | None
    """Before and after; None where the alert has no section."""

    evidence: EvidenceFacts | None = None
    """Its evidence; None where it has none."""

    @property
    def drawn(self) -> OutlineStage:
        """The outline that its images carry: as of the look of the image after, where the evidence has it; else the table's."""
        stage = self.evidence.stage if self.evidence else None
        if stage and stage.day == self.pair.after:
            return stage
        return OutlineStage(self.row["as_of"], self.outline, float(self.row["area_ha"]))

    @property
    def pair(self) -> LookPair:
        """The two looks that its images show."""
        return find_look_pair(self.row)

    @property
    def has_section(self) -> bool:
        """True if the report has a section on it, and not only a line in the table."""
        return self.images is not None


@dataclass(frozen=True)
class ReportFacts:
    """All facts of a report."""

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

    credit: str
    """Words of credit for these looks, in English as licences have them."""

    is_simulated: bool
    """True where the looks are of simulated scenes."""

    months: Mapping[tuple[int, int], Month]
    """(year, month) to its looks; months without a look are absent."""

    visibility: VisibilitySummary
    """How much of the area could be seen."""

    reported: tuple[ReportedPlace, ...]
    """Places that others report and that could not be seen here: no alerts."""

    alerts: tuple[AlertFacts, ...]
    """The largest first."""

    last_report: dt.date | None
    """As-of date of the last report on this area; None where this is the first."""

    map: FrameImages
    """The whole area, after."""

    source: str
    """Where the images were to be read from, without secrets."""

    reasons: tuple[str, ...]
    """Why images are missing that should be there; they are not printed in it, as they may name paths of this machine."""

    notes: tuple[str, ...]
    """Lines for the person who made the report; they are not printed in it."""

    left_unread: int = 0
    """Overpasses that the area's budget of bytes does not pay for."""

    impact: Impact | None = None
    """What mining cost the land; None where that was not asked for."""

    @property
    def missing_images(self) -> int:
        """Images that the report should have, and has not."""
        frames = [self.map, *(alert.images for alert in self.alerts if alert.images)]
        return sum(reason in FAULTS for frame in frames for reason in frame.missing.values())
