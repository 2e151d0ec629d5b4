"""How many seconds of processor a process and its children have used, as the system says: user and system together."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from benchmarks.memory import list_tree

TICKS = os.sysconf("SC_CLK_TCK")
"""Steps of a second in which /proc counts."""


def read_cpu() -> float:
    """Return the seconds of this process and its children; those that still run count in hundredths."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    running = sum(map(_read_process, list_tree(os.getpid())[1:]))
    return sum(usage.ru_utime + usage.ru_stime for usage in used) + running


def read_tree(pid: int) -> float:
    """Return the seconds of another process and all below it."""
    return sum(map(_read_process, list_tree(pid)))


def _read_process(pid: int) -> float:
    """Return the seconds of a process and of those of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS
