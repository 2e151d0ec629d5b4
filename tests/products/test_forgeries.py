"""What a forger does with evidence, packs and logs, and that ``verify`` finds it; each test says what the forger does."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import lzma
import os
import shutil
import socket
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyrage
import pytest
from click.testing import Result
from cryptography.hazmat.primitives import serialization

from minewatch.alerts.decisions import append_decisions, read_decisions
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import record_custody
from minewatch.products.evidence.evidence_files import EvidenceFiles
from minewatch.products.evidence.signing import compute_fingerprint, read_signer
from minewatch.products.evidence.verification import TrustAnchors, verify_path
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.chains import hash_entry, read_chain, rechain, write_chain, write_head
from tests.helpers.dossiers import is_unharmed, list_evidence, make_keys, make_watch, read_json, rewrite, run, start_apart
from tests.helpers.places import ROOT
from tests.helpers.small import make_series, make_workspace, plain_environment, scan_small

MOST_MEMORY = 300 * 2**10
"""Kilobytes that a check may take, whatever the file."""


@pytest.fixture
def watch(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    return make_watch(tmp_path_factory, tmp_path)


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture(scope="module")
def signed_once(tmp_path_factory: pytest.TempPathFactory, series: SimulatedSeries) -> Workspace:
    """A workspace with a signing key; nobody may change it."""
    folder = tmp_path_factory.mktemp("signed")
    private, _ = make_keys(folder)
    workspace = make_workspace(folder / "own", series)
    workspace.settings.write_text(f'signing_key = "{private}"\n' + workspace.settings.read_text())
    scan_small(workspace)
    return workspace


@pytest.fixture
def signed(signed_once: Workspace, tmp_path: Path) -> Workspace:
    """A copy of it."""
    shutil.copytree(signed_once.root.parent, tmp_path / "signed")
    workspace = Workspace(tmp_path / "signed" / "own")
    workspace.settings.write_text(workspace.settings.read_text().replace(str(signed_once.root.parent), str(tmp_path / "signed")))
    return workspace


@pytest.fixture(autouse=True)
def plain_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_apart(tmp_path, monkeypatch)


def told(answer: Result) -> str:
    return " ".join(answer.stderr.split())


def find_verdict(*arguments: str | Path) -> str:
    """Return the verdict of the first thing that is checked, as data."""
    return str(json.loads(run("verify", *arguments, "--json").stdout)[0]["verdict"])


def key_of(workspace: Workspace) -> Path:
    return workspace.root.parent / "key.pub"


# --- what somebody who knows the format does -------------------------------------------------------------------------


def alter(folder: Path) -> None:
    """Change a picture, and its hash in the manifest with it."""
    data = (folder / "before.tif").read_bytes()[::-1]
    rewrite(folder / "before.tif", data)
    manifest = read_json(folder / "manifest.json")
    manifest["files"]["before.tif"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    rewrite(folder / "manifest.json", json.dumps(manifest).encode())


def restate(folder: Path, **facts: Any) -> None:
    manifest = read_json(folder / "manifest.json") | facts
    rewrite(folder / "manifest.json", json.dumps(manifest).encode())


def sign(folder: Path, key: Path, **claims: str) -> None:
    """Sign a manifest, and state what the forger likes about the key."""
    signer = read_signer(key)
    restate(folder, signed_with=signer.describe() | claims)
    rewrite(folder / "manifest.sig", signer.sign((folder / "manifest.json").read_bytes()).hex().encode() + b"\n")


def admit(workspace: Workspace, folder: Path) -> None:
    """Let the log say that the manifest as it is now was made, in the old place, and chain all that follows anew."""
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    entries = read_chain(workspace.custody)
    for entry in entries:
        entry["manifest"] = digest if entry["alert_id"] == folder.name else entry["manifest"]
    write_chain(workspace.custody, rechain(entries))


def apart(folder: Path, tmp_path: Path) -> Path:
    """Return a copy of evidence that is in no workspace."""
    return Path(shutil.copytree(folder, tmp_path / "received" / folder.name))


# --- signatures ------------------------------------------------------------------------------------------------------


def test_the_owner_is_believed(signed: Workspace, watch: Workspace, tmp_path: Path) -> None:
    """No forger: what the five verdicts say of what is as it should be."""
    folder = list_evidence(signed)[0]
    answer = run("verify", folder)
    assert answer.exit_code == 0, answer.stderr
    assert "as the log of this workspace recorded it" in answer.stdout
    fingerprint = read_json(folder / "manifest.json")["signed_with"]["fingerprint"]
    assert f"manifest.json is signed with the key of this workspace, {fingerprint}" in answer.stdout
    assert find_verdict(folder) == "recorded"
    assert find_verdict(folder, "--public-key", key_of(signed)) == "signed"
    whole = run("verify", signed.root)
    assert whole.exit_code == 0, whole.stderr
    sealed = read_json(signed.custody.with_suffix(".head"))["seal"]["number"]
    assert f"custody.head is signed up to entry {sealed}" in whole.stdout
    copy = apart(folder, tmp_path)
    answer = run("verify", copy)
    assert answer.exit_code == 3
    assert "signed by a key you did not give: this says nothing about who wrote it" in answer.stdout
    answer = run("verify", copy, "--public-key", key_of(signed))
    assert answer.exit_code == 0
    assert "signed by the key you gave, and unchanged" in answer.stdout
    assert is_unharmed(run("verify", apart(list_evidence(watch)[0], tmp_path / "other")))


def test_a_fingerprint_that_the_forger_wrote_is_not_repeated(signed: Workspace, tmp_path: Path) -> None:
    """The forger changes a picture, signs with a key of his own, and states the owner's fingerprint."""
    folder = apart(list_evidence(signed)[0], tmp_path)
    owner = read_json(folder / "manifest.json")["signed_with"]["fingerprint"]
    forger, _ = make_keys(tmp_path / "forger")
    alter(folder)
    sign(folder, forger, fingerprint=owner)
    answer = run("verify", folder)
    assert answer.exit_code == 3
    mine = read_signer(forger).describe()["fingerprint"]
    assert f"says that the key's fingerprint is {owner}; that of the key that signed it is {mine}" in told(answer)
    assert find_verdict(folder) == "changed"
    sign(folder, forger, algorithm="Ed448")
    assert "signed by another method than Ed25519" in told(run("verify", folder))
    owners = read_signer(signed.root.parent / "key.pem").public_key
    sign(folder, forger, public_key=owners)
    assert "manifest.sig: does not fit manifest.json" in told(run("verify", folder))
    public = tmp_path / "forger" / "key.pub"
    assert "names another key than the one that signed it" in told(run("verify", folder, "--public-key", public))


