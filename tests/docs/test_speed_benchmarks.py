"""The benchmarks of speed run and give figures; how large those are is not judged here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import speed
from benchmarks.measure import run_job
from benchmarks.page import Part, store_rows, summarise, write_page
from benchmarks.results import Row, Run
from benchmarks.series import choose_settings, open_series
from benchmarks.tiles import find_series
from minewatch.areas.aoi import read_aoi
from minewatch.areas.grid import make_grid


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("speed")


@pytest.fixture
def run(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")
    return Run(cache, tmp_path, **speed.SMALL)


@pytest.mark.parametrize("part", speed.PARTS)
def test_part_gives_figures(part: str, run: Run) -> None:
    rows = speed.measure_parts(run, [part])[part]
    assert rows
    assert all(row.ratio is None or row.ratio > 0 for row in rows)
    for row in rows:
        if "mines found" in row.name or "results equal" in row.name:
            assert row.met, row
            assert row.figure in (1, 100), row
        elif "false alarms" not in row.name:
            assert row.figure > 0, row


def test_memory_is_that_of_the_process(run: Run) -> None:
    series = run.series(run.size, run.scenes)
    done = run_job("decode", {"series": series.folder, "areas": [(0, 0, 128, 128)]})
    assert 50e6 < done.memory < 2e9
    assert 0 < done.seconds < 10
    assert done.facts["pixels"] == len(series.items) * (3 * 128 * 128 + 2 * 64 * 64)


def test_job_that_fails_says_why(run: Run) -> None:
    with pytest.raises(RuntimeError, match="FileNotFoundError"):
        run_job("decode", {"series": run.cache / "nowhere", "areas": []})


def test_area_is_exactly_the_pixels_asked_for(run: Run) -> None:
    series = run.series(run.size, run.scenes)
    workspace = series.workspace(run.work / "areas", [series.area(), series.rectangle("part", 12, 30, 100, 126)])
    shapes = [make_grid(read_aoi(workspace, name)).shape for name in ("whole", "part")]
    assert shapes == [(128, 128), (88, 96)]


def test_series_is_kept_and_read_again(run: Run) -> None:
    settings = choose_settings(run.size, run.scenes)
    series = find_series(settings, run.cache)
    assert open_series(series.folder).settings == settings
    assert find_series(settings, run.cache).folder == series.folder
    assert choose_settings(run.size, run.scenes + 1).digest != settings.digest


def test_page_tells_goals_and_keeps_earlier_parts(tmp_path: Path) -> None:
    good, bad = Row("quick", 2.0, "s", 1.1, "slow", 1.5), Row("rate", 3.0, "looks/s", goal=500, at_least=True)
    parts = store_rows(tmp_path / "rows.json", {"cold": [good]})
    assert summarise(parts) == "1 of 1 goals are met."
    parts = store_rows(tmp_path / "rows.json", {"kernel": [bad, Row("note", 1.0, "")]})
    write_page(tmp_path, parts)
    page = (tmp_path / "speed.md").read_text("utf-8")
    assert "1 of 2 goals are met. Missed:\n\n- rate: 3 looks/s, goal ≥ 500" in page
    assert "| quick | 2 s | 1.1 (slow) | ≤ 1.5 | met |" in page
    for name in ("cold", "kernel"):
        assert (tmp_path / "images" / f"speed-{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert isinstance(parts["cold"], Part)
    assert set(json.loads((tmp_path / "rows.json").read_text("utf-8"))) == {"cold", "kernel"}
