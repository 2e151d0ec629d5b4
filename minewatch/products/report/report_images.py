"""The images of a report: the two looks of each alert, as its evidence shows them, and each overpass is opened once."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from minewatch.alerts.lifetime import find_look_pair
from minewatch.archive.item import Observation
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import PIXEL, Grid
from minewatch.core.errors import ImageError, MinewatchError, SceneError
from minewatch.core.parallel import TASKS_PER_CORE
from minewatch.core.task import count_cores
from minewatch.core.text import format_day
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.look_choice import rank_looks
from minewatch.products.images.chips.acquisitions import AcquisitionIndex, RatedLook, open_index
from minewatch.products.images.chips.best_look import rate_look
from minewatch.products.images.chips.image_frame import coarsen, frame_outline
from minewatch.products.images.chips.pixels import read_chips
from minewatch.products.images.options import FALSE_COLOUR, TRUE_COLOUR
from minewatch.products.report.report_facts import (
    AFTER,
    BEFORE,
    FAULTS,
    NO_LOOK,
    NO_NORMAL_LOOK,
    NO_SOURCE,
    NOT_LISTED,
    UNREADABLE,
    FrameImages,
    OverpassImages,
    Row,
)
from minewatch.raster.read import DatatakeFiles, open_datatake
from minewatch.sources.scene import Datatake

AREA = ""
"""Name of the whole area among the images; no alert has this id."""

MOST_SIDE = 240
"""Pixels of the longer side of an alert's images; larger ones are shown coarser, so that twenty alerts stay below 5 MB."""

MAP_SIDE = 900
"""Pixels of the longer side of the overview map."""

HALF_YEAR = dt.timedelta(days=183)
"""The greatest age of the image of the overview map."""

MOST_TRIES = 3
"""Overpasses that are tried for one image, where some cannot be read."""


@dataclass
class ImageJob:
    """An image that is to be read."""

    alert_id: str
    """Id of the alert; AREA for the whole area."""

    when: str
    """BEFORE or AFTER."""

    frame: Grid
    """Its pixels."""

    names: tuple[str, ...]
    """Its composites."""

    choose: Callable[[AcquisitionIndex, Collection[str]], RatedLook]
    """Returns the best overpass, leaving out those with the given keys."""

    absence: str
    """Key of the text that says why there is none, where none could be chosen."""

    failed: set[str] = field(default_factory=set)
    """Keys of the overpasses that could not be read."""

    @property
    def id(self) -> tuple[str, str]:
        """Alert id and time, which no other job has together."""
        return self.alert_id, self.when


Answers = dict[tuple[str, str], OverpassImages | str]
"""Id of a job to its images, or to the key of the text that says why there are none."""


class ReportImageReader:
    """Reads the images of one area.

    ``notes`` holds a line for each thing that went wrong; ``reasons`` says why images are missing that should be there.
    """

    def __init__(self, workspace: Workspace, name: str, grid: Grid, source: str) -> None:
        self._grid = grid
        self._index: AcquisitionIndex | None = None
        self.notes: list[str] = []
        self.reasons: list[str] = []
        try:
            self._index = open_index(workspace, name, source)
        except MinewatchError as error:
            self._note(error)

    def read_all(
        self, rows: Sequence[Row], observations: Sequence[Observation], area: AreaPlan, until: dt.date
    ) -> dict[str, FrameImages]:
        """Return the images by alert id; AREA is the whole area, on the clearest day of the half year up to ``until``.

        An alert is shown at its two looks and at no other: an image of another day would not show what was judged.
        """
        jobs = [_make_area_job(self._grid, observations, until)]
        for row in rows:
            jobs += _make_alert_jobs(row, observations, area)
        pairs = [find_look_pair(row) for row in rows]
        self._search(min([pair.before or pair.after for pair in pairs], default=until - HALF_YEAR), area.until)
        answers = self._read_jobs(jobs)
        images: dict[str, FrameImages] = {}
        for alert_id in dict.fromkeys(job.alert_id for job in jobs):
            mine = [(job.when, answers[job.id]) for job in jobs if job.alert_id == alert_id]
            overpasses = {when: answer for when, answer in mine if isinstance(answer, OverpassImages)}
            missing = {when: answer for when, answer in mine if isinstance(answer, str)}
            images[alert_id] = FrameImages(next(job.frame for job in jobs if job.alert_id == alert_id), overpasses, missing)
        for row, pair in zip(rows, pairs, strict=True):
            if pair.before is None:
                known = images[row["alert_id"]]
                images[row["alert_id"]] = replace(known, missing={BEFORE: NO_NORMAL_LOOK} | dict(known.missing))
        return images

    def _search(self, first: dt.date, last: dt.date) -> None:
        """Ask the source once for all days that images may be of; one that does not answer is not asked again."""
        try:
            if self._index:
                self._index.search(first, last)
        except MinewatchError as error:
            self._note(error)
            self._index = None

    def _read_jobs(self, jobs: Sequence[ImageJob]) -> Answers:
        """Read the images; where an overpass cannot be read, the next best one is tried."""
        answers: Answers = {}
        for _ in range(MOST_TRIES):
            by_overpass: dict[str, list[tuple[ImageJob, RatedLook]]] = defaultdict(list)
            for job in jobs:
                chosen = self._choose_look(job) if job.id not in answers else ""
                if isinstance(chosen, RatedLook):
                    by_overpass[chosen.datatake.key].append((job, chosen))
                elif chosen:
                    answers[job.id] = chosen
            with ThreadPoolExecutor(count_cores() * TASKS_PER_CORE) as pool:
                results = itertools.chain.from_iterable(pool.map(_read_overpass, by_overpass.values()))
                for (job, look), result in zip(itertools.chain.from_iterable(by_overpass.values()), results, strict=True):
                    if isinstance(result, OverpassImages):
                        answers[job.id] = result
                    else:
                        self._note(result)
                        job.failed.add(look.datatake.key)
        return {job.id: UNREADABLE for job in jobs} | answers

    def _choose_look(self, job: ImageJob) -> RatedLook | str:
        """Return the best overpass, or the key of the text that says why there is none."""
        if self._index is None:
            return NO_SOURCE
        try:
            return job.choose(self._index, job.failed)
        except ImageError as error:
            reason = UNREADABLE if job.failed else job.absence
            self._note(error, is_fault=reason in FAULTS)
            return reason
        except MinewatchError as error:
            self._note(error)
            return NO_SOURCE

    def _note(self, error: Exception, *, is_fault: bool = True) -> None:
        line = f"an image is missing: {error}"
        self.notes += [line] if line not in self.notes else []
        self.reasons += [str(error)] if is_fault and str(error) not in self.reasons else []


