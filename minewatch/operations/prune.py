"""Keeps the archive within a budget, by deleting observations that no result rests on.

Observations in the areas' own windows and those that show their alerts are never deleted (decision 0011).  Tombstones are
on the disk before any file is deleted; what a crash leaves is deleted the next time.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minewatch.alerts.cells import read_day
from minewatch.alerts.lifetime import find_last_before
from minewatch.alerts.read import read_alerts
from minewatch.alerts.rows import read_areas
from minewatch.archive.integrity import ASIDE
from minewatch.archive.item import Observation, list_observations, select_observations, sort_observations
from minewatch.archive.pruned import Tombstone, read_tombstones, write_tombstones
from minewatch.archive.stac_item import write_collection
from minewatch.areas.area_files import list_aois
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import AnyPath, Stamp, delete_files, list_stamps
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.units import to_day
from minewatch.core.workspace import Workspace
from minewatch.operations.plan import ScanRequest, plan_area
from minewatch.settings.document import read_settings

GB = 10**9
"""Bytes."""

_NAME = re.compile(r"(?P<key>.+)_[0-9a-f]{12}(_v\d+\.json|\.tif)(\.aux\.xml)?")
"""Of an item, a raster, or the file that QGIS writes beside a raster."""


@dataclass(frozen=True)
class PruneOptions:
    """What to keep."""

    keep_gb: float | None = None
    """Gigabytes (10^9 bytes) of all areas' archives together; None = no limit."""

    forget_before: dt.date | None = None
    """Looks acquired earlier are deleted even within the budget."""


@dataclass(frozen=True)
class AreaPruning:
    """What is deleted from the archive of one area."""

    aoi: str
    """Its name."""

    bytes_before: int
    """All files."""

    leftovers: tuple[str, ...] = ()
    """Files that nothing reads: unfinished, superseded, or left by an earlier pruning."""

    leftover_bytes: int = 0
    """Of them."""

    pruned: tuple[Observation, ...] = ()
    """Observations that are deleted, in order of acquisition."""

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
        """Of what stays."""
        return self.bytes_before - self.leftover_bytes - self.pruned_bytes


@dataclass(frozen=True)
class Pruning:
    """What is deleted from the archives of all areas."""

    areas: tuple[AreaPruning, ...]
    """By name."""

    budget: int | None
    """Bytes."""

    dry: bool = False
    """True if nothing was deleted."""

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
        """Bytes above the budget that must be kept; 0 = within it."""
        return 0 if self.budget is None else max(0, self.bytes_after - self.budget)


@dataclass
class _ArchiveInventory:
    """The archive of one area, divided into what results need and what may be deleted."""

    aoi: str
    folder: AnyPath
    plan: AreaPlan
    stamps: Mapping[str, Stamp]
    tombstones: Sequence[Tombstone]
    leftovers: list[str]
    needed: Sequence[Observation]
    free: Sequence[Observation]
    chosen: list[Observation] = field(default_factory=list)

    def measure_size(self, names: Iterable[str]) -> int:
        return sum(self.stamps[name].size for name in names if name in self.stamps)

    def list_files(self, observations: Sequence[Observation]) -> list[str]:
        """Name the files of observations, items first."""
        rasters = [observation.raster.name for observation in observations]
        return [*(o.item.name for o in observations), *rasters, *(f"{name}.aux.xml" for name in rasters)]


def prune(workspace: Workspace, options: PruneOptions, *, dry: bool = False) -> Pruning:
    """Delete what no result needs from the archives of all areas; ``dry`` only reports.

    Raises WorkspaceError where no option is given, a scan is running, or an area's own window begins before the date.
    """
    if options.keep_gb is None and options.forget_before is None:
        raise WorkspaceError("say how much to keep: --keep-gb, or keep_gb in the table [prune] of minewatch.toml")
    if dry:
        return _describe(_choose_pruned(workspace, options), options, dry=True)
    with workspace.lock("prune"):
        inventories = _choose_pruned(workspace, options)
        for inventory in inventories:
            _delete(inventory)
    return _describe(inventories, options, dry=False)


# --- choosing --------------------------------------------------------------------------------------------------------


def _choose_pruned(workspace: Workspace, options: PruneOptions) -> list[_ArchiveInventory]:
    inventories = [_take_inventory(workspace, name) for name in list_aois(workspace)]
    if options.forget_before:
        for inventory in inventories:
            _refuse_needed(inventory, options.forget_before)
            inventory.chosen += [o for o in inventory.free if o.time.date() < options.forget_before]
    if options.keep_gb is not None:
        excess = -round(options.keep_gb * GB)
        for one in inventories:
            gone = one.measure_size(one.leftovers) + one.measure_size(one.list_files(one.chosen))
            excess += one.measure_size(one.stamps) - gone
        _choose_oldest(inventories, excess)
    return inventories


def _refuse_needed(inventory: _ArchiveInventory, day: dt.date) -> None:
    """Raise WorkspaceError where the area's own scans need earlier looks: they would end with another result or an error."""
    if inventory.plan.history_from < day:
        years = inventory.plan.pipeline.detector.baseline_years
        raise WorkspaceError(
            f"area {inventory.aoi!r} rests on looks from {inventory.plan.history_from} on: its monitor_from is "
            f"{inventory.plan.monitor_from}, and its baseline takes {years} years before; to forget what is before {day}, "
            f"first set monitor_from in its file in aois to {years} years after that day or later, and scan"
        )


