"""Runs tasks on a Dask cluster.  The only module that imports it; where there is no cluster, nothing loads it."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import distributed.core
import distributed.utils
from distributed import CancelledError, Client, Future, KilledWorker

from minewatch import __version__
from minewatch.core.errors import MinewatchError, describe
from minewatch.core.task import release_memory, run_task

R = TypeVar("R")

CONNECT_SECONDS = 20
"""Longest wait for a cluster's scheduler."""

TASKS_PER_THREAD = 2
"""Tasks at a time: while one runs, the next one is on its way."""

NO_WORKER_SECONDS = 300.0
"""Longest wait for a cluster without any worker: one may be starting."""

POLL_SECONDS = 1.0
"""Interval at which the number of a cluster's threads is read again."""


@dataclass(frozen=True)
class Cluster:
    """A Dask cluster, by its client."""

    client: Client
    """Connected to the scheduler."""

    scheduler: str
    """Its address."""

    def run(
        self,
        task: Callable[..., R],
        jobs: Sequence[tuple[Any, ...]],
        *,
        is_io_bound: bool = False,  # noqa: ARG002
    ) -> Iterator[tuple[int, R | Exception]]:
        """Run tasks, as :class:`Engine` says, TASKS_PER_THREAD for each thread of the workers.

        A job whose worker dies is repeated by another.  Raises MinewatchError where the connection is lost, or no worker is
        there for NO_WORKER_SECONDS.
        """
        todo = iter(enumerate(jobs))
        numbers: dict[Future[R | MinewatchError], int] = {}
        done: SimpleQueue[Future[R | MinewatchError]] = SimpleQueue()
        width, asked = self._find_width(), time.monotonic()

        def submit() -> None:
            for number, job in itertools.islice(todo, max(0, width - len(numbers))):
                future = self.client.submit(run_task, __version__, task, *job, pure=False, priority=-number)
                numbers[future] = number
                future.add_done_callback(done.put)

        try:
            submit()
            while numbers:
                future = self._wait_for_next(done)
                number, result = numbers.pop(future), self._get_result(future)
                if time.monotonic() - asked > POLL_SECONDS:
                    width, asked = self._find_width(), time.monotonic()
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
                if self._count_threads() > 0:
                    seen = time.monotonic()
            if time.monotonic() - seen > NO_WORKER_SECONDS:
                raise self._make_no_worker_error()

    def _get_result(self, future: Future[R | MinewatchError]) -> R | Exception:
        """Return a job's result or error; waits for one that was lost with its worker, while there are others."""
        while True:
            try:
                error: Exception | None = future.exception(timeout=NO_WORKER_SECONDS)
                if error is not None:
                    return self._explain(error)
                result: R | MinewatchError = future.result(timeout=NO_WORKER_SECONDS)
            except TimeoutError:
                if self._count_threads() == 0:
                    raise self._make_no_worker_error() from None
            except (OSError, CancelledError) as lost:
                raise self._make_connection_error(lost) from lost
            else:
                return result

    def _explain(self, error: Exception) -> Exception:
        """Return an error with a message for people in place of those that only a cluster raises."""
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

    def _find_width(self) -> int:
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


@contextlib.contextmanager
def connect(scheduler: str) -> Iterator[Cluster]:
    """Connect to the cluster at ``scheduler`` (tcp://host:port).  Raises MinewatchError where it does not answer."""
    for name in ("distributed", "tornado.application"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # our own errors say the same
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise MinewatchError(
            f"the Dask scheduler at {scheduler} does not answer ({describe(error)}); check --scheduler"
        ) from error
    try:
        with client:
            yield Cluster(client, scheduler)
    finally:
        _clear_caches()


def _clear_caches() -> None:
    """Clear the caches of distributed (2026.8), where it has them.

    They keep every method ever called and, with it, clients that have ended: a service that scans each night would grow.
    """
    for module, name in ((distributed.core, "_expects_comm"), (distributed.utils, "has_keyword")):
        if clear := getattr(getattr(module, name, None), "cache_clear", None):
            clear()
