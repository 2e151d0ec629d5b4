"""Scans that are stopped, find no room, or may not write: one line, nothing lost, and the next one ends as if undisturbed."""

from __future__ import annotations

import datetime as dt
import json
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest

from minewatch.cli import main
from minewatch.core.signals import NOTICE, Stopped
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.workspace import Workspace
from minewatch.operations import plan
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.places import ROOT
from tests.helpers.small import (
    NAME,
    UNTIL,
    make_scanned,
    make_series,
    make_workspace,
    plain_environment,
    read_layer,
    read_result,
    scan_small,
)

ROUNDS = 3
SCAN = (sys.executable, "-m", "minewatch", "scan", "--until", UNTIL.isoformat(), "-w")
TINY = "mount -t tmpfs -o size={size} tmpfs {place} && cp -r {watch} {place}/watch && "
"""Put a workspace on a small disk of its own, which only this process and its children see."""


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return read_result(make_scanned(tmp_path_factory)[0])


@pytest.fixture
def watch(tmp_path: Path, series: SimulatedSeries) -> Workspace:
    return make_workspace(tmp_path / "watch", series)


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=ROOT, env=plain_environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def list_drafts(watch: Workspace) -> list[Path]:
    return list(watch.archive(NAME).glob(f"{TEMPORARY_PREFIX}*"))


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_scan_that_is_stopped_goes_on_from_there(watch: Workspace, result: dict[str, Any], kind: signal.Signals) -> None:
    for number in range(ROUNDS):
        child = start(*SCAN, str(watch.root))
        chance = random.Random(f"{kind} {number}")
        if number:  # the first is stopped while its modules are loaded
            wait_for_files(watch, child)
        time.sleep(chance.uniform(0, 1.2))
        child.send_signal(kind)
        _, told = child.communicate(timeout=60)
        if child.returncode != 0:  # it may have been done before
            assert child.returncode == 128 + kind, told
            assert [line for line in told.splitlines() if "stopped" in line] == [told.splitlines()[-1]]
            assert "what was finished is kept" in told
        assert "Traceback" not in told
    scan_small(watch)
    assert read_result(watch) == result
    assert not list_drafts(watch)


