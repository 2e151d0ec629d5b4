"""Checkpoints: going on from one gives what all looks from the first give, and a wrong one is never used."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import NAME, make_series, make_workspace, read_result, scan_small

from minewatch import checkpoint
from minewatch.archive import Observation
from minewatch.area_plan import AreaPlan
from minewatch.checkpoint import Digests, load_checkpoint, make_digests, save_checkpoint
from minewatch.detect import (
    Memory,
    Scenes,
    TileInput,
    detect_changes,
    go_on,
    judge_scenes,
    measure_scenes,
    remember,
    tell_changes,
)
from minewatch.grid import Window
from minewatch.outcome import ScanReport
from minewatch.simulate import SimulatedSeries
from minewatch.units import to_date
from tests.test_detect import DAYS, FIRST, SEEDS, assert_same, cut_looks, make_random_tile

TILE = Window(0, 0, 5, 6)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


def judge(tile: TileInput) -> Scenes:
    return judge_scenes(measure_scenes(tile), tile.settings)


def make_observations(count: int) -> list[Observation]:
    """Observations of DAYS that only have names."""
    time = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    nothing = {"key": "k", "version": 1, "digest": "", "grid": "", "sources": (), "clear_share": 0.0, "item": Path("i")}
    days = [to_date(int(day)) or time.date() for day in DAYS[:count]]
    times = [dt.datetime.combine(day, dt.time(15), dt.UTC) for day in days]
    return [Observation(time=time, raster=Path(f"{number}.tif"), **nothing) for number, time in enumerate(times)]  # type: ignore[arg-type]


def make_names(scenes: Scenes, observations: list[Observation]) -> Digests:
    return Digests("settings", observations, scenes)


@given(SEEDS, st.integers(FIRST, len(DAYS) - 1))
@settings(max_examples=30, deadline=None)
def test_going_on_gives_what_everything_gives(seed: int, stop: int) -> None:
    tile = make_random_tile(seed)
    scenes = judge(tile)
    early, late = cut_looks(tile, slice(0, stop)), cut_looks(tile, slice(stop, None))
    memory = go_on(remember(early, judge(early), whole=True), late, scenes.since(stop))
    assert_same(detect_changes(tile, scenes), tell_changes(tile, memory))


def test_nothing_new_changes_nothing() -> None:
    tile = make_random_tile(3)
    scenes = judge(tile)
    memory = go_on(remember(tile, scenes, whole=True), cut_looks(tile, slice(len(DAYS), None)), scenes.since(len(DAYS)))
    assert_same(detect_changes(tile, scenes), tell_changes(tile, memory))


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, Memory, Scenes, TileInput]:
    """A checkpoint after all looks but four."""
    tile = cut_looks(make_random_tile(7), slice(0, len(DAYS) - 4))
    scenes = judge(tile)
    memory = remember(tile, scenes, whole=True)
    save_checkpoint(tmp_path / "c", TILE, make_names(scenes, make_observations(len(DAYS) - 4)), 1, memory)
    return tmp_path / "c", memory, judge(make_random_tile(7)), tile


def test_what_is_kept_comes_back(kept: tuple[Path, Memory, Scenes, TileInput]) -> None:
    folder, memory, scenes, tile = kept
    known = load_checkpoint(folder, TILE, make_names(scenes, make_observations(len(DAYS))))
    assert known is not None
    assert (known.observations, known.epochs) == (len(DAYS) - 4, 1)
    assert_same(tell_changes(tile, known.memory), tell_changes(tile, memory))
    assert (known.memory.base == memory.base).all()
    assert known.memory.state.tobytes() == memory.state.tobytes()


def test_only_a_true_beginning_is_used(kept: tuple[Path, Memory, Scenes, TileInput]) -> None:
    folder, _, scenes, _ = kept
    looks = make_observations(len(DAYS))
    assert load_checkpoint(folder, TILE, make_names(scenes, looks)) is not None
    late_scene = [*looks[:10], replace(looks[10], raster=Path("new.tif")), *looks[11:]]
    last = len(DAYS) - 4
    same_day = [*looks[:last], replace(looks[last - 1], raster=Path("other.tif")), *looks[last:]]
    moved = replace(scenes, shift=scenes.shift + 0.01)
    for names in (
        make_names(scenes, late_scene),
        make_names(scenes, same_day),
        make_names(scenes, looks[:20]),
        make_names(moved, looks),
        replace(make_names(scenes, looks), settings="others"),
    ):
        assert load_checkpoint(folder, TILE, names) is None


@pytest.mark.parametrize("what", ["state", "base"])
@pytest.mark.parametrize("damage", ["gone", "cut", "noise"])
def test_a_damaged_one_is_no_checkpoint(kept: tuple[Path, Memory, Scenes, TileInput], what: str, damage: str) -> None:
    folder, _, scenes, _ = kept
    (path,) = folder.glob(f"*.{what}")
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else bytes(len(data)))
    assert load_checkpoint(folder, TILE, make_names(scenes, make_observations(len(DAYS)))) is None


def test_baselines_are_written_once(kept: tuple[Path, Memory, Scenes, TileInput]) -> None:
    folder, memory, scenes, tile = kept
    (path,) = folder.glob("*.base")
    before = path.stat().st_mtime_ns
    later = go_on(memory, cut_looks(make_random_tile(7), slice(len(DAYS) - 4, None)), scenes.since(len(DAYS) - 4))
    save_checkpoint(folder, TILE, make_names(scenes, make_observations(len(DAYS))), 1, later)
    assert path.stat().st_mtime_ns == before
    other = replace(memory, base=memory.base + np.int16(1))
    save_checkpoint(folder, TILE, make_names(scenes, make_observations(len(DAYS))), 2, other)
    assert not path.exists()
    assert len(list(folder.glob("*.base"))) == 1
    assert tile.inside.all()


def test_scans_with_and_without_checkpoints_end_alike(
    series: SimulatedSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minewatch.tiles.WORTH", 1)
    plain, kept = make_workspace(tmp_path / "plain", series), make_workspace(tmp_path / "kept", series)
    loaded: list[bool] = []

    def load(*arguments: object) -> checkpoint.Checkpoint | None:
        found = load_checkpoint(*arguments)  # type: ignore[arg-type]
        loaded.append(found is not None)
        return found

    monkeypatch.setattr("minewatch.tiles.load_checkpoint", load)
    report: ScanReport = scan_small(kept)
    days = sorted({observation.time.date() for observation in report.areas[0].observations})
    workspace = make_workspace(tmp_path / "steps", series)
    for until in days[-6:]:
        scan_small(workspace, until)
    assert any(loaded)
    monkeypatch.setattr("minewatch.tiles.WORTH", 10**6)
    scan_small(plain, days[-1])
    assert read_result(workspace) == read_result(plain)
    assert list((workspace.checkpoints(NAME)).glob("*.state"))


def test_settings_and_code_are_part_of_the_name(scanned_plan: AreaPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Scenes(*(np.zeros(0),) * 4, np.zeros(0, bool))
    name = make_digests([], scanned_plan, nothing).settings
    other = replace(scanned_plan, monitor_from=scanned_plan.monitor_from - dt.timedelta(days=1))
    assert make_digests([], other, nothing).settings != name
    monkeypatch.setattr("minewatch.checkpoint.digest_code", lambda: "another rule")
    assert make_digests([], scanned_plan, nothing).settings != name


@pytest.fixture
def scanned_plan(series: SimulatedSeries, tmp_path: Path) -> AreaPlan:
    return scan_small(make_workspace(tmp_path / "w", series)).areas[0].plan
