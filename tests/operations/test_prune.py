"""Pruning: what results rest on stays, what goes is said, and no window gives another result for it."""

from __future__ import annotations

import datetime as dt
import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from minewatch.archive.item import list_observations
from minewatch.archive.pruned import read_tombstones, write_tombstones
from minewatch.areas.aoi import Aoi, read_aoi, write_aoi
from minewatch.areas.grid import make_grid
from minewatch.cli import main
from minewatch.core.errors import ArchiveError, PrunedError, WorkspaceError
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.workspace import Workspace
from minewatch.operations.prune import GB, PruneOptions, describe_pruning, prune
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.small import (
    MONITOR_FROM,
    NAME,
    copy_workspace,
    make_scanned,
    make_series,
    make_workspace,
    read_result,
    scan_small,
    snapshot,
)
from tests.helpers.tables import edit

NOTHING = PruneOptions(keep_gb=0)
LATER = MONITOR_FROM + dt.timedelta(days=150)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return make_scanned(tmp_path_factory)[0]


@pytest.fixture
def watch(scanned: Workspace, tmp_path: Path) -> Workspace:
    return copy_workspace(scanned, tmp_path / "watch")


def set_pipeline(watch: Workspace, years: int) -> None:
    path = watch.pipelines / "default.toml"
    text = "\n".join(line for line in path.read_text().splitlines() if "baseline_years" not in line)
    path.write_text(text.replace("[detector]", f"[detector]\nbaseline_years = {years}"))


def move(watch: Workspace, day: dt.date) -> None:
    """Let the area be monitored from another day on."""
    aoi = read_aoi(watch, NAME)
    (watch.aois / f"{NAME}.geojson").unlink()
    write_aoi(watch, Aoi(NAME, aoi.geometry, day))


@pytest.fixture
def moved(watch: Workspace) -> Workspace:
    """A workspace whose window begins after some of its looks: a short baseline, and a later monitor_from."""
    set_pipeline(watch, 1)
    move(watch, MONITOR_FROM + dt.timedelta(days=150))
    watch.alerts.unlink()
    scan_small(watch)
    return watch


def list_days(watch: Workspace) -> list[dt.date]:
    grid = make_grid(read_aoi(watch, NAME))
    return sorted(o.time.date() for o in list_observations(watch.archive(NAME), grid).values())


def run(watch: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["-w", str(watch.root), *arguments])


def test_what_results_rest_on_never_goes(watch: Workspace) -> None:
    before = snapshot(watch.archive(NAME))
    pruning = prune(watch, NOTHING)
    assert snapshot(watch.archive(NAME)) == before
    assert pruning.excess == pruning.bytes_after == sum(map(len, before.values()))
    assert pruning.areas[0].needed == len(list_days(watch))


