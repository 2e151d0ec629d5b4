"""The watch: what one pass scans, what it survives, and how it ends as a service."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from minewatch.alerts.read import read_alerts
from minewatch.alerts.rows import read_areas
from minewatch.areas.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.cli import main
from minewatch.cli.watch import describe_results
from minewatch.core.errors import AlertsError, SourceError, WorkspaceError
from minewatch.core.progress import Reporter
from minewatch.core.signals import handle_signals
from minewatch.core.workspace import Workspace
from minewatch.operations.heartbeat import write_heartbeat
from minewatch.operations.plan import ScanRequest
from minewatch.operations.run_log import read_runs
from minewatch.operations.scan import scan
from minewatch.operations.scan_report import FailedArea, ScanReport
from minewatch.operations.service import serve
from minewatch.operations.watch import Cycle, watch_once
from minewatch.settings.document import init_workspace
from minewatch.settings.watching import WatchTable
from minewatch.simulation.series import SimulatedSeries
from minewatch.sources.run_source import find_run_source
from tests.helpers.hosts import Host, serve_host
from tests.helpers.places import ROOT
from tests.helpers.small import NAME, UNTIL, make_series, make_workspace, plain_environment, read_layer

NOW = dt.datetime(2023, 3, 31, 2, 40, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
NIGHTLY = '[schedules.nightly]\ncron = "30 2 * * *"\n'
NO_JITTER = "[watch]\njitter_minutes = 0\n"


@dataclass
class Scanner:
    """Stands in for the scan: notes what it was asked, and fails as told."""

    asked: list[tuple[str, ScanRequest]] = field(default_factory=list)
    """Output folder and request."""

    fail: Callable[[ScanRequest], Exception | None] = lambda _request: None
    """Gives what to raise."""

    missed: dict[str, str] = field(default_factory=dict)
    """Areas that cannot be searched."""

    def __call__(self, workspace: Workspace, request: ScanRequest, _reporter: Reporter) -> ScanReport:
        self.asked.append((workspace.output.relative_to(workspace.root).as_posix(), request))
        if error := self.fail(request):
            raise error
        missed = [FailedArea(name, self.missed[name]) for name in request.names if name in self.missed]
        return ScanReport(f"run-{len(self.asked)}", "nowhere", [], workspace.runs / "x.json", missed)

    @property
    def names(self) -> list[tuple[str, ...]]:
        return [request.names for _, request in self.asked]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Three areas that only stand-ins scan."""
    made = init_workspace(tmp_path / "watch")
    for number, name in enumerate(("a", "b", "c")):
        add_area(made, name, -70 + number)
    set_settings(made, NIGHTLY)
    return made


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture
def small(series: SimulatedSeries, tmp_path: Path) -> Workspace:
    """One area that can really be scanned."""
    made = make_workspace(tmp_path / "small", series)
    set_settings(made, f'source = "{series.catalog}"\n{NIGHTLY}')
    return made


def add_area(workspace: Workspace, name: str, west: float, pipeline: str = "default") -> None:
    box = bbox_geometry((west, -13, west + 0.01, -12.99))
    write_aoi(workspace, Aoi(name, box, dt.date(2022, 1, 1), pipeline=pipeline))


def set_settings(workspace: Workspace, text: str) -> None:
    workspace.settings.write_text(text + NO_JITTER, "utf-8")


def note_lines() -> tuple[list[str], Reporter]:
    lines: list[str] = []
    return lines, Reporter(note=lines.append)


# --- one pass --------------------------------------------------------------------------------------------------------


def test_a_night_on_a_real_area(small: Workspace) -> None:
    """It scans as of the night, writes the round down with the run that the table names, and has nothing to do then."""
    done = watch_once(small, NOW)
    (one,) = read_runs(small)
    assert done.runs == [one]
    assert done.is_well
    assert (one.schedule, one.due, one.areas) == ("nightly", NOW.replace(minute=30), {NAME: ""})
    assert set(read_alerts(small.alerts)["run_id"]) == {one.run_id}
    found = done.found[NAME]
    assert (found["read"], found["changes"]) == (43, {"new": len(read_alerts(small.alerts))})
    ids = ", ".join(sorted(read_alerts(small.alerts)["alert_id"]))
    assert describe_results(done.found) == [f"{NAME}: 43 looks read; 2 new ({ids}); alerts now: 2 confirmed"]
    assert read_areas(small.alerts)[NAME][1] == NOW.date() == UNTIL
    assert {row["what_if"] for row in read_layer(small.alerts, "runs")} == {0}
    assert done.next_due == NOW.replace(minute=30) + DAY
    assert watch_once(small, NOW + dt.timedelta(hours=1)).runs == []
    assert len(watch_once(small, NOW + DAY).runs) == 1


