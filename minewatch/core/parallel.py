"""Runs many tasks on Dask: the one place that knows it.  Threads of this process, or any cluster by its address."""

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

import distributed.core
import distributed.utils
from distributed import CancelledError, Client, Future, KilledWorker, LocalCluster

from minewatch import __version__
from minewatch.core.errors import MinewatchError, describe
from minewatch.core.files import naming_refusals

R = TypeVar("R")

WAIT_SECONDS = 20
"""How long a cluster's scheduler is waited for."""

NOWHERE = "127.0.0.1:0"
"""Dask always starts small web servers; these are seen by this machine only."""


OVERLAP = 4
"""Tasks for each core while tasks wait for a slow line: some fetch while others compute."""

SPARE = 2
"""Tasks for each thread of a cluster: while one is worked on, the next one is on its way."""


PATIENCE = 300.0
"""Seconds that a cluster without any worker is waited for: a new one may be starting."""

M_ARENA_MAX = -8
"""Of mallopt(3): the largest number of pools."""

BEAT = 1.0
"""Seconds after which a cluster is asked again how many threads it has."""


@dataclass(frozen=True)
class Engine:
    """A running Dask client."""

    client: Client
    """Threads or a cluster."""

    scheduler: str | None = None
    """Address of the cluster; None = threads of this process."""

    def run(
        self, task: Callable[..., R], jobs: Sequence[tuple[Any, ...]], *, waits: bool = False
    ) -> Iterator[tuple[int, R | Exception]]:
        """Call ``task(*job)`` for every job; yield each job's number with its result or error as they finish.

        Jobs start in order, and only so many are under way as there is work for: one for each core, or OVERLAP of them
        where a task ``waits`` for others' machines.  A job whose worker dies is done again by another.
        Raises MinewatchError where the scheduler is gone, or no worker is there for PATIENCE seconds.
        """
        todo = iter(enumerate(jobs))
        numbers: dict[Future[R | MinewatchError], int] = {}
        done: SimpleQueue[Future[R | MinewatchError]] = SimpleQueue()
        width, asked = self._find_width(waits), time.monotonic()

        def submit() -> None:
            for number, job in itertools.islice(todo, max(0, width - len(numbers))):
                future = self.client.submit(_attempt, __version__, task, *job, pure=False, priority=-number)
                numbers[future] = number
                future.add_done_callback(done.put)

        try:
            submit()
            while numbers:
                future = self._await(done)
                number, result = numbers.pop(future), self._take(future)
                if time.monotonic() - asked > BEAT:
                    width, asked = self._find_width(waits), time.monotonic()
                    return_memory()
                submit()  # before the result is worked on
                yield number, result
        finally:
            if self.client.status == "running":  # a loop that was left early ends after the client
                self.client.cancel(list(numbers))
            return_memory()

    def _await(self, done: SimpleQueue[Future[R]]) -> Future[R]:
        """Wait for the next job to end, as long as somebody works on it."""
        seen = time.monotonic()
        while True:
            try:
                return done.get(timeout=BEAT)
            except Empty:
                if self.scheduler is None or self._count_threads() > 0:
                    seen = time.monotonic()
            if time.monotonic() - seen > PATIENCE:
                raise self._give_up()

    def _take(self, future: Future[R | MinewatchError]) -> R | Exception:
        """Return a job's result or error.  A result that died with its worker is waited for, while there are others."""
        patience = None if self.scheduler is None else PATIENCE
        while True:
            try:
                error: Exception | None = future.exception(timeout=patience)
                if error is not None:
                    return self._explain(error)
                result: R | MinewatchError = future.result(timeout=patience)
            except TimeoutError:
                if self._count_threads() == 0:
                    raise self._give_up() from None
            except (OSError, CancelledError) as lost:
                raise self._lose(lost) from lost
            else:
                return result

    def _explain(self, error: Exception) -> Exception:
        """Put in words what only a cluster does."""
        if self.scheduler is None:
            return error
        if isinstance(error, CancelledError):
            return self._lose(error)
        if isinstance(error, KilledWorker):
            text = "died one after the other at the same task, most likely for lack of memory; give each more"
            return MinewatchError(f"workers at {self.scheduler} {text}")
        # Where the scheduler cannot load a task, Dask raises a plain RuntimeError that only its words tell from others.
        if isinstance(error, ImportError) or "deserializ" in str(error):
            return MinewatchError(
                f"scheduler or workers at {self.scheduler} cannot load minewatch {__version__} "
                f"({describe(error.__cause__ or error)}); install the same packages there as here"
            )
        return error

    def _find_width(self, waits: bool) -> int:
        if self.scheduler is None:
            return count_cores() * (OVERLAP if waits else 1)
        return SPARE * max(1, self._count_threads())

    def _count_threads(self) -> int:
        try:
            return sum(int(threads) for threads in self.client.nthreads().values())
        except (OSError, TimeoutError, ValueError, RuntimeError) as error:
            raise self._lose(error) from error

    def _give_up(self) -> MinewatchError:
        return MinewatchError(
            f"no worker at {self.scheduler} for {PATIENCE:.0f} seconds; start some with: dask worker {self.scheduler} "
            "(what was read is kept, and the same command goes on from there)"
        )

    def _lose(self, error: Exception) -> MinewatchError:
        return MinewatchError(
            f"the connection to the Dask scheduler at {self.scheduler} was lost ({type(error).__name__}); "
            "what was read is kept, and the same command goes on from there"
        )


@functools.cache
def share_memory_pools() -> None:
    """Let glibc's threads share as few pools of memory as there are cores.

    It would make one for each thread, and each keeps what its largest task once took: a first scan of 4096 x 4096 pixels
    took 1.4 GB, and takes 1.0 GB so.  Does nothing elsewhere.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, count_cores())


def return_memory() -> None:
    """Return the system what glibc keeps of freed memory, so that the next stage of a scan does not come on top of it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _attempt(version: str, task: Callable[..., R], *job: Any) -> R | MinewatchError:
    """Turn errors of our own into results: Dask would log them, and GDAL's errors behind them cannot be sent."""
    share_memory_pools()
    if version != __version__:
        return MinewatchError(f"a worker has minewatch {__version__}, the scan {version}; install the same on both")
    try:
        with naming_refusals():
            return task(*job)
    except MinewatchError as error:
        return error.detach()


@contextlib.contextmanager
def start_engine(scheduler: str | None = None) -> Iterator[Engine]:
    """Start Dask: threads of this process, or the cluster at ``scheduler`` (tcp://host:port).

    Raises MinewatchError where the cluster does not answer.
    """
    share_memory_pools()
    for name in ("distributed", "tornado.application"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if scheduler:
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what it would say is in our own errors
        try:
            client = Client(scheduler, timeout=WAIT_SECONDS)
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
            LocalCluster(
                processes=False,
                n_workers=1,
                threads_per_worker=count_cores() * OVERLAP,
                dashboard_address=NOWHERE,
                worker_dashboard_address=NOWHERE,
                memory_limit=0,
            ) as cluster,
            Client(cluster) as client,
        ):
            yield Engine(client)
    finally:
        forget_clusters()


def forget_clusters() -> None:
    """Let go of clusters of this process that have ended.

    Caches of distributed (2026.8) keep every method it ever called, and with it the whole scheduler or worker: a service
    that scans each night would grow by a megabyte each.  Does nothing where a version has no such caches.
    """
    for module, name in ((distributed.core, "_expects_comm"), (distributed.utils, "has_keyword")):
        if clear := getattr(getattr(module, name, None), "cache_clear", None):
            clear()


def count_cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
