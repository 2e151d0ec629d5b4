"""What could not have been found, on series of looks that can be checked by hand."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from minewatch.detection.blindness import NONE, close_blind_days, count_blind, count_onsets, follow_counting
from minewatch.detection.chance import Chance, judge_chance
from minewatch.detection.detect import detect_changes
from minewatch.detection.lasting import LASTING_DAYS
from tests.helpers.tiles import DAYS, FIRST, SHAPE, SOIL, SPOT, START, detect, make_forest, make_steady_scenes, make_tile, paint

UNTIL = 200
DATES = st.lists(st.integers(0, UNTIL), unique=True, max_size=25).map(sorted)


def follow(
    pixels: list[list[int]], until: int = UNTIL, watched: bool = True, cuts: tuple[int, ...] = ()
) -> tuple[list[int], list[int]]:
    """Return the blind days of some pixels, and the blind pixels by day of onset, from the days of their looks."""
    days = np.array(sorted(set().union(*pixels)), np.int64)
    counting = np.array([[day in pixel for pixel in pixels] for day in days], bool).reshape(len(days), len(pixels))
    chosen = np.full(len(pixels), watched)
    last_two, blind_days = np.full((2, len(pixels)), NONE, np.int16), np.zeros(len(pixels), np.uint16)
    onsets = np.zeros(until + 2, np.int32)
    for part in np.split(np.arange(len(days)), cuts):
        follow_counting(counting[part], days[part], chosen, last_two, blind_days, onsets)
    blind = count_blind(count_onsets(onsets, last_two, chosen), until)
    return close_blind_days(blind_days, last_two, until).tolist(), blind.tolist()


def find_slowly(pixel: list[int], until: int) -> tuple[int, list[int]]:
    """The same of one pixel, as it is meant."""
    onsets = range(until - LASTING_DAYS + 1)
    blind = [int(sum(day <= look <= day + LASTING_DAYS for look in pixel) < 2) for day in onsets]
    looks = [-1, *pixel, until + 1, until + 1]
    return max(later - look - 1 for look, later in zip(looks, looks[2:], strict=False)), blind


def test_two_looks_within_sixty_days_are_enough() -> None:
    days, blind = follow([[0, 60, 120, 180, 200]])
    assert blind == [0] + [1] * 59 + [0] + [1] * 59 + [0] + [1] * 19 + [0]
    assert days == [119]


def test_without_a_look_all_is_blind() -> None:
    assert follow([[], [10]]) == ([201, 201], [2] * 141)


def test_what_is_not_watched_is_not_counted() -> None:
    assert follow([[10, 150]], watched=False)[1] == [0] * 141


def test_a_short_watch_has_no_onset_to_judge() -> None:
    assert follow([[3, 30]], until=40)[1] == []


@given(st.lists(DATES, min_size=1, max_size=3), st.integers(0, 20))
@settings(max_examples=30, deadline=None)
def test_looks_one_by_one_give_what_the_definition_gives(pixels: list[list[int]], cut: int) -> None:
    slow = [find_slowly(pixel, UNTIL) for pixel in pixels]
    expected = [days for days, _ in slow], np.sum([blind for _, blind in slow], axis=0).tolist()
    assert follow(pixels) == expected
    assert follow(pixels, cuts=(cut, cut)) == expected


# --- in a tile ---------------------------------------------------------------------------------------------------------


def hide(days: range) -> NDArray[np.bool_]:
    clear = np.ones((len(DAYS), *SHAPE), bool)
    clear[(days.start + START <= DAYS) & (days.stop + START > DAYS)] = False
    return clear


def test_clouds_make_blind_and_clearings_do_not() -> None:
    """Looks come every tenth day from day 0 to 230, but for those of days 50 to 129; the as-of date is day 242."""
    layers = make_forest()
    paint(layers, (slice(FIRST + 2, None), *SPOT), SOIL)
    changes = detect(make_tile(layers, clear=hide(range(50, 130))), make_steady_scenes(len(DAYS)))
    assert set(np.unique(changes.rasters["blind_days"])) == {130 - 30 - 1}
    count = count_blind(changes.onsets, 242)
    blind = np.flatnonzero(count)
    assert (blind.min(), blind.max()) == (31, 79)
    assert changes.watched == count[50] == SHAPE[0] * SHAPE[1]
    assert len(count) == 242 - LASTING_DAYS + 1


def test_scenes_that_disagree_do_not_count() -> None:
    tile, scenes = make_tile(make_forest()), make_steady_scenes(len(DAYS))
    used = scenes.is_consistent.copy()
    used[FIRST:] = False
    changes = detect_changes(tile, replace(scenes, is_consistent=used))
    assert (changes.rasters["blind_days"] == 243).all()
    assert (count_blind(changes.onsets, 242) == changes.watched).all()


def test_leafless_looks_do_not_count() -> None:
    changes = detect(make_tile(make_forest(), min_contrast=0.6), make_steady_scenes(len(DAYS)))
    assert (changes.rasters["blind_days"] < LASTING_DAYS).all()
    layers = make_forest()
    layers["ndvi"] -= 3000
    assert (detect(make_tile(layers, min_contrast=0.6), make_steady_scenes(len(DAYS))).rasters["blind_days"] == 243).all()


def test_ground_that_is_not_monitored_has_no_blind_days() -> None:
    changes = detect(make_tile(make_forest(), clear=hide(range(-800, 0))), make_steady_scenes(len(DAYS)))
    assert (changes.rasters["blind_days"] == 65535).all()
    assert changes.watched == 0


# --- in words ----------------------------------------------------------------------------------------------------------

SINCE = dt.date(2018, 10, 31)


def test_the_chance_is_the_mean_of_places_and_days() -> None:
    chance = judge_chance(np.array([0, 2, 4, 3, 0]), 4, SINCE)
    assert chance == Chance(1 - 9 / 20, {"2018-10": 1.0, "2018-11": 1 - 9 / 16}, dt.date(2018, 11, 1), dt.date(2018, 11, 3), 0.75)
    assert chance.describe() == (
        "a clearing that lasts 60 days would have been confirmed on 55 % of the watched ground; "
        "blind to those that began from 1 November 2018 to 3 November 2018 on 75 %"
    )


@pytest.mark.parametrize(
    ("blind", "text"),
    [
        ([0, 0], "a clearing that lasts 60 days would have been confirmed on 100 % of the watched ground"),
        ([0, 1], "a clearing that lasts 60 days would have been confirmed on 99 % of the watched ground"),
        (
            [0, 999],
            (
                "a clearing that lasts 60 days would have been confirmed on 50 % of the watched ground; "
                "blind to those that began on 1 November 2018 on 99 %"
            ),
        ),
        ([], ""),
    ],
)
def test_only_all_is_a_hundred_per_cent(blind: list[int], text: str) -> None:
    assert judge_chance(np.array(blind, np.int64), 1000, SINCE).describe() == text


def test_without_watched_ground_there_is_no_chance() -> None:
    assert judge_chance(np.zeros(5, np.int64), 0, SINCE) == Chance(None)
