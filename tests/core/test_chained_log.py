"""Logs of chained lines: what is lost is never healed, and a crash is no loss."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from minewatch.core import chain_check, chained_log
from minewatch.core.chain_check import END_UNKNOWN, FIRST_HASH, LogKind, examine_log
from minewatch.core.chained_log import append_chained
from minewatch.core.log_head import read_head
from tests.helpers.chains import rechain, write_chain, write_head
from tests.helpers.places import ROOT
from tests.helpers.small import plain_environment

LOG = LogKind("log")
OLD = LogKind("log", may_begin_unchained=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.jsonl"


def fill(path: Path, count: int, kind: LogKind = LOG) -> list[bytes]:
    for number in range(count):
        append_chained(path, [{"what": f"thing {number}"}], kind)
    return path.read_bytes().splitlines(keepends=True)


def read_entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_log_that_only_grew_is_whole(path: Path) -> None:
    assert not examine_log(path, LOG).exists
    fill(path, 3)
    written = append_chained(path, [{"what": "x"}, {"what": "y"}], LOG)
    assert [entry["number"] for entry in written] == [4, 5]
    report = examine_log(path, LOG)
    assert (report.count, report.faults, report.head) == (5, (), read_head(path))
    assert report.last == (5, report.head.sha256 if report.head else "")
    assert (path.stat().st_mode & 0o777, path.with_suffix(".head").stat().st_mode & 0o777) == (0o600, 0o600)


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0, 1, 3, 4])
@pytest.mark.parametrize("head", ["deleted", "emptied", "damaged", "kept"])
def test_a_lost_end_is_told_for_ever(path: Path, kept: int, head: str) -> None:
    lines = fill(path, 5)
    path.write_bytes(b"".join(lines[:kept]))
    if head == "deleted":
        path.with_suffix(".head").unlink()
    elif head != "kept":
        path.with_suffix(".head").write_bytes(b"" if head == "emptied" else b'{"number": 5')
    is_traceless = kept == 0 and head != "kept"  # as if there had never been one; only what lies beside it can tell
    before = examine_log(path, LOG)
    assert bool(before.faults) != is_traceless
    for number in range(3):
        append_chained(path, [{"what": f"later {number}"}], LOG, has_past=lambda: True)
        assert any("the end of the log was not known on" in fault for fault in examine_log(path, LOG).faults)
    entries = read_entries(path)
    assert [END_UNKNOWN in entry for entry in entries] == [False] * kept + [True] + [False] * 3
    stated = entries[kept][END_UNKNOWN]
    assert stated["last_number"] == kept
    assert stated["head_number"] == (5 if head == "kept" else None)


@pytest.mark.parametrize("at", range(1, 5))
def test_a_head_that_was_set_back_is_told(path: Path, at: int) -> None:
    """The forger lets the head name an older line, as if a crash had come then."""
    for number in range(5):
        append_chained(path, [{"what": f"thing {number}"}], LOG)
        time.sleep(0.002)
    entries = read_entries(path)
    write_head(path, entries[at - 1] if at else None)
    report = examine_log(path, LOG)
    assert bool(report.faults) == (at < 4)  # one write behind is what a crash leaves


def test_an_end_that_was_changed_is_told_for_ever(path: Path) -> None:
    lines = fill(path, 3)
    path.write_bytes(b"".join([*lines[:2], lines[2].replace(b"thing", b"other")]))
    assert examine_log(path, LOG).faults == ("log, entry 3: not as it was written; it was changed",)
    append_chained(path, [{"what": "later"}], LOG)
    assert any("the end of the log was not known on" in fault for fault in examine_log(path, LOG).faults)


def test_a_crash_between_lines_and_head_is_no_loss(path: Path) -> None:
    fill(path, 2)
    before = path.with_suffix(".head").read_bytes()
    append_chained(path, [{"what": "a"}, {"what": "b"}], LOG)
    path.with_suffix(".head").write_bytes(before)
    assert examine_log(path, LOG).faults == ()
    append_chained(path, [{"what": "c"}], LOG)
    assert examine_log(path, LOG).faults == ()
    assert not any(END_UNKNOWN in entry for entry in read_entries(path))


def test_a_crash_at_the_first_line_of_all_is_no_loss(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(chained_log, "sync", die)
        with pytest.raises(KeyboardInterrupt):
            append_chained(path, [{"what": "a"}], LOG)
    assert examine_log(path, LOG).faults == ()
    append_chained(path, [{"what": "b"}], LOG)
    assert examine_log(path, LOG).faults == ()
    assert [entry["what"] for entry in read_entries(path)] == ["a", "b"]


WRITER = """
import sys
from pathlib import Path
from minewatch.core.chain_check import LogKind
from minewatch.core.chained_log import append_chained
sys.stdout.write("ready\\n")
sys.stdout.flush()
while True:
    append_chained(Path(sys.argv[1]), [{"what": "x"}], LogKind("log"))
