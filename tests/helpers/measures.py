"""Measures what is drawn on pictures of pages: colours, bars, roses, the sides of outlines and the edges of images."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float64]
"""(y, x, 3), 0 to 255."""

Mask = NDArray[np.bool_]

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels of a picture, between pixels too."""

BAR, NEEDLE = "#16202a", "#c2410c"
"""Colours of a report's scale bars, and of the point of its roses that shows north."""


def find_colour(picture: Picture, colour: str, tolerance: float = 30) -> Mask:
    wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    return np.asarray(np.abs(picture - wanted).max(axis=-1) < tolerance)


def find_run(drawn: Mask) -> tuple[int, int, int]:
    """Return row, first column and length of a bar: the longest row of what is drawn, which must have no gap."""
    row = int(drawn.sum(axis=1).argmax())
    columns = np.flatnonzero(drawn[row])
    assert np.ptp(columns) + 1 == len(columns), "one bar without gaps"
    return row, int(columns[0]), len(columns)


def find_tilt(drawn: Mask) -> float:
    """Return the degrees, clockwise from up, of the long axis of what is drawn."""
    rows, columns = np.nonzero(drawn)
    assert len(rows) > 40
    x, y = columns - columns.mean(), rows.mean() - rows
    values, axes = np.linalg.eigh(np.cov(np.stack([x, y])))
    assert values[1] > 3 * values[0], "a long point"
    east, north = axes[:, 1] * np.sign(axes[1, 1])
    return math.degrees(math.atan2(east, north))


def measure_sides(drawn: Mask, margin: float) -> Box:
    """Return the middles of the four lines of a rectangle that is drawn within a margin, a share of the side."""
    down, across = (round(margin * side) for side in drawn.shape)
    drawn = np.pad(drawn[down:-down, across:-across], ((down, down), (across, across)))
    rows, columns = np.nonzero(drawn)
    row, column = (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2
    beside, below = np.flatnonzero(drawn[row]) + 0.5, np.flatnonzero(drawn[:, column]) + 0.5
    left, right = (part.mean() for part in (beside[beside < column], beside[beside > column]))
    top, bottom = (part.mean() for part in (below[below < row], below[below > row]))
    return float(left), float(top), float(right), float(bottom)


def find_edges(picture: Picture, margin: float) -> Box:
    """Return the edges of the bright square of an image, which lies within a margin."""
    tone = picture[..., 2]  # forest has little blue, and little red where red is shown as blue; bare ground has much of both
    height, width = tone.shape
    down, across = round(margin * height), round(margin * width)
    tone = tone[down : height - down, across : width - across]
    rows, columns = np.nonzero(tone > (np.median(tone) + tone.max()) / 2)
    row, column = int(np.median(rows)), int(np.median(columns))
    left, right = _find_ends(tone[row - 5 : row + 5].mean(axis=0))
    top, bottom = _find_ends(tone[:, column - 5 : column + 5].mean(axis=1))
    return left + across, top + down, right + across, bottom + down


def _find_ends(profile: NDArray[np.float64]) -> tuple[float, float]:
    """Return where a profile rises through the middle of its range and where it falls, between pixels too."""
    middle = (np.percentile(profile, 2) + np.percentile(profile, 98)) / 2
    inside = np.flatnonzero(profile > middle)
    ends = [
        float(last + 0.5 + step * (profile[last] - middle) / (profile[last] - profile[last + step]))
        for last, step in ((inside[0], -1), (inside[-1], 1))
    ]
    return ends[0], ends[1]
