"""Chooses the overpasses that show an alert before and after, and reads their images: each overpass is opened once for all."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from minewatch.archive.item import Observation
from minewatch.areas.grid import PIXEL, Grid
from minewatch.core.errors import ImageError, MinewatchError, SceneError
from minewatch.core.parallel import TASKS_PER_CORE, count_cores
from minewatch.core.workspace import Workspace
from minewatch.products.images.chips.acquisitions import AcquisitionIndex, RatedLook, open_index
from minewatch.products.images.chips.choice import find_look
from minewatch.products.images.chips.frames import frame_outline
from minewatch.products.images.chips.pixels import FALSE_COLOUR, TRUE_COLOUR, read_chips
from minewatch.products.report.record import OverpassImages, Row, Scenery
from minewatch.raster.read import DatatakeFiles, open_datatake

AREA = ""
"""Name of the whole area among the sceneries; no alert has it."""

BEFORE, AFTER = "before", "after"

MOST_SIDE = 240
"""Pixels of the longer side of an alert's images; larger ones are shown coarser, so that twenty alerts stay below 5 MB."""

MAP_SIDE = 900
"""Pixels of the longer side of the overview map."""

EARLIER = dt.timedelta(days=730)
"""How long before an alert an image may be to show what was there."""

HALF_YEAR = dt.timedelta(days=183)
"""How old the image of the overview map may be."""

NO_LOOK, UNREADABLE, NO_SOURCE = "missing_no_look", "missing_unreadable", "missing_no_source"
"""Keys of the texts that say why an image is missing."""

MOST_TRIES = 3
"""Overpasses that are tried for one image where they cannot be read."""

SOONER = dt.timedelta(days=92)
"""Before the first alert: what the source lists from then on is asked for at once."""


@dataclass
class ImageJob:
    """An image that is wanted."""

    place: str
    """Id of the alert; AREA for the whole area."""

    when: str
    """BEFORE or AFTER."""

    frame: Grid
    """Its pixels."""

    names: tuple[str, ...]
    """Its composites."""

    choose: Callable[[AcquisitionIndex, Collection[str]], RatedLook]
    """Finds the best overpass that is none of some keys."""

    failed: set[str] = field(default_factory=set)
    """Keys of those that could not be read."""


class Photographer:
    """Takes the images of one area; what goes wrong is told in the sceneries, and line by line in ``notes``."""

    def __init__(self, workspace: Workspace, name: str, grid: Grid) -> None:
        self._grid = grid
        self._album: AcquisitionIndex | None = None
        self.notes: list[str] = []
        try:
            self._album = open_index(workspace, name)
        except MinewatchError as error:
            self._note(error)

    def take(
        self, rows: Sequence[Row], observations: Sequence[Observation], until: dt.date, as_of: dt.date
    ) -> dict[str, Scenery]:
        """Show alerts before they were first seen, and as lately as they still showed; and under AREA the whole area.

        The area is shown on the clearest day of the half year up to ``until``.
        """
        wishes = [_wish_area(self._grid, observations, until)]
        for row in rows:
            wishes += _wish_alert(self._grid, row, as_of)
        self._look_up(min((row["first_seen"] for row in rows), default=until) - SOONER, as_of)
        taken = self._fulfil(wishes)
        sceneries: dict[str, Scenery] = {}
        for wish in wishes:
            told = sceneries.setdefault(wish.place, Scenery(wish.frame, {}, {}))
            match taken[wish.place, wish.when]:
                case OverpassImages() as photo:
                    sceneries[wish.place] = replace(told, photos={**told.photos, wish.when: photo})
                case reason:
                    sceneries[wish.place] = replace(told, missing={**told.missing, wish.when: reason})
        return sceneries

    def _look_up(self, first: dt.date, last: dt.date) -> None:
        """Ask the source once for all days that images may be of; one that does not answer is not asked again."""
        try:
            if self._album:
                self._album.search(first, last)
        except MinewatchError as error:
            self._note(error)
            self._album = None

    def _fulfil(self, wishes: Sequence[ImageJob]) -> dict[tuple[str, str], OverpassImages | str]:
        """Return each image, or the key of the text that says why there is none; the next best where one cannot be read."""
        taken: dict[tuple[str, str], OverpassImages | str] = {}
        for _ in range(MOST_TRIES):
            rolls: dict[str, list[tuple[ImageJob, RatedLook]]] = defaultdict(list)
            for wish in wishes:
                chosen = self._choose(wish) if (wish.place, wish.when) not in taken else ""
                if isinstance(chosen, RatedLook):
                    rolls[chosen.take.key].append((wish, chosen))
                elif chosen:
                    taken[wish.place, wish.when] = chosen
            with ThreadPoolExecutor(count_cores() * TASKS_PER_CORE) as pool:
                for roll, photos in zip(rolls.values(), pool.map(_read_roll, rolls.values()), strict=True):
                    self._sort_out(roll, photos, taken)
        return {(wish.place, wish.when): UNREADABLE for wish in wishes} | taken

    def _sort_out(
        self,
        roll: Sequence[tuple[ImageJob, RatedLook]],
        photos: Sequence[OverpassImages | MinewatchError],
        taken: dict[tuple[str, str], OverpassImages | str],
    ) -> None:
        for (wish, look), photo in zip(roll, photos, strict=True):
            if isinstance(photo, OverpassImages):
                taken[wish.place, wish.when] = photo
            else:
                self._note(photo)
                wish.failed.add(look.take.key)

    def _choose(self, wish: ImageJob) -> RatedLook | str:
        if self._album is None:
            return NO_SOURCE
        try:
            return wish.choose(self._album, wish.failed)
        except ImageError as error:
            self._note(error)
            return UNREADABLE if wish.failed else NO_LOOK
        except MinewatchError as error:
            self._note(error)
            return NO_SOURCE

    def _note(self, error: Exception) -> None:
        line = f"an image is missing: {error}"
        if line not in self.notes:
            self.notes.append(line)


