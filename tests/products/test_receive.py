"""Packs of others: verified, taken in, noted in the log, and never mixed with what is one's own."""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest
from click.testing import Result

from minewatch.core.workspace import Workspace
from minewatch.operations.prune import PruneOptions, prune
from minewatch.products.evidence.custody_log import check_custody, read_custody
from minewatch.products.evidence.lookup import list_evidence as list_names
from minewatch.products.evidence.received_packs import list_received
from minewatch.settings.document import init_workspace
from tests.helpers.dossiers import list_evidence, make_keys, make_watch, run, start_apart
from tests.helpers.small import snapshot


@pytest.fixture(autouse=True)
def plain_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_apart(tmp_path, monkeypatch)
    monkeypatch.setattr("minewatch.products.evidence.export_bundle.write_read_me", lambda *_: ({}, ()))  # it has its own tests


@pytest.fixture
def watch(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    return make_watch(tmp_path_factory, tmp_path)


@pytest.fixture
def office(tmp_path: Path) -> Workspace:
    """The workspace of another agency."""
    return init_workspace(tmp_path / "office")


@pytest.fixture
def pack(watch: Workspace, tmp_path: Path) -> Path:
    return make_pack(watch, tmp_path)


def make_pack(watch: Workspace, folder: Path, *options: str | Path) -> Path:
    answer = run("pack", list_evidence(watch)[0].name, "-w", watch.root, "-o", folder / "mail", *options)
    assert answer.exit_code == 0, answer.stderr
    return Path(answer.stdout.strip())


def receive(office: Workspace, path: Path, *options: str | Path) -> Result:
    return run("receive", path, "-w", office.root, *options)


def list_receipts(office: Workspace) -> list[Any]:
    return [line.entry for line in read_custody(office.custody).lines if line.entry.action == "received"]


def test_a_pack_goes_from_one_agency_to_another(watch: Workspace, office: Workspace, pack: Path) -> None:
    answer = receive(office, pack, "--from", "Ranger post 4", "--purpose", "case 12/2024")
    assert answer.exit_code == 0, answer.stderr
    digest, name = hashlib.sha256(pack.read_bytes()).hexdigest(), list_evidence(watch)[0].name
    folder = Path(answer.stdout.strip())
    assert folder == office.received / f"{name}-{digest[:8]}"
    assert (folder / f"{name}.zip").read_bytes() == pack.read_bytes()
    with zipfile.ZipFile(pack) as archive:
        assert snapshot(folder / name) == {f.removeprefix(f"{name}/"): archive.read(f) for f in archive.namelist()}
    (entry,) = list_receipts(office)
    assert (entry.sender, entry.purpose, entry.recipient) == ("Ranger post 4", "case 12/2024", "")
    assert entry.files == ((pack.name, digest, pack.stat().st_size),)
    assert entry.manifest == hashlib.sha256((folder / name / "evidence" / "manifest.json").read_bytes()).hexdigest()
    sent = read_custody(watch.custody).lines[-1].entry
    assert sent.files == entry.files, "both logs know the same file"
    assert check_custody(office.custody) == []
    assert run("verify", folder / name).stderr == run("verify", folder / f"{name}.zip").stderr == "", "no fault"
    assert all(path.stat().st_mode & 0o077 == 0 for path in [folder, *folder.rglob("*")])


def test_the_same_file_is_noted_again_and_kept_once(office: Workspace, pack: Path) -> None:
    assert receive(office, pack, "--from", "A").exit_code == 0
    before = snapshot(office.received)
    answer = receive(office, pack.rename(pack.with_name("again.zip")), "--from", "B")
    assert answer.exit_code == 0
    assert "was taken in before" in answer.stderr
    assert snapshot(office.received) == before
    assert [(entry.sender, entry.files[0][0]) for entry in list_receipts(office)] == [("A", pack.name), ("B", "again.zip")]


def test_what_was_received_is_not_mixed_with_own_evidence(watch: Workspace, pack: Path) -> None:
    """The pack comes back to whoever made it: its own evidence stays as it is, and so do its lines of the log."""
    name, own = list_evidence(watch)[0].name, snapshot(watch.evidence)
    assert receive(watch, pack).exit_code == 0
    assert snapshot(watch.evidence) == own
    assert name not in {entry.alert_id for entry in list_receipts(watch)}
    assert list_names(watch) == {folder.name for folder in list_evidence(watch)}
    assert run("verify", watch.root).exit_code == 0
    kept = snapshot(watch.received)
    prune(watch, PruneOptions(keep_gb=0))
    assert run("scan", "-w", watch.root, "--until", "2023-03-31").exit_code == 0
    assert snapshot(watch.received) == kept
    again = make_pack(watch, watch.root)
    with zipfile.ZipFile(again) as archive:
        lines = archive.read(f"{name}/custody.jsonl").decode().splitlines()
    assert "received" not in {json.loads(line)["action"] for line in lines}


def rewrite_pack(path: Path, harm: Callable[[dict[str, bytes], str], None]) -> None:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    harm(files, path.stem)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def climb(files: dict[str, bytes], top: str) -> None:
    files["../../climbed"] = b"x"
    files[f"{top}/../../../climbed"] = b"x"


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lambda f, top: f.update({f"{top}/evidence/after.tif": b"x"}), "evidence/after.tif: was changed"),
        (lambda f, top: f.update({f"{top}/evidence/new.txt": b"x"}), "evidence/new.txt: was added"),
        (lambda f, top: f.pop(f"{top}/pack.json"), "pack.json: is missing"),
        (lambda f, top: f.pop(f"{top}/evidence/manifest.json"), "manifest.json: is missing"),
        (climb, "points outside the ZIP"),
    ],
)
def test_a_changed_pack_is_refused_and_nothing_is_kept(
    office: Workspace, pack: Path, harm: Callable[[dict[str, bytes], str], None], fault: str
) -> None:
    rewrite_pack(pack, harm)
    before = snapshot(office.root.parent)
    answer = receive(office, pack)
    assert answer.exit_code == 3
    assert fault in answer.stderr
    assert "refused and nothing of it is kept" in " ".join(answer.stderr.split())
    assert list_received(office) == []
    assert snapshot(office.root.parent) == before, "nothing is left anywhere, in the log neither"