def test_a_month_of_downtime_is_one_scan(small: Workspace) -> None:
    watch_once(small, NOW - 31 * DAY)
    done = watch_once(small, NOW)
    assert [one.due for one in done.runs] == [NOW.replace(minute=30)]
    assert len(read_layer(small.alerts, "runs")) == 2


def test_areas_without_news_share_a_line() -> None:
    quiet = {"read": 2, "changes": {"unchanged": 5}, "new": [], "alerts": {"confirmed": 5}}
    assert describe_results({"a": quiet, "b": quiet}) == ["2 areas: 4 looks read; no alert changed"]


def test_a_schedule_has_a_source_of_its_own(workspace: Workspace) -> None:
    """An area that is due of two sources is scanned from both; a path is relative to the workspace."""
    (workspace.root / "here").mkdir()
    set_settings(workspace, f'{NIGHTLY}[schedules.other]\ncron = "0 1 * * *"\nareas = ["a", "c"]\nsource = "here"\n')
    scanner = Scanner()
    watch_once(workspace, NOW, run=scanner)
    asked = {request.source: request.names for _, request in scanner.asked}
    assert asked == {None: ("a", "b", "c"), str(workspace.root / "here"): ("a", "c")}


def test_areas_are_searched_where_each_says(small: Workspace, series: SimulatedSeries) -> None:
    """The source of one area that does not answer fails that area alone; the record says where each was read."""
    for name, source in (("own", series.catalog), ("gone", small.root / "gone.json")):
        document = json.loads((small.aois / f"{NAME}.geojson").read_text())
        document["features"][0]["properties"]["source"] = str(source)
        (small.aois / f"{name}.geojson").write_text(json.dumps(document))
    set_settings(small, 'source = "nowhere.json"\n')
    with pytest.raises(SourceError, match="nowhere"):
        scan(small, ScanRequest((NAME,), until=UNTIL))
    report = scan(small, ScanRequest(("own", "gone"), until=UNTIL))
    assert [(area.plan.aoi.name, area.source) for area in report.areas] == [("own", str(series.catalog))]
    assert [(failed.aoi, "gone.json" in failed.reason) for failed in report.failed_areas] == [("gone", True)]
    assert find_run_source(small, report.run_id, report.areas[0].plan.aoi) == str(series.catalog.resolve())


def test_areas_that_are_due_together_are_one_scan(workspace: Workspace) -> None:
    set_settings(workspace, f'{NIGHTLY}[schedules.other]\ncron = "0 1 * * *"\nareas = ["a", "c"]\n')
    scanner = Scanner()
    watch_once(workspace, NOW, run=scanner)
    assert scanner.names == [("a", "b", "c")]
    assert scanner.asked[0][1].pipeline is None
    rounds = {one.schedule: one for one in read_runs(workspace)}
    assert rounds["nightly"].areas == {"a": "", "b": "", "c": ""}
    assert rounds["other"].areas == {"a": "", "c": ""}
    assert {one.run_id for one in rounds.values()} == {"run-1"}
    assert watch_once(workspace, NOW, run=scanner).runs == []


def test_the_most_urgent_areas_are_scanned_first(workspace: Workspace) -> None:
    text = '[schedules.all]\ncron = "0 1 * * *"\npriority = 5\n[schedules.urgent]\ncron = "0 2 * * *"\nareas = ["c"]\n'
    set_settings(workspace, text)
    scanner = Scanner()
    watch_once(workspace, NOW, run=scanner)
    assert scanner.names == [("c",), ("a", "b")]
    assert [(one.schedule, set(one.areas)) for one in read_runs(workspace)] == [
        ("urgent", {"c"}),
        ("all", {"c"}),
        ("all", {"a", "b"}),
    ]


def test_a_pipeline_of_its_own_is_written_apart(workspace: Workspace) -> None:
    (workspace.pipelines / "strict.toml").write_text((workspace.pipelines / "default.toml").read_text("utf-8"), "utf-8")
    add_area(workspace, "d", -60, pipeline="strict")
    set_settings(workspace, f'{NIGHTLY}[schedules.try-out]\ncron = "0 1 * * *"\npipeline = "strict"\n')
    scanner = Scanner()
    watch_once(workspace, NOW, run=scanner)
    assert [(folder, request.names, request.pipeline) for folder, request in scanner.asked] == [
        ("output", ("a", "b", "c", "d"), None),  # the area whose own pipeline it is needs no second scan
        ("output/what-if/try-out", ("a", "b", "c"), "strict"),
    ]
    assert {(one.schedule, tuple(one.areas), one.what_if) for one in read_runs(workspace)} == {
        ("nightly", ("a", "b", "c", "d"), False),
        ("try-out", ("d",), False),
        ("try-out", ("a", "b", "c"), True),
    }


