"""Runs a job in a process of its own and reports its time, its CPU seconds and the most memory it and its children held.

The process starts, imports and compiles before its clock starts; memory counts from the start.  It is what the system
says: the sum over the processes, looked at every 20 ms, or the mark that the kernel keeps of the process itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.jobs import time_job
from benchmarks.memory import measure_tree, read_peak

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
    cpu: float
    """Seconds of processor of the job, user and system, with its children's."""
    facts: Mapping[str, Any] = field(default_factory=dict)
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
    return Measurement(answer["seconds"], max(peak, answer["memory"]), answer["cpu"], answer["facts"])


def run_here(name: str, settings: Mapping[str, object]) -> Measurement:
    """Run a job in this process, which is quicker for a test; its memory is this process's."""
    seconds, cpu, facts = time_job(name, json.loads(json.dumps(settings, default=str)))
    return Measurement(seconds, read_peak(), cpu, facts)


def run_command(words: Sequence[str], folder: Path, **environment: str) -> Measurement:
    """Run a Python module as users do, from the start of its process to its end; raises RuntimeError where it fails."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    variables = {**os.environ, "PYTHONPATH": paths, **environment}
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, *words], cwd=folder, env=variables, stdout=output, stderr=output)
        try:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
                process.wait()
        if process.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}:\n{output.read().decode()[-3000:]}")
    return Measurement(seconds, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime)


def choose_best(results: Sequence[Measurement]) -> Measurement:
    """Return of several rounds the least time, the least CPU seconds with their facts, and the most memory."""
    least = min(results, key=lambda result: result.cpu)
    return replace(least, seconds=min(r.seconds for r in results), memory=max(r.memory for r in results))
