"""How long a slow line takes: bytes and requests until the first alerts of a new area, and of a night, counted and scaled.

python -m benchmarks.line_time prints the figures of docs/slow-lines.md.  The line itself is computed, since waiting for it would
take hours: its bytes at its speed, and its requests at its delay, as many at a time as a scan makes.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import ROOT
from benchmarks.results import Run
from benchmarks.series import Series
from benchmarks.slow_links import HOST, Link, open_link
from minewatch.archive.fetch import FIRST_LOOKS
from minewatch.core.text import count_of
from minewatch.core.workspace import Workspace
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan

SPEED, DELAY = 250_000, 0.3
"""Bytes per second of a line of 2 Mbit/s, and seconds until an answer begins."""

AT_ONCE = 8
"""Requests under way at a time, at least: two threads for each of two cores, each with several bands."""

MONTHS = (1, 3, 6, 12)
"""How long an area was watched, for its first alerts."""

FIRST_KM, NIGHT_KM = 10.0, 17.32
"""Sides of the areas: 100 and 300 km²."""

BLOCK_KM = 10.24
"""Side of a block of a band of 10 m."""


@dataclass(frozen=True)
class LineUse:
    """What came over a line."""

    size: int
    """Bytes."""

    requests: int

    def seconds(self) -> float:
        """Return how long the slow line takes for it, at most: bytes and delays one after the other."""
        return self.size / SPEED + self.requests * DELAY / AT_ONCE

    def times(self, factor: float) -> LineUse:
        """Return as much for more looks, or more blocks."""
        return LineUse(round(self.size * factor), round(self.requests * factor))


def count_first_looks(months: int) -> int:
    """Return the looks until the first alerts of an area that was watched for some months."""
    return (12 + months) * FIRST_LOOKS


def count_blocks(side: float) -> float:
    """Return how many blocks a square of so many kilometres meets, on the mean over all places that it may have."""
    return (side / BLOCK_KM + 1) ** 2


def use_line(link: Link, workspace: Workspace, until: dt.date) -> LineUse:
    """Scan, and return what came for it."""
    before = link.count()
    report = scan(workspace, ScanRequest(until=until))
    assert not report.failures
    after = link.count()
    return LineUse(after["sent"] - before["sent"], after["requests"] - before["requests"])


def measure(series: Series, side: float, work: Path) -> tuple[LineUse, LineUse, int]:
    """Scan a square in the middle of a series; returns the use of all looks but the last clear one, of that, and their number."""
    pixels = 2 * round(50 * side)
    first = (series.settings.size - pixels) // 4 * 2
    frame = (first, first, first + pixels, first + pixels)
    clear = [day for day, share in zip(series.settings.days, series.settings.clouds, strict=True) if share < 0.1]
    looks = sum(day < clear[-1] for day in series.settings.days)
    with open_link(series, 0.0) as link:
        workspace = series.workspace(work, [series.area("square", frame)])
        settings = workspace.settings.read_text("utf-8")
        workspace.settings.write_text(settings.replace(str(series.catalog), link.url), "utf-8")
        cold = use_line(link, workspace, clear[-1] - dt.timedelta(days=1))
        return cold, use_line(link, workspace, clear[-1]), looks


def describe(run: Run) -> Iterator[str]:
    """Yield the figures as lines."""
    series = run.series(run.size, run.scenes)
    cold, _, looks = measure(series, FIRST_KM, run.work / "first")
    one = cold.times(1 / looks)
    yield f"100 km² over 4 blocks, {looks} looks: {one.size / 1e6:.1f} MB and {one.requests} requests a look"
    for months in MONTHS:
        year = cold.times(count_first_looks(months) / looks)
        use = f"{year.size / 1e6:.0f} MB, {year.requests} requests, {year.seconds() / 3600:.2f} h"
        yield f"  watched for {count_of(months, 'month')}: {use}"
    _, night, _ = measure(series, NIGHT_KM, run.work / "night")
    scaled = night.times(count_blocks(NIGHT_KM) / 4)
    yield f"300 km² over 4 blocks, one clear look more: {night.size / 1e6:.1f} MB, {night.requests} requests"
    yield f"  over {count_blocks(NIGHT_KM):.1f} blocks: {scaled.size / 1e6:.1f} MB, {scaled.seconds() / 60:.1f} min"


@contextmanager
def avoid_proxy() -> Iterator[None]:
    """Keep requests to this machine away from any proxy."""
    before = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    os.environ.update(dict.fromkeys(before, HOST))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="What a slow line takes for the first alerts, and for a night.")
    parser.add_argument("--cache", type=Path, default=ROOT / "benchmarks" / ".cache", help="Keeps the scenes.")
    cache = parser.parse_args().cache.resolve()
    cache.mkdir(parents=True, exist_ok=True)
    with avoid_proxy(), tempfile.TemporaryDirectory(prefix="line-") as work:
        for line in describe(Run(cache, Path(work))):
            sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
