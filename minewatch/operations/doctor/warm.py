"""Compiles all that a scan needs, before the first one: ``minewatch doctor --warm``."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numba.core import event

from minewatch.areas.aoi import Aoi, GridHint, bbox_geometry, write_aoi
from minewatch.core.compilation import CACHE, PACKAGE
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import wrap_disk_errors
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.settings.document import init_workspace
from minewatch.simulation.series import simulate_series
from minewatch.simulation.settings import Simulation
from minewatch.simulation.stac import place_scene_grid

SCENES = Simulation(
    width=64,
    height=64,
    first=dt.date(2022, 1, 1),
    last=dt.date(2022, 12, 31),
    changes_from=dt.date(2022, 9, 1),
    revisit_days=15,
    missing=0.0,
    cloudiness=0.2,
    mines=1,
    clearings=0,
    burns=0,
    landslides=0,
)
"""As few and small scenes as a mine can be found in."""


@dataclass(frozen=True)
class Warming:
    """What was compiled, and where it is kept."""

    compiled: int
    """Functions; 0 where all of them were there already."""

    seconds: float
    """Time it took."""

    folder: Path
    """Where they are kept; the package's own, where they lie beside its code."""

    note: str
    """A line for the user on what to set; '' where all is well."""


def warm_up() -> Warming:
    """Compile by scanning two small simulated areas in a temporary folder: one on the lattice of its scenes, one on another.

    Raises WorkspaceError where there is no folder to keep compiled code in, or none for temporary files.
    """
    if not CACHE.is_kept:
        raise WorkspaceError(CACHE.note)
    began = time.perf_counter()
    with wrap_disk_errors(), tempfile.TemporaryDirectory(prefix="minewatch-warm-") as folder, _counting() as compiled:
        _scan_simulated(Path(folder))
    return Warming(len(compiled), time.perf_counter() - began, CACHE.folder or PACKAGE, CACHE.note)


def _scan_simulated(folder: Path) -> None:
    series = simulate_series(folder / "scenes", SCENES)
    workspace = init_workspace(folder / "workspace", source=str(series.catalog))
    area = Aoi("aligned", bbox_geometry(series.bbox), SCENES.changes_start)
    write_aoi(workspace, area)
    write_aoi(workspace, replace(area, name="warped", grid=GridHint(place_scene_grid(SCENES).epsg + 1, (0.0, 0.0))))
    scan(workspace, ScanRequest(until=SCENES.last))


@contextmanager
def _counting() -> Iterator[list[str]]:
    """Collect the names of the functions that are compiled meanwhile."""
    listener = _Listener()
    with event.install_listener("numba:compile", listener):
        yield listener.names


class _Listener(event.Listener):
    def __init__(self) -> None:
        self.names: list[str] = []

    def on_start(self, event: Any) -> None:
        self.names.append(event.data["dispatcher"].py_func.__qualname__)

    def on_end(self, event: Any) -> None:
        pass
