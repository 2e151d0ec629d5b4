"""The log of custody: chained line by line, and written whenever evidence is made, opened, exported or packed."""

from __future__ import annotations

import datetime as dt
import hashlib
import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from minewatch.core.files import publish_bytes
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import (
    CustodyEntry,
    check_custody,
    read_custody,
    record_custody,
    record_custody_of_all,
)
from minewatch.products.evidence.handover_log import log_handover
from tests.helpers.dossiers import list_evidence, make_watch, run, start_apart
from tests.helpers.small import NAME


@pytest.fixture
def watch(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    return make_watch(tmp_path_factory, tmp_path)


@pytest.fixture(autouse=True)
def plain_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start_apart(tmp_path, monkeypatch)


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
    assert (last.action, last.alert_id) == ("opened", folder.name)
    assert last.detail == "verified: as the log of this workspace recorded it"
    assert last.manifest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert "@" in last.who


# --- what goes out ---------------------------------------------------------------------------------------------------


def list_handovers(workspace: Workspace) -> list[CustodyEntry]:
    entries = [line.entry for line in read_custody(workspace.custody).lines]
    return [entry for entry in entries if entry.action in ("exported", "reported")]


def hash_file(path: Path) -> tuple[str, str, int]:
    data = path.read_bytes()
    return path.name, hashlib.sha256(data).hexdigest(), len(data)


SAID = ("--for", "Ministry of  the\tEnvironment", "--purpose", "file 12/2024")


def test_an_export_is_noted_with_its_files_for_whom_and_why(watch: Workspace, tmp_path: Path) -> None:
    kept, lost = list_evidence(watch)[:2]
    shutil.rmtree(lost)
    out = tmp_path / "out"
    answer = run("alerts", "export", "--format", "csv,geojson", "-o", out, "-w", watch.root, *SAID)
    assert answer.exit_code == 0, answer.stderr
    assert answer.stderr == f"2 alerts of 2 written to {out}\n"
    with_evidence, without = list_handovers(watch)
    assert (with_evidence.alert_id, with_evidence.detail) == (
        kept.name,
        "as alerts.csv, alerts.csv-metadata.json, alerts.geojson",
    )
    assert with_evidence.manifest == hashlib.sha256((kept / "manifest.json").read_bytes()).hexdigest()
    assert (without.alert_id, without.manifest) == ("", "")
    assert "alerts without evidence" in without.detail or "1 alert without evidence" in without.detail
    for entry in (with_evidence, without):
        assert entry.files == tuple(
            hash_file(out / name) for name in ("alerts.csv", "alerts.csv-metadata.json", "alerts.geojson")
        )
        assert (entry.recipient, entry.purpose) == ("Ministry of the Environment", "file 12/2024")
    assert check_custody(watch.custody) == []


def test_an_export_without_any_alert_is_noted_too(watch: Workspace, tmp_path: Path) -> None:
    run("alerts", "export", "--status", "dismissed", "-o", tmp_path / "out", "-w", watch.root)
    (entry,) = list_handovers(watch)
    assert entry.alert_id == ""
    assert entry.files == (hash_file(tmp_path / "out" / "alerts.geojson"),)


def test_a_report_is_noted_with_its_files_for_whom_and_why(watch: Workspace, tmp_path: Path) -> None:
    answer = run("report", NAME, "-o", tmp_path / "out", "-w", watch.root, *SAID)
    assert answer.exit_code == 0, answer.stderr
    entries = list_handovers(watch)
    assert {folder.name for folder in list_evidence(watch)} <= {entry.alert_id for entry in entries}
    (path,) = (tmp_path / "out").iterdir()
    assert {entry.files for entry in entries} == {(hash_file(path),)}
    assert {(e.action, e.recipient, e.purpose) for e in entries} == {("reported", "Ministry of the Environment", "file 12/2024")}


def test_a_report_on_alerts_without_evidence_is_not_lost_to_the_log(watch: Workspace, tmp_path: Path) -> None:
    shutil.rmtree(watch.evidence)
    assert run("report", NAME, "-o", tmp_path / "out", "-w", watch.root).exit_code == 0
    (entry,) = list_handovers(watch)
    assert entry.alert_id == ""
    assert f"on {NAME}; " in entry.detail
    assert entry.files == (hash_file(next((tmp_path / "out").iterdir())),)


def test_a_pack_is_noted_with_its_hash_for_whom_and_why(watch: Workspace, tmp_path: Path) -> None:
    name = list_evidence(watch)[0].name
    path = Path(run("pack", name, "-w", watch.root, "-o", tmp_path / "out", *SAID).stdout.strip())
    before, after = [line.entry for line in read_custody(watch.custody).lines if line.entry.action == "packed"]
    assert (before.files, after.files) == ((), (hash_file(path),))
    assert {(e.alert_id, e.recipient, e.purpose) for e in (before, after)} == {
        (name, "Ministry of the Environment", "file 12/2024")
    }
    assert check_custody(watch.custody) == []


def test_an_image_is_noted_where_it_leaves_the_workspace(watch: Workspace, tmp_path: Path) -> None:
    name = list_evidence(watch)[0].name
    assert run("image", name, "--date", "2023-03-01", "-w", watch.root).exit_code == 0
    assert list_handovers(watch) == []
    answer = run("image", name, "--date", "2023-03-01", "-o", tmp_path / "out", "-w", watch.root, *SAID)
    assert answer.exit_code == 0, answer.stderr
    (entry,) = list_handovers(watch)
    assert (entry.alert_id, entry.recipient) == (name, "Ministry of the Environment")
    assert set(entry.files) == {hash_file(path) for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("words", ["x" * 201, "bell \a", "turned \u202e round"])
def test_words_that_cannot_stand_in_the_log_are_refused(watch: Workspace, tmp_path: Path, words: str) -> None:
    answer = run("alerts", "export", "-o", tmp_path / "out", "-w", watch.root, "--for", words)
    assert answer.exit_code == 2
    assert "--for: give at most 200 characters" in " ".join(answer.stderr.split())
    assert not (tmp_path / "out").exists()


def test_an_alert_that_was_renamed_is_noted_under_the_name_of_its_folder(
    watch: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = list_evidence(watch)[0]
    monkeypatch.setattr(
        "minewatch.products.evidence.lookup.find_alert", lambda _, name: {folder.name: "spot-new"}.get(name, name)
    )
    (tmp_path / "x.pdf").write_bytes(b"x")
    assert log_handover(watch, "exported", ["spot-new", "spot-other"], [tmp_path / "x.pdf"], "as x.pdf") == []
    noted = [(entry.alert_id, entry.detail) for entry in list_handovers(watch)]
    assert noted == [(folder.name, "as x.pdf"), ("", "as x.pdf; 1 alert without evidence")]


@pytest.mark.parametrize(
    ("command", "count"), [(("alerts", "export", "--format", "csv"), 2), (("report", NAME), 1), (("pack", "ID"), 1)]
)
def test_what_went_out_stands_where_the_log_cannot_be_written_and_that_is_told(
    watch: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], count: int
) -> None:
    words = [list_evidence(watch)[0].name if word == "ID" else word for word in command]
    if command[0] == "pack":  # the first line can be written, the last one cannot
        monkeypatch.setattr("minewatch.products.evidence.export_bundle.publish_bytes", publish_and_lose_the_log(watch))
    else:
        lose_the_log(watch)
    answer = run(*words, "-o", tmp_path / "out", "-w", watch.root)
    assert answer.exit_code == 0, answer.stderr
    assert len(list((tmp_path / "out").iterdir())) == count
    assert "is not in the custody log" in answer.stderr
    assert answer.stderr.count("custody log") == 1


def lose_the_log(watch: Workspace) -> None:
    watch.custody.unlink()
    watch.custody.mkdir()


def publish_and_lose_the_log(watch: Workspace) -> Callable[[Path, bytes], None]:
    def publish(path: Path, data: bytes) -> None:
        publish_bytes(path, data)
        lose_the_log(watch)

    return publish


def test_several_lines_are_chained(tmp_path: Path) -> None:
    path = tmp_path / "custody.jsonl"
    record_custody(path, "made", "spot-1", "ab" * 32)
    entries = record_custody_of_all(path, "exported", {"spot-1": "ab" * 32, "spot-2": "cd" * 32}, "as x.csv")
    assert [entry.number for entry in entries] == [2, 3]
    assert record_custody_of_all(path, "exported", {}, "") == []
    record_custody(path, "opened", "spot-2", "cd" * 32)
    assert check_custody(path) == []
    assert [line.entry.number for line in read_custody(path).lines] == [1, 2, 3, 4]
