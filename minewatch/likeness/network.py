"""Small convolutional networks in plain numpy: what a score needs, and nothing for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float32]

STAGES = 3
"""Of two convolutions each; the resolution is halved between them."""


@dataclass(frozen=True)
class Network:
    """Six 3 × 3 convolutions on pixels in groups of 2 × 2, the mean and the maximum of each map, and two linear heads."""

    kernels: Sequence[tuple[Array, Array]]
    """(9 · maps in, maps out) weights, row by row of the kernel, and (maps out,) biases."""

    mine: tuple[Array, Array]
    """(features,) and () of the head for mines."""

    ground: tuple[Array, Array]
    """(features, grounds) and (grounds,) of the head that tells other grounds apart."""

    @classmethod
    def of(cls, weights: Mapping[str, Array], member: int) -> Self:
        """Return one network of an ensemble, whose weights are stacked."""
        own = {name: value[member].astype(np.float32) for name, value in weights.items()}
        kernels = [(own[f"kernel{n}"], own[f"bias{n}"]) for n in range(2 * STAGES)]
        return cls(kernels, (own["mine"], own["mine_bias"]), (own["ground"], own["ground_bias"]))

    def compute_features(self, chips: Array) -> Array:
        """Return (n, features): the mean and the maximum of each map.  ``chips`` are (n, y, x, band), standardised."""
        maps = _group_pixels(chips)
        for number, (kernel, bias) in enumerate(self.kernels):
            maps = _convolve(maps, kernel, bias)
            if number % 2 and number + 1 < len(self.kernels):
                maps = _halve(maps)
        return np.concatenate([maps.mean(axis=(1, 2)), maps.max(axis=(1, 2))], axis=1)

    def compute_logits(self, features: Array) -> tuple[Array, Array]:
        """Return (n,) logits of being a mine, and (n, grounds) logits of the other grounds."""
        return features @ self.mine[0] + self.mine[1], features @ self.ground[0] + self.ground[1]


def _group_pixels(chips: Array) -> Array:
    """Return (n, y / 2, x / 2, 4 · bands): each band's 2 × 2 pixels side by side."""
    n, height, width, bands = chips.shape
    blocks = chips.reshape(n, height // 2, 2, width // 2, 2, bands)
    return np.ascontiguousarray(blocks.transpose(0, 1, 3, 5, 2, 4)).reshape(n, height // 2, width // 2, 4 * bands)


def _convolve(maps: Array, kernel: Array, bias: Array) -> Array:
    """Return the maps after a 3 × 3 convolution, with zeros around them, and a rectifier."""
    n, height, width, depth = maps.shape
    padded = np.zeros((n, height + 2, width + 2, depth), np.float32)
    padded[:, 1:-1, 1:-1] = maps
    around = sliding_window_view(padded, (3, 3), (1, 2)).transpose(0, 1, 2, 4, 5, 3)
    found = around.reshape(n * height * width, 9 * depth) @ kernel
    found += bias
    np.maximum(found, 0, out=found)
    return np.asarray(found.reshape(n, height, width, len(bias)), np.float32)


def _halve(maps: Array) -> Array:
    """Return the maximum of each 2 × 2 pixels."""
    n, height, width, depth = maps.shape
    return np.asarray(maps.reshape(n, height // 2, 2, width // 2, 2, depth).max(axis=(2, 4)), np.float32)