def _wish_alert(grid: Grid, row: Row, as_of: dt.date) -> list[ImageJob]:
    first, last = row["first_seen"], min(as_of, row["last_seen"] if row["status"] == "closed" else as_of)
    fine = frame_outline(grid, row["geometry"])
    spans = {BEFORE: (first - EARLIER, first - dt.timedelta(days=1)), AFTER: (min(row["confirmed_on"] or first, last), last)}

    def find(album: AcquisitionIndex, skip: Collection[str], since: dt.date, end: dt.date) -> RatedLook:
        return find_look(album, fine, end, since, skip)

    return [
        ImageJob(
            row["alert_id"], when, coarsen(fine, MOST_SIDE), (TRUE_COLOUR, FALSE_COLOUR), partial(find, since=since, end=end)
        )
        for when, (since, end) in spans.items()
    ]


def _wish_area(grid: Grid, observations: Sequence[Observation], until: dt.date) -> ImageJob:
    recent = [o for o in observations if until - HALF_YEAR <= o.time.date() <= until and o.clear_share > 0]

    def find(album: AcquisitionIndex, skip: Collection[str]) -> RatedLook:
        for known in sorted(recent, key=lambda o: (o.clear_share, o.time), reverse=True):
            day = known.time.date()
            for take in album.search(day, day) if known.key not in skip else ():
                if take.key == known.key:
                    return RatedLook(take, known.clear_share, known.clear_share)
        raise ImageError(f"there is no clear image of area {album.aoi.name!r} in the half year up to {until}")

    return ImageJob(AREA, AFTER, coarsen(grid, MAP_SIDE), (TRUE_COLOUR,), find)


def coarsen(grid: Grid, most: int) -> Grid:
    """Return the grid itself, or a coarser one whose longer side has at most so many pixels."""
    factor = math.ceil(max(grid.shape) / most)
    return grid if factor == 1 else Grid(grid.geobox.zoom_out(factor), grid.area)


def _read_roll(roll: Sequence[tuple[ImageJob, RatedLook]]) -> list[OverpassImages | MinewatchError]:
    """Read all images of one overpass, whose files are opened once."""
    with open_datatake(roll[0][1].take) as files:
        return [_read(look, wish, files) for wish, look in roll]


def _read(look: RatedLook, wish: ImageJob, files: DatatakeFiles) -> OverpassImages | MinewatchError:
    try:
        # Coarse images are read from the files' overviews, which are opened apart.
        chips = read_chips(look, wish.frame, wish.names, files if wish.frame.transform.a == PIXEL else None)
    except (SceneError, ImageError) as error:
        return error
    first = chips[wish.names[0]]
    return OverpassImages(first.date, first.scenes, look.clear_share, chips)
