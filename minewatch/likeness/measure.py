"""Measures what stands beside the score of a chip: what its scene classes show, and whether it can be scored at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from minewatch.likeness.basis import ChipBasis
from minewatch.likeness.grades import CLOUDED, EDGE, MOST_CLOUDED, MOST_EMPTY, STRANGE, STRANGEST
from minewatch.likeness.model import Likeness
from minewatch.settings.scl import BARE, CLOUD_CLASSES, DEFECTIVE, NO_DATA, SHADOW, SNOW, WATER

HIDDEN = (DEFECTIVE, SHADOW, *CLOUD_CLASSES, SNOW)
"""Scene classes that hide the ground; thin cirrus is haze."""

METRES = 10
"""Of a pixel."""


def find_obstacle(classes: NDArray[np.uint8]) -> ChipBasis | None:
    """Return why a chip cannot be scored, from its SCL codes (y, x) alone; None where they show nothing against it."""
    missing, hidden = float((classes == NO_DATA).mean()), float(np.isin(classes, HIDDEN).mean())
    if missing > MOST_EMPTY:
        return ChipBasis(not_scored=EDGE, share=round(missing, 2))
    return ChipBasis(not_scored=CLOUDED, share=round(hidden, 2)) if hidden > MOST_CLOUDED else None


def measure_ground(classes: NDArray[np.uint8], empty: NDArray[np.bool_], outline: NDArray[np.bool_]) -> ChipBasis:
    """Return what the scene classes of a chip show, or why it cannot be scored.

    All are (y, x): SCL codes, True where there is no reflectance, True within the alert.
    """
    obstacle = find_obstacle(classes)
    missing = float((empty | (classes == NO_DATA)).mean())
    if obstacle or missing > MOST_EMPTY:
        return obstacle or ChipBasis(not_scored=EDGE, share=round(missing, 2))
    water = classes == WATER
    metres = None
    if water.any() and outline.any():
        metres = round(METRES * float(ndimage.distance_transform_edt(~water)[outline].min()))
    return ChipBasis(
        bare=round(float((classes == BARE).mean()), 2),
        water=round(float(water.mean()), 3),
        ponds=round(float(_find_ponds(water).mean()), 3),
        water_m=metres,
    )


def _find_ponds(water: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which water ends within the chip: what reaches its edge may be a river, or a lake."""
    bodies, _ = ndimage.label(water, np.ones((3, 3)))
    through = np.concatenate([bodies[0], bodies[-1], bodies[:, 0], bodies[:, -1]])
    return np.asarray(water & ~np.isin(bodies, through))


def add_score(ground: ChipBasis, likeness: Likeness, number: int, grounds: Sequence[str]) -> ChipBasis:
    """Return what is known of a chip with its score, or that it has none since nothing in training is like it."""
    if likeness.strangeness[number] > STRANGEST:
        return ChipBasis(not_scored=STRANGE)
    nearest = int(likeness.grounds[number].argmax())
    return replace(
        ground,
        score=round(float(likeness.score[number]), 2),
        doubt=round(float(likeness.doubt[number]), 2),
        ground=grounds[nearest],
        ground_share=round(float(likeness.grounds[number, nearest]), 2),
    )
