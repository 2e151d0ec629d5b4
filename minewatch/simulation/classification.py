"""The scene classification (SCL) of 20 m, with the errors of the real one."""

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
        self._fine_noise = make_fractal_noise(rng, (rows, columns), 3, 2)
        self._coarse_noise = make_fractal_noise(rng, (rows, columns), 14, 2)
        self._cloud_loss = rng.uniform(0.0, 0.16)
        self._shadow_limit = rng.choice([0.4, 0.5, 0.8], p=[0.5, 0.3, 0.2])
        self._bright_limit = rng.choice([-0.6, 0.7, 9.0], p=[0.25, 0.4, 0.35])

    def classify(self, sky: Sky, small: Field, snow: Field, half: slice) -> NDArray[np.uint8]:
        """Return the classes of some rows of 20 m; ``small``: reflectance ``(band, y, x)``."""
        fine, coarse = self._fine_noise[half], self._coarse_noise[half]
        scl = self._classify_ground(small, snow, fine, coarse)
        cloud = sky.cloud[half]
        cloud = np.where(cloud > 0.02, cloud - np.float32(self._cloud_loss) + 0.05 * fine, 0)
        thin = np.where(self._acquisition.haze_flagged, sky.haze[half], 0) + np.maximum(0, sky.haze[half] - 0.45)
        known = np.where(coarse > 0.3, sky.missed_cloud[half], 0)
        scl[(sky.shadow[half] * (1 - sky.cloud[half]) + 0.06 * fine > self._shadow_limit) & (scl != WATER)] = SHADOW
        scl[(cloud > 0.03) & (coarse > 0.4)] = UNCLASSIFIED
        scl[(cloud > 0.06) | (thin > 0.2 + 0.04 * fine)] = CIRRUS
        scl[(cloud > 0.2) | (known > 0.3)] = LIKELY_CLOUD
        scl[cloud > 0.5] = CLOUD
        return scl

    def _classify_ground(self, small: Field, snow: Field, fine: Field, coarse: Field) -> NDArray[np.uint8]:
        """Classify plants, bare ground, water and snow; on some dates bright bare ground becomes cloud."""
        _, green, red, nir, swir = small
        ndvi = (nir - red) / np.maximum(nir + red, np.float32(1e-3))
        scl = np.where(ndvi > 0.42 + 0.02 * fine, VEGETATION, BARE).astype(np.uint8)
        scl[(scl == BARE) & (np.abs(ndvi - 0.4) < 0.05) & (fine > 0.9)] = UNCLASSIFIED
        scl[(nir < 0.12 + 0.01 * fine) & (ndvi > 0.25)] = DARK
        scl[(nir < 1.05 * green) & (swir < 0.1) & (snow < 0.1)] = WATER
        bright = (red > 0.225 + 0.015 * fine) & (ndvi < 0.35) & (coarse > self._bright_limit)
        scl[bright] = UNCLASSIFIED
        scl[bright & (red > 0.25)] = LIKELY_CLOUD
        scl[bright & (red > 0.3)] = CLOUD
        scl[snow + 0.05 * fine > 0.38] = SNOW
        return scl
