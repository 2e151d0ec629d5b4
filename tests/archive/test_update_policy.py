"""What an archive lacks: parts of an overpass in any order, newer baselines, duplicates, the same from another provider."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely.geometry import box

from minewatch.archive.item import Observation, list_observations
from minewatch.archive.publication import TempRaster, publish
from minewatch.archive.update_policy import find_refused, needs_fetch
from minewatch.archive.writer import Target, write_temp_rasters
from minewatch.core.errors import SwitchError
from minewatch.operations.scan_report import ScanReport
from minewatch.simulation.series import SimulatedSeries
from minewatch.sources.scene import Scene, group_scenes
from tests.helpers.rasters import FOREST, TIME, lay_grid, paint_bands, write_scene
from tests.helpers.small import (
    copy_series,
    list_scenes,
    make_series,
    make_workspace,
    name_scenes,
    read_result,
    scan_small,
    snapshot,
)

Change = Callable[[str, NDArray[Any]], NDArray[Any]]
"""Takes a band's name and its pixels."""

KEY = "s2a_20200704T145021"
BOX = box(-70, -13, -69, -12)


# --- one overpass ----------------------------------------------------------------------------------------------------


def make_scene(name: str, baseline: tuple[int, int] = (5, 9), tile: str = "19LCF") -> Scene:
    return Scene(name, "here", TIME, KEY, tile, baseline, {}, 0, "", BOX, 0)


def make_record(scene: Scene, outcome: str = "agree", offset: int | None = None) -> dict[str, Any]:
    """Describe a scene as an item does; ``offset`` is the one that was applied."""
    return {
        "id": scene.id,
        "source": scene.source,
        "tile": scene.tile,
        "baseline": "{:02d}.{:02d}".format(*scene.baseline),
        "offset": scene.offset if offset is None else offset,
        "offset_check": outcome,
        "offset_stated": scene.offset,
        "offset_share": None,
        "offset_pixels": 0,
    }


def archive(*scenes: Scene, refused: Sequence[Scene] = ()) -> Observation:
    sources, left_out = ([make_record(scene) for scene in part] for part in (scenes, refused))
    return Observation(KEY, TIME, 1, "", "", tuple(sources), 1, Path("a.tif"), Path("a.json"), refused=tuple(left_out))


def is_wanted(archived: Observation | None, *scenes: Scene, conflict: Any = "refuse") -> bool:
    (datatake,) = group_scenes(scenes)
    return needs_fetch(datatake, archived, conflict)


A, B, NEIGHBOUR = make_scene("a"), make_scene("b"), make_scene("n", tile="19LCG")
NEWER = make_scene("c", (5, 11))


@pytest.mark.parametrize(
    ("archived", "found", "wanted"),
    [
        ([A], [A], False),
        ([A], [A, NEIGHBOUR], True),  # another tile
        ([A], [A, B], True),  # the other half of a tile, or a duplicate: not to be told before it is read
        ([A, B], [A, B], False),  # ... and known from then on
        ([A], [B], True),  # put in its place by the same source
        ([A], [A, NEWER], True),
        ([NEWER], [A, NEWER], False),
        ([A], [replace(A, offset=-1000)], True),  # its metadata were put right
        ([A, NEIGHBOUR], [NEWER], False),  # the neighbour is missing for a while
        ([A, B], [A], False),
        ([A, B], [NEWER], True),  # both halves in one
    ],
)
def test_what_is_news(archived: list[Scene], found: list[Scene], wanted: bool) -> None:
    assert is_wanted(None, *found)
    assert is_wanted(archive(*archived), *found) is wanted


def elsewhere(*scenes: Scene) -> list[Scene]:
    return [replace(scene, id=f"other-{scene.id}", source="there", offset=-1000) for scene in scenes]


@pytest.mark.parametrize("parts", [[A], [A, NEIGHBOUR], [A, B], [make_scene("x", tile="")]])
def test_the_same_from_another_provider_is_no_news(parts: list[Scene]) -> None:
    assert not is_wanted(archive(*parts), *elsewhere(*parts))


