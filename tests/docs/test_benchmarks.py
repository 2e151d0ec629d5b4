"""The benchmarks run; what they measure is not judged here."""

from __future__ import annotations

import datetime as dt
import importlib.util
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import geopandas as gpd
import pytest

from benchmarks import line_time
from minewatch.simulation.series import simulate_series
from minewatch.simulation.settings import tropical_simulation
from tests.helpers.places import ROOT


def test_the_page_on_slow_lines_computes_as_the_benchmark_does() -> None:
    """Hours and megabytes of each row follow from those of a look."""
    text = (ROOT / "docs" / "slow-lines.md").read_text("utf-8")
    size, requests = re.search(r"([\d.]+) MB and (\d+) requests a look, scaled", text).groups()  # type: ignore[union-attr]
    look = line_time.LineUse(round(1e6 * float(size)), int(requests))
    rows = re.findall(r"^\| [\w` ,-]+ \| (\d+) \| ([\d,]+) MB \| ([\d.]+) \|$", text, re.MULTILINE)
    assert [int(looks) for looks, *_ in rows] == [line_time.count_first_looks(months) for months in line_time.MONTHS]
    for looks, megabytes, hours in rows:
        use = look.times(int(looks))
        assert use.size / 1e6 == pytest.approx(float(megabytes.replace(",", "")), rel=0.02)
        assert use.seconds() / 3600 == pytest.approx(float(hours), abs=0.06)


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # data classes look their module up while it is loaded
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def accuracy() -> ModuleType:
    return load("accuracy")


def test_accuracy_is_measured_and_written(accuracy: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache, docs = tmp_path / "cache", tmp_path / "docs"
    choices = [
        "--size",
        "small",
        "--seeds",
        "1",
        "--injected",
        str(tmp_path),
        "--cache",
        str(cache),
        "--docs",
        str(docs),
        "--draws",
        "0",
    ]
    accuracy.main(choices)
    shown = capsys.readouterr().out
    assert "tropical alarm precision" in shown
    page = (docs / "accuracy.md").read_text("utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("|")]
    assert [row[0].strip() for row in rows[2:4]] == ["simulated tropical", "simulated temperate"]
    assert {len(row) for row in rows[:4]} == {2 + len(accuracy.COLUMNS) + 2}
    assert [row[1].strip() for row in rows[2:4]] == ["1", "1"]
    assert re.search(r"Measured on 20\d\d-\d\d-\d\d with minewatch ", page)
    assert (docs / "images" / "accuracy.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    made = sorted(path.stat().st_mtime_ns for path in cache.rglob("catalog.json"))
    accuracy.main(choices)
    assert sorted(path.stat().st_mtime_ns for path in cache.rglob("catalog.json")) == made, "the second run simulated again"
    assert capsys.readouterr().out == shown


def test_a_series_is_simulated_again_when_its_settings_change(accuracy: ModuleType) -> None:
    one, other = (accuracy._digest(tropical_simulation(seed)) for seed in (1, 2))
    assert one != other


def test_a_series_is_simulated_again_when_the_simulator_changes(
    accuracy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = Path(accuracy.minewatch.__file__).parent
    shutil.copytree(package / "simulation", tmp_path / "simulation")
    monkeypatch.setattr(accuracy.minewatch, "__file__", str(tmp_path / "__init__.py"))
    same = accuracy._digest(tropical_simulation(1))
    (tmp_path / "simulation" / "spectra.py").write_text("leaves = 'blue'")
    assert accuracy._digest(tropical_simulation(1)) != same


def test_clearings_are_scored_apart_from_mines(accuracy: ModuleType, tmp_path: Path) -> None:
    settings = replace(accuracy.shrink(tropical_simulation(1)), cleared=1, mines=1, seed=2)
    truth = simulate_series(tmp_path / "series", settings).truth
    assert accuracy.write_clearings(truth, tmp_path / "clearings.gpkg")
    sites, own = (gpd.read_file(path, layer="sites") for path in (truth, tmp_path / "clearings.gpkg"))
    ignored = gpd.read_file(tmp_path / "clearings.gpkg", layer="ignore")
    mine, cleared = (sites[sites["kind"] == kind].union_all() for kind in ("mining", "clearing"))
    assert list(own["kind"]) == ["mining"]
    assert own.union_all().equals(cleared)
    assert ignored.union_all().covers(mine)
    assert not ignored.intersects(cleared).any()


def test_where_nothing_was_cleared_there_is_no_row_for_it(accuracy: ModuleType, tmp_path: Path) -> None:
    truth = simulate_series(tmp_path / "series", accuracy.shrink(tropical_simulation(1))).truth
    assert not accuracy.write_clearings(truth, tmp_path / "clearings.gpkg")


@pytest.mark.shared
def test_real_series_are_found(accuracy: ModuleType, shared: Path, tmp_path: Path) -> None:
    cases = accuracy.list_injected(shared / "data" / "injected", tmp_path)
    assert [case.catalog.parent.name for case in cases] == ["101", "102", "103", "104", "105", "106"]
    assert {(case.monitor_from, case.until) for case in cases} == {(dt.date(2019, 1, 1), dt.date(2021, 1, 10))}
    assert all(case.own_lattice and len(case.bbox) == 4 for case in cases)