@pytest.mark.parametrize("seed", range(5))
def test_scans_after_pruning_end_as_without(moved: Workspace, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    other = copy_workspace(moved, tmp_path / "other")
    size = sum(path.stat().st_size for path in moved.archive(NAME).iterdir())
    pruning = prune(moved, PruneOptions(keep_gb=chance.uniform(0.3, 0.97) * size / GB))
    until = chance.choice(list_days(moved)[-3:])
    since = None if chance.random() < 0.5 else MONITOR_FROM + dt.timedelta(days=chance.randrange(0, 140))
    if chance.random() < 0.5:
        move(moved, MONITOR_FROM + dt.timedelta(days=155))
        move(other, MONITOR_FROM + dt.timedelta(days=155))
    scan_small(other, until, since=since)
    assert pruning.areas[0].pruned
    first = (since or read_aoi(moved, NAME).monitor_from) - dt.timedelta(days=365)
    if pruning.areas[0].pruned[-1].time.date() >= first:
        with pytest.raises(PrunedError, match="were pruned"):
            scan_small(moved, until, since=since)
        return
    assert scan_small(moved, until, since=since).areas[0].fetched == 0
    assert read_result(moved) == read_result(other)


def test_a_window_before_it_answers_pruned(moved: Workspace) -> None:
    prune(moved, NOTHING)
    before = snapshot(moved.root)
    answer = run(moved, "scan", "--since", MONITOR_FROM.isoformat(), "--until", "2023-03-31", "--replace")
    assert answer.exit_code == 1
    assert answer.stderr.strip().count("\n") == 0
    assert "pruned" in answer.stderr
    assert "2021-10-01" in answer.stderr
    after = snapshot(moved.root)
    assert {name for name in before | after if before.get(name) != after.get(name)} <= {"output/.lock"}


def test_the_tombstones_tell_what_is_gone_and_nothing_is_fetched_again(moved: Workspace) -> None:
    days = list_days(moved)
    pruning = prune(moved, NOTHING)
    tombstones = read_tombstones(moved.archive(NAME))
    assert [tombstone.day for tombstone in tombstones] == [o.time.date() for o in pruning.areas[0].pruned]
    assert sorted([*(tombstone.day for tombstone in tombstones), *list_days(moved)]) == days
    assert {tombstone.baselines for tombstone in tombstones} != {()}
    assert scan_small(moved).areas[0].fetched == 0
    collection = json.loads((moved.archive(NAME) / "collection.json").read_text())
    assert len([link for link in collection["links"] if link["rel"] == "item"]) == len(list_days(moved))


def test_alerts_in_the_table_keep_their_looks(watch: Workspace) -> None:
    set_pipeline(watch, 1)
    move(watch, MONITOR_FROM + dt.timedelta(days=170))
    gone = [o.time.date() for o in prune(watch, NOTHING, dry=True).areas[0].pruned]
    shown = gone[len(gone) // 2]
    edit(watch.alerts, "UPDATE alerts SET last_normal = ?", str(shown))
    kept = [o.time.date() for o in prune(watch, NOTHING).areas[0].pruned]
    assert kept == [day for day in gone if day < shown], "from the last look at the ground as it was on, all are kept"
    scan_small(watch)
    rest = [o.time.date() for o in prune(watch, NOTHING).areas[0].pruned]
    assert rest == [day for day in gone if day >= shown], "no alert rests on them any more"


def test_the_oldest_go_first_and_only_as_many_as_must(moved: Workspace) -> None:
    days = list_days(moved)
    size = sum(path.stat().st_size for path in moved.archive(NAME).iterdir())
    pruning = prune(moved, PruneOptions(keep_gb=0.97 * size / GB), dry=True)
    gone = [o.time.date() for o in pruning.areas[0].pruned]
    assert gone == days[: len(gone)]
    assert 0 < len(gone) < len(days) - pruning.areas[0].needed
    assert pruning.excess == 0


def test_a_dry_run_changes_nothing(moved: Workspace) -> None:
    before = snapshot(moved.root)
    pruning = prune(moved, NOTHING, dry=True)
    assert pruning.areas[0].pruned
    assert pruning.bytes_after < pruning.bytes_before
    assert snapshot(moved.root) == before


@pytest.mark.parametrize("stop", [0, 1, 5, 9])
def test_a_crash_in_between_is_finished_by_the_next_one(moved: Workspace, tmp_path: Path, stop: int, monkeypatch: Any) -> None:
    whole = copy_workspace(moved, tmp_path / "whole")
    prune(whole, NOTHING)
    deleted = 0

    def pull_the_plug(paths: Any) -> None:
        nonlocal deleted
        for path in paths:
            if deleted == stop:
                raise KeyboardInterrupt
            path.unlink()
            deleted += 1

    with monkeypatch.context() as patch:
        patch.setattr("minewatch.operations.prune.delete_files", pull_the_plug)
        with pytest.raises(KeyboardInterrupt):
            prune(moved, NOTHING)
    with pytest.raises(PrunedError):
        scan_small(moved, since=MONITOR_FROM)
    assert scan_small(moved).failures == 0
    prune(moved, NOTHING)
    names = {path.name for path in moved.archive(NAME).iterdir()}
    assert names == {path.name for path in whole.archive(NAME).iterdir()}
    assert read_tombstones(moved.archive(NAME)) == read_tombstones(whole.archive(NAME))


def test_leftovers_go_first(watch: Workspace) -> None:
    folder = watch.archive(NAME)
    item = next(path for path in sorted(folder.glob("*_v1.json")))
    raster = folder / f"{item.name.removesuffix('_v1.json')}.tif"
    second = json.loads(item.read_text())
    second["properties"]["version"] = "2"
    del second["properties"]["minewatch:checksum"]
    twin = folder / f"{raster.stem[:-12]}{'0' * 12}.tif"
    twin.write_bytes(raster.read_bytes())
    second["assets"]["observation"]["href"] = f"./{twin.name}"
    (folder / f"{twin.stem}_v2.json").write_text(json.dumps(second))
    (folder / f"{TEMPORARY_PREFIX}x.tif").write_bytes(b"half")
    (folder / "notes.txt").write_text("somebody's own")
    pruning = prune(watch, PruneOptions(keep_gb=1))
    assert set(pruning.areas[0].leftovers) == {item.name, raster.name, f"{TEMPORARY_PREFIX}x.tif"}
    assert not raster.exists()
    assert twin.exists()
    assert (folder / "notes.txt").exists()
    assert pruning.areas[0].pruned == ()


def test_forgetting_needs_a_window_that_begins_later(watch: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="monitor_from is 2022-10-01"):
        prune(watch, PruneOptions(forget_before=dt.date(2022, 6, 1)))
    assert not read_tombstones(watch.archive(NAME))


def test_forgetting_takes_all_before_the_day_whatever_room_there_is(moved: Workspace) -> None:
    days = list_days(moved)
    border = MONITOR_FROM + dt.timedelta(days=150 - 366)
    pruning = prune(moved, PruneOptions(forget_before=border))
    assert [o.time.date() for o in pruning.areas[0].pruned] == [day for day in days if day < border] != []


def test_pruning_waits_for_no_scan(moved: Workspace) -> None:
    with moved.lock(), pytest.raises(WorkspaceError):
        prune(moved, NOTHING)


def test_damaged_tombstones_are_named_with_the_remedy(moved: Workspace) -> None:
    prune(moved, NOTHING)
    path = moved.archive(NAME) / "pruned.jsonl"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"pruned\.jsonl is damaged.*delete it"):
        scan_small(moved)


def test_tombstones_of_nothing_are_nothing(tmp_path: Path) -> None:
    write_tombstones(tmp_path, [])
    assert read_tombstones(tmp_path) == []
    assert read_tombstones(tmp_path / "none") == []


def test_the_command_tells_figures_and_what_cannot_go(moved: Workspace) -> None:
    dry = run(moved, "prune", "--keep-gb", "0", "--dry-run", "--json")
    assert dry.exit_code == 3
    told = json.loads(dry.stdout)
    assert told["dry_run"]
    assert told["areas"][0]["pruned"]
    answer = run(moved, "prune", "--keep-gb", "0")
    assert answer.exit_code == 3
    assert "above the budget" in answer.stderr
    assert json.loads(run(moved, "prune", "--keep-gb", "1", "--json").stdout)["bytes_before"] < told["bytes_before"]
    assert describe_pruning(prune(moved, PruneOptions(keep_gb=1)), {})["bytes_over_budget"] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 1, "--keep-gb"),
        (("--keep-gb", "-1"), 2, "x>=0"),
        (("--keep-gb", "much"), 2, "not a valid float"),
        (("--forget-before", "soon"), 2, "is no date"),
        (("--forget-before", "2022-06-01"), 1, "monitor_from"),
    ],
)
def test_bad_input_is_one_clear_line(watch: Workspace, arguments: tuple[str, ...], code: int, words: str) -> None:
    answer = run(watch, "prune", *arguments)
    assert answer.exit_code == code
    assert words in answer.stderr