def test_new_hashes_without_a_signature_are_no_proof(signed: Workspace, tmp_path: Path) -> None:
    """The forger changes a picture and its hash, and leaves the signature out."""
    folder = apart(list_evidence(signed)[0], tmp_path)
    for part in list_addenda(folder):
        shutil.rmtree(part)
    alter(folder)
    restate(folder, signed_with=None)
    (folder / "manifest.sig").unlink()
    assert is_unharmed(run("verify", folder))
    answer = run("verify", folder, "--require-signature")
    assert answer.exit_code == 3
    assert "manifest.json: is not signed" in told(answer)
    assert run("verify", signed.root, "--require-signature").exit_code == 0
    assert "manifest.json: is not signed" in told(run("verify", folder, "--public-key", key_of(signed)))


@pytest.mark.parametrize("how", ["unsigned", "another key"])
def test_a_workspace_with_a_key_demands_its_own_signature(signed: Workspace, tmp_path: Path, how: str) -> None:
    """The forger may write in the workspace: changes a picture, its hash, the log and the log's head, as all fit."""
    folder = list_evidence(signed)[0]
    forger, _ = make_keys(tmp_path / "forger")
    alter(folder)
    if how == "unsigned":
        restate(folder, signed_with=None)
        (folder / "manifest.sig").unlink()
    else:
        sign(folder, forger)
    admit(signed, folder)
    for path in (folder, signed.root):
        answer = run("verify", path)
        assert answer.exit_code == 3
        reason = "but this workspace signs its evidence" if how == "unsigned" else "and not with that of this workspace"
        assert reason in told(answer)
    assert run("pack", folder.name, "-w", signed.root).exit_code == 1


def test_evidence_from_before_the_key_is_vouched_for_by_the_signed_log(watch: Workspace, tmp_path: Path) -> None:
    """No forger at first: the key came later.  Then the forger replaces such evidence and adds a line that admits it."""
    private, _ = make_keys(tmp_path / "keys")
    watch.settings.write_text(f'signing_key = "{private}"\n' + watch.settings.read_text())
    folder, other = list_evidence(watch)[:2]
    assert "but this workspace signs its evidence" in told(run("verify", folder))
    record_custody(watch.custody, "opened", "spot", "", signer=read_signer(private))
    answer = run("verify", folder)
    assert answer.exit_code == 0, answer.stderr
    assert "it is older than the first signature of the log, which covers it" in answer.stdout
    assert run("verify", folder, "--require-signature").exit_code == 3
    alter(folder)
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    record_custody(watch.custody, "made", folder.name, digest, "scan of a forger")
    record_custody(watch.custody, "opened", "spot", "", signer=read_signer(private))
    answer = run("verify", folder)
    assert answer.exit_code == 3
    assert "but this workspace signs its evidence" in told(answer)
    assert run("verify", other).exit_code == 0


@pytest.mark.parametrize("kind", ["openssh", "pem"])
def test_the_own_key_is_known_without_its_passphrase_or_that_is_said(
    signed: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "signed" / "key.pem"
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    how = serialization.PrivateFormat.OpenSSH if kind == "openssh" else serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, how, serialization.BestAvailableEncryption(b"open sesame")))
    folder = list_evidence(signed)[0]
    answer = run("verify", folder)
    if kind == "openssh":  # its file holds the public half in the open
        assert answer.exit_code == 0, answer.stderr
        return
    assert answer.exit_code == 3
    assert "not checked whether this workspace's own key signed" in told(answer)
    assert answer.stderr.count("Error:") == 1
    assert "; not wholly checked" in answer.stdout
    assert run("verify", folder, "--public-key", key_of(signed)).exit_code == 0
    monkeypatch.setenv("MINEWATCH_KEY_PASSPHRASE", "open sesame")
    assert run("verify", folder).exit_code == 0
    path.unlink()
    assert "is missing" in told(run("verify", signed.root))


