"""Scans on a cluster of processes: the same result, whatever happens to the workers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

import minewatch
from minewatch.core.cluster import Cluster
from minewatch.core.errors import MinewatchError
from minewatch.core.parallel import start_engine
from minewatch.core.progress import Reporter
from minewatch.core.workspace import Workspace
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.operations.scan_report import ScanReport
from minewatch.simulation.series import SimulatedSeries
from tests.helpers.servers import DaskCluster, start_dask, start_worker
from tests.helpers.small import UNTIL, make_scanned, make_series, make_workspace, read_result, scan_small

T = TypeVar("T")

pytestmark = pytest.mark.server


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> SimulatedSeries:
    return make_series(tmp_path_factory)


@pytest.fixture(scope="session")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What threads give."""
    return read_result(make_scanned(tmp_path_factory)[0])


@pytest.fixture
def watch(series: SimulatedSeries, tmp_path: Path) -> Workspace:
    return make_workspace(tmp_path / "watch", series)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minewatch.operations.scan.draw_quicklook", lambda *_: None)


@dataclass(frozen=True)
class Interruption(Reporter):
    """Does something once, when the fifth scene has been read."""

    action: Callable[[], None] = lambda: None

    def track(self, items: Iterable[T], title: str, *more: Any) -> Iterator[T]:
        for number, item in enumerate(super().track(items, title, *more)):
            if number == 5 and "reading scenes" in title:
                self.action()
            yield item


def scan_there(watch: Workspace, address: str, action: Callable[[], None] = lambda: None) -> ScanReport:
    return scan(watch, ScanRequest(until=UNTIL, scheduler=address), Interruption(action=action))


# --- the same result -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_what_threads_give(watch: Workspace, result: dict[str, Any], workers: int) -> None:
    with start_dask(workers) as cluster:
        scan_there(watch, cluster.address)
    assert read_result(watch) == result


def test_a_store_and_a_cluster_give_what_a_disk_and_threads_give(
    watch: Workspace, result: dict[str, Any], object_store: str
) -> None:
    lines = f'archive = "{object_store}/archive"\nchanges = "{object_store}/changes"\n'
    watch.settings.write_text(watch.settings.read_text() + lines)
    with start_dask() as cluster:  # after the store: workers take its address and login from their environment
        report = scan_there(watch, cluster.address)
        assert read_result(watch) == result
        again = scan_there(watch, cluster.address)
    assert (report.areas[0].fetched, again.areas[0].fetched) == (len(report.areas[0].observations), 0)
    assert read_result(watch) == result


# --- what happens to workers -----------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_costs_nothing_but_time(
    watch: Workspace, result: dict[str, Any], dask_cluster: DaskCluster
) -> None:
    report = scan_there(watch, dask_cluster.address, lambda: os.kill(dask_cluster.worker_pids[0], signal.SIGKILL))
    assert report.failures == 0
    assert read_result(watch) == result


def test_a_new_worker_takes_over_when_all_have_died(watch: Workspace, result: dict[str, Any], dask_cluster: DaskCluster) -> None:
    finished = threading.Event()

    def start_later() -> None:
        time.sleep(3)
        with start_worker(dask_cluster.address):  # it ends with the thread that started it
            finished.wait()

    def replace_all() -> None:
        for pid in dask_cluster.worker_pids:
            os.kill(pid, signal.SIGKILL)
        starter.start()

    starter = threading.Thread(target=start_later)
    try:
        assert scan_there(watch, dask_cluster.address, replace_all).failures == 0
    finally:
        finished.set()
        starter.join()
    assert read_result(watch) == result


