"""The least cloudy composite of a period: each pixel is from the clearest overpass in which it is clear.

Each pixel shows one known day; a mean or a median of several days would show a state that never was.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from minewatch.areas.grid import Grid, Window
from minewatch.core.errors import ImageError, SceneError
from minewatch.core.progress import Reporter
from minewatch.core.units import NODATA
from minewatch.detection.mask import find_clear, margin_pixels
from minewatch.products.images.chips.acquisitions import AcquisitionIndex, RatedLook
from minewatch.products.images.chips.best_look import measure_looks
from minewatch.products.images.chips.pixels import (
    Chip,
    CompositePart,
    arrange_bands,
    check_size,
    list_bands,
    list_strips,
    note_substitute,
)
from minewatch.products.images.options import COMPOSITES, TRUE_COLOUR
from minewatch.raster.read import DatatakeReader, open_datatake

MOST_LOOKS = 24
"""Overpasses that a composite is made of; pixels that are clear in none of them stay without data."""

ENOUGH = 0.9995
"""Filled share of a frame that is enough: no other overpass is read for the rest."""

NONE = -1
"""Number of the overpass where a pixel is clear in none."""


@dataclass(frozen=True)
class _Composite:
    """A composite while it is filled."""

    index: AcquisitionIndex
    """The overpasses over the area."""

    frame: Grid
    """Where the pixels lie."""

    name: str
    """One of COMPOSITES."""

    values: NDArray[np.int16]
    """(y, x, band) reflectance x 10 000; -32768 = not clear in any overpass so far."""

    origin: NDArray[np.int8]
    """(y, x) number of the overpass that the pixel is from; NONE = none so far."""

    @property
    def filled(self) -> float:
        """Share of the pixels that are filled."""
        return float((self.origin != NONE).mean())

    def add(self, number: int, look: RatedLook) -> tuple[str, ...]:
        """Fill the open pixels that are clear in an overpass; return notes on its bands.

        Raises SceneError where a scene cannot be read; what was filled before that stays.
        """
        read = list_bands(look.datatake, self.name)
        reach = -(-margin_pixels(self.index.mask) // 2) * 2  # a whole number of 20 m pixels
        padded = Grid(self.frame.geobox.pad(reach), self.frame.area)
        with open_datatake(look.datatake, padded) as reader:
            for strip in list_strips(self.frame):
                if (self.origin[strip.slices] == NONE).any():
                    self._add_strip(number, reader, read, strip, reach)
        return note_substitute(self.name, read)

    def _add_strip(self, number: int, reader: DatatakeReader, read: Sequence[str], strip: Window, reach: int) -> None:
        """Fill a strip of the frame; the reader's grid is larger by ``reach`` pixels on each side, for clouds near the edge."""
        around = Window(strip.row, strip.column, strip.height + 2 * reach, strip.width + 2 * reach)
        inner = Window(strip.row + reach, strip.column + reach, strip.height, strip.width)
        reader.prefetch(("scl", *read), [around])
        scl, scene = reader.read_scl(around)
        mask = (self.origin[strip.slices] == NONE) & find_clear(scl[None], self.index.mask)[0][inner.within(around)]
        if not mask.any():
            return
        origin = scene[inner.within(around)]
        layers = np.stack([reader.read_reflectance(band, inner, origin) for band in read], axis=-1)
        pixels = arrange_bands(self.name, read, layers)
        mask &= (pixels != NODATA).all(axis=-1)
        self.values[strip.slices][mask] = pixels[mask]
        self.origin[strip.slices][mask] = number

    def finish(self, looks: Sequence[RatedLook], notes: tuple[str, ...]) -> Chip:
        """Return the composite as a chip."""
        counts = np.bincount((self.origin + 1).ravel(), minlength=len(looks) + 1)[1:]
        parts = [CompositePart(look, float(count) / self.origin.size) for look, count in zip(looks, counts, strict=True) if count]
        parts.sort(key=lambda part: -part.share)
        inside = self.frame.inside(self.frame.window)
        shown = float((self.origin[inside] != NONE).mean()) if inside.any() else self.filled
        best = replace(parts[0].look, clear_share=self.filled, outline_share=shown)
        return Chip(best, self.frame, self.name, COMPOSITES[self.name], self.values, notes, tuple(parts))


def compose_chip(
    index: AcquisitionIndex,
    frame: Grid,
    dates: tuple[dt.date, dt.date],
    name: str = TRUE_COLOUR,
    reporter: Reporter | None = None,
) -> Chip:
    """Return the least cloudy composite of a period: the clearest overpass, with gaps filled from the next clearest, and so on.

    Raises ImageError where no overpass shows any of the frame, SourceError where the source does not answer.
    """
    check_size(frame)
    failures: dict[str, str] = {}
    looks = measure_looks(index, frame, dates, failures, reporter)
    looks.sort(key=lambda look: (round(look.score, 2), look.datatake.time), reverse=True)  # of equals the newer one
    used, notes = looks[:MOST_LOOKS], [f"left out: {reason}" for reason in failures.values()]
    if not used:
        raise ImageError(_explain_absence(index, dates, failures))
    values = np.full((*frame.shape, len(COMPOSITES[name])), NODATA, np.int16)
    composite = _Composite(index, frame, name, values, np.full(frame.shape, NONE, np.int8))
    for number, look in enumerate((reporter or Reporter()).track(used, "reading the clearest")):
        if composite.filled >= ENOUGH:
            break
        try:
            notes += composite.add(number, look)
        except SceneError as error:
            notes.append(f"left out: {error}")
    if composite.filled == 0:
        raise ImageError(_explain_absence(index, dates, {str(number): note for number, note in enumerate(notes)}))
    return composite.finish(used, tuple(dict.fromkeys(notes)))


def _explain_absence(index: AcquisitionIndex, dates: tuple[dt.date, dt.date], failures: dict[str, str]) -> str:
    where = f"there is no clear ground in any image of area {index.aoi.name!r} from {dates[0]} to {dates[1]}"
    if failures:
        return f"{where} that can be read: {list(failures.values())[-1].removeprefix('left out: ')}; try again later"
    return f"{where}; give a longer period"
