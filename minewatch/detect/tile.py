"""Detection in one tile: the anomalies of its pixels, and the rasters that tell of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.changes import EPISODE, RASTERS, Episodes, Status, TileChanges
from minewatch.detect.inputs import TileInput
from minewatch.detect.monitor import FIELDS, follow_pixels
from minewatch.detect.pixels import Pixels, make_rules
from minewatch.detect.scenes import Scenes
from minewatch.units import NODATA, to_day


def detect_changes(tile: TileInput, scenes: Scenes) -> TileChanges:
    """Find the changes of a tile."""
    count = tile.window.height * tile.window.width
    looks, green = np.zeros(count, np.int32), np.zeros(count, bool)
    scene = np.stack([scenes.shift, scenes.spread, scenes.blue, scenes.bsi], axis=1)
    inside = tile.inside.ravel()
    scratch = np.zeros((1, 2, len(tile.looks.days)), np.int8)
    found = follow_pixels(*Pixels.of(tile), make_rules(tile.settings), scene, scenes.agrees, inside, looks, green, scratch)
    episodes = np.zeros(len(found), EPISODE)
    for column, name in enumerate(FIELDS):
        episodes[name] = found[:, column]
    rasters = {name: raster.reshape(tile.window.shape) for name, raster in _draw(tile, episodes, looks, green).items()}
    missing = np.clip(tile.settings.min_looks - looks, 0, 255).astype(np.uint8).reshape(tile.window.shape)
    return TileChanges(tile.window, _place(episodes, tile), rasters, missing)


def _place(episodes: Episodes, tile: TileInput) -> Episodes:
    """Turn pixel numbers into rows and columns of the grid."""
    row, column = np.divmod(episodes["row"], tile.window.width)
    placed = episodes.copy()
    placed["row"], placed["column"] = row + tile.window.row, column + tile.window.column
    return placed


def _draw(tile: TileInput, episodes: Episodes, looks: NDArray[np.int32], green: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
    latest = np.zeros(looks.size, EPISODE)
    latest["ndvi_change"] = latest["bsi_change"] = NODATA
    sure = episodes[episodes["provisional_on"] > 0]
    latest[sure["row"]] = sure  # of several the last one stays: they are in order
    clear = tile.looks.clear.reshape(len(tile.looks.days), looks.size)
    rasters = {name: latest[name] for name in ("first_seen", "confirmed_on", "ndvi_change", "bsi_change")}
    rasters["clear_looks"] = clear[tile.looks.before(to_day(tile.monitor_from)) :].sum(axis=0).astype(np.uint16)
    rasters["clear_looks"][~tile.inside.ravel()] = RASTERS["clear_looks"].nodata
    rasters["last_clear"] = (clear * tile.looks.days[:, None]).max(axis=0, initial=0).astype(np.int32)
    rasters["status"] = _classify(tile, latest, looks, green)
    return rasters


def _classify(tile: TileInput, latest: Episodes, looks: NDArray[np.int32], green: NDArray[np.bool_]) -> NDArray[np.uint8]:
    status = np.full(looks.size, Status.STABLE, np.uint8)
    status[~green] = Status.NO_VEGETATION
    status[looks < tile.settings.min_looks] = Status.NOT_MONITORED
    seen = latest["first_seen"] > 0
    status[seen] = np.where(latest["confirmed_on"] > 0, Status.CONFIRMED, Status.PROVISIONAL)[seen]
    status[seen & (latest["closed_on"] > 0)] = Status.CLOSED
    status[~tile.looks.covered.any(axis=0).ravel()] = Status.NEVER_COVERED
    status[~tile.inside.ravel()] = Status.OUTSIDE
    return status
