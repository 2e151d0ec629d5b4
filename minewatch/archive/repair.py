"""Repairs the archives before a scan uses them: damaged files are fetched again, lost and pruned observations are reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from minewatch.archive.area_scan import AreaScan
from minewatch.archive.integrity import Damage, IntegrityReport, check_archive, list_lost
from minewatch.archive.item import is_current
from minewatch.archive.pruned import Tombstone, read_tombstones
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import PrunedError
from minewatch.core.files import AnyPath
from minewatch.core.workspace import Workspace
from minewatch.sources.scene import group_scenes
from minewatch.sources.search import SkippedScene

LEDGER = "checked.json"
"""File beside an area's checkpoints that lists the files whose checksums were compared."""


def check_archives(workspace: Workspace, areas: Sequence[AreaPlan], *, thorough: bool = False) -> list[IntegrityReport]:
    """Find the damaged files of the areas' archives and set them aside, for the scan to fetch again."""
    return [
        check_archive(workspace.archive(name), area.grid, workspace.checkpoints(name) / LEDGER, thorough=thorough)
        for area in areas
        for name in [area.aoi.name]
    ]


def reconcile_damage(scan: AreaScan, source: str) -> AreaScan:
    """Note after fetching which damaged files were replaced, and add the lost ones to the failures."""
    lost = list_lost(scan.archive, scan.plan.grid, scan.integrity)
    repaired = [f"{damage.describe()}; it was fetched again" for damage in scan.integrity.damages if damage not in lost]
    listed = {datatake.key for datatake in group_scenes(scan.found.scenes)}  # those that could not be read are failures already
    missing = [damage for damage in lost if damage.key not in listed and _counts(damage, scan.plan)]
    refusals = [SkippedScene(", ".join(damage.sources) or damage.key, _explain(damage, source)) for damage in missing]
    return replace(scan, notes=[*repaired, *scan.notes], failures=[*scan.failures, *refusals])


def _counts(damage: Damage, area: AreaPlan) -> bool:
    return damage.day is None or area.history_from <= damage.day <= area.until


def _explain(damage: Damage, source: str) -> str:
    return f"lost: {damage.describe()}, and {source} does not list it any more; the result is without this look"


def find_pruned(folder: AnyPath, area: AreaPlan) -> list[Tombstone]:
    """Find the pruned observations that a result of the area would rest on."""
    return [
        tombstone
        for tombstone in read_tombstones(folder)
        if area.history_from <= tombstone.day <= area.until
        and tombstone.cloud_cover <= area.pipeline.scenes.max_cloud_cover
        and is_current(tombstone.digest, tombstone.grid, area.grid)
    ]


def refuse_pruned(folder: AnyPath, area: AreaPlan) -> None:
    """Raise PrunedError where a result of the area would rest on pruned observations."""
    if gone := find_pruned(folder, area):
        raise PrunedError(
            f"area {area.aoi.name!r}: pruned: this window rests on looks from {area.history_from} on, of which {len(gone)} "
            f"up to {gone[-1].day} were pruned; choose a later --since or monitor_from"
        )