def test_a_real_what_if_leaves_the_table_alone(small: Workspace) -> None:
    text = (small.pipelines / "default.toml").read_text("utf-8")
    (small.pipelines / "strict.toml").write_text(text, "utf-8")
    source = small.settings.read_text("utf-8").split("\n", 1)[0]
    set_settings(small, f'{source}\n[schedules.try-out]\ncron = "0 1 * * *"\npipeline = "strict"\n')
    watch_once(small, NOW)
    assert not small.alerts.exists()
    assert (small.what_ifs / "try-out" / "alerts.gpkg").exists()


def test_a_bad_area_does_not_stop_the_others(workspace: Workspace) -> None:
    (workspace.aois / "b.geojson").write_text("{", "utf-8")
    scanner = Scanner()
    lines, reporter = note_lines()
    done = watch_once(workspace, NOW, reporter, run=scanner)
    assert scanner.names == [("a", "c")]
    assert set(done.failed) == {"b"}
    assert "b.geojson" in done.failed["b"]
    assert any(line.startswith("b: not scanned, its alerts stay as they were:") for line in lines)
    assert not done.is_well
    reasons = {aoi: reason for one in read_runs(workspace) for aoi, reason in one.areas.items()}
    assert {aoi for aoi, reason in reasons.items() if reason} == {"b"}


@pytest.mark.parametrize("error", [AlertsError("damaged"), ValueError("a bug"), OSError(28, "No space left on device")])
def test_a_scan_that_one_area_breaks_is_done_for_each_by_its_own(workspace: Workspace, error: Exception) -> None:
    scanner = Scanner(fail=lambda request: error if "b" in request.names else None)
    done = watch_once(workspace, NOW, run=scanner)
    assert scanner.names == [("a", "b", "c"), ("a",), ("b",), ("c",)]
    assert set(done.failed) == {"b"}
    assert "\n" not in done.failed["b"]
    assert watch_once(workspace, NOW, run=scanner).runs == [], "it is tried again the next night"


def test_a_source_that_is_down_is_asked_once(workspace: Workspace) -> None:
    scanner = Scanner(fail=lambda _request: SourceError("no answer"))
    done = watch_once(workspace, NOW, run=scanner)
    assert len(scanner.asked) == 1
    assert done.failed == dict.fromkeys("abc", "no answer")


def test_a_damaged_table_is_a_failure_of_each_area(small: Workspace) -> None:
    watch_once(small, NOW - DAY)
    small.alerts.write_bytes(b"no table")
    done = watch_once(small, NOW)
    assert set(done.failed) == {NAME}
    assert "no usable alerts table" in done.failed[NAME]
    assert small.heartbeat.exists()


def test_an_area_that_could_not_be_searched_has_failed(workspace: Workspace) -> None:
    done = watch_once(workspace, NOW, run=Scanner(missed={"c": "no answer"}))
    assert done.failed == {"c": "no answer"}
    assert [one.run_id for one in done.runs] == ["run-1"]


def test_what_is_due_waits_while_somebody_works(small: Workspace) -> None:
    with small.lock("prune"):
        done = watch_once(small, NOW)
    assert "another prune is running in" in done.busy
    assert (done.runs, read_runs(small)) == ([], [])
    assert len(watch_once(small, NOW + dt.timedelta(minutes=1)).runs) == 1


def test_a_pattern_without_an_area_is_told(workspace: Workspace) -> None:
    set_settings(workspace, '[schedules.nightly]\ncron = "30 2 * * *"\nareas = ["a", "gone-*"]\n')
    done = watch_once(workspace, NOW, run=Scanner())
    assert done.faults == ["schedule 'nightly': no area is called 'gone-*'; see: minewatch aoi list"]


