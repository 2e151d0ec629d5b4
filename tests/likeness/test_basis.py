"""What stands beside a score: what the scene classes show, when there is none, and how it is kept in a cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from minewatch.likeness.basis import Basis, ChipBasis
from minewatch.likeness.grades import (
    CLOUDED,
    DOUBTFUL,
    EDGE,
    LIKE_FROM,
    MEANING,
    MOST_CLOUDED,
    MOST_EMPTY,
    NOT_SCORED,
    PARTLY_FROM,
    STRANGE,
)
from minewatch.likeness.measure import add_score, measure_ground
from minewatch.likeness.model import AT_A_TIME, CHIP, Likeness, read_model
from minewatch.products.report.likeness_words import OTHER, describe_cell, describe_likeness
from minewatch.products.report.options import LANGUAGES
from minewatch.products.report.texts import read_texts
from minewatch.settings.scl import BARE, CIRRUS, CLOUD, NO_DATA, SHADOW, VEGETATION, WATER

EN = read_texts("en")
SCORED = ChipBasis(score=0.86, doubt=0.05, ground="landslide", ground_share=0.7, bare=0.4, water=0.12, ponds=0.02, water_m=40)


def chip(*parts: tuple[int, slice, slice]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    classes = np.full((CHIP, CHIP), VEGETATION, np.uint8)
    for code, rows, columns in parts:
        classes[rows, columns] = code
    return classes


def measure(classes: Any, empty: Any = None) -> ChipBasis:
    outline = np.zeros((CHIP, CHIP), bool)
    outline[20:28, 20:28] = True
    return measure_ground(classes, np.zeros((CHIP, CHIP), bool) if empty is None else empty, outline)


def test_bare_ground_water_and_ponds_are_measured() -> None:
    every = slice(None)
    found = measure(chip((BARE, slice(0, 12), every), (WATER, every, slice(44, 48)), (WATER, slice(20, 24), slice(10, 16))))
    assert found.bare == pytest.approx(11 / 48, abs=0.005)
    assert found.water == pytest.approx((4 * 48 + 24) / 48**2, abs=0.0005)
    assert found.ponds == pytest.approx(24 / 48**2, abs=0.0005), "what reaches the edge may be a river"
    assert found.water_m == 50, "from column 20 to 15"
    assert measure(chip()).water_m is None


@pytest.mark.parametrize("code", [CLOUD, CIRRUS, SHADOW])
def test_hidden_ground_is_not_scored(code: int) -> None:
    most = int(MOST_CLOUDED * CHIP)
    assert measure(chip((code, slice(0, most), slice(None)))).not_scored == ""
    found = measure(chip((code, slice(0, most + 1), slice(None))))
    assert (found.not_scored, found.score) == (CLOUDED, None)
    assert found.share == pytest.approx((most + 1) / CHIP, abs=0.005)


def test_a_chip_at_the_edge_of_data_is_not_scored() -> None:
    most = int(MOST_EMPTY * CHIP)
    empty = np.zeros((CHIP, CHIP), bool)
    empty[:most] = True
    assert measure(chip(), empty).not_scored == ""
    empty[most] = True
    assert measure(chip(), empty).not_scored == EDGE
    assert measure(chip((NO_DATA, slice(0, most + 1), slice(None)))).not_scored == EDGE


def test_ground_unlike_anything_in_training_is_not_scored() -> None:
    likeness = Likeness(*(np.float32([one, two]) for one, two in ((0.8, 0.8), (0.1, 0.1))), np.eye(2, dtype=np.float32),
                        np.float32([0.9, 1.1]), np.zeros((2, 3), np.float32))  # fmt: skip
    first, second = (add_score(measure(chip()), likeness, number, ("river bank", "landslide")) for number in range(2))
    assert (first.score, first.ground, first.not_scored) == (0.8, "river bank", "")
    assert second == ChipBasis(not_scored=STRANGE)


def test_a_score_does_not_depend_on_what_stands_beside_it() -> None:
    chips = np.random.default_rng(5).random((AT_A_TIME + 3, CHIP, CHIP, 3)).astype(np.float32) * 0.3
    together = read_model().assess(chips)
    for number in (0, 4, AT_A_TIME + 1):
        alone = read_model().assess(chips[number : number + 1])
        assert alone.score[0] == together.score[number]
        assert alone.strangeness[0] == together.strangeness[number]


# --- the cell --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "basis",
    [
        Basis(SCORED, "2024-05-03", 0.31, 1.2, 40, 3.4),
        Basis(ChipBasis(score=0.0, bare=0.0), "2024-05-03"),
        *(Basis(ChipBasis(not_scored=reason, share=0.3), "2024-05-03") for reason in NOT_SCORED),
    ],
)
def test_a_basis_is_read_back_and_said_in_every_language(basis: Basis) -> None:
    assert Basis.parse(basis.render()) == basis
    assert len(basis.render()) < 254, "a field of a shapefile holds it"
    for language in LANGUAGES:
        text = describe_likeness(basis, read_texts(language))
        assert len(text.encode()) < 254 or basis.chip == SCORED
        assert "{" not in text


@pytest.mark.parametrize(
    "cell",
    ["", None, float("nan"), "[]", "{", "{}", "[" * 100_000, '{"score":"high"}', '{"score":NaN}', '{"score":1e400}',
     '{"score":-1}', '{"not_scored":"because"}',
     '{"score":0.5,"not_scored":"edge"}', '{"score":0.5,"look":"soon"}', '{"score":0.5,"ground":7}'],
)  # fmt: skip
def test_a_cell_that_somebody_spoilt_says_nothing(cell: Any) -> None:
    assert Basis.parse(cell) is None
    assert describe_cell(cell, EN) == ""


# --- words -----------------------------------------------------------------------------------------------------------


def say(**changes: Any) -> str:
    return describe_likeness(Basis(replace(SCORED, **changes)), EN).replace("\N{NO-BREAK SPACE}", " ")


def test_high_scores_say_what_the_ground_looks_like() -> None:
    assert say().startswith("looks like bare pits and ponds along water: 0.86 · bare ground on 40 % of the 480 × 480 m around it"
                            " · water on 12 %, 40 m away · of that, ponds 2 %")  # fmt: skip
    assert say(bare=0.0, water=0.0, ponds=0.0).startswith("looks like a mine: 0.86")
    assert "landslide" not in say()


def test_low_scores_name_the_ground_that_it_looks_like() -> None:
    assert say(score=0.12).startswith("no likeness: landslide-like 0.12")
    assert say(score=0.12, ground="other ground").startswith("no likeness: 0.12")
    assert say(score=0.12, ground_share=0.3).startswith("no likeness: 0.12"), "none of them more than the others together"
    assert say(score=0.45).startswith("some likeness to a mine, and landslide-like: 0.45")
    assert say(score=0.12, ground="a new kind").startswith("no likeness: a new kind 0.12")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_ground_that_is_told_apart_has_its_word(language: str) -> None:
    words = read_texts(language).words
    assert {f"likeness_ground_{ground.replace(' ', '_')}" for ground in read_model().grounds if ground != OTHER} <= words.keys()


def test_thresholds_belong_to_the_grade_above() -> None:
    assert say(score=LIKE_FROM).startswith("looks like")
    assert say(score=PARTLY_FROM).startswith("some likeness")


def test_doubt_growth_and_shape_are_said_where_they_are_marked() -> None:
    assert "networks disagree" not in say()
    assert "the networks disagree (± 0.15)" in say(doubt=DOUBTFUL)
    text = describe_likeness(Basis(SCORED, "2024-05-03", 0.31, 1.2, 40, 3.4), EN)
    assert "grown from 0.31 to 1.20 ha in 40 days · 3.4 times as long as wide · seen on 3 May 2024" in text


def test_what_a_score_means_has_one_wording() -> None:
    assert EN.text("likeness_meaning") == MEANING
