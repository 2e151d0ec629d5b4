"""Keeps the archive within a budget, by removing what no result rests on.

What the areas' own windows rest on is never removed, nor what their alerts were seen on (decision 0011).  Tombstones come
first and are on the disk before any file goes; what a crash leaves over is removed the next time.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minewatch.alerts.table import read_alerts, read_areas
from minewatch.archive.integrity import ASIDE
from minewatch.archive.item import Observation, list_observations, sort_observations, write_collection
from minewatch.archive.pruned import Tombstone, read_tombstones, write_tombstones
from minewatch.areas.aoi import list_aois
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import Place, Stamp, delete_files, list_stamps
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.units import to_day
from minewatch.core.workspace import Workspace
from minewatch.detection.parallel_tiles import select_observations
from minewatch.operations.plan import ScanRequest, plan_area
from minewatch.products.evidence.looks import SEARCHED
from minewatch.settings.document import read_settings

GB = 10**9
"""Bytes."""

_NAME = re.compile(r"(?P<key>.+)_[0-9a-f]{12}(_v\d+\.json|\.tif)(\.aux\.xml)?")
"""Of an item, a raster, or what QGIS wrote beside a raster."""


@dataclass(frozen=True)
class PruneOptions:
    """What is asked for."""

    keep_gb: float | None = None
    """Gigabytes (10^9 bytes) of all areas' archives together; None = whatever it takes."""

    forget_before: dt.date | None = None
    """Looks acquired earlier go whatever room there is."""


@dataclass(frozen=True)
class AreaPruning:
    """What goes from the archive of one area."""

    aoi: str
    """Its name."""

    bytes_before: int
    """All files."""

    leftovers: tuple[str, ...] = ()
    """Files that nobody reads: unfinished, superseded, left by an earlier pruning."""

    leftover_bytes: int = 0
    """Of them."""

    pruned: tuple[Observation, ...] = ()
    """Observations that go, in order of acquisition."""

    pruned_bytes: int = 0
    """Of their files."""

    needed: int = 0
    """Observations that results rest on."""

    needed_bytes: int = 0
    """Of their files."""

    needed_from: dt.date | None = None
    """First day of the area's own window."""

    @property
    def bytes_after(self) -> int:
        """What stays."""
        return self.bytes_before - self.leftover_bytes - self.pruned_bytes


@dataclass(frozen=True)
class Pruning:
    """What goes, of all areas."""

    areas: tuple[AreaPruning, ...]
    """By name."""

    budget: int | None
    """Bytes."""

    dry: bool = False
    """Nothing was removed."""

    @property
    def bytes_before(self) -> int:
        """Of all archives."""
        return sum(area.bytes_before for area in self.areas)

    @property
    def bytes_after(self) -> int:
        """Of all archives."""
        return sum(area.bytes_after for area in self.areas)

    @property
    def excess(self) -> int:
        """Bytes beyond the budget that no rule lets go; 0 = within it."""
        return 0 if self.budget is None else max(0, self.bytes_after - self.budget)


@dataclass
class _ArchiveInventory:
    """The archive of one area, sorted by what may go."""

    aoi: str
    folder: Place
    plan: AreaPlan
    stamps: Mapping[str, Stamp]
    stones: Sequence[Tombstone]
    leftovers: list[str]
    needed: Sequence[Observation]
    free: Sequence[Observation]
    chosen: list[Observation] = field(default_factory=list)

    def weigh(self, names: Iterable[str]) -> int:
        return sum(self.stamps[name].size for name in names if name in self.stamps)

    def list_files(self, observations: Sequence[Observation]) -> list[str]:
        """Name the files of observations, items first."""
        rasters = [observation.raster.name for observation in observations]
        return [*(o.item.name for o in observations), *rasters, *(f"{name}.aux.xml" for name in rasters)]


