"""Simulated tropics are as hard as the real ones of tests/simulation/rondonia.py."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

from minewatch.detection.mask import find_clear
from minewatch.settings.pipeline import MaskSettings
from minewatch.settings.scl import CLEAR_CLASSES
from minewatch.simulation.landscape import make_landscape
from minewatch.simulation.patches import make_patches
from minewatch.simulation.scenes import SimulatedScene, make_world, render_scene
from minewatch.simulation.settings import Simulation, tropical_simulation
from minewatch.simulation.weather import Acquisition, plan_acquisitions
from tests.simulation.rondonia import REAL, PixelSeries, measure_cleared, measure_forest

Plane = NDArray[np.float32]

SEEDS = range(1, 9)
"""Of small places; one square kilometre alone has too little sky."""

REACH = 3
"""Every third pixel of the forest is measured."""


def make_small(seed: int) -> Simulation:
    """Shrink the tropical benchmark to a square kilometre and to the months of the real series."""
    months = {"first": dt.date(2022, 8, 1), "last": dt.date(2023, 7, 31), "changes_from": dt.date(2022, 9, 1)}
    some = {"mines": 0, "burns": 0, "landslides": 0, "clearings": 0, "cleared": 3}
    return dataclasses.replace(tropical_simulation(seed), width=96, height=96, missing=0.0, **months, **some)


def compute_indices(red: Plane, nir: Plane, blue: Plane, swir: Plane) -> tuple[Plane, Plane]:
    """Return NDVI and bare soil index."""
    both = swir + red + nir + blue
    return (nir - red) / np.maximum(nir + red, 1e-3), (swir + red - nir - blue) / np.maximum(both, 1e-3)


def read_scene(scene: SimulatedScene, acquisition: Acquisition) -> tuple[NDArray[Any], ...]:
    """Return blue, NDVI, bare soil index and SCL at 10 m."""
    shift = 1000 if acquisition.shifted else 0
    blue, _, red, nir = (scene.bands.astype(np.float32) - shift) / 10000
    swir, scl = (np.repeat(np.repeat(plane, 2, axis=0), 2, axis=1) for plane in (scene.swir16, scene.scl))
    return blue, *compute_indices(red, nir, blue, (swir.astype(np.float32) - shift) / 10000), scl


def simulate(settings: Simulation) -> tuple[PixelSeries, PixelSeries, NDArray[np.int64]]:
    """Simulate a series; returns what a scan would see of untouched forest and of cleared ground, and the latter's onset."""
    acquisitions, land = plan_acquisitions(settings), make_landscape(settings)
    world = make_world(land, make_patches(settings, land), settings.seed)
    scenes = [read_scene(render_scene(world, acquisition), acquisition) for acquisition in acquisitions]
    blue, ndvi, bsi, scl = (np.stack(planes) for planes in zip(*scenes, strict=True))
    days, clear = np.array([a.day.toordinal() for a in acquisitions]), find_clear(scl, MaskSettings())
    forest, onset = land.find_forest(), np.zeros(land.shape, np.int64)
    for patch in world.patches:
        onset[patch.window()] += patch.onset
    chosen = np.zeros_like(forest)
    chosen[::REACH, ::REACH] = (forest & (onset == 0))[::REACH, ::REACH]
    cleared = onset > 0

    def take(mask: NDArray[np.bool_]) -> PixelSeries:
        return PixelSeries(days, *(values[:, mask] for values in (clear, blue, ndvi, bsi)))

    return take(chosen), take(cleared), onset[cleared]


def join(parts: Sequence[PixelSeries]) -> PixelSeries:
    """Lay series of the same days side by side."""
    planes = ("clear", "blue", "ndvi", "bsi")
    return PixelSeries(parts[0].days, *(np.concatenate([getattr(part, name) for part in parts], axis=1) for name in planes))


@pytest.fixture(scope="module")
def measured() -> dict[str, float]:
    """The sky: means over a few places.  Cleared ground: quantiles of all places together."""
    forests, cleared, onsets = zip(*(simulate(make_small(seed)) for seed in SEEDS), strict=True)
    skies = [measure_forest(forest) for forest in forests]
    sky = {name: float(np.mean([one[name] for one in skies])) for name in skies[0]}
    return sky | measure_cleared(join(cleared), np.concatenate(onsets))


@pytest.mark.parametrize("name", REAL)
def test_simulated_tropics_are_as_hard_as_real_ones(measured: dict[str, float], name: str) -> None:
    real, least, largest = REAL[name]
    assert least <= real <= largest
    assert least <= measured[name] <= largest


def read_points(folder: Path) -> tuple[PixelSeries, PixelSeries, NDArray[np.int64]]:
    """Read the real year as ``simulate`` makes one: a pixel of every point."""
    points = json.loads((folder / "points.json").read_text())
    label, place = np.array(points["label"]), np.divmod(np.arange(points["n"]), points["W"])
    items = sorted(path for path in folder.glob("S2*") if path.name.split("_")[3] > "201808")
    days = np.array([dt.date.fromisoformat(path.name.split("_")[3]).toordinal() for path in items])

    def read(name: str, step: int, offset: int) -> NDArray[np.float32]:
        planes = []
        for item in items:
            with rasterio.open(item / f"{name}.tif") as source:
                planes.append(source.read(1)[place[0] * step + offset, place[1] * step + offset].astype(np.float32))
        return np.stack(planes)

    blue, red, nir = (read(name, 8, 3) / 10000 for name in ("B02", "B04", "B08"))
    scl, swir = (read(name, 4, 1) for name in ("SCL", "B11"))
    planes = (np.isin(scl, CLEAR_CLASSES), blue, *compute_indices(red, nir, blue, swir / 10000))
    onset = np.array([-1 if day is None else day for day in points["onset"]])
    cleared = (label == "Deforestation") & (onset >= 0)
    forest, ground = (PixelSeries(days, *(plane[:, mask] for plane in planes)) for mask in (label == "Forest", cleared))
    return forest, ground, onset[cleared] + dt.date(1970, 1, 1).toordinal()


@pytest.mark.shared
def test_the_table_is_what_the_real_series_say(shared: Path) -> None:
    forest, cleared, onset = read_points(shared / "data" / "points-rondonia")
    said = measure_forest(forest) | measure_cleared(cleared, onset)
    assert said == pytest.approx({name: real for name, (real, _, _) in REAL.items()}, abs=0.025)
