"""The looks of a tile: one a day, with what is clear in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.archive import Stack
from minewatch.indices import BSI, EMPTY, LAYERS

WHOLE = LAYERS.index(BSI)
"""A layer that every band goes into: where it has a value, all have."""


@dataclass(frozen=True)
class Looks:
    """A tile through time, one look a day."""

    days: NDArray[np.int32]
    """(time,) days since 1970-01-01, ascending, each once."""

    covered: NDArray[np.bool_]
    """(y, x) True where any scene has data."""

    clear: NDArray[np.bool_]
    """(time, y, x) True where the ground shows and every layer has a value."""

    codes: NDArray[np.uint8]
    """(layer, time, y, x) codes of the layers, in the order of LAYERS, 0 = no data."""

    def before(self, day: int) -> int:
        """Count the looks acquired before a day."""
        return int(np.searchsorted(self.days, day))


def make_looks(stack: Stack, clear: NDArray[np.bool_]) -> Looks:
    """Join observations of the same day into one look: the clear pixel wins, then the smaller key."""
    clear = clear & (stack.codes[WHOLE] != EMPTY)
    covered: NDArray[np.bool_] = np.any(stack.scl, axis=0)
    days, first = np.unique(stack.days, return_index=True)
    if len(days) == len(stack.days) and (first[1:] > first[:-1]).all():
        return Looks(stack.days, covered, clear, stack.codes)
    joined, codes = clear[first], stack.codes[:, first]
    for index in np.setdiff1d(np.arange(len(stack.days)), first):
        look = int(np.searchsorted(days, stack.days[index]))
        better = clear[index] & ~joined[look]
        joined[look] |= better
        codes[:, look, better] = stack.codes[:, index, better]
    return Looks(days.astype(np.int32), covered, joined, codes)