def test_another_provider_may_have_more_or_newer() -> None:
    assert is_wanted(archive(A), *elsewhere(A, B))
    assert is_wanted(archive(A), *elsewhere(NEWER))
    assert is_wanted(archive(A), *elsewhere(A, NEIGHBOUR))
    assert not is_wanted(archive(A, B), *elsewhere(A))
    assert not is_wanted(archive(NEWER), *elsewhere(A))


def test_no_tile_ever_goes_back_to_an_older_baseline() -> None:
    """Two providers, each newer in another tile, would else overwrite each other at every scan."""
    newer_neighbour = replace(NEIGHBOUR, baseline=(5, 11))
    assert not is_wanted(archive(NEWER, NEIGHBOUR), *elsewhere(A, newer_neighbour))
    assert is_wanted(archive(NEWER, NEIGHBOUR), *elsewhere(NEWER, newer_neighbour))


def test_a_refused_scene_is_known_until_something_changes() -> None:
    before = archive(refused=[A])
    assert not is_wanted(before, A)
    assert find_refused(group_scenes([A])[0], before) == [A]
    assert is_wanted(before, A, conflict="pixels")
    assert is_wanted(before, A, conflict="metadata")
    assert is_wanted(before, replace(A, offset=-1000))
    assert is_wanted(before, A, B)
    assert is_wanted(before, A, make_scene("old", (2, 14)))
    assert is_wanted(before, *elsewhere(A))


@pytest.mark.parametrize(("applied", "settled_by"), [(0, "metadata"), (-1000, "pixels")])
def test_another_way_with_conflicts_makes_an_observation_anew(applied: int, settled_by: str) -> None:
    record = make_record(A, "contradict", applied)
    before = replace(archive(A), sources=(record,))
    for conflict in ("refuse", "metadata", "pixels"):
        assert is_wanted(before, A, conflict=conflict) is (conflict != settled_by)


GRID = lay_grid(40, 60)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    """Two halves of a tile before and after it was processed again, a neighbour, and a version with wrong metadata."""
    folder = tmp_path_factory.mktemp("parts")

    def write(name: str, columns: slice, red: int, **facts: Any) -> Scene:
        bands = paint_bands(40, 60, **(FOREST | {"red": red}))
        shown = np.zeros((20, 30), bool)
        shown[:, columns] = True
        bands["scl"] = np.where(shown, bands["scl"], 0).astype(np.uint8)
        return write_scene(folder, bands, name=name, **facts)

    west, east = slice(0, 12), slice(10, 22)
    return [
        write("a1", west, 400, baseline=(2, 14)),
        write("a2", east, 450, baseline=(2, 14)),
        write("b1", west, 500, baseline=(3, 0)),
        write("b2", east, 550, baseline=(3, 0)),
        write("c1", west, 600, baseline=(5, 9), offset=-1000),
        write("n1", slice(20, 30), 650, tile="19LCG", baseline=(2, 14)),
    ]


def let_arrive(parts: Sequence[Scene], waves: Sequence[set[int]], folder: Path) -> Observation:
    """Archive an overpass of which more and more is listed; the last scan finds nothing new."""
    listed: set[int] = set()
    known = None
    for wave in (*waves, set(range(len(parts)))):
        listed |= wave
        (datatake,) = group_scenes(parts[number] for number in listed)
        if needs_fetch(datatake, known, "refuse"):
            (temp,) = write_temp_rasters([Target(datatake, GRID, folder)])
            assert isinstance(temp, TempRaster)
            known = publish(temp, GRID, BOX, folder, known.version + 1 if known else 1)
    assert known is not None
    assert not needs_fetch(datatake, known, "refuse")
    return list_observations(folder, GRID)[KEY]


def test_smaller_pixels_than_were_read_are_fetched_and_larger_ones_are_not(parts: list[Scene], tmp_path: Path) -> None:
    (datatake,) = group_scenes(parts[2:4])
    for read, asked, expected in ((20, 10, True), (20, 20, False), (10, 20, False)):
        folder = tmp_path / f"{read}-{asked}"
        (temp,) = write_temp_rasters([Target(datatake, GRID, folder, pixel=read)])
        assert isinstance(temp, TempRaster)
        known = publish(temp, GRID, BOX, folder, 1)
        assert list_observations(folder, GRID)[KEY].read_pixel == known.read_pixel == read
        assert needs_fetch(datatake, known, "refuse", asked) is expected


