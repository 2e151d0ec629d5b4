"""Which overpass shows a frame best: the newest that is clear, else the clearest."""

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
"""Share of a frame, and of its outline, from which on an image is clear; the newest such image is the best."""

LEAST = 0.1
"""Share below which an image shows nothing: then there is none."""

RECENT = dt.timedelta(days=92)
"""Before the date: scenes that the archive lacks are looked for in this time only, since each has to be read."""


def find_look(
    album: AcquisitionIndex,
    frame: Grid,
    until: dt.date,
    since: dt.date = EARLIEST,
    skip: Collection[str] = (),
    failures: dict[str, str] | None = None,
) -> RatedLook:
    """Choose the newest clear overpass from ``since`` to ``until``, else the clearest; ``skip`` holds keys to leave out.

    Those that cannot be read are added to ``failures``, key to reason.  Raises ImageError where none shows the frame,
    SourceError where the source does not answer.
    """
    best, count = None, 0
    failures = {} if failures is None else failures
    for look in _list_looks(album, frame, (since, until), skip, failures):
        count += 1
        if min(look.clear_share, look.outline_share) >= CLEAR:
            return look
        best = look if best is None or look.score > best.score else best
    if best is None or best.score < LEAST:
        raise ImageError(_explain_absence(album, until, since, count, failures))
    return best


def _explain_absence(album: AcquisitionIndex, until: dt.date, since: dt.date, count: int, failures: Mapping[str, str]) -> str:
    period = f"at or before {until}" if since == EARLIEST else f"from {since} to {until}"
    where = f"there is no image of area {album.aoi.name!r} {period}"
    if failures:
        return f"{where} that can be read: {list(failures.values())[-1]}; try again later"
    archived = sum(since <= observation.time.date() <= until for observation in album.observations.values())
    if not (looked := max(count, archived)):
        return f"{where}: neither its archive nor source {album.source.name} has one; give another date"
    return f"{where} that shows the ground: {looked} were looked at, all hidden by cloud or without data; give another date"


def measure_looks(
    album: AcquisitionIndex,
    frame: Grid,
    dates: tuple[dt.date, dt.date],
    failures: dict[str, str],
    reporter: Reporter | None = None,
) -> list[RatedLook]:
    """Return every overpass of a period with what it shows of a frame, by time; those that show nothing are left out.

    Those that cannot be read are added to ``failures``.  Raises SourceError where the source does not answer.
    """
    takes = sorted(album.search(*dates), key=lambda take: (take.time, take.key))
    watched = (reporter or Reporter()).track(takes, "looking for clear ground")
    looks = [look for take in watched if (look := _judge(album, frame, take, failures)) is not None]
    return [look for look in looks if look.clear_share > 0]


def _list_looks(
    album: AcquisitionIndex, frame: Grid, dates: tuple[dt.date, dt.date], skip: Collection[str], failures: dict[str, str]
) -> Iterator[RatedLook]:
    """Yield overpasses from the newest back: first the recent ones of the source, then those of the archive."""
    since, until = dates
    recent = max(since, until - RECENT)
    takes = {take.key: take for take in album.search(recent, until)}
    for take in sorted(takes.values(), key=lambda take: (take.time, take.key), reverse=True):
        if take.key not in skip and (look := _judge(album, frame, take, failures)) is not None:
            yield look
    older = [o for o in album.observations.values() if since <= o.time.date() <= until and o.key not in {*takes, *skip}]
    for observation in sorted(older, key=lambda o: (o.time, o.key), reverse=True):
        day = observation.time.date()
        shares = _measure_archived(album, frame, observation)
        if shares is None or sum(shares) / 2 >= LEAST:  # else it is not worth a search
            same = [take for take in album.search(day, day) if take.key == observation.key]
            yield from filter(None, (_judge(album, frame, take, failures) for take in same))


def _judge(album: AcquisitionIndex, frame: Grid, take: Datatake, failures: dict[str, str]) -> RatedLook | None:
    """Measure how clear a frame is: from the archive, else from the scenes; None where these cannot be read."""
    observation = album.observations.get(take.key)
    shares = _measure_archived(album, frame, observation) if observation else None
    if shares is None:
        try:
            shares = _measure_read(album, frame, take)
        except SceneError as error:
            failures[take.key] = str(error)
            return None
    return RatedLook(take, *shares)


def _measure_archived(album: AcquisitionIndex, frame: Grid, observation: Observation) -> tuple[float, float] | None:
    """Return the clear shares of a frame and its outline as the archive knows them; None where it does not."""
    window = locate_frame(album.grid, frame)
    if window.height * window.width < frame.shape[0] * frame.shape[1] / 2:
        return None
    around = window.grow(margin_pixels(album.mask), album.grid.shape)
    scl = next(iterate_scl([observation], around))
    clear = find_clear(scl[None], album.mask)[0][window.within(around)]
    return _share(clear, replace(album.grid, area=frame.area).inside(window))


def _measure_read(album: AcquisitionIndex, frame: Grid, take: Datatake) -> tuple[float, float]:
    with open_datatake(take, frame) as reader:
        scl, _ = reader.read_scl(frame.window)
    return _share(find_clear(scl[None], album.mask)[0], frame.inside(frame.window))


def _share(clear: NDArray[np.bool_], inside: NDArray[np.bool_]) -> tuple[float, float]:
    whole = float(clear.mean())
    return whole, float(clear[inside].mean()) if inside.any() else whole


def find_day(album: AcquisitionIndex, day: dt.date, frame: Grid) -> RatedLook | None:
    """Return the overpass of a day that shows a frame best; None where the source lists none that can be read."""
    looks = [look for take in album.search(day, day) if (look := _judge(album, frame, take, {})) is not None]
    return max(looks, key=lambda look: (look.score, look.take.key), default=None)
