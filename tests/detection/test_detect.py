"""The laws of detection, on small made-up tiles: nothing here knows how the scenes of the simulator are made."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from minewatch.archive.stack import Stack
from minewatch.detection.baseline import BRIEF, FULL, Baselines, unpack_baseline
from minewatch.detection.batch_algebra import BATCH
from minewatch.detection.change_map import Status, TileChanges
from minewatch.detection.fit import fit_baselines
from minewatch.detection.harmonics import UNIT, count_terms, evaluate, harmonic_terms, multiply_terms
from minewatch.detection.inputs import TileInput
from minewatch.detection.looks import Looks, make_looks
from minewatch.detection.rules import make_rules
from minewatch.detection.scene_quality import BINS, assess_scenes, measure_scenes
from minewatch.detection.series import SCALES, Series
from minewatch.detection.track import track_pixels
from minewatch.raster.indices import EMPTY, LAYERS
from minewatch.settings.pipeline import DetectorSettings
from tests.helpers.places import ROOT
from tests.helpers.tiles import (
    DAYS,
    FIRST,
    FOREST,
    HAZE,
    HISTORY,
    SEEDS,
    SHAPE,
    SOIL,
    SPOT,
    START,
    WATCHED,
    assert_same,
    cut_looks,
    cut_window,
    describe_sample,
    detect,
    encode,
    make_forest,
    make_random_tile,
    make_steady_scenes,
    make_tile,
    order,
    paint,
)

DATES = ("first_seen", "confirmed_on", "settled_on")
LAW = settings(max_examples=30, deadline=None)


def list_pixels(changes: TileChanges, stage: str) -> set[tuple[int, int]]:
    chosen = changes.episodes[changes.episodes[stage] > 0]
    return set(zip(chosen["row"].tolist(), chosen["column"].tolist(), strict=True))


def status_of(changes: TileChanges) -> set[int]:
    return set(changes.rasters["status"][SPOT].ravel().tolist())


# --- laws ------------------------------------------------------------------------------------------------------------


def make_stack(tile: TileInput) -> Stack:
    scl = np.where(tile.looks.clear, 4, 9).astype(np.uint8)
    return Stack(tile.looks.days, scl, tile.looks.codes)


def join(stack: Stack) -> Looks:
    return make_looks(stack.days, stack.scl.any(axis=0), stack.scl == 4, stack.codes)


def take(stack: Stack, index: NDArray[np.intp]) -> Stack:
    return Stack(stack.days[index], stack.scl[index], stack.codes[:, index])


@given(SEEDS)
@LAW
def test_the_order_of_arrival_does_not_matter(seed: int) -> None:
    stack = make_stack(make_random_tile(seed))
    mixed = take(stack, np.random.default_rng(seed).permutation(len(DAYS)))
    one, other = (join(s) for s in (stack, mixed))
    assert one.days.tolist() == other.days.tolist()
    assert (one.clear == other.clear).all()
    assert (one.codes == other.codes).all()


@given(SEEDS, st.integers(0, len(DAYS) - 1))
@LAW
def test_a_scene_seen_twice_counts_once(seed: int, twice: int) -> None:
    tile = make_random_tile(seed)
    stack = take(make_stack(tile), np.sort([*range(len(DAYS)), twice]))
    assert_same(detect(tile), detect(replace(tile, looks=join(stack))))


def test_of_two_scenes_of_a_day_the_clear_pixel_counts() -> None:
    scl = np.array([[[9, 4, 9]], [[4, 4, 0]]], np.uint8)
    codes = np.array([[[[1, 2, 3]], [[4, 5, EMPTY]]]] * len(LAYERS), np.uint8)
    looks = join(Stack(np.array([START, START], np.int32), scl, codes))
    assert looks.codes[:, 0, 0, :2].tolist() == [[4, 2]] * len(LAYERS)
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
    codes = np.insert(looks.codes, place, 123, axis=1)
    days = np.insert(looks.days, place, looks.days[place] - 1)
    more = Looks(days, looks.covered, np.insert(looks.clear, place, False, axis=0), codes)
    assert_same(detect(tile), detect(replace(tile, looks=more)))


@given(SEEDS, st.sampled_from(["min_score", "bared_loss"]), st.floats(1, 4))
@LAW
def test_a_higher_threshold_adds_no_pixel(seed: int, name: str, factor: float) -> None:
    low, scenes = make_random_tile(seed), make_steady_scenes(len(DAYS))
    high = replace(
        low, settings=DetectorSettings(**{name: min(getattr(low.settings, name) * factor, 20 if name == "min_score" else 1)})
    )
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
    scenes = assess_scenes(counts, whole.settings)
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
    assert set(changes.episodes["last_normal"]) == {WATCHED[3]}
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
    changes = detect(make_tile(layers, min_score=3), make_steady_scenes(len(DAYS)))
    assert set(changes.episodes["confirmed_on"]) == {WATCHED[4]}


BURNT = {"ndvi": 0.42, "bsi": 0.1, "blue": 0.03, "nir": 0.15}
"""Char is dark in red; its short-wave infrared is not."""


def test_burnt_grass_is_no_mine() -> None:
    layers = make_forest()
    layers["ndvi"] -= 1500
    paint(layers, (slice(FIRST + 2, None), *SPOT), BURNT)
    assert not detect(make_tile(layers), make_steady_scenes(len(DAYS))).episodes["confirmed_on"].any()


def test_charred_forest_is_no_mine() -> None:
    layers = make_forest()
    paint(layers, (slice(FIRST + 2, None), *SPOT), BURNT)
    assert not detect(make_tile(layers), make_steady_scenes(len(DAYS))).episodes["confirmed_on"].any()


def test_bright_soil_where_dense_forest_stood_is_a_clearing_though_it_is_charred() -> None:
    layers = make_forest()
    paint(layers, (slice(FIRST + 2, None), *SPOT), {"ndvi": 0.57, "bsi": 0.1, "blue": 0.03, "nir": 0.22})
    assert set(detect(make_tile(layers), make_steady_scenes(len(DAYS))).episodes["confirmed_on"]) == {WATCHED[3]}


def test_a_charred_forest_that_shows_no_soil_is_no_mine() -> None:
    layers = make_forest()
    paint(layers, (slice(FIRST + 2, None), *SPOT), {"ndvi": 0.5, "bsi": -0.12, "blue": 0.03, "nir": 0.2})
    assert not detect(make_tile(layers), make_steady_scenes(len(DAYS))).episodes["confirmed_on"].any()


def test_half_green_slash_that_shows_soil_is_a_clearing() -> None:
    """As on real ground: cut forest is half as green, and its soil index rises by a third."""
    layers = make_forest()
    paint(layers, (slice(FIRST + 2, None), *SPOT), {"ndvi": 0.51, "bsi": 0.05, "blue": 0.05, "nir": 0.28})
    assert set(detect(make_tile(layers), make_steady_scenes(len(DAYS))).episodes["confirmed_on"]) == {WATCHED[3]}


def test_half_green_ground_is_closed_when_its_soil_is_gone() -> None:
    layers = make_forest()
    paint(layers, (slice(FIRST + 2, FIRST + 6), *SPOT), {"ndvi": 0.66, "bsi": 0.02, "blue": 0.04, "nir": 0.3})
    episodes = detect(make_tile(layers), make_steady_scenes(len(DAYS))).episodes
    assert (episodes["confirmed_on"] > 0).all()
    assert set(episodes["closed_on"]) == {WATCHED[8]}


def test_haze_shows_no_soil() -> None:
    """Thick haze at two looks running raises the soil index too."""
    layers = make_forest()
    paint(layers, (slice(FIRST + 2, FIRST + 4), *SPOT), {"ndvi": 0.33, "bsi": -0.08, "blue": 0.16, "nir": 0.36})
    assert not detect(make_tile(layers), make_steady_scenes(len(DAYS))).episodes["confirmed_on"].any()


def test_the_last_normal_look_is_no_look_that_was_set_aside() -> None:
    """A scene that does not agree with the baseline is clear by its classes, and shows nothing."""
    layers = make_forest()
    paint(layers, (slice(FIRST + 4, None), *SPOT), SOIL)
    scenes = make_steady_scenes(len(DAYS))
    scenes.is_consistent[FIRST + 3] = False
    changes = detect(make_tile(layers), scenes)
    assert set(changes.episodes["last_normal"]) == {WATCHED[2]}


def make_beeches(days: NDArray[np.int32] = DAYS) -> dict[str, NDArray[np.int16]]:
    """Make forest that is green from June to August, and half as green in January."""
    layers = make_forest(days)
    leaves = np.clip(0.5 - 0.75 * np.cos(2 * np.pi * (days - START) / 365.25), 0, 1)
    layers["ndvi"][:] = layers["ndvi"] - np.rint(3_700 * (1 - leaves))[:, None, None].astype(np.int16)
    return layers


THINNED = {"ndvi": 0.54, "bsi": -0.12, "blue": 0.035, "nir": 0.26}
JUNE = FIRST + 16
"""Index of the first look in June; the looks before May have no leaves."""


def test_a_leafless_look_does_not_show_that_a_stand_was_not_thinned() -> None:
    layers = make_beeches()
    paint(layers, (slice(JUNE, None), *SPOT), THINNED)
    clear = np.ones(layers["ndvi"].shape, bool)
    clear[FIRST + 10 : JUNE] = False  # clouds hide the leaf-out
    changes = detect(make_tile(layers, clear=clear), make_steady_scenes(len(DAYS)))
    last_normal = set(changes.episodes["last_normal"][changes.episodes["provisional_on"] > 0])
    assert last_normal
    assert max(last_normal) < START - 90  # in leaf, in the year before
    assert min(last_normal) > START - 180


def test_a_leafless_look_shows_ground_that_was_bared_since() -> None:
    layers = make_beeches()
    paint(layers, (slice(JUNE, None), *SPOT), SOIL)
    clear = np.ones(layers["ndvi"].shape, bool)
    clear[FIRST + 10 : JUNE] = False
    changes = detect(make_tile(layers, clear=clear), make_steady_scenes(len(DAYS)))
    assert set(changes.episodes["last_normal"]) == {WATCHED[9]}


def test_ground_that_changed_at_the_first_look_of_the_watch_was_normal_before_it() -> None:
    layers = make_forest()
    paint(layers, (slice(FIRST, None), *SPOT), SOIL)
    changes = detect(make_tile(layers), make_steady_scenes(len(DAYS)))
    assert set(changes.episodes["last_normal"]) == {HISTORY[-1]}


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
    tile.looks.covered[0] = False
    status = detect(tile).rasters["status"]
    assert (status[0] == Status.NEVER_COVERED).all()
    assert (status[1:] == Status.NOT_MONITORED).all()


# --- scenes and baselines --------------------------------------------------------------------------------------------


def test_a_scene_that_differs_as_a_whole_raises_nothing() -> None:
    layers = make_forest()
    for look in (FIRST + 4, FIRST + 5, FIRST + 6):
        layers["ndvi"][look] -= 3000
    tile = make_tile(layers)
    scenes = assess_scenes(measure_scenes(tile), tile.settings)
    assert np.flatnonzero(~scenes.is_consistent[FIRST:]).tolist() == [4, 5, 6]
    assert detect(tile).episodes.size == 0


def test_a_small_shift_of_a_scene_is_taken_out() -> None:
    layers = make_forest()
    layers["ndvi"][FIRST + 4] -= 1000
    scenes = assess_scenes(measure_scenes(make_tile(layers)), DetectorSettings())
    assert scenes.shift[FIRST + 4] == pytest.approx(-0.1, abs=0.01)
    assert abs(scenes.shift[FIRST + 5]) < 0.01
    assert scenes.is_consistent[FIRST:].all()


def test_a_look_that_nobody_saw_agrees_with_nothing() -> None:
    scenes = assess_scenes(np.zeros((3, 2, BINS), np.int64), DetectorSettings())
    assert not scenes.is_consistent.any()
    assert not scenes.shift.any()


def fit(codes: NDArray[np.uint8], usable: NDArray[np.bool_], rows: int = FULL) -> Baselines:
    """Fit (layer, time, pixel) codes of DAYS."""
    terms, base = harmonic_terms(DAYS), np.zeros((rows, usable.shape[1]), np.int16)
    fit_baselines(codes, usable, 0, len(DAYS), terms, multiply_terms(terms), SCALES, make_rules(DetectorSettings()), base)
    return base


def make_codes(seed: int, pixels: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Make a season, noise, outliers and clouds as they come, for many pixels."""
    random = np.random.default_rng(seed)
    layers = {name: np.full((len(DAYS), pixels), 10_000 * value) for name, value in FOREST.items()}
    layers["ndvi"] += 1500 * np.cos(2 * np.pi * (DAYS[:, None] - random.normal(0, 9, pixels)) / 365.25)
    layers["ndvi"] += random.normal(0, 300, layers["ndvi"].shape)
    for name, value in SOIL.items():
        layers[name][random.random(layers[name].shape) < 0.03] = 10_000 * value
    return encode(layers), random.random(layers["ndvi"].shape) < random.random(pixels)


