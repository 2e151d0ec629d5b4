"""Detection in one tile: the rasters that tell of its pixels' anomalies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.detection.baseline import LOOKS_ROW, Baselines, has_vegetation
from minewatch.detection.change_map import RASTERS, Episodes, Status, TileChanges
from minewatch.detection.inputs import TileInput
from minewatch.detection.rules import Rules, make_rules
from minewatch.detection.scene_quality import SceneQuality
from minewatch.detection.state import TileState, process_history


def detect_changes(tile: TileInput, scenes: SceneQuality) -> TileChanges:
    """Find the changes of a tile."""
    return make_changes(tile, process_history(tile, scenes))


def make_changes(tile: TileInput, memory: TileState) -> TileChanges:
    """Tell what is known of a tile."""
    rules, inside = make_rules(tile.settings), np.flatnonzero(tile.inside)
    episodes = memory.episodes
    row, column = np.divmod(inside[episodes["row"]], tile.window.width)
    rasters = {name: _spread(values, tile, RASTERS[name].nodata) for name, values in _draw(memory, episodes, rules).items()}
    missing = _spread(np.clip(tile.settings.min_looks - memory.base[LOOKS_ROW], 0, 255).astype(np.uint8), tile, 0)
    episodes["row"], episodes["column"] = row + tile.window.row, column + tile.window.column
    return TileChanges(tile.window, episodes, rasters, missing)


def _spread(values: NDArray[Any], tile: TileInput, nodata: int) -> NDArray[Any]:
    """Lay the numbers of the pixels inside the area out on the tile."""
    if tile.inside.all():
        return values.reshape(tile.window.shape)
    raster = np.full(tile.window.shape, nodata, values.dtype)
    raster[tile.inside] = values
    return raster


def _draw(memory: TileState, episodes: Episodes, rules: Rules) -> dict[str, NDArray[Any]]:
    """Return each raster's numbers of the pixels inside the area."""
    count = memory.seen.size
    drawn = {name: np.full(count, layer.nodata, layer.dtype) for name, layer in RASTERS.items()}
    sure = episodes[episodes["provisional_on"] > 0]
    for name in ("first_seen", "confirmed_on", "ndvi_change", "bsi_change"):
        drawn[name][sure["row"]] = sure[name]  # of several the last one stays: they are in order
    drawn["clear_looks"], drawn["last_clear"] = memory.seen, memory.last
    drawn["status"] = status = _classify(memory.base, rules)
    ended, confirmed = sure["closed_on"] > 0, sure["confirmed_on"] > 0
    status[sure["row"]] = np.select([ended, confirmed], [Status.CLOSED, Status.CONFIRMED], Status.PROVISIONAL)
    status[~memory.covered] = Status.NEVER_COVERED
    return drawn


def _classify(base: Baselines, rules: Rules) -> NDArray[np.uint8]:
    """Return the status of pixels without an anomaly."""
    status = np.full(base.shape[1], Status.STABLE, np.uint8)
    status[~has_vegetation(base, rules)] = Status.NO_VEGETATION
    status[base[LOOKS_ROW] < rules.min_looks] = Status.NOT_MONITORED
    return status
