"""Moves a published change map to a later as-of date where no look has come: the files are those of a scan of all looks."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window as RasterWindow

from minewatch.archive.stac_item import credit_observations
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import AnyPath, publish_bytes
from minewatch.core.units import to_day
from minewatch.detection.change_map import RASTERS
from minewatch.detection.change_map_writer import writing_rasters
from minewatch.detection.change_record import AreaChanges, ChangeRecord, KnownChanges
from minewatch.detection.checkpoint import Digests, make_digests, read_last_counting
from minewatch.detection.tiles import Task, list_tiles
from minewatch.raster.cog import wrap_raster_errors

DATED = "blind_days"
"""The raster whose pixels depend on the as-of date; in the others only a tag does."""


class _UnknownTileError(Exception):
    """No checkpoint holds the state of a tile after the last look."""


def recall_changes(record: ChangeRecord, task: Task) -> AreaChanges | None:
    """Return the recorded changes of an area where nothing is new, with its map published as of its as-of date, else None."""
    known = record.read()
    if known is None or known.as_of == task.area.until:
        return known and known.changes
    if known.as_of > task.area.until or not _move_date(record.maps, task, known):
        return None
    record.write(KnownChanges(known.changes, task.area.until))
    return known.changes


def _move_date(folder: AnyPath, task: Task, known: KnownChanges) -> bool:
    """Move a map to a later as-of date; where that is not possible (False) files of both dates may lie there."""
    if not isinstance(folder, Path) or task.checkpoints is None:
        return False
    others = [folder / f"{name}.tif" for name in RASTERS if name != DATED]
    try:
        _write_dated(
            folder,
            task.area,
            credit_observations(task.observations),
            task.checkpoints,
            make_digests(*task[:2], known.changes.scene_quality),
        )
        return all(_change_tag(path, known.as_of, task.area.until) for path in others)
    except (_UnknownTileError, OSError, WorkspaceError):
        return False


def _write_dated(folder: Path, area: AreaPlan, credit: str, checkpoints: Path, digests: Digests) -> None:
    """Write the days that are still open up to the as-of date over the days up to an earlier one."""
    until, empty = to_day(area.until) - to_day(area.monitor_from), RASTERS[DATED].nodata
    with (
        wrap_raster_errors(folder),
        rasterio.open(folder / f"{DATED}.tif") as source,
        writing_rasters(folder, area, credit, [DATED]) as rasters,
    ):
        for tile in list_tiles(area):
            last_counting = read_last_counting(checkpoints, tile, digests)
            if last_counting is None:
                raise _UnknownTileError
            window = RasterWindow(tile.column, tile.row, tile.width, tile.height)
            before = source.read(1, window=window)
            still_open = np.zeros(tile.shape, before.dtype)
            still_open[area.grid.inside(tile)] = until - last_counting[0]
            rasters[DATED].write(np.where(before == empty, empty, np.maximum(before, still_open)), 1, window=window)


def _change_tag(path: Path, was: dt.date, until: dt.date) -> bool:
    """Write another as-of date, which takes as many bytes, into the metadata of a file; False where the old one is not there."""
    before, after = (f'<Item name="as_of">{date.isoformat()}</Item>'.encode() for date in (was, until))
    data = path.read_bytes()
    if data.count(before) != 1:
        return False
    publish_bytes(path, data.replace(before, after))
    return True