def test_another_spelling_of_a_signature_is_another_file(signed: Workspace) -> None:
    """The forger writes the digits in capitals, or with blanks: the signature would fit, the bytes are others."""
    folder = list_evidence(signed)[0]
    data = (folder / "manifest.sig").read_bytes()
    for other in (data.upper(), data[:10] + b" " + data[10:], data + b"\n", b""):
        rewrite(folder / "manifest.sig", other)
        assert "manifest.sig: does not fit manifest.json" in told(run("verify", folder))


def test_the_confirmation_can_be_worked_out_again(watch: Workspace) -> None:
    """No forger: what works it out gets the files and the manifest, and what differs is a fault."""
    folder, asked = list_evidence(watch)[0], []

    def recompute(files: EvidenceFiles, manifest: Mapping[str, Any]) -> list[str]:
        asked.append((sorted(files.names), manifest["alert_id"]))
        return ["after.tif: shows no change"] if len(asked) > 1 else []

    same, other = (verify_path(folder, TrustAnchors(recompute=recompute))[0] for _ in range(2))
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    assert asked[0] == (sorted(name for name in files if not name.startswith("growth-")), folder.name)
    assert "recomputed from these files alone, the alert is the same" in same.notes
    assert (same.is_trusted, other.verdict, other.faults) == (True, "changed", ("after.tif: shows no change",))


# --- packs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pack(signed: Workspace, tmp_path: Path) -> Path:
    """A signed pack."""
    return Path(run("pack", list_evidence(signed)[0].name, "-w", signed.root, "-o", tmp_path / "out").stdout.strip())