def prune(workspace: Workspace, wish: PruneOptions, *, dry: bool = False) -> Pruning:
    """Remove what may go from the archives of all areas; ``dry`` only tells.

    Raises WorkspaceError where nothing is asked for, a scan is running, or an area's own window begins before the date.
    """
    if wish.keep_gb is None and wish.forget_before is None:
        raise WorkspaceError("say how much to keep: --keep-gb, or keep_gb in the table [prune] of minewatch.toml")
    if dry:
        return _describe(_choose(workspace, wish), wish, dry=True)
    with workspace.lock("prune"):
        stocks = _choose(workspace, wish)
        for stock in stocks:
            _carry_out(stock)
    return _describe(stocks, wish, dry=False)


# --- choosing --------------------------------------------------------------------------------------------------------


def _choose(workspace: Workspace, wish: PruneOptions) -> list[_ArchiveInventory]:
    stocks = [_take_stock(workspace, name) for name in list_aois(workspace)]
    if wish.forget_before:
        for stock in stocks:
            _refuse_needed(stock, wish.forget_before)
            stock.chosen += [o for o in stock.free if o.time.date() < wish.forget_before]
    if wish.keep_gb is not None:
        excess = sum(_weigh_rest(stock) for stock in stocks) - round(wish.keep_gb * GB)
        _choose_oldest(stocks, excess)
    return stocks


def _weigh_rest(stock: _ArchiveInventory) -> int:
    return stock.weigh(stock.stamps) - stock.weigh(stock.leftovers) - stock.weigh(stock.list_files(stock.chosen))


def _refuse_needed(stock: _ArchiveInventory, day: dt.date) -> None:
    """Refuse to forget what the area's own scans rest on: each of them would end in another result, or in an error."""
    if stock.plan.history_from < day:
        years = stock.plan.pipeline.detector.baseline_years
        raise WorkspaceError(
            f"area {stock.aoi!r} rests on looks from {stock.plan.history_from} on: its monitor_from is "
            f"{stock.plan.monitor_from}, and its baseline takes {years} years before; to forget what is before {day}, first set "
            f"monitor_from in its file in aois to {years} years after that day or later, and scan"
        )


def _choose_oldest(stocks: Sequence[_ArchiveInventory], excess: int) -> None:
    candidates = [(o.time, o.key, number) for number, stock in enumerate(stocks) for o in stock.free if o not in stock.chosen]
    by_key = {(number, o.key): o for number, stock in enumerate(stocks) for o in stock.free}
    for _, key, number in sorted(candidates):
        if excess <= 0:
            return
        observation = by_key[number, key]
        stocks[number].chosen.append(observation)
        excess -= stocks[number].weigh(stocks[number].list_files([observation]))


def _take_stock(workspace: Workspace, name: str) -> _ArchiveInventory:
    folder = workspace.archive(name)
    plans = _list_plans(workspace, name)
    stamps, stones = list_stamps(folder), read_tombstones(folder)
    usable = list_observations(folder, plans[0].grid)
    buried = {stone.key for stone in stones if stone.key in usable}
    alive = {key: o for key, o in usable.items() if key not in buried}
    needed = {o.key for plan in plans for o in select_observations(alive.values(), plan)}
    needed |= {key for key, o in alive.items() if not o.sources and o.time.date() >= plans[0].history_from}  # or read anew
    needed |= _find_told(workspace, name, alive.values())
    free = sort_observations(o for o in alive.values() if o.key not in needed)
    leftovers = _find_leftovers(stamps, alive, {stone.key for stone in stones})
    return _ArchiveInventory(name, folder, plans[0], stamps, stones, leftovers, [alive[key] for key in needed], free)


def _list_plans(workspace: Workspace, name: str) -> list[AreaPlan]:
    """Return the area's own plan for all time to come, and those of schedules with a pipeline of their own."""
    pipelines = {table.pipeline for table in read_settings(workspace).schedules.values() if table.pipeline}
    requests = [ScanRequest(), *(ScanRequest(pipeline=pipeline) for pipeline in sorted(pipelines))]
    return [plan_area(workspace, request, name, dt.date.max, {}) for request in requests]


def _find_told(workspace: Workspace, name: str, observations: Iterable[Observation]) -> set[str]:
    """Choose the looks of the alerts in the table, from a year before each was first seen, as evidence takes them."""
    if not workspace.alerts.exists() or name not in read_areas(workspace.alerts):
        return set()
    table = read_alerts(workspace.alerts)
    rows = table[table["aoi"] == name]
    spans = [(to_day(row.first_seen.date()) - SEARCHED.days, to_day(row.last_seen.date())) for row in rows.itertuples()]
    return {o.key for o in observations if any(first <= o.day <= last for first, last in spans)}


