"""The record of scored alerts: what is written comes back, and what is damaged is scored again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minewatch.likeness.record import ScoredAlert, read_scored, write_scored


def make_scored(number: int) -> ScoredAlert:
    random = np.random.default_rng(number)
    values = random.random(2, np.float32), random.random(6, np.float32).astype(np.float16)
    return ScoredAlert(f"a-{number}", f"key-{number}", "1-ab", 0.25, 0.125, 0.5, *values)


def test_what_was_scored_comes_back(tmp_path: Path) -> None:
    scored = [make_scored(number) for number in range(3)]
    write_scored(tmp_path / "likeness" / "a.scored", scored)
    read = read_scored(tmp_path / "likeness" / "a.scored")
    assert [(one.alert_id, one.key, one.version, one.score) for one in read] == [
        (one.alert_id, one.key, one.version, one.score) for one in scored
    ]
    for one, other in zip(read, scored, strict=True):
        np.testing.assert_array_equal(one.features, other.features)
        np.testing.assert_array_equal(one.grounds, other.grounds)
    assert (tmp_path / "likeness" / "a.scored").stat().st_mode & 0o077 == 0, "where alerts lie is confidential"


def test_no_alerts_are_a_record_too(tmp_path: Path) -> None:
    write_scored(tmp_path / "a.scored", [])
    assert read_scored(tmp_path / "a.scored") == ()


@pytest.mark.parametrize("kept", [slice(-40), slice(0), slice(5, None)])
def test_a_damaged_record_counts_as_none(tmp_path: Path, kept: slice) -> None:
    path = tmp_path / "a.scored"
    write_scored(path, [make_scored(1)])
    path.write_bytes(path.read_bytes()[kept])
    assert read_scored(path) == ()


def test_an_area_without_a_record_has_none(tmp_path: Path) -> None:
    assert read_scored(tmp_path / "a.scored") == ()
