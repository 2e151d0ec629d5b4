"""How much of an area was seen, counted tile by tile, and which observations have less data than their footprints promise."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from minewatch.archive.item import Observation
from minewatch.areas.antimeridian import join_halves
from minewatch.areas.grid import Grid, lonlat_to, reproject
from minewatch.core.text import count_of, format_day, format_percent
from minewatch.core.units import to_date, to_day
from minewatch.detection.blindness import add_onsets, count_blind
from minewatch.detection.chance import Chance, judge_chance
from minewatch.detection.change_map import Status, TileChanges
from minewatch.detection.lasting import LASTING_DAYS
from minewatch.sources.scene import Scene

RECENT_DAYS = 30
"""Pixels without a clear look for longer than this count as unseen."""

EDGE_M = 2_000
"""Metres by which a footprint may reach beyond its data; in real items of tiles it is some 200 m smaller than the data."""

EDGE_SHARE = 0.05
"""... and no more than this share of the footprint's own size, since that of a small cut-out is exact."""

LEAST_EMPTY = 0.1
"""Smallest share of an area inside the footprint but without data that is reported."""


@dataclass(frozen=True)
class Coverage:
    """How much of an area was seen, by share of its pixels."""

    status: dict[str, float]
    """Share of each status."""

    never_clear: float
    """Share without a clear look since monitor_from."""

    unseen: float
    """Share without a clear look in the RECENT_DAYS before the as-of date."""

    unseen_days: int | None
    """Days since the last clear look of half of the unseen share; None where it never had one."""

    last_clear: dt.date | None
    """The latest clear look of any pixel."""

    missing_looks: int
    """The most frequent number of looks that pixels not monitored still lack; 0 = all are monitored."""

    watched: float
    """Share that is monitored: the watched ground."""

    chance: Chance
    """Whether a lasting clearing would have been confirmed there."""

    def describe(self, skipped: str = "") -> str:
        """Return in one line what was not seen, and what would have been found; ``skipped``: scenes that were not used."""
        parts = []
        if self.unseen > 0:
            since = f"for {count_of(self.unseen_days, 'day')}" if self.unseen_days is not None else "since monitoring began"
            parts.append(f"{format_percent(self.unseen)} of the area not seen {since}")
        if share := self.status.get("no vegetation", 0):
            parts.append(f"{format_percent(share)} without vegetation to lose")
        if share := self.status.get("not monitored", 0):
            looks = count_of(self.missing_looks, "more clear look")
            parts.append(f"{format_percent(share)} not monitored ({looks} needed)")
        if share := self.status.get("never covered", 0):
            parts.append(f"{format_percent(share)} without data in any scene that was used")
        if parts and skipped:
            parts.append(skipped)
        seen = ", ".join(parts) or f"the whole area seen in the last {RECENT_DAYS} days"
        if self.watched and self.chance.share is None:
            return f"{seen}; monitored for less than {LASTING_DAYS} days, too short to say what would have been confirmed"
        return "; ".join(filter(None, [seen, self.chance.describe()]))


@dataclass
class CoverageCount:
    """Adds up tiles."""

    status: Counter[int] = field(default_factory=Counter)
    """Status code to pixels."""

    last_clear: Counter[int] = field(default_factory=Counter)
    """Day of the last clear look to pixels; 0 = never."""

    missing: Counter[int] = field(default_factory=Counter)
    """Looks that the baseline lacks to pixels."""

    watched: int = 0
    """Pixels that are monitored."""

    onsets: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    """(day,) by how many those grow where a clearing would not have been confirmed, from one day of onset to the next."""

    def add(self, tile: TileChanges) -> None:
        """Count one tile."""
        inside = tile.rasters["status"] != Status.OUTSIDE
        self.status.update(_count(tile.rasters["status"][inside]))
        self.last_clear.update(_count(tile.rasters["last_clear"][inside]))
        self.missing.update(_count(tile.missing_looks[inside & (tile.rasters["status"] == Status.NOT_MONITORED)]))
        self.watched += tile.watched
        self.onsets = add_onsets(self.onsets, tile.onsets)

    def close(self, monitor_from: dt.date, until: dt.date) -> Coverage:
        """Return the shares as of a date."""
        total = max(1, sum(self.status.values()))
        first, recent = to_day(monitor_from), to_day(until) - RECENT_DAYS
        unseen = {day: count for day, count in self.last_clear.items() if day < recent}
        last_looks = {day: count for day, count in unseen.items() if day > 0}
        half = np.quantile([*last_looks], 0.5, weights=[*last_looks.values()], method="inverted_cdf") if last_looks else None
        return Coverage(
            status={
                status.name.lower().replace("_", " "): self.status[status] / total for status in Status if self.status[status]
            },
            never_clear=sum(count for day, count in self.last_clear.items() if day < first) / total,
            unseen=sum(unseen.values()) / total,
            unseen_days=None if half is None else to_day(until) - int(half),
            last_clear=to_date(max(self.last_clear, default=0)),
            missing_looks=max(self.missing, key=lambda n: (self.missing[n], n), default=0),
            watched=self.watched / total,
            chance=judge_chance(count_blind(self.onsets, to_day(until) - first), self.watched, monitor_from),
        )


def _count(values: NDArray[np.generic]) -> dict[int, int]:
    codes, counts = np.unique(values, return_counts=True)
    return dict(zip(codes.tolist(), counts.tolist(), strict=True))


@dataclass(frozen=True)
class Emptiness:
    """An observation without data on ground that its scenes' footprints cover."""

    scenes: tuple[str, ...]
    """Ids of its scenes."""

    day: dt.date
    """Acquisition, UTC."""

    covered: float
    """Share of the area that lies well inside the footprints."""

    valid: float
    """Share of the area that has data."""

    def describe(self) -> str:
        """Return in one line what is missing."""
        names = ", ".join(self.scenes)
        kind = "footprint" if len(self.scenes) == 1 else "footprints"
        verb = "covers" if len(self.scenes) == 1 else "cover"
        shares = f"{format_percent(self.covered)} of the area, but only {format_percent(self.valid)} has data"
        return f"{format_day(self.day)}: the {kind} of {names} {verb} {shares}"


def find_emptiness(observations: Iterable[Observation], scenes: Iterable[Scene], grid: Grid) -> list[Emptiness]:
    """List the observations with less data than the footprints of their scenes promise.

    Lost blocks and misplaced items read as no data; only the footprint tells them from "not covered".
    """
    known = {scene.id: scene for scene in scenes}
    found = []
    for observation in observations:
        used = [known[name] for name in observation.source_ids if name in known]
        if observation.valid_share > 1 - LEAST_EMPTY or not used:
            continue
        covered = measure_promise([scene.footprint for scene in used], grid)
        if covered - observation.valid_share >= LEAST_EMPTY:
            ids = tuple(scene.id for scene in used)
            found.append(Emptiness(ids, observation.time.date(), covered, observation.valid_share))
    return found


def measure_promise(footprints: Sequence[BaseGeometry], grid: Grid) -> float:
    """Return the share of the area that lies inside footprints (lon/lat) and not near the edge of all of them."""
    to_grid = lonlat_to(grid.epsg)
    drawn = shapely.make_valid([reproject(join_halves(footprint), to_grid) for footprint in footprints])
    promised = shapely.union_all(drawn)
    edge = min(EDGE_M, EDGE_SHARE * promised.area**0.5)
    return float(shapely.intersection(promised.buffer(-edge), grid.area).area / grid.area.area)
