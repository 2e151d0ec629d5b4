"""Mends the archives before a scan rests on them: damaged files are fetched again, what is lost or was pruned is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from minewatch.archive.area_scan import AreaScan
from minewatch.archive.integrity import Damage, IntegrityReport, check_archive, list_lost
from minewatch.archive.item import is_current
from minewatch.archive.pruned import Tombstone, read_tombstones
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import PrunedError
from minewatch.core.files import Place
from minewatch.core.workspace import Workspace
from minewatch.sources.scene import group_scenes
from minewatch.sources.search import SkippedScene

LEDGER = "checked.json"
"""Among an area's checkpoints: which files were compared with their checksums."""


def check_archives(workspace: Workspace, areas: Sequence[AreaPlan], *, thorough: bool = False) -> list[IntegrityReport]:
    """Find the damaged files of the areas' archives and set them aside, for the scan to fetch again."""
    return [
        check_archive(workspace.archive(name), area.grid, workspace.checkpoints(name) / LEDGER, thorough=thorough)
        for area in areas
        for name in [area.aoi.name]
    ]


def reconcile_damage(scan: AreaScan, source: str) -> AreaScan:
    """Note, after the source was asked again, what is there again, and among the failures what is lost."""
    lost = list_lost(scan.archive, scan.plan.grid, scan.health)
    healed = [f"{damage.describe()}; it was fetched again" for damage in scan.health.damages if damage not in lost]
    listed = {take.key for take in group_scenes(scan.found.scenes)}  # those that could not be read are among the failures
    missing = [damage for damage in lost if damage.key not in listed and _counts(damage, scan.plan)]
    refusals = [SkippedScene(", ".join(damage.sources) or damage.key, _explain(damage, source)) for damage in missing]
    return replace(scan, notes=[*healed, *scan.notes], failures=[*scan.failures, *refusals])


def _counts(damage: Damage, area: AreaPlan) -> bool:
    return damage.day is None or area.history_from <= damage.day <= area.until


def _explain(damage: Damage, source: str) -> str:
    return f"lost: {damage.describe()}, and {source} does not list it any more; the result is without this look"


def find_pruned(folder: Place, area: AreaPlan) -> list[Tombstone]:
    """Find the pruned observations that a window would rest on."""
    return [
        stone
        for stone in read_tombstones(folder)
        if area.history_from <= stone.day <= area.until
        and stone.cloud_cover <= area.pipeline.scenes.max_cloud_cover
        and is_current(stone.digest, stone.grid, area.grid)
    ]


def refuse_pruned(folder: Place, area: AreaPlan) -> None:
    """Raise PrunedError where a window would rest on observations that were pruned."""
    if gone := find_pruned(folder, area):
        raise PrunedError(
            f"area {area.aoi.name!r}: pruned: this window rests on looks from {area.history_from} on, of which {len(gone)} "
            f"up to {gone[-1].day} were pruned; choose a later --since or monitor_from"
        )
