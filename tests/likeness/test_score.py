"""The contract of ``score_mine_likeness``: always a number of 0 to 1, the same whatever comes along with a chip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minewatch
from minewatch import score_mine_likeness
from minewatch.core.errors import MinewatchError
from minewatch.likeness.model import CHIP, WEIGHTS, read_model


@pytest.fixture(scope="module")
def chips() -> np.ndarray:
    random = np.random.default_rng(3)
    smooth = random.random((20, 6, 6, 3), np.float32).repeat(8, axis=1).repeat(8, axis=2)
    return np.asarray(0.02 + 0.2 * smooth + random.normal(0, 0.01, (20, CHIP, CHIP, 3)), np.float32)


def check(score: np.ndarray, count: int) -> None:
    assert score.shape == (count,)
    assert score.dtype == np.float32
    assert np.isfinite(score).all()
    assert ((score >= 0) & (score <= 1)).all()


def test_each_chip_has_a_score(chips: np.ndarray) -> None:
    score = score_mine_likeness(chips)
    check(score, 20)
    assert len(np.unique(score)) > 10, "different ground has different scores"


@pytest.mark.parametrize("size", [1, 3, 7, 20])
def test_a_score_does_not_depend_on_what_is_scored_along_with_it(chips: np.ndarray, size: int) -> None:
    parts = [score_mine_likeness(chips[first : first + size]) for first in range(0, 20, size)]
    np.testing.assert_allclose(np.concatenate(parts), score_mine_likeness(chips), atol=1e-4)


def test_masked_pixels_and_numbers_too_large_count_as_none(chips: np.ndarray) -> None:
    hidden = np.zeros(chips.shape, bool)
    hidden[:, 10:14, 10:14] = True
    spoilt = chips.astype(np.float64)
    spoilt[hidden] = 1e300
    expected = score_mine_likeness(np.where(hidden, np.nan, chips))
    np.testing.assert_array_equal(score_mine_likeness(np.ma.masked_array(chips, hidden)), expected)
    np.testing.assert_array_equal(score_mine_likeness(spoilt), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_whole_numbers_are_no_reflectance(chips: np.ndarray, dtype: type) -> None:
    with pytest.raises(ValueError, match="as floats, and these are whole numbers"):
        score_mine_likeness((chips * 100).astype(dtype))


@pytest.mark.parametrize("kept", [0, 3_000, 300_000])
def test_damaged_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    (tmp_path / "weights.npz").write_bytes(WEIGHTS.read_bytes()[:kept])
    monkeypatch.setattr("minewatch.likeness.model.WEIGHTS", tmp_path / "weights.npz")
    with pytest.raises(MinewatchError, match="is damaged or gone; install minewatch anew"):
        read_model.__wrapped__()


def test_no_chips_have_no_scores() -> None:
    check(score_mine_likeness(np.empty((0, CHIP, CHIP, 3))), 0)


SPOILT: dict[str, Any] = {
    "a pixel is no number": (np.s_[0, 0, 0, 0], np.nan),
    "half is no number": (np.s_[0, :24], np.nan),
    "one band is no number": (np.s_[..., 1], np.nan),
    "nothing is a number": (np.s_[:], np.nan),
    "infinite": (np.s_[0, :10], np.inf),
    "infinitely negative": (np.s_[0, :10], -np.inf),
    "saturated": (np.s_[:], 1.6),
    "beyond any reflectance": (np.s_[:], 1e30),
    "below zero": (np.s_[:], -0.5),
    "black": (np.s_[:], 0),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_spoilt_chips_have_a_score_too(chips: np.ndarray, kind: str) -> None:
    where, value = SPOILT[kind]
    spoilt = chips[:2].copy()
    spoilt[where] = value
    check(score_mine_likeness(spoilt), 2)
    np.testing.assert_array_equal(spoilt[where], np.full_like(spoilt[where], value), "what was given stays as it is")


def test_a_pixel_without_a_number_counts_as_the_median_of_its_chip(chips: np.ndarray) -> None:
    spoilt, mended = chips[:1].copy(), chips[:1].copy()
    mended[0, 5, 5] = np.median(np.delete(chips[0].reshape(-1, 3), 5 * CHIP + 5, axis=0), axis=0)
    spoilt[0, 5, 5, 2] = np.nan
    np.testing.assert_allclose(score_mine_likeness(spoilt), score_mine_likeness(mended), atol=1e-6)


@pytest.mark.parametrize("make", [np.float64, np.float16, np.asfortranarray, lambda chips: chips[:, ::-1, :, :][:, ::-1], list])
def test_the_form_of_the_array_does_not_matter(chips: np.ndarray, make: Any) -> None:
    np.testing.assert_allclose(score_mine_likeness(make(chips[:2])), score_mine_likeness(chips[:2]), atol=2e-2)


@pytest.mark.parametrize("shape", [(CHIP, CHIP, 3), (1, CHIP, CHIP), (1, 3, CHIP, CHIP), (1, 32, 32, 3), (1, CHIP, CHIP, 4), ()])
def test_another_shape_is_refused_in_one_line(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape \(n, 48, 48, 3\)") as refusal:
        score_mine_likeness(np.zeros(shape, np.float32))
    assert "\n" not in str(refusal.value)
    assert str(shape) in str(refusal.value)


def test_the_shipped_weights_are_small_and_come_with_the_package() -> None:
    assert WEIGHTS.stat().st_size <= 5e6
    assert minewatch.score_mine_likeness is score_mine_likeness
    assert read_model().version


def test_all_that_is_said_of_a_chip_is_finite(chips: np.ndarray) -> None:
    said = read_model().assess(chips)
    for values in vars(said).values():
        assert len(values) == 20
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    np.testing.assert_allclose(said.grounds.sum(axis=1), 1, atol=1e-5)
    assert said.grounds.shape[1] == len(read_model().grounds)
