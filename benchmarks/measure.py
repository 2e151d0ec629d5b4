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
    seconds, facts = time_job(name, json.loads(json.dumps(settings, default=str)))
    return Measurement(seconds, read_peak(), facts)