def test_a_schedule_without_any_area_is_told_once_for_each_time(workspace: Workspace) -> None:
    """Who misspelt every name would else watch nothing for a year; and who looks every 15 minutes is not told every time."""
    set_settings(workspace, '[schedules.nightly]\ncron = "30 2 * * *"\nareas = ["gone"]\n')
    done = watch_once(workspace, NOW, run=Scanner())
    assert [one.areas for one in done.runs] == [{}]
    assert not done.is_well
    assert "no area is called 'gone'" in done.faults[0]
    assert watch_once(workspace, NOW + dt.timedelta(minutes=15), run=Scanner()).faults == []
    assert len(watch_once(workspace, NOW + DAY, run=Scanner()).faults) == 1


def test_the_next_pass_goes_on_where_a_crash_came_between_two_scans(workspace: Workspace) -> None:
    set_settings(workspace, f'{NIGHTLY}priority = 2\n[schedules.urgent]\ncron = "0 2 * * *"\nareas = ["c"]\n')
    crash = Scanner(fail=lambda request: None if request.names == ("c",) else KeyboardInterrupt())  # type: ignore[arg-type,return-value]
    with pytest.raises(KeyboardInterrupt):
        watch_once(workspace, NOW, run=crash)
    scanner = Scanner()
    watch_once(workspace, NOW, run=scanner)
    assert scanner.names == [("a", "b")]


# --- clocks ----------------------------------------------------------------------------------------------------------


def test_a_clock_that_was_set_back_makes_no_what_if(small: Workspace) -> None:
    """The table is as of a later day: the night goes on from there, so that people are told, and says what is wrong."""
    watch_once(small, NOW + 300 * DAY)
    lines, reporter = note_lines()
    done = watch_once(small, NOW, reporter)
    assert len(done.runs) == 1
    assert done.failed == {}
    assert {row["what_if"] for row in read_layer(small.alerts, "runs")} == {0}
    assert read_areas(small.alerts)[NAME][1] == NOW.date() + 300 * DAY
    assert any(f"minewatch scan {NAME} --until {NOW.date()} --replace" in line for line in lines)
    remedy = CliRunner().invoke(main, ["-w", str(small.root), "scan", NAME, "--until", f"{NOW.date()}", "--replace"])
    assert remedy.exit_code == 0
    assert read_areas(small.alerts)[NAME][1] == NOW.date()
    watch_once(small, NOW + DAY)
    assert [row["what_if"] for row in read_layer(small.alerts, "runs")] == [0, 0, 1, 0]


# --- the heartbeat ---------------------------------------------------------------------------------------------------


def test_the_heart_beats_after_each_pass(workspace: Workspace) -> None:
    watch_once(workspace, NOW, run=Scanner(missed={"c": "no answer"}))
    told = json.loads(workspace.heartbeat.read_text("utf-8"))
    assert told["time"] == NOW.isoformat()
    assert told["failed"] == {"c": "no answer"}
    assert workspace.heartbeat.stat().st_mode & 0o777 == 0o600
    watch_once(workspace, NOW + DAY / 2, run=Scanner())
    assert json.loads(workspace.heartbeat.read_text("utf-8"))["time"] == (NOW + DAY / 2).isoformat()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with serve_host() as running:
        yield running


def test_an_address_is_asked_after_each_pass(workspace: Workspace, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.answer = lambda answer, _number: answer.send(200, b"OK")
    monkeypatch.setenv("BEAT", f"{host.url}/secret-token")
    workspace.settings.write_text(f'{NIGHTLY}{NO_JITTER}heartbeat_variable = "BEAT"', "utf-8")
    assert watch_once(workspace, NOW, run=Scanner()).is_well
    assert host.paths == ["/secret-token"]


def cut_the_line(answer: object, _number: int) -> None:
    answer.close_connection = True  # type: ignore[attr-defined]
    answer.connection.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]


