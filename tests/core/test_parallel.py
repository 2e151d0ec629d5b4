"""Tasks on the threads of this process; those on a cluster are tried in tests/journeys/test_cluster.py."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from minewatch.core.errors import SceneError
from minewatch.core.parallel import TASKS_PER_CORE, Threads, start_engine
from minewatch.core.task import count_cores


class CountedJobs(list[tuple[int]]):
    """Jobs that know which of them were asked for."""

    def __init__(self, jobs: list[tuple[int]]) -> None:
        super().__init__(jobs)
        self.given: list[int] = []

    def __iter__(self) -> Iterator[tuple[int]]:
        for job in super().__iter__():
            self.given.append(job[0])
            yield job


def sleep_a_little(number: int) -> int:
    time.sleep(0.001 * (number % 3))
    return -number


def fail_at_two(number: int) -> int:
    if number == 2:
        raise SceneError("no such scene", scene_id="S2A_2")
    return 10 // (number - 3)


@pytest.mark.parametrize("is_io_bound", [False, True])
def test_each_job_gives_its_result_once(is_io_bound: bool) -> None:
    found = list(Threads().run(sleep_a_little, [(n,) for n in range(50)], is_io_bound=is_io_bound))
    assert sorted(found) == [(n, -n) for n in range(50)]
    assert list(Threads().run(sleep_a_little, [])) == []


@pytest.mark.parametrize("is_io_bound", [False, True])
def test_no_more_jobs_are_under_way_than_are_asked_for(is_io_bound: bool) -> None:
    jobs = CountedJobs([(n,) for n in range(60)])
    width = count_cores() * (TASKS_PER_CORE if is_io_bound else 1)
    for count, (number, value) in enumerate(Threads().run(sleep_a_little, jobs, is_io_bound=is_io_bound), 1):
        assert value == -number
        assert len(jobs.given) - count <= width
        time.sleep(0.002)  # a slow caller: results that wait are work under way


def test_an_error_is_a_result_and_the_other_jobs_go_on() -> None:
    found = dict(Threads().run(fail_at_two, [(n,) for n in range(5)]))
    assert (found[0], found[1], found[4]) == (-4, -5, 10)
    assert isinstance(found[2], SceneError)
    assert (str(found[2]), found[2].scene_id) == ("no such scene", "S2A_2")
    assert isinstance(found[3], ZeroDivisionError)


def test_a_caller_that_stops_early_leaves_no_thread_behind() -> None:
    jobs = CountedJobs([(n,) for n in range(1000)])
    for _ in Threads().run(sleep_a_little, jobs):
        break
    deadline = time.monotonic() + 10
    while any(thread.name == "minewatch-task" for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(jobs.given) < 20


def test_threads_need_no_dask() -> None:
    code = """
import sys
from minewatch.core.parallel import Threads
list(Threads().run(abs, [(1,)]))
print({"dask", "distributed"} & {*sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_without_a_scheduler_tasks_run_on_threads() -> None:
    with start_engine() as engine:
        assert engine.scheduler is None
        assert [result for _, result in engine.run(abs, [(-1,)])] == [1]