"""


def test_no_kill_leaves_an_end_that_is_not_known(path: Path) -> None:
    for seed in range(6):
        environment = plain_environment(PYTHONPATH=str(ROOT))
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as writer:
            assert writer.stdout
            writer.stdout.readline()
            time.sleep(random.Random(seed).uniform(0, 0.05))
            os.kill(writer.pid, signal.SIGKILL)
        assert examine_log(path, LOG).faults == ()
    append_chained(path, [{"what": "x"}], LOG)
    assert examine_log(path, LOG).faults == ()


def test_a_full_disk_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, 2)
    before, write = path.read_bytes(), os.write

    def fill_disk(handle: int, data: bytes) -> int:
        if len(data) < 50:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", fill_disk)
        with pytest.raises(OSError, match="No space left"):
            append_chained(path, [{"what": "x" * 100}], LOG)
    assert path.read_bytes() == before
    append_chained(path, [{"what": "y"}], LOG)
    assert examine_log(path, LOG).faults == ()


# --- earlier versions ------------------------------------------------------------------------------------------------


def test_lines_of_earlier_versions_stay_and_are_sealed_by_the_first_chained_one(path: Path) -> None:
    path.write_bytes(b'{"what": "old"}\n{"what": "older"}')
    assert examine_log(path, OLD).faults == ()
    fill(path, 2, OLD)
    report = examine_log(path, OLD)
    assert (report.unchained, report.count, report.faults) == (2, 2, ())
    path.write_bytes(path.read_bytes().replace(b"older", b"elder"))
    assert examine_log(path, OLD).faults == (
        "log, lines 1 to 2: not what the first chained line is chained to; one was changed, added or removed",
    )


def test_an_unchained_line_after_chained_ones_was_added(path: Path) -> None:
    lines = fill(path, 3, OLD)
    path.write_bytes(b"".join([*lines[:2], b'{"what": "more"}\n', lines[2]]))
    assert examine_log(path, OLD).faults == ("log, line 3: is not chained to the others; it was added",)


def test_a_log_and_head_of_an_earlier_version_are_whole(path: Path) -> None:
    entries = rechain([{"what": "a"}, {"what": "b"}])
    write_chain(path, entries)
    assert examine_log(path, LOG).faults == ()
    append_chained(path, [{"what": "c"}], LOG)
    assert examine_log(path, LOG).faults == ()
    assert read_entries(path)[2]["number"] == 3


# --- what is in a line -----------------------------------------------------------------------------------------------


def test_times_that_run_backwards_are_told(path: Path) -> None:
    """The forger writes a line as of last year, and chains all that follow anew."""
    days = ("2026-05-01", "2026-05-02", "2025-01-01", "2026-05-03")
    write_chain(path, rechain([{"what": day, "when": f"{day}T12:00:00+00:00"} for day in days]))
    (fault,) = examine_log(path, LOG).faults
    assert "entry 3: is dated 2025-01-01 12:00:00, but follows one of 2026-05-02" in fault
    near = ("12:00:00", "11:58:30", "12:01:00")  # two machines of one folder
    write_chain(path, rechain([{"what": time, "when": f"2026-05-01T{time}+00:00"} for time in near]))
    assert examine_log(path, LOG).faults == ()
    write_chain(path, rechain([{"what": "x", "when": "yesterday"}, {"what": "y", "when": "2026-05-01T12:00:00"}]))
    assert examine_log(path, LOG).faults == ("log, entry 1: has no time", "log, entry 2: has no time")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b'{"number": 0, "previous": "", "when": ""}',
        b'{"number": true, "previous": "", "when": ""}',
        b'{"number": 1e400, "previous": "", "when": ""}',
        b'{"number": 3, "previous": null, "when": ""}',
        b'{"number": 3}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"1" * 5000,
        json.dumps({"number": 3, "previous": FIRST_HASH, "when": "x", END_UNKNOWN: [1]}).encode(),
        json.dumps({"number": 10**400, "previous": FIRST_HASH, "when": "2026-01-01T00:00:00+00:00"}).encode(),
    ],
)
def test_any_line_ends_in_an_answer(path: Path, line: bytes) -> None:
    lines = fill(path, 2)
    path.write_bytes(b"".join(lines) + line + b"\n")
    assert examine_log(path, LOG).faults
    append_chained(path, [{"what": "later"}], LOG)
    assert examine_log(path, LOG).faults


@pytest.mark.parametrize(
    "head", [b"", b"null", b"[1]", b"{}", b'{"number": "1", "sha256": 1}', b'{"number": -1, "sha256": ""}', b"[" * 600]
)
def test_any_head_ends_in_an_answer(path: Path, head: bytes) -> None:
    fill(path, 2)
    path.with_suffix(".head").write_bytes(head)
    assert examine_log(path, LOG).faults == ("log: what its last line was is not known (some.head is missing or damaged)",)


# --- what is no plain file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["log", "head"])
@pytest.mark.parametrize("kind", ["link", "fifo", "device"])
def test_links_pipes_and_devices_are_refused(path: Path, which: str, kind: str) -> None:
    target = path.with_name("target")
    target.write_bytes(b"")
    place = path if which == "log" else path.with_suffix(".head")
    if kind == "fifo":
        os.mkfifo(place)
    else:
        place.symlink_to(target if kind == "link" else "/dev/zero")
    with pytest.raises(OSError, match=r"no plain file|a link") as caught:
        append_chained(path, [{"what": "x"}], LOG)
    assert caught.value.strerror in ("it is no plain file", "it is a link, not a copy")
    assert target.read_bytes() == b""
    if which == "log":
        with pytest.raises(OSError, match=r"no plain file|a link"):
            examine_log(path, LOG)


def test_a_log_without_end_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path, 12)
    with monkeypatch.context() as patch:
        patch.setattr(chain_check, "MOST_LINES", 10)
        with pytest.raises(OSError, match="larger than any log"):
            examine_log(path, LOG)
    with path.open("ab") as file:
        file.truncate(2**34)  # a hole: it takes no room
    with pytest.raises(OSError, match="larger than any log"):
        examine_log(path, LOG)
