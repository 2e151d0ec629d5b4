"""Runs tasks on Dask: threads of this process, or a cluster.  The only module that imports it."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import dask
import distributed.core
import distributed.gc
import distributed.utils
from distributed import CancelledError, Client, Future, KilledWorker, LocalCluster

from minewatch import __version__
from minewatch.core.errors import MinewatchError, describe
from minewatch.core.files import wrap_disk_errors

R = TypeVar("R")

CONNECT_SECONDS = 20
"""Longest wait for a cluster's scheduler."""

LOOPBACK = "127.0.0.1:0"
"""Address of the web servers that Dask always starts: reachable from this machine only."""

TASKS_PER_CORE = 4
"""Tasks at a time where they are IO-bound: some fetch while others compute."""

TASKS_PER_THREAD = 2
"""Tasks at a time on a cluster: while one runs, the next one is on its way."""

NO_WORKER_SECONDS = 300.0
"""Longest wait for a cluster without any worker: one may be starting."""

M_ARENA_MAX = -8
"""Parameter of mallopt(3): the largest number of memory pools."""

QUIET = {
    "distributed.worker.profile.enabled": False,  # can deadlock CPython 3.11 (cpython#106883)
    "distributed.admin.tick.interval": "10 s",  # is the event loop late? asked fifty times a second by default
    "distributed.admin.tick.cycle": "10 s",
    "distributed.admin.tick.limit": "1 h",
    "distributed.admin.system-monitor.interval": "10 s",
    "distributed.admin.system-monitor.log-length": 2,
    "distributed.admin.system-monitor.disk": False,
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.scheduler.active-memory-manager.start": False,  # this and the next one move data between workers
    "distributed.scheduler.work-stealing": False,
}
"""Settings of Dask where its one worker is this process: without what watches it for a dashboard that nobody opens."""

POLL_SECONDS = 1.0
"""Interval at which the number of a cluster's threads is read again."""


@dataclass(frozen=True)
class Engine:
    """A running Dask client."""

    client: Client
    """Of threads or a cluster."""

    scheduler: str | None = None
    """Address of the cluster; None = threads of this process."""

    def run(
        self, task: Callable[..., R], jobs: Sequence[tuple[Any, ...]], *, is_io_bound: bool = False
    ) -> Iterator[tuple[int, R | Exception]]:
        """Call ``task(*job)`` for every job; yield each job's number with its result or error as they finish.

        Jobs start in order, one at a time for each core, or TASKS_PER_CORE where they are IO-bound.  A job whose worker dies
        is repeated by another.  Raises MinewatchError where the connection is lost, or no worker is there for
        NO_WORKER_SECONDS.
        """
        todo = iter(enumerate(jobs))
        numbers: dict[Future[R | MinewatchError], int] = {}
        done: SimpleQueue[Future[R | MinewatchError]] = SimpleQueue()
        width, asked = self._find_width(is_io_bound), time.monotonic()

        def submit() -> None:
            for number, job in itertools.islice(todo, max(0, width - len(numbers))):
                future = self.client.submit(_run_task, __version__, task, *job, pure=False, priority=-number)
                numbers[future] = number
                future.add_done_callback(done.put)

        try:
            submit()
            while numbers:
                future = self._wait_for_next(done)
                number, result = numbers.pop(future), self._get_result(future)
                if time.monotonic() - asked > POLL_SECONDS:
                    width, asked = self._find_width(is_io_bound), time.monotonic()
                    release_memory()
                submit()  # before the caller works on the result
                yield number, result
        finally:
            if self.client.status == "running":  # a loop that was left early may end after the client
                self.client.cancel(list(numbers))
            release_memory()

    def _wait_for_next(self, done: SimpleQueue[Future[R]]) -> Future[R]:
        """Wait for the next job to end, as long as there are workers."""
        seen = time.monotonic()
        while True:
            try:
                return done.get(timeout=POLL_SECONDS)
            except Empty:
                if self.scheduler is None or self._count_threads() > 0:
                    seen = time.monotonic()
            if time.monotonic() - seen > NO_WORKER_SECONDS:
                raise self._make_no_worker_error()

    def _get_result(self, future: Future[R | MinewatchError]) -> R | Exception:
        """Return a job's result or error; waits for one that was lost with its worker, while there are others."""
        patience = None if self.scheduler is None else NO_WORKER_SECONDS
        while True:
            try:
                error: Exception | None = future.exception(timeout=patience)
                if error is not None:
                    return self._explain(error)
                result: R | MinewatchError = future.result(timeout=patience)
            except TimeoutError:
                if self._count_threads() == 0:
                    raise self._make_no_worker_error() from None
            except (OSError, CancelledError) as lost:
                raise self._make_connection_error(lost) from lost
            else:
                return result

    def _explain(self, error: Exception) -> Exception:
        """Return an error with a message for people in place of those that only a cluster raises."""
        if self.scheduler is None:
            return error
        if isinstance(error, CancelledError):
            return self._make_connection_error(error)
        if isinstance(error, KilledWorker):
            text = "died one after the other at the same task, most likely for lack of memory; give each more"
            return MinewatchError(f"workers at {self.scheduler} {text}")
        # Where the scheduler cannot load a task, Dask raises a RuntimeError that only its text distinguishes.
        if isinstance(error, ImportError) or "deserializ" in str(error):
            return MinewatchError(
                f"scheduler or workers at {self.scheduler} cannot load minewatch {__version__} "
                f"({describe(error.__cause__ or error)}); install the same packages there as here"
            )
        return error

    def _find_width(self, is_io_bound: bool) -> int:
        if self.scheduler is None:
            return count_cores() * (TASKS_PER_CORE if is_io_bound else 1)
        return TASKS_PER_THREAD * max(1, self._count_threads())

    def _count_threads(self) -> int:
        try:
            return sum(int(threads) for threads in self.client.nthreads().values())
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            raise self._make_connection_error(error) from error

    def _make_no_worker_error(self) -> MinewatchError:
        return MinewatchError(
            f"no worker at {self.scheduler} for {NO_WORKER_SECONDS:.0f} seconds; start some with: dask worker {self.scheduler} "
            "(what was read is kept, and the same command goes on from there)"
        )

    def _make_connection_error(self, error: Exception) -> MinewatchError:
        return MinewatchError(
            f"the connection to the Dask scheduler at {self.scheduler} was lost ({type(error).__name__}); "
            "what was read is kept, and the same command goes on from there"
        )


