"""Costs of scans of several areas, as terms for each thing that is done, and what they come to for more areas."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.measure import Measurement
from benchmarks.results import Row
from benchmarks.stages import REST

UNITS = {
    "search": "areas",
    "read and archive": "read",
    "map changes": "tiles",
    "replay": "alerts",
    "table": "alerts",
    "evidence": "written",
    "quick look": "areas",
    REST: "areas",
}
"""Stage to the fact of a scan that its cost grows with; where a scan has none of it, with the areas."""

NAMES = {
    "areas": "an area",
    "read": "a look of an area",
    "tiles": "a tile",
    "alerts": "an alert",
    "written": "a folder or an addendum",
}
"""Fact to the words for one of it."""

ON_WORKERS = ("read and archive", "map changes")
"""Stages that the workers of a cluster share; the others stay in the process of the scan."""

PARTLY_ONCE = ("search", "table", REST)
"""Stages with a part that does not grow with the areas."""

WITH_LOOKS = ON_WORKERS
"""Stages of a first fill that grow with the looks."""


@dataclass(frozen=True)
class Cost:
    """Seconds, or CPU seconds."""

    wall: float
    """By the clock, on the machine that was measured."""
    cpu: float
    """Of processor."""

    def times(self, factor: float) -> Cost:
        """Return so many of it."""
        return Cost(self.wall * factor, self.cpu * factor)

    def less(self, other: Cost) -> Cost:
        """Return what is left without another, not below nothing."""
        return Cost(max(0.0, self.wall - other.wall), max(0.0, self.cpu - other.cpu))

    def plus(self, other: Cost) -> Cost:
        """Return both together."""
        return Cost(self.wall + other.wall, self.cpu + other.cpu)


NOTHING = Cost(0.0, 0.0)
NO_COSTS: Mapping[str, Cost] = {}


@dataclass(frozen=True)
class Terms:
    """What a scan of many areas costs."""

    kind: str
    """Of the scan."""
    once: dict[str, Cost]
    """Stage to what it costs once, however many areas there are."""
    stages: dict[str, Cost]
    """Of an average area."""
    counts: dict[str, float]
    """Fact to its number in an average area."""

    @property
    def fixed(self) -> Cost:
        """What is done once."""
        return functools.reduce(Cost.plus, self.once.values(), NOTHING)

    def project(self, areas: float, looks: float = 1.0, workers: int = 0) -> Cost:
        """Return the cost of so many areas without the fixed one, on the machine that was measured.

        ``looks``: how many times as many looks are read and mapped.  With ``workers``, stages that these share take their
        CPU seconds, divided by the workers, and nothing is waited for.
        """
        total = NOTHING
        for stage, cost in self.stages.items():
            one = cost.times(looks) if stage in WITH_LOOKS else cost
            if workers and stage in ON_WORKERS:
                one = Cost(one.cpu / workers, one.cpu)
            total = total.plus(one.times(areas))
        return total

    def list_rows(self, group: str) -> list[Row]:
        """Return the terms as rows."""
        rows = [Row(f"{self.kind}: once a scan", 1000 * self.fixed.cpu, "CPU ms", group=group)]
        for stage, cost in self.stages.items():
            unit = UNITS[stage] if self.counts[UNITS[stage]] else "areas"
            each = 1000 * cost.cpu / self.counts[unit]
            rows.append(Row(f"{self.kind}, {stage}: {NAMES[unit]}", each, "CPU ms", group=group))
        return rows


def fit_terms(kind: str, every: Measurement, few: Measurement | None = None, fixed: Mapping[str, Cost] = NO_COSTS) -> Terms:
    """Find the terms of a scan; what is done once is found by a second scan of fewer areas, or given.

    It is the part of the stages ``PARTLY_ONCE`` that does not grow with the areas.
    """
    areas = every.facts["areas"]
    spent = {stage: Cost(*pair) for stage, pair in every.facts["stages"].items()}
    if few is not None:
        fewer = few.facts["areas"]
        fixed = {stage: _find_start(fewer, Cost(*few.facts["stages"][stage]), areas, spent[stage]) for stage in PARTLY_ONCE}
    growing = {stage: cost.less(fixed.get(stage, NOTHING)).times(1 / areas) for stage, cost in spent.items()}
    facts = every.facts | {"written": every.facts["folders"] + every.facts["addenda"]}
    return Terms(kind, dict(fixed), growing, {name: facts[name] / areas for name in NAMES})


def _find_start(fewer: int, one: Cost, areas: int, other: Cost) -> Cost:
    """Return what the line through two scans has without any area; not below nothing, nor above the first scan."""
    slope = other.less(one).times(1 / (areas - fewer))
    start = one.less(slope.times(fewer))
    return Cost(min(start.wall, one.wall), min(start.cpu, one.cpu))