def fit_slowly(codes: NDArray[np.uint8], usable: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int]:
    """Say the rule again for NDVI of one pixel, with numpy's own least squares."""
    ndvi, blue = (SCALES[k, 0] + SCALES[k, 1] * codes[k] for k in (0, 2))
    used = usable & (blue < np.sort(blue[usable])[usable.sum() // 3] + 0.05 - 1e-9) if usable.any() else usable
    size = count_terms(int(used.sum()))
    penalty = np.sqrt([1e-6] * 3 + [0.15] * 2 + [0.3] * 2)[:size]
    terms, kept = harmonic_terms(DAYS)[:, :size], used
    for _ in range(2):
        design = np.vstack([terms[kept], np.diag(penalty)])
        found = np.linalg.lstsq(design, np.concatenate([ndvi[kept], np.zeros(size)]), rcond=None)[0]
        steps = np.minimum(np.abs(ndvi - terms @ found) * 1000 + 0.5, 254).astype(int)
        noise = max(1.4826 * np.sort(steps[used])[(used.sum() - 1) // 2] / 1000, 0.02)
        kept = used & (steps <= int(2.5 * noise * 1000))
    return np.pad(found, (0, 7 - size)), int(used.sum())


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_baselines_are_what_numpys_least_squares_gives(seed: int) -> None:
    """In nearly all pixels: a residual on the very edge of a step may fall to either side of it."""
    codes, usable = make_codes(seed, 40)
    base = fit(codes, usable)
    close = 0
    for pixel in range(40):
        if not usable[:, pixel].any():
            close += base[10, pixel] == 0
            continue
        found, looks = fit_slowly(codes[:, :, pixel], usable[:, pixel])
        ours = unpack_baseline(base[:, pixel])
        assert ours.looks == looks
        curve, wanted = (harmonic_terms(DAYS)[usable[:, pixel]] @ c for c in (ours.ndvi, found))
        close += np.abs(curve - wanted).max() < 0.002
    assert close >= 37


@given(SEEDS, st.integers(1, 2 * BATCH))
@settings(max_examples=10, deadline=None)
def test_a_baseline_depends_on_its_own_pixel_alone(seed: int, cut: int) -> None:
    codes, usable = make_codes(seed, 2 * BATCH + 3)
    whole = fit(codes, usable)
    parts = [fit(np.ascontiguousarray(codes[:, :, part]), usable[:, part].copy()) for part in (slice(0, cut), slice(cut, None))]
    assert np.concatenate(parts, axis=1).tobytes() == whole.tobytes()
    assert (fit(codes, usable, BRIEF) == whole[:BRIEF]).all()


def test_the_curve_follows_the_seasons_and_forgives_outliers() -> None:
    curve = 0.6 + 0.2 * np.cos(2 * np.pi * (DAYS - 200) / 365.25)
    layers = {name: np.full((len(DAYS), 1), round(10_000 * value), np.int16) for name, value in FOREST.items()}
    layers["ndvi"][:, 0] = np.rint(10_000 * curve)
    layers["ndvi"][::9] = 500
    base = unpack_baseline(fit(encode(layers), np.ones((len(DAYS), 1), bool))[:, 0])
    assert np.allclose([evaluate(row, base.ndvi) for row in harmonic_terms(DAYS)], curve, atol=0.02)
    assert base.noise == pytest.approx(0.02)
    assert (base.looks, base.bare) == (len(DAYS), 0)


def test_products_of_terms_are_whole_numbers() -> None:
    terms = harmonic_terms(DAYS)
    assert np.abs(multiply_terms(terms)[:, 4] / UNIT - terms[:, 2] * terms[:, 1]).max() < 1 / UNIT


@given(SEEDS)
@LAW
def test_only_candidates_can_have_an_anomaly(seed: int) -> None:
    """Following every pixel finds what following the candidates finds."""
    tile = make_random_tile(seed)
    scenes = assess_scenes(measure_scenes(tile), tile.settings)
    everyone = track_pixels(Series.of(tile), scenes, make_rules(tile.settings)).episodes
    found = detect(tile, scenes).episodes
    assert (everyone["row"] == found["row"] * SHAPE[1] + found["column"]).all()
    fields = [name for name in everyone.dtype.names if name not in ("row", "column")]
    assert everyone[fields].tolist() == found[fields].tolist()


def test_few_looks_carry_few_terms() -> None:
    assert [count_terms(looks) for looks in (1, 11, 12, 23, 24, 35, 36, 500)] == [1, 1, 3, 3, 5, 5, 7, 7]


def test_the_rules_are_the_settings() -> None:
    rules = make_rules(DetectorSettings(min_looks=9))
    assert {name: rules[name] for name in rules.dtype.names} == DetectorSettings(min_looks=9).model_dump()


# --- the compiled code -----------------------------------------------------------------------------------------------


def test_plain_python_gives_the_same_numbers() -> None:
    here = json.loads(json.dumps(describe_sample()))
    assert here[1]
    code = (
        "import json; from tests.helpers.tiles import describe_sample\n"
        "from numba.core.dispatcher import Dispatcher; import minewatch.detection.fit as m\n"
        "assert not isinstance(m._fit_batches, Dispatcher)\n"
        "print(json.dumps(describe_sample()))"
    )
    environment = {"NUMBA_DISABLE_JIT": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == here
