"""Evidence: written once with the alert, checked byte by byte, signed."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.features
import rasterio.warp

from minewatch.alerts.rows import find_current_ids
from minewatch.areas.grid import Grid, Window
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import read_custody
from minewatch.products.evidence.folder_writer import EvidenceFolders, EvidenceInput, EvidenceResult, write_evidence
from minewatch.products.evidence.image_writer import EvidenceImageRequest, WrittenImages, writing_images
from minewatch.products.evidence.verification import TrustAnchors, verify_path
from minewatch.raster.read import open_datatake
from minewatch.simulation.series import SimulatedSeries
from minewatch.sources.scene import Datatake
from tests.helpers.dossiers import find_band, list_evidence, make_keys, make_watch, read_json, rewrite, run, start_apart
from tests.helpers.small import (
    copy_series,
    list_scenes,
    make_flat_grid,
    make_series,
    make_workspace,
    name_scenes,
    scan_small,
    snapshot,
)

KILLS = 5


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture
def watch(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    return make_watch(tmp_path_factory, tmp_path)


@pytest.fixture(autouse=True)
def plain_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_apart(tmp_path, monkeypatch)


# --- what a scan writes ----------------------------------------------------------------------------------------------


def test_a_scan_puts_confirmed_alerts_on_file(watch: Workspace) -> None:
    alerts = run("alerts", "list", "-w", watch.root, "--json")
    confirmed = {row["alert_id"] for row in json.loads(alerts.stdout) if row["confirmed_on"]}
    assert confirmed
    assert {folder.name for folder in list_evidence(watch)} == confirmed
    for folder in list_evidence(watch):
        manifest = read_json(folder / "manifest.json")
        files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
        names = {path.as_posix() for path in files if not path.parts[0].startswith("growth-")} - {"manifest.json"}
        assert manifest["format"] == 2
        assert names == set(manifest["files"])
        assert {"before.tif", "before-scl.tif", "after.tif", "after-scl.tif", "alert.geojson"} < names
        assert {"pipeline.toml", "method.json", "series.csv"} < names
        for name, stated in manifest["files"].items():
            data = (folder / name).read_bytes()
            assert stated == {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        assert not any(path.is_symlink() for path in folder.iterdir())


def test_the_images_show_the_loss_on_the_alerts_ground(watch: Workspace) -> None:
    for folder in list_evidence(watch):
        (feature,) = read_json(folder / "alert.geojson")["features"]
        manifest = read_json(folder / "manifest.json")
        ndvi = {}
        for name in ("before", "after"):
            with rasterio.open(folder / f"{name}.tif") as raster, rasterio.open(folder / f"{name}-scl.tif") as classes:
                assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
                assert raster.dtypes[0] == "int16"
                assert raster.transform == classes.transform
                assert [text.split()[0] for text in raster.descriptions] == ["blue", "green", "red", "nir", "swir16"]
                outline = rasterio.warp.transform_geom("EPSG:4326", raster.crs, feature["geometry"])
                inside = rasterio.features.geometry_mask([outline], raster.shape, raster.transform, invert=True)
                red, nir = (raster.read(band)[inside].astype(float) for band in (3, 4))
                ndvi[name] = np.median((nir - red) / (nir + red))
        assert ndvi["before"] - ndvi["after"] > 0.2
        times = {name: image["acquired"][:10] for name, image in manifest["images"].items()}
        properties = feature["properties"]
        assert times["before"] == properties["last_normal"] == manifest["bracket"]["last_normal"]
        assert times["after"] == properties["confirmed_on"] == properties["as_of"]
        assert times["before"] < properties["first_seen"] <= times["after"]
        assert all(source["baseline"] and source["id"] for image in manifest["images"].values() for source in image["sources"])


def test_the_next_scan_leaves_evidence_as_it_is(watch: Workspace) -> None:
    before = snapshot(watch.evidence)
    report = scan_small(watch)
    assert snapshot(watch.evidence) == before
    assert report.areas[0].evidence.written == ()


def test_evidence_that_could_not_be_written_is_named_and_tried_again(series: SimulatedSeries, tmp_path: Path) -> None:
    moved = copy_series(series, tmp_path / "series")
    workspace = make_workspace(tmp_path / "own", moved)
    scan_small(workspace)
    ids = {folder.name for folder in list_evidence(workspace)}
    before = read_json(list_evidence(workspace)[0] / "manifest.json")["images"]["before"]["sources"][0]["id"]
    shutil.rmtree(workspace.evidence)
    band = find_band(moved, before, "nir")
    kept = band.read_bytes()
    band.write_bytes(kept[:100])
    report = scan_small(workspace)
    failed = report.areas[0].evidence.failed
    assert failed
    assert before in next(iter(failed.values()))
    assert any(alert_id in note and "tries again" in note for alert_id in failed for note in report.areas[0].notes)
    (area,) = read_json(report.record)["areas"]
    assert {entry["alert_id"] for entry in area["evidence"]["failed"]} == set(failed)
    assert not any(path.name.startswith(".") for path in workspace.evidence.iterdir())
    answer = run("scan", "-w", workspace.root, "--until", "2023-03-31")
    assert answer.exit_code == 3
    band.write_bytes(kept)
    report = scan_small(workspace)
    assert set(report.areas[0].evidence.written) == set(failed)
    assert {folder.name for folder in list_evidence(workspace)} == ids
    assert run("verify", workspace.root).exit_code == 0


def test_checksums_of_the_provider_stand_in_the_manifest(series: SimulatedSeries, tmp_path: Path) -> None:
    moved = copy_series(series, tmp_path / "series")
    for path in moved.catalog.parent.glob("*/S2*.json"):
        item = read_json(path)
        for asset in item["assets"].values():
            asset["file:checksum"] = "1220" + hashlib.sha256(asset["href"].encode()).hexdigest()
        path.write_text(json.dumps(item))
    workspace = make_workspace(tmp_path / "own", moved)
    scan_small(workspace)
    manifest = read_json(list_evidence(workspace)[0] / "manifest.json")
    checksums = manifest["images"]["after"]["sources"][0]["checksums"]
    assert {"red", "nir", "scl"} <= set(checksums)
    assert all(text.startswith("1220") for text in checksums.values())


def capture_finding(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, **choices: Any) -> EvidenceInput:
    """Scan, and give what the scan hands over when it comes to evidence; none is written."""
    found: list[EvidenceInput] = []

    def capture(_: Workspace, scan: EvidenceInput, _folders: EvidenceFolders) -> EvidenceResult:
        found.append(scan)
        return EvidenceResult()

    with monkeypatch.context() as patch:
        patch.setattr("minewatch.operations.scan.write_evidence", capture)
        scan_small(workspace, **choices)
    return found[0]


def forget_evidence(workspace: Workspace) -> None:
    for path in (workspace.custody, workspace.custody.with_suffix(".head")):
        path.unlink(missing_ok=True)
    shutil.rmtree(workspace.evidence, ignore_errors=True)


def test_an_image_that_the_source_lost_is_not_replaced_by_another(
    watch: Workspace, series: SimulatedSeries, tmp_path: Path
) -> None:
    """What is called before shows the last normal look and no other; the rest of the evidence does not wait for it."""
    moved = copy_series(series, tmp_path / "series")
    workspace = make_workspace(tmp_path / "own", moved)
    scan_small(workspace)
    shutil.rmtree(workspace.evidence)
    images = [read_json(folder / "manifest.json")["images"] for folder in list_evidence(watch)]
    lost = {source["id"] for image in images for source in image["before"]["sources"]}
    list_scenes(moved, [name for name in name_scenes(series) if name not in lost])
    assert scan_small(workspace).areas[0].evidence.failed == {}
    for folder in list_evidence(workspace):
        manifest = read_json(folder / "manifest.json")
        assert "before" not in manifest["images"]
        assert not (folder / "before.tif").exists()
        assert any(name in manifest["not_shown"]["before"] for name in lost)
    assert run("verify", workspace.root, "--fetch").exit_code == 0


def test_where_the_source_lost_the_confirming_look_the_reason_is_told(watch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_evidence(watch)
    scan = capture_finding(watch, monkeypatch)
    kept = write_evidence(watch, replace(scan, scenes=[]))
    assert kept.written == ()
    assert len(kept.failed) == 2
    assert all("the confirming look cannot be shown: the source no longer lists S2" in r for r in kept.failed.values())
    assert not watch.evidence.exists() or list(watch.evidence.iterdir()) == []


def test_an_alert_without_a_normal_look_says_so(watch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_evidence(watch)
    scan = capture_finding(watch, monkeypatch)
    alerts = [replace(alert, last_normal=None) for alert in scan.alerts]
    write_evidence(watch, replace(scan, alerts=alerts))
    for folder in list_evidence(watch):
        manifest = read_json(folder / "manifest.json")
        assert manifest["not_shown"]["before"] == "no look is known at which its ground was judged normal"
        assert not (folder / "before.tif").exists()
        assert (folder / "after.tif").exists()


def test_the_folders_of_all_areas_are_looked_up_once(watch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a scan of a thousand areas would ask for each folder of all of them a thousand times."""
    scan = capture_finding(watch, monkeypatch)
    asked: list[list[str]] = []

    def note_names(table: Path, names: list[str]) -> dict[str, str]:
        asked.append(names)
        return find_current_ids(table, names)

    monkeypatch.setattr("minewatch.products.evidence.folder_writer.find_current_ids", note_names)
    folders = EvidenceFolders(watch)
    assert [write_evidence(watch, scan, folders) for _ in range(3)] == 3 * [EvidenceResult()], "each is on file"
    assert asked == [sorted(path.name for path in list_evidence(watch))]