def read_pack(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_pack(path: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def swap_sums(files: dict[str, bytes], name: str) -> None:
    files[name] = files[name].replace(files[name][:64], b"0" * 64)


def add_to_sums(files: dict[str, bytes], name: str) -> None:
    files[name] += b"$(rm -rf /)\n"


def shorten_sums(files: dict[str, bytes], name: str) -> None:
    files[name] = files[name].split(b"\n", 1)[1]


def lose_sums(files: dict[str, bytes], name: str) -> None:
    del files[name]


def break_sums(files: dict[str, bytes], name: str) -> None:
    files[name] = b"\xff"


@pytest.mark.parametrize("harm", [swap_sums, add_to_sums, shorten_sums, lose_sums, break_sums])
def test_the_list_of_hashes_for_others_is_checked(
    signed: Workspace, pack: Path, harm: Callable[[dict[str, bytes], str], None]
) -> None:
    """The forger replaces SHA256SUMS, which no signature covers, in a signed pack."""
    assert run("verify", pack, "--public-key", key_of(signed)).exit_code == 0
    files = read_pack(pack)
    harm(files, next(name for name in files if name.endswith("SHA256SUMS")))
    write_pack(pack, files)
    answer = run("verify", pack, "--public-key", key_of(signed))
    assert answer.exit_code == 3
    assert "SHA256SUMS: " in told(answer)
    assert find_verdict(pack, "--public-key", key_of(signed)) == "changed"


def put_before(data: bytes, more: bytes, *, shift: bool) -> bytes:
    """Put bytes before a ZIP, and move the offsets in it as self-extracting archives do."""
    if not shift:
        return more + data
    memory = io.BytesIO(more + data)
    with zipfile.ZipFile(memory, "a") as archive:  # writes the directory anew, with offsets from the file's start
        archive.comment = b""
        archive._didModify = True  # type: ignore[attr-defined]
    return memory.getvalue()


def make_zip(**files: bytes) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return memory.getvalue()


def comment(data: bytes) -> bytes:
    return data[:-2] + struct.pack("<H", 5) + b"hello"


def fill_gap(data: bytes) -> bytes:
    """Put bytes between the last member and the directory."""
    start = struct.unpack_from("<I", data, len(data) - 6)[0]
    more = b"#!/bin/sh\n"
    return data[:start] + more + data[start:-6] + struct.pack("<IH", start + len(more), 0)


def hide_behind_stream(data: bytes) -> bytes:
    """Put bytes into a member, behind the end of its deflate stream."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = [(info, archive.read(info)) for info in archive.infolist()]
    out, directory = b"", b""
    for number, (info, content) in enumerate(files):
        packer = zlib.compressobj(wbits=-15)
        packed = packer.compress(content) + packer.flush() + (b"#!/bin/sh\n" if number == 0 else b"")
        name = info.filename.encode()
        facts = struct.pack("<HHHIIIIH", 20, 0, 8, 0, zlib.crc32(content), len(packed), len(content), len(name))
        directory += b"PK\1\2" + struct.pack("<H", 20) + facts + struct.pack("<HHHHII", 0, 0, 0, 0, 0, len(out)) + name
        out += b"PK\3\4" + facts + struct.pack("<H", 0) + name + packed
    return out + directory + b"PK\5\6" + struct.pack("<4H2IH", 0, 0, len(files), len(files), len(directory), len(out), 0)


def change_header(data: bytes) -> bytes:
    """Give the first member another name in the header that streaming programs read."""
    return data[:30] + b"X" + data[31:]


FOREIGN_BYTES = {
    "script before": lambda data: put_before(data, b"#!/bin/sh\necho owned\n", shift=False),
    "script before, offsets moved": lambda data: put_before(data, b"#!/bin/sh\necho owned\n", shift=True),
    "ZIP before": lambda data: put_before(data, make_zip(a=b"other"), shift=False),
    "ZIP before, offsets moved": lambda data: put_before(data, make_zip(a=b"other"), shift=True),
    "ZIP behind": lambda data: data + make_zip(a=b"other"),
    "bytes behind": lambda data: data + b"\n",
    "comment": comment,
    "gap": fill_gap,
    "behind a stream": hide_behind_stream,
    "two names": change_header,
}


@pytest.mark.parametrize("how", FOREIGN_BYTES)
def test_bytes_outside_the_files_of_a_pack_are_refused(signed: Workspace, pack: Path, how: str) -> None:
    """The forger puts a script or another ZIP around a signed pack: other programs take that for the file."""
    pack.write_bytes(FOREIGN_BYTES[how](pack.read_bytes()))
    answer = run("verify", pack, "--public-key", key_of(signed))
    assert answer.exit_code == 3, how
    assert answer.stderr.startswith("Error:")
    assert "NOT as it was written" in answer.stdout


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93, 99])
def test_other_methods_are_refused_unread(pack: Path, method: int) -> None:
    """The forger packs by a method that takes gigabytes of memory."""
    files = read_pack(pack)
    write_pack(pack, files, method if method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA) else zipfile.ZIP_DEFLATED)
    data = pack.read_bytes()
    if method > 90:
        data = data.replace(b"PK\1\2\x14\3\x14\0\0\0\x08\0", b"PK\1\2\x14\3\x14\0\0\0" + struct.pack("<H", method))
    pack.write_bytes(data)
    answer = run("verify", pack)
    assert answer.exit_code == 3
    assert f"is packed by a method that no pack has ({method})" in told(answer)


def test_a_pack_whose_bytes_the_log_names_is_as_recorded(watch: Workspace, tmp_path: Path) -> None:
    """No forger at first: the log has the hash of the ZIP that was sent.  Then somebody changes the ZIP, or the log."""
    name = list_evidence(watch)[0].name
    path = Path(run("pack", name, "-w", watch.root, "-o", tmp_path / "out").stdout.strip())
    answer = run("verify", path, "-w", watch.root)
    assert answer.exit_code == 0, answer.stderr
    assert "as the log of this workspace recorded it" in answer.stdout
    assert is_unharmed(run("verify", path))
    watch.custody.with_suffix(".head").unlink()
    assert is_unharmed(run("verify", path, "-w", watch.root))


def test_a_locked_member_is_refused(pack: Path) -> None:
    data = pack.read_bytes()
    pack.write_bytes(data.replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0", 1))
    assert "is locked with a password" in told(run("verify", pack))


# --- memory ----------------------------------------------------------------------------------------------------------


def forge_zip(name: str, method: int, packed: bytes, size: int, copies: int = 1, crc: int = 0) -> bytes:
    """Make a ZIP by hand, whose members state what they like."""
    out = directory = b""
    for number in range(copies):
        own = (name if copies == 1 else f"x/{number}").encode()
        facts = struct.pack("<HHHIIIIH", 20, 0, method, 0, crc, len(packed), size, len(own))
        directory += b"PK\1\2" + struct.pack("<H", 20) + facts + struct.pack("<HHHHII", 0, 0, 0, 0, 0, len(out)) + own
        out += b"PK\3\4" + facts + struct.pack("<H", 0) + own + packed
    return out + directory + b"PK\5\6" + struct.pack("<4H2IH", 0, 0, copies, copies, len(directory), len(out), 0)


def deflate(data: bytes, times: int) -> bytes:
    packer = zlib.compressobj(9, wbits=-15)
    return b"".join([*(packer.compress(data) for _ in range(times)), packer.flush()])


def bomb_manifest(unit: bytes, times: int) -> bytes:
    crc = 0
    for _ in range(times):
        crc = zlib.crc32(unit, crc)
    return forge_zip("x/pack.json", 8, deflate(unit, times), len(unit) * times, crc=crc)


HOSTILE_PACKS = {
    "bzip2": lambda: forge_zip("x/pack.json", 12, bz2.compress(bytes(2**26)), 2**26),
    "lzma": lambda: forge_zip("x/pack.json", 14, lzma.compress(bytes(2**20)), 2**20),
    "a gigabyte of zeros": lambda: bomb_manifest(bytes(2**20), 1000),
    "more than it states": lambda: forge_zip("x/pack.json", 8, deflate(bytes(2**20), 400), 1000),
    "lists in lists": lambda: bomb_manifest(b"[" * 2**20, 1),
    "many lists": lambda: bomb_manifest(b"[" + b"[]," * 2**19 + b"1]", 1),
    "many objects": lambda: bomb_manifest(b"[" + b"{}," * 2**19 + b"1]", 1),
    "many files": lambda: forge_zip("x", 0, b"", 0, 4999),
}


MEASURED = """
import re, sys
from pathlib import Path
from minewatch.cli import main
try:
    main()
finally:  # not getrusage: it counts what the process that started this one has
    sys.stderr.write("\\nPEAK " + re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def measure(*arguments: str | Path) -> tuple[int, str, int]:
    """Run a check in a process of its own; return exit code, stderr and the most memory in kilobytes."""
    command = [sys.executable, "-c", MEASURED, "verify", *map(str, arguments)]
    environment = plain_environment(PYTHONPATH=str(ROOT))
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    said, _, peak = ran.stderr.rpartition("\nPEAK ")
    return ran.returncode, said, int(peak)


@pytest.mark.parametrize("how", HOSTILE_PACKS)
def test_no_pack_takes_much_memory(tmp_path: Path, how: str) -> None:
    """The forger sends a small ZIP that unpacks, or parses, to gigabytes."""
    path = tmp_path / "hostile.zip"
    path.write_bytes(HOSTILE_PACKS[how]())
    code, said, peak = measure(path)
    assert code in (1, 3)
    assert "Error:" in said
    assert "Traceback" not in said
    assert peak < MOST_MEMORY


def test_no_log_takes_much_memory(watch: Workspace) -> None:
    """The forger sends a workspace with a long log, of lines that are none and of such as are."""
    entries = rechain([{**read_chain(watch.custody)[0], "alert_id": "", "who": "", "detail": "", "manifest": ""}] * 1000)
    for lines in (b"\n" * 2**16, b"".join(json.dumps(e).encode() + b"\n" for e in entries) * 50):
        watch.custody.write_bytes(lines)
        code, said, peak = measure(watch.root)
        assert code == 3
        assert "Traceback" not in said
        assert peak < MOST_MEMORY


def test_an_encrypted_pack_takes_little_more_than_its_size(tmp_path: Path) -> None:
    """The forger encrypts a ZIP as large as is opened at all."""
    key = pyrage.x25519.Identity.generate()
    (tmp_path / "key").write_text(str(key))
    path = tmp_path / "large.zip.age"
    path.write_bytes(pyrage.encrypt(forge_zip("x/pack.json", 0, bytes(2**27 - 2**20), 2**27 - 2**20), [key.to_public()]))
    code, said, peak = measure(path, "--identity", tmp_path / "key")
    assert code == 3
    assert "is larger than any of its kind" in said
    assert peak < MOST_MEMORY
    with path.open("ab") as file:
        file.truncate(2**33)
    code, said, peak = measure(path, "--identity", tmp_path / "key")
    assert code == 1
    assert "too large to be opened in memory" in " ".join(said.split())


def test_a_zip_that_was_cut_off_anywhere_ends_in_one_line(tmp_path: Path) -> None:
    """The line breaks at every byte of a small ZIP, or the forger changes that byte."""
    whole = make_zip(**{"x/pack.json": b'{"format": 1, "alert_id": "x", "files": {}}', "x/SHA256SUMS": b"\n"})
    path = tmp_path / "small.zip"
    for at in range(len(whole)):
        for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
            path.write_bytes(data)
            answer = run("verify", path)
            assert answer.exit_code in (1, 3), at
            assert answer.stderr.startswith("Error:"), at


# --- files that are none ---------------------------------------------------------------------------------------------


def put(path: Path, kind: str) -> None:
    """Put something that is no plain file in the place of a file."""
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        here = os.open(".", os.O_RDONLY)
        os.chdir(path.parent)  # the names of sockets are short
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
        os.fchdir(here)
        os.close(here)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path.with_name("target"))


KINDS = ["fifo", "socket", "device", "link"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_in_evidence_is_refused(watch: Workspace, tmp_path: Path, kind: str) -> None:
    """The forger sends a folder in which a file is a pipe, a socket, a device, or a link to one: none is opened."""
    for name in ("after.tif", "manifest.json", "extra.tif"):
        folder = apart(list_evidence(watch)[0], tmp_path / name)
        put(folder / name, kind)
        answer = run("verify", folder)
        assert answer.exit_code == 3
        assert f"{name}: " in told(answer)
        assert "a link, not a copy" in told(answer) or "no plain file" in told(answer) or "is missing" in told(answer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["custody.jsonl", "custody.head", "decisions.jsonl", "decisions.head"])
def test_what_is_no_file_beside_evidence_is_refused(watch: Workspace, name: str, kind: str) -> None:
    """The forger sends a whole workspace, whose logs are pipes or links: they are not read, and nothing is written there."""
    target = watch.output / "target"
    target.write_bytes(b"mine")
    put(watch.output / name, kind)
    folder = list_evidence(watch)[0]
    codes = [run("verify", path).exit_code for path in (watch.root, folder, watch.evidence)]
    assert codes == ([3, 3, 3] if name.startswith("custody") else [3, 0, 3] if name == "decisions.jsonl" else [0, 0, 0])
    assert target.read_bytes() == b"mine"


def test_a_strangers_log_is_neither_trusted_nor_read(watch: Workspace, tmp_path: Path) -> None:
    """The forger sends evidence with a log beside it that says it was made so; or puts such a folder into the output."""
    for place in (tmp_path / "sent", watch.output / "received" / "sent"):
        shutil.copytree(watch.evidence, place / "evidence")
        shutil.copy(watch.custody, place / "custody.jsonl")
        shutil.copy(watch.custody.with_suffix(".head"), place / "custody.head")
        before = (place / "custody.jsonl").read_bytes()
        folder = place / "evidence" / list_evidence(watch)[0].name
        assert is_unharmed(run("verify", folder))
        assert (place / "custody.jsonl").read_bytes() == before, "nobody else's log is written"
        put(place / "custody.jsonl", "fifo")
        assert is_unharmed(run("verify", folder))


def test_what_other_programs_leave_is_named_apart(watch: Workspace) -> None:
    """No forger: QGIS and file managers leave files in a folder that was looked at.  In a pack they cannot have come so."""
    folder = list_evidence(watch)[0]
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._after.tif", "after.tif.aux.xml"):
        (folder / name).write_bytes(b"x")
    answer = run("verify", folder)
    assert answer.exit_code == 0, answer.stderr
    assert "after.tif.aux.xml is not part of it: a GIS program left it" in answer.stdout
    assert answer.stdout.count("the system's file manager left it") == 4
    for name in ("other.tif.aux.xml", "after.tif.ovr"):
        (folder / name).write_bytes(b"x")
        assert f"{name}: was added" in told(run("verify", folder))
        (folder / name).unlink()
    path = Path(run("pack", folder.name, "-w", watch.root).stdout.strip())
    files = read_pack(path)
    top = folder.name
    write_pack(path, {**files, f"{top}/evidence/before.tif.aux.xml": b"x", f"{top}/.DS_Store": b"x"})
    assert f"{top}/.DS_Store: was added" in told(run("verify", path)) or ".DS_Store: was added" in told(run("verify", path))
    assert "before.tif.aux.xml: was added" in told(run("verify", path))


# --- the log ---------------------------------------------------------------------------------------------------------


def test_a_lost_end_is_not_healed_by_a_pack(watch: Workspace) -> None:
    """The forger deletes the log's last lines and its head, and runs ``pack``; later entries follow."""
    folder = list_evidence(watch)[0]
    run("verify", folder)
    lines = watch.custody.read_bytes().splitlines(keepends=True)
    watch.custody.write_bytes(b"".join(lines[:-1]))
    watch.custody.with_suffix(".head").unlink()
    path = run("pack", folder.name, "-w", watch.root).stdout.strip()
    for _ in range(2):
        for checked in (watch.root, folder, path):
            answer = run("verify", checked)
            assert answer.exit_code == 3
            assert "the end of the log was not known on" in told(answer)
    assert find_verdict(folder) == find_verdict(path) == "log-unknown"
    scan_small(watch)
    assert run("verify", watch.root).exit_code == 3


def test_verify_itself_does_not_heal_the_log(watch: Workspace) -> None:
    """The forger deletes log and head, and lets somebody check the evidence, which writes to the log."""
    watch.custody.unlink()
    watch.custody.with_suffix(".head").unlink()
    first = run("verify", watch.root)
    assert first.exit_code == 3
    assert "the custody log is missing, though there is evidence" in told(first)
    second = run("verify", watch.root)
    assert second.exit_code == 3
    assert "the end of the log was not known on" in told(second)
    assert "no line of the custody log says that it was made" in told(second)


def forge_head(watch: Workspace) -> None:
    """Let the head name an entry of the forger's making."""
    write_head(watch.custody, {"number": 2, "sha256": "ab" * 32})


def delete_head(watch: Workspace) -> None:
    watch.custody.with_suffix(".head").unlink()


def set_head_back(watch: Workspace) -> None:
    write_head(watch.custody, read_chain(watch.custody)[0])


def empty_log(watch: Workspace) -> None:
    watch.custody.write_bytes(b"")
    delete_head(watch)


def date_back(watch: Workspace) -> None:
    """Date an entry to before the one that it follows, and chain all anew."""
    entries = read_chain(watch.custody)
    entries[1]["when"] = "2020-01-01T00:00:00.000+00:00"
    write_chain(watch.custody, rechain(entries))


def admit_other_evidence(watch: Workspace) -> None:
    """Replace evidence, and add a line that says so, chained as it should be, with another time than the last."""
    folder = list_evidence(watch)[0]
    alter(folder)
    entries = read_chain(watch.custody)
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    more = {**entries[0], "manifest": digest, "number": 3, "previous": hash_entry(entries[-1])}
    with watch.custody.open("ab") as file:
        file.write(json.dumps(more).encode() + b"\n")


@pytest.mark.parametrize("harm", [forge_head, delete_head, set_head_back, empty_log, date_back, admit_other_evidence])
def test_harm_to_log_and_head_is_told(watch: Workspace, harm: Callable[[Workspace], None]) -> None:
    """The forger changes the head, deletes it, or dates an entry back."""
    run("verify", list_evidence(watch)[0])
    run("verify", list_evidence(watch)[0])
    harm(watch)
    for _ in range(2):
        answer = run("verify", watch.root)
        assert answer.exit_code == 3
        assert "custody" in told(answer)
        assert "log" in told(answer)
    assert run("verify", list_evidence(watch)[0]).exit_code == 3


def test_a_signed_head_holds_what_came_before(signed: Workspace, tmp_path: Path) -> None:
    """The forger cuts the log before its last entries and writes the head anew: without, or with another signature."""
    folder = list_evidence(signed)[0]
    run("pack", folder.name, "-w", signed.root)
    run("verify", folder)
    entries = read_chain(signed.custody)
    assert [entry["action"] for entry in entries][-2:] == ["packed", "opened"]
    head = read_json(signed.custody.with_suffix(".head"))
    sealed = len(entries) - 1
    assert (head["number"], head["seal"]["number"]) == (len(entries), sealed)
    assert f"custody.head is signed up to entry {sealed} (" in run("verify", signed.root).stdout
    write_chain(signed.custody, entries[:sealed])
    assert f"its signature is missing, though entry {sealed} says that it was signed" in told(run("verify", signed.root))
    write_chain(signed.custody, entries[: sealed - 1])
    fits = read_json(signed.custody.with_suffix(".head"))
    signed.custody.with_suffix(".head").write_text(json.dumps(fits | {"seal": head["seal"]}))
    assert f"entry {sealed}: is not the one that was signed" in told(run("verify", signed.root))
    forger = read_signer(make_keys(tmp_path / "forger")[0])
    write_chain(signed.custody, entries[: sealed - 1])
    key, signature = forger.seal(f"minewatch custody.jsonl {sealed - 1} {fits['sha256']}\n".encode())
    seal = {"number": sealed - 1, "sha256": fits["sha256"], "public_key": key, "signature": signature}
    signed.custody.with_suffix(".head").write_text(json.dumps(fits | {"seal": seal}))
    answer = told(run("verify", signed.root))
    assert f"is signed with key {compute_fingerprint(key)}, which is not the one it should be" in answer
    seal["signature"] = "00" * 64
    write_chain(signed.custody, entries[: sealed - 1])
    signed.custody.with_suffix(".head").write_text(json.dumps(fits | {"seal": seal}))
    assert "its signature does not fit it" in told(run("verify", signed.root))


# --- decisions -------------------------------------------------------------------------------------------------------


@pytest.fixture
def decided(watch: Workspace) -> Workspace:
    """A workspace with three decisions, the first of an earlier version."""
    names = [folder.name for folder in list_evidence(watch)]
    for name in (names[0], names[1], names[0]):
        assert run("alerts", "review", name, "--needs-visit", "--by", "Rosa", "-w", watch.root).exit_code == 0
    old, *rest = read_chain(watch.decisions)
    plain = {key: value for key, value in old.items() if key not in ("number", "previous", "when")}
    line = json.dumps(plain).encode()
    write_chain(watch.decisions, rest := rechain(rest, hashlib.sha256(line + b"\n").hexdigest()))
    watch.decisions.write_bytes(line + b"\n" + watch.decisions.read_bytes())
    run("verify", list_evidence(watch)[0])
    answer = run("verify", watch.root)
    assert answer.exit_code == 0, answer.stderr
    assert "decisions.jsonl: whole" in answer.stdout
    assert "lines 1 to 1 are of an earlier version" in answer.stdout
    assert len(read_decisions(watch.decisions).all) == 3
    return watch


def edit_decision(lines: list[bytes]) -> list[bytes]:
    return [*lines[:1], lines[1].replace(b"Rosa", b"Juan"), *lines[2:]]


def edit_old_decision(lines: list[bytes]) -> list[bytes]:
    return [lines[0].replace(b"Rosa", b"Juan"), *lines[1:]]


def delete_decision(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2]]


def delete_last_decision(lines: list[bytes]) -> list[bytes]:
    return lines[:2]


def forge_decision(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[0].replace(b"needs-visit", b"dismissed")]


def forge_chained_decision(lines: list[bytes]) -> list[bytes]:
    return [*lines, lines[2].replace(b"needs-visit", b"dismissed").replace(b'"number": 2', b'"number": 3')]


@pytest.mark.parametrize("with_head", [True, False])
@pytest.mark.parametrize(
    "harm",
    [
        edit_decision,
        edit_old_decision,
        delete_decision,
        delete_last_decision,
        forge_decision,
        forge_chained_decision,
    ],
)
def test_harm_to_decisions_is_told(decided: Workspace, harm: Callable[[list[bytes]], list[bytes]], *, with_head: bool) -> None:
    """The forger changes, deletes or adds a decision; and deletes the head with it."""
    lines = decided.decisions.read_bytes().splitlines(keepends=True)
    decided.decisions.write_bytes(b"".join(harm(lines)))
    if not with_head:
        decided.decisions.with_suffix(".head").unlink()
    answer = run("verify", decided.root)
    assert answer.exit_code == 3
    assert "decisions" in told(answer)
    append_decisions(decided.decisions, read_decisions(decided.decisions).all[:1])
    assert run("verify", decided.root).exit_code == 3
    assert run("verify", decided.decisions).exit_code == 3


def rewrite_decisions(watch: Workspace) -> None:
    """Make all decisions anew, chained and with the head that fits."""
    entries = read_chain(watch.decisions)[1:]
    write_chain(watch.decisions, rechain([{**entry, "by": "Juan"} for entry in entries]))


def delete_decisions(watch: Workspace) -> None:
    watch.decisions.unlink()
    watch.decisions.with_suffix(".head").unlink()


def unchain_decisions(watch: Workspace) -> None:
    """Let the file be one of an earlier version."""
    first = watch.decisions.read_bytes().splitlines(keepends=True)[0]
    watch.decisions.write_bytes(first)
    watch.decisions.with_suffix(".head").unlink()


@pytest.mark.parametrize("harm", [rewrite_decisions, delete_decisions, unchain_decisions])
def test_decisions_cannot_be_made_anew_without_the_custody_log(decided: Workspace, harm: Callable[[Workspace], None]) -> None:
    """The forger makes file and head of the decisions anew, so that they fit; the custody log names the last decision."""
    harm(decided)
    answer = run("verify", decided.root)
    assert answer.exit_code == 3
    assert "decisions, entry 2: the custody log names another one, or it was removed" in told(answer)


def test_evidence_that_was_made_anew_after_it_was_packed_is_told(watch: Workspace) -> None:
    """The forger changes a picture, and adds a line that the new manifest was made; a pack has the first one."""
    folder = list_evidence(watch)[0]
    run("pack", folder.name, "-w", watch.root)
    for part in folder.glob("growth-*"):
        shutil.rmtree(part)
    alter(folder)
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    record_custody(watch.custody, "made", folder.name, digest, "scan x")
    assert "was made anew after others had seen the first one" in told(run("verify", folder))


def test_what_a_file_manager_left_is_not_packed(watch: Workspace) -> None:
    folder = list_evidence(watch)[0]
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "after.tif.aux.xml").write_text("<PAMDataset/>")
    path = Path(run("pack", folder.name, "-w", watch.root).stdout.strip())
    assert not [name for name in read_pack(path) if name.endswith((".DS_Store", ".aux.xml"))]
    assert run("verify", path).exit_code == 0


# --- addenda ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def grown(watch: Workspace) -> Path:
    """A folder with addenda."""
    folder = list_evidence(watch)[0]
    assert len(list_addenda(folder)) >= 2
    return folder


def list_addenda(folder: Path) -> list[Path]:
    return sorted(folder.glob("growth-*"))


def lose_addendum(folder: Path) -> str:
    first, second = list_addenda(folder)[:2]
    shutil.rmtree(first)
    return f"{second.name}/manifest.json: does not follow the one before it"


def lose_last_addendum(folder: Path) -> str:
    shutil.rmtree(list_addenda(folder)[-1])
    return "an addendum is missing: the custody log says that one was made"


def change_addendum(folder: Path) -> str:
    first = list_addenda(folder)[0]
    rewrite(first / "after.tif", b"less")
    return f"{first.name}/after.tif: was changed"


def change_addendum_with_its_hash(folder: Path) -> str:
    parts = list_addenda(folder)
    rewrite(parts[-1] / "after.tif", b"forged")
    manifest = read_json(parts[-1] / "manifest.json")
    manifest["files"]["after.tif"] = {"sha256": hashlib.sha256(b"forged").hexdigest(), "size": 6}
    rewrite(parts[-1] / "manifest.json", json.dumps(manifest).encode())
    return f"addendum {len(parts)}: its manifest.json is not one that the custody log names"


def add_foreign_addendum(folder: Path) -> str:
    part = Path(shutil.copytree(list_addenda(folder)[-1], folder / "growth-2023-12-05"))
    restate(part, extends="00" * 32, as_of="2023-12-05")
    return "growth-2023-12-05/manifest.json: is an addendum to other evidence"


def date_addendum_back(folder: Path) -> str:
    list_addenda(folder)[0].rename(folder / "growth-2022-10-20")
    return "growth-2022-10-20/: was renamed: its manifest is as of 202"


def lose_addendum_manifest(folder: Path) -> str:
    first = list_addenda(folder)[0]
    (first / "manifest.json").unlink()
    return f"{first.name}/manifest.json: is missing"


def add_other_folder(folder: Path) -> str:
    shutil.copytree(list_addenda(folder)[0], folder / "growth-later")
    return "growth-later/after.tif: was added"


@pytest.mark.parametrize(
    "harm",
    [
        lose_addendum,
        lose_last_addendum,
        change_addendum,
        change_addendum_with_its_hash,
        add_foreign_addendum,
        date_addendum_back,
        lose_addendum_manifest,
        add_other_folder,
    ],
)
def test_harm_to_an_addendum_is_told(grown: Path, harm: Callable[[Path], str]) -> None:
    """The forger removes, changes or adds an addendum."""
    fault = harm(grown)
    answer = run("verify", grown)
    assert answer.exit_code == 3
    assert fault in told(answer)


def test_addenda_go_along_in_a_pack(watch: Workspace, grown: Path) -> None:
    path = Path(run("pack", grown.name, "-w", watch.root).stdout.strip())
    answer = run("verify", path)
    assert answer.exit_code == 0, answer.stderr
    files = read_pack(path)
    last = list_addenda(grown)[-1].name
    write_pack(path, {name: data for name, data in files.items() if last not in name})
    assert "an addendum is missing" in told(run("verify", path))


def test_addenda_of_the_first_format_are_none(watch: Workspace) -> None:
    folder = list_evidence(watch)[0]
    restate(folder, format=1)
    assert f"{list_addenda(folder)[0].name}/manifest.json: was added" in told(run("verify", folder))


def test_evidence_apart_from_its_log_says_what_only_the_log_knows(watch: Workspace, tmp_path: Path) -> None:
    """The forger removes the addenda, whose end no manifest knows."""
    folder = apart(list_evidence(watch)[0], tmp_path)
    count = len(list_addenda(folder))
    assert f"addenda: {count}; whether there were more, only the log" in run("verify", folder).stdout
    for part in list_addenda(folder):
        shutil.rmtree(part)
    assert "addenda: 0; whether there were more, only the log" in run("verify", folder).stdout


def test_a_foreign_workspace_that_vouches_for_itself_is_named(watch: Workspace, tmp_path: Path) -> None:
    """The forger sends a whole workspace, log and all; its path is said to whoever is in another one."""
    strange = Path(shutil.copytree(watch.root, tmp_path / "strange"))
    folder = strange / "output" / "evidence" / list_evidence(watch)[0].name
    said = " ".join(run("verify", folder, "-w", watch.root).stdout.split())
    assert f"this workspace is {strange}, not the one you are in" in said
    assert "not the one you are in" not in run("verify", list_evidence(watch)[0], "-w", watch.root).stdout
