"""The looks of a tile: one a day, with the clear pixels of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.raster.indices import BSI, EMPTY, LAYERS

WHOLE = LAYERS.index(BSI)
"""A layer made from every band: where it has a value, all layers have."""


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


def make_looks(days: NDArray[np.int32], covered: NDArray[np.bool_], clear: NDArray[np.bool_], codes: NDArray[np.uint8]) -> Looks:
    """Join observations of the same day into one look: the clear pixel wins, then the earlier in order.

    ``days`` (time,), ``covered`` (y, x), ``clear`` (time, y, x), ``codes`` (layer, time, y, x) as :class:`Looks` has them, but a
    day may come several times; pixels without codes are made not clear, in place.
    """
    for look in range(len(days)):
        clear[look] &= codes[WHOLE, look] != EMPTY
    single, first = np.unique(days, return_index=True)
    if len(single) == len(days) and (first[1:] > first[:-1]).all():
        return Looks(days, covered, clear, codes)
    joined, chosen = clear[first], codes[:, first]
    for index in np.setdiff1d(np.arange(len(days)), first):
        look = int(np.searchsorted(single, days[index]))
        better = clear[index] & ~joined[look]
        joined[look] |= better
        chosen[:, look, better] = codes[:, index, better]
    return Looks(single.astype(np.int32), covered, joined, chosen)
