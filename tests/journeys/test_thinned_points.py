"""The share of clearings that a scan tells is the share it finds, on real series with a part of the scenes taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.thinned_points import measure_thinned


@pytest.mark.shared
@pytest.mark.parametrize("looks", [12.0, 5.0])
def test_what_is_told_is_found(shared: Path, tmp_path: Path, looks: float) -> None:
    shares = measure_thinned(shared / "data" / "points-rondonia", tmp_path, looks, seed=1)
    assert shares.told_of_own == pytest.approx(shares.found_in_time, abs=0.1)
    assert 0 < shares.told < shares.told_in_season, "real clearings begin in the dry season"
