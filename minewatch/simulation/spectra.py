"""Reflectance spectra of soils, water and leaves: rounded medians and spread of real Sentinel-2 L2A pixels.

Forest, river, bare soil, tailings and ponds follow 444 real before/after pairs of mining sites (quantiles of pixels
that turned from NDVI > 0.7 to < 0.35, k-means centres of the latter); leafless forest and snow follow a series of
managed beech forest in the Carpathians; char is dark with NIR below SWIR, as after fires of tropical forest; tropical
leaves follow forest in Rondônia, and felled forest the first 60 days of clearings there by classes of NDVI, less the leaves
that are left (albhasan/deforestation-sentinel2).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

BANDS: Final = ("blue", "green", "red", "nir", "swir16")
"""Order of the bands in every array ``(band, y, x)`` of the simulator."""

TONES: Final = 64
"""Shades of one ground, from dark or wet to bright."""


class GroundSpectrum(IntEnum):
    """What lies below or between the leaves."""

    LITTER = 0
    LEAFLESS = 1
    OCHRE = 2
    SAND = 3
    TILLED = 4
    STRAW = 5
    RIVER = 6
    POND = 7
    GREEN_POND = 8
    CHAR = 9
    FELLED = 10


_ANCHORS: Final = {
    GroundSpectrum.LITTER: ((0.025, 0.040, 0.045, 0.120, 0.130), (0.045, 0.065, 0.075, 0.180, 0.200)),
    GroundSpectrum.LEAFLESS: ((0.024, 0.038, 0.048, 0.155, 0.180), (0.042, 0.060, 0.075, 0.205, 0.225)),
    GroundSpectrum.OCHRE: (
        (0.075, 0.105, 0.115, 0.160, 0.165),
        (0.100, 0.145, 0.175, 0.255, 0.275),
        (0.150, 0.207, 0.260, 0.345, 0.390),
        (0.220, 0.285, 0.345, 0.420, 0.480),
    ),
    GroundSpectrum.SAND: (
        (0.110, 0.150, 0.175, 0.225, 0.235),
        (0.185, 0.230, 0.268, 0.330, 0.365),
        (0.275, 0.325, 0.365, 0.430, 0.490),
    ),
    GroundSpectrum.TILLED: ((0.055, 0.080, 0.105, 0.170, 0.230), (0.110, 0.150, 0.195, 0.290, 0.370)),
    GroundSpectrum.STRAW: ((0.055, 0.085, 0.100, 0.210, 0.250), (0.085, 0.125, 0.155, 0.270, 0.330)),
    GroundSpectrum.RIVER: ((0.060, 0.090, 0.095, 0.070, 0.028), (0.095, 0.150, 0.175, 0.140, 0.045)),
    GroundSpectrum.POND: (
        (0.062, 0.095, 0.098, 0.075, 0.045),
        (0.110, 0.175, 0.195, 0.140, 0.075),
        (0.155, 0.230, 0.270, 0.250, 0.130),
    ),
    GroundSpectrum.GREEN_POND: ((0.045, 0.078, 0.056, 0.032, 0.020), (0.095, 0.175, 0.130, 0.070, 0.035)),
    GroundSpectrum.CHAR: ((0.030, 0.040, 0.047, 0.085, 0.140), (0.044, 0.058, 0.070, 0.125, 0.195)),
    GroundSpectrum.FELLED: (
        (0.040, 0.058, 0.052, 0.248, 0.290),
        (0.050, 0.070, 0.074, 0.250, 0.320),
        (0.062, 0.088, 0.101, 0.240, 0.365),
        (0.093, 0.130, 0.160, 0.255, 0.440),
    ),
}

TROPICAL_LEAF: Final = np.array([0.022, 0.039, 0.020, 0.290, 0.150], np.float32)
BROAD_LEAF: Final = np.array([0.020, 0.044, 0.019, 0.385, 0.190], np.float32)
NEEDLE_LEAF: Final = np.array([0.018, 0.031, 0.018, 0.225, 0.098], np.float32)
CROP_LEAF: Final = np.array([0.030, 0.064, 0.032, 0.400, 0.190], np.float32)
GRASS_LEAF: Final = np.array([0.032, 0.064, 0.042, 0.330, 0.205], np.float32)

CLOUD: Final = np.array([0.78, 0.75, 0.74, 0.78, 0.50], np.float32)
HAZE: Final = np.array([0.40, 0.37, 0.345, 0.36, 0.17], np.float32)
SMOKE: Final = np.array([0.26, 0.225, 0.20, 0.205, 0.06], np.float32)
SNOW: Final = np.array([0.72, 0.70, 0.68, 0.60, 0.07], np.float32)
SHADE: Final = np.array([0.55, 0.50, 0.50, 0.38, 0.32], np.float32)
"""What is left of the reflectance in full cloud shadow (blue skylight still gets there)."""

WATERS: Final = (GroundSpectrum.RIVER, GroundSpectrum.POND, GroundSpectrum.GREEN_POND)


def shade_ground(ground: GroundSpectrum, tone: NDArray[np.float32] | float) -> NDArray[np.uint16]:
    """Return the palette code of a ground at a tone from 0 (dark, wet) to 1 (bright)."""
    return np.asarray(ground * TONES + np.clip(np.asarray(tone) * TONES, 0, TONES - 1).astype(np.int64)).astype(np.uint16)


def _build_palette() -> NDArray[np.float32]:
    palette = np.empty((len(BANDS), len(GroundSpectrum) * TONES), np.float32)
    steps = np.linspace(0, 1, TONES)
    for ground, anchors in _ANCHORS.items():
        positions = np.linspace(0, 1, len(anchors))
        for band in range(len(BANDS)):
            palette[band, ground * TONES : (ground + 1) * TONES] = np.interp(steps, positions, [a[band] for a in anchors])
    return palette


PALETTE: Final = _build_palette()
"""``(band, code) float32`` reflectance of every shade of every ground."""
