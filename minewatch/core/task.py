"""Runs one task of a scan, wherever that is, and keeps the memory of its process small."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar

from minewatch import __version__
from minewatch.core.errors import MinewatchError
from minewatch.core.files import wrap_disk_errors

R = TypeVar("R")

M_ARENA_MAX = -8
"""Parameter of mallopt(3): the largest number of memory pools."""


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


def run_task(version: str, task: Callable[..., R], *job: Any) -> R | MinewatchError:
    """Run a task; our own errors become results, since Dask would log them and GDAL's errors behind them cannot be sent."""
    limit_memory_pools()
    if version != __version__:
        return MinewatchError(f"a worker has minewatch {__version__}, the scan {version}; install the same on both")
    try:
        with wrap_disk_errors():
            return task(*job)
    except MinewatchError as error:
        return error.detach()


def count_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
