"""Gathers the change map of an area from its tiles and publishes it."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

import numpy as np

from minewatch import __version__
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.files import Place
from minewatch.detection.change_map import EPISODE, Episodes, TileChanges
from minewatch.detection.change_rasters import ChangeWriter, writing_changes
from minewatch.detection.coverage import Coverage, CoverageCount
from minewatch.detection.tiles import list_tiles


class ChangeMap:
    """The change map of an area while its tiles come: rasters, coverage and episodes; published when all tiles are there."""

    def __init__(self, folder: Place, area: AreaPlan) -> None:
        self.area = area
        self._folder, self._missing = folder, len(list_tiles(area))
        self._count, self._episodes = CoverageCount(), [np.empty(0, EPISODE)]
        self._open = contextlib.ExitStack()
        self._writer: ChangeWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.__exit__(kind, error, trace)

    def add(self, changes: TileChanges) -> None:
        """Take a tile, in any order; the files are open from the first to the last."""
        if self._writer is None:
            self._writer = self._open.enter_context(writing_changes(self._folder, self.area.grid, _tags(self.area)))
        self._writer.write(changes)
        self._count.add(changes)
        self._episodes.append(changes.episodes[changes.episodes["provisional_on"] > 0])
        self._missing -= 1
        if self._missing == 0:
            self._open.close()

    @property
    def coverage(self) -> Coverage:
        """What could be seen."""
        return self._count.close(self.area.monitor_from, self.area.until)

    @property
    def episodes(self) -> Episodes:
        """The anomalies that became provisional; the others are no part of any alert, and many."""
        return np.concatenate(self._episodes)


def _tags(area: AreaPlan) -> dict[str, str]:
    return {
        "aoi": area.aoi.name,
        "as_of": area.until.isoformat(),
        "monitor_from": area.monitor_from.isoformat(),
        "pipeline": area.pipeline_name,
        "pipeline_digest": area.pipeline.digest,
        "software": f"minewatch {__version__}",
    }