@given(st.lists(st.sets(st.integers(0, 5), min_size=1), max_size=4))
@settings(max_examples=25, deadline=None)
def test_any_order_of_arrival_ends_in_the_same_observation(parts: list[Scene], waves: list[set[int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        once, grown = let_arrive(parts, [], Path(folder) / "once"), let_arrive(parts, waves, Path(folder) / "grown")
        assert once.raster.name == grown.raster.name
        assert once.raster.read_bytes() == grown.raster.read_bytes()
        assert (once.sources, once.refused, once.time) == (grown.sources, grown.refused, grown.time)
        assert [source["id"] for source in once.sources] == ["b1", "b2", "n1"]
        assert [source["id"] for source in once.refused] == ["c1"]


# --- whole scans -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minewatch.operations.scan.draw_quicklook", lambda *_: None)


def describe_alerts(report: ScanReport) -> list[tuple[Any, ...]]:
    return [(a.alert_id, a.status, a.first_seen, a.confirmed_on, a.looks) for a in report.areas[0].alerts]


def add_version(
    series: SimulatedSeries,
    name: str,
    other: str,
    change: Change | None = None,
    **facts: Any,
) -> str:
    """Put a scene into the catalogue's folder again, with other pixels and properties; gives its id."""
    home = series.catalog.parent
    shutil.copytree(home / name, home / other)
    path = (home / other / f"{name}.json").rename(home / other / f"{other}.json")
    item = json.loads(path.read_text())
    item["id"] = other
    item["properties"] |= facts
    path.write_text(json.dumps(item))
    for band in (home / other).glob("*.tif") if change else ():
        with rasterio.open(band) as raster:
            pixels, profile = raster.read(1), raster.profile
        with rasterio.open(band, "w", **(profile | {"driver": "GTiff"})) as raster:
            raster.write(change(band.stem, pixels), 1)
    return other


def scan_twice(series: SimulatedSeries, first: list[str], then: list[str], folder: Path) -> tuple[dict[str, Any], list[int]]:
    """Scan when a catalogue lists some scenes, when it lists others, and once more; gives the result and what was read."""
    watch = make_workspace(folder, series, source=str(series.catalog))
    read = []
    for names in (first, then, then):
        list_scenes(series, names)
        read.append(scan_small(watch).areas[0].fetched)
    return read_result(watch), read


def reprocess(band: str, pixels: NDArray[Any]) -> NDArray[Any]:
    """Make the pixels of a later baseline: a little darker in red."""
    return np.where(pixels > 0, np.maximum(pixels * 0.9, 1), 0).astype(pixels.dtype) if band == "B04" else pixels


def keep_west(_band: str, pixels: NDArray[Any]) -> NDArray[Any]:
    return np.where(np.arange(pixels.shape[1]) < pixels.shape[1] // 2, pixels, 0).astype(pixels.dtype)


def keep_east(_band: str, pixels: NDArray[Any]) -> NDArray[Any]:
    return np.where(np.arange(pixels.shape[1]) < pixels.shape[1] // 2, 0, pixels).astype(pixels.dtype)


def test_a_newer_baseline_that_comes_late_ends_as_if_it_had_been_there(series: SimulatedSeries, tmp_path: Path) -> None:
    names = name_scenes(series)
    grown = copy_series(series, tmp_path / "grown")
    redone = [
        add_version(grown, n, n.replace("_0_", "_1_"), reprocess, **{"s2:processing_baseline": "03.00"}) for n in names[10:]
    ]
    late, read = scan_twice(grown, names, [*names, *redone], tmp_path / "late")
    early, _ = scan_twice(grown, [*names, *redone], [*names, *redone], tmp_path / "early")
    assert late == early
    assert read == [len(names), len(redone), 0]
    gone, again = scan_twice(grown, [*names, *redone], names, tmp_path / "gone")  # the newer ones are lost to the catalogue
    assert (gone, again) == (early, [len(names), 0, 0])


def test_halves_of_a_tile_in_any_order_end_as_the_whole(series: SimulatedSeries, tmp_path: Path) -> None:
    names = name_scenes(series)
    cut = copy_series(series, tmp_path / "cut")
    west, east = (
        [add_version(cut, name, f"{name}-{side}", change) for name in names[::2]]
        for side, change in (("east", keep_west), ("west", keep_east))
    )
    halves = [*west, *east, *names[1::2]]
    late, read = scan_twice(cut, [*east, *names[1::2]], halves, tmp_path / "late")
    early, _ = scan_twice(cut, halves, halves, tmp_path / "early")
    assert late == early
    assert read == [len(names), len(east), 0]
    whole = make_workspace(tmp_path / "whole", series)
    scan_small(whole)
    rasters = [name for name in late if name not in ("alerts", "aois", "csv")]
    assert {name: late[name] for name in rasters} == {name: read_result(whole)[name] for name in rasters}


def test_a_pure_duplicate_is_read_once_more_and_changes_nothing(series: SimulatedSeries, tmp_path: Path) -> None:
    names = name_scenes(series)
    doubled = copy_series(series, tmp_path / "doubled")
    twins = [add_version(doubled, name, name.replace("_0_", "_1_")) for name in names[-5:]]
    late, read = scan_twice(doubled, names, [*names, *twins], tmp_path / "late")
    early, _ = scan_twice(doubled, [*names, *twins], [*names, *twins], tmp_path / "early")
    assert late == early
    assert read == [len(names), len(twins), 0]


def test_another_provider_reads_nothing_again(series: SimulatedSeries, tmp_path: Path) -> None:
    other = copy_series(series, tmp_path / "other", [])
    list_scenes(other, [add_version(other, name, f"{name}-other") for name in name_scenes(series)])
    watch = make_workspace(tmp_path / "watch", series)
    scan_small(watch)
    result = read_result(watch)
    for source in (other, series, other):
        assert scan_small(watch, source=str(source.catalog)).areas[0].fetched == 0
        assert read_result(watch)["status"] == result["status"]


def test_another_provider_that_would_read_again_is_asked_about(series: SimulatedSeries, tmp_path: Path) -> None:
    """Its newer baselines are read when that is said; then its looks belong to the archive, and nothing is asked any more."""
    names = name_scenes(series)
    newer = copy_series(series, tmp_path / "newer", [])
    redone = [add_version(newer, n, f"{n}-newer", **{"s2:processing_baseline": "03.00"}) for n in names[-3:]]
    list_scenes(newer, [*names[:-3], *redone])
    watch = make_workspace(tmp_path / "watch", copy_series(series, tmp_path / "before", names[:-1]))
    scan_small(watch)
    before = snapshot(watch.root / "output" / "archive") | {"csv": watch.alerts_csv.read_bytes()}
    source = str(newer.catalog)
    with pytest.raises(SwitchError) as asked:
        scan_small(watch, source=source)
    said = re.search(
        r"of 42 looks .* read 2 of them again, about (\d+) kB, beside 1 new one; .*--switch-source", str(asked.value)
    )
    sizes = [path.stat().st_size for name in redone[:-1] for path in (newer.catalog.parent / name).glob("*.tif")]
    assert said
    assert sum(sizes) <= 1000 * int(said[1]) <= 2 * sum(sizes), "of small files the head that is read first is all"
    assert snapshot(watch.root / "output" / "archive") | {"csv": watch.alerts_csv.read_bytes()} == before
    assert scan_small(watch, source=source, switch_source=True).areas[0].fetched == 3
    assert scan_small(watch, source=source).areas[0].fetched == 0


def test_a_day_counts_once(series: SimulatedSeries, tmp_path: Path) -> None:
    """Two overpasses of one day are one look: no second one that confirms an alert."""
    names = name_scenes(series)
    doubled = copy_series(series, tmp_path / "doubled")
    twins = [
        add_version(doubled, n, f"{n}-twin", **{"platform": "sentinel-2c", "s2:datatake_id": "", "s2:product_uri": ""})
        for n in names
    ]
    list_scenes(doubled, [*names, *twins])
    once = scan_small(make_workspace(tmp_path / "once", series))
    twice = scan_small(make_workspace(tmp_path / "twice", doubled, source=str(doubled.catalog)))
    assert twice.areas[0].fetched == 2 * once.areas[0].fetched
    assert describe_alerts(twice) == describe_alerts(once)
