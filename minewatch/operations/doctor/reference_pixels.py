"""Pixels spread over an area, read from all observations: few enough for memory, enough to represent each scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.archive.item import Observation
from minewatch.archive.raster_header import find_step
from minewatch.archive.stack import read_sample, sample_rows
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import PIXEL, Window
from minewatch.core.progress import Reporter
from minewatch.core.units import SCALE
from minewatch.detection.mask import find_clear, margin_pixels
from minewatch.raster.indices import LAYERS

MOST_VALUES = 2**22
"""Reference pixels times observations at most, four bytes each."""

MOST_PIXELS = 4096
"""Reference pixels at most."""

TOGETHER = 16
"""Observations that are read at a time."""

YEAR = 365.25
"""Days."""


@dataclass(frozen=True)
class ReferencePixels:
    """Values of all observations at the reference pixels."""

    days: NDArray[np.int32]
    """(time,) days since 1970-01-01, in the order of the observations."""

    codes: NDArray[np.uint8]
    """(layer, time, pixel) codes of LAYERS, 0 = no data."""

    clear: NDArray[np.bool_]
    """(time, pixel) True where the pixel is clear and has data."""

    valid: NDArray[np.float64]
    """(time,) share of the area's sampled pixels that have data, clear or not."""

    @property
    def clear_share(self) -> NDArray[np.float64]:
        """(time,) share of the reference pixels that are clear."""
        return np.asarray(self.clear.mean(axis=1), np.float64)

    def layer(self, name: str, rows: NDArray[np.intp] | int) -> NDArray[np.float32]:
        """Return a layer's values for some observations, nan = no data or not clear."""
        number = [layer.name for layer in LAYERS].index(name)
        values = LAYERS[number].decode(self.codes[number, rows]).astype(np.float32) / SCALE
        return np.where(self.clear[rows], values, np.float32(np.nan))


def read_reference_pixels(observations: Sequence[Observation], area: AreaPlan, reporter: Reporter) -> ReferencePixels:
    """Read the reference pixels from the archive; raises ArchiveError where a file is damaged."""
    step = find_step(area.grid.shape)
    shape = -(-area.grid.shape[0] // step), -(-area.grid.shape[1] // step)
    inside = area.grid.inside(Window(0, 0, *shape), step)
    chosen = _choose_pixels(inside, len(observations))
    codes = np.zeros((len(LAYERS), len(observations), len(chosen)), np.uint8)
    clear, valid = np.zeros((len(observations), len(chosen)), bool), np.zeros(len(observations))
    batches = range(0, len(observations), TOGETHER)
    for first in reporter.track(batches, f"{area.aoi.name}: reading the archive", len(batches)):
        rows = slice(first, first + TOGETHER)
        _read_batch(observations[rows], area, inside, chosen, codes[:, rows], clear[rows], valid[rows])
    days = np.array([observation.day for observation in observations], np.int32)
    clear &= codes.all(axis=0)
    return ReferencePixels(days, codes, clear, valid / max(1, int(inside.sum())))


def _choose_pixels(inside: NDArray[np.bool_], observations: int) -> NDArray[np.intp]:
    """Choose pixels of the sample at even steps, as numbers in its flat order."""
    members = np.flatnonzero(inside)
    count = max(1, min(MOST_PIXELS, MOST_VALUES // max(1, observations), len(members)))
    return members[np.linspace(0, len(members) - 1, count).round().astype(np.intp)] if len(members) else members


def _read_batch(
    observations: Sequence[Observation],
    area: AreaPlan,
    inside: NDArray[np.bool_],
    chosen: NDArray[np.intp],
    codes: NDArray[np.uint8],
    clear: NDArray[np.bool_],
    valid: NDArray[np.float64],
) -> None:
    """Fill the arrays of some observations, piece by piece of the sample's rows."""
    pixel = PIXEL * find_step(area.grid.shape)
    margin = margin_pixels(area.pipeline.mask, pixel)
    for rows in sample_rows(area.grid):
        stack, window = read_sample(observations, area.grid, rows, margin)
        inner = Window(rows.start, 0, rows.stop - rows.start, window.width).within(window)
        shows = find_clear(stack.scl, area.pipeline.mask, pixel)[:, *inner]
        part = stack.crop(inner)
        here = (chosen >= rows.start * window.width) & (chosen < rows.stop * window.width)
        flat = chosen[here] - rows.start * window.width
        codes[:, :, here] = part.codes.reshape(len(LAYERS), len(observations), -1)[:, :, flat]
        clear[:, here] = shows.reshape(len(observations), -1)[:, flat]
        valid += ((part.scl > 0) & inside[rows]).sum(axis=(1, 2))


def find_peers(days: NDArray[np.int32], own: int, usable: NDArray[np.bool_], count: int) -> NDArray[np.intp]:
    """Return the usable observations nearest in season to one of them, without itself."""
    apart = np.abs(days - days[own]) % YEAR
    apart = np.minimum(apart, YEAR - apart)
    order: NDArray[np.intp] = np.argsort(apart, kind="stable")
    peers: NDArray[np.intp] = order[usable[order] & (order != own)][:count]
    return peers


def find_median(codes: NDArray[np.uint8], least: int) -> NDArray[np.uint8]:
    """Return the median of the codes above 0 along the first axis; 0 where fewer than ``least`` are."""
    ordered = np.sort(codes, axis=0)
    empty = (codes == 0).sum(axis=0)
    middle = np.minimum(empty + (len(codes) - empty) // 2, len(codes) - 1)
    median: NDArray[np.uint8] = np.take_along_axis(ordered, middle[None], axis=0)[0]
    return np.where(len(codes) - empty >= least, median, np.uint8(0))
