"""The looks of a tile: one a day, with what is clear in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.archive import Stack
from minewatch.units import NODATA


@dataclass(frozen=True)
class Looks:
    """A tile through time, one look a day."""

    days: NDArray[np.int32]
    """(time,) days since 1970-01-01, ascending, each once."""

    covered: NDArray[np.bool_]
    """(time, y, x) True where a scene has data."""

    clear: NDArray[np.bool_]
    """(time, y, x) True where the ground shows and every layer has a value."""

    layers: Mapping[str, NDArray[np.int16]]
    """Layer name to (time, y, x) int16 x 10 000, -32768 = no data."""

    def before(self, day: int) -> int:
        """Count the looks acquired before a day."""
        return int(np.searchsorted(self.days, day))


def make_looks(stack: Stack, clear: NDArray[np.bool_]) -> Looks:
    """Join observations of the same day into one look: the clear pixel wins, then the smaller key."""
    valid = np.logical_and.reduce([layer != NODATA for layer in stack.layers.values()])
    clear = clear & valid
    days, first = np.unique(stack.days, return_index=True)
    looks = Looks(
        days=days.astype(np.int32),
        covered=(stack.scl > 0)[first],
        clear=clear[first],
        layers={name: layer[first] for name, layer in stack.layers.items()},
    )
    for index in np.setdiff1d(np.arange(len(stack.days)), first):
        look = int(np.searchsorted(days, stack.days[index]))
        better = clear[index] & ~looks.clear[look]
        looks.covered[look] |= stack.scl[index] > 0
        looks.clear[look] |= better
        for name, layer in stack.layers.items():
            looks.layers[name][look][better] = layer[index][better]
    return looks
