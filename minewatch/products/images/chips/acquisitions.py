"""The overpasses that images of an area can be made of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from minewatch.archive.item import Observation, list_observations
from minewatch.areas.aoi import Aoi, read_aoi
from minewatch.areas.area_plan import Query
from minewatch.areas.grid import Grid, make_grid
from minewatch.core.workspace import Workspace
from minewatch.settings.document import default_source, list_providers
from minewatch.settings.pipeline import MaskSettings, read_pipeline
from minewatch.sources.scene import Datatake, group_scenes
from minewatch.sources.search import find_scenes
from minewatch.sources.stac import Source, open_source

EARLIEST, LATEST = dt.date(2015, 1, 1), dt.date(2100, 1, 1)
"""Days of a search for everything; the first Sentinel-2 flew in 2015."""


@dataclass(frozen=True)
class RatedLook:
    """An overpass, and how well it shows a frame."""

    take: Datatake
    """What can be read."""

    clear_share: float
    """Share of the frame's pixels that are clear."""

    outline_share: float
    """The same of the pixels in the outline: a small cloud may hide just that."""

    @property
    def score(self) -> float:
        """How good it is, 0 to 1.

        The mean of both shares: bright tailings are taken for cloud, and would else rule out every image of a mine.
        """
        return (self.clear_share + self.outline_share) / 2


@dataclass(frozen=True)
class AcquisitionIndex:
    """The overpasses over an area: those of its archive, and those that the source lists."""

    aoi: Aoi
    """The area."""

    grid: Grid
    """Its pixels."""

    mask: MaskSettings
    """What is taken as clear."""

    source: Source
    """Where pixels come from."""

    observations: Mapping[str, Observation]
    """Key to what the archive holds."""

    _found: dict[tuple[dt.date, dt.date], tuple[Datatake, ...]] = field(default_factory=dict, compare=False, repr=False)
    """Dates of a search to its answer."""

    def search(self, first: dt.date, last: dt.date) -> list[Datatake]:
        """List the overpasses of some days, by time; no day is asked for twice, and a static catalogue is read once.

        Raises SourceError where the source does not answer.
        """
        dates = (first, last) if self.source.is_api else (EARLIEST, LATEST)
        known = next((known for known in self._found if known[0] <= dates[0] and dates[1] <= known[1]), None)
        if known is None:
            found = find_scenes(self.source, Query(self.aoi.geometry, *dates)).scenes
            self._found[known := dates] = tuple(self._settle(take) for take in group_scenes(found))
        return [take for take in self._found[known] if first <= take.time.date() <= last and take.scenes]

    def _settle(self, take: Datatake) -> Datatake:
        """Read an overpass as the archive did: without the scenes it refused, with the offsets it decided on."""
        known = self.observations.get(take.key)
        if known is None:
            return take
        left = take.without({str(record["id"]) for record in known.refused})
        offsets = {str(record["id"]): int(record["offset"]) for record in known.sources}
        scenes = tuple(replace(scene, offset=offsets.get(scene.id, scene.offset)) for scene in left.scenes)
        return replace(left, scenes=scenes)


def open_index(workspace: Workspace, name: str, source: str | None = None) -> AcquisitionIndex:
    """Open the album of an area; ``source`` takes the place of the workspace's.

    Raises MinewatchError where there is no such area or source.
    """
    aoi = read_aoi(workspace, name)
    grid = make_grid(aoi)
    place = open_source(source or default_source(workspace), list_providers(workspace))
    mask = read_pipeline(workspace, aoi.pipeline).mask
    return AcquisitionIndex(aoi, grid, mask, place, list_observations(workspace.archive(name), grid))