def _choose_oldest(inventories: Sequence[_ArchiveInventory], excess: int) -> None:
    candidates = [
        (o.time, o.key, number)
        for number, inventory in enumerate(inventories)
        for o in inventory.free
        if o not in inventory.chosen
    ]
    by_key = {(number, o.key): o for number, inventory in enumerate(inventories) for o in inventory.free}
    for _, key, number in sorted(candidates):
        if excess <= 0:
            return
        observation = by_key[number, key]
        inventories[number].chosen.append(observation)
        excess -= inventories[number].measure_size(inventories[number].list_files([observation]))


def _take_inventory(workspace: Workspace, name: str) -> _ArchiveInventory:
    folder = workspace.archive(name)
    pipelines = {table.pipeline for table in read_settings(workspace).schedules.values() if table.pipeline}
    # The area's own plan without an end, and those of schedules with a pipeline of their own.
    plans = [plan_area(workspace, ScanRequest(pipeline=one), name, dt.date.max, {}) for one in (None, *sorted(pipelines))]
    stamps, tombstones = list_stamps(folder), read_tombstones(folder)
    usable = list_observations(folder, plans[0].grid)
    pruned_keys = {tombstone.key for tombstone in tombstones if tombstone.key in usable}
    alive = {key: o for key, o in usable.items() if key not in pruned_keys}
    needed = {o.key for plan in plans for o in select_observations(alive.values(), plan)}
    needed |= {key for key, o in alive.items() if not o.sources and o.time.date() >= plans[0].history_from}  # or read anew
    needed |= _find_alert_looks(workspace, name, alive.values())
    free = sort_observations(o for o in alive.values() if o.key not in needed)
    leftovers = _find_leftovers(stamps, alive, {tombstone.key for tombstone in tombstones})
    return _ArchiveInventory(name, folder, plans[0], stamps, tombstones, leftovers, [alive[key] for key in needed], free)


def _find_alert_looks(workspace: Workspace, name: str, observations: Iterable[Observation]) -> set[str]:
    """Return the looks of the alerts in the table, from the last one that shows each ground unchanged, as reports show it."""
    areas = read_areas(workspace.alerts) if workspace.alerts.exists() else {}
    if name not in areas:
        return set()
    monitor_from, _ = areas[name]
    table = read_alerts(workspace.alerts)
    rows = table[table["aoi"] == name]
    spans = [
        (to_day(find_last_before(read_day(row.last_normal), monitor_from)), to_day(row.last_seen.date()))
        for row in rows.itertuples()
    ]
    return {o.key for o in observations if any(first <= o.day <= last for first, last in spans)}


def _find_leftovers(stamps: Mapping[str, Stamp], alive: Mapping[str, Observation], pruned_keys: set[str]) -> list[str]:
    """Return files that nothing reads; files of damaged observations stay, since they prove the loss."""
    used = {name for o in alive.values() for name in (o.raster.name, o.item.name, f"{o.raster.name}.aux.xml")}
    names = []
    for name in stamps.keys() - used:
        match = _NAME.fullmatch(name.removesuffix(ASIDE))
        if name.startswith(TEMPORARY_PREFIX) or (match and (match["key"] in alive or match["key"] in pruned_keys)):
            names.append(name)
    return sorted(names, key=lambda name: (not name.endswith(".json"), name))


# --- removing --------------------------------------------------------------------------------------------------------


def _delete(inventory: _ArchiveInventory) -> None:
    """Write the tombstones, then delete items, then rasters: a crash in between leaves only files that nothing reads."""
    if inventory.chosen:
        gone = {observation.key for observation in inventory.chosen}
        kept = [tombstone for tombstone in inventory.tombstones if tombstone.key not in gone]
        write_tombstones(inventory.folder, [*kept, *map(Tombstone.of, inventory.chosen)])
    files = [*inventory.leftovers, *inventory.list_files(inventory.chosen)]
    delete_files(inventory.folder / name for name in files if name in inventory.stamps)
    if files:
        chosen = {observation.key for observation in inventory.chosen}
        rest = [*inventory.needed, *(o for o in inventory.free if o.key not in chosen)]
        write_collection(inventory.folder, inventory.aoi, inventory.plan.aoi.geometry, rest)


def _describe(inventories: Sequence[_ArchiveInventory], options: PruneOptions, *, dry: bool) -> Pruning:
    areas = tuple(
        AreaPruning(
            one.aoi,
            one.measure_size(one.stamps),
            tuple(one.leftovers),
            one.measure_size(one.leftovers),
            tuple(sort_observations(one.chosen)),
            one.measure_size(one.list_files(one.chosen)),
            len(one.needed),
            one.measure_size(one.list_files(one.needed)),
            one.plan.history_from,
        )
        for one in inventories
    )
    return Pruning(areas, None if options.keep_gb is None else round(options.keep_gb * GB), dry)


def list_unregistered(workspace: Workspace) -> dict[str, int]:
    """Return the bytes of archives whose area is no longer registered; they are not touched."""
    known, root = set(list_aois(workspace)), workspace.archives
    if not isinstance(root, Path) or not root.is_dir():
        return {}
    found: dict[str, int] = defaultdict(int)
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and path.name not in known):
        found[folder.name] = sum(stamp.size for stamp in list_stamps(folder).values())
    return dict(found)


def describe_pruning(pruning: Pruning, unregistered: Mapping[str, int]) -> dict[str, Any]:
    """Return a pruning as plain data."""
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
        "not_registered": dict(unregistered),
    }