def test_each_overpass_is_opened_once(watch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_evidence(watch)
    scan = capture_finding(watch, monkeypatch)
    opened: list[str] = []

    def note_opening(datatake: Datatake, *more: Any) -> Any:
        opened.append(datatake.key)
        return open_datatake(datatake, *more)

    monkeypatch.setattr("minewatch.products.evidence.image_writer.open_datatake", note_opening)
    twins = [replace(alert, alert_id=f"{alert.alert_id}-{number}") for alert in scan.alerts for number in range(10)]
    kept = write_evidence(watch, replace(scan, alerts=twins))
    assert len(kept.written) == 10 * sum(alert.confirmed_on is not None for alert in scan.alerts)
    assert opened
    assert len(opened) == len(set(opened))
    assert {len(list(folder.glob("*-scl.tif"))) for folder in list_evidence(watch)} == {2}


def test_what_lies_in_the_same_blocks_is_read_one_after_the_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In any other order the blocks of a large area would leave the cache before they are needed again."""
    places = [(row, column) for row in range(0, 4000, 500) for column in range(0, 4000, 500)]
    random.Random(1).shuffle(places)
    overpass = Datatake("s2a", dt.datetime(2025, 1, 14, tzinfo=dt.UTC), ())
    requests = [EvidenceImageRequest("", "after", overpass, Window(*place, 100, 100), tmp_path) for place in places]
    order: list[tuple[int, int]] = []

    def note_order(_: Grid, read: Sequence[EvidenceImageRequest]) -> WrittenImages:
        order.extend((request.window.row // 1024, request.window.column // 1024) for request in read)
        return WrittenImages({}, {})

    monkeypatch.setattr("minewatch.products.evidence.image_writer._write_overpass", note_order)
    with writing_images(make_flat_grid(4096, 4096), requests) as wait:
        wait()
    assert len(order) == len(places)
    assert order == sorted(order)


def test_leftovers_go_though_nothing_is_missing(watch: Workspace) -> None:
    left = watch.evidence / ".tmp-0123456789ab"
    left.mkdir()
    (left / "before.tif").write_bytes(b"half")
    before = [folder.name for folder in list_evidence(watch) if folder != left]
    scan_small(watch)
    assert [folder.name for folder in list_evidence(watch)] == before


def test_a_folder_of_evidence_that_cannot_be_made_never_stops_a_scan(series: SimulatedSeries, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "own", series)
    workspace.output.mkdir()
    workspace.evidence.write_text("in the way")
    report = scan_small(workspace)
    assert len(report.areas[0].evidence.failed) == 2
    workspace.evidence.unlink()
    assert len(scan_small(workspace).areas[0].evidence.written) == 2


def _serve(workspace: Workspace, scan: EvidenceInput, line: Connection) -> None:
    """Write the evidence in a process of its own, as often as asked, and tell its number."""
    while line.recv():
        child = os.fork()
        if child == 0:
            write_evidence(workspace, scan)
            os._exit(0)
        line.send(child)
        os.waitpid(child, 0)
        line.send(0)


def test_no_kill_leaves_half_a_folder_or_one_without_its_line(watch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [folder.name for folder in list_evidence(watch)]
    scan = capture_finding(watch, monkeypatch)
    context = multiprocessing.get_context("spawn")
    line, end = context.Pipe()
    server = context.Process(target=_serve, args=(watch, scan, end), daemon=True)
    server.start()
    whole = 0.0
    for seed in range(KILLS + 1):
        forget_evidence(watch)
        line.send(True)
        child, began = line.recv(), time.perf_counter()
        if seed > 0:  # the first one lives, to see how long it takes
            time.sleep(random.Random(seed).uniform(0, whole))
            with contextlib.suppress(ProcessLookupError):  # it was quicker than usual
                os.kill(child, signal.SIGKILL)
        assert line.recv() == 0
        whole = whole or time.perf_counter() - began
        made = {entry.entry.alert_id for entry in read_custody(watch.custody).lines}
        kept = [folder for folder in (list_evidence(watch) if watch.evidence.exists() else []) if folder.name[0] != "."]
        assert {folder.name for folder in kept} <= made
        assert all(verify_path(folder, TrustAnchors())[0].faults == () for folder in kept)
        assert write_evidence(watch, scan).failed == {}
        assert [folder.name for folder in list_evidence(watch)] == names
        assert run("verify", watch.root).exit_code == 0
    line.send(False)
    server.join()


# --- verify ----------------------------------------------------------------------------------------------------------


def test_untouched_evidence_is_as_it_was_written(watch: Workspace) -> None:
    answer = run("verify", list_evidence(watch)[0], "--fetch", "-w", watch.root)
    assert answer.exit_code == 0, answer.stderr
    assert "the source gives the same pixels today" in answer.stdout


def change(folder: Path) -> str:
    data = bytearray((folder / "before.tif").read_bytes())
    data[-1] ^= 1
    rewrite(folder / "before.tif", bytes(data))
    return "before.tif: was changed"


def remove(folder: Path) -> str:
    (folder / "pipeline.toml").unlink()
    return "pipeline.toml: is missing"


def add(folder: Path) -> str:
    (folder / "note.txt").write_text("mine")
    return "note.txt: was added"


def add_folder(folder: Path) -> str:
    (folder / "more").mkdir()
    return "more: was added"


def link(folder: Path) -> str:
    target = folder.parent.parent / "elsewhere.tif"
    (folder / "after.tif").rename(target)
    (folder / "after.tif").symlink_to(target)
    return "after.tif: a link, not a copy"


def lose_manifest(folder: Path) -> str:
    (folder / "manifest.json").unlink()
    return "manifest.json: is missing"


def break_manifest(folder: Path) -> str:
    rewrite(folder / "manifest.json", b"[]")
    return "manifest.json: was changed"


def forge(folder: Path) -> str:
    """Change a file and the manifest with it: only the log can tell."""
    change(folder)
    manifest = read_json(folder / "manifest.json")
    data = (folder / "before.tif").read_bytes()
    manifest["files"]["before.tif"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    rewrite(folder / "manifest.json", json.dumps(manifest).encode())
    return "manifest.json: was changed: it is not the one that the custody log names"


@pytest.mark.parametrize("harm", [change, remove, add, add_folder, link, lose_manifest, break_manifest, forge])
def test_each_harm_is_named(watch: Workspace, harm: Callable[[Path], str]) -> None:
    folder, other = list_evidence(watch)[:2]
    fault = harm(folder)
    answer = run("verify", folder)
    assert answer.exit_code == 3
    assert f"{folder.name}: {fault}" in " ".join(answer.stderr.split())
    whole = run("verify", watch.root)
    assert whole.exit_code == 3
    assert f"{other.name}: as the log of this workspace recorded it" in whole.stdout


def test_other_pixels_at_the_source_are_named(series: SimulatedSeries, tmp_path: Path) -> None:
    moved = copy_series(series, tmp_path / "series")
    workspace = make_workspace(tmp_path / "own", moved)
    scan_small(workspace)
    folder = list_evidence(workspace)[0]
    scene = read_json(folder / "manifest.json")["images"]["after"]["sources"][0]["id"]
    with rasterio.open(find_band(moved, scene, "red"), "r+", IGNORE_COG_LAYOUT_BREAK="YES") as raster:
        raster.write(raster.read() + np.uint16(1))
    answer = run("verify", folder, "--fetch", "-w", workspace.root)
    assert answer.exit_code == 3
    assert "after.tif, red:" in answer.stderr
    shutil.rmtree(moved.catalog.parent)
    answer = run("verify", folder, "--fetch", "-w", workspace.root)
    assert answer.exit_code == 3
    assert "the pixels were not compared" in answer.stderr


def test_a_folder_of_another_name_or_with_thousands_of_files_is_told(watch: Workspace) -> None:
    folder, other = list_evidence(watch)
    folder.rename(folder.with_name("spot-20200101-000000"))
    for number in range(5001):
        (other / f"{number:06}").touch()
    answer = run("verify", watch.root)
    assert answer.exit_code == 3
    told = " ".join(answer.stderr.split())
    assert f"the folder is called spot-20200101-000000, and the manifest is of {folder.name}: it was renamed" in told
    assert f"{other.name} holds more than 5000 files: that is no evidence" in told


@pytest.mark.parametrize("name", ["none.zip", "text.zip", "empty"])
def test_what_is_no_evidence_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    (tmp_path / "empty").mkdir()
    answer = run("verify", tmp_path / name)
    assert answer.exit_code == 1
    assert answer.stderr.count("Error:") == 1


# --- signatures ------------------------------------------------------------------------------------------------------


def test_signed_evidence_is_checked_with_the_public_key(series: SimulatedSeries, tmp_path: Path) -> None:
    private, public = make_keys(tmp_path / "keys")
    _, other = make_keys(tmp_path / "keys", "other")
    workspace = make_workspace(tmp_path / "own", series)
    workspace.settings.write_text(f'signing_key = "{private}"\n' + workspace.settings.read_text())
    scan_small(workspace)
    folder = list_evidence(workspace)[0]
    assert run("verify", folder).exit_code == 0
    assert run("verify", folder, "--public-key", public).exit_code == 0
    answer = run("verify", folder, "--public-key", other)
    assert answer.exit_code == 3
    assert "is not of the key that was given" in answer.stderr
    assert not [name for name, data in snapshot(workspace.root).items() if b"PRIVATE KEY" in data]
    rewrite(folder / "manifest.json", (folder / "manifest.json").read_bytes() + b" ")
    assert "manifest.sig: does not fit manifest.json" in run("verify", folder).stderr
    (folder / "manifest.sig").unlink()
    assert "manifest.sig: is missing" in run("verify", folder).stderr


def test_a_key_that_cannot_be_used_is_named_and_nothing_is_written_unsigned(series: SimulatedSeries, tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "own", series)
    (tmp_path / "bad.pem").write_text("-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n")
    workspace.settings.write_text(f'signing_key = "{tmp_path / "bad.pem"}"\n' + workspace.settings.read_text())
    report = scan_small(workspace)
    assert report.evidence_missing
    assert not workspace.evidence.exists()
    assert all(
        "bad.pem cannot be used" in reason and "secret" not in reason for reason in report.areas[0].evidence.failed.values()
    )


def test_unsigned_evidence_fails_where_a_key_is_asked_for(watch: Workspace, tmp_path: Path) -> None:
    _, public = make_keys(tmp_path / "keys")
    answer = run("verify", list_evidence(watch)[0], "--public-key", public)
    assert answer.exit_code == 3
    assert "is not signed" in answer.stderr


def test_without_the_package_a_signature_is_not_checked_and_that_is_said(
    watch: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = make_keys(tmp_path / "keys")
    path = run("pack", list_evidence(watch)[0].name, "-w", watch.root, "--key", private).stdout.strip()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    answer = run("verify", path)
    assert answer.exit_code == 3
    assert "the signature was not checked" in answer.stderr
    answer = run("verify", path, "--public-key", public)
    assert answer.exit_code == 1
    assert "pip install 'minewatch[evidence]'" in answer.stderr
