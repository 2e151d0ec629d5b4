"""Packs: one ZIP with evidence and its lines of the log, encrypted for who may open it; and what strangers may send."""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import json
import shutil
import stat
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import read_custody
from minewatch.products.evidence.export_bundle import write_export_bundle
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.dossiers import is_unharmed, list_evidence, make_keys, make_watch, rewrite, run, start_apart
from tests.helpers.small import make_series


@pytest.fixture
def watch(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    return make_watch(tmp_path_factory, tmp_path)


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a pack."""
    watch = make_watch(tmp_path_factory, tmp_path_factory.mktemp("packed"))
    return write_export_bundle(watch, list_evidence(watch)[0].name).read_bytes()


@pytest.fixture(autouse=True)
def plain_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_apart(tmp_path, monkeypatch)


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
    assert is_unharmed(run("verify", path))
    assert "the source gives the same pixels today" in run("verify", path, "--fetch", "-w", watch.root).stdout
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    unpacked = tmp_path / "unpacked" / folder.name
    assert is_unharmed(run("verify", unpacked))
    assert is_unharmed(run("verify", unpacked / "evidence"))
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
    rewrite(folder / "before.tif", b"x")
    answer = run("pack", folder.name, "-w", watch.root)
    assert answer.exit_code == 1
    assert "before.tif: was changed" in answer.stderr
    assert not watch.exports.exists()


def test_an_unknown_alert_is_refused(watch: Workspace) -> None:
    for name in ("nobody", "../evidence", ""):
        answer = run("pack", "-w", watch.root, "--", name)
        assert answer.exit_code == 1
        assert "there is no evidence" in answer.stderr


# --- encrypted -------------------------------------------------------------------------------------------------------


def make_ssh_keys(folder: Path, name: str, key: Any = None, lock: str = "") -> tuple[Path, Path]:
    """Make a private and a public key file as ssh-keygen does."""
    key = key or Ed25519PrivateKey.generate()
    private, public = folder / name, folder / f"{name}.pub"
    how = serialization.BestAvailableEncryption(lock.encode()) if lock else serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, how))
    encoding = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    public.write_bytes(key.public_key().public_bytes(*encoding) + b" somebody@somewhere\n")
    return private, public


def make_age_keys(folder: Path, name: str = "age") -> tuple[Path, str]:
    """Make a private key file as age-keygen does, and give the public key."""
    key = pyrage.x25519.Identity.generate()
    path = folder / f"{name}.key"
    path.write_text(f"# created: 2024-01-01T00:00:00Z\n# public key: {key.to_public()}\n{key}\n")
    return path, str(key.to_public())


def list_contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def test_an_encrypted_pack_is_opened_by_each_recipient_alone(watch: Workspace, tmp_path: Path) -> None:
    folder = list_evidence(watch)[0]
    private, public = make_age_keys(tmp_path)
    ssh = [make_ssh_keys(tmp_path, "ed"), make_ssh_keys(tmp_path, "rsa", rsa.generate_private_key(65537, 2048))]
    (tmp_path / "team").write_text(f"# the team\n\n{public}\r\n{ssh[1][1].read_text()}", "utf-8-sig")
    recipients = "--to", tmp_path / "team", "--to", ssh[0][1].read_text(), "--to", public
    answer = run("pack", folder.name, "-w", watch.root, "-o", tmp_path / "out", *recipients)
    assert answer.exit_code == 0, answer.stderr
    path = Path(answer.stdout.strip())
    assert [file.name for file in path.parent.iterdir()] == [f"{folder.name}.zip.age"] == [path.name]
    assert path.stat().st_mode & 0o777 == 0o600
    for key in (private, *(pair[0] for pair in ssh)):
        answer = run("verify", path, "--identity", key)
        assert is_unharmed(answer), answer.stderr
    data = pyrage.decrypt(path.read_bytes(), [pyrage.ssh.Identity.from_buffer(ssh[0][0].read_bytes())])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read(f"{folder.name}/evidence/after.tif") == (folder / "after.tif").read_bytes()
    last = read_custody(watch.custody).lines[-1].entry
    assert last.action == "packed"
    assert public[:16] in last.detail
    assert public not in last.detail
    for _, public_file in ssh:
        words = public_file.read_text().split()
        digest = base64.b64encode(hashlib.sha256(base64.b64decode(words[1])).digest()).decode().rstrip("=")
        assert f"{words[0]} SHA256:{digest}" in last.detail
    assert not watch.exports.exists()
    assert not any(b"PRIVATE KEY" in data or b"SECRET-KEY" in data for data in list_contents(watch.root))


def test_a_key_with_a_passphrase_opens_a_pack(watch: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = make_ssh_keys(tmp_path, "locked", lock="open sesame")
    path = run("pack", list_evidence(watch)[0].name, "-w", watch.root, "--to", public).stdout.strip()
    answer = run("verify", path, "--identity", private)
    assert answer.exit_code == 1
    assert "MINEWATCH_KEY_PASSPHRASE" in answer.stderr
    monkeypatch.setenv("MINEWATCH_KEY_PASSPHRASE", "open sesame")
    assert is_unharmed(run("verify", path, "--identity", private))


def test_what_is_no_key_for_it_does_not_open_a_pack(watch: Workspace, tmp_path: Path) -> None:
    private, public = make_age_keys(tmp_path)
    other, _ = make_age_keys(tmp_path, "other")
    (tmp_path / "public").write_text(public)
    (tmp_path / "text").write_text("no key")
    (tmp_path / "empty").write_text("# nothing\n")
    (tmp_path / "locked").write_bytes(pyrage.passphrase.encrypt(private.read_bytes(), "secret"))
    ecdsa, _ = make_ssh_keys(tmp_path, "ecdsa", ec.generate_private_key(ec.SECP256R1()))
    folder = list_evidence(watch)[0]
    path = run("pack", folder.name, "-w", watch.root, "--to", public).stdout.strip()
    for key, reason in (
        (other, "is not encrypted for the key in"),
        (tmp_path / "public", "holds a public key"),
        (tmp_path / "text", "holds no private key"),
        (tmp_path / "empty", "holds no private key"),
        (tmp_path / "none", "there is no file"),
        (tmp_path / "locked", "is encrypted itself"),
        (ecdsa, "cannot be used"),
    ):
        answer = run("verify", path, "--identity", key)
        assert answer.exit_code == 1
        assert reason in " ".join(answer.stderr.split())
        assert answer.stderr.count("Error:") == 1
    assert "give the file of your private key as --identity" in " ".join(run("verify", path).stderr.split())
    assert "is not encrypted" in run("verify", folder, "--identity", private).stderr


@pytest.mark.parametrize("size", [0.5, 0.99, 100])
def test_a_damaged_encrypted_pack_is_refused(watch: Workspace, tmp_path: Path, size: float) -> None:
    private, public = make_age_keys(tmp_path)
    path = Path(run("pack", list_evidence(watch)[0].name, "-w", watch.root, "--to", public).stdout.strip())
    data = bytearray(path.read_bytes())
    if size >= 1:
        data[-int(size)] ^= 1
    path.write_bytes(data if size >= 1 else data[: int(size * len(data))])
    answer = run("verify", path, "--identity", private)
    assert answer.exit_code == 1
    assert "changed, damaged or cut off" in " ".join(answer.stderr.split())


def test_a_recipient_that_cannot_be_used_is_named_and_nothing_is_written(watch: Workspace, tmp_path: Path) -> None:
    private, public = make_age_keys(tmp_path)
    ssh, _ = make_ssh_keys(tmp_path, "ed")
    _, ecdsa = make_ssh_keys(tmp_path, "ecdsa", ec.generate_private_key(ec.SECP256R1()))
    (tmp_path / "empty").write_text("# nobody\n")
    (tmp_path / "mixed").write_text(f"{public}\n{ecdsa.read_text()}")
    before = watch.custody.read_bytes()
    secret = private.read_text().split()[-1]
    for text, reason in (
        ("", "give a public key"),
        (public[:-1], "was it copied whole?"),
        ("ssh-ed25519", "was it copied whole?"),
        ("ssh-rsa AAAA", "was it copied whole?"),
        (ecdsa.read_text(), "'ecdsa-sha2-nistp256' cannot be used"),
        (tmp_path / "mixed", "mixed, line 2: keys of the kind"),
        (tmp_path / "empty", "holds no public key"),
        (tmp_path / "none", "neither a public key"),
        (tmp_path, "neither a public key"),
        (private, "holds a private key"),
        (ssh, "holds a private key"),
        (secret, "was given a private key"),
        (secret.lower(), "was given a private key"),
    ):
        answer = run("pack", list_evidence(watch)[0].name, "-w", watch.root, "--to", public, "--to", text)
        assert answer.exit_code == 1, text
        assert reason in " ".join(answer.stderr.split())
        assert secret not in answer.stderr
        assert answer.stderr.count("Error:") == 1
    assert not watch.exports.exists()
    assert watch.custody.read_bytes() == before


def test_without_the_package_nothing_is_encrypted(watch: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, public = make_age_keys(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    answer = run("pack", list_evidence(watch)[0].name, "-w", watch.root, "--to", public)
    assert answer.exit_code == 1
    assert "pip install 'minewatch[evidence]'" in answer.stderr
    assert not watch.exports.exists()


def test_a_pack_that_cannot_be_written_is_noted_as_failed(
    watch: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("minewatch.products.evidence.export_bundle.publish_bytes", fail)
    answer = run("pack", list_evidence(watch)[0].name, "-w", watch.root, "-o", tmp_path / "out")
    assert answer.exit_code == 1
    assert "No space left" in answer.stderr
    assert list((tmp_path / "out").iterdir()) == []
    assert "failed" in read_custody(watch.custody).lines[-1].entry.detail


# --- what strangers may send -----------------------------------------------------------------------------------------


def make_pack(watch: Workspace) -> tuple[Path, dict[str, bytes]]:
    """Pack evidence and give the files of the pack."""
    path = Path(run("pack", list_evidence(watch)[0].name, "-w", watch.root).stdout.strip())
    with zipfile.ZipFile(path) as archive:
        return path, {name: archive.read(name) for name in archive.namelist()}


def write_pack(path: Path, members: list[tuple[str | zipfile.ZipInfo, bytes]]) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # the same name twice
        for name, data in members:
            archive.writestr(name, data)


@pytest.mark.parametrize(
    "name", ["../escape.txt", "/etc/escape.txt", "a/../../b", "C:/x", "a\\..\\b", "top//x", "a\nb", "./x", "../"]
)
def test_names_that_lead_elsewhere_are_told(watch: Workspace, tmp_path: Path, name: str) -> None:
    path, files = make_pack(watch)
    write_pack(path, [*files.items(), (name, b"" if name.endswith("/") else b"x")])
    before = sorted(tmp_path.rglob("*"))
    answer = run("verify", path)
    assert answer.exit_code == 3
    assert "its name points outside the ZIP; do not unpack it" in " ".join(answer.stderr.split())
    assert sorted(tmp_path.rglob("*")) == before


def test_links_and_twins_in_a_pack_are_told(watch: Workspace) -> None:
    path, files = make_pack(watch)
    top = next(iter(files)).split("/")[0]
    link = zipfile.ZipInfo(f"{top}/evidence/link.tif")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    pipe = zipfile.ZipInfo(f"{top}/pipe")
    pipe.external_attr = (stat.S_IFIFO | 0o600) << 16
    twin = f"{top}/evidence/AFTER.tif", b"x"
    again = f"{top}/evidence/before.tif", b"x"
    write_pack(path, [*files.items(), (link, b"/etc/passwd"), (pipe, b""), twin, again, (f"{top}/more/", b"")])
    told = " ".join(run("verify", path).stderr.split())
    for fault in (
        "evidence/link.tif: a link, not a copy",
        "pipe: no plain file",
        "evidence/AFTER.tif: is in the ZIP more than once, or under a name in another case",
        "evidence/before.tif: is in the ZIP more than once",
        "more/: was added (an empty folder)",
    ):
        assert fault in told


def test_a_bomb_is_not_inflated(watch: Workspace) -> None:
    path, files = make_pack(watch)
    name = next(name for name in files if name.endswith("after.tif"))
    zeros = bytes(200 * 2**20)
    write_pack(path, [*((n, d) for n, d in files.items() if n != name), (name, zeros), (f"{name}.more", zeros)])
    del zeros
    tracemalloc.start()
    answer = run("verify", path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "evidence/after.tif: was changed" in answer.stderr
    assert "evidence/after.tif.more: was added" in " ".join(answer.stderr.split())
    assert peak < 50 * 2**20


def test_a_manifest_of_a_gigabyte_is_not_read(watch: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minewatch.products.evidence.manifest.LARGEST_TEXT", 2**20)
    path, files = make_pack(watch)
    name = next(name for name in files if name.endswith("pack.json"))
    write_pack(path, [(n, files[n] if n != name else files[n] + b" " * 2**21) for n in files])
    answer = run("verify", path)
    assert answer.exit_code == 3
    assert "pack.json: is larger than any of its kind (1 MB)" in answer.stderr
    folder = list_evidence(watch)[0]
    with (folder / "manifest.json").open("r+b") as file:
        file.truncate(2**30)  # a file with a hole: it takes no room
    answer = run("verify", folder)
    assert answer.exit_code == 3
    assert "manifest.json: is larger than any of its kind" in answer.stderr


@pytest.mark.parametrize(
    "data",
    [b"[" * 100_000, b'{"a":' * 100_000, b"null", b'{"format": 1, "alert_id": "x", "files": [1]}', b"\xff\xfe", b"1" * 5000, b""],
)
def test_a_strange_manifest_is_told(watch: Workspace, data: bytes) -> None:
    path, files = make_pack(watch)
    write_pack(path, [(name, data if name.endswith("pack.json") else kept) for name, kept in files.items()])
    answer = run("verify", path)
    assert answer.exit_code == 3
    assert "pack.json: was changed" in answer.stderr
    write_pack(path, [(name, data if name.endswith("manifest.json") else kept) for name, kept in files.items()])
    answer = run("verify", path, "--fetch")
    assert answer.exit_code == 3
    assert "evidence/manifest.json: was changed" in " ".join(answer.stderr.split())


@pytest.mark.parametrize("count", [5001, 70_000])
def test_thousands_of_files_are_refused(watch: Workspace, count: int) -> None:
    path, files = make_pack(watch)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        for number in range(count):
            archive.writestr(f"{number:06}", b"")
    answer = run("verify", path)
    assert answer.exit_code == 1
    assert "more than 5000 files" in " ".join(answer.stderr.split())
    assert answer.stderr.count("Error:") == 1


def test_a_few_hundred_added_files_are_not_all_printed(watch: Workspace) -> None:
    path, files = make_pack(watch)
    write_pack(path, [*files.items(), *((f"{number:06}", b"") for number in range(300))])
    answer = run("verify", path)
    assert answer.exit_code == 3
    assert answer.stderr.count("Error:") == 51
    assert "250 more; --json gives all" in answer.stderr
    assert len(json.loads(run("verify", path, "--json").stdout)[0]["faults"]) == 300


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_byte_of_a_pack_ends_in_an_answer(packed: bytes, tmp_path: Path, data: st.DataObject) -> None:
    changed = bytearray(packed)
    for at in data.draw(st.lists(st.integers(0, len(packed) - 1), min_size=1, max_size=5)):
        changed[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed.zip"
    path.write_bytes(changed[: data.draw(st.integers(len(packed) // 2, len(packed)))])
    answer = run("verify", path)
    assert answer.exit_code in (1, 3)
    assert answer.stderr.startswith("Error:") or is_unharmed(answer)  # a byte was replaced by itself


def test_evidence_of_one_alert_is_not_taken_for_that_of_another(watch: Workspace) -> None:
    path, files = make_pack(watch)
    top, other = next(iter(files)).split("/")[0], list_evidence(watch)[1].name
    write_pack(path, [(name.replace(top, other, 1), data) for name, data in files.items()])
    answer = run("verify", path)
    assert answer.exit_code == 3
    assert "it was put together from several" in " ".join(answer.stderr.split())


def test_a_pack_without_its_lines_of_the_log_is_told(watch: Workspace) -> None:
    path, files = make_pack(watch)
    listing = next(name for name in files if name.endswith("pack.json"))
    document = json.loads(files[listing])
    del document["files"]["custody.jsonl"]
    files[listing] = json.dumps(document | {"custody": []}).encode()
    write_pack(path, [(name, data) for name, data in files.items() if not name.endswith("custody.jsonl")])
    answer = run("verify", path)
    assert answer.exit_code == 3
    assert "custody.jsonl: is missing" in answer.stderr


# --- sources that strangers name -------------------------------------------------------------------------------------


def forge_source(watch: Workspace, **facts: Any) -> Path:
    """Make a pack, in all its hashes as it should be, of evidence that names another source."""
    path, files = make_pack(watch)
    top = next(iter(files)).split("/")[0]
    manifest = json.loads(files[f"{top}/evidence/manifest.json"])
    manifest["source"] |= facts.pop("source", {})
    manifest["grid"] |= facts.pop("grid", {})
    files[f"{top}/evidence/manifest.json"] = json.dumps(manifest | facts).encode()
    write_pack(path, list(files.items()))
    return path


@pytest.mark.parametrize(
    "root",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "http://127.0.0.1:9/",
        "http://169.254.169.254/latest",
        "https://forger.example/",
        "//x",
    ],
)
def test_only_sources_that_the_user_knows_are_asked(watch: Workspace, monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    path = forge_source(watch, source={"name": "somewhere", "root": root})

    def refuse(*_: object) -> None:
        raise AssertionError("a stranger's source was asked")

    monkeypatch.setattr("minewatch.products.evidence.refetch.open_source", refuse)
    for more in ((), ("-w", watch.root)):
        answer = run("verify", path, "--fetch", *more)
        assert answer.exit_code == 3
        assert "which is not known here" in " ".join(answer.stderr.split())


def test_settings_that_came_with_a_pack_are_not_read(watch: Workspace, tmp_path: Path) -> None:
    path = make_pack(watch)[0]
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    shutil.copy(watch.settings, tmp_path / "unpacked" / "minewatch.toml")
    answer = run("verify", tmp_path / "unpacked" / path.stem, "--fetch")
    assert answer.exit_code == 3
    assert "which is not known here" in " ".join(answer.stderr.split())


def test_the_user_may_name_a_source(watch: Workspace, series: SimulatedSeries) -> None:
    path = make_pack(watch)[0]
    answer = run("verify", path, "--fetch", "--source", series.catalog)
    assert is_unharmed(answer)
    assert "the source gives the same pixels today" in answer.stdout
    assert run("verify", path, "--source", series.catalog).exit_code == 2
    answer = run("verify", path, "--fetch", "--source", watch.root / "none")
    assert answer.exit_code == 3
    assert "does not exist" in answer.stderr


@pytest.mark.parametrize(
    "grid",
    [
        {"window": [0, 0, 10**9, 10**9]},
        {"window": [-5, 0, 10, 10]},
        {"window": [0, 0]},
        {"shape": [10**9, 10**9]},
        {"shape": "many"},
        {"epsg": 999_999},
        {"epsg": 10**30},
        {"transform": [0, 0, 0, 0, 0, 0]},
        {"transform": [10, 0, float("nan"), 0, -10, 0]},
        {"transform": [1e-300, 0, 0, 0, -1e-300, 0]},
    ],
)
def test_a_strange_grid_is_told(watch: Workspace, series: SimulatedSeries, grid: dict[str, Any]) -> None:
    answer = run("verify", forge_source(watch, grid=grid), "--fetch", "--source", series.catalog)
    assert answer.exit_code == 3
    assert "Error:" in answer.stderr
