"""Repairs the archives before a scan uses them: damaged files are fetched again, lost and pruned observations are reported."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from minewatch.archive.area_scan import AreaScan
from minewatch.archive.integrity import IntegrityReport, check_archive, list_lost, note_whole
from minewatch.archive.item import Observation, is_current
from minewatch.archive.pruned import read_tombstones
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import PrunedError
from minewatch.core.files import AnyPath
from minewatch.core.workspace import Workspace
from minewatch.sources.scene import group_scenes
from minewatch.sources.skipped import SkippedScene


def check_archives(workspace: Workspace, areas: Sequence[AreaPlan], *, thorough: bool = False) -> list[IntegrityReport]:
    """Find the damaged files of the areas' archives and set them aside, for the scan to fetch again."""
    return [
        check_archive(workspace.archive(name), area.grid, _find_ledger(workspace, name), thorough=thorough)
        for area in areas
        for name in [area.aoi.name]
    ]


def note_fetched(workspace: Workspace, scan: AreaScan, archived: Iterable[Observation]) -> None:
    """Note the rasters that a scan has written: they were read back for their checksums, and the next scan need not do so."""
    if scan.fetched:
        names = [observation.raster.name for observation in archived if observation.item.name not in scan.integrity.before]
        note_whole(scan.archive, _find_ledger(workspace, scan.plan.aoi.name), names)


def _find_ledger(workspace: Workspace, aoi: str) -> Path:
    """Return the list of an area's files whose checksums were compared."""
    return workspace.checkpoints(aoi) / "checked.json"


def reconcile_damage(scan: AreaScan, source: str) -> AreaScan:
    """Note after fetching which damaged files were replaced, and add the lost ones to the failures."""
    lost = list_lost(scan.archive, scan.plan.grid, scan.integrity)
    repaired = [f"{damage.describe()}; it was fetched again" for damage in scan.integrity.damages if damage not in lost]
    listed = {datatake.key for datatake in group_scenes(scan.found.scenes)}  # those that could not be read are failures already
    unlisted = [damage for damage in lost if damage.key not in listed]
    missing = [d for d in unlisted if d.day is None or scan.plan.history_from <= d.day <= scan.plan.until]
    reason = f"and {source} does not list it any more; the result is without this look"
    lost_scenes = [
        SkippedScene(", ".join(damage.sources) or damage.key, f"lost: {damage.describe()}, {reason}") for damage in missing
    ]
    return replace(scan, notes=[*repaired, *scan.notes], failures=[*scan.failures, *lost_scenes])


def refuse_pruned(folder: AnyPath, area: AreaPlan) -> None:
    """Raise PrunedError where a result of the area would rest on pruned observations."""
    gone = [
        tombstone
        for tombstone in read_tombstones(folder)
        if area.history_from <= tombstone.day <= area.until
        and tombstone.cloud_cover <= area.pipeline.scenes.max_cloud_cover
        and is_current(tombstone.digest, tombstone.grid, area.grid)
    ]
    if gone:
        raise PrunedError(
            f"area {area.aoi.name!r}: pruned: this window rests on looks from {area.history_from} on, of which {len(gone)} "
            f"up to {gone[-1].day} were pruned; choose a later --since or monitor_from"
        )
