"""What a benchmark gives: rows with a figure, its ratio to a baseline of the same run, and the goal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.goals import GOALS, Goal
from benchmarks.measure import Measurement, choose_best, run_here, run_job
from benchmarks.series import Series, Settings, choose_settings
from benchmarks.tiles import find_series
from minewatch.core.workspace import Workspace

CPU = "CPU s"
"""Unit of seconds of processor, user and system."""


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
    goal: str = ""
    """Name of the goal of the ratio, or of the figure where there is none; '' where there is no goal."""
    cpu: float | None = None
    """CPU seconds beside a figure in seconds."""
    group: str = ""
    """Heading of the table that the row stands in; '' is the first table of a part."""

    @property
    def aim(self) -> Goal | None:
        """The goal."""
        return GOALS[self.goal] if self.goal else None

    @property
    def judged(self) -> float:
        """The value that the goal is about."""
        return self.figure if self.ratio is None else self.ratio

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        return None if self.aim is None else self.aim.is_met(self.judged)


def describe_row(row: Row) -> str:
    """Return a row as a line of text."""
    cpu = "" if row.cpu is None else f", {row.cpu:.3g} {CPU}"
    ratio = "" if row.ratio is None else f"   {row.ratio:.3g} ({row.against})"
    aim = row.aim
    goal = "" if aim is None else f"   goal {'≥' if aim.at_least else '≤'} {aim.limit:g}: {'met' if row.met else 'missed'}"
    return f"{row.name}: {row.figure:.3g} {row.unit}{cpu}{ratio}{goal}"


def compare(name: str, done: Measurement, base: Measurement, against: str, wall: str = "", cpu: str = "") -> list[Row]:
    """Return the rows of a time and of its CPU seconds, both against a baseline, with the names of their goals."""
    return [
        Row(name, done.seconds, "s", done.seconds / base.seconds, against, wall, done.cpu),
        Row(f"{name}: CPU", done.cpu, CPU, done.cpu / base.cpu, against, cpu),
    ]


def list_stages(stages: Mapping[str, tuple[float, float]], group: str) -> list[Row]:
    """Return a row for each stage of a scan."""
    return [Row(stage, seconds, "s", cpu=cpu, group=group) for stage, (seconds, cpu) in stages.items()]


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
    many: tuple[int, int, int] = (8192, 5, 4)
    """Side of the series that the areas of the section on a thousand areas are cut from, their columns and rows."""
    rounds: int = 2
    """Repetitions up to 4096 x 4096; the best counts."""
    apart: bool = True
    """Each job in a process of its own, warmed up; False is for tests: in this process, at once, compiled already."""
    peers: bool = True
    """Measure other software too, where it is installed."""
    commands: int | None = None
    """Help pages and lists whose start is measured; None = all."""
    decided: tuple[int, int, int] = (500, 5000, 2500)
    """Areas, alerts and decisions of the update of the table."""
    thousand: int = 1000
    """Areas that the figures of a few are scaled to."""
    most_rows: int = 20_000
    """Alerts in the table of a thousand areas, at most."""
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
        """Run a job of ``benchmarks.jobs``, of several rounds the best."""
        return choose_best([run_job(name, settings) if self.apart else run_here(name, settings) for _ in range(rounds)])

    def scan_settings(self, series: Series, workspace: Workspace) -> dict[str, object]:
        """Return the settings of the job that scans a series."""
        return {"workspace": workspace.root, "until": series.until, "series": series.folder, "tiny": self.tiny}

    def rounds_for(self, size: int) -> int:
        """Return the repetitions for a size."""
        return self.rounds if size <= 4096 else 1


@cache
def _find(settings: Settings, folder: Path) -> Series:
    return find_series(settings, folder)
