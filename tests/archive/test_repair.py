"""Damaged files: found, fetched again, and told; the result is that of an undisturbed run, or says what it lacks."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minewatch.archive.integrity import ASIDE
from minewatch.core.workspace import Workspace
from minewatch.operations.scan_report import ScanReport
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.servers import ServeFolder
from tests.helpers.small import (
    NAME,
    copy_series,
    copy_workspace,
    list_scenes,
    make_scanned,
    make_series,
    make_workspace,
    name_scenes,
    read_result,
    scan_small,
)

ROUNDS = 5
Harm = Callable[[Path, random.Random], None]


def delete(path: Path, _chance: random.Random) -> None:
    path.unlink()


def truncate(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size))


def flip(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def rot(path: Path, chance: random.Random) -> None:
    """Flip a bit of the pixels; no date or size tells of it."""
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data) // 2, len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


HARMS: dict[str, Harm] = {"deleted": delete, "truncated": truncate, "flipped": flip}


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_scanned(tmp_path_factory)[0]


@pytest.fixture(scope="module")
def result(scanned: Workspace) -> dict[str, Any]:
    return read_result(scanned)


@pytest.fixture
def watch(scanned: Workspace, tmp_path: Path) -> Workspace:
    return copy_workspace(scanned, tmp_path / "watch")


def read_record(report: ScanReport) -> dict[str, Any]:
    return dict(json.loads(report.record.read_text())["areas"][0])


def list_files(watch: Workspace, ending: str) -> list[Path]:
    return sorted(path for path in watch.archive(NAME).glob(f"*{ending}") if path.name != "collection.json")


@pytest.mark.parametrize("ending", [".tif", ".json"])
@pytest.mark.parametrize("harm", HARMS)
def test_damage_is_found_and_fetched_again(watch: Workspace, result: dict[str, Any], harm: str, ending: str) -> None:
    before = {path.name for path in watch.archive(NAME).iterdir()}
    for number in range(ROUNDS):
        chance = random.Random(f"{harm} {ending} {number}")
        path = chance.choice(list_files(watch, ending))
        HARMS[harm](path, chance)
        report = scan_small(watch)
        (line,) = [note for note in report.areas[0].notes if "fetched again" in note]
        assert path.name in line or path.stem.split("_v")[0] in line
        assert report.areas[0].fetched == 1
        assert report.failures == 0
        assert read_result(watch) == result
        assert {path.name for path in watch.archive(NAME).iterdir()} == before
    again = scan_small(watch)
    assert not any("fetched again" in note for note in again.areas[0].notes)


@pytest.mark.server
@pytest.mark.parametrize("harm", HARMS)
def test_over_http_too(
    tmp_path: Path, series: SimulatedSeries, range_server: ServeFolder, result: dict[str, Any], harm: str
) -> None:
    served = range_server(series.catalog.parent)
    watch = make_workspace(tmp_path / "watch", series, source=f"{served.url}/catalog.json")
    scan_small(watch)
    for number in range(ROUNDS):
        chance = random.Random(f"{harm} http {number}")
        HARMS[harm](chance.choice(list_files(watch, chance.choice([".tif", ".json"]))), chance)
        report = scan_small(watch)
        assert report.areas[0].fetched == 1
        assert {name: read_result(watch)[name] for name in ("status", "first_seen")} == {
            name: result[name] for name in ("status", "first_seen")
        }


@pytest.mark.parametrize("number", range(ROUNDS))
def test_rot_that_no_date_tells_of_is_met_by_reading(
    watch: Workspace, result: dict[str, Any], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan_small(watch)  # every file is known to be whole
    chance = random.Random(number)
    path = chance.choice(list_files(watch, ".tif"))
    rot(path, chance)
    shutil.rmtree(watch.checkpoints(NAME))  # with them, nothing is read where nothing is new
    monkeypatch.setattr("minewatch.archive.integrity._read_ledger", lambda _path: _Everything())
    report = scan_small(watch)
    assert any(path.name in note for note in report.areas[0].notes)
    assert read_result(watch) == result


class _Everything(dict[str, str]):
    """A ledger in which every file is as it was last seen."""

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002
        return _Same()


class _Same(str):
    __slots__ = ()

    def __eq__(self, _other: object) -> bool:
        return True

    __hash__ = str.__hash__


@pytest.mark.parametrize("ending", [".tif", ".json"])
@pytest.mark.parametrize("harm", HARMS)
def test_what_the_source_no_longer_has_is_named(
    series: SimulatedSeries, tmp_path: Path, harm: str, ending: str, result: dict[str, Any]
) -> None:
    catalogue = copy_series(series, tmp_path / "source")
    watch = make_workspace(tmp_path / "watch", catalogue)
    scan_small(watch)
    chance = random.Random(harm)
    item = chance.choice(list_files(watch, ".json"))
    lost = json.loads(item.read_text())["properties"]
    scene = lost["minewatch:sources"][0]["id"]
    HARMS[harm](item if ending == ".json" else item.with_name(f"{item.name.rsplit('_v', 1)[0]}.tif"), chance)
    list_scenes(catalogue, [name for name in name_scenes(catalogue) if name != scene])
    for _ in range(2):
        report = scan_small(watch)
        (failed,) = read_record(report)["scenes"]["failed"]
        assert failed["id"] in (scene, lost["minewatch:key"])
        assert "lost" in failed["reason"]
        assert "without this look" in failed["reason"]
        assert scene not in read_record(report)["scenes"]["used"]
    list_scenes(catalogue, name_scenes(catalogue))
    repaired = scan_small(watch)
    assert repaired.failures == 0
    assert read_result(watch)["status"] == result["status"]
    assert not list(watch.archive(NAME).glob(f"*{ASIDE}"))