def test_a_second_signal_ends_at_once() -> None:
    code = (
        "import os, signal, time\nfrom minewatch.core.signals import handle_signals, Stopped\n"
        "with handle_signals():\n"
        " try:\n  os.kill(os.getpid(), signal.SIGINT); time.sleep(60)\n"
        " except Stopped:\n  os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60).returncode == 143


DROPPED = """
import signal, time, weakref
class Thing: pass
thing = Thing()
watched = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGTERM))
del thing
time.sleep(60)
"""
"""A signal where Python drops what is raised."""

IMPORTING = """
import signal, time
passed = []
try:
    exec(compile("signal.raise_signal(signal.SIGTERM); passed.append(1)", "<frozen importlib._bootstrap>", "exec"))
    time.sleep(60)
finally:
    assert passed, "stopped while the lock of imports was held"
"""


LOADING = IMPORTING.replace('"signal.raise_signal(signal.SIGTERM); ', '"load(); ').replace(
    "passed = []", "passed = []\nload = lambda: signal.raise_signal(signal.SIGTERM)"
)
"""A signal in what an import runs: a library in C would call its own import failed."""


@pytest.mark.parametrize("code", [DROPPED, IMPORTING, LOADING], ids=["dropped", "importing", "loading"])
def test_a_signal_at_a_bad_moment_stops_the_command_all_the_same(code: str) -> None:
    whole = (
        "import sys\nfrom minewatch.core.signals import Stopped, handle_signals\n"
        f"with handle_signals():\n try:\n  exec({code!r})\n except Stopped as stop:\n  sys.exit(stop.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", whole], cwd=ROOT, check=False, timeout=30, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (143, "")


@pytest.mark.parametrize("kind", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("moment", ["now", "at exit", "when Python is taken apart"])
def test_a_signal_after_the_command_is_done_changes_nothing(kind: str, moment: str) -> None:
    code = (
        "import atexit, os, signal, sys\nfrom minewatch.core.signals import handle_signals\n"
        "class Last:\n def __init__(self): self.kill, self.me = os.kill, os.getpid()\n"
        f" def __del__(self): self.kill(self.me, {int(signal.Signals[kind])})\n"
        "try:\n with handle_signals():\n  sys.exit(3)\nfinally:\n"
    ) + {
        "now": f" signal.raise_signal(signal.{kind})\n",
        "at exit": f" atexit.register(signal.raise_signal, signal.{kind})\n",
        "when Python is taken apart": " sys.modules['last'] = Last()\n",
    }[moment]
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (3, "")


def test_a_process_that_does_not_come_to_its_exit_ends_at_the_second_signal() -> None:
    code = (
        "import os, signal, time\nfrom minewatch.core.signals import handle_signals\n"
        "with handle_signals():\n pass\nfor _ in range(2):\n os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, timeout=60).returncode == 143


def test_a_signal_before_the_command_has_begun_is_told_as_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click.Group, "invoke", raise_stopped)
        with pytest.raises(SystemExit) as stop:
            main.invoke(click.Context(main, info_name="minewatch"))
    assert stop.value.code == 130
    assert capsys.readouterr().err == f"{NOTICE}\n"


def raise_stopped(*_: object) -> None:
    raise Stopped(signal.SIGINT)


def wait_for_files(watch: Workspace, child: subprocess.Popen[str]) -> None:
    """Wait until a scan has begun to write."""
    before, begun = len(list(watch.output.rglob("*"))), time.monotonic()
    while len(list(watch.output.rglob("*"))) == before and child.poll() is None and time.monotonic() < begun + 60:
        time.sleep(0.02)


def need_namespaces() -> None:
    """Skip where a process may not have disks of its own."""
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("this system lets nobody make a small disk of his own (unshare -Urm)")


def run_apart(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script],
        cwd=ROOT,
        env=plain_environment(),
        text=True,
        capture_output=True,
        check=False,
        timeout=200,
    )


@pytest.mark.parametrize("kilobytes", [300, 1600, 1880])
def test_a_full_disk_is_one_line_and_the_next_scan_ends_well(
    watch: Workspace, tmp_path: Path, result: dict[str, Any], kilobytes: int
) -> None:
    need_namespaces()
    place = tmp_path / "disk"
    place.mkdir()
    scan = shlex.join([*SCAN, f"{place}/watch"])
    tiny = TINY.format(size=f"{kilobytes}k", place=place, watch=watch.root)
    answer = run_apart(
        f"{tiny} {scan}; echo exit $? >&2; mount -o remount,size=100m {place} && {scan} >/dev/null 2>/dev/null; "
        f"cp -r {place}/watch {tmp_path}/out"
    )
    assert "Traceback" not in answer.stderr
    if "exit 0" not in answer.stderr:
        assert "exit 1" in answer.stderr or "exit 3" in answer.stderr
        assert answer.stderr.count("Error: ") <= 1
        assert "full" in answer.stderr + answer.stdout
    assert read_result(Workspace(tmp_path / "out")) == result
    assert not list_drafts(Workspace(tmp_path / "out"))


def test_a_read_only_folder_is_one_line(watch: Workspace, tmp_path: Path, result: dict[str, Any]) -> None:
    need_namespaces()
    place = tmp_path / "disk"
    place.mkdir()
    scan = shlex.join([*SCAN, f"{place}/watch"])
    tiny = TINY.format(size="50m", place=place, watch=watch.root)
    answer = run_apart(
        f"{tiny} {scan} >/dev/null 2>&1; mount -o remount,ro {place}; {scan}; echo exit $? >&2; "
        f"mount -o remount,rw {place}; {scan} >/dev/null 2>/dev/null; cp -r {place}/watch {tmp_path}/out"
    )
    assert "exit 1" in answer.stderr
    assert answer.stderr.count("Error: ") == 1
    assert "Traceback" not in answer.stderr
    assert read_result(Workspace(tmp_path / "out")) == result


@pytest.mark.parametrize("name", ["status.tif", "clear_looks.tif"])
def test_damaged_results_are_made_anew(watch: Workspace, result: dict[str, Any], name: str) -> None:
    scan_small(watch)
    changes = watch.changes(NAME)
    assert isinstance(changes, Path)
    for number in range(ROUNDS):
        chance = random.Random(number)
        for path in (changes / name, watch.alerts_csv, *watch.runs.iterdir()):
            data = bytearray(path.read_bytes())
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            path.write_bytes(data[: chance.randrange(len(data))] if chance.random() < 0.5 else data)
    scan_small(watch)
    assert read_result(watch) == result


class Backwards(dt.datetime):
    """A clock that is set back by a day at each look."""

    looks = 0

    @classmethod
    def now(cls, zone: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
        cls.looks += 1
        return dt.datetime(2023, 6, 30, tzinfo=zone) - dt.timedelta(days=cls.looks)


def test_a_clock_that_is_set_back_harms_nothing(
    watch: Workspace, result: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(plan, "dt", SimpleNamespace(**{**vars(dt), "datetime": Backwards}))
        reports = [scan_small(watch) for _ in range(3)]
    assert len({report.run_id for report in reports}) == 3
    assert read_result(watch) == result
    runs = read_layer(watch.alerts, "runs")
    assert [run["run_id"] for run in runs] == [report.run_id for report in reports]
    assert runs[0]["started"] > runs[1]["started"] > runs[2]["started"]
    assert all(json.loads(report.record.read_text())["seconds"] >= 0 for report in reports)
