"""Evidence: written once with the alert, checked byte by byte, signed, packed; and the log that says who had it."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import multiprocessing
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from shapely.geometry import shape
from small import copy_series, copy_workspace, make_scanned, make_series, make_workspace, scan_small, snapshot

from minewatch.cli import main
from minewatch.custody import check_custody, read_custody, record_custody
from minewatch.simulate import SimulatedSeries
from minewatch.workspace import Workspace


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture
def watch(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    """A copy of a scanned workspace that a test may change."""
    return copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "watch")


@pytest.fixture(autouse=True)
def plain_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the pictures, and start outside any workspace."""
    monkeypatch.setattr("minewatch.scan.draw_quicklook", lambda *_: None)
    monkeypatch.delenv("MINEWATCH_WORKSPACE", raising=False)
    (tmp_path / "nowhere").mkdir()
    monkeypatch.chdir(tmp_path / "nowhere")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in arguments], catch_exceptions=False, prog_name="minewatch")


def list_evidence(workspace: Workspace) -> list[Path]:
    return sorted(workspace.evidence.iterdir())


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def rewrite(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)


def find_band(series: SimulatedSeries, scene: str, band: str) -> Path:
    """Give the file of a band of a scene."""
    folder = series.catalog.parent / scene
    return folder / str(read_json(folder / f"{scene}.json")["assets"][band]["href"])


