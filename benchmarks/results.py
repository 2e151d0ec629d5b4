"""What a benchmark gives: rows with a figure, its ratio to a baseline of the same run, and the goal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.measure import Measurement, run_here, run_job
from benchmarks.series import Series, Settings, choose_settings
from benchmarks.tiles import find_series
from minewatch.core.workspace import Workspace


@dataclass(frozen=True)
class Row:
    """One figure."""

    name: str
    """What was measured."""
    figure: float
    """The measured value."""
    unit: str
    """Of the figure."""
    ratio: float | None = None
    """The figure divided by its baseline's, or the other way round where ``against`` says so."""
    against: str = ""
    """What the ratio compares with."""
    goal: float | None = None
    """Of the ratio, or of the figure where there is none."""
    at_least: bool = False
    """True where more is better."""

    @property
    def judged(self) -> float:
        """The value that the goal is about."""
        return self.figure if self.ratio is None else self.ratio

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.judged >= self.goal if self.at_least else self.judged <= self.goal


@dataclass(frozen=True)
class Run:
    """What a run of the benchmarks was asked for."""

    cache: Path
    """Keeps series between runs."""
    work: Path
    """For workspaces; deleted afterwards."""
    size: int = 2048
    """Side of the areas of most benchmarks, pixels."""
    sizes: tuple[int, ...] = (2048, 4096)
    """Of the cold scans."""
    scenes: int = 30
    """Of the short series."""
    long: int = 151
    """Of the long one."""
    areas: int = 200
    """Small areas in one scan."""
    rounds: int = 2
    """Repetitions up to 4096 x 4096; the quickest counts."""
    apart: bool = True
    """Each job in a process of its own, warmed up; False is for tests: in this process, at once."""
    peers: bool = True
    """Measure other software too, where it is installed."""
    decided: tuple[int, int, int] = (500, 5000, 2500)
    """Areas, alerts and decisions of the update of the table."""
    delay: float = 0.03
    """Seconds that a slow line adds to each request."""

    def series(self, size: int, scenes: int) -> Series:
        """Return a series, written now where it is missing."""
        return _find(choose_settings(size, scenes), self.cache)

    @property
    def tiny(self) -> Path | None:
        """A series so small that a scan of it only warms things up; None where nothing is to be warmed up."""
        return _find(choose_settings(256, self.scenes), self.cache).folder if self.apart else None

    def job(self, name: str, rounds: int = 1, **settings: object) -> Measurement:
        """Run a job of ``benchmarks.jobs``, of several rounds the quickest, with the most memory of all."""
        results = [run_job(name, settings) if self.apart else run_here(name, settings) for _ in range(rounds)]
        best = min(results, key=lambda result: result.seconds)
        return Measurement(best.seconds, max(result.memory for result in results), best.facts)

    def scan_settings(self, series: Series, workspace: Workspace) -> dict[str, object]:
        """Return the settings of the job that scans a series."""
        return {"workspace": workspace.root, "until": series.until, "series": series.folder, "tiny": self.tiny}

    def rounds_for(self, size: int) -> int:
        """Return the repetitions for a size."""
        return self.rounds if size <= 4096 else 1


@cache
def _find(settings: Settings, folder: Path) -> Series:
    return find_series(settings, folder)
