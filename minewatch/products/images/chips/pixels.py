"""Reads image chips: the pixels of an overpass on a frame, at full resolution."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from minewatch.areas.grid import PIXEL, Grid, Window
from minewatch.core.errors import ImageError, SceneError
from minewatch.core.units import NODATA
from minewatch.products.images.chips.acquisitions import EARLIEST, AcquisitionIndex, RatedLook
from minewatch.products.images.chips.best_look import find_best_look
from minewatch.products.images.options import COMPOSITES, TRUE_COLOUR
from minewatch.raster.read import DatatakeFiles, open_datatake
from minewatch.sources.scene import Datatake

MOST_FAILURES = 5
"""Overpasses that cannot be read, after which no other one is tried."""

MOST_PIXELS = 5000 * 5000
"""Of a frame, which is held in memory: a square of 50 km."""

STRIP = 512
"""Rows that are read at a time, so that memory holds little more than the image."""


@dataclass(frozen=True)
class CompositePart:
    """The pixels of a composite that are from one overpass."""

    look: RatedLook
    """The overpass."""

    share: float
    """Share of the frame's pixels."""

    @property
    def date(self) -> dt.date:
        """Day of the overpass, UTC."""
        return self.look.datatake.time.date()


@dataclass(frozen=True)
class Chip:
    """The pixels of an overpass on a frame, or of several that fill each other's gaps."""

    look: RatedLook
    """The overpass; of a composite the one with the largest part, but the shares of the whole composite."""

    frame: Grid
    """Where the pixels lie."""

    name: str
    """One of COMPOSITES."""

    bands: tuple[str, ...]
    """Names along the last axis of the values."""

    values: NDArray[np.int16]
    """(y, x, band) reflectance x 10 000; -32768 = no data."""

    notes: tuple[str, ...] = ()
    """Lines a person should read: what could not be read, which band replaces which."""

    parts: tuple[CompositePart, ...] = ()
    """Of a composite: its parts, the largest first; empty for the image of one overpass."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """(y, x) pixels that have data in every band."""
        return np.asarray((self.values != NODATA).all(axis=-1))

    @property
    def date(self) -> dt.date:
        """Day of the overpass, UTC; of a composite the newest."""
        return max(part.date for part in self.parts) if self.parts else self.look.datatake.time.date()

    @property
    def first_date(self) -> dt.date:
        """The oldest day that is shown."""
        return min((part.date for part in self.parts), default=self.date)

    @property
    def scenes(self) -> tuple[str, ...]:
        """Ids of its scenes; those of the largest part of a composite first."""
        datatakes = [part.look.datatake for part in self.parts] or [self.look.datatake]
        return tuple(dict.fromkeys(scene.id for datatake in datatakes for scene in datatake.scenes))


def find_chip(index: AcquisitionIndex, frame: Grid, until: dt.date, name: str = TRUE_COLOUR, since: dt.date = EARLIEST) -> Chip:
    """Read the best clear image from ``since`` to ``until``; where it cannot be read, a note says so and the next best is.

    Raises ImageError where there is none, SourceError where the source does not answer.
    """
    failures: dict[str, str] = {}
    while True:
        look = find_best_look(index, frame, until, since, failures, failures)
        try:
            chip = read_chip(look, frame, name)
        except SceneError as error:
            failures[look.datatake.key] = str(error)
            if len(failures) >= MOST_FAILURES:
                raise ImageError(f"no image of area {index.aoi.name!r} can be read: {error}; try again later") from error
        else:
            return replace(chip, notes=(*(f"left out: {reason}" for reason in failures.values()), *chip.notes))


def read_chip(look: RatedLook, frame: Grid, name: str = TRUE_COLOUR) -> Chip:
    """Read an overpass on a frame at full resolution.

    Raises SceneError where a scene cannot be read, ImageError where the frame is too large or the bands are not there.
    """
    return read_chips(look, frame, (name,))[name]


def read_chips(look: RatedLook, frame: Grid, names: Sequence[str], files: DatatakeFiles | None = None) -> dict[str, Chip]:
    """Read several composites of an overpass on a frame, each band once; ``files``: the overpass's files, if they are open.

    Raises as ``read_chip`` does.
    """
    check_size(frame)
    read = list(dict.fromkeys(band for name in names for band in list_bands(look.datatake, name)))
    values = _read_bands(look.datatake, frame, read, files)
    return {
        name: Chip(look, frame, name, COMPOSITES[name], arrange_bands(name, read, values), note_substitute(name, read))
        for name in names
    }


def check_size(frame: Grid) -> None:
    """Raise ImageError where a frame is too large for an image."""
    if frame.shape[0] * frame.shape[1] > MOST_PIXELS:
        side = math.isqrt(MOST_PIXELS) * PIXEL // 1000
        raise ImageError(f"the image would be larger than {side} x {side} km; ask for an alert, or for a smaller area")


def list_bands(datatake: Datatake, name: str) -> list[str]:
    """Return the bands to read for a composite; raises ImageError where the source lacks one that cannot be replaced."""
    bands = COMPOSITES[name]
    lacking = sorted({band for scene in datatake.scenes for band in bands if band not in scene.hrefs})
    if lacking and (lacking != ["green"] or not {"red", "blue"} <= set(bands)):
        raise ImageError(f"{name} needs {', '.join(lacking)}, which source {datatake.scenes[0].source} does not have")
    return [band for band in bands if band not in lacking]


def list_strips(frame: Grid) -> list[Window]:
    """Return the strips of whole rows that a frame is read in."""
    height, width = frame.shape
    return [Window(row, 0, min(STRIP, height - row), width) for row in range(0, height, STRIP)]


def note_substitute(name: str, read: Sequence[str]) -> tuple[str, ...]:
    """Return a note where red and blue replace a green that the source lacks."""
    lacks = "green" in COMPOSITES[name] and "green" not in read
    return ("the source has no green: the mean of red and blue is used instead",) if lacks else ()


def arrange_bands(name: str, read: Sequence[str], values: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the bands of a composite in order, (y, x, band); a missing green is made of red and blue."""
    bands = COMPOSITES[name]
    if tuple(read) == bands:
        return values
    layers = {band: values[..., index] for index, band in enumerate(read)}
    if "green" in bands and "green" not in layers:
        red, blue = layers["red"], layers["blue"]
        green = ((red.astype(np.int32) + blue) // 2).astype(np.int16)
        layers["green"] = np.where((red == NODATA) | (blue == NODATA), np.int16(NODATA), green)
    return np.stack([layers[band] for band in bands], axis=-1)


def _read_bands(datatake: Datatake, frame: Grid, bands: Sequence[str], files: DatatakeFiles | None) -> NDArray[np.int16]:
    """Read bands on a frame, strip by strip: (y, x, band)."""
    values = np.empty((*frame.shape, len(bands)), np.int16)
    strips = list_strips(frame)
    with contextlib.nullcontext(files.on(frame, datatake.scenes)) if files else open_datatake(datatake, frame) as reader:
        for strip, following in zip_longest(strips, strips[1:]):
            reader.prefetch(("scl", *bands), [strip, following] if following else [strip])
            _, origin = reader.read_scl(strip)
            for index, band in enumerate(bands):
                values[strip.slices][..., index] = reader.read_reflectance(band, strip, origin)
    return values