@functools.cache
def limit_memory_pools() -> None:
    """Limit glibc's memory pools to one per core; does nothing elsewhere.

    By default there is one per thread, and each keeps what its largest task once used: a first scan of 4096 x 4096 pixels
    takes 1.0 GB in place of 1.4 GB.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, count_cores())


def release_memory() -> None:
    """Return freed memory from glibc to the system, so that the next stage of a scan does not add to it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _run_task(version: str, task: Callable[..., R], *job: Any) -> R | MinewatchError:
    """Run a task; our own errors become results, since Dask would log them and GDAL's errors behind them cannot be sent."""
    limit_memory_pools()
    if version != __version__:
        return MinewatchError(f"a worker has minewatch {__version__}, the scan {version}; install the same on both")
    try:
        with wrap_disk_errors():
            return task(*job)
    except MinewatchError as error:
        return error.detach()


@contextlib.contextmanager
def start_engine(scheduler: str | None = None) -> Iterator[Engine]:
    """Start Dask: threads of this process, or the cluster at ``scheduler`` (tcp://host:port).

    Raises MinewatchError where the cluster does not answer.
    """
    limit_memory_pools()
    for name in ("distributed", "tornado.application"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if scheduler:
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # our own errors say the same
        try:
            client = Client(scheduler, timeout=CONNECT_SECONDS)
        except (OSError, TimeoutError, ValueError) as error:
            raise MinewatchError(
                f"the Dask scheduler at {scheduler} does not answer ({describe(error)}); check --scheduler"
            ) from error
        with client:
            yield Engine(client, scheduler)
        return
    try:
        # Without a memory limit Dask does not pause our threads.
        with (
            dask.config.set(QUIET),
            LocalCluster(
                processes=False,
                n_workers=1,
                threads_per_worker=count_cores() * TASKS_PER_CORE,
                dashboard_address=LOOPBACK,
                worker_dashboard_address=LOOPBACK,
                memory_limit=0,
            ) as cluster,
            Client(cluster) as client,
        ):
            if disable := getattr(distributed.gc, "disable_gc_diagnosis", None):
                disable(force=True)  # it asks the system for the memory at each full garbage collection
            yield Engine(client)
    finally:
        clear_dask_caches()


def clear_dask_caches() -> None:
    """Clear the caches of distributed (2026.8), where it has them.

    They keep every method ever called and, with it, schedulers and workers that have ended: a service that scans each night
    would grow by a megabyte a night.
    """
    for module, name in ((distributed.core, "_expects_comm"), (distributed.utils, "has_keyword")):
        if clear := getattr(getattr(module, name, None), "cache_clear", None):
            clear()


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