def _make_alert_jobs(row: Row, observations: Sequence[Observation], area: AreaPlan) -> list[ImageJob]:
    """Return a job for each of the two looks of an alert."""
    pair, fine = find_look_pair(row), frame_outline(area.grid, row["geometry"])
    frame, names = coarsen(fine, MOST_SIDE), (TRUE_COLOUR, FALSE_COLOUR)

    def make_job(when: str, day: dt.date) -> ImageJob:
        known = [observation for observation in observations if observation.time.date() == day]
        ranked = [observation.key for observation in rank_looks(area, known, row["geometry"])]
        return ImageJob(row["alert_id"], when, frame, names, partial(_choose_on, day, ranked, fine), NOT_LISTED)

    return [make_job(when, day) for when, day in ((BEFORE, pair.before), (AFTER, pair.after)) if day is not None]


def _choose_on(day: dt.date, ranked: Sequence[str], frame: Grid, index: AcquisitionIndex, skip: Collection[str]) -> RatedLook:
    """Return the overpass of a day that shows an outline best: ``ranked``, as its evidence has them, and then the clearest.

    Raises ImageError where the source lists none of them that can be read.
    """
    failures: dict[str, str] = {}
    found = index.search(day, day)
    listed = [datatake for datatake in found if datatake.key not in skip and _is_whole(index, datatake)]
    looks = [look for datatake in listed if (look := rate_look(index, frame, datatake, failures))]
    if not looks:
        raise ImageError(next(iter(failures.values()), f"source {index.source.name} lists no scenes of {format_day(day)}"))
    places = {key: place for place, key in enumerate(ranked)}
    return min(looks, key=lambda look: (places.get(look.datatake.key, len(places)), -look.score, look.datatake.key))


def _is_whole(index: AcquisitionIndex, datatake: Datatake) -> bool:
    """True if the source lists as many scenes of an overpass as the archive read."""
    known = index.observations.get(datatake.key)
    return known is None or len(datatake.scenes) >= len(known.source_ids)


def _find_datatake(index: AcquisitionIndex, known: Observation) -> Datatake | None:
    """Return the overpass of an observation; None where the source does not list all of its scenes any more."""
    day = known.time.date()
    found = next((datatake for datatake in index.search(day, day) if datatake.key == known.key), None)
    return found if found and set(known.source_ids) <= {scene.id for scene in found.scenes} else None


def _make_area_job(grid: Grid, observations: Sequence[Observation], until: dt.date) -> ImageJob:
    recent = [o for o in observations if until - HALF_YEAR <= o.time.date() <= until and o.clear_share > 0]

    def choose(index: AcquisitionIndex, skip: Collection[str]) -> RatedLook:
        for known in sorted(recent, key=lambda o: (o.clear_share, o.time), reverse=True):
            if known.key not in skip and (datatake := _find_datatake(index, known)):
                return RatedLook(datatake, known.clear_share, known.clear_share)
        if recent:
            raise ImageError(f"the source lists none of the looks at area {index.aoi.name!r} in the half year up to {until}")
        raise ImageError(f"there is no clear image of area {index.aoi.name!r} in the half year up to {until}")

    return ImageJob(AREA, AFTER, coarsen(grid, MAP_SIDE), (TRUE_COLOUR,), choose, NOT_LISTED if recent else NO_LOOK)


def _read_overpass(jobs: Sequence[tuple[ImageJob, RatedLook]]) -> list[OverpassImages | MinewatchError]:
    """Read all images of one overpass, whose files are opened once."""
    with open_datatake(jobs[0][1].datatake) as files:
        return [_read(look, job, files) for job, look in jobs]


def _read(look: RatedLook, job: ImageJob, files: DatatakeFiles) -> OverpassImages | MinewatchError:
    try:
        # Coarse images are read from the files' overviews, which are opened apart.
        chips = read_chips(look, job.frame, job.names, files if job.frame.transform.a == PIXEL else None)
    except (SceneError, ImageError) as error:
        return error
    first = chips[job.names[0]]
    return OverpassImages(first.date, first.scenes, look.clear_share, chips)