def _find_leftovers(stamps: Mapping[str, Stamp], alive: Mapping[str, Observation], buried: set[str]) -> list[str]:
    """Name what nobody reads; files of looks that are lost stay, since they tell of them."""
    used = {name for o in alive.values() for name in (o.raster.name, o.item.name, f"{o.raster.name}.aux.xml")}
    return sorted(
        (name for name in stamps if name not in used and _is_leftover(name, alive, buried)),
        key=lambda name: (not name.endswith(".json"), name),
    )


def _is_leftover(name: str, alive: Mapping[str, Observation], buried: set[str]) -> bool:
    match = _NAME.fullmatch(name.removesuffix(ASIDE))
    return name.startswith(TEMPORARY_PREFIX) or bool(match and (match["key"] in alive or match["key"] in buried))


# --- removing --------------------------------------------------------------------------------------------------------


def _carry_out(stock: _ArchiveInventory) -> None:
    """Write the tombstones, then delete items, then rasters: a crash in between leaves at worst what nobody reads."""
    if stock.chosen:
        gone = {observation.key for observation in stock.chosen}
        kept = [stone for stone in stock.stones if stone.key not in gone]
        write_tombstones(stock.folder, [*kept, *map(Tombstone.of, stock.chosen)])
    files = [*stock.leftovers, *stock.list_files(stock.chosen)]
    delete_files(stock.folder / name for name in files if name in stock.stamps)
    if files:
        chosen = {observation.key for observation in stock.chosen}
        rest = [*stock.needed, *(o for o in stock.free if o.key not in chosen)]
        write_collection(stock.folder, stock.aoi, stock.plan.aoi.geometry, rest)


def _describe(stocks: Sequence[_ArchiveInventory], wish: PruneOptions, *, dry: bool) -> Pruning:
    areas = tuple(_describe_area(stock) for stock in stocks)
    return Pruning(areas, None if wish.keep_gb is None else round(wish.keep_gb * GB), dry)


def _describe_area(stock: _ArchiveInventory) -> AreaPruning:
    return AreaPruning(
        stock.aoi,
        stock.weigh(stock.stamps),
        tuple(stock.leftovers),
        stock.weigh(stock.leftovers),
        tuple(sort_observations(stock.chosen)),
        stock.weigh(stock.list_files(stock.chosen)),
        len(stock.needed),
        stock.weigh(stock.list_files(stock.needed)),
        stock.plan.history_from,
    )


def list_strays(workspace: Workspace) -> dict[str, int]:
    """Return the bytes of archives whose area is no longer registered; they are left alone."""
    known, root = set(list_aois(workspace)), workspace.archives
    if not isinstance(root, Path) or not root.is_dir():
        return {}
    found: dict[str, int] = defaultdict(int)
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and path.name not in known):
        found[folder.name] = sum(stamp.size for stamp in list_stamps(folder).values())
    return dict(found)


def describe_pruning(pruning: Pruning, strays: Mapping[str, int]) -> dict[str, Any]:
    """Return it as plain data."""
    return {
        "dry_run": pruning.dry,
        "bytes_before": pruning.bytes_before,
        "bytes_after": pruning.bytes_after,
        "budget_bytes": pruning.budget,
        "bytes_over_budget": pruning.excess,
        "areas": [
            {
                "aoi": area.aoi,
                "bytes_before": area.bytes_before,
                "bytes_after": area.bytes_after,
                "leftover_files": list(area.leftovers),
                "leftover_bytes": area.leftover_bytes,
                "pruned": [{"key": o.key, "day": o.time.date().isoformat(), "scenes": list(o.source_ids)} for o in area.pruned],
                "pruned_bytes": area.pruned_bytes,
                "needed": area.needed,
                "needed_bytes": area.needed_bytes,
                "needed_from": area.needed_from.isoformat() if area.needed_from else None,
            }
            for area in pruning.areas
        ],
        "not_registered": dict(strays),
    }
