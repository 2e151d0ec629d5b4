"""Runs tasks on the threads of this process, or on a Dask cluster (``core/cluster.py``)."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol, TypeVar

from minewatch import __version__
from minewatch.core.task import count_cores, limit_memory_pools, release_memory, run_task

R = TypeVar("R")

TASKS_PER_CORE = 4
"""Tasks at a time where they are IO-bound: some fetch while others compute."""

POLL_SECONDS = 1.0
"""Longest wait for a result before signals are looked at."""


class Engine(Protocol):
    """Runs tasks in parallel."""

    @property
    def scheduler(self) -> str | None:
        """Address of the cluster; None = threads of this process."""

    def run(
        self, task: Callable[..., R], jobs: Sequence[tuple[Any, ...]], *, is_io_bound: bool = False
    ) -> Iterator[tuple[int, R | Exception]]:
        """Call ``task(*job)`` for every job; yield each job's number with its result or error as they finish.

        Jobs start in order.  As many are under way as there are cores, or TASKS_PER_CORE times as many where they are IO-bound.
        """


class Threads:
    """Runs tasks on threads of this process: what they call lets go of Python's lock."""

    scheduler: str | None = None
    """There is none."""

    def run(
        self, task: Callable[..., R], jobs: Sequence[tuple[Any, ...]], *, is_io_bound: bool = False
    ) -> Iterator[tuple[int, R | Exception]]:
        """Run tasks, as :class:`Engine` says.  A job that is under way when the caller stops early goes on to its end."""
        width = count_cores() * (TASKS_PER_CORE if is_io_bound else 1)
        numbered = enumerate(jobs)
        todo: SimpleQueue[tuple[int, tuple[Any, ...]] | None] = SimpleQueue()
        done: SimpleQueue[tuple[int, R | Exception]] = SimpleQueue()
        threads = [Thread(target=_work, args=(task, todo, done), name="minewatch-task", daemon=True) for _ in jobs[:width]]
        try:
            for thread, job in zip(threads, numbered, strict=False):
                thread.start()
                todo.put(job)
            for _ in range(len(jobs)):
                number, result = _wait_for(done)
                for job in itertools.islice(numbered, 1):  # before the caller works on the result
                    todo.put(job)
                yield number, result
        finally:
            for _ in threads:
                todo.put(None)
            release_memory()


def _work(
    task: Callable[..., R],
    todo: SimpleQueue[tuple[int, tuple[Any, ...]] | None],
    done: SimpleQueue[tuple[int, R | Exception]],
) -> None:
    while (numbered := todo.get()) is not None:
        number, job = numbered
        try:
            result: R | Exception = run_task(__version__, task, *job)
        except Exception as error:  # noqa: BLE001 - whoever asked for the result decides
            result = error
        done.put((number, result))
        del numbered, job, result  # or they would be kept while the next job is waited for


def _wait_for(done: SimpleQueue[R]) -> R:
    """Wait for a result, a little at a time, so that an interruption by the user is noticed."""
    while True:
        with contextlib.suppress(Empty):
            return done.get(timeout=POLL_SECONDS)


@contextlib.contextmanager
def start_engine(scheduler: str | None = None) -> Iterator[Engine]:
    """Start the engine: threads of this process, or the cluster at ``scheduler`` (tcp://host:port).

    Raises MinewatchError where the cluster does not answer.
    """
    limit_memory_pools()
    if scheduler is None:
        yield Threads()
        return
    from minewatch.core.cluster import connect  # noqa: PLC0415 - Dask takes a second to load, and few need it

    with connect(scheduler) as cluster:
        yield cluster
