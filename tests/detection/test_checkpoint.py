"""Checkpoints: going on from one gives what all looks from the first give, and a wrong one is never used."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from minewatch.archive.item import Observation
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import Window
from minewatch.core.parallel import Threads
from minewatch.core.progress import Reporter
from minewatch.core.units import to_date, to_day
from minewatch.detection import checkpoint
from minewatch.detection.change_map import EPISODE
from minewatch.detection.checkpoint import Digests, list_fields, load_checkpoint, make_digests, save_checkpoint
from minewatch.detection.detect import detect_changes, make_changes
from minewatch.detection.inputs import TileInput
from minewatch.detection.looks import make_looks
from minewatch.detection.mask import find_clear
from minewatch.detection.monitor import STATE, Outcome
from minewatch.detection.parallel_tiles import assess_areas
from minewatch.detection.rules import RULES_VERSION, make_rules
from minewatch.detection.scene_quality import SceneQuality, assess_scenes, measure_scenes
from minewatch.detection.series import Series
from minewatch.detection.state import TileState, process_history, update_history
from minewatch.detection.tiles import WORTH, Task, detect_tile
from minewatch.detection.track import track_pixels
from minewatch.operations.scan_report import ScanReport
from minewatch.settings.pipeline import DetectorSettings, MaskSettings
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.small import NAME, make_series, make_workspace, read_result, scan_small
from tests.helpers.tiles import DAYS, FIRST, FOREST, HAZE, SEEDS, SINCE, SOIL, assert_same, cut_looks, encode, make_random_tile

TILE = Window(0, 0, 5, 6)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


def judge(tile: TileInput) -> SceneQuality:
    return assess_scenes(measure_scenes(tile), tile.settings)


def make_observations(count: int) -> list[Observation]:
    """Observations of DAYS that only have names."""
    time = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    nothing = {"key": "k", "version": 1, "digest": "", "grid": "", "sources": (), "clear_share": 0.0, "item": Path("i")}
    days = [to_date(int(day)) or time.date() for day in DAYS[:count]]
    times = [dt.datetime.combine(day, dt.time(15), dt.UTC) for day in days]
    return [Observation(time=time, raster=Path(f"{number}.tif"), **nothing) for number, time in enumerate(times)]  # type: ignore[arg-type]


def make_names(scenes: SceneQuality, observations: list[Observation]) -> Digests:
    return Digests("settings", observations, scenes)


@given(SEEDS, st.integers(FIRST, len(DAYS) - 1))
@settings(max_examples=30, deadline=None)
def test_going_on_gives_what_everything_gives(seed: int, stop: int) -> None:
    tile = make_random_tile(seed)
    scenes = judge(tile)
    early, late = cut_looks(tile, slice(0, stop)), cut_looks(tile, slice(stop, None))
    state = update_history(process_history(early, judge(early), whole=True), late, scenes.since(stop))
    assert_same(detect_changes(tile, scenes), make_changes(tile, state))


def test_nothing_new_changes_nothing() -> None:
    tile = make_random_tile(3)
    scenes = judge(tile)
    state = update_history(
        process_history(tile, scenes, whole=True), cut_looks(tile, slice(len(DAYS), None)), scenes.since(len(DAYS))
    )
    assert_same(detect_changes(tile, scenes), make_changes(tile, state))


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Path, TileState, SceneQuality, TileInput]:
    """A checkpoint after all looks but four."""
    tile = cut_looks(make_random_tile(7), slice(0, len(DAYS) - 4))
    scenes = judge(tile)
    state = process_history(tile, scenes, whole=True)
    save_checkpoint(tmp_path / "c", TILE, make_names(scenes, make_observations(len(DAYS) - 4)), 1, state)
    return tmp_path / "c", state, judge(make_random_tile(7)), tile


def test_what_is_kept_comes_back(kept: tuple[Path, TileState, SceneQuality, TileInput]) -> None:
    folder, state, scenes, tile = kept
    known = load_checkpoint(folder, TILE, make_names(scenes, make_observations(len(DAYS))))
    assert known is not None
    assert (known.observations, known.epochs) == (len(DAYS) - 4, 1)
    assert_same(make_changes(tile, known.state), make_changes(tile, state))
    assert (known.state.base == state.base).all()
    assert known.state.anomalies.tobytes() == state.anomalies.tobytes()


def test_only_a_true_beginning_is_used(kept: tuple[Path, TileState, SceneQuality, TileInput]) -> None:
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
def test_a_damaged_one_is_no_checkpoint(kept: tuple[Path, TileState, SceneQuality, TileInput], what: str, damage: str) -> None:
    folder, _, scenes, _ = kept
    (path,) = folder.glob(f"*.{what}")
    data = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else bytes(len(data)))
    assert load_checkpoint(folder, TILE, make_names(scenes, make_observations(len(DAYS)))) is None


@pytest.mark.parametrize("name", ["STATE", "EPISODE"])
def test_fields_may_have_other_names_since(
    kept: tuple[Path, TileState, SceneQuality, TileInput], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, state, scenes, _ = kept
    today = getattr(checkpoint, name)
    renamed = np.dtype([(f"new_{field}", today[field]) for field in today.names], align=True)
    monkeypatch.setattr(f"minewatch.detection.checkpoint.{name}", renamed)
    known = load_checkpoint(folder, TILE, make_names(scenes, make_observations(len(DAYS))))
    assert known is not None
    assert (known.state.anomalies.dtype.names if name == "STATE" else known.state.closed.dtype.names) == renamed.names
    assert known.state.anomalies.tobytes() + known.state.closed.tobytes() == state.anomalies.tobytes() + state.closed.tobytes()


@pytest.mark.parametrize("name", ["STATE", "EPISODE"])
def test_records_of_another_layout_are_no_checkpoint(
    kept: tuple[Path, TileState, SceneQuality, TileInput], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _, scenes, _ = kept
    fields = [(field, getattr(checkpoint, name)[field]) for field in getattr(checkpoint, name).names]
    monkeypatch.setattr(f"minewatch.detection.checkpoint.{name}", np.dtype([*fields[:-1], (fields[-1][0], np.int64)]))
    assert load_checkpoint(folder, TILE, make_names(scenes, make_observations(len(DAYS)))) is None


def test_baselines_are_written_once(kept: tuple[Path, TileState, SceneQuality, TileInput]) -> None:
    folder, state, scenes, tile = kept
    (path,) = folder.glob("*.base")
    before = path.stat().st_mtime_ns
    later = update_history(state, cut_looks(make_random_tile(7), slice(len(DAYS) - 4, None)), scenes.since(len(DAYS) - 4))
    names = make_names(scenes, make_observations(len(DAYS)))
    save_checkpoint(folder, TILE, names, 1, later, load_checkpoint(folder, TILE, names))
    assert path.stat().st_mtime_ns == before
    other = replace(state, base=state.base + np.int16(1))
    save_checkpoint(folder, TILE, names, 2, other)
    assert not path.exists()
    assert len(list(folder.glob("*.base"))) == 1
    assert tile.inside.all()


def test_scans_with_and_without_checkpoints_end_alike(
    series: SimulatedSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minewatch.detection.tiles.WORTH", 1)
    plain, kept = make_workspace(tmp_path / "plain", series), make_workspace(tmp_path / "kept", series)
    loaded: list[bool] = []

    def load(*arguments: object) -> checkpoint.Checkpoint | None:
        found = load_checkpoint(*arguments)  # type: ignore[arg-type]
        loaded.append(found is not None)
        return found

    monkeypatch.setattr("minewatch.detection.tiles.load_checkpoint", load)
    report: ScanReport = scan_small(kept)
    days = sorted({observation.time.date() for observation in report.areas[0].observations})
    workspace = make_workspace(tmp_path / "steps", series)
    for until in days[-6:]:
        scan_small(workspace, until)
    assert any(loaded)
    monkeypatch.setattr("minewatch.detection.tiles.WORTH", 10**6)
    scan_small(plain, days[-1])
    assert read_result(workspace) == read_result(plain)
    assert list((workspace.checkpoints(NAME)).glob("*.state"))


def test_looks_of_the_baseline_that_come_later_are_judged_with_all(series: SimulatedSeries, tmp_path: Path) -> None:
    (report,) = scan_small(make_workspace(tmp_path / "w", series)).areas
    tile, begins = report.plan.grid.window, to_day(report.plan.monitor_from)
    first = [one for one in report.observations if one.day < begins][:-4]
    assert len(first) >= WORTH
    tasks = [Task(seen, report.plan, tmp_path / "kept") for seen in (first, report.observations)]
    for task, (quality,) in [(task, assess_areas([task], Threads(), Reporter())) for task in tasks]:
        found = detect_tile(task, tile, quality)
        plain = detect_tile(task._replace(checkpoints=None), tile, quality)
        assert all((found.rasters[name] == plain.rasters[name]).all() for name in plain.rasters)
        assert (found.episodes == plain.episodes).all()


def test_settings_and_rules_are_part_of_the_name(scanned_plan: AreaPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = SceneQuality(*(np.zeros(0),) * 4, np.zeros(0, bool))
    name = make_digests([], scanned_plan, nothing).settings
    other = replace(scanned_plan, monitor_from=scanned_plan.monitor_from - dt.timedelta(days=1))
    assert make_digests([], other, nothing).settings != name
    monkeypatch.setattr("minewatch.detection.checkpoint.RULES_VERSION", "another rule")
    assert make_digests([], scanned_plan, nothing).settings != name


@pytest.fixture
def scanned_plan(series: SimulatedSeries, tmp_path: Path) -> AreaPlan:
    return scan_small(make_workspace(tmp_path / "w", series)).areas[0].plan


# --- the version of the rules ----------------------------------------------------------------------------------------

GOLDEN = {
    "7f2e2394a3d2": "a253a30af5985f2f6f5ad277989bdb5ddcd1650f14e86d11963adabd4b25dd22",
    "2": "ea632955fd9b93320aa375705652aeaf0856412e8346816df48b0377aec17f53",
    "3": "94a2b9eb7aa427ec082f30aa0b7681c92f46a493258094886f50e75adf33fdfe",
}
"""What each RULES_VERSION (its first twelve characters) leaves of the eventful tile; lines are added, never changed."""

EVENTFUL_DAYS = np.arange(to_day(dt.date(2019, 1, 1)), to_day(dt.date(2023, 12, 31)), 9, dtype=np.int32)
"""Three years of history, then two years of monitoring."""

SIDE = 24
WOOD = FOREST | {"ndvi": 0.75}
CHAR = {"ndvi": 0.3, "bsi": -0.05, "blue": 0.03, "nir": 0.1}
POND = {"ndvi": 0.0, "bsi": -0.1, "blue": 0.07, "nir": 0.08}
SNOW = {"ndvi": 0.1, "bsi": -0.6, "blue": 0.4, "nir": 0.5}
SLUSH = {"ndvi": 0.2, "bsi": -0.6, "blue": 0.13, "nir": 0.16}
THIN = {"ndvi": 0.46, "bsi": -0.1, "blue": 0.035, "nir": 0.27}
SLASH = {"ndvi": 0.56, "bsi": 0.0, "blue": 0.11, "nir": 0.3}
GROUNDS = (SOIL, SOIL, SOIL, CHAR, POND, THIN, SNOW, SLUSH, HAZE, SLASH, SLASH)


def make_eventful_tile(mask: MaskSettings | None = None) -> TileInput:
    """Make a tile in which all happens that rules speak of; its random numbers are the same in all versions of libraries."""
    dice, size = random.Random(6), (len(EVENTFUL_DAYS), SIDE, SIDE)
    noise = np.frombuffer(hashlib.shake_256(b"noise").digest(4 * int(np.prod(size))), np.uint8).reshape(4, *size)
    layers = {name: WOOD[name] + 0.03 * (part / 255 - 0.5) for name, part in zip(WOOD, noise, strict=True)}
    scl, first = np.full(size, 4, np.uint8), int(np.searchsorted(EVENTFUL_DAYS, to_day(SINCE)))
    for place in np.ndindex(SIDE, SIDE):
        live_through(place, layers, scl, first, dice)
    for look in range(size[0]):
        tint_scene(look, layers, dice)
        for _ in range(2):
            top, left, height, width = (draw(dice, 0, 20) for _ in range(4))
            scl[look, top : top + height, left : left + width] = dice.choice([0, 3, 4, 4, 5, 6, 7, 8, 9, 10])
    scl[:, :2, :2] = 0
    days, inside = EVENTFUL_DAYS.copy(), np.ones((SIDE, SIDE), bool)
    days[first + 3], days[5], inside[-3:, -3:] = days[first + 4], days[6], False
    codes = encode({name: np.rint(10_000 * values).astype(np.int16) for name, values in layers.items()})
    looks = make_looks(days, np.asarray(scl.any(axis=0)), find_clear(scl, mask or MaskSettings()), codes)
    return TileInput(looks, inside, Window(0, 0, SIDE, SIDE), DetectorSettings(), SINCE, to_date(int(EVENTFUL_DAYS[-1])) or SINCE)


@pytest.mark.parametrize("room", [0, 10_000])
def test_anomalies_that_end_are_all_kept_however_many(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tile = make_eventful_tile()
    scenes = judge(tile)
    expected = track_pixels(Series.of(tile), scenes, make_rules(tile.settings))
    monkeypatch.setattr("minewatch.detection.track.ROOM", room)
    tracked = track_pixels(Series.of(tile), scenes, make_rules(tile.settings))
    assert len(tracked.closed) > 100
    assert tracked.closed.tobytes() == expected.closed.tobytes()
    assert tracked.state.tobytes() == expected.state.tobytes()


def live_through(
    place: tuple[int, ...], layers: dict[str, NDArray[Any]], scl: NDArray[np.uint8], first: int, dice: random.Random
) -> None:
    """Write what happens to one pixel."""
    if dice.random() < 0.4:  # it sheds its leaves
        winter = 0.5 + 0.5 * np.cos(2 * np.pi * (EVENTFUL_DAYS - EVENTFUL_DAYS[0]) / 365.25)
        layers["ndvi"][:, *place] -= dice.uniform(0.05, 0.4) * winter
    for _ in range(draw(dice, 0, 3.5)):  # it is lost, for a while or for good
        start, length = draw(dice, first - 5, len(scl)), dice.choice([1, 2, 3, 5, 10, 40, 100])
        blend(layers, (slice(start, start + length), *place), dice.choice(GROUNDS), dice.choice([0.4, 0.6, 0.8, 1.0]))
    if dice.random() < 0.15:  # it is tilled
        for _ in range(draw(dice, 3, 20)):
            blend(layers, (draw(dice, 0, first), *place), SOIL)
    if dice.random() < 0.05:  # it is bare
        blend(layers, (slice(None), *place), SOIL, dice.uniform(0.5, 0.9))
    if dice.random() < 0.05:  # it was seldom seen before
        scl[: draw(dice, first - 12, first), *place] = 3


def tint_scene(look: int, layers: dict[str, NDArray[Any]], dice: random.Random) -> None:
    """Let a scene differ as a whole, or not."""
    fate = dice.random()
    if fate < 0.15:
        blend(layers, (look, slice(draw(dice, 0, SIDE))), HAZE, dice.uniform(0, 0.8))
    elif fate < 0.25:  # browner or greener
        layers["ndvi"][look] += dice.choice([-0.22, -0.17, -0.1, 0.25, 0.33])
    elif fate < 0.35:  # a part of it browner
        layers["ndvi"][look, : SIDE // 3 + 1] -= dice.uniform(0.2, 0.4)
    elif fate < 0.4:
        blend(layers, (look, slice(SIDE // 2)), SNOW, dice.random())


def blend(layers: dict[str, NDArray[Any]], index: Any, ground: dict[str, float], share: float = 1.0) -> None:
    for name, value in ground.items():
        layers[name][index] += share * (value - layers[name][index])


def draw(dice: random.Random, low: float, high: float) -> int:
    return int(dice.uniform(low, high))


def list_columns(records: NDArray[Any]) -> list[NDArray[Any]]:
    """The fields of records, in order and without their names."""
    return [records[name] for name in records.dtype.names or ()]


def hash_state(tile: TileInput) -> str:
    """Name what is known of a tile by its numbers and how they lie in a checkpoint; the last digits are the processor's."""
    scenes = judge(tile)
    state = process_history(tile, scenes, whole=True)
    records = [*list_columns(np.asarray(state.anomalies)), *list_columns(state.closed)]
    arrays = [
        scenes.numbers,
        scenes.is_consistent,
        state.base,
        state.open_pixels,
        *records,
        state.clear_looks,
        state.last_clear,
        state.last_normal,
        state.last_counting,
        state.blind_days,
        state.onsets,
        state.covered,
    ]
    return hash_arrays(arrays, [list_fields(STATE), list_fields(EPISODE)])


