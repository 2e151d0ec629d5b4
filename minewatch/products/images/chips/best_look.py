"""Chooses the overpass that shows a frame best: the newest that is clear, else the clearest."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from minewatch.archive.item import Observation
from minewatch.archive.stack import iterate_scl
from minewatch.areas.grid import Grid
from minewatch.core.errors import ImageError, SceneError
from minewatch.core.progress import Reporter
from minewatch.detection.mask import find_clear, margin_pixels
from minewatch.products.images.chips.acquisitions import EARLIEST, AcquisitionIndex, RatedLook
from minewatch.products.images.chips.image_frame import locate_frame
from minewatch.raster.read import open_datatake
from minewatch.sources.scene import Datatake

CLEAR = 0.95
"""Share of a frame, and of its outline, that is clear in a clear image; the newest such image is the best."""

LEAST = 0.1
"""Share below which an image counts as showing nothing."""

RECENT = dt.timedelta(days=92)
"""Before the date: only in this period the source is searched for scenes that the archive lacks, since each has to be read."""


def find_best_look(
    index: AcquisitionIndex,
    frame: Grid,
    until: dt.date,
    since: dt.date = EARLIEST,
    skip: Collection[str] = (),
    failures: dict[str, str] | None = None,
) -> RatedLook:
    """Return the newest clear overpass from ``since`` to ``until``, else the clearest; ``skip`` holds keys to leave out.

    Those that cannot be read are added to ``failures``, key to reason.  Raises ImageError where none shows the frame,
    SourceError where the source does not answer.
    """
    best, count = None, 0
    failures = {} if failures is None else failures
    for look in _iterate_looks(index, frame, (since, until), skip, failures):
        count += 1
        if min(look.clear_share, look.outline_share) >= CLEAR:
            return look
        best = look if best is None or look.score > best.score else best
    if best is None or best.score < LEAST:
        raise ImageError(_explain_absence(index, until, since, count, failures))
    return best


def _explain_absence(index: AcquisitionIndex, until: dt.date, since: dt.date, count: int, failures: Mapping[str, str]) -> str:
    period = f"at or before {until}" if since == EARLIEST else f"from {since} to {until}"
    where = f"there is no image of area {index.aoi.name!r} {period}"
    if failures:
        return f"{where} that can be read: {list(failures.values())[-1]}; try again later"
    archived = sum(since <= observation.time.date() <= until for observation in index.observations.values())
    if not (looked := max(count, archived)):
        return f"{where}: neither its archive nor source {index.source.name} has one; give another date"
    return f"{where} that shows the ground: {looked} were looked at, all hidden by cloud or without data; give another date"


def measure_looks(
    index: AcquisitionIndex,
    frame: Grid,
    dates: tuple[dt.date, dt.date],
    failures: dict[str, str],
    reporter: Reporter | None = None,
) -> list[RatedLook]:
    """Return the overpasses of a period that show some of a frame, by time.

    Those that cannot be read are added to ``failures``.  Raises SourceError where the source does not answer.
    """
    datatakes = sorted(index.search(*dates), key=lambda datatake: (datatake.time, datatake.key))
    watched = (reporter or Reporter()).track(datatakes, "looking for clear ground")
    looks = [look for datatake in watched if (look := rate_look(index, frame, datatake, failures)) is not None]
    return [look for look in looks if look.clear_share > 0]


def _iterate_looks(
    index: AcquisitionIndex, frame: Grid, dates: tuple[dt.date, dt.date], skip: Collection[str], failures: dict[str, str]
) -> Iterator[RatedLook]:
    """Yield overpasses from the newest back: first the recent ones of the source, then those of the archive."""
    since, until = dates
    recent = max(since, until - RECENT)
    datatakes = {datatake.key: datatake for datatake in index.search(recent, until)}
    for datatake in sorted(datatakes.values(), key=lambda datatake: (datatake.time, datatake.key), reverse=True):
        if datatake.key not in skip and (look := rate_look(index, frame, datatake, failures)) is not None:
            yield look
    older = [o for o in index.observations.values() if since <= o.time.date() <= until and o.key not in {*datatakes, *skip}]
    for observation in sorted(older, key=lambda o: (o.time, o.key), reverse=True):
        day = observation.time.date()
        shares = _measure_archived(index, frame, observation)
        if shares is None or sum(shares) / 2 >= LEAST:  # else no search is worth it
            same = [datatake for datatake in index.search(day, day) if datatake.key == observation.key]
            yield from filter(None, (rate_look(index, frame, datatake, failures) for datatake in same))


def rate_look(index: AcquisitionIndex, frame: Grid, datatake: Datatake, failures: dict[str, str]) -> RatedLook | None:
    """Return how clear an overpass is, by the archive, else by its scenes; None where these cannot be read."""
    observation = index.observations.get(datatake.key)
    shares = _measure_archived(index, frame, observation) if observation else None
    if shares is None:
        try:
            with open_datatake(datatake, frame) as reader:
                scl, _ = reader.read_scl(frame.window)
        except SceneError as error:
            failures[datatake.key] = str(error)
            return None
        shares = _share(find_clear(scl[None], index.mask)[0], frame.inside(frame.window))
    return RatedLook(datatake, *shares)


def _measure_archived(index: AcquisitionIndex, frame: Grid, observation: Observation) -> tuple[float, float] | None:
    """Return the clear shares of a frame and its outline by the archive; None where it covers less than half of the frame."""
    window = locate_frame(index.grid, frame)
    if window.height * window.width < frame.shape[0] * frame.shape[1] / 2:
        return None
    around = window.grow(margin_pixels(index.mask), index.grid.shape)
    scl = next(iterate_scl([observation], around))
    clear = find_clear(scl[None], index.mask)[0][window.within(around)]
    return _share(clear, replace(index.grid, area=frame.area).inside(window))


def _share(clear: NDArray[np.bool_], inside: NDArray[np.bool_]) -> tuple[float, float]:
    whole = float(clear.mean())
    return whole, float(clear[inside].mean()) if inside.any() else whole
