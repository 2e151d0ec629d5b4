"""Pairs of images before and after a change, for the test alone: what of the change looks like a mine afterwards."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

GREEN = 0.4
"""NDVI of vegetation."""

LOSS = 0.2
"""Fall of NDVI of vegetation that was lost."""

PIXEL_HA = 0.01
"""Of a pixel."""

FEWEST_HA = 0.1
"""Lost vegetation from which on a pair is scored: the smallest alert."""

MINING = "mining_emergence"
"""The label of mines; the others are human_activity and natural_change."""

BLUE, GREEN_BAND, RED, NIR = range(4)
"""Places of the bands B02, B03, B04 and B08."""


@dataclass(frozen=True)
class Pairs:
    """After images."""

    rgb: NDArray[np.float32]
    """(n, y, x, band) surface reflectance: red, green, blue."""

    label: NDArray[np.str_]
    """(n,) as they are labelled; some are wrong."""

    lost_ha: NDArray[np.float64]
    """(n,) vegetation that was lost since the image before."""


def read_pairs(folder: Path) -> Pairs:
    """Read ``pairs.npz`` and ``pairs.csv``."""
    with np.load(folder / "pairs.npz") as archive:
        before, after = (archive[name].astype(np.float32) / 10_000 for name in ("before", "after"))
    with (folder / "pairs.csv").open(encoding="utf-8") as file:
        label = np.array([row["category"] for row in csv.DictReader(file)])
    was, is_now = (_compute_ndvi(image) for image in (before, after))
    lost = ((was >= GREEN) & (was - is_now >= LOSS)).sum(axis=(1, 2)) * PIXEL_HA
    return Pairs(after[..., [RED, GREEN_BAND, BLUE]], label, lost)


def _compute_ndvi(image: NDArray[np.float32]) -> NDArray[np.float32]:
    red, nir = image[..., RED], image[..., NIR]
    return (nir - red) / np.maximum(nir + red, np.float32(1e-4))