def hash_arrays(arrays: Iterable[NDArray[Any]], layout: Any) -> str:
    digest = hashlib.sha256(repr(layout).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update((np.round(array, 6) + 0.0 if array.dtype.kind == "f" else array).tobytes())
    return digest.hexdigest()


def test_what_detection_finds_changes_with_the_version_of_its_rules() -> None:
    found = hash_state(make_eventful_tile())
    assert GOLDEN.get(RULES_VERSION[:12]) == found, (
        f"Detection, or the layout of STATE or EPISODE, differs from rules version {RULES_VERSION[:12]}: old checkpoints would "
        "be gone on from as if nothing had changed. Unless that was a mistake, raise RULES_VERSION in detection/rules.py and add "
        f'to GOLDEN, for the new version, "{found}".'
    )


GOLDEN_MAP = {"3": "4698d9a5b82c8ec9b7cc77700ff94812bdbc1179a51eb836617be5eeb1304956"}
"""What each RULES_VERSION since 3 draws of the eventful tile; lines are added, never changed."""


def test_the_change_map_changes_with_the_version_of_the_rules() -> None:
    tile = make_eventful_tile()
    changes = detect_changes(tile, judge(tile))
    rasters = [changes.rasters[name] for name in sorted(changes.rasters)]
    episodes = changes.episodes[changes.episodes["provisional_on"] > 0]
    found = hash_arrays([*rasters, changes.missing_looks, changes.onsets, *list_columns(episodes)], changes.watched)
    assert GOLDEN_MAP.get(RULES_VERSION) == found, (
        f"The change map differs from that of rules version {RULES_VERSION}: where no look is new the old one would stay. Unless "
        f'that was a mistake, raise RULES_VERSION in detection/rules.py and add to GOLDEN_MAP, for the new version, "{found}".'
    )


def test_the_eventful_tile_feels_every_rule() -> None:
    tile, scenes = make_eventful_tile(), judge(make_eventful_tile())
    trace = track_pixels(Series.of(tile), scenes, make_rules(tile.settings), traced=True).trace
    assert set(np.unique(trace[:, 0])) == set(Outcome)
    assert set(np.unique(trace[:, 1])) == {0, 1}
    found, idle = hash_state(tile), []
    for name, value in tile.settings.model_dump().items():
        more, less = (value + 1 + value // 2, value - 1) if isinstance(value, int) else (1.3 * value + 0.01, 0.75 * value)
        if all(hash_state(replace(tile, settings=tile.settings.model_copy(update={name: v}))) == found for v in (less, more)):
            idle.append(name)
    for name, value in MaskSettings().model_dump().items():
        other = value[1:] if isinstance(value, tuple) else 1.5 * value if isinstance(value, float) else value + 10
        if hash_state(make_eventful_tile(MaskSettings().model_copy(update={name: other}))) == found:
            idle.append(name)
    assert idle == [], "a rule that the tile does not feel may change unnoticed: let something happen that it speaks of"
