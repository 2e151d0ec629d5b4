"""The law over a bad line: a scan gives exactly what a clean one gives, or names what it lacks and the next scan mends it.

A proxy that misbehaves (tests/helpers/proxy.py) stands before a real STAC API and a folder of scenes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from shapely.geometry import box
from urllib3.util import Timeout

from minewatch.archive.fetch import MOST_FAILURES
from minewatch.areas.aoi import Aoi, write_aoi
from minewatch.cli import main
from minewatch.core import http as ranges
from minewatch.core.errors import SceneError, SourceError
from minewatch.core.workspace import Workspace
from minewatch.likeness.grades import UNLISTED, UNREADABLE
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.operations.scan_report import ScanReport, describe_scan
from minewatch.raster import gdal as datasets
from minewatch.raster import read
from minewatch.raster.read import open_datatake
from minewatch.sources import stac as source
from minewatch.sources import stac_io as documents
from minewatch.sources.scene import Datatake
from minewatch.sources.stac import COLLECTION_DENIALS
from tests.helpers.proxy import (
    HIDDEN,
    Act,
    Line,
    Proxy,
    Reply,
    Trouble,
    busy,
    change_page,
    cut,
    flip,
    forbid,
    garble,
    lengthen,
    reset,
    reset_midway,
    run_proxy,
    send_elsewhere,
    send_json,
    send_page,
    send_whole,
    shift,
    shorten,
    stall,
    trickle,
)
from tests.helpers.rasters import COARSE, lay_grid, paint_bands, write_raster, write_scene
from tests.helpers.servers import PostgresCluster, serve_items
from tests.helpers.small import (
    MONITOR_FROM,
    NAME,
    UNTIL,
    copy_workspace,
    make_scanned,
    make_series,
    make_workspace,
    name_scenes,
    read_result,
    scan_small,
)

pytestmark = pytest.mark.server


@dataclass(frozen=True)
class Wild:
    """A line, and what a scan over a clean one gives."""

    proxy: Proxy
    clean: dict[str, Any]
    series: Any


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, postgres_cluster: PostgresCluster) -> Iterator[Wild]:
    series = make_series(tmp_path_factory)
    folder = series.catalog.parent
    items = [json.loads((folder / name / f"{name}.json").read_text()) for name in name_scenes(series)]
    collection = json.loads((folder / "collection.json").read_text()) | {"id": items[0]["collection"], "links": []}
    clean = read_result(make_scanned(tmp_path_factory)[0])
    with run_proxy(folder) as proxy, serve_items(postgres_cluster, proxy.move_assets(items), collection) as api:
        proxy.api = api
        yield Wild(proxy, clean, series)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the limits those of an impatient person."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for module, pause in ((documents, "FIRST_BACKOFF"), (ranges, "FIRST_BACKOFF"), (read, "RETRY_PAUSE")):
        monkeypatch.setattr(module, pause, 0.01)
    monkeypatch.setattr(documents, "TIMEOUT", (2, 1))
    monkeypatch.setattr(documents, "DOCUMENT_SECONDS", 1)
    monkeypatch.setattr(ranges, "TIMEOUT", Timeout(connect=2, read=1))
    monkeypatch.setattr(ranges, "ANSWER_SECONDS", 1)
    monkeypatch.setattr(source, "PAGE", 10)
    options = {"GDAL_HTTP_RETRY_DELAY": "0.01", "GDAL_HTTP_LOW_SPEED_TIME": "1", "GDAL_HTTP_TIMEOUT": "1"}
    for name, value in options.items():
        monkeypatch.setitem(datasets.GDAL_OPTIONS, name, value)


@pytest.fixture
def watch(line: Wild, tmp_path: Path) -> Workspace:
    line.proxy.start()
    return make_workspace(tmp_path / "w", line.series, line.proxy.url)


def name_failed(report: ScanReport) -> dict[str, str]:
    """Return the scenes that the run record names, with the reason."""
    text = report.record.read_text()
    assert HIDDEN not in text
    (area,) = json.loads(text)["areas"]
    return {failure["id"]: failure["reason"] for failure in area["scenes"]["failed"]}


# --- faults that pass ------------------------------------------------------------------------------------------------

PASSING: dict[str, list[Trouble]] = {
    "nothing": [],
    "busy": [
        Trouble("/files/.*red", busy(429, "0"), times=2),
        Trouble("/files/.*nir", busy(429, "Fri, 31 Dec 1999 23:59:59 GMT")),
        Trouble("/files/.*scl", busy(503), times=3),
        Trouble("/files/.*blue", busy(500)),
        Trouble("search", busy(429, "soon"), times=2),
        Trouble("^/ ", busy(503), times=2),
    ],
    "cut": [
        Trouble("/files/.*(red|nir)", cut),
        Trouble("/files/", shorten, skip=1),
        Trouble("search", cut),
        Trouble("search", shorten),
    ],
    "reset": [Trouble("/files/.*(red|nir)", reset), Trouble("/files/", reset_midway, skip=1), Trouble("search", reset, times=2)],
    "slow": [
        Trouble("/files/S2[AB]_[^_]*_202204.*red", stall(1.5)),
        Trouble("/files/S2[AB]_[^_]*_202205.*nir", trickle(0.1)),
        Trouble("search", stall(1.5)),
    ],
    "wrong": [
        Trouble("/files/.*(red|scl)", flip, skip=1),
        Trouble("/files/.*nir", shift),
        Trouble("/files/.*blue", lengthen),
        Trouble("/files/.*swir16", send_page),
        Trouble("search", send_page, times=2),
    ],
    "garbled": [Trouble("/files/", send_whole), Trouble("search", garble, times=2)],
}


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes_leaves_no_trace(line: Wild, watch: Workspace, name: str) -> None:
    line.proxy.start(*PASSING[name])
    report = scan_small(watch)
    assert (line.proxy.done > 5) == (name != "nothing")
    assert name_failed(report) == {}
    assert read_result(watch) == line.clean


# --- faults that last ------------------------------------------------------------------------------------------------

LASTING: dict[str, tuple[Act, int, str]] = {
    "blue": (busy(429, "0"), 0, "status 429"),
    "red": (forbid, 1, "status 403"),  # the header comes, and then the signature has expired
    "nir": (flip, 1, "damaged block"),
    "swir16": (cut, 1, "broke off"),
    "scl": (send_elsewhere("file:///etc/passwd"), 0, "redirected"),
}
"""Band to what is wrong with it from some request on, and what is said."""


def test_scenes_that_cannot_be_read_are_named_and_the_next_scan_reads_them(line: Wild, watch: Workspace) -> None:
    names = name_scenes(line.series)[5:30:5]
    bad = dict(zip(names, LASTING.items(), strict=True))
    plan = [Trouble(f"/files/{name}/.*{band}", act, math.inf, skip) for name, (band, (act, skip, _)) in bad.items()]
    line.proxy.start(*plan)
    report = scan_small(watch)
    failed = name_failed(report)
    assert sorted(failed) == sorted(names)
    for name, (band, (_, _, what)) in bad.items():
        assert failed[name].startswith(f"scene {name}, {band}: ")
        assert what in failed[name]
        assert line.proxy.url not in failed[name]
    assert read_result(watch) != line.clean, "three looks less show in the rasters"
    line.proxy.start()
    mended = scan_small(watch)
    assert name_failed(mended) == {}
    assert mended.areas[0].fetched == len(names), "no other look is archived again"
    assert read_result(watch) == line.clean


def test_a_server_that_goes_away_midway_is_gone_on_with_later(line: Wild, watch: Workspace) -> None:
    line.proxy.start(Trouble("/files/S2[AB]_[^_]*_(2022(0[6-9]|1)|2023)", busy(503), times=math.inf))
    failed = name_failed(scan_small(watch))
    assert 20 < len(failed) < 40
    line.proxy.start()
    assert name_failed(scan_small(watch)) == {}
    assert read_result(watch) == line.clean


def test_an_overpass_that_takes_too_long_is_given_up(line: Wild, watch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "DATATAKE_SECONDS", -1)
    failed = name_failed(scan_small(watch))
    assert sorted(failed) == sorted(name_scenes(line.series))
    assert all("given up" in reason for reason in failed.values())
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert name_failed(scan_small(watch)) == {}
    assert read_result(watch) == line.clean


ANYTHING: tuple[Act, ...] = (
    busy(429, "0"), busy(500), busy(503), busy(404), forbid, cut, shorten, lengthen, shift, send_whole, flip, garble,
    reset, reset_midway, send_page, send_json({}), send_json(b"[" * 10**5), send_elsewhere("file:///etc/passwd"),
    send_elsewhere("http://["), send_elsewhere("/files/nowhere"), trickle(0.02),
)  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_whatever_happens_the_result_is_right_or_its_gaps_are_named(line: Wild, watch: Workspace, seed: int) -> None:
    line.proxy.dice = dice = random.Random(seed)

    def do_anything(connection: Line, reply: Reply) -> None:
        dice.choice(ANYTHING)(connection, reply)

    before = None
    for share in (0.2, 0.05):
        line.proxy.start(Trouble("", do_anything, math.inf, share=share))
        try:
            report = scan_small(watch)
        except SourceError:
            assert not watch.alerts.exists() or read_result(watch) == before, "a scan that failed has changed nothing"
            continue
        before = read_result(watch)
        if not name_failed(report) and not {UNREADABLE, UNLISTED} & set(report.areas[0].likeness):
            assert before == line.clean
    line.proxy.start()
    assert name_failed(scan_small(watch)) == {}
    assert read_result(watch) == line.clean


COLLECTION = r"^/[^?]*collections/[^/?]+ "
"""The document that tells whose data the scenes are."""


@pytest.mark.parametrize("act", [busy(404), forbid, send_page, send_json({}), send_elsewhere("/files/nowhere")])
def test_a_collection_that_is_denied_once_is_asked_for_again(line: Wild, watch: Workspace, act: Act) -> None:
    line.proxy.start(Trouble(COLLECTION, act))
    scan_small(watch)
    assert line.proxy.done == 1
    assert read_result(watch) == line.clean


def test_a_collection_of_an_earlier_version_is_one(line: Wild, watch: Workspace) -> None:
    line.proxy.start(Trouble(COLLECTION, change_page(lambda collection: collection.pop("type")), math.inf))
    scan_small(watch)
    assert line.proxy.done == 1
    assert read_result(watch) == line.clean


def test_scenes_without_a_collection_are_used(line: Wild, watch: Workspace) -> None:
    line.proxy.start(Trouble(COLLECTION, busy(404), math.inf))
    assert name_failed(scan_small(watch)) == {}
    assert line.proxy.done == COLLECTION_DENIALS
    assert len(read_result(watch)["alerts"]) == len(line.clean["alerts"])


def test_a_collection_that_does_not_answer_may_tell_whose_data_they_are(
    line: Wild, watch: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "ATTEMPTS", 2)
    line.proxy.start(Trouble(COLLECTION, busy(503), math.inf))
    with pytest.raises(SourceError, match=r"does not answer.*503.*try again later"):
        scan_small(watch)
    assert not watch.alerts.exists()


# --- searches that fail ----------------------------------------------------------------------------------------------


def turn_to_itself(page: dict[str, Any]) -> None:
    page["links"] = [link | {"rel": "next"} for link in page["links"] if link["rel"] in ("next", "self")][:1]


def lose_next_address(page: dict[str, Any]) -> None:
    page["links"] = [{"rel": "next"}]


LOST: dict[str, tuple[Act, str]] = {
    "429": (busy(429, "0"), "status 429"),
    "500": (busy(500), "status 500"),
    "cut": (cut, "broke off"),
    "reset": (reset, "no answer"),
    "stall": (stall(1.2), "no answer"),
    "page for people": (send_page, "a web page"),
    "garbled": (garble, "broke off"),
    "error as JSON": (send_json({"code": "InternalError"}), "no FeatureCollection"),
    "bomb": (send_json(b"[" * 10**6), "nested"),
    "circle": (change_page(turn_to_itself), "no end"),
    "next page nowhere": (change_page(lose_next_address), "no address"),
    "to a file": (send_elsewhere("file:///etc/passwd"), "redirected"),
}


@pytest.mark.parametrize(("name", "skip"), [(name, number % 2 * 2) for number, name in enumerate(LOST)])
def test_a_search_that_fails_changes_nothing_and_says_why(
    line: Wild, watch: Workspace, monkeypatch: pytest.MonkeyPatch, name: str, skip: int
) -> None:
    monkeypatch.setattr(documents, "ATTEMPTS", 2)
    act, what = LOST[name]
    answers = iter(range(10**6))

    def fail_later(connection: Line, reply: Reply) -> None:
        (act if next(answers) >= skip else Line.send)(connection, reply)

    line.proxy.start(Trouble("/search", fail_later, times=math.inf))
    with pytest.raises(SourceError, match=re.escape(what)) as caught:
        scan_small(watch)
    assert "\n" not in str(caught.value)
    assert not watch.alerts.exists()
    assert not list(watch.runs.glob("*.json"))
    assert not any("/files/" in path for path in line.proxy.paths)


def add_far_area(watch: Workspace) -> None:
    write_aoi(watch, Aoi("far", box(10, 50, 10.01, 50.01), MONITOR_FROM))


def test_a_search_that_fails_for_one_area_leaves_the_others(line: Wild, watch: Workspace) -> None:
    add_far_area(watch)
    line.proxy.start(Trouble(r"/search .*\[10\.0, 50\.0", busy(503), times=math.inf))
    report = scan(watch, ScanRequest(until=UNTIL))
    assert [area.plan.aoi.name for area in report.areas] == [NAME]
    assert read_result(watch) == line.clean
    (missed,) = json.loads(report.record.read_text())["not_searched"]
    assert (missed["aoi"], "status 503" in missed["reason"]) == ("far", True)
    line.proxy.start()
    report = scan(watch, ScanRequest(until=UNTIL))
    assert sorted(area.plan.aoi.name for area in report.areas) == ["far", NAME]
    assert describe_scan(report)["not_searched"] == []


def test_a_search_that_fails_for_one_area_keeps_its_alerts(
    line: Wild, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    watch = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "w")
    add_far_area(watch)
    before = read_result(watch)
    line.proxy.start(Trouble(r"/search .*-\d+\.\d+, -\d+", busy(503), times=math.inf))
    report = scan(watch, ScanRequest(until=UNTIL, source=line.proxy.url))
    assert [missed.aoi for missed in report.failed_areas] == [NAME]
    after = read_result(watch)
    assert after.pop("aois")
    assert after == {key: value for key, value in before.items() if key != "aois"}


def test_a_search_that_fails_for_all_areas_is_an_error(line: Wild, watch: Workspace) -> None:
    add_far_area(watch)
    line.proxy.start(Trouble("/search", busy(503), times=math.inf))
    with pytest.raises(SourceError, match="status 503"):
        scan(watch, ScanRequest(until=UNTIL))


def test_a_source_that_is_down_is_not_asked_for_every_area(line: Wild, watch: Workspace) -> None:
    for number in range(8):
        write_aoi(watch, Aoi(f"far-{number}", box(10 + 3 * number, 50, 10.01 + 3 * number, 50.01), MONITOR_FROM))
    line.proxy.start(Trouble("/search", busy(503), times=math.inf))
    with pytest.raises(SourceError, match="status 503"):
        scan(watch, ScanRequest(until=UNTIL))
    searches = [path for path in line.proxy.paths if "/search" in path]
    assert len(searches) == MOST_FAILURES * documents.ATTEMPTS


@pytest.mark.parametrize(
    ("trouble", "code", "what"),
    [
        (Trouble("/files/.*_202204.*red", forbid, math.inf), 3, "could not be used; details in"),
        (Trouble(r"/search .*\[10\.0, 50\.0", busy(503), math.inf), 3, "far: not scanned, its alerts stay as they were"),
        (Trouble("/search", send_page, math.inf), 1, "a web page"),
    ],
    ids=["scenes", "area", "search"],
)
def test_exit_codes_tell_what_happened(line: Wild, watch: Workspace, trouble: Trouble, code: int, what: str) -> None:
    add_far_area(watch)
    line.proxy.start(trouble)
    done = CliRunner().invoke(main, ["scan", "-w", str(watch.root), "--until", UNTIL.isoformat()])
    assert done.exit_code == code, done.output
    assert what in done.stderr
    assert HIDDEN not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)


# --- files that GDAL reads -------------------------------------------------------------------------------------------

GRID = lay_grid(40, 40)
KINDS: dict[str, dict[str, Any]] = {
    "jp2": {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": True, "YCBCR420": False},
    "tif": {"driver": "GTiff", "compress": "lzw"},
}


@pytest.fixture
def odd_scene(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, Datatake, Datatake]]:
    """A scene that only GDAL reads: behind a proxy, and on disk."""
    dice = np.random.default_rng(5)
    shades = {band: dice.integers(200, 4000, (40, 40)) for band in ("blue", "green", "red", "nir")}
    bands = paint_bands(40, 40, **shades)
    scene = write_scene(tmp_path, bands)
    local = {band: str(Path(href).with_suffix(f".{request.param}")) for band, href in scene.hrefs.items()}
    for band, array in bands.items():
        write_raster(Path(local[band]), array, size=20 if band in COARSE else 10, nodata=0, **KINDS[request.param])
    with run_proxy(tmp_path) as proxy:
        there = {band: f"{proxy.url}/files/{scene.id}/{Path(href).name}?{HIDDEN}" for band, href in local.items()}
        takes = (Datatake(scene.key, scene.time, (dataclasses.replace(scene, hrefs=hrefs),)) for hrefs in (there, local))
        yield proxy, *takes


def rename(take: Datatake, number: int) -> Datatake:
    """Return the files other addresses: GDAL keeps what it once read of one."""
    (scene,) = take.scenes
    hrefs = {band: f"{href}&{number}" for band, href in scene.hrefs.items()}
    return Datatake(take.key, take.time, (dataclasses.replace(scene, hrefs=hrefs),))


def read_all(take: Datatake) -> dict[str, Any]:
    with open_datatake(take, GRID) as reader:
        classes, origin = reader.read_scl(GRID.window)
        bands = {band: reader.read_reflectance(band, GRID.window, origin) for band in ("blue", "red", "nir", "swir16")}
        return {band: array.tolist() for band, array in (bands | {"scl": classes}).items()}


@pytest.mark.parametrize("odd_scene", KINDS, indirect=True)
@pytest.mark.parametrize("own", [False, True], ids=["our requests", "GDAL's requests"])
def test_what_gdal_reads_is_right_or_named(
    odd_scene: tuple[Proxy, Datatake, Datatake], monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    proxy, there, local = odd_scene
    if own:
        monkeypatch.setenv("GDAL_HTTP_USERAGENT", "somebody who set GDAL up")
    right = read_all(local)
    assert read_all(there) == right
    numbers = itertools.count()
    for act in (busy(429, "0"), busy(503), stall(1.1), cut, reset, shorten):
        for skip in (0, 1):
            proxy.start(Trouble("/files/.*(red|scl)", act, skip=skip))
            with contextlib.suppress(SceneError):  # named; what is read is right
                assert read_all(rename(there, next(numbers))) == right
        proxy.start(Trouble("/files/.*red", act, times=math.inf))
        with pytest.raises(SceneError, match=r"scene \S+, red: cannot be read") as caught:
            read_all(rename(there, next(numbers)))
        assert HIDDEN not in str(caught.value)
