"""The two functions that workers run: measuring rows of an area's sample, and finding the changes of one tile.

Every worker loads this module, so it imports only what they need: the archive, numpy, numba and rasterio.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minewatch.archive.item import Observation, sort_observations
from minewatch.archive.raster_header import find_step
from minewatch.archive.stack import iterate_scl, read_codes, read_sample
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import ARCHIVE_BLOCK, PIXEL, Window
from minewatch.core.errors import WorkspaceError
from minewatch.core.units import to_day
from minewatch.detection.change_map import TileChanges
from minewatch.detection.checkpoint import WORTH, load_checkpoint, make_digests, save_checkpoint
from minewatch.detection.detect import detect_changes, make_changes
from minewatch.detection.inputs import TileInput, count_epochs
from minewatch.detection.looks import make_looks
from minewatch.detection.mask import find_clear, margin_pixels
from minewatch.detection.scene_quality import SceneQuality, measure_scenes
from minewatch.detection.state import process_history, update_history

TILE = ARCHIVE_BLOCK
"""Side of a tile in pixels, one block of the archive's rasters; any size gives the same result."""


class Task(NamedTuple):
    """The input of detection in one area."""

    observations: Sequence[Observation]
    """All that its result rests on."""

    area: AreaPlan
    """Where, and with which settings."""

    checkpoints: Path | None = None
    """Folder for checkpoints; None writes none."""


def list_tiles(area: AreaPlan) -> list[Window]:
    """Cut an area's grid into tiles."""
    return list(area.grid.window.cut(TILE, TILE))


def measure_rows(observations: Sequence[Observation], area: AreaPlan, rows: slice) -> Any:
    """Count the residuals of some rows of the sample, as :func:`measure_scenes` does."""
    pixel = PIXEL * (step := find_step(area.grid.shape))
    stack, window = read_sample(observations, area.grid, rows, margin_pixels(area.pipeline.mask, pixel))
    clear = find_clear(stack.scl, area.pipeline.mask, pixel)
    tile = Window(rows.start, 0, rows.stop - rows.start, window.width)
    inner = tile.within(window)
    part = stack.crop(inner)
    looks = make_looks(part.days, np.asarray(part.scl.any(axis=0)), clear[:, *inner], part.codes)
    return measure_scenes(
        TileInput(looks, area.grid.inside(tile, step), tile, area.pipeline.detector, area.monitor_from, area.until)
    )


def detect_tile(task: Task, tile: Window, scenes: SceneQuality) -> TileChanges:
    """Find the changes of one tile, starting from a checkpoint where there is one that fits."""
    if task.checkpoints is None or len(task.observations) < WORTH:
        return detect_changes(load_tile(task.observations, task.area, tile), scenes)
    digests = make_digests(task.observations, task.area, scenes)
    epochs = count_epochs(task.area.monitor_from, task.observations[-1].day)
    known = load_checkpoint(task.checkpoints, tile, digests)
    if known is not None and (known.epochs != epochs or _reach_back(digests.observations[known.observations :], task.area)):
        known = None  # the baselines are others: of another year of monitoring, or with looks from before it
    if known is not None:
        part = load_tile(digests.observations[known.observations :], task.area, tile)
        later = scenes.since(digests.count_looks(known.observations))
        state = update_history(known.state, part, later) if len(part.looks.days) else known.state
    else:
        part = load_tile(task.observations, task.area, tile)
        state = process_history(part, scenes, whole=True)
    if known is None or known.observations < len(task.observations):
        with contextlib.suppress(OSError, WorkspaceError):  # a worker on another machine may not have the workspace
            save_checkpoint(task.checkpoints, tile, digests, epochs, state, known)
    return make_changes(part, state)


def _reach_back(observations: Sequence[Observation], area: AreaPlan) -> bool:
    """True if some observations, in order of acquisition, are from before monitoring began."""
    return bool(observations) and observations[0].day < to_day(area.monitor_from)


def load_tile(observations: Sequence[Observation], area: AreaPlan, tile: Window) -> TileInput:
    """Read a tile from the archive and mask it, with the pixels around it that the mask needs."""
    ordered = sort_observations(observations)
    around = tile.grow(margin_pixels(area.pipeline.mask), area.grid.shape)
    days = np.array([observation.day for observation in ordered], np.int32)
    scl = (classes[None] for classes in iterate_scl(ordered, around))
    return make_tile(days, scl, read_codes(ordered, tile), area, tile)


def make_tile(
    days: NDArray[np.int32], scl: Iterable[NDArray[np.uint8]], codes: NDArray[np.uint8], area: AreaPlan, tile: Window
) -> TileInput:
    """Return a tile with its clear pixels.

    ``scl`` are the SCL codes of the looks, (time, y, x) some at a time, with the pixels around the tile that the mask needs;
    ``codes`` are those of the tile's layers, (layer, time, y, x).
    """
    inner = tile.within(tile.grow(margin_pixels(area.pipeline.mask), area.grid.shape))
    clear, covered = np.empty((len(days), *tile.shape), bool), np.zeros(tile.shape, bool)
    first = 0
    for classes in scl:
        clear[first : (first := first + len(classes))] = find_clear(classes, area.pipeline.mask)[:, *inner]
        covered |= classes[:, *inner].any(axis=0)
    looks = make_looks(days, covered, clear, codes)
    return TileInput(looks, area.grid.inside(tile), tile, area.pipeline.detector, area.monitor_from, area.until)
