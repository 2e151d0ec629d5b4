"""Random fields: smooth noise of one scale, fractal noise of several, and a pool of white noise to draw from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""``(y, x) float32``."""
Grid = NDArray[Any]

_SPLINE_DEVIATION = 0.479
"""Standard deviation of unit white noise after the cubic B-spline in two directions."""


def _stretch(grid: Field, size: int, scale: float, axis: int) -> Field:
    """Interpolate grid nodes along one axis with a cubic B-spline, ``scale`` pixels between two nodes."""
    position: NDArray[np.float64] = np.arange(size) / scale
    index = position.astype(np.int64)
    t: Field = (position - index).astype(np.float32)
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    shape = (-1, 1) if axis == 0 else (1, -1)
    taps = [(w / np.float32(6)).astype(np.float32).reshape(shape) for w in weights]
    out: Field = np.take(grid, index, axis=axis) * taps[0]
    for k in (1, 2, 3):
        out += np.take(grid, index + k, axis=axis) * taps[k]
    return out


def make_smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> Field:
    """Draw a field of mean 0 and deviation 1 whose blobs are about ``2 * scale`` pixels wide."""
    scale = max(1.0, scale)
    nodes = tuple(int(n / scale) + 5 for n in shape)
    grid = rng.standard_normal(nodes, dtype=np.float32)
    return _stretch(_stretch(grid, shape[0], scale, 0), shape[1], scale, 1) / np.float32(_SPLINE_DEVIATION)


def make_fractal_noise(
    rng: np.random.Generator,
    shape: tuple[int, int],
    scale: float,
    octaves: int = 4,
    gain: float = 0.55,
) -> Field:
    """Draw a field of mean 0 and deviation 1; each octave has half the scale and ``gain`` times the strength."""
    out = make_smooth_noise(rng, shape, scale)
    strength, power = 1.0, 1.0
    for octave in range(1, octaves):
        strength *= gain
        power += strength**2
        out += np.float32(strength) * make_smooth_noise(rng, shape, scale / 2**octave)
    out /= np.float32(power**0.5)
    return out


class NoisePool:
    """White noise drawn once, from which windows at random positions are taken: drawing it for every pixel is slow."""

    def __init__(self, rng: np.random.Generator, rows: int, columns: int) -> None:
        self._spare = 257
        self._pool = rng.standard_normal((rows + self._spare, columns + self._spare), dtype=np.float32)

    def take_window(self, rng: np.random.Generator, rows: int, columns: int) -> Field:
        """Return a read-only window ``(rows, columns)`` of unit noise."""
        y, x = rng.integers(0, self._spare, 2)
        return self._pool[y : y + rows, x : x + columns]


def smooth_step(field: Grid, low: float, high: float) -> Field:
    """Rise smoothly from 0 at ``low`` to 1 at ``high``."""
    t = np.clip((field - low) / (high - low), 0, 1).astype(np.float32)
    return t * t * (3 - 2 * t)


def double_resolution(field: Field) -> Field:
    """Interpolate a field to half the pixel size, bilinear between pixel centres."""
    for axis in (0, 1):
        padded = np.pad(field, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        n = field.shape[axis]
        before, here, after = (np.take(padded, np.arange(k, k + n), axis=axis) for k in (0, 1, 2))
        pair = np.stack([0.75 * here + 0.25 * before, 0.75 * here + 0.25 * after], axis=axis + 1)
        field = pair.reshape([2 * n if a == axis else m for a, m in enumerate(field.shape)]).astype(np.float32)
    return field


def halve_resolution(field: Field) -> Field:
    """Average two by two pixels."""
    return (field[::2, ::2] + field[1::2, ::2] + field[::2, 1::2] + field[1::2, 1::2]) * np.float32(0.25)
