"""The scene classification (SCL) of 20 m, with the faults of the real one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from minewatch.settings.scl import BARE, CIRRUS, CLOUD, DARK, LIKELY_CLOUD, SHADOW, SNOW, UNCLASSIFIED, VEGETATION, WATER
from minewatch.simulation.noise import Field, make_fractal_noise
from minewatch.simulation.weather import Acquisition, Sky


class Classifier:
    """Classifies one overpass: it misses cloud edges, puffs, haze and shadows, and takes bright ground for cloud."""

    def __init__(self, acquisition: Acquisition, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng([*acquisition.seed, 3])
        rows, columns = shape
        self._acquisition = acquisition
        self._fuzz = make_fractal_noise(rng, (rows, columns), 3, 2)
        self._mood = make_fractal_noise(rng, (rows, columns), 14, 2)
        self._miss = rng.uniform(0.0, 0.16)
        self._shade_limit = rng.choice([0.4, 0.5, 0.8], p=[0.5, 0.3, 0.2])
        self._bright_mood = rng.choice([-0.6, 0.7, 9.0], p=[0.25, 0.4, 0.35])

    def classify(self, sky: Sky, small: Field, snow: Field, half: slice) -> NDArray[np.uint8]:
        """Return the classes of some rows of 20 m; ``small``: reflectance ``(band, y, x)``."""
        fuzz, mood = self._fuzz[half], self._mood[half]
        scl = self._classify_ground(small, snow, fuzz, mood)
        cloud = sky.cloud[half]
        cloud = np.where(cloud > 0.02, cloud - np.float32(self._miss) + 0.05 * fuzz, 0)
        thin = np.where(self._acquisition.haze_flagged, sky.haze[half], 0) + np.maximum(0, sky.haze[half] - 0.45)
        known = np.where(mood > 0.3, sky.unseen[half], 0)
        scl[(sky.shadow[half] * (1 - sky.cloud[half]) + 0.06 * fuzz > self._shade_limit) & (scl != WATER)] = SHADOW
        scl[(cloud > 0.03) & (mood > 0.4)] = UNCLASSIFIED
        scl[(cloud > 0.06) | (thin > 0.2 + 0.04 * fuzz)] = CIRRUS
        scl[(cloud > 0.2) | (known > 0.3)] = LIKELY_CLOUD
        scl[cloud > 0.5] = CLOUD
        return scl

    def _classify_ground(self, small: Field, snow: Field, fuzz: Field, mood: Field) -> NDArray[np.uint8]:
        """Tell plants, bare ground, water and snow; bright bare ground passes for cloud on some dates."""
        _, green, red, nir, swir = small
        ndvi = (nir - red) / np.maximum(nir + red, np.float32(1e-3))
        scl = np.where(ndvi > 0.42 + 0.02 * fuzz, VEGETATION, BARE).astype(np.uint8)
        scl[(scl == BARE) & (np.abs(ndvi - 0.4) < 0.05) & (fuzz > 0.9)] = UNCLASSIFIED
        scl[(nir < 0.12 + 0.01 * fuzz) & (ndvi > 0.25)] = DARK
        scl[(nir < 1.05 * green) & (swir < 0.1) & (snow < 0.1)] = WATER
        bright = (red > 0.225 + 0.015 * fuzz) & (ndvi < 0.35) & (mood > self._bright_mood)
        scl[bright] = UNCLASSIFIED
        scl[bright & (red > 0.25)] = LIKELY_CLOUD
        scl[bright & (red > 0.3)] = CLOUD
        scl[snow + 0.05 * fuzz > 0.38] = SNOW
        return scl
