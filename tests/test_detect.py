"""The laws of detection, on small made-up tiles: nothing here knows how the scenes of the simulator are made."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from minewatch.archive import Stack
from minewatch.changes import Episodes, Status, TileChanges
from minewatch.detect import Scenes, TileInput, detect_changes, judge_scenes, make_looks, measure_scenes
from minewatch.detect.baseline import TERMS, count_terms, evaluate, fit_harmonics, harmonic_terms
from minewatch.detect.looks import Looks
from minewatch.detect.pixels import make_rules
from minewatch.detect.scenes import BINS
from minewatch.grid import Window
from minewatch.pipeline import Detector
from minewatch.units import NODATA, to_day

SINCE = dt.date(2022, 1, 1)
"""First date that may raise an alert."""

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
DATES = ("first_seen", "confirmed_on", "settled_on")
LAW = settings(max_examples=30, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)

Layers = dict[str, NDArray[np.int16]]


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
    looks = Looks(days, np.ones(shape, bool), clear, layers)
    return TileInput(looks, np.ones(shape[1:], bool), Window(0, 0, *shape[1:]), Detector(**rules), SINCE)


def make_steady_scenes(looks: int) -> Scenes:
    """Say that no look differs as a whole."""
    nothing = np.zeros(looks)
    return Scenes(nothing, nothing + 0.02, nothing, nothing, np.ones(looks, bool))


def detect(tile: TileInput, scenes: Scenes | None = None) -> TileChanges:
    return detect_changes(tile, scenes or judge_scenes(measure_scenes(tile), tile.settings))


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
    layers = {name: layer[chosen] for name, layer in looks.layers.items()}
    return replace(tile, looks=Looks(looks.days[chosen], looks.covered[chosen], looks.clear[chosen], layers))


def cut_window(tile: TileInput, rows: slice, columns: slice) -> TileInput:
    looks, part = tile.looks, (slice(None), rows, columns)
    layers = {name: layer[part] for name, layer in looks.layers.items()}
    window = Window(rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
    cut = Looks(looks.days, looks.covered[part], looks.clear[part], layers)
    return replace(tile, looks=cut, inside=tile.inside[rows, columns], window=window)


def order(episodes: Episodes) -> Episodes:
    return np.sort(episodes, order=["row", "column", "first_seen"])


def assert_same(one: TileChanges, other: TileChanges) -> None:
    assert order(one.episodes).tobytes() == order(other.episodes).tobytes()
    assert all(one.rasters[name].tobytes() == other.rasters[name].tobytes() for name in one.rasters)
    assert one.missing_looks.tobytes() == other.missing_looks.tobytes()


def list_pixels(changes: TileChanges, stage: str) -> set[tuple[int, int]]:
    chosen = changes.episodes[changes.episodes[stage] > 0]
    return set(zip(chosen["row"].tolist(), chosen["column"].tolist(), strict=True))


def status_of(changes: TileChanges) -> set[int]:
    return set(changes.rasters["status"][SPOT].ravel().tolist())


# --- laws ------------------------------------------------------------------------------------------------------------


def make_stack(tile: TileInput) -> Stack:
    scl = np.where(tile.looks.clear, 4, 9).astype(np.uint8)
    return Stack(tile.looks.days, scl, tile.looks.layers)


def take(stack: Stack, index: NDArray[np.intp]) -> Stack:
    return Stack(stack.days[index], stack.scl[index], {name: layer[index] for name, layer in stack.layers.items()})


@given(SEEDS)
@LAW
def test_the_order_of_arrival_does_not_matter(seed: int) -> None:
    stack = make_stack(make_random_tile(seed))
    mixed = take(stack, np.random.default_rng(seed).permutation(len(DAYS)))
    one, other = (make_looks(s, s.scl == 4) for s in (stack, mixed))
    assert one.days.tolist() == other.days.tolist()
    assert (one.clear == other.clear).all()
    assert all((one.layers[name] == other.layers[name]).all() for name in one.layers)


@given(SEEDS, st.integers(0, len(DAYS) - 1))
@LAW
def test_a_scene_seen_twice_counts_once(seed: int, twice: int) -> None:
    tile = make_random_tile(seed)
    stack = take(make_stack(tile), np.sort([*range(len(DAYS)), twice]))
    assert_same(detect(tile), detect(replace(tile, looks=make_looks(stack, stack.scl == 4))))


def test_of_two_scenes_of_a_day_the_clear_pixel_counts() -> None:
    scl = np.array([[[9, 4, 9]], [[4, 4, 0]]], np.uint8)
    layer = np.array([[[1, 2, 3]], [[4, 5, NODATA]]], np.int16)
    looks = make_looks(Stack(np.array([START, START], np.int32), scl, {"ndvi": layer}), scl == 4)
    assert looks.layers["ndvi"][0, 0, :2].tolist() == [4, 2]
    assert looks.clear.tolist() == [[[True, True, False]]]
    assert looks.covered.all()


@given(SEEDS, st.integers(FIRST, len(DAYS)))
@LAW
def test_the_future_is_hidden(seed: int, stop: int) -> None:
    """What an earlier scan confirms a later one confirms too, on the same day; and the scenes look the same to both."""
    tile = make_random_tile(seed)
    early, last = cut_looks(tile, slice(0, stop)), int(DAYS[stop - 1])
    counts, fewer = measure_scenes(tile), measure_scenes(early)
    assert (counts[:, :stop] == fewer).all()
    then, now = detect(early).episodes, detect(tile).episodes
    known = now[(now["confirmed_on"] > 0) & (now["confirmed_on"] <= last)].copy()
    for name in ("settled_on", "closed_on"):
        known[name][known[name] > last] = 0
    fields = ["row", "column", *DATES, "closed_on"]
    assert order(known)[fields].tolist() == order(then[then["confirmed_on"] > 0])[fields].tolist()


@given(SEEDS, st.integers(1, len(DAYS) - 1))
@LAW
def test_a_look_without_clear_pixels_changes_nothing(seed: int, place: int) -> None:
    tile = make_random_tile(seed)
    looks = tile.looks
    layers = {name: np.insert(layer, place, 1234, axis=0) for name, layer in looks.layers.items()}
    days = np.insert(looks.days, place, looks.days[place] - 1)
    more = Looks(days, np.insert(looks.covered, place, True, axis=0), np.insert(looks.clear, place, False, axis=0), layers)
    assert_same(detect(tile), detect(replace(tile, looks=more)))


@given(SEEDS, st.sampled_from(["provisional_score", "confirmed_score"]), st.floats(1, 4))
@LAW
def test_a_higher_threshold_adds_no_pixel(seed: int, name: str, factor: float) -> None:
    low, scenes = make_random_tile(seed), make_steady_scenes(len(DAYS))
    high = replace(low, settings=Detector(**{name: getattr(low.settings, name) * factor}))
    one, other = detect(low, scenes), detect(high, scenes)
    for stage in ("provisional_on", "confirmed_on"):
        assert list_pixels(other, stage) <= list_pixels(one, stage)


@given(SEEDS, st.integers(1, SHAPE[0] - 1), st.integers(1, SHAPE[1] - 1))
@LAW
def test_any_tile_split_gives_the_same_bytes(seed: int, row: int, column: int) -> None:
    whole = make_random_tile(seed)
    cuts = [
        (slice(*rows), slice(*columns)) for rows in ((0, row), (row, SHAPE[0])) for columns in ((0, column), (column, SHAPE[1]))
    ]
    parts = [cut_window(whole, *cut) for cut in cuts]
    counts = np.sum([measure_scenes(part) for part in parts], axis=0)
    assert (counts == measure_scenes(whole)).all()
    scenes = judge_scenes(counts, whole.settings)
    one, others = detect(whole, scenes), [detect(part, scenes) for part in parts]
    assert order(one.episodes).tobytes() == order(np.concatenate([o.episodes for o in others])).tobytes()
    for cut, other in zip(cuts, others, strict=True):
        assert all((one.rasters[name][cut] == other.rasters[name]).all() for name in one.rasters)


@given(SEEDS)
@LAW
def test_pixels_outside_the_area_have_no_say(seed: int) -> None:
    tile = make_random_tile(seed)
    inside = np.zeros(SHAPE, bool)
    inside[:, :3] = True
    changes = detect(replace(tile, inside=inside))
    assert (changes.episodes["column"] < 3).all()
    assert (changes.rasters["status"][:, 3:] == Status.OUTSIDE).all()
    assert (measure_scenes(replace(tile, inside=inside)) == measure_scenes(cut_window(tile, slice(0, 5), slice(0, 3)))).all()


# --- what becomes of a pixel -----------------------------------------------------------------------------------------


def test_forest_stays_stable() -> None:
    changes = detect(make_tile(make_forest()))
    assert changes.episodes.size == 0
    assert (changes.rasters["status"] == Status.STABLE).all()
    assert (changes.rasters["clear_looks"] == len(WATCHED)).all()
    assert (changes.rasters["last_clear"] == WATCHED[-1]).all()


def test_a_total_loss_is_confirmed_at_the_second_clear_look() -> None:
    layers = make_forest()
    paint(layers, (slice(FIRST + 4, None), *SPOT), SOIL)
    clear = np.ones(layers["ndvi"].shape, bool)
    clear[FIRST + 5] = False
    changes = detect(make_tile(layers, clear=clear), make_steady_scenes(len(DAYS)))
    assert len(changes.episodes) == 9
    assert set(changes.episodes["clear_before"]) == {WATCHED[3]}
    assert set(changes.episodes["first_seen"]) == {WATCHED[4]}
    assert set(changes.episodes["provisional_on"]) == set(changes.episodes["confirmed_on"]) == {WATCHED[6]}
    assert set(changes.episodes["settled_on"]) == {WATCHED[7]}
    assert status_of(changes) == {Status.CONFIRMED}
    assert np.allclose(changes.rasters["ndvi_change"][SPOT] / 10_000, SOIL["ndvi"] - FOREST["ndvi"], atol=0.02)
    assert np.allclose(changes.rasters["bsi_change"][SPOT] / 10_000, SOIL["bsi"] - FOREST["bsi"], atol=0.02)


@pytest.mark.parametrize("colour", [HAZE, SOIL], ids=["haze", "bare"])
def test_a_single_look_confirms_nothing(colour: dict[str, float]) -> None:
    layers = make_forest()
    paint(layers, (FIRST + 6, *SPOT), colour)
    changes = detect(make_tile(layers), make_steady_scenes(len(DAYS)))
    assert not changes.episodes["provisional_on"].any()
    assert status_of(changes) == {Status.STABLE}


def test_haze_twice_is_no_mine() -> None:
    """The ground stays as blue as it is; haze is thicker or thinner the next time."""
    layers = make_forest()
    paint(layers, (FIRST + 6, *SPOT), HAZE)
    paint(layers, (FIRST + 7, *SPOT), {"ndvi": 0.55, "bsi": -0.22, "blue": 0.08, "nir": 0.33})
    changes = detect(make_tile(layers), make_steady_scenes(len(DAYS)))
    assert not changes.episodes["confirmed_on"].any()


def test_regrowth_closes() -> None:
    layers = make_forest()
    paint(layers, (slice(FIRST + 2, FIRST + 10), *SPOT), SOIL)
    changes = detect(make_tile(layers))
    assert set(changes.episodes["confirmed_on"]) == {WATCHED[3]}
    assert set(changes.episodes["last_seen"]) == {WATCHED[9]}
    assert set(changes.episodes["closed_on"]) == {WATCHED[12]}
    assert status_of(changes) == {Status.CLOSED}


def test_what_comes_back_after_that_is_a_new_anomaly() -> None:
    layers = make_forest()
    for start, stop in ((2, 8), (16, 24)):
        paint(layers, (slice(FIRST + start, FIRST + stop), *SPOT), SOIL)
    changes = detect(make_tile(layers))
    assert set(changes.episodes["first_seen"]) == {WATCHED[2], WATCHED[16]}
    assert status_of(changes) == {Status.CONFIRMED}


def test_a_half_loss_needs_more_looks_than_a_total_one() -> None:
    layers = make_forest()
    paint(layers, (slice(FIRST + 2, None), *SPOT), {"ndvi": 0.49, "bsi": -0.05, "blue": 0.05, "nir": 0.29})
    changes = detect(make_tile(layers, confirmed_score=3), make_steady_scenes(len(DAYS)))
    assert set(changes.episodes["confirmed_on"]) == {WATCHED[4]}


def test_burnt_ground_is_no_mine() -> None:
    """Char is dark in red; its short-wave infrared is not."""
    layers = make_forest()
    paint(layers, (slice(FIRST + 2, None), *SPOT), {"ndvi": 0.42, "bsi": 0.1, "blue": 0.03, "nir": 0.15})
    assert not detect(make_tile(layers), make_steady_scenes(len(DAYS))).episodes["confirmed_on"].any()


def test_a_pond_is_a_change() -> None:
    layers = make_forest()
    paint(layers, (slice(FIRST + 2, None), *SPOT), {"ndvi": -0.1, "bsi": -0.05, "blue": 0.05, "nir": 0.05})
    changes = detect(make_tile(layers), make_steady_scenes(len(DAYS)))
    assert set(changes.episodes["confirmed_on"]) == {WATCHED[3]}


def test_a_rim_pixel_is_confirmed_when_the_mine_has_grown_over_it() -> None:
    """What was half forest was less blue than the tailings that came; both are seen, not one passed over for good."""
    layers = make_forest()
    paint(layers, (FIRST + 2, *SPOT), {"ndvi": 0.54, "bsi": 0.0, "blue": 0.05, "nir": 0.30})
    paint(layers, (slice(FIRST + 3, None), *SPOT), {"ndvi": 0.14, "bsi": 0.10, "blue": 0.16, "nir": 0.35})
    changes = detect(make_tile(layers), make_steady_scenes(len(DAYS)))
    assert set(changes.episodes["confirmed_on"]) == {WATCHED[4]}
    assert status_of(changes) == {Status.CONFIRMED}


def test_tilled_ground_is_not_monitored() -> None:
    layers = make_forest()
    paint(layers, (slice(0, FIRST, 5), *SPOT), SOIL)
    paint(layers, (slice(FIRST + 2, None), *SPOT), SOIL)
    changes = detect(make_tile(layers))
    assert changes.episodes.size == 0
    assert status_of(changes) == {Status.NO_VEGETATION}


def test_bare_ground_has_nothing_to_lose() -> None:
    layers = make_forest()
    paint(layers, (slice(None), *SPOT), SOIL)
    assert status_of(detect(make_tile(layers))) == {Status.NO_VEGETATION}


@pytest.mark.parametrize("count", [0, 1, 5, 6])
def test_a_baseline_needs_looks(count: int) -> None:
    layers = make_forest()
    paint(layers, (slice(FIRST + 2, None), *SPOT), SOIL)
    clear = np.ones(layers["ndvi"].shape, bool)
    clear[: FIRST - count, *SPOT] = False
    changes = detect(make_tile(layers, clear=clear), make_steady_scenes(len(DAYS)))
    assert status_of(changes) == {Status.CONFIRMED if count == 6 else Status.NOT_MONITORED}
    assert (changes.missing_looks[SPOT] == 6 - count).all()


def test_ground_without_a_scene_was_never_covered() -> None:
    layers = make_forest()
    tile = make_tile(layers, clear=np.zeros(layers["ndvi"].shape, bool))
    tile.looks.covered[:, 0] = False
    status = detect(tile).rasters["status"]
    assert (status[0] == Status.NEVER_COVERED).all()
    assert (status[1:] == Status.NOT_MONITORED).all()


# --- scenes and baselines --------------------------------------------------------------------------------------------


def test_a_scene_that_differs_as_a_whole_raises_nothing() -> None:
    layers = make_forest()
    for look in (FIRST + 4, FIRST + 5, FIRST + 6):
        layers["ndvi"][look] -= 3000
    tile = make_tile(layers)
    scenes = judge_scenes(measure_scenes(tile), tile.settings)
    assert np.flatnonzero(~scenes.agrees[FIRST:]).tolist() == [4, 5, 6]
    assert detect(tile).episodes.size == 0


def test_a_small_shift_of_a_scene_is_taken_out() -> None:
    layers = make_forest()
    layers["ndvi"][FIRST + 4] -= 1000
    scenes = judge_scenes(measure_scenes(make_tile(layers)), Detector())
    assert scenes.shift[FIRST + 4] == pytest.approx(-0.1, abs=0.01)
    assert abs(scenes.shift[FIRST + 5]) < 0.01
    assert scenes.agrees[FIRST:].all()


def test_a_look_that_nobody_saw_agrees_with_nothing() -> None:
    scenes = judge_scenes(np.zeros((3, 2, BINS), np.int64), Detector())
    assert not scenes.agrees.any()
    assert not scenes.shift.any()


def test_the_curve_follows_the_seasons_and_forgives_outliers() -> None:
    curve = 0.6 + 0.2 * np.cos(2 * np.pi * (DAYS - 200) / 365.25)
    values = curve.copy()
    values[::9] = 0.05
    used, terms, coefficients = np.ones(len(DAYS), bool), harmonic_terms(DAYS), np.zeros(TERMS)
    noise = fit_harmonics(values, used, terms, 5, coefficients)
    assert np.allclose([evaluate(row, coefficients) for row in terms], curve, atol=0.02)
    assert noise == pytest.approx(0.02)


def test_few_looks_carry_few_terms() -> None:
    assert [count_terms(looks) for looks in (1, 11, 12, 23, 24, 35, 36, 500)] == [1, 1, 3, 3, 5, 5, 7, 7]


def test_the_rules_are_the_settings() -> None:
    assert make_rules(Detector(min_looks=9))._asdict() == Detector(min_looks=9).model_dump()


# --- the compiled code -----------------------------------------------------------------------------------------------

SAMPLE_SEED = 5


def describe_sample() -> list[Any]:
    """Detect in a few pixels of a random tile."""
    tile = cut_window(make_random_tile(SAMPLE_SEED), slice(1, 3), slice(2, 4))
    scenes = judge_scenes(measure_scenes(tile), tile.settings)
    changes = detect(tile, scenes)
    rasters = {name: raster.tolist() for name, raster in changes.rasters.items()}
    return [np.round(scenes.shift, 9).tolist(), order(changes.episodes).tolist(), rasters]


def test_plain_python_gives_the_same_numbers() -> None:
    here = json.loads(json.dumps(describe_sample()))
    assert here[1]
    code = (
        f"import sys, json; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_detect as t\n"
        "from numba.core.dispatcher import Dispatcher; import minewatch.detect.monitor as m\n"
        "assert not isinstance(m.follow_pixels, Dispatcher)\n"
        "print(json.dumps(t.describe_sample()))"
    )
    environment = {"NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == here
