"""What a worker does for one area: it measures rows of a sample, or finds the changes of one tile.

Only what these functions need is imported here, since every worker loads it: the archive, numpy, numba and rasterio.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minewatch.archive.item import Observation, sort_observations
from minewatch.archive.raster import find_step
from minewatch.archive.stack import iterate_scl, read_codes, read_sample
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import ARCHIVE_BLOCK, PIXEL, Window
from minewatch.core.errors import WorkspaceError
from minewatch.detection.change_map import TileChanges
from minewatch.detection.checkpoint import WORTH, Checkpoint, Digests, load_checkpoint, make_digests, save_checkpoint
from minewatch.detection.detect import detect_changes, make_changes
from minewatch.detection.inputs import TileInput, count_epochs
from minewatch.detection.looks import make_looks
from minewatch.detection.mask import find_clear, margin_pixels
from minewatch.detection.scene_quality import SceneQuality, measure_scenes
from minewatch.detection.state import TileState, process_history, update_history

TILE = ARCHIVE_BLOCK
"""Side of a tile in pixels, one block of the archive's rasters; any size gives the same result."""


class Task(NamedTuple):
    """What the changes of one area are made from."""

    observations: Sequence[Observation]
    """All that counts."""

    area: AreaPlan
    """Where, and how to judge."""

    checkpoints: Path | None = None
    """Folder for what is known after this scan; None keeps nothing."""


def list_tiles(area: AreaPlan) -> list[Window]:
    """Cut an area's grid into tiles."""
    return list(area.grid.tiles(TILE))


def measure_rows(observations: Sequence[Observation], area: AreaPlan, rows: slice) -> Any:
    """Count, for some rows of the sample, what scene-wide quantities are made from."""
    pixel = PIXEL * (step := find_step(area.grid.shape))
    stack, window = read_sample(observations, area.grid, rows, margin_pixels(area.pipeline.mask, pixel))
    clear = find_clear(stack.scl, area.pipeline.mask, pixel)
    tile = Window(rows.start, 0, rows.stop - rows.start, window.width)
    inner = tile.within(window)
    part = stack.crop(inner)
    looks = make_looks(part.days, np.asarray(part.scl.any(axis=0)), clear[:, *inner], part.codes)
    return measure_scenes(TileInput(looks, area.grid.inside(tile, step), tile, area.pipeline.detector, area.monitor_from))


def detect_tile(task: Task, tile: Window, scenes: SceneQuality) -> TileChanges:
    """Find the changes of one tile: from a checkpoint on, where there is one that these looks begin with."""
    if task.checkpoints is None or len(task.observations) < WORTH:
        return detect_changes(load_tile(task.observations, task.area, tile), scenes)
    digests = make_digests(task.observations, task.area, scenes)
    epochs = count_epochs(task.area.monitor_from, task.observations[-1].day)
    known = load_checkpoint(task.checkpoints, tile, digests)
    if known is not None and known.epochs == epochs:
        part, memory = _update_tile(known, digests, task, tile)
    else:
        part = load_tile(task.observations, task.area, tile)
        memory = process_history(part, scenes, whole=True)
    if known is None or known.observations < len(task.observations):
        with contextlib.suppress(OSError, WorkspaceError):  # a worker on another machine may not have the workspace
            save_checkpoint(task.checkpoints, tile, digests, epochs, memory)
    return make_changes(part, memory)


def _update_tile(known: Checkpoint, digests: Digests, task: Task, tile: Window) -> tuple[TileInput, TileState]:
    part = load_tile(digests.observations[known.observations :], task.area, tile)
    if not len(part.looks.days):
        return part, known.memory
    return part, update_history(known.memory, part, digests.scenes.since(digests.count_looks(known.observations)))


def load_tile(observations: Sequence[Observation], area: AreaPlan, tile: Window) -> TileInput:
    """Read a tile from the archive and mask it; the mask looks over its edges."""
    ordered = sort_observations(observations)
    around = tile.grow(margin_pixels(area.pipeline.mask), area.grid.shape)
    inner = tile.within(around)
    clear, covered = np.empty((len(ordered), *tile.shape), bool), np.zeros(tile.shape, bool)
    for shows, scl in zip(clear, iterate_scl(ordered, around), strict=True):
        shows[:] = find_clear(scl[None], area.pipeline.mask)[0][inner]
        covered |= scl[inner] > 0
    days = np.array([observation.day for observation in ordered], np.int32)
    looks = make_looks(days, covered, clear, read_codes(ordered, tile))
    return TileInput(looks, area.grid.inside(tile), tile, area.pipeline.detector, area.monitor_from)
