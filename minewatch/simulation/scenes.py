"""Renders scenes: digital numbers of six bands, and which pixels were really visible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from minewatch.simulation.classification import Classifier
from minewatch.simulation.landscape import Landscape
from minewatch.simulation.light import add_atmosphere, compute_reflectance
from minewatch.simulation.noise import Field, NoisePool, halve_resolution
from minewatch.simulation.patches import SimulatedPatch
from minewatch.simulation.weather import Acquisition, make_sky

ROWS = 256
"""Rows of 10 m that are computed at a time."""
_CLEAR = 0.15
"""Obstruction below which a pixel is really seen."""


@dataclass(frozen=True, eq=False)
class World:
    """What all scenes of a series share."""

    land: Landscape
    patches: Sequence[SimulatedPatch]
    pool: NoisePool
    untouched: NDArray[np.bool_]
    """``(y, x) bool`` of 20 m, forest that never changes."""


@dataclass(frozen=True, eq=False)
class SimulatedScene:
    """The pixels of one overpass and what was really visible."""

    bands: NDArray[np.uint16]
    """``(4, y, x) uint16`` of 10 m: blue, green, red, nir; digital numbers, 0 = no data."""
    swir16: NDArray[np.uint16]
    """``(y, x) uint16`` of 20 m, digital numbers, 0 = no data."""
    scl: NDArray[np.uint8]
    """``(y, x) uint8`` of 20 m, scene classification, 0 = no data."""
    clear: tuple[float, ...]
    """Of each patch: share of its changed pixels that are really seen; nan before the change."""
    forest_ndvi: float
    """Median NDVI of untouched forest where it is really seen; nan where it is nowhere."""


def make_world(land: Landscape, patches: Sequence[SimulatedPatch], seed: int) -> World:
    """Return what all scenes share."""
    untouched = land.find_forest()
    for patch in patches:
        untouched[patch.window()] &= ~patch.mask
    pool = NoisePool(np.random.default_rng([seed, 7]), min(ROWS, land.shape[0]), land.shape[1])
    whole = halve_resolution(untouched.astype(np.float32)) == 1
    return World(land, patches, pool, whole)


def render_scene(world: World, acquisition: Acquisition) -> SimulatedScene:
    """Compute the pixels of one overpass, some rows at a time."""
    rows, columns = world.land.shape
    sky = make_sky(acquisition, (rows // 2, columns // 2))
    bands = np.zeros((4, rows, columns), np.uint16)
    swir16 = np.zeros((rows // 2, columns // 2), np.uint16)
    scl = np.zeros(swir16.shape, np.uint8)
    rng = np.random.default_rng([*acquisition.seed, 2])
    classifier = Classifier(acquisition, swir16.shape)
    seen = sky.find_obstruction() < _CLEAR
    ndvi = []
    for part in (slice(start, min(rows, start + ROWS)) for start in range(0, rows, ROWS)):
        half = slice(part.start // 2, part.stop // 2)
        ground, snow = compute_reflectance(world.land, world.patches, acquisition, part)
        light = add_atmosphere(acquisition, sky, ground, half)
        for band in range(len(light)):  # the noise of the sensor: a little always, more where it is bright
            noise = world.pool.take_window(rng, *light[band].shape)
            light[band] += noise * (np.float32(0.0011) + np.float32(0.011) * light[band])
        small = np.stack([halve_resolution(plane) for plane in light])
        bands[:, part] = _to_digital_numbers(light[:4], acquisition.shifted)
        swir16[half] = _to_digital_numbers(small[4], acquisition.shifted)
        scl[half] = classifier.classify(sky, small, halve_resolution(snow), half)
        forest = (seen & world.untouched)[half]
        red, nir = (small[k][forest][::7] for k in (2, 3))
        ndvi.append((nir - red) / np.maximum(nir + red, np.float32(1e-3)))
    clear = tuple(_share_clear(patch, seen, acquisition) for patch in world.patches)
    beyond = _beyond_swath(acquisition, (scl.shape[0], scl.shape[1]))
    if beyond is not None:
        swir16[beyond], scl[beyond] = 0, 0
        bands[:, np.repeat(np.repeat(beyond, 2, axis=0), 2, axis=1)] = 0
    values = np.concatenate(ndvi)
    return SimulatedScene(bands, swir16, scl, clear, float(np.median(values)) if values.size else float("nan"))


def _to_digital_numbers(light: Field, shifted: bool) -> NDArray[np.uint16]:
    """Convert reflectance to digital numbers, at least 1 since 0 is no data."""
    counts: NDArray[np.uint16] = np.clip(np.rint(light * 1e4) + (1000 if shifted else 0), 1, 65535).astype(np.uint16)
    return counts


def _share_clear(patch: SimulatedPatch, seen: NDArray[np.bool_], acquisition: Acquisition) -> float:
    """Return the share of the changed pixels of a patch that are really seen; snow hides them."""
    rows, columns = (np.arange(s.start, s.stop) // 2 for s in patch.window())
    changed = patch.mask & (patch.onset <= acquisition.day.toordinal())
    if not changed.any():
        return float("nan")
    off = _beyond_swath(acquisition, (seen.shape[0], seen.shape[1]))
    visible = seen & ~off if off is not None else seen
    return float(visible[np.ix_(rows, columns)][changed].mean()) if acquisition.snow < 0.2 else 0.0


def _beyond_swath(acquisition: Acquisition, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """Mark 20 m pixels beyond the slanted edge of the swath."""
    if acquisition.swath_edge is None:
        return None
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    beyond: NDArray[np.bool_] = columns > shape[1] * (1 - acquisition.swath_edge) - 0.2 * (rows - shape[0] / 2)
    return beyond
