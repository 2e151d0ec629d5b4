"""Small made-up tiles for detection, in which mines, haze, clouds and regrowth come as they like."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from minewatch.areas.grid import Window
from minewatch.core.units import to_day
from minewatch.detection.change_map import Episodes, TileChanges
from minewatch.detection.detect import detect_changes
from minewatch.detection.inputs import TileInput
from minewatch.detection.looks import Looks
from minewatch.detection.scene_quality import SceneQuality, assess_scenes, measure_scenes
from minewatch.raster.indices import LAYERS
from minewatch.settings.pipeline import DetectorSettings

SINCE = dt.date(2022, 1, 1)
"""First date that may raise an alert."""
UNTIL = dt.date(2022, 8, 31)
"""As-of date: twelve days after the last look."""
START = to_day(SINCE)
HISTORY = tuple(range(START - 720, START, 12))
"""Days of the looks before it: 60."""
WATCHED = tuple(range(START, START + 240, 10))
"""Days of the looks after it: 24."""
DAYS = np.array(HISTORY + WATCHED, np.int32)
FIRST = len(HISTORY)
"""Index of the first look that is monitored."""
SHAPE = (5, 6)
SPOT = (slice(1, 4), slice(2, 5))
"""Nine pixels where something happens."""
FOREST = {"ndvi": 0.82, "bsi": -0.25, "blue": 0.03, "nir": 0.30}
SOIL = {"ndvi": 0.16, "bsi": 0.10, "blue": 0.08, "nir": 0.28}
HAZE = {"ndvi": 0.42, "bsi": -0.20, "blue": 0.13, "nir": 0.36}
SEEDS = st.integers(0, 2**32 - 1)
Layers = dict[str, NDArray[np.int16]]


def encode(layers: Layers) -> NDArray[np.uint8]:
    """Return the codes that an archive would hold."""
    values = [(layers[layer.name] / 10_000 - layer.low) / layer.step + 1 for layer in LAYERS]
    return np.clip(np.rint(values), 1, 255).astype(np.uint8)


def paint(layers: Layers, index: Any, colour: dict[str, float]) -> None:
    for name, value in colour.items():
        layers[name][index] = round(value * 10_000)


def make_forest(days: NDArray[np.int32] = DAYS, shape: tuple[int, int] = SHAPE, seed: int = 0) -> Layers:
    """Make evergreen forest with a little noise."""
    random = np.random.default_rng(seed)
    size = (len(days), *shape)
    return {name: np.rint(10_000 * (v + random.normal(0, 0.006, size))).astype(np.int16) for name, v in FOREST.items()}


def make_tile(layers: Layers, days: NDArray[np.int32] = DAYS, clear: NDArray[np.bool_] | None = None, **rules: Any) -> TileInput:
    shape = layers["ndvi"].shape
    clear = np.ones(shape, bool) if clear is None else clear
    looks = Looks(days, np.ones(shape[1:], bool), clear, encode(layers))
    return TileInput(looks, np.ones(shape[1:], bool), Window(0, 0, *shape[1:]), DetectorSettings(**rules), SINCE, UNTIL)


def make_steady_scenes(looks: int) -> SceneQuality:
    """Say that no look differs as a whole."""
    nothing = np.zeros(looks)
    return SceneQuality(nothing, nothing + 0.02, nothing, nothing, np.ones(looks, bool))


def detect(tile: TileInput, scenes: SceneQuality | None = None) -> TileChanges:
    return detect_changes(tile, scenes or assess_scenes(measure_scenes(tile), tile.settings))


def make_random_tile(seed: int, **rules: Any) -> TileInput:
    """Make a tile in which mines, haze, clouds and regrowth come as they like."""
    random = np.random.default_rng(seed)
    layers, size = make_forest(seed=seed), (len(DAYS), *SHAPE)
    for row, column in np.ndindex(SHAPE):
        onset, end = np.sort(random.integers(FIRST - 3, len(DAYS) + 12, 2))
        share = random.choice([0.3, 0.6, 1.0])
        paint(layers, (slice(onset, end), row, column), {k: v + share * (SOIL[k] - v) for k, v in FOREST.items()})
    for _ in range(12):
        look, left = random.integers(0, len(DAYS)), random.integers(0, SHAPE[1])
        paint(layers, (look, slice(None), slice(left, left + 4)), HAZE)
    return make_tile(layers, clear=random.random(size) < 0.8, **rules)


def cut_looks(tile: TileInput, chosen: Any) -> TileInput:
    looks = tile.looks
    return replace(tile, looks=Looks(looks.days[chosen], looks.covered, looks.clear[chosen], looks.codes[:, chosen]))


def cut_window(tile: TileInput, rows: slice, columns: slice) -> TileInput:
    looks = tile.looks
    window = Window(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
    cut = Looks(looks.days, looks.covered[rows, columns], looks.clear[:, rows, columns], looks.codes[:, :, rows, columns])
    return replace(tile, looks=cut, inside=tile.inside[rows, columns], window=window)


def order(episodes: Episodes) -> Episodes:
    return np.sort(episodes, order=["row", "column", "first_seen"])


def assert_same(one: TileChanges, other: TileChanges) -> None:
    assert order(one.episodes).tobytes() == order(other.episodes).tobytes()
    assert all(one.rasters[name].tobytes() == other.rasters[name].tobytes() for name in one.rasters)
    assert one.missing_looks.tobytes() == other.missing_looks.tobytes()
    assert (one.watched, one.onsets.tolist()) == (other.watched, other.onsets.tolist())


SAMPLE_SEED = 5


def describe_sample() -> list[Any]:
    """Detect in a few pixels of a random tile."""
    tile = cut_window(make_random_tile(SAMPLE_SEED), slice(1, 3), slice(2, 4))
    scenes = assess_scenes(measure_scenes(tile), tile.settings)
    changes = detect(tile, scenes)
    rasters = {name: raster.tolist() for name, raster in changes.rasters.items()}
    return [np.round(scenes.shift, 9).tolist(), order(changes.episodes).tolist(), rasters]