def test_the_settings_may_say_how_much(watch: Workspace) -> None:
    watch.settings.write_text(watch.settings.read_text() + "\n[prune]\nkeep_gb = 1\n")
    assert json.loads(run(watch, "prune", "--json").stdout)["budget_bytes"] == GB


def test_archives_of_areas_that_are_gone_are_named_and_left(watch: Workspace, series: SimulatedSeries) -> None:
    assert series.catalog.exists()
    old = watch.archive("old")
    assert isinstance(old, Path)
    old.mkdir()
    (old / "x.tif").write_bytes(bytes(1000))
    answer = run(watch, "prune", "--keep-gb", "1")
    assert answer.exit_code == 0
    assert "old: no such area" in answer.stderr
    assert (old / "x.tif").exists()


@pytest.mark.server
def test_an_archive_in_an_object_store_is_pruned_too(tmp_path: Path, series: SimulatedSeries, object_store: str) -> None:
    watch = make_workspace(tmp_path / "watch", series)
    watch.settings.write_text(f'archive = "{object_store}/archive"\n' + watch.settings.read_text())
    set_pipeline(watch, 1)
    move(watch, LATER)
    scan_small(watch, since=MONITOR_FROM)
    scan_small(watch)
    before = read_result(watch)
    days = list_days(watch)
    assert prune(watch, NOTHING).areas[0].pruned
    assert len(list_days(watch)) < len(days)
    assert scan_small(watch).areas[0].fetched == 0
    assert read_result(watch) == before
    with pytest.raises(PrunedError):
        scan_small(watch, since=MONITOR_FROM)
