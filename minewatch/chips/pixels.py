"""The pixels of an overpass on a frame, at full resolution."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from minewatch.chips.album import EARLIEST, Album, Look
from minewatch.chips.choice import find_look
from minewatch.errors import ImageError, SceneError
from minewatch.grid import PIXEL, Grid
from minewatch.read import open_datatake
from minewatch.scene import Datatake
from minewatch.units import NODATA

TRUE_COLOUR, FALSE_COLOUR = "true-colour", "false-colour"

COMPOSITES: Mapping[str, tuple[str, ...]] = {
    TRUE_COLOUR: ("red", "green", "blue"),
    FALSE_COLOUR: ("swir16", "nir", "red"),
    "infrared": ("nir", "red", "green"),
    "blue": ("blue",),
    "green": ("green",),
    "red": ("red",),
    "nir": ("nir",),
    "swir16": ("swir16",),
}
"""Name of an image to the bands that are its red, green and blue; a single band is grey."""

MOST_FAILURES = 5
"""Overpasses that cannot be read before no other one is tried."""

MOST_PIXELS = 5000 * 5000
"""Of a frame: the square of 50 km; it is held in memory."""


@dataclass(frozen=True)
class Chip:
    """The pixels of an overpass on a frame."""

    look: Look
    """What was read."""

    frame: Grid
    """Where the pixels lie."""

    name: str
    """One of COMPOSITES."""

    bands: tuple[str, ...]
    """The last axis of the values."""

    values: NDArray[np.int16]
    """(y, x, band) reflectance x 10 000; -32768 = no data."""

    notes: tuple[str, ...] = ()
    """Lines a person should read: what could not be read, what stands in for what."""

    @property
    def known(self) -> NDArray[np.bool_]:
        """(y, x) pixels that have data in every band."""
        return np.asarray((self.values != NODATA).all(axis=-1))

    @property
    def date(self) -> dt.date:
        """Day of the overpass, UTC."""
        return self.look.take.time.date()

    @property
    def scenes(self) -> tuple[str, ...]:
        """Ids of its scenes."""
        return tuple(scene.id for scene in self.look.take.scenes)


def find_chip(album: Album, frame: Grid, until: dt.date, name: str = TRUE_COLOUR, since: dt.date = EARLIEST) -> Chip:
    """Read the best clear image from ``since`` to ``until``; one that cannot be read is named, and the next best taken.

    Raises ImageError where there is none, SourceError where the source does not answer.
    """
    failures: dict[str, str] = {}
    while True:
        look = find_look(album, frame, until, since, failures, failures)
        try:
            chip = read_chip(look, frame, name)
        except SceneError as error:
            failures[look.take.key] = str(error)
            if len(failures) >= MOST_FAILURES:
                raise ImageError(f"no image of area {album.aoi.name!r} can be read: {error}; try again later") from error
        else:
            return replace(chip, notes=(*(f"left out: {reason}" for reason in failures.values()), *chip.notes))


def read_chip(look: Look, frame: Grid, name: str = TRUE_COLOUR) -> Chip:
    """Read an overpass on a frame at full resolution.

    Raises SceneError where a scene cannot be read, ImageError where the frame is too large or the bands are not there.
    """
    if frame.shape[0] * frame.shape[1] > MOST_PIXELS:
        side = math.isqrt(MOST_PIXELS) * PIXEL // 1000
        raise ImageError(f"the image would be larger than {side} x {side} km; ask for an alert, or for a smaller area")
    bands = COMPOSITES[name]
    lacking = sorted({band for scene in look.take.scenes for band in bands if band not in scene.hrefs})
    if lacking and (lacking != ["green"] or not {"red", "blue"} <= set(bands)):
        raise ImageError(f"{name} needs {', '.join(lacking)}, which source {look.take.scenes[0].source} does not have")
    read = [band for band in bands if band not in lacking]
    values = dict(zip(read, _read_bands(look.take, frame, read), strict=True))
    notes: tuple[str, ...] = ()
    if lacking:
        values["green"] = _mean(values["red"], values["blue"])
        notes = ("the source has no green: the mean of red and blue stands in for it",)
    return Chip(look, frame, name, bands, np.stack([values[band] for band in bands], axis=-1), notes)


def _read_bands(take: Datatake, frame: Grid, bands: Sequence[str]) -> list[NDArray[np.int16]]:
    with open_datatake(take, frame) as reader:
        reader.expect(("scl", *bands), [frame.window])
        _, origin = reader.read_scl(frame.window)
        return [reader.read_reflectance(band, frame.window, origin) for band in bands]


def _mean(first: NDArray[np.int16], second: NDArray[np.int16]) -> NDArray[np.int16]:
    mean = ((first.astype(np.int32) + second) // 2).astype(np.int16)
    mean[(first == NODATA) | (second == NODATA)] = NODATA
    return mean