def test_a_cluster_that_stays_without_workers_is_an_error(
    watch: Workspace, result: dict[str, Any], dask_cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minewatch.core.cluster.NO_WORKER_SECONDS", 3.0)

    def kill_all() -> None:
        for pid in dask_cluster.worker_pids:
            os.kill(pid, signal.SIGKILL)

    started = time.monotonic()
    with pytest.raises(MinewatchError, match=rf"no worker at {dask_cluster.address} for 3 seconds; start some with: dask worker"):
        scan_there(watch, dask_cluster.address, kill_all)
    assert time.monotonic() - started < 30
    assert not watch.alerts.exists()
    again = scan_small(watch)
    assert again.areas[0].fetched < len(again.areas[0].observations), "what was read is kept"
    assert read_result(watch) == result


def test_a_worker_that_stands_still_for_a_while_is_waited_for(
    watch: Workspace, result: dict[str, Any], dask_cluster: DaskCluster
) -> None:
    pid = dask_cluster.worker_pids[0]

    def hold() -> None:
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(4, os.kill, (pid, signal.SIGCONT)).start()

    assert scan_there(watch, dask_cluster.address, hold).failures == 0
    assert read_result(watch) == result


def test_a_scheduler_that_dies_is_an_error(
    watch: Workspace, result: dict[str, Any], dask_cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minewatch.core.cluster.CONNECT_SECONDS", 3)
    with pytest.raises(MinewatchError, match=rf"the connection to the Dask scheduler at {dask_cluster.address} was lost"):
        scan_there(watch, dask_cluster.address, lambda: os.kill(dask_cluster.scheduler_pid, signal.SIGKILL))
    assert not watch.alerts.exists()
    scan_small(watch)
    assert read_result(watch) == result


def test_a_task_that_kills_its_workers_is_an_error() -> None:
    with start_dask(2, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0") as cluster, start_engine(cluster.address) as engine:
        ((_, error),) = engine.run(os._exit, [(1,)])
    assert isinstance(error, MinewatchError)
    assert "lack of memory" in str(error)


# --- what workers must have ------------------------------------------------------------------------------------------


def shadow(folder: Path, text: str) -> dict[str, str]:
    """Return an environment in which another minewatch is found first."""
    (folder / "minewatch").mkdir()
    (folder / "minewatch" / "__init__.py").write_text(text)
    return {"PYTHONPATH": str(folder)}


def test_another_version_on_a_worker_is_an_error(watch: Workspace, tmp_path: Path) -> None:
    package = str(Path(minewatch.__file__).parent)
    other = shadow(tmp_path, f"__version__ = '0.0.1'\n__path__ = [{package!r}]\n")
    words = rf"a worker has minewatch 0\.0\.1, the scan {minewatch.__version__}; install the same"
    with start_dask(1, **other) as cluster, pytest.raises(MinewatchError, match=words):
        scan_there(watch, cluster.address)


def test_a_cluster_without_minewatch_is_an_error(watch: Workspace, tmp_path: Path) -> None:
    with (
        start_dask(1, **shadow(tmp_path, "")) as cluster,
        pytest.raises(MinewatchError, match=r"cannot load minewatch .*install the same packages"),
    ):
        scan_there(watch, cluster.address)


# --- progress --------------------------------------------------------------------------------------------------------


class Bars:
    """Counts what a person would see."""

    def __init__(self) -> None:
        self.totals: dict[str, int | None] = {}
        self.steps: list[str] = []
        self.tasks: list[Any] = []

    def add_task(self, title: str, total: int | None, **_: Any) -> int:
        self.totals[title] = total
        self.tasks.append(type("Task", (), {"completed": 0, "title": title}))
        return len(self.tasks) - 1

    def advance(self, task: int) -> None:
        self.steps.append(self.tasks[task].title)

    def update(self, task: int, **_: Any) -> None:
        pass


def test_progress_is_shown_task_by_task(watch: Workspace, series: SimulatedSeries, dask_cluster: DaskCluster) -> None:
    bars: Any = Bars()
    scan(watch, ScanRequest(until=UNTIL, scheduler=dask_cluster.address), Reporter(bars))
    reading = "spot: reading scenes"
    assert bars.totals[reading] == bars.steps.count(reading) == series.item_count
    assert bars.steps.count("spot: finding changes") == bars.totals["spot: finding changes"] > 0


def test_no_more_tasks_are_under_way_than_there_is_work_for(dask_cluster: DaskCluster) -> None:
    given: list[int] = []

    class Jobs(list[tuple[int]]):
        def __iter__(self) -> Iterator[tuple[int]]:
            for job in super().__iter__():
                given.append(job[0])
                yield job

    with start_engine(dask_cluster.address) as engine:
        assert isinstance(engine, Cluster)
        for count, (number, value) in enumerate(engine.run(abs, Jobs([(-n,) for n in range(40)])), 1):
            assert value == number
            assert len(given) - count <= 2 * 2
