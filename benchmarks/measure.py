"""Runs a job in a process of its own and reports how long it took and the most memory it and its children held.

The process starts, imports and compiles before its clock starts; memory counts from the start.  It is what the system
says: the sum over the processes, looked at every 20 ms, or the mark that the kernel keeps of the process itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

INTERVAL = 0.02
"""Seconds between two looks at the memory."""


@dataclass(frozen=True)
class Measurement:
    """What a job took."""

    seconds: float
    """Wall clock of the job, without its preparation."""
    memory: int
    """Most bytes that the process and its children held."""
    facts: Mapping[str, Any]
    """What the job said about itself."""


def run_job(name: str, settings: Mapping[str, object]) -> Measurement:
    """Run a job of ``benchmarks.jobs``; raises RuntimeError with what it printed where it fails."""
    command = [sys.executable, "-m", "benchmarks.jobs", name, json.dumps(settings, default=str)]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=errors)
        peak = 0
        try:
            while process.poll() is None:
                peak = max(peak, measure_tree(process.pid))
                time.sleep(INTERVAL)
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RuntimeError(f"{name} ended with {process.returncode}:\n{errors.read().decode()[-3000:]}")
        answer = json.loads(output.read().decode().strip().splitlines()[-1])
    return Measurement(answer["seconds"], max(peak, answer["memory"]), answer["facts"])


def run_here(name: str, settings: Mapping[str, object]) -> Measurement:
    """Run a job in this process, which is quicker for a test; its memory is this process's."""
    jobs = import_module("benchmarks.jobs")
    seconds, facts = jobs.time_job(name, json.loads(json.dumps(settings, default=str)))
    return Measurement(seconds, read_peak(), facts)


def measure_tree(pid: int) -> int:
    """Give the bytes that a process and all below it hold; pages that several share count once."""
    members = list_tree(pid)
    return _read_resident(pid) if len(members) == 1 else sum(map(_read_share, members))


def list_tree(pid: int) -> list[int]:
    """List a process and all its descendants."""
    found = [pid]
    for member in found:
        for path in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                found += [int(child) for child in path.read_text().split()]
            except OSError:  # it has ended
                continue
    return found


def _read_resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except (OSError, IndexError):
        return 0


def _read_share(pid: int) -> int:
    return _read_kilobytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")


def read_peak() -> int:
    """Give the most bytes that this process has held since it began its program."""
    return _read_kilobytes(Path("/proc/self/status"), "VmHWM:")


def _read_kilobytes(path: Path, name: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)
