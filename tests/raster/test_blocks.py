"""Blocks: fetched in few requests, ahead of time and within bounds; inflated once; the same pixels as from disk."""

from __future__ import annotations

import dataclasses
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import given, settings
from hypothesis import strategies as st

from minewatch.areas.grid import Window
from minewatch.core import http as ranges
from minewatch.core.errors import SceneError
from minewatch.core.units import NODATA
from minewatch.raster.blocks import LARGEST_RANGE, SMALLEST_POOLED, BlockCache, BlockFile, BufferPool, Prefetcher, plan_ranges
from minewatch.raster.read import DatatakeFiles, SceneFiles, open_datatake
from minewatch.raster.tiff_directory import read_directories
from minewatch.raster.tiff_header import HEAD, Box, Layout, read_layout
from minewatch.sources.georeferencing import StatedGrid
from minewatch.sources.scene import Datatake, Scene
from tests.helpers.hosts import Host, serve_host
from tests.helpers.rasters import EPSG, LEFT, TOP, lay_grid, write_raster, write_scene
from tests.helpers.servers import ServeFolder

SIDE = 640
BLOCK = 128
TILED = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "predictor": 2}
GRID = lay_grid(SIDE, SIDE)
BANDS = ("blue", "red", "nir", "swir16")


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("minewatch.raster.read.RETRY_PAUSE", 0)
    monkeypatch.setattr(ranges, "FIRST_BACKOFF", 0)


def make_bands(side: int = SIDE) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    bands = {band: random.integers(1, 10_000, (side, side), np.uint16) for band in ("blue", "green", "red", "nir")}
    coarse = (side // 2, side // 2)
    return bands | {"swir16": random.integers(1, 10_000, coarse, np.uint16), "scl": random.integers(1, 12, coarse, np.uint8)}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return write_scene(tmp_path_factory.mktemp("scenes"), make_bands(), **TILED)


def take_of(*scenes: Scene) -> Datatake:
    return Datatake("s2a_x", scenes[0].time, scenes)


def put_online(scene: Scene, url: str) -> Scene:
    return dataclasses.replace(scene, hrefs={band: f"{url}/{Path(href).name}" for band, href in scene.hrefs.items()})


def lay_out(href: str) -> Layout:
    layout = read_layout(href)
    assert layout is not None
    return layout


# --- inflated blocks -------------------------------------------------------------------------------------------------


def walk(row: int, column: int, height: int, width: int, cell: int) -> Iterator[Box]:
    """Return the cells of an area in a file, strip by strip."""
    for top in range(row, row + height, cell):
        for left in range(column, column + width, cell):
            yield top, left, min(top + cell, row + height), min(left + cell, column + width)


@settings(max_examples=60, deadline=None, database=None)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 340), st.integers(1, 340), st.sampled_from([50, 64, 100]))
def test_each_block_is_inflated_once_if_a_row_of_them_fits(
    scene: Scene, row: int, column: int, height: int, width: int, cell: int
) -> None:
    layout = lay_out(scene.hrefs["red"])
    box = (row, column, row + height, column + width)
    columns = len({block[1] for block in layout.find_blocks(box)})
    cache = BlockCache(limit=(columns + 2) * layout.block_bytes)
    file = BlockFile(layout, cache, Prefetcher())
    with rasterio.open(scene.hrefs["red"]) as raster:
        expected = raster.read(1)
    for part in walk(row, column, height, width, cell):
        assert np.array_equal(file.read(part), expected[part[0] : part[2], part[1] : part[3]])
    file.close()
    assert cache.decoded == len(layout.find_blocks(box))


def test_kept_blocks_stay_within_their_bound(scene: Scene) -> None:
    layout = lay_out(scene.hrefs["red"])
    cache = BlockCache(limit=3 * layout.block_bytes)
    file = BlockFile(layout, cache, Prefetcher())
    for part in walk(0, 0, SIDE, SIDE, 300):
        file.read(part)
        assert cache.held <= cache.limit
    file.close()
    assert cache.held == 0


def test_a_bound_smaller_than_a_block_still_reads(scene: Scene) -> None:
    file = BlockFile(lay_out(scene.hrefs["red"]), BlockCache(limit=1), Prefetcher())
    with rasterio.open(scene.hrefs["red"]) as raster:
        assert np.array_equal(file.read((0, 0, SIDE, SIDE)), raster.read(1))
    file.close()


def test_space_is_used_again_and_bounded() -> None:
    pool = BufferPool(limit=2 * SMALLEST_POOLED)
    first = pool.get(SMALLEST_POOLED)
    pool.release(first)
    assert pool.get(SMALLEST_POOLED) is first
    assert pool.get(SMALLEST_POOLED) is not first
    for _ in range(5):
        pool.release(np.empty(SMALLEST_POOLED, np.uint8))
        pool.release(np.empty(SMALLEST_POOLED - 1, np.uint8))
    assert pool.held == 2 * SMALLEST_POOLED


def test_a_scene_is_inflated_once_for_all_its_bands_and_areas(scene: Scene) -> None:
    west, east = lay_grid(SIDE, SIDE // 2), lay_grid(SIDE, SIDE // 2, left=LEFT + 5 * SIDE)
    with open_datatake(take_of(scene)) as files:
        for grid in (west, east):
            reader = files.on(grid)
            for top in range(0, SIDE, 100):
                strip = Window(top, 0, min(100, SIDE - top), SIDE // 2)
                _, origin = reader.read_scl(strip)
                for band in BANDS:
                    reader.read_reflectance(band, strip, origin)
        assert files.scenes[0].cache.decoded == 3 * 25 + 2 * 9


# --- overviews -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_overviews(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A scene of COGs, whose overviews lie in the header."""
    side, folder = 602, tmp_path_factory.mktemp("overviews")
    bands = {name: band[: side * len(band) // SIDE, : side * len(band) // SIDE] for name, band in make_bands().items()}
    scene = write_scene(folder / "plain", bands, **TILED)
    hrefs = {band: str(folder / Path(href).name) for band, href in scene.hrefs.items()}
    options = {"compress": "deflate", "predictor": 2, "blocksize": BLOCK, "overview_count": 2, "overview_resampling": "average"}
    for band, href in hrefs.items():  # classes are no numbers to average, and nobody reads their overviews
        rasterio.shutil.copy(scene.hrefs[band], href, driver="COG", **options)
    return dataclasses.replace(scene, hrefs=hrefs)


def read_all(scene: Scene, pixel: int) -> tuple[dict[str, np.ndarray], int]:
    """Return every band on the grid, and the bytes that came over the line for them."""
    grid = lay_grid(600, 600)
    with open_datatake(take_of(scene), pixel=pixel) as files:
        reader = files.on(grid)
        _, origin = reader.read_scl(grid.window)
        return {band: reader.read_reflectance(band, grid.window, origin) for band in BANDS}, files.received.total


def test_overviews_are_read_where_larger_pixels_are_enough(with_overviews: Scene) -> None:
    (sharp, _), (coarse, _) = read_all(with_overviews, 10), read_all(with_overviews, 20)
    for band in ("blue", "red", "nir"):
        with rasterio.open(with_overviews.hrefs[band], overview_level=0) as overview:
            expected = overview.read(1)[:300, :300].repeat(2, 0).repeat(2, 1)
        clear = sharp[band] != NODATA
        assert np.array_equal(coarse[band][clear], expected[clear])
    assert np.array_equal(coarse["swir16"], sharp["swir16"]), "bands of 20 m are read as they are"


@pytest.mark.server
def test_overviews_save_bytes_and_are_the_same_over_a_line(with_overviews: Scene, range_server: ServeFolder) -> None:
    remote = put_online(with_overviews, range_server(Path(with_overviews.hrefs["red"]).parent).url)
    coarse, received = read_all(remote, 20)
    assert received < 0.7 * read_all(remote, 10)[1], "headers, and two bands of 20 m, cost the same"
    here = read_all(with_overviews, 20)[0]
    assert all(np.array_equal(coarse[band], here[band]) for band in BANDS)


def test_a_file_without_overviews_is_read_as_it_is(scene: Scene) -> None:
    sharp, coarse = read_all(scene, 10)[0], read_all(scene, 20)[0]
    assert all(np.array_equal(coarse[band], sharp[band]) for band in BANDS)


def test_a_file_that_lies_elsewhere_than_its_item_states_is_refused_in_overviews_too(with_overviews: Scene) -> None:
    stated = StatedGrid(EPSG, (602, 602), (10.0, 0.0, LEFT + 5000.0, 0.0, -10.0, float(TOP)))
    moved = dataclasses.replace(with_overviews, grids={"red": stated})
    with pytest.raises(SceneError, match="contradicts its item"):
        read_all(moved, 20)


@pytest.mark.parametrize(
    ("tag", "number"),
    [
        pytest.param(257, 240, id="an image that is no half of the first"),
        pytest.param(325, 2**31, id="blocks of a size that cannot be"),
        pytest.param(254, 5, id="a mask"),
        pytest.param(258, 8, id="numbers of another type"),
    ],
)
def test_an_overview_that_cannot_be_used_is_passed_over(with_overviews: Scene, tmp_path: Path, tag: int, number: int) -> None:
    """The image itself is whole, so that it is read, whatever pixels would be enough."""
    data = bytearray(Path(with_overviews.hrefs["red"]).read_bytes())
    entry = next(entry for entry in read_directories(bytes(data), most=2)[1].entries if entry.tag == tag)
    struct.pack_into({3: "<H", 4: "<I", 16: "<Q"}[entry.kind], data, entry.place, number)
    red = tmp_path / "red.tif"
    red.write_bytes(data)
    spoilt = dataclasses.replace(with_overviews, hrefs={**with_overviews.hrefs, "red": str(red)})
    expected = read_all(with_overviews, 10)[0]["red"]
    for pixel in (10, 20):
        assert np.array_equal(read_all(spoilt, pixel)[0]["red"], expected)


# --- ranges ----------------------------------------------------------------------------------------------------------


def test_neighbouring_blocks_are_one_range(scene: Scene) -> None:
    layout = lay_out(scene.hrefs["red"])
    (row,) = plan_ranges(layout, [(2, column) for column in range(5)])
    assert row.left == 5
    assert row.size == layout.counts[2].sum()
    assert len(plan_ranges(layout, [(0, 0), (4, 4)])) == 2


def test_a_range_is_bounded(scene: Scene) -> None:
    layout = lay_out(scene.hrefs["red"])
    big = dataclasses.replace(
        layout, offsets=np.arange(25).reshape(5, 5) * 3 * 2**20, counts=np.full((5, 5), 3 * 2**20), block=(1024, 1024)
    )
    ranges_ = plan_ranges(big, big.find_blocks((0, 0, 5120, 5120)))
    assert all(item.size <= LARGEST_RANGE for item in ranges_)
    assert sum(item.left for item in ranges_) == 25


# --- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.mark.server
def test_a_band_window_costs_three_requests_at_most(scene: Scene, range_server: ServeFolder) -> None:
    server = range_server(Path(scene.hrefs["red"]).parent)
    remote = put_online(scene, server.url)
    window = Window(200, 100, 100, 300)  # across two rows of blocks
    with open_datatake(take_of(remote), GRID) as reader, open_datatake(take_of(scene), GRID) as local:
        for band in scene.hrefs:
            before = len(server.requests)
            pixels = reader.readers[0].read(band, window)
            assert np.array_equal(pixels, local.readers[0].read(band, window))
            asked = server.requests[before:]
            assert len(asked) <= 3
            assert asked[0].range == f"bytes=0-{HEAD - 1}"
            assert {request.method for request in asked} == {"GET"}


@pytest.mark.server
def test_a_whole_pass_asks_for_no_byte_twice(scene: Scene, range_server: ServeFolder) -> None:
    server = range_server(Path(scene.hrefs["red"]).parent)
    with open_datatake(take_of(put_online(scene, server.url)), GRID) as reader:
        for cell in GRID.window.cut(100, 100):
            reader.readers[0].read("red", cell)
    size = Path(scene.hrefs["red"]).stat().st_size
    assert sum(request.sent for request in server.requests) <= size + HEAD


@pytest.mark.server
@pytest.mark.parametrize("compress", ["lzw", "jp2"])
def test_what_gdal_reads_costs_few_requests_too(tmp_path: Path, range_server: ServeFolder, compress: str) -> None:
    pixels = make_bands()["red"]
    name, driver = ("a.jp2", "JP2OpenJPEG") if compress == "jp2" else ("a.tif", "GTiff")
    options = {"QUALITY": 100, "REVERSIBLE": True} if compress == "jp2" else TILED | {"compress": "lzw"}
    path = write_raster(tmp_path / name, pixels, driver=driver, **options)
    scene = write_scene(tmp_path, make_bands(64), **TILED)
    server = range_server(tmp_path)
    remote = dataclasses.replace(scene, hrefs={**scene.hrefs, "red": f"{server.url}/{path.name}"})
    with open_datatake(take_of(remote), GRID) as reader:
        reader.readers[0].files.open("red")
        opened = server.requests
        assert np.array_equal(reader.readers[0].read("red", Window(0, 0, 100, 100)), pixels[:100, :100])
    assert [request.range for request in opened] == [f"bytes=0-{HEAD - 1}"]
    assert len(server.requests) <= len(opened) + 1


@pytest.mark.server
@pytest.mark.parametrize("compress", ["lzw", "packbits"])
def test_a_band_window_of_a_cog_that_gdal_reads_costs_three_requests_at_most(
    tmp_path: Path, range_server: ServeFolder, compress: str
) -> None:
    local = write_scene(tmp_path, make_bands(), driver="COG", blocksize=BLOCK, compress=compress, overviews="NONE")
    server = range_server(Path(local.hrefs["red"]).parent)
    with open_datatake(take_of(put_online(local, server.url)), GRID) as reader:
        for band in local.hrefs:
            before = len(server.requests)
            found = reader.readers[0].read(band, Window(200, 100, 100, 300))  # across two rows of blocks
            asked = server.requests[before:]
            assert len(asked) <= 3
            assert {request.method for request in asked} == {"GET"}
            with open_datatake(take_of(local), GRID) as near:
                assert np.array_equal(found, near.readers[0].read(band, Window(200, 100, 100, 300)))


def test_headers_too_are_within_the_bound_on_requests(scene: Scene, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    names: set[str] = set()
    real = ranges.fetch

    def watch(href: str, start: int, stop: int) -> bytes:
        names.add(threading.current_thread().name)
        return real(href, start, stop)

    monkeypatch.setattr("minewatch.raster.credentials.fetch", watch)
    with open_datatake(take_of(put_online(scene, host.url)), GRID) as reader:
        reader.readers[0].read("red", GRID.window)
    assert names
    assert all(name.startswith("fetch") for name in names)


@pytest.fixture
def host(scene: Scene) -> Iterator[Host]:
    with serve_host({f"/{band}.tif": Path(href).read_bytes() for band, href in scene.hrefs.items()}) as host:
        yield host


@pytest.fixture
def files(scene: Scene, host: Host) -> Iterator[DatatakeFiles]:
    with open_datatake(take_of(put_online(scene, f"{host.url}"))) as files:
        yield files


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def wait_until_quiet(host: Host, count: int) -> None:
    """Wait for so many requests, and until none has been open for a tenth of a second."""
    wait_until(lambda: len(host.paths) >= count)
    asked = -1
    while asked < len(host.paths):
        asked = len(host.paths)
        wait_until(lambda: host.open == 0)
        time.sleep(0.1)


def test_what_was_expected_is_there_when_it_is_read(files: DatatakeFiles, host: Host, scene: Scene) -> None:
    reader = files.on(GRID)
    windows = [Window(0, 0, 300, 300), Window(0, 300, 300, 340)]
    gate = threading.Event()
    sent: list[int] = []
    host.answer = lambda answer, number: (gate.wait(30), sent.append(number), answer.send_range())
    reader.prefetch((*BANDS, "scl"), windows)
    assert sent == []  # nobody has waited for an answer
    wait_until(lambda: host.most > 3)
    assert host.most > 3
    gate.set()
    wait_until_quiet(host, 10)
    asked = len(host.paths)
    with open_datatake(take_of(scene), GRID) as local:
        for window in windows:
            for band in (*BANDS, "scl"):
                assert np.array_equal(reader.readers[0].read(band, window), local.readers[0].read(band, window))
    assert len(host.paths) == asked


def test_local_files_are_not_expected(scene: Scene) -> None:
    with open_datatake(take_of(scene), GRID) as reader:
        reader.prefetch(BANDS, [GRID.window])
        assert reader.readers[0].files.prefetcher.held == 0


def test_what_is_fetched_ahead_is_bounded(files: DatatakeFiles, host: Host) -> None:
    prefetcher = files.scenes[0].prefetcher
    prefetcher.limit = 1_500_000  # one of three bands
    reader = files.on(GRID)
    reader.prefetch(BANDS, [GRID.window])
    wait_until_quiet(host, len(BANDS) + 1)
    few = len(host.paths)
    assert 0 < prefetcher.held <= prefetcher.limit
    for band in BANDS:
        reader.readers[0].read(band, GRID.window)
    assert len(host.paths) > few
    assert prefetcher.held == 0


def test_what_is_passed_by_makes_room(files: DatatakeFiles, host: Host) -> None:
    prefetcher = files.scenes[0].prefetcher
    prefetcher.limit = 300_000  # two rows of blocks
    reader = files.on(GRID)
    for window in GRID.window.cut(SIDE // 5, SIDE // 5):
        reader.prefetch(["red"], [window])
    wait_until_quiet(host, 8)
    assert prefetcher.is_full
    reader.readers[0].read("red", Window(520, 0, 100, 100))  # all above was under cloud
    wait_until_quiet(host, 9)
    assert not prefetcher.is_full


def test_closing_stops_what_is_on_its_way(scene: Scene, host: Host) -> None:
    host.delay = 0.05
    with open_datatake(take_of(put_online(scene, host.url)), GRID) as reader:
        reader.prefetch(BANDS, [GRID.window])
    wait_until_quiet(host, len(BANDS))
    assert len(host.paths) <= len(BANDS)
    assert reader.readers[0].files.prefetcher.held == 0


def test_a_header_that_fails_ahead_is_read_again(files: DatatakeFiles, host: Host) -> None:
    host.answer = lambda answer, number: answer.send_range() if number else answer.send(404)
    reader = files.on(GRID)
    reader.prefetch(["red"], [GRID.window])
    assert reader.readers[0].read("red", GRID.window).all()


def test_bytes_that_fail_ahead_are_fetched_again(files: DatatakeFiles, host: Host) -> None:
    host.answer = lambda answer, number: answer.send(403) if number == 1 else answer.send_range()
    reader = files.on(GRID)
    reader.prefetch(["red"], [GRID.window])
    wait_until_quiet(host, 2)
    assert reader.readers[0].read("red", GRID.window).all()
    assert reader.readers[0].files.prefetcher.held == 0


def test_bytes_that_never_come_are_a_scene_error(files: DatatakeFiles, host: Host) -> None:
    host.answer = lambda answer, _: answer.send_range() if answer.headers["Range"].startswith("bytes=0-") else answer.send(403)
    reader = files.on(GRID)
    reader.prefetch(["red"], [GRID.window])
    with pytest.raises(SceneError) as caught:
        reader.readers[0].read("red", GRID.window)
    message = str(caught.value)
    assert "red" in message
    assert "403" in message
    assert host.url not in message
    assert caught.value.__cause__ is None


def test_damaged_bytes_are_a_scene_error_and_other_bands_go_on(files: DatatakeFiles, host: Host) -> None:
    content = bytearray(host.files["/red.tif"])
    content[-20_000:] = bytes(20_000)
    host.files["/red.tif"] = bytes(content)
    reader = files.on(GRID).readers[0]
    with pytest.raises(SceneError, match="damaged block"):
        reader.read("red", GRID.window)
    assert reader.read("nir", GRID.window).all()


def test_a_file_that_changes_its_size_meanwhile_is_read_anew(files: DatatakeFiles, host: Host) -> None:
    reader = files.on(GRID).readers[0]
    reader.read("red", Window(0, 0, 10, 10))
    host.files["/red.tif"] = host.files["/red.tif"][:100_000]
    with pytest.raises(SceneError):
        reader.read("red", Window(600, 600, 10, 10))


def test_many_datatakes_share_the_bound_on_requests(scene: Scene, host: Host) -> None:
    host.delay = 0.02
    bands = [*BANDS, "scl", "green"]

    def read() -> None:
        with open_datatake(take_of(put_online(scene, host.url)), GRID) as reader:
            reader.prefetch(bands, list(GRID.window.cut(BLOCK, BLOCK)))
            for band in bands:
                reader.readers[0].read(band, GRID.window)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 8 < host.most <= ranges.MOST_REQUESTS


def test_a_secret_is_in_no_message(scene: Scene, host: Host) -> None:
    host.answer = lambda answer, _: answer.send(403)
    secret = "c0" + "ffee"
    remote = dataclasses.replace(scene, hrefs={band: f"{host.url}/{band}.tif?sig={secret}" for band in scene.hrefs})
    with SceneFiles(remote) as files, pytest.raises(SceneError) as caught:
        files.on(GRID).read("red", GRID.window)
    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None