def make_keys(folder: Path, name: str = "key") -> tuple[Path, Path]:
    """Make a private and a public key file."""
    folder.mkdir(exist_ok=True)
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    encoding, plain = serialization.Encoding, serialization.NoEncryption()
    private.write_bytes(key.private_bytes(encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    public.write_bytes(key.public_key().public_bytes(encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


# --- what a scan writes ----------------------------------------------------------------------------------------------


def test_a_scan_puts_confirmed_alerts_on_file(watch: Workspace) -> None:
    alerts = run("alerts", "list", "-w", watch.root, "--json")
    confirmed = {row["alert_id"] for row in json.loads(alerts.stdout) if row["confirmed_on"]}
    assert confirmed
    assert {folder.name for folder in list_evidence(watch)} == confirmed
    for folder in list_evidence(watch):
        manifest = read_json(folder / "manifest.json")
        names = {path.name for path in folder.iterdir()} - {"manifest.json"}
        assert names == set(manifest["files"])
        assert {"before.tif", "before-scl.tif", "after.tif", "after-scl.tif", "alert.geojson"} < names
        assert {"pipeline.toml", "software.json"} < names
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
                (lon, lat), crs = shape(feature["geometry"]).representative_point().coords[0], raster.crs
                ((x,), (y,)) = rasterio.warp.transform("EPSG:4326", crs, [lon], [lat])
                values = dict(zip([text.split()[0] for text in raster.descriptions], next(raster.sample([(x, y)])), strict=True))
                ndvi[name] = (int(values["nir"]) - int(values["red"])) / (int(values["nir"]) + int(values["red"]))
        assert ndvi["before"] - ndvi["after"] > 0.2
        times = {name: manifest["images"][name]["acquired"][:10] for name in ndvi}
        properties = feature["properties"]
        assert times["before"] < properties["first_seen"] <= times["after"] <= properties["confirmed_on"]
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


# --- verify ----------------------------------------------------------------------------------------------------------


def test_untouched_evidence_is_as_it_was_written(watch: Workspace) -> None:
    answer = run("verify", list_evidence(watch)[0], "--fetch")
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
    assert f"{other.name}: as it was written" in whole.stdout


def test_other_pixels_at_the_source_are_named(series: SimulatedSeries, tmp_path: Path) -> None:
    moved = copy_series(series, tmp_path / "series")
    workspace = make_workspace(tmp_path / "own", moved)
    scan_small(workspace)
    folder = list_evidence(workspace)[0]
    scene = read_json(folder / "manifest.json")["images"]["after"]["sources"][0]["id"]
    with rasterio.open(find_band(moved, scene, "red"), "r+", IGNORE_COG_LAYOUT_BREAK="YES") as raster:
        raster.write(raster.read() + np.uint16(1))
    answer = run("verify", folder, "--fetch")
    assert answer.exit_code == 3
    assert "after.tif, red:" in answer.stderr
    shutil.rmtree(moved.catalog.parent)
    answer = run("verify", folder, "--fetch")
    assert answer.exit_code == 3
    assert "the pixels were not compared" in answer.stderr


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
    assert report.unkept
    assert not workspace.evidence.exists()
    assert all(
        "bad.pem cannot be used" in reason and "secret" not in reason for reason in report.areas[0].evidence.failed.values()
    )


def test_unsigned_evidence_fails_where_a_key_is_asked_for(watch: Workspace, tmp_path: Path) -> None:
    _, public = make_keys(tmp_path / "keys")
    answer = run("verify", list_evidence(watch)[0], "--public-key", public)
    assert answer.exit_code == 3
    assert "is not signed" in answer.stderr


# --- packs -----------------------------------------------------------------------------------------------------------


def test_a_pack_holds_the_folder_and_its_lines_of_the_log(watch: Workspace, tmp_path: Path) -> None:
    folder, other = list_evidence(watch)[:2]
    assert run("verify", folder).exit_code == 0
    answer = run("pack", folder.name, "-w", watch.root, "-o", tmp_path / "hand-over")
    assert answer.exit_code == 0, answer.stderr
    path = Path(answer.stdout.strip())
    top = zipfile.Path(path, f"{folder.name}/")
    for file in folder.iterdir():
        assert (top / "evidence" / file.name).read_bytes() == file.read_bytes()
    lines = (top / "custody.jsonl").read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["action"] for entry in entries] == ["made", "opened", "packed"]
    assert other.name not in (top / "custody.jsonl").read_text()
    stated = json.loads((top / "pack.json").read_text())["custody"]
    assert [entry["sha256"] for entry in stated] == [hashlib.sha256(line).hexdigest() for line in lines]
    assert run("verify", path).exit_code == 0
    assert run("verify", path, "--fetch").exit_code == 0
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    unpacked = tmp_path / "unpacked" / folder.name
    assert run("verify", unpacked).exit_code == 0
    assert run("verify", unpacked / "evidence").exit_code == 0
    (unpacked / "evidence" / "after.tif").write_bytes(b"x")
    assert run("verify", unpacked).exit_code == 3
    sums = dict(reversed(line.split("  ")) for line in (top / "SHA256SUMS").read_text().splitlines())
    assert all(hashlib.sha256((top / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    assert run("verify", watch.root).exit_code == 0


def rewrite_pack(path: Path, harm: Callable[[dict[str, bytes]], None]) -> None:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    harm(files)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lambda f, top: f.update({f"{top}/evidence/after.tif": b"x"}), "evidence/after.tif: was changed"),
        (lambda f, top: f.pop(f"{top}/evidence/alert.geojson"), "evidence/alert.geojson: is missing"),
        (lambda f, _: f.update({"elsewhere/x": b"x"}), "elsewhere/x: was added"),
        (lambda f, top: f.update({f"{top}/custody.jsonl": b""}), "custody.jsonl: was changed"),
        (lambda f, top: f.pop(f"{top}/pack.json"), "pack.json: is missing"),
    ],
)
def test_harm_to_a_pack_is_named(watch: Workspace, harm: Callable[[dict[str, bytes], str], None], fault: str) -> None:
    name = list_evidence(watch)[0].name
    path = Path(run("pack", name, "-w", watch.root).stdout.strip())
    rewrite_pack(path, lambda files: harm(files, name))
    answer = run("verify", path)
    assert answer.exit_code == 3
    assert fault in answer.stderr


def test_a_signed_pack_is_checked_with_the_public_key(watch: Workspace, tmp_path: Path) -> None:
    private, public = make_keys(tmp_path / "keys")
    path = run("pack", list_evidence(watch)[0].name, "-w", watch.root, "--key", private).stdout.strip()
    assert run("verify", path, "--public-key", public).exit_code == 0


def test_damaged_evidence_is_not_handed_over(watch: Workspace) -> None:
    folder = list_evidence(watch)[0]
    change(folder)
    answer = run("pack", folder.name, "-w", watch.root)
    assert answer.exit_code == 1
    assert "before.tif: was changed" in answer.stderr
    assert not watch.exports.exists()


def test_an_unknown_alert_is_refused(watch: Workspace) -> None:
    for name in ("nobody", "../evidence", ""):
        answer = run("pack", "-w", watch.root, "--", name)
        assert answer.exit_code == 1
        assert "there is no evidence" in answer.stderr


# --- the log ---------------------------------------------------------------------------------------------------------


def fill_log(path: Path, count: int = 5) -> list[bytes]:
    for number in range(count):
        record_custody(path, "opened", f"spot-{number}", "ab" * 32, "told")
    assert check_custody(path) == []
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("number", range(5))
def test_a_changed_line_is_named(tmp_path: Path, number: int) -> None:
    path = tmp_path / "custody.jsonl"
    lines = fill_log(path)
    lines[number] = lines[number].replace(b"told", b"tale")
    path.write_bytes(b"".join(lines))
    (fault,) = check_custody(path)
    assert f"entry {number + 1}:" in fault
    assert "changed" in fault


@pytest.mark.parametrize("number", range(5))
def test_a_removed_line_is_named(tmp_path: Path, number: int) -> None:
    path = tmp_path / "custody.jsonl"
    lines = fill_log(path)
    del lines[number]
    path.write_bytes(b"".join(lines))
    (fault,) = check_custody(path)
    assert f"entry {number + 1}:" in fault
    assert "removed" in fault
    record_custody(path, "opened", "spot-9", "ab" * 32)
    assert f"entry {number + 1}:" in check_custody(path)[0]


def test_a_moved_line_a_broken_line_and_a_lost_log_are_named(tmp_path: Path) -> None:
    path = tmp_path / "custody.jsonl"
    lines = fill_log(path)
    path.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    assert check_custody(path)
    path.write_bytes(b"".join([*lines[:2], b'{"number": \n', *lines[3:]]))
    assert any("line 3" in fault for fault in check_custody(path))
    path.unlink()
    assert check_custody(path) == ["custody log, entries 1 to 5: removed or damaged at the end"]


def test_harm_to_the_log_is_named_by_verify(watch: Workspace) -> None:
    lines = watch.custody.read_bytes().splitlines(keepends=True)
    watch.custody.write_bytes(lines[0].replace(b"scan ", b"Scan ") + b"".join(lines[1:]))
    answer = run("verify", watch.root)
    assert answer.exit_code == 3
    assert "entry 1: not what the next line is chained to; it was changed" in " ".join(answer.stderr.split())


def test_evidence_that_is_gone_is_named(watch: Workspace) -> None:
    folder = list_evidence(watch)[0]
    shutil.rmtree(folder)
    answer = run("verify", watch.root)
    assert answer.exit_code == 3
    assert f"evidence of {folder.name}: the folder is missing" in " ".join(answer.stderr.split())


def _write_many(path: Path) -> None:
    for _ in range(20):
        record_custody(path, "opened", "spot", "ab" * 32)


def test_the_chain_holds_under_many_writers(tmp_path: Path) -> None:
    path = tmp_path / "custody.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(path,)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert check_custody(path) == []
    entries = [line.entry for line in read_custody(path).lines]
    assert [entry.number for entry in entries] == list(range(1, 61))
    assert all(dt.datetime.fromisoformat(entry.when).tzinfo for entry in entries)


def test_opening_is_noted(watch: Workspace) -> None:
    folder = list_evidence(watch)[0]
    run("verify", folder)
    last = read_custody(watch.custody).lines[-1].entry
    assert (last.action, last.alert_id, last.detail) == ("opened", folder.name, "verified: as it was written")
    assert last.manifest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert "@" in last.who


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
