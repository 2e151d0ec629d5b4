"""Chooses the overpasses that show an alert before and after, and reads their images."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence

from minewatch.archive import Observation
from minewatch.chips import FALSE_COLOUR, TRUE_COLOUR, Album, Look, find_look, frame_outline, open_album, read_chip
from minewatch.errors import ImageError, MinewatchError, SceneError
from minewatch.grid import Grid
from minewatch.report.record import Photo, Row, Scenery
from minewatch.workspace import Workspace

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


class Photographer:
    """Takes the images of one area; what goes wrong is told in the sceneries, and line by line in ``notes``."""

    def __init__(self, workspace: Workspace, name: str, grid: Grid) -> None:
        self._grid = grid
        self._album: Album | None = None
        self.notes: list[str] = []
        try:
            self._album = open_album(workspace, name)
        except MinewatchError as error:
            self._note(error)

    def show_alert(self, row: Row, until: dt.date) -> Scenery:
        """Show an alert before it was first seen, and as lately as it still showed."""
        first, last = row["first_seen"], min(until, row["last_seen"] if row["status"] == "closed" else until)
        fine = frame_outline(self._grid, row["geometry"])
        frame = _coarsen(fine, MOST_SIDE)
        spans = {BEFORE: (first - EARLIER, first - dt.timedelta(days=1)), AFTER: (min(row["confirmed_on"] or first, last), last)}
        photos: dict[str, Photo] = {}
        missing: dict[str, str] = {}
        for when, (since, end) in spans.items():
            taken = self._take(fine, frame, since, end)
            if isinstance(taken, Photo):
                photos[when] = taken
            else:
                missing[when] = taken
        return Scenery(frame, photos, missing)

    def show_area(self, observations: Sequence[Observation], until: dt.date) -> Scenery:
        """Show the whole area on the clearest day of the half year up to a date."""
        frame = _coarsen(self._grid, MAP_SIDE)
        recent = [o for o in observations if until - HALF_YEAR <= o.time.date() <= until and o.clear_share > 0]
        best = max(recent, key=lambda o: (o.clear_share, o.time), default=None)
        taken: Photo | str = NO_LOOK if best is None else self._take_known(frame, best)
        return Scenery(frame, {AFTER: taken}, {}) if isinstance(taken, Photo) else Scenery(frame, {}, {AFTER: taken})

    def _take(self, fine: Grid, frame: Grid, since: dt.date, until: dt.date) -> Photo | str:
        """Take the best image of some days; the next best one where that cannot be read."""
        if self._album is None:
            return NO_SOURCE
        failed: set[str] = set()
        while len(failed) < 3:
            try:
                look = find_look(self._album, fine, until, since, failed)
            except ImageError as error:
                self._note(error)
                return UNREADABLE if failed else NO_LOOK
            except MinewatchError as error:
                self._note(error)
                return NO_SOURCE
            try:
                return _read(look, frame, (TRUE_COLOUR, FALSE_COLOUR))
            except (SceneError, ImageError) as error:
                self._note(error)
                failed.add(look.take.key)
        return UNREADABLE

    def _take_known(self, frame: Grid, observation: Observation) -> Photo | str:
        """Take the image of one overpass."""
        if self._album is None:
            return NO_SOURCE
        day, share = observation.time.date(), observation.clear_share
        try:
            takes = [take for take in self._album.search(day, day) if take.key == observation.key]
            return _read(Look(takes[0], share, share), frame, (TRUE_COLOUR,)) if takes else NO_LOOK
        except (SceneError, ImageError) as error:
            self._note(error)
            return UNREADABLE
        except MinewatchError as error:
            self._note(error)
            return NO_SOURCE

    def _note(self, error: Exception) -> None:
        line = f"an image is missing: {error}"
        if line not in self.notes:
            self.notes.append(line)


def _coarsen(grid: Grid, most: int) -> Grid:
    factor = math.ceil(max(grid.shape) / most)
    return grid if factor == 1 else Grid(grid.geobox.zoom_out(factor), grid.area)


def _read(look: Look, frame: Grid, names: Sequence[str]) -> Photo:
    chips = {name: read_chip(look, frame, name) for name in names}
    first = chips[names[0]]
    return Photo(first.date, first.scenes, look.clear_share, chips)
