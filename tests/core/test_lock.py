"""The lock of a workspace: against processes of this machine, and against what other machines leave in the file."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from minewatch.alerts.read import read_alerts
from minewatch.cli import main
from minewatch.core import lock as holding
from minewatch.core.errors import BusyError, WorkspaceError
from minewatch.core.lock import EXPIRY_SECONDS, HeldLock, Lease, acquire_lock, find_holder, read_lease
from minewatch.core.workspace import Workspace
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.places import ROOT
from tests.helpers.small import (
    UNTIL,
    copy_workspace,
    make_scanned,
    make_series,
    make_workspace,
    plain_environment,
    scan_small,
    snapshot,
)

FOREIGN = Lease("far-away", 4711, "another-boot", "2026-01-01 02:30 UTC", "scan", "forged")
HOLDER = """
import sys
from pathlib import Path
from minewatch.core.lock import acquire_lock
with acquire_lock(Path(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    folder.mkdir()
    return folder / ".lock"


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


def forge(path: Path, age: float, lease: Lease = FOREIGN) -> None:
    """Leave a lease that was renewed some seconds ago."""
    path.write_text(json.dumps(asdict(lease)))
    moment = time.time() - age
    os.utime(path, (moment, moment))


@contextmanager
def holding_elsewhere(path: Path, doing: str = "scan") -> Iterator[subprocess.Popen[bytes]]:
    """Hold the lock in another process."""
    command = [sys.executable, "-c", HOLDER, str(path), doing]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


def take(path: Path) -> list[str]:
    """Take the lock and let go; gives what was told."""
    told: list[str] = []
    with acquire_lock(path, report=told.append):
        pass
    return told


# --- one machine -----------------------------------------------------------------------------------------------------


def test_a_second_process_is_told_who_works_and_since_when(path: Path) -> None:
    with holding_elsewhere(path, "prune") as process:
        with pytest.raises(BusyError) as caught:
            take(path)
        assert f"another prune is running in {path.parent.parent}" in str(caught.value)
        assert f"process {process.pid} on " in str(caught.value)
        assert f"since {dt.datetime.now(dt.UTC):%Y-%m-%d}" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_lock_of_a_killed_process_is_free_at_once_and_that_is_told(path: Path) -> None:
    with holding_elsewhere(path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        (line,) = take(path)
        assert "ended abnormally" in line
        assert str(process.pid) in line
    assert take(path) == []


def test_a_lock_that_was_let_go_leaves_no_lease(path: Path) -> None:
    with acquire_lock(path, "scan"):
        lease = read_lease(path)
        assert lease is not None
        assert (lease.pid, lease.doing) == (os.getpid(), "scan")
        assert find_holder(path) == lease
    assert read_lease(path) is None
    assert find_holder(path) is None


def test_looking_who_works_does_not_stand_in_the_way(path: Path) -> None:
    """A look must never hold the lock itself, or a scan that begins just then would be refused."""
    with holding_elsewhere(path) as process:
        for _ in range(50):
            assert find_holder(path) == read_lease(path)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert find_holder(path) is None


def test_the_lock_file_is_private(path: Path) -> None:
    take(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_lock_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"cannot write in .*check its permissions"):
        take(tmp_path / "missing" / ".lock")


# --- other machines --------------------------------------------------------------------------------------------------


def test_a_fresh_lease_of_another_machine_is_respected(path: Path) -> None:
    forge(path, age=30)
    with pytest.raises(
        BusyError, match=r"since 2026-01-01 02:30 UTC, process 4711 on far-away.*if that machine is off.* 10 minutes"
    ):
        take(path)
    assert read_lease(path) == FOREIGN
    assert find_holder(path) == FOREIGN


def test_a_stale_lease_of_another_machine_is_taken_over_and_that_is_told(path: Path) -> None:
    forge(path, age=EXPIRY_SECONDS + 5)
    assert find_holder(path) is None
    (line,) = take(path)
    assert "process 4711 on far-away" in line
    assert "10 minutes" in line
    assert read_lease(path) is None


def test_another_machine_of_the_same_name_is_another_machine(path: Path) -> None:
    forge(path, 30, replace(FOREIGN, host=os.uname().nodename))
    with pytest.raises(BusyError):
        take(path)


@pytest.mark.parametrize("content", [b"{", b"\x00" * 40, b'{"host": "x"}', b"[]"])
def test_a_lease_that_cannot_be_read_counts_by_its_age(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(BusyError, match="another scan is running"):
        take(path)
    moment = time.time() - EXPIRY_SECONDS - 5
    os.utime(path, (moment, moment))
    assert take(path) == ["somebody gave no sign of life for 10 minutes; its lock was taken over"]


def test_a_clock_that_was_set_back_does_not_keep_a_dead_holder_alive(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forge(path, age=-86_400 * 365)
    with pytest.raises(BusyError, match="if that machine is off"):
        take(path)
    assert abs(path.stat().st_mtime - time.time()) < 60, "it counts from now"
    monkeypatch.setattr(holding, "EXPIRY_SECONDS", 0.0)
    assert len(take(path)) == 1


def test_only_the_clock_of_the_folder_counts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file server that is a day ahead of this machine: a lease that is fresh there is fresh."""
    forge(path, age=-86_400 + 30)
    monkeypatch.setattr(holding, "_read_server_time", lambda _folder: time.time() + 86_400)
    with pytest.raises(BusyError):
        take(path)
    forge(path, age=-86_400 + EXPIRY_SECONDS + 30)
    assert len(take(path)) == 1


def test_a_folder_without_locks_is_kept_by_the_lease_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_handle: int, _kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with holding_elsewhere(path) as process:
        monkeypatch.setattr("fcntl.flock", refuse)
        with pytest.raises(BusyError):
            take(path)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert "ended abnormally" in take(path)[0]
    assert take(path) == []


def test_a_holder_shows_that_it_lives(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "RENEWAL_SECONDS", 0.02)
    with acquire_lock(path):
        os.utime(path, (0, 0))
        _wait_for(lambda: path.stat().st_mtime > 1)


def _wait_for(condition: object) -> None:
    assert callable(condition)
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it did not happen within ten seconds")


def test_a_holder_that_was_taken_for_dead_notices_and_leaves_the_other_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "RENEWAL_SECONDS", 0.02)
    with acquire_lock(path) as held:
        held.check()
        forge(path, age=300)
        time.sleep(0.2)
        assert time.time() - path.stat().st_mtime > 200, "another's lease is not renewed"
        with pytest.raises(WorkspaceError, match=r"taken over by a scan \(since .*far-away\).*nothing was published"):
            held.check()
    assert read_lease(path) == FOREIGN


def test_a_lock_file_that_was_deleted_is_noticed(path: Path) -> None:
    with acquire_lock(path) as held:
        path.unlink()
        with pytest.raises(WorkspaceError, match="or taken away"):
            held.check()


# --- what a scan does with it ----------------------------------------------------------------------------------------


def test_a_scan_whose_lock_was_taken_over_publishes_nothing(
    series: SimulatedSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = make_workspace(tmp_path / "watch", series)
    scan_small(watch, dt.date(2023, 1, 31))
    before = {name: data for name, data in snapshot(watch.output).items() if not name.startswith(("archive", ".lock"))}
    check = HeldLock.check

    def lose(self: HeldLock) -> None:
        forge(watch.held, age=10)
        check(self)

    monkeypatch.setattr(HeldLock, "check", lose)
    with pytest.raises(WorkspaceError, match="taken over by a scan"):
        scan_small(watch, UNTIL)
    after = {name: data for name, data in snapshot(watch.output).items() if not name.startswith(("archive", ".lock"))}
    assert {name: data for name, data in after.items() if not name.startswith("checkpoints")} == {
        name: data for name, data in before.items() if not name.startswith("checkpoints")
    }


READ_ONLY = (
    "alerts list",
    "aoi list",
    "status",
    "schedule show",
    "explain {alert}",
    "verify {output}",
    "source list",
    "pipeline check",
    "notify list",
    "report spot --format html -o {elsewhere}",
)


@pytest.mark.parametrize("line", READ_ONLY)
def test_commands_that_only_read_work_while_a_scan_runs(
    line: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    watch = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "watch")
    alert = str(read_alerts(watch.alerts)["alert_id"][0])
    words = line.format(alert=alert, output=watch.output, elsewhere=tmp_path / "report").split()
    with holding_elsewhere(watch.held):
        found = CliRunner().invoke(main, ["-w", str(watch.root), *words])
    assert found.exit_code == 0, found.output


def test_status_tells_who_works(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    watch = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "watch")
    with holding_elsewhere(watch.held, "prune") as process:
        found = CliRunner().invoke(main, ["-w", str(watch.root), "status"])
        refused = CliRunner().invoke(main, ["-w", str(watch.root), "scan"])
    assert "a prune is running since " in found.output
    assert f"process {process.pid} on " in found.output
    assert refused.exit_code == 1
    assert "another prune is running in" in refused.output


def test_a_review_is_taken_while_a_scan_runs(series: SimulatedSeries, tmp_path: Path) -> None:
    """A scan can take hours: people who decide do not wait for it, the table's own lock keeps them apart."""
    watch = make_workspace(tmp_path / "watch", series)
    scan_small(watch)
    alert = str(read_alerts(watch.alerts)["alert_id"][0])
    with holding_elsewhere(watch.held):
        words = ["-w", str(watch.root), "alerts", "review", alert, "--confirm", "--by", "Rosa"]
        found = CliRunner().invoke(main, words)
    assert found.exit_code == 0, found.output
    assert "confirmed" in set(read_alerts(watch.alerts)["review"])


def test_two_scans_at_once_are_one_scan_and_one_clear_refusal(series: SimulatedSeries, tmp_path: Path) -> None:
    watch = make_workspace(tmp_path / "watch", series)
    processes = [start_command(watch, "scan", "--until", f"{UNTIL}") for _ in range(2)]
    ends = [(process.communicate(timeout=120), process.returncode) for process in processes]
    codes = sorted(code for _, code in ends)
    refused = [err for (_, err), code in ends if code]
    assert codes in ([0, 1], [0, 0])  # both succeed where the second one came when the first had ended
    assert all("another scan is running in" in err for err in refused)
    alone = make_workspace(tmp_path / "alone", series)
    scan_small(alone)
    assert list(read_alerts(watch.alerts)["alert_id"]) == list(read_alerts(alone.alerts)["alert_id"])


def start_command(workspace: Workspace, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "minewatch", "-w", str(workspace.root), *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=plain_environment(), **pipes)