def test_links_and_names_twice_are_refused(office: Workspace, pack: Path) -> None:
    with zipfile.ZipFile(pack) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    link = zipfile.ZipInfo(f"{pack.stem}/evidence/link")
    link.external_attr = 0o120777 << 16
    twice = next(iter(files))
    for extra in (link, twice):
        with warnings.catch_warnings(), zipfile.ZipFile(pack, "w") as archive:
            warnings.simplefilter("ignore")
            for name, data in files.items():
                archive.writestr(name, data)
            archive.writestr(extra, b"/etc/passwd")
        assert receive(office, pack).exit_code == 3
        assert list_received(office) == []


def make_folder(path: Path) -> None:
    path.mkdir()


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda _: None, "does not exist"),
        (make_folder, "is no file"),
        (make_pipe, "is no file"),
        (lambda path: path.write_bytes(b""), "is no pack"),
        (lambda path: path.write_bytes(b"no ZIP"), "is no pack"),
        (lambda path: path.write_bytes(b"age-encryption.org/v1\n"), "is encrypted; give the file of your private key"),
    ],
)
def test_what_is_no_pack_is_refused_in_one_line(
    office: Workspace, tmp_path: Path, make: Callable[[Path], Any], reason: str
) -> None:
    path = tmp_path / "thing.zip"
    make(path)
    answer = receive(office, path)
    assert answer.exit_code == 1
    assert reason in " ".join(answer.stderr.split())
    assert answer.stderr.count("Error:") == 1
    assert str(path) in answer.stderr, "the file that was given is named, not a copy of it"
    assert not office.received.exists()


def test_a_signature_is_demanded_with_the_public_key(watch: Workspace, office: Workspace, tmp_path: Path) -> None:
    private, public = make_keys(tmp_path / "keys")
    _, other = make_keys(tmp_path / "keys", "other")
    path = make_pack(watch, tmp_path, "--key", private)
    assert receive(office, path, "--public-key", other).exit_code == 3
    assert list_received(office) == []
    assert receive(office, path, "--public-key", public).exit_code == 0


def test_an_encrypted_pack_is_kept_as_it_came_and_its_content_is_readable(
    watch: Workspace, office: Workspace, tmp_path: Path
) -> None:
    key = pyrage.x25519.Identity.generate()
    (tmp_path / "key").write_text(f"{key}\n")
    path = make_pack(watch, tmp_path, "--to", str(key.to_public()))
    answer = receive(office, path, "--identity", tmp_path / "key", "--json")
    assert answer.exit_code == 0, answer.stderr
    facts = json.loads(answer.stdout)
    folder, name = Path(facts["received"]), facts["alert_id"]
    assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (folder / path.name).read_bytes() == path.read_bytes()
    assert run("verify", folder / name).stderr == "", "no fault"
    sent = read_custody(watch.custody).lines[-1].entry.files
    plain = pyrage.decrypt(path.read_bytes(), [key])
    assert {file: digest for file, digest, _ in sent} == {
        path.name: facts["sha256"],
        path.name.removesuffix(".age"): hashlib.sha256(plain).hexdigest(),
    }, "the log knows the file that left, and the ZIP in it"
    with zipfile.ZipFile(io.BytesIO(plain)) as archive:
        assert (folder / name / "pack.json").read_bytes() == archive.read(f"{name}/pack.json")


def test_what_was_changed_after_it_was_taken_in_is_told(office: Workspace, pack: Path) -> None:
    folder = Path(receive(office, pack).stdout.strip())
    (folder / pack.name).write_bytes(b"x")
    answer = receive(office, pack)
    assert answer.exit_code == 1
    assert "is not as it came" in answer.stderr


def test_without_a_log_nothing_is_taken_in(office: Workspace, pack: Path) -> None:
    office.custody.mkdir(parents=True)
    answer = receive(office, pack)
    assert answer.exit_code == 1
    assert "cannot be written" in answer.stderr or "cannot be read" in answer.stderr
    assert list_received(office) == []