FAULTS: dict[str, tuple[Callable[..., None], str]] = {
    "500": (lambda answer, _number: answer.send(500, b"secret-token"), "it answers with status 500"),
    "404": (lambda answer, _number: answer.send(404), "it answers with status 404"),
    "cut": (cut_the_line, "no answer, ProtocolError"),
    "slow": (lambda _answer, _number: time.sleep(1.5), "too slow, no answer within"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_address_that_fails_stops_nothing_and_stays_secret(
    workspace: Workspace, host: Host, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    host.answer, words = FAULTS[fault]
    monkeypatch.setattr("minewatch.operations.heartbeat.HEARTBEAT_TIMEOUT", 1.0)
    monkeypatch.setenv("BEAT", f"{host.url}/secret-token")
    (line,) = write_heartbeat(workspace, WatchTable(heartbeat_variable="BEAT"), {})
    assert "secret-token" not in line
    assert "127.0.0.1" not in line
    assert line.startswith("the heartbeat's address in BEAT cannot be reached: ")
    assert words in line
    assert workspace.heartbeat.exists()


@pytest.mark.parametrize("address", ["", "ftp://host/secret-token", "file:///etc/passwd", "secret-token", "http://[secret-token"])
def test_an_address_that_is_none_is_told_by_its_variable(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("BEAT", address)
    (line,) = write_heartbeat(workspace, WatchTable(heartbeat_variable="BEAT"), {})
    assert "BEAT" in line
    assert "secret-token" not in line
    assert "passwd" not in line


def test_a_heartbeat_that_cannot_be_written_is_told(workspace: Workspace) -> None:
    (line,) = write_heartbeat(workspace, WatchTable(heartbeat_file="/proc/nowhere/beat"), {})
    assert "the heartbeat was not written to /proc/nowhere/beat" in line


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_prints_its_rounds_and_then_nothing(small: Workspace) -> None:
    found = run(small, "watch", "--once")
    assert found.exit_code == 0, found.output
    assert "nightly: 1 of 1 area scanned (" in found.stdout
    again = run(small, "watch", "--once")
    assert (again.exit_code, again.stdout, again.stderr.strip()) == (0, "", "")


def test_the_command_tells_failures_by_its_exit_code(small: Workspace) -> None:
    (small.aois / f"{NAME}.geojson").write_text("{", "utf-8")
    found = run(small, "watch", "--once", "--json")
    assert found.exit_code == 3
    told = json.loads(found.stdout)
    assert set(told["failed"]) == {NAME}
    assert told["rounds"][0]["run_id"] is None


def test_without_a_schedule_it_says_so(workspace: Workspace) -> None:
    set_settings(workspace, "")
    found = run(workspace, "watch", "--once")
    assert found.exit_code == 0
    assert "no schedule" in found.stderr


def test_a_folder_that_cannot_be_written_is_one_clear_error(small: Workspace) -> None:
    """A file in its place stands for a folder on a disk that is read-only: root may write everywhere else."""
    small.output.write_text("a file in its place")
    found = run(small, "watch", "--once")
    assert found.exit_code == 1
    assert found.stderr.count("Error:") == 1
    assert "check its permissions" in found.stderr


def run(workspace: Workspace, *words: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(main, ["-w", str(workspace.root), *words])


# --- the service -----------------------------------------------------------------------------------------------------


class Clock:
    """A clock that goes on while the service sleeps; after ``limit`` looks the system wants the service to end."""

    def __init__(self, limit: int) -> None:
        self.now, self.slept, self._left = NOW, 0.0, limit

    def read(self) -> dt.datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGTERM)
        self.now += dt.timedelta(seconds=seconds)
        self.slept += seconds


def serve_for(workspace: Workspace, clock: Clock, run_cycle: Callable[..., Cycle]) -> list[str]:
    lines, reporter = note_lines()
    with handle_signals():
        serve(workspace, reporter, clock.read, clock.sleep, run_cycle)
    return lines


def test_the_service_sleeps_until_something_is_due(workspace: Workspace) -> None:
    passes: list[dt.datetime] = []
    due = NOW + dt.timedelta(minutes=7, seconds=12)

    def run_cycle(_workspace: Workspace, now: dt.datetime, _reporter: Reporter) -> Cycle:
        passes.append(now)
        return Cycle(now, next_due=due if now < due else NOW + DAY)

    serve_for(workspace, Clock(60), run_cycle)
    assert passes[:3] == [NOW, due, due + dt.timedelta(minutes=15)]


def test_the_service_sees_settings_that_were_edited_between_two_passes(workspace: Workspace) -> None:
    scanner, passes = Scanner(), list[dt.datetime]()
    set_settings(workspace, NIGHTLY.replace("[schedules.nightly]", '[schedules.nightly]\nareas = ["a"]'))

    def run_cycle(workspace: Workspace, now: dt.datetime, reporter: Reporter) -> Cycle:
        passes.append(now)
        if len(passes) == 2:
            set_settings(workspace, '[schedules.often]\ncron = "*/15 * * * *"\nareas = ["b"]\n')
        return watch_once(workspace, now, reporter, scanner)

    serve_for(workspace, Clock(120), run_cycle)
    assert scanner.names[:2] == [("a",), ("b",)]


def test_the_service_wakes_for_a_message_that_waits(workspace: Workspace) -> None:
    passes: list[dt.datetime] = []

    def run_cycle(_workspace: Workspace, now: dt.datetime, _reporter: Reporter) -> Cycle:
        passes.append(now)
        return Cycle(now, next_due=NOW + DAY, next_try=NOW + dt.timedelta(minutes=3) if now == NOW else None)

    serve_for(workspace, Clock(20), run_cycle)
    assert passes[:2] == [NOW, NOW + dt.timedelta(minutes=3)]


@pytest.mark.parametrize("error", [WorkspaceError("read-only"), ValueError("a bug"), MemoryError()])
def test_the_service_survives_what_a_pass_raises(workspace: Workspace, error: Exception) -> None:
    passes: list[dt.datetime] = []

    def run_cycle(_workspace: Workspace, now: dt.datetime, _reporter: Reporter) -> Cycle:
        passes.append(now)
        raise error

    lines = serve_for(workspace, Clock(100), run_cycle)
    assert len(passes) >= 3
    assert len(lines) == len(passes)
    assert "the next one is tried at 02:55 UTC" in lines[0]


def test_the_service_goes_on_when_the_clock_is_set_back(workspace: Workspace) -> None:
    clock, passes = Clock(40), list[dt.datetime]()

    def run_cycle(_workspace: Workspace, now: dt.datetime, _reporter: Reporter) -> Cycle:
        passes.append(now)
        if len(passes) == 2:
            clock.now -= 300 * DAY
        return Cycle(now, next_due=None)

    serve_for(workspace, clock, run_cycle)
    assert passes[2] < NOW - 299 * DAY
    assert len(passes) >= 3


def start_watch(workspace: Workspace, *words: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "minewatch", "-w", str(workspace.root), "watch", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=plain_environment(**environment), **pipes)


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("it did not happen within a minute")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_the_service_ends_as_asked(small: Workspace, number: signal.Signals, code: int) -> None:
    with start_watch(small) as process:
        wait_for(small.heartbeat.exists)
        time.sleep(0.2)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "nightly: 1 of 1 area scanned" in out
    assert "Traceback" not in err
    assert "what was finished is kept" in err
    assert "goes on from there" in err


@pytest.mark.parametrize(
    ("words", "number", "code"),
    [((), signal.SIGTERM, 0), ((), signal.SIGINT, 130), (("--once",), signal.SIGTERM, 143), (("--once",), signal.SIGINT, 130)],
)
def test_a_scan_that_is_stopped_goes_on_the_next_time(
    small: Workspace, words: tuple[str, ...], number: signal.Signals, code: int
) -> None:
    with start_watch(small, *words) as process:
        wait_for(lambda: small.lock_file.exists() and small.lock_file.stat().st_size > 0)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert small.lock_file.stat().st_size == 0, "the lock was let go"
    assert read_runs(small) == []
    done = watch_once(small, dt.datetime.now(dt.UTC))
    assert done.failed == {}
    assert len(done.runs) == 1
    assert not list(small.output.rglob(".tmp-*"))


def test_the_service_manager_is_told(small: Workspace, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(60)
        heard: list[str] = []
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        with start_watch(small, **environment) as process:
            while not {"READY=1", "WATCHDOG=1"} <= set(heard) or not any(line.startswith("STATUS=next") for line in heard):
                heard.append(ear.recv(4096).decode())
            process.send_signal(signal.SIGTERM)
            while heard[-1] != "STOPPING=1":
                heard.append(ear.recv(4096).decode())
            process.communicate(timeout=60)
    assert heard[0] == "READY=1"
    assert process.returncode == 0


def test_a_round_that_was_killed_is_done_again(small: Workspace) -> None:
    with start_watch(small, "--once") as process:
        wait_for(lambda: small.lock_file.exists() and small.lock_file.stat().st_size > 0)
        process.kill()
        process.communicate(timeout=60)
    lines, reporter = note_lines()
    done = watch_once(small, dt.datetime.now(dt.UTC), reporter)
    assert len(done.runs) == 1
    assert done.failed == {}
    assert any("ended abnormally" in line for line in lines)


def test_two_watches_at_once_are_one_scan(small: Workspace) -> None:
    processes = [start_watch(small, "--once") for _ in range(2)]
    ends = [(process.communicate(timeout=120), process.returncode) for process in processes]
    assert sorted(code for _, code in ends) in ([0, 0], [0, 3]), ends
    assert all("is running in" in err for (_, err), code in ends if code)
    assert {one.areas[NAME] for one in read_runs(small)} == {""}
    assert watch_once(small, dt.datetime.now(dt.UTC)).runs == []
