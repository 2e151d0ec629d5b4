"""The record of an area's changes: where nothing is new no pixel is judged again, and the result is that of judging them all."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minewatch.archive.item import Observation
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.parallel import Engine, start_engine
from minewatch.core.progress import Reporter
from minewatch.detection.area_changes import MapJob, find_changes
from minewatch.detection.change_record import NAME as RECORD
from minewatch.detection.change_record import AreaChanges
from minewatch.detection.detect import make_changes
from minewatch.detection.tiles import Task
from minewatch.settings.pipeline import Pipeline
from tests.helpers.small import UNTIL, make_scanned

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with start_engine() as engine:
        yield engine


@dataclass(frozen=True)
class Night:
    """What a scan finds of an area, and where it leaves its results."""

    plan: AreaPlan
    observations: Sequence[Observation]
    folder: Path

    @property
    def maps(self) -> Path:
        return self.folder / "maps"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def find(self, engine: Engine, **choices: Any) -> AreaChanges:
        job = MapJob(Task(self.observations, self.plan, self.checkpoints), self.maps, **choices)
        return find_changes([job], engine, Reporter())[0]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Night:
    """A night on which all looks but two were there."""
    report = make_scanned(tmp_path_factory)[1].areas[0]
    night = Night(report.plan, [*report.observations[:-6], *report.observations[-5:-1]], tmp_path_factory.mktemp("first"))
    night.find(engine)
    return night


@pytest.fixture
def kept(first: Night, engine: Engine, tmp_path: Path) -> Night:
    """The same, to be changed."""
    shutil.copytree(first.folder, tmp_path / "kept")
    night = replace(first, folder=tmp_path / "kept")
    night.find(engine)  # a copy's files are not those that were published
    return night


@pytest.fixture
def looks(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Observation]:
    return make_scanned(tmp_path_factory)[1].areas[0].observations


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The tiles that are judged from now on."""
    tiles: list[object] = []

    def make(*arguments: Any) -> Any:
        tiles.append(arguments)
        return make_changes(*arguments)

    monkeypatch.setattr("minewatch.detection.tiles.make_changes", make)
    return tiles


def set_rules(section: str, **values: Any) -> Callable[[Night], Night]:
    def change(night: Night) -> Night:
        settings = night.plan.pipeline.model_dump()
        settings[section] |= values
        return replace(night, plan=replace(night.plan, pipeline=Pipeline.model_validate(settings)))

    return change


def wait(days: int) -> Callable[[Night], Night]:
    return lambda night: replace(night, plan=replace(night.plan, until=UNTIL + days * DAY))


def spoil(pattern: str) -> Callable[[Night], Night]:
    """Change one bit in the middle of a file."""

    def change(night: Night) -> Night:
        (path,) = night.folder.rglob(pattern)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 16
        path.write_bytes(data)
        return night

    return change


def cut(pattern: str) -> Callable[[Night], Night]:
    def change(night: Night) -> Night:
        (path,) = night.folder.rglob(pattern)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 8])
        return night

    return change


def remove(pattern: str) -> Callable[[Night], Night]:
    def change(night: Night) -> Night:
        (path,) = night.folder.rglob(pattern)
        path.unlink()
        return night

    return change


KNOWN = {"nothing new": (), "a day later": (wait(1),), "months later": (wait(80),), "no checkpoint": (remove("*.state"),)}
NEW = {
    "another rule": (set_rules("detector", min_looks=7),),
    "another size of alerts": (set_rules("alerts", min_area_ha=0.5),),
    "a damaged map": (spoil("status.tif"),),
    "a lost map": (remove("blind_days.tif"),),
    "no record": (remove(RECORD),),
    "a damaged record": (spoil(RECORD),),
    "a damaged checkpoint, a day later": (cut("*.state"), wait(1)),
    "no checkpoint, a day later": (remove("*.state"), wait(1)),
    "an earlier date": (wait(-1),),
}


@pytest.mark.parametrize("name", [*KNOWN, *NEW])
def test_a_record_gives_what_judging_everything_gives(
    name: str, kept: Night, engine: Engine, judged: list[object], tmp_path: Path
) -> None:
    night = kept
    for change in (KNOWN | NEW)[name]:
        night = change(night)
    changes = night.find(engine)
    assert bool(judged) == (name in NEW)
    assert_as_judged(changes, night, engine, tmp_path)


@pytest.mark.parametrize("missing", [(-6,), (-1,), ()], ids=["a new look", "a late look", "both"])
def test_looks_that_come_later_are_judged(
    missing: tuple[int, ...], kept: Night, looks: Sequence[Observation], engine: Engine, judged: list[object], tmp_path: Path
) -> None:
    chosen = [look for number, look in enumerate(looks, -len(looks)) if number not in missing]
    night = replace(kept, observations=chosen)
    changes = night.find(engine)
    assert judged
    assert_as_judged(changes, night, engine, tmp_path)


def assert_as_judged(changes: AreaChanges, night: Night, engine: Engine, folder: Path) -> None:
    """The changes and the files of the map are those of a night that knows nothing of earlier ones."""
    full = replace(night, folder=folder / "full")
    expected = full.find(engine)
    assert changes.cover(night.plan) == expected.cover(full.plan)
    assert np.sort(changes.episodes).tobytes() == np.sort(expected.episodes).tobytes()
    assert np.array_equal(changes.scene_quality.numbers, expected.scene_quality.numbers)
    assert np.array_equal(changes.scene_quality.is_consistent, expected.scene_quality.is_consistent)
    files = [{path.name: path.read_bytes() for path in place.maps.iterdir()} for place in (night, full)]
    assert files[0] == files[1]


def test_maps_elsewhere_leave_the_record_as_it_is(kept: Night, engine: Engine, judged: list[object], tmp_path: Path) -> None:
    elsewhere = replace(kept, folder=tmp_path / "elsewhere")
    shutil.copytree(kept.checkpoints, elsewhere.checkpoints)
    before = (elsewhere.checkpoints / RECORD).read_bytes()
    elsewhere.find(engine, is_recorded=False)
    assert judged
    assert (elsewhere.checkpoints / RECORD).read_bytes() == before
