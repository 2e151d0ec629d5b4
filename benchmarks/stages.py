"""Where the time of a scan goes: its stages are timed from outside, by functions laid around those of ``operations.scan``."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from benchmarks.processor import read_cpu
from minewatch.areas.grid import Grid
from minewatch.core.parallel import Threads
from minewatch.operations import scan as scan_module

STAGES = {
    "search": ("_search",),
    "read and archive": ("fetch_observations", "reconcile_damage", "_choose_observations"),
    "map changes": ("_find_changes",),
    "replay": ("_report_area",),
    "table": ("_add_context", "_update_table"),
    "evidence": ("_write_evidence",),
    "quick look": ("_update_quicklook",),
}
"""Name to the functions of ``operations.scan`` that do it, one after another; what is left is the rest."""

REST = "plan, checks and records"
"""Name of what is left."""


@dataclass
class Times:
    """What a scan spent, by stage."""

    stages: dict[str, list[float]] = field(default_factory=lambda: {stage: [0.0, 0.0] for stage in STAGES})
    """Stage to seconds and CPU seconds."""
    inside: float = 0.0
    """CPU seconds in ``Grid.inside``, over all threads of this process."""
    tasks: int = 0
    """Handed to the engine."""
    total: tuple[float, float] = (0.0, 0.0)
    """Seconds and CPU seconds of everything."""

    def list_facts(self) -> dict[str, Any]:
        """Return all as JSON can hold it, with what no stage has as the rest."""
        rest = [total - sum(spent[k] for spent in self.stages.values()) for k, total in enumerate(self.total)]
        return {"stages": self.stages | {REST: rest}, "inside": self.inside, "tasks": self.tasks}


@contextmanager
def timing() -> Iterator[Times]:
    """Time the stages of the scans that run within; a stage counts all threads and children of this process."""
    times = Times()
    start = time.perf_counter(), read_cpu()
    with ExitStack() as stack:
        for stage, names in STAGES.items():
            for name in names:
                around = _time_stage(getattr(scan_module, name), times.stages[stage])
                stack.enter_context(patch.object(scan_module, name, around))
        stack.enter_context(patch.object(Grid, "inside", _time_inside(Grid.inside, times)))
        stack.enter_context(patch.object(Threads, "run", _count_tasks(Threads.run, times)))
        yield times
    times.total = time.perf_counter() - start[0], read_cpu() - start[1]


def _time_stage(real: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    @functools.wraps(real)
    def timed(*words: Any, **names: Any) -> Any:
        start = time.perf_counter(), read_cpu()
        try:
            return real(*words, **names)
        finally:
            spent[0] += time.perf_counter() - start[0]
            spent[1] += read_cpu() - start[1]

    return timed


def _time_inside(real: Callable[..., Any], times: Times) -> Callable[..., Any]:
    """Count the thread's own seconds: waiting for another thread's outline is none."""
    lock = threading.Lock()

    @functools.wraps(real)
    def timed(*words: Any, **names: Any) -> Any:
        start = time.thread_time()
        try:
            return real(*words, **names)
        finally:
            with lock:
                times.inside += time.thread_time() - start

    return timed


def _count_tasks(real: Callable[..., Any], times: Times) -> Callable[..., Any]:
    @functools.wraps(real)
    def counted(self: Threads, task: Any, jobs: Any, **names: Any) -> Any:
        times.tasks += len(jobs)
        return real(self, task, jobs, **names)

    return counted
