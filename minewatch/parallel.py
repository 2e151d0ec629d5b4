"""Runs many tasks on Dask: the one place that knows it.  Threads of this process, or any cluster by its address."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from distributed import Client, LocalCluster, as_completed

from minewatch.errors import MinewatchError, describe

R = TypeVar("R")

WAIT_SECONDS = 20
"""How long a cluster's scheduler is waited for."""

NOWHERE = "127.0.0.1:0"
"""Dask always starts small web servers; these are seen by this machine only."""


@dataclass(frozen=True)
class Engine:
    """A running Dask client."""

    client: Client
    """Threads or a cluster."""

    def run(self, task: Callable[..., R], jobs: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, R | Exception]]:
        """Call ``task(*job)`` for every job; yield each job's number with its result or error as they finish."""
        futures = [self.client.submit(_attempt, task, *job, pure=False) for job in jobs]
        numbers = {future.key: number for number, future in enumerate(futures)}
        try:
            for future in as_completed(futures):
                number = numbers[future.key]
                error = future.exception()
                yield number, error if error is not None else future.result()
                future.release()
        finally:
            if self.client.status == "running":  # a loop that was left early ends after the client
                self.client.cancel(futures)


def _attempt(task: Callable[..., R], *job: Any) -> R | MinewatchError:
    """Turn errors of our own into results: Dask would log them, and GDAL's errors behind them cannot be sent."""
    try:
        return task(*job)
    except MinewatchError as error:
        return type(error)(*error.args)


@contextlib.contextmanager
def start_engine(scheduler: str | None = None) -> Iterator[Engine]:
    """Start Dask: one thread a core in this process, or the cluster at ``scheduler`` (tcp://host:port).

    Raises MinewatchError where the cluster does not answer.
    """
    for name in ("distributed", "tornado.application"):
        logging.getLogger(name).setLevel(logging.ERROR)
    if scheduler:
        try:
            client = Client(scheduler, timeout=WAIT_SECONDS)
        except (OSError, TimeoutError, ValueError) as error:
            raise MinewatchError(
                f"the Dask scheduler at {scheduler} does not answer ({describe(error)}); check --scheduler"
            ) from error
        with client:
            yield Engine(client)
        return
    # Without a memory limit Dask does not pause our threads.
    with (
        LocalCluster(
            processes=False,
            n_workers=1,
            threads_per_worker=count_cores(),
            dashboard_address=NOWHERE,
            worker_dashboard_address=NOWHERE,
            memory_limit=0,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield Engine(client)


def count_cores() -> int:
    """Count the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
