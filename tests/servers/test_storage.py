"""The archive and the change maps in an object store: a real S3 server on this machine."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from s3fs import S3FileSystem
from upath import UPath

from minewatch.alerts.explain.explain import explain_alert
from minewatch.alerts.read import read_alerts
from minewatch.archive.item import ITEM_CHECKSUM, list_observations
from minewatch.archive.object_store import read_stored
from minewatch.archive.raster import RasterWriter, read_bands
from minewatch.archive.raster_header import BANDS, find_step
from minewatch.areas.grid import ARCHIVE_BLOCK, Window
from minewatch.core.errors import ArchiveError, WorkspaceError
from minewatch.core.files import STORE_OPTIONS, list_names, parse_path, publish_bytes, read_ranges, upload
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map import RASTERS
from minewatch.operations.scan_report import ScanReport
from minewatch.settings.document import read_settings
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.servers import start_s3
from tests.helpers.small import (
    NAME,
    UNTIL,
    make_flat_grid,
    make_scanned,
    make_series,
    make_workspace,
    plain_environment,
    read_result,
    scan_small,
)

pytestmark = pytest.mark.server


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ScanReport]:
    return make_scanned(tmp_path_factory)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minewatch.operations.scan.draw_quicklook", lambda *_: None)


def store_in(workspace: Workspace, store: str, *names: str) -> Workspace:
    """Let a workspace keep its archive, its change maps or both in an object store."""
    lines = [f'{name} = "{store}/case/{name}"\n' for name in names or ("archive", "changes")]
    workspace.settings.write_text(workspace.settings.read_text() + "".join(lines))
    return workspace


@pytest.fixture
def watch(series: SimulatedSeries, tmp_path: Path, object_store: str) -> Workspace:
    return store_in(make_workspace(tmp_path / "watch", series), object_store)


def list_store(store: Any) -> list[str]:
    return sorted(name.rsplit("/", 1)[-1] for name in S3FileSystem().find(str(store)))


# --- the same result -------------------------------------------------------------------------------------------------


def strip_sources(item: bytes) -> dict[str, Any]:
    """Return an item without the addresses of its sources, which are relative on a disk, and without its checksum."""
    document = json.loads(item)
    document["links"] = [link for link in document["links"] if link["rel"] != "derived_from"]
    del document["properties"][ITEM_CHECKSUM]
    return document


def test_a_scan_into_a_store_gives_what_a_disk_gives(watch: Workspace, scanned: tuple[Workspace, ScanReport]) -> None:
    report = scan_small(watch)
    local = scanned[0]
    assert isinstance(watch.changes(NAME), UPath)
    assert read_result(watch) == read_result(local)
    assert list_store(watch.archive(NAME)) == sorted(path.name for path in Path(str(local.archive(NAME))).iterdir())
    kept, stored = (list_observations(place.archive(NAME), report.areas[0].plan.grid) for place in (local, watch))
    for key, observation in kept.items():
        assert observation.raster.read_bytes() == stored[key].raster.read_bytes()
        assert strip_sources(observation.item.read_bytes()) == strip_sources(stored[key].item.read_bytes())
    names = {path.relative_to(watch.root).parts[:2] for path in watch.root.rglob("*") if path.is_file()}
    assert {("output", "archive"), ("output", "changes")}.isdisjoint(names)
    assert {("output", "alerts.gpkg"), ("output", "alerts.csv"), ("output", "runs")} <= names


def test_a_second_scan_reads_no_scene_again(watch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scan_small(watch)
    result = read_result(watch)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a scene was opened")

    monkeypatch.setattr("minewatch.archive.writer.open_datatake", refuse)
    second = scan_small(watch)
    assert (first.areas[0].fetched, second.areas[0].fetched) == (len(first.areas[0].observations), 0)
    assert read_result(watch) == result


@pytest.mark.parametrize("name", ["archive", "changes"])
def test_either_may_lie_in_a_store_alone(series: SimulatedSeries, tmp_path: Path, object_store: str, name: str) -> None:
    watch = store_in(make_workspace(tmp_path / "watch", series), object_store, name)
    scan_small(watch, until=dt.date(2022, 10, 20))
    assert list_store(object_store)
    assert (watch.root / "output" / "archive").exists() == (name == "changes")
    assert (watch.root / "output" / "changes").exists() == (name == "archive")


def test_another_folder_may_hold_them(series: SimulatedSeries, scanned: tuple[Workspace, ScanReport], tmp_path: Path) -> None:
    watch = make_workspace(tmp_path / "watch", series)
    lines = f'archive = "{tmp_path}/mount/archive"\nchanges = "../maps"\n'
    watch.settings.write_text(watch.settings.read_text() + lines)
    scan_small(watch)
    assert read_result(watch) == read_result(scanned[0])
    assert watch.archive(NAME) == tmp_path / "mount" / "archive" / NAME
    assert sorted(path.stem for path in (tmp_path / "maps" / NAME).iterdir()) == sorted(RASTERS)
    assert {path.name for path in (watch.root / "output").iterdir()}.isdisjoint({"archive", "changes"})


def test_a_scan_into_another_folder_leaves_the_maps_in_the_store(watch: Workspace, tmp_path: Path) -> None:
    apart = Workspace(watch.root, tmp_path / "apart")
    scan_small(apart, until=dt.date(2022, 10, 20))
    assert apart.changes(NAME) == tmp_path / "apart" / "changes" / NAME
    assert list_names(watch.changes(NAME)) == set()
    assert list_names(watch.archive(NAME))


def test_an_alert_is_explained_from_a_store(watch: Workspace, scanned: tuple[Workspace, ScanReport]) -> None:
    scan_small(watch)
    alert = str(read_alerts(watch.alerts)["alert_id"].iloc[0])
    there, here = (explain_alert(workspace, alert) for workspace in (watch, scanned[0]))
    assert there.looks == here.looks


def test_nothing_unfinished_is_left(watch: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    scan_small(watch)
    assert {path.name for path in scratch.iterdir()} <= {"dask-scratch-space"}
    assert [name for name in list_store(watch.archives) if name.startswith(".")] == []
    assert [name for name in list_store(watch.change_maps) if name.startswith(".")] == []


# --- blocks ----------------------------------------------------------------------------------------------------------

GRID = make_flat_grid(ARCHIVE_BLOCK + 90, 2 * ARCHIVE_BLOCK + 37)


@pytest.fixture
def rasters(tmp_path: Path, object_store: str) -> tuple[list[Path], list[UPath]]:
    """Three rasters with noise, holes and another order of blocks, on the disk and in the store."""
    random = np.random.default_rng(5)
    local = [tmp_path / f"{number}.tif" for number in range(3)]
    for path in local:
        writer = RasterWriter(path, GRID)
        blocks = list(GRID.window.cut(ARCHIVE_BLOCK, ARCHIVE_BLOCK))
        for block in random.permutation(len(blocks)):
            for band in range(len(BANDS)):
                if random.random() > 0.2:
                    writer.write(blocks[block], band, random.integers(0, 255, blocks[block].shape, np.uint8))
        writer.close()
    stored = [UPath(f"{object_store}/{path.name}", **STORE_OPTIONS) for path in local]
    upload(dict(zip(local, stored, strict=True)))
    return local, stored


WINDOWS = [
    GRID.window,
    Window(0, 0, 7, 9),
    Window(ARCHIVE_BLOCK - 3, ARCHIVE_BLOCK - 5, 20, 600),
    Window(ARCHIVE_BLOCK, 2 * ARCHIVE_BLOCK, 90, 37),
]


@pytest.mark.parametrize("head", [2**16, 64])
@pytest.mark.parametrize("bands", [range(1), range(len(BANDS))])
def test_a_store_gives_the_blocks_that_a_disk_gives(
    rasters: tuple[list[Path], list[UPath]], bands: range, head: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minewatch.archive.object_store.HEAD", head)
    monkeypatch.setattr("minewatch.archive.object_store.TOGETHER", 2)
    local, stored = rasters
    for window in WINDOWS:
        here, there = (np.full((3, len(bands), *window.shape), 77, np.uint8) for _ in range(2))
        for path, out in zip(local, here, strict=True):
            read_bands(path, bands, window, out)
        read_stored(stored, bands, window, list(there), sample=False)
        assert (here == there).all()


def test_the_sample_is_read_from_a_store_too(rasters: tuple[list[Path], list[UPath]]) -> None:
    step = find_step(GRID.shape)
    shape = -(-GRID.shape[0] // step), -(-GRID.shape[1] // step)
    assert step > 1
    window = Window(3, 5, shape[0] - 7, shape[1] - 8)
    here, there = (np.empty((len(BANDS), *window.shape), np.uint8) for _ in range(2))
    read_bands(rasters[0][0], range(len(BANDS)), window, here, sample=True)
    read_stored(rasters[1][:1], range(len(BANDS)), window, [there], sample=True)
    assert (here == there).all()


def test_neighbouring_blocks_come_in_one_request(
    rasters: tuple[list[Path], list[UPath]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[Any]] = []

    def count(spans: list[Any]) -> list[bytes]:
        asked.append(spans)
        return read_ranges(spans)

    monkeypatch.setattr("minewatch.archive.object_store.read_ranges", count)
    for _ in range(2):
        out = np.empty((len(BANDS), ARCHIVE_BLOCK, ARCHIVE_BLOCK), np.uint8)
        read_stored(rasters[1][:1], range(len(BANDS)), Window(0, 0, ARCHIVE_BLOCK, ARCHIVE_BLOCK), [out], sample=False)
    assert [len(spans) for spans in asked] == [1, 1, 0, 1], "the tables once, then each time all bands of the block"


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_damaged_raster_is_told_with_what_to_do(rasters: tuple[list[Path], list[UPath]], size: int) -> None:
    broken = rasters[1][0].parent / "broken.tif"
    publish_bytes(broken, rasters[0][0].read_bytes()[:size])
    out = np.empty((len(BANDS), *GRID.shape), np.uint8)
    with pytest.raises(ArchiveError, match=r"broken\.tif cannot be read; delete it"):
        read_stored([broken], range(len(BANDS)), GRID.window, [out], sample=False)
    with pytest.raises(ArchiveError, match=r"gone\.tif cannot be read; delete it"):
        read_stored([broken.parent / "gone.tif"], range(1), GRID.window, [out], sample=False)


# --- what an interruption leaves -------------------------------------------------------------------------------------


def test_a_scan_that_is_cut_off_leaves_a_usable_archive(
    watch: Workspace, scanned: tuple[Workspace, ScanReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    count = iter(range(100))

    def pull_the_plug(*arguments: Any) -> None:
        if next(count) == 10:
            raise KeyboardInterrupt
        publish_bytes(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("minewatch.archive.publication.publish_bytes", pull_the_plug)
        with pytest.raises(KeyboardInterrupt):
            scan_small(watch)
    names = list_names(watch.archive(NAME))
    assert sum(name.endswith(".json") for name in names) == 10
    assert sum(name.endswith(".tif") for name in names) > 10, "a raster without an item is not part of the archive"
    again = scan_small(watch)
    assert again.areas[0].fetched == len(again.areas[0].observations) - 10
    assert read_result(watch) == read_result(scanned[0])
    names = list_names(watch.archive(NAME))
    assert sum(name.endswith(".tif") for name in names) == sum(name.endswith("_v1.json") for name in names)


@pytest.mark.parametrize("method", ["_put_file", "_pipe_file", "_cat_file"])
def test_a_store_that_fails_on_the_way_is_one_clear_error(
    watch: Workspace, scanned: tuple[Workspace, ScanReport], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    works = getattr(S3FileSystem, method)
    count = iter(range(10_000))

    async def fail_later(*arguments: Any, **options: Any) -> Any:
        if next(count) > 20:
            raise OSError(5, "testing-secret is in the text")
        return await works(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(S3FileSystem, method, fail_later)
        S3FileSystem.clear_instance_cache()
        with pytest.raises(WorkspaceError, match=r"cannot use s3://.*OSError; try again later") as caught:
            scan_small(watch)
    assert "secret" not in str(caught.value)
    assert not watch.alerts.exists()
    S3FileSystem.clear_instance_cache()
    scan_small(watch)
    assert read_result(watch) == read_result(scanned[0])


# --- requests that will not do ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("gs://bucket/archive", "an address of this kind cannot be used"),
        ("s3://", "names no bucket"),
        ("s3://key:secret@bucket/archive", "names no bucket"),
        ("", "archive"),
        ("   /../nowhere://x", "an address of this kind cannot be used"),
    ],
)
def test_an_address_that_cannot_be_is_named_by_its_key(series: SimulatedSeries, tmp_path: Path, address: str, words: str) -> None:
    watch = make_workspace(tmp_path / "watch", series)
    watch.settings.write_text(watch.settings.read_text() + f'archive = "{address}"\n')
    with pytest.raises(WorkspaceError, match=words) as caught:
        read_settings(watch)
    assert f"{watch.settings}: archive: " in str(caught.value)
    assert "secret" not in str(caught.value)
    with pytest.raises(WorkspaceError, match="archive: "):
        scan_small(watch, source=str(series.catalog))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(WorkspaceError, match=r"pip install 'minewatch\[s3\]'"):
        parse_path("s3://bucket/archive", tmp_path)


def run_scan(watch: Workspace, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "minewatch", "-w", str(watch.root), "scan", "--until", str(UNTIL)]
    return subprocess.run(command, env=plain_environment(**environment), capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def strict_server() -> Iterator[str]:
    """An S3 server that knows nobody."""
    with start_s3(INITIAL_NO_AUTH_ACTION_COUNT="0") as address:
        yield address


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("login", "access is denied; check the credentials"),
        ("none", "there are no credentials; set AWS_ACCESS_KEY_ID"),
        ("bucket", "there is no such bucket"),
        ("endpoint", "there is no connection; check AWS_ENDPOINT_URL"),
    ],
)
def test_a_store_that_cannot_be_used_is_one_line(
    watch: Workspace, strict_server: str, monkeypatch: pytest.MonkeyPatch, fault: str, words: str
) -> None:
    environment = {}
    if fault == "login":
        environment = {"AWS_ENDPOINT_URL": strict_server}
    if fault == "none":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    if fault == "bucket":
        watch.settings.write_text(watch.settings.read_text().replace("s3://archive-", "s3://nowhere-"))
    if fault == "endpoint":
        environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = run_scan(watch, environment)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.strip()]
    assert line.startswith("Error: cannot use s3://")
    assert words in line
    assert "testing-secret" not in done.stdout + done.stderr
    assert not watch.alerts.exists()
