"""Moves a published change map to a later as-of date where no look has come: the files are those of a scan of all looks."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.archive.stac_item import credit_observations
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import Window
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import AnyPath, publish_bytes
from minewatch.core.units import to_day
from minewatch.detection.change_map import RASTERS
from minewatch.detection.change_map_writer import redraw_raster
from minewatch.detection.change_record import AreaChanges, ChangeRecord, KnownChanges
from minewatch.detection.checkpoint import Digests, make_digests, read_last_counting
from minewatch.detection.tiles import Task

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
    credit, others = credit_observations(task.observations), [folder / f"{name}.tif" for name in RASTERS if name != DATED]
    digests = make_digests(task.observations, task.area, known.changes.scene_quality)
    try:
        _write_dated(folder, task.area, credit, task.checkpoints, digests)
        return all(_change_tag(path, known.as_of, task.area.until) for path in others)
    except (_UnknownTileError, OSError, WorkspaceError):
        return False


def _write_dated(folder: Path, area: AreaPlan, credit: str, checkpoints: Path, digests: Digests) -> None:
    """Write the days that are still open up to the as-of date over the days up to an earlier one."""
    until, empty = to_day(area.until) - to_day(area.monitor_from), RASTERS[DATED].nodata

    def redraw(tile: Window, before: NDArray[Any]) -> NDArray[Any]:
        last_counting = read_last_counting(checkpoints, tile, digests)
        if last_counting is None:
            raise _UnknownTileError
        still_open = np.zeros_like(before)
        still_open[area.grid.inside(tile)] = until - last_counting[0]
        return np.where(before == empty, before, np.maximum(before, still_open))

    redraw_raster(folder, area, credit, DATED, redraw)


def _change_tag(path: Path, was: dt.date, until: dt.date) -> bool:
    """Write another as-of date, which takes as many bytes, into the metadata of a file; False where the old one is not there."""
    before, after = (f'<Item name="as_of">{date.isoformat()}</Item>'.encode() for date in (was, until))
    data = path.read_bytes()
    if data.count(before) != 1:
        return False
    publish_bytes(path, data.replace(before, after))
    return True
