"""Detection in one tile: baselines by epoch, evidence by look, the monitor, and the rasters that tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from minewatch.changes import EPISODE, RASTERS, Episodes, Status, TileChanges
from minewatch.detect.baseline import Baseline, fit_baseline
from minewatch.detect.inputs import Epoch, TileInput
from minewatch.detect.monitor import Evidence, Monitor
from minewatch.detect.shifts import Shifts
from minewatch.grid import Window
from minewatch.units import NODATA, to_day

HALO = 8
"""Pixels beyond a tile's edge that its result depends on."""


def detect_changes(tile: TileInput, core: Window, shifts: Shifts) -> TileChanges:
    """Find the changes of a tile; ``core`` is the tile without its halo."""
    pixels = tile.shape[0] * tile.shape[1]
    monitor = Monitor(pixels, tile.settings)
    state = _State(pixels)
    for epoch in tile.epochs():
        state.renew(tile, epoch, monitor.open)
        expected = {name: baseline.predict(tile.looks.days[epoch.looks]) for name, baseline in state.baselines.items()}
        for index, look in enumerate(range(*epoch.looks.indices(len(tile.looks.days)))):
            monitor.look(_weigh(tile, look, {n: e[index] for n, e in expected.items()}, state, float(shifts[look])))
    return _describe(tile, core, monitor, state)


class _State:
    """The baselines in force, pixel by pixel."""

    def __init__(self, pixels: int) -> None:
        self.baselines: dict[str, Baseline] = {}
        self.count = np.zeros(pixels, np.int32)

    def renew(self, tile: TileInput, epoch: Epoch, keep: NDArray[np.bool_]) -> None:
        """Fit the baselines of an epoch; pixels in an open anomaly keep theirs."""
        used = tile.clear(epoch.history)
        count = used.sum(axis=0, dtype=np.int32)
        for name in ("ndvi", "bsi"):
            fresh = fit_baseline(*tile.history(name, epoch), floor=tile.settings.noise_floor)
            if old := self.baselines.get(name):
                fresh.coefficients[:, keep] = old.coefficients[:, keep]
                fresh.sigma[keep] = old.sigma[keep]
            self.baselines[name] = fresh
        self.count = np.where(keep, self.count, count)


def _weigh(tile: TileInput, look: int, expected: Mapping[str, NDArray[np.float32]], state: _State, shift: float) -> Evidence:
    settings = tile.settings
    seen = tile.clear(look)
    ndvi, bsi = (tile.values(name, look) - expected[name] for name in ("ndvi", "bsi"))
    ndvi = ndvi - shift
    room = expected["ndvi"] + shift - settings.bare_ndvi
    usable = seen & (state.count >= settings.min_looks) & (room >= settings.min_room)
    strength = np.clip(-ndvi / np.maximum(room, settings.min_room), 0, 1)
    lost = usable & (strength >= settings.threshold) & (-ndvi >= 3 * state.baselines["ndvi"].sigma)
    lost &= (bsi >= settings.min_bsi_gain) | (tile.values("ndvi", look) < 0)
    around = ndimage.uniform_filter(lost.reshape(tile.shape).astype(np.float32), 3, mode="constant").ravel() * 9
    return Evidence(
        day=int(tile.looks.days[look]),
        clear=usable,
        seen=seen,
        anomalous=lost & (around > settings.min_neighbours - 0.5),
        strength=strength,
        ndvi=ndvi,
        bsi=bsi,
    )


def _describe(tile: TileInput, core: Window, monitor: Monitor, state: _State) -> TileChanges:
    episodes = monitor.episodes()
    inner = core.within(tile.window)
    rasters = {name: raster.reshape(tile.shape)[inner] for name, raster in _rasters(tile, episodes, state).items()}
    missing = np.clip(tile.settings.min_looks - state.count, 0, 255).astype(np.uint8).reshape(tile.shape)[inner]
    return TileChanges(core, _place(episodes, tile, core), rasters, missing)


def _place(episodes: Episodes, tile: TileInput, core: Window) -> Episodes:
    """Turn flat pixel numbers into rows and columns of the grid; what lies in the halo or outside the area is dropped."""
    row, column = np.divmod(episodes["row"], tile.shape[1])
    placed = episodes.copy()
    placed["row"], placed["column"] = row + tile.window.row, column + tile.window.column
    kept = tile.inside[row, column]
    kept &= (placed["row"] >= core.row) & (placed["row"] < core.row + core.height)
    kept &= (placed["column"] >= core.column) & (placed["column"] < core.column + core.width)
    return np.sort(placed[kept], order=["row", "column", "first_seen"])


def _rasters(tile: TileInput, episodes: Episodes, state: _State) -> dict[str, NDArray[Any]]:
    pixels = tile.shape[0] * tile.shape[1]
    latest = np.zeros(pixels, EPISODE)
    latest["ndvi_change"] = latest["bsi_change"] = NODATA
    ordered = np.sort(episodes, order=["row", "first_seen"])
    latest[ordered["row"]] = ordered
    clear = tile.clear(slice(None))
    recent = clear[tile.looks.before(to_day(tile.monitor_from)) :]
    rasters = {name: latest[name] for name in ("first_seen", "confirmed_on", "ndvi_change", "bsi_change")}
    rasters["clear_looks"] = recent.sum(axis=0).astype(np.uint16)
    rasters["last_clear"] = (clear * tile.looks.days[:, None]).max(axis=0, initial=0).astype(np.int32)
    rasters["status"] = _status(tile, latest, state)
    rasters["clear_looks"][~tile.inside.ravel()] = RASTERS["clear_looks"].nodata
    return rasters


def _status(tile: TileInput, latest: Episodes, state: _State) -> NDArray[np.uint8]:
    settings = tile.settings
    status = np.full(len(latest), Status.STABLE, np.uint8)
    ndvi = state.baselines.get("ndvi")
    if ndvi is not None:
        amplitude = np.abs(ndvi.coefficients[1:3]).sum(axis=0)
        status[ndvi.coefficients[0] + amplitude < settings.bare_ndvi + settings.min_room] = Status.NO_VEGETATION
    status[state.count < settings.min_looks] = Status.NOT_MONITORED
    open_ = (latest["first_seen"] > 0) & (latest["closed_on"] == 0)
    status[latest["closed_on"] > 0] = Status.CLOSED
    status[open_] = np.where(latest["confirmed_on"] > 0, Status.CONFIRMED, Status.PROVISIONAL)[open_]
    status[~tile.looks.covered.any(axis=0).ravel()] = Status.NEVER_COVERED
    status[~tile.inside.ravel()] = Status.OUTSIDE
    return status
