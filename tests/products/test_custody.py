"""The log of custody: chained line by line, and written whenever evidence is made, opened, exported or packed."""

from __future__ import annotations

import datetime as dt
import hashlib
import multiprocessing
import shutil
from pathlib import Path

import pytest

from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import check_custody, read_custody, record_custody, record_custody_of_all
from minewatch.products.evidence.lookup import log_export
from tests.helpers.dossiers import list_evidence, make_watch, run, start_apart


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
    assert (last.action, last.alert_id, last.detail) == (
        "opened",
        folder.name,
        "verified: as the log of this workspace recorded it",
    )
    assert last.manifest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert "@" in last.who


# --- exports ---------------------------------------------------------------------------------------------------------


def list_exports(workspace: Workspace) -> list[tuple[str, str]]:
    lines = read_custody(workspace.custody).lines
    return [(line.entry.alert_id, line.entry.detail) for line in lines if line.entry.action == "exported"]


def test_an_export_is_noted_for_each_alert_with_evidence(watch: Workspace, tmp_path: Path) -> None:
    kept, lost = list_evidence(watch)[:2]
    shutil.rmtree(lost)
    answer = run("alerts", "export", "--format", "csv,geojson", "-o", tmp_path / "out", "-w", watch.root)
    assert answer.exit_code == 0, answer.stderr
    assert answer.stderr == ""
    assert list_exports(watch) == [(kept.name, "as alerts.csv, alerts.geojson")]
    (line,) = [line for line in read_custody(watch.custody).lines if line.entry.action == "exported"]
    assert line.entry.manifest == hashlib.sha256((kept / "manifest.json").read_bytes()).hexdigest()
    assert check_custody(watch.custody) == []
    run("alerts", "export", "--status", "closed", "-o", tmp_path / "out", "-w", watch.root)
    assert len(list_exports(watch)) == 1


def test_an_alert_that_was_renamed_is_noted_under_the_name_of_its_folder(
    watch: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = list_evidence(watch)[0]
    monkeypatch.setattr(
        "minewatch.products.evidence.lookup.find_alert", lambda _, name: {folder.name: "spot-new"}.get(name, name)
    )
    assert log_export(watch, ["spot-new", "spot-other"], "as x.pdf") == []
    assert list_exports(watch) == [(folder.name, "as x.pdf")]


def test_without_evidence_an_export_is_not_noted(watch: Workspace) -> None:
    shutil.rmtree(watch.evidence)
    before = watch.custody.read_bytes()
    assert log_export(watch, [line.entry.alert_id for line in read_custody(watch.custody).lines], "as x.csv") == []
    assert watch.custody.read_bytes() == before


def test_an_export_stands_where_the_log_cannot_be_written_and_says_so(watch: Workspace, tmp_path: Path) -> None:
    watch.custody.unlink()
    watch.custody.mkdir()
    answer = run("alerts", "export", "--format", "csv", "-o", tmp_path / "out", "-w", watch.root)
    assert answer.exit_code == 0
    assert (tmp_path / "out" / "alerts.csv").exists()
    assert "the export is not in the custody log" in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_several_lines_are_chained(tmp_path: Path) -> None:
    path = tmp_path / "custody.jsonl"
    record_custody(path, "made", "spot-1", "ab" * 32)
    entries = record_custody_of_all(path, "exported", {"spot-1": "ab" * 32, "spot-2": "cd" * 32}, "as x.csv")
    assert [entry.number for entry in entries] == [2, 3]
    assert record_custody_of_all(path, "exported", {}, "") == []
    record_custody(path, "opened", "spot-2", "cd" * 32)
    assert check_custody(path) == []
    assert [line.entry.number for line in read_custody(path).lines] == [1, 2, 3, 4]
