"""What the measured processes do: ``python -m benchmarks.jobs NAME SETTINGS`` prints seconds, CPU, memory and facts as JSON.

A job prepares itself first and gives back what is measured.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import composite, monitor_jobs, report_jobs
from benchmarks.decoding import list_reads, read_all
from benchmarks.memory import read_peak
from benchmarks.processor import read_cpu, read_tree
from benchmarks.series import open_series
from benchmarks.stages import timing
from minewatch.core.workspace import Workspace
from minewatch.detection.tiles import list_tiles
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.operations.scan_report import ScanReport

Work = Callable[[], dict[str, Any]]

LARGEST_CACHED = 5 * 10**9
"""Bytes of scenes that are read from memory in every job; more come from the disk in every job."""


def prepare_decode(series: str, areas: Sequence[Sequence[int]]) -> Work:
    """Decode what scans of areas need, one area after another: rectangles of top, left, bottom, right."""
    opened = open_series(Path(series))
    jobs = list_reads(opened, [(top, left, bottom, right) for top, left, bottom, right in areas])
    fetch_files(opened.folder)

    def work() -> dict[str, Any]:
        pixels, seconds = 0, []
        for reads in jobs:
            start = time.perf_counter()
            pixels += read_all(reads)
            seconds.append(time.perf_counter() - start)
        return {"pixels": pixels, "seconds": seconds}

    return work


def prepare_scan(
    workspace: str,
    until: str,
    series: str,
    tiny: str | None = None,
    scheduler: str | None = None,
    source: str | None = None,
    workers: Sequence[int] = (),
) -> Work:
    """Scan the areas of a workspace; ``workers`` are the processes of a cluster on this machine, whose CPU counts too."""
    if tiny:
        warm_up(Path(tiny), scheduler)
    fetch_files(Path(series))
    request = ScanRequest(source=source, until=dt.date.fromisoformat(until), scheduler=scheduler)

    def work() -> dict[str, Any]:
        before = sum(map(read_tree, workers))
        with timing() as times:
            report = scan(Workspace(Path(workspace)), request)
        elsewhere = sum(map(read_tree, workers)) - before
        return times.list_facts() | count_results(report) | {"elsewhere": elsewhere}

    return work


def count_results(report: ScanReport) -> dict[str, Any]:
    """Count what a scan read and found."""
    areas = report.areas
    return {
        "failures": report.failures,
        "areas": len(areas),
        "read": sum(area.fetched for area in areas),
        "tiles": sum(len(list_tiles(area.plan)) for area in areas),
        "alerts": sum(len(area.alerts) for area in areas),
        "folders": sum(len(area.evidence.written) for area in areas),
        "addenda": sum(len(area.evidence.extended) for area in areas),
    }


def warm_up(tiny: Path, scheduler: str | None) -> None:
    """Scan a tiny series, so that everything is imported and compiled, on a cluster too."""
    series = open_series(tiny)
    with tempfile.TemporaryDirectory() as folder:
        workspace = series.workspace(Path(folder) / "warm-up", [series.area()])
        for _ in range(2 if scheduler else 1):  # each worker shall have had a turn
            scan(workspace, ScanRequest(until=series.until, scheduler=scheduler))


def fetch_files(folder: Path) -> None:
    """Read files through, so that they lie in the system's memory, unless they are too many for that."""
    paths = sorted(folder.rglob("*.tif"))
    if sum(path.stat().st_size for path in paths) > LARGEST_CACHED:
        return
    buffer = memoryview(bytearray(1 << 20))
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


JOBS: dict[str, Callable[..., Work]] = {
    "decode": prepare_decode,
    "scan": prepare_scan,
    "composite": composite.prepare_composite,
    "monitor": monitor_jobs.prepare_monitor,
    "nrt": monitor_jobs.prepare_nrt,
    "pyxccd": monitor_jobs.prepare_pyxccd,
    "report": report_jobs.prepare_report,
    "pixels": report_jobs.prepare_pixels,
}


def time_job(name: str, settings: Mapping[str, Any]) -> tuple[float, float, dict[str, Any]]:
    """Prepare a job and time it: seconds, CPU seconds and its facts."""
    work = JOBS[name](**settings)
    start, used = time.perf_counter(), read_cpu()
    facts = work()
    return time.perf_counter() - start, read_cpu() - used, facts


def main() -> None:
    """Run one job."""
    seconds, cpu, facts = time_job(sys.argv[1], json.loads(sys.argv[2]))
    print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": read_peak(), "facts": facts}))


if __name__ == "__main__":
    main()
