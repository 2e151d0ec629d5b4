"""Reads chips of ground around alerts, as of the look of their latest stage: overpasses in parallel, each opened once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from minewatch.alerts.record import AlertStage
from minewatch.archive.item import Observation
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import Grid, Window, lonlat_to
from minewatch.core.errors import EvidenceError, MinewatchError
from minewatch.core.units import NODATA, SCALE
from minewatch.likeness.measure import find_obstacle
from minewatch.likeness.model import CHIP
from minewatch.products.evidence.image_writer import count_readers, describe_failure, find_datatake
from minewatch.products.evidence.look_choice import choose_look, rasterize_outline
from minewatch.raster.read import DatatakeReader, open_datatake
from minewatch.sources.scene import Datatake, Scene

BANDS = ("red", "green", "blue")
"""In the order that the model takes them."""


@dataclass(frozen=True)
class ChipRequest:
    """A chip to read."""

    alert_id: str
    """Whose it is."""

    stage: AlertStage
    """What it shows."""

    datatake: Datatake
    """The overpass that it is read from."""


@dataclass(frozen=True)
class AlertChip:
    """The ground around a stage of an alert: 48 × 48 pixels of 10 m of the area's lattice, with its position in the middle."""

    reflectance: NDArray[np.int16]
    """(y, x, 3) red, green, blue: surface reflectance x 10 000, -32768 = no data, or not read since the classes tell enough."""

    classes: NDArray[np.uint8]
    """(y, x) SCL codes, 0 = no data."""

    outline: NDArray[np.bool_]
    """(y, x) True within the alert."""

    @property
    def empty(self) -> NDArray[np.bool_]:
        """(y, x) True where a band has no data."""
        return np.asarray((self.reflectance == NODATA).any(axis=-1))

    @property
    def rgb(self) -> NDArray[np.float32]:
        """(y, x, 3) surface reflectance 0 to 1; NaN = no data."""
        return np.where(self.reflectance == NODATA, np.float32("nan"), self.reflectance / np.float32(SCALE))


def find_datatake_of(
    area: AreaPlan, observations: Sequence[Observation], stage: AlertStage, scenes: Sequence[Scene], source: str
) -> Datatake:
    """Return the overpass of a stage's day that shows most of it, as its evidence has it.

    It depends on the archive alone.  Raises EvidenceError where the source no longer lists it, or no look shows its ground.
    """
    look = choose_look(area, observations, stage, stage.date, {name for o in observations for name in o.source_ids})
    if isinstance(look, str):
        raise EvidenceError(look)
    return find_datatake(look.key, look.time, look.sources, scenes, source)


def read_chips(grid: Grid, requests: Sequence[ChipRequest]) -> Iterator[tuple[ChipRequest, AlertChip | str]]:
    """Yield each request with its chip, or with a line that says why it could not be read; reading goes on meanwhile.

    Chips reach over the edge of the area, however small that is, wherever the scenes have data.
    """
    wider = Grid(grid.geobox.pad(CHIP // 2), grid.area)
    jobs: dict[str, list[ChipRequest]] = defaultdict(list)
    for request in sorted(requests, key=lambda request: find_chip_window(wider, request.stage).square):
        jobs[request.datatake.key].append(request)
    if not jobs:
        return
    pool = ThreadPoolExecutor(count_readers([job[0].datatake for job in jobs.values()]), thread_name_prefix="chips")
    try:
        for job, found in zip(jobs.values(), pool.map(partial(_read_overpass, wider), jobs.values()), strict=True):
            yield from zip(job, found, strict=True)
    finally:
        pool.shutdown(cancel_futures=True)


def find_chip_window(grid: Grid, stage: AlertStage) -> Window:
    """Return the window with a stage's position in its middle; ``grid`` reaches half a chip over the area."""
    column, row = ~grid.transform @ lonlat_to(grid.crs).transform(stage.lon, stage.lat)
    height, width = grid.shape
    top, left = (min(max(round(at) - CHIP // 2, 0), size - CHIP) for at, size in ((row, height), (column, width)))
    return Window(top, left, CHIP, CHIP)


def _read_overpass(grid: Grid, requests: Sequence[ChipRequest]) -> list[AlertChip | str]:
    windows = [find_chip_window(grid, request.stage) for request in requests]
    found: list[AlertChip | str] = []
    try:
        with open_datatake(requests[0].datatake, grid) as reader:
            reader.prefetch(["scl"], windows)
            classes = [reader.read_scl(window) for window in windows]
            reader.prefetch(BANDS, [window for window, (scl, _) in zip(windows, classes, strict=True) if not find_obstacle(scl)])
            for request, window, (scl, origin) in zip(requests, windows, classes, strict=True):
                try:
                    reflectance = _read_reflectance(reader, window, scl, origin)
                    found.append(AlertChip(reflectance, scl, rasterize_outline(grid, window, request.stage.geometry)))
                except (MinewatchError, OSError) as error:
                    found.append(describe_failure(error))
    except (MinewatchError, OSError) as error:
        found += [describe_failure(error)] * (len(requests) - len(found))
    return found


def _read_reflectance(
    reader: DatatakeReader, window: Window, classes: NDArray[np.uint8], origin: NDArray[np.int8]
) -> NDArray[np.int16]:
    """Return red, green and blue, (y, x, 3); what cannot be scored is not read."""
    if find_obstacle(classes):
        return np.full((*window.shape, len(BANDS)), NODATA, np.int16)
    return np.stack([reader.read_reflectance(band, window, origin) for band in BANDS], axis=-1)
