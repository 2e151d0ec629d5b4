"""A tile as compiled code needs it: one row for each look, one column for each pixel inside the area."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minewatch.detection.harmonics import harmonic_terms, multiply_terms
from minewatch.detection.inputs import TileInput
from minewatch.raster.indices import LAYERS

SCALES = np.array([(layer.low - layer.step, layer.step) for layer in LAYERS])
"""(layer, 2) offset and step: value = offset + step * code."""


class Series(NamedTuple):
    """The pixels of a tile through time."""

    days: NDArray[np.int32]
    """(time,) days since 1970-01-01."""

    clear: NDArray[np.bool_]
    """(time, pixel) True where the ground shows."""

    codes: NDArray[np.uint8]
    """(layer, time, pixel) codes, in the order of LAYERS; only where clear."""

    epochs: NDArray[np.int64]
    """(epoch, 3): first look of the history, first look that is monitored, first look after."""

    terms: NDArray[np.float64]
    """(3, time, term): regressors of the day, of a season that comes late, and of one that comes early."""

    products: NDArray[np.int32]
    """(time, pair): products of the regressors of the day, see :func:`multiply_terms`."""

    @classmethod
    def of(cls, tile: TileInput) -> Series:
        """Lay out the pixels of a tile that lie inside the area, row by row."""
        looks, slip = tile.looks, tile.settings.season_slip
        size = tile.window.height * tile.window.width
        clear, codes = looks.clear.reshape(len(looks.days), size), looks.codes.reshape(len(LAYERS), len(looks.days), size)
        if not tile.inside.all():
            inside = tile.inside.ravel()
            clear, codes = _gather(clear.view(np.uint8)[None], inside)[0].view(bool), _gather(codes, inside)
        terms = np.stack([harmonic_terms(looks.days + step) for step in (0, -slip, slip)])
        # Some of a tile's looks lie apart: kernels would be compiled again for them.
        clear, codes = np.ascontiguousarray(clear), np.ascontiguousarray(codes)
        return cls(looks.days, clear, codes, tile.epochs(), terms, multiply_terms(terms[0]))

    def choose(self, pixels: NDArray[np.intp]) -> Series:
        """Choose pixels by their numbers."""
        return self._replace(clear=np.take(self.clear, pixels, axis=1), codes=np.take(self.codes, pixels, axis=2))

    def decode(self, pixel: int) -> NDArray[np.float64]:
        """Return the values of one pixel: (layer, time); meaningless where it has no data."""
        values: NDArray[np.float64] = SCALES[:, :1] + SCALES[:, 1:] * self.codes[:, :, pixel]
        return values


def _gather(layers: NDArray[np.uint8], is_chosen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the chosen pixels of layers, (layer, time, pixel), run after run: numpy's own way copies byte by byte."""
    edges = np.flatnonzero(np.diff(is_chosen.astype(np.int8), prepend=0, append=0)).tolist()
    chosen = np.empty((*layers.shape[:2], int(is_chosen.sum())), np.uint8)
    first = 0
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        chosen[:, :, first : first + stop - start] = layers[:, :, start:stop]
        first += stop - start
    return chosen
