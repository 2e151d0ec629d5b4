"""Detection in one tile: the episodes of its pixels, and its part of each raster of the change map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.core.units import to_day
from minewatch.detection.baseline import LOOKS_ROW, are_monitored, has_vegetation
from minewatch.detection.blindness import close_blind_days, count_onsets
from minewatch.detection.change_map import RASTERS, Episodes, Status, TileChanges
from minewatch.detection.inputs import TileInput
from minewatch.detection.rules import Rules, make_rules
from minewatch.detection.scene_quality import SceneQuality
from minewatch.detection.state import TileState, process_history


def detect_changes(tile: TileInput, scenes: SceneQuality) -> TileChanges:
    """Find the changes of a tile."""
    return make_changes(tile, process_history(tile, scenes))


def find_episodes(tile: TileInput, scenes: SceneQuality) -> Episodes:
    """Return the episodes of a tile alone, as its changes have them."""
    return _place(process_history(tile, scenes).episodes, tile)


def _place(episodes: Episodes, tile: TileInput) -> Episodes:
    """Return episodes with their row and column on the grid, in place of the pixel's number."""
    row, column = np.divmod(np.flatnonzero(tile.inside)[episodes["row"]], tile.window.width)
    episodes["row"], episodes["column"] = row + tile.window.row, column + tile.window.column
    return episodes


def make_changes(tile: TileInput, state: TileState) -> TileChanges:
    """Make the change map of a tile from its state."""
    rules, episodes = make_rules(tile.settings), state.episodes
    until, watched = to_day(tile.until) - to_day(tile.monitor_from), are_monitored(state.base, rules)
    drawn = _draw(state, episodes, rules)
    drawn["blind_days"][watched] = close_blind_days(state.blind_days, state.last_counting, until)[watched]
    rasters = {name: _spread(values, tile, RASTERS[name].nodata) for name, values in drawn.items()}
    missing = _spread(np.clip(tile.settings.min_looks - state.base[LOOKS_ROW], 0, 255).astype(np.uint8), tile, 0)
    onsets = count_onsets(state.onsets, state.last_counting, watched)
    return TileChanges(tile.window, _place(episodes, tile), rasters, missing, int(watched.sum()), onsets)


def _spread(values: NDArray[Any], tile: TileInput, nodata: int) -> NDArray[Any]:
    """Place the values of the pixels inside the area on the tile."""
    if tile.inside.all():
        return values.reshape(tile.window.shape)
    raster = np.full(tile.window.shape, nodata, values.dtype)
    raster[tile.inside] = values
    return raster


def _draw(state: TileState, episodes: Episodes, rules: Rules) -> dict[str, NDArray[Any]]:
    """Return each raster's values of the pixels inside the area."""
    count = state.clear_looks.size
    drawn = {name: np.full(count, layer.nodata, layer.dtype) for name, layer in RASTERS.items()}
    sure = episodes[episodes["provisional_on"] > 0]
    for name in ("first_seen", "confirmed_on", "ndvi_change", "bsi_change"):
        drawn[name][sure["row"]] = sure[name]  # of several the last one stays: they are in order
    drawn["clear_looks"], drawn["last_clear"] = state.clear_looks, state.last_clear
    status = drawn["status"]
    status[:] = Status.STABLE
    status[~has_vegetation(state.base, rules)] = Status.NO_VEGETATION
    status[state.base[LOOKS_ROW] < rules.min_looks] = Status.NOT_MONITORED
    ended, confirmed = sure["closed_on"] > 0, sure["confirmed_on"] > 0
    status[sure["row"]] = np.select([ended, confirmed], [Status.CLOSED, Status.CONFIRMED], Status.PROVISIONAL)
    status[~state.covered] = Status.NEVER_COVERED
    return drawn
