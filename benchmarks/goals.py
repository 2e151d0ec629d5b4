"""What the benchmarks have to reach: each goal once, in the order of the page."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """One goal, about the ratio of a row, or about its figure where it has none."""

    text: str
    """What is judged."""
    limit: float
    """The value to reach."""
    at_least: bool = False
    """True where more is better."""
    on_page: bool = True
    """False where another program than ``benchmarks.speed`` measures it."""

    def is_met(self, value: float) -> bool:
        """True if a value reaches the goal."""
        return value >= self.limit if self.at_least else value <= self.limit


GOALS: dict[str, Goal] = {
    "cold-cpu": Goal("cold scan, 4096 × 4096, evidence and picture included: CPU, × of GDAL's decode", 2.4),
    "cold-wall": Goal("cold scan, 4096 × 4096, evidence and picture included: time, × of GDAL's decode", 2.2),
    "cold-other-cpu": Goal("cold scans of other sizes: CPU, × of GDAL's decode", 2.4),
    "cold-other-wall": Goal("cold scans of other sizes: time, × of GDAL's decode", 2.2),
    "cut-cpu": Goal("cold scan of an area that cuts through the blocks: CPU, × of GDAL's decode", 2.4),
    "cut-wall": Goal("cold scan of an area that cuts through the blocks: time, × of GDAL's decode", 2.2),
    "outline": Goal("the outline of a river: CPU of `Grid.inside`, share of the scan's", 0.01),
    "memory": Goal("memory of a cold scan, GB", 1.2),
    "memory-spread": Goal("memory of cold scans, largest / smallest of all sizes", 1.2),
    "recall": Goal("mines found by cold scans, %", 90, at_least=True),
    "evidence": Goal("evidence, CPU ms an alert", 30),
    "quick-look": Goal("quick look, CPU s", 1.0),
    "report": Goal("report of 95 alerts, CPU s", 12),
    "quiet-short": Goal("night with nothing new after 30 looks: CPU, share of a cold scan", 0.04),
    "quiet-long": Goal("night with nothing new after 151 looks: CPU, share of a cold scan", 0.04),
    "new": Goal("one new look on 150: CPU, share of a cold scan", 0.08),
    "late": Goal("one late look among 151: CPU, share of a cold scan", 0.4),
    "equal": Goal("results equal, where they must be (1 = yes)", 1, at_least=True),
    "compiling": Goal("compiling on first use, CPU s", 10),
    "start-up": Goal("start-up of help and lists, CPU s beyond Python's own", 0.6),
    "monitor": Goal("monitor, million looks/s", 250, at_least=True),
    "composite": Goal("odc-stac and xarray: time, × of the cold scan", 3, at_least=True),
    "slow-line": Goal("scan over a line with 30 ms a request: time, × of no delay", 1.5),
    "requests": Goal("requests for one band of one scene", 3),
    "areas": Goal("scan of 200 areas: time, × of the decode limits", 1.3),
    "update": Goal("update of the alerts table, s", 10),
    "report-time": Goal("report of twenty alerts, s", 30, on_page=False),
    "report-size": Goal("report of twenty alerts: HTML, MB", 5, on_page=False),
    "bulletin-time": Goal("bulletin of a hundred areas, s", 30, on_page=False),
}
"""By the name that rows give."""
