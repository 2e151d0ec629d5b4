"""Windows of the archive through time."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from upath import UPath

from minewatch.archive.item import Observation, sort_observations
from minewatch.archive.object_store import read_stored
from minewatch.archive.raster import Codes, read_bands
from minewatch.archive.raster_header import BANDS, find_step
from minewatch.areas.grid import ARCHIVE_BLOCK, Grid, Window
from minewatch.raster.indices import LAYERS

K = TypeVar("K", bound=Hashable)

LARGEST_STACKS = 2**26
"""Bytes of windows that are read and held together."""

TOGETHER = 16
"""Observations whose SCL is read at a time: few, to save memory, but enough for parallel requests to an object store."""

SAMPLE_ROWS = 256
"""Rows of a sample that are read at a time."""


@dataclass(frozen=True)
class Stack:
    """A window of the archive through time."""

    days: NDArray[np.int32]
    """(time,) days since 1970-01-01, ascending; a day may come twice (two keys)."""

    scl: NDArray[np.uint8]
    """(time, y, x) SCL codes, 0 = no data."""

    codes: NDArray[np.uint8]
    """(layer, time, y, x) codes of the layers, in the order of LAYERS, 0 = no data."""

    def layer(self, name: str) -> NDArray[np.int16]:
        """Return a layer's values, (time, y, x) int16 x 10 000, -32768 = no data."""
        index = [layer.name for layer in LAYERS].index(name)
        return LAYERS[index].decode(self.codes[index])

    def crop(self, inner: tuple[slice, slice]) -> Stack:
        """Cut a window out of it."""
        return Stack(self.days, self.scl[:, *inner], self.codes[:, :, *inner])


def read_stack(observations: Sequence[Observation], window: Window, *, sample: bool = False) -> Stack:
    """Read a window of the observations, or of their samples, in order of acquisition.

    Raises ArchiveError where a file is damaged.
    """
    ordered = sort_observations(observations)
    codes = np.empty((len(BANDS), len(ordered), *window.shape), np.uint8)
    _read_bands(ordered, range(len(BANDS)), window, codes, sample=sample)
    return Stack(np.array([o.day for o in ordered], np.int32), codes[0], codes[1:])


def read_stacks(observations: Sequence[Observation], grid: Grid, windows: Collection[Window]) -> dict[Window, Stack]:
    """Read several windows, as :func:`read_stack` does; a block that several of them meet is inflated once."""
    ordered = sort_observations(observations)
    codes = {window: np.empty((len(BANDS), len(ordered), *window.shape), np.uint8) for window in windows}
    for block in grid.window.cut(ARCHIVE_BLOCK, ARCHIVE_BLOCK):
        met = [(window, common) for window in codes if min((common := block.intersect(window)).shape) > 0]
        for first in range(0, len(ordered) if met else 0, TOGETHER):
            some = slice(first, first + TOGETHER)
            read = read_stack(ordered[some], block)
            for window, common in met:
                codes[window][0, some, *common.within(window)] = read.scl[:, *common.within(block)]
                codes[window][1:, some, *common.within(window)] = read.codes[:, :, *common.within(block)]
    days = np.array([observation.day for observation in ordered], np.int32)
    return {window: Stack(days, found[0], found[1:]) for window, found in codes.items()}


def batch_windows(windows: Mapping[K, Window], looks: int) -> Iterator[dict[K, Window]]:
    """Yield windows, neighbours together, as many as LARGEST_STACKS holds of this number of looks; one at least."""
    batch: dict[K, Window] = {}
    size = 0
    for key, window in sorted(windows.items(), key=lambda item: (item[1].row // ARCHIVE_BLOCK, item[1].column // ARCHIVE_BLOCK)):
        added = len(BANDS) * looks * window.height * window.width
        if batch and size + added > LARGEST_STACKS:
            yield batch
            batch, size = {}, 0
        batch[key] = window
        size += added
    if batch:
        yield batch


def sample_rows(grid: Grid) -> list[slice]:
    """Cut the rows of a grid's sample into pieces of at most SAMPLE_ROWS."""
    height = -(-grid.shape[0] // find_step(grid.shape))
    return [slice(row, min(row + SAMPLE_ROWS, height)) for row in range(0, height, SAMPLE_ROWS)]


def read_sample(observations: Sequence[Observation], grid: Grid, rows: slice, margin: int) -> tuple[Stack, Window]:
    """Read every n-th column of every n-th row; ``rows`` of them with ``margin`` more on either side.

    Also return the window that was read, in rows and columns of the sample.
    """
    step = find_step(grid.shape)
    shape = -(-grid.shape[0] // step), -(-grid.shape[1] // step)
    window = Window(rows.start, 0, rows.stop - rows.start, shape[1]).grow(margin, shape)
    return read_stack(observations, window, sample=True), window


def iterate_scl(observations: Sequence[Observation], window: Window, *, sample: bool = False) -> Iterator[NDArray[np.uint8]]:
    """Yield the SCL codes of a window, (y, x), or of one of their samples, one observation after the other by acquisition."""
    ordered = sort_observations(observations)
    for first in range(0, len(ordered), TOGETHER):
        some = ordered[first : first + TOGETHER]
        scl = np.empty((1, len(some), *window.shape), np.uint8)
        _read_bands(some, range(1), window, scl, sample=sample)
        yield from scl[0]


def read_codes(observations: Sequence[Observation], window: Window) -> NDArray[np.uint8]:
    """Read the layers' codes of a window without SCL: (layer, time, y, x), in order of acquisition."""
    ordered = sort_observations(observations)
    codes = np.empty((len(LAYERS), len(ordered), *window.shape), np.uint8)
    _read_bands(ordered, range(1, len(BANDS)), window, codes, sample=False)
    return codes


def _read_bands(observations: Sequence[Observation], bands: range, window: Window, codes: Codes, *, sample: bool) -> None:
    """Read a window into ``codes`` (band, time, y, x): from a disk one after the other, from an object store together."""
    stored: dict[int, UPath] = {}
    for index, observation in enumerate(observations):
        if isinstance(observation.raster, Path):
            read_bands(observation.raster, bands, window, codes[:, index], sample=sample)
        else:
            stored[index] = observation.raster
    read_stored(list(stored.values()), bands, window, [codes[:, index] for index in stored], sample=sample)
