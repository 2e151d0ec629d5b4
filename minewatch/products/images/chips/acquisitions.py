"""The index of the overpasses over an area that images can be made of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from minewatch.archive.item import Observation, list_observations
from minewatch.areas.aoi import Aoi, read_aoi
from minewatch.areas.area_plan import Query
from minewatch.areas.area_source import choose_source
from minewatch.areas.grid import Grid, make_grid
from minewatch.core.workspace import Workspace
from minewatch.settings.document import list_providers
from minewatch.settings.pipeline import MaskSettings, read_pipeline
from minewatch.sources.scene import Datatake, group_scenes
from minewatch.sources.search import find_scenes
from minewatch.sources.stac import Source, open_source

EARLIEST, LATEST = dt.date(2015, 1, 1), dt.date(2100, 1, 1)
"""Days of a search for everything; the first Sentinel-2 flew in 2015."""


@dataclass(frozen=True)
class RatedLook:
    """An overpass, and how well it shows a frame."""

    datatake: Datatake
    """Its scenes."""

    clear_share: float
    """Share of the frame's pixels that are clear."""

    outline_share: float
    """Share of the pixels in the outline that are clear: a small cloud may hide just these."""

    @property
    def score(self) -> float:
        """The mean of both shares.

        The outline's share alone would not do: the cloud mask takes bright tailings for cloud, on every image of a mine.
        """
        return (self.clear_share + self.outline_share) / 2


@dataclass(frozen=True)
class AcquisitionIndex:
    """The overpasses over an area, in its archive and at the source."""

    aoi: Aoi
    """The area."""

    grid: Grid
    """Its pixels."""

    mask: MaskSettings
    """Settings of the cloud mask."""

    source: Source
    """Where the pixels come from."""

    observations: Mapping[str, Observation]
    """Key to the observation in the archive."""

    _found: dict[tuple[dt.date, dt.date], tuple[Datatake, ...]] = field(default_factory=dict, compare=False, repr=False)
    """First and last day of a search, to what it found."""

    def search(self, first: dt.date, last: dt.date) -> list[Datatake]:
        """Return the overpasses of some days, by time; no days are searched twice, and a static catalogue is read once.

        Raises SourceError where the source does not answer.
        """
        dates = (first, last) if self.source.is_api else (EARLIEST, LATEST)
        known = next((known for known in self._found if known[0] <= dates[0] and dates[1] <= known[1]), None)
        if known is None:
            found = find_scenes(self.source, Query(self.aoi.geometry, *dates)).scenes
            self._found[known := dates] = tuple(self._match_archive(datatake) for datatake in group_scenes(found))
        return [datatake for datatake in self._found[known] if first <= datatake.time.date() <= last and datatake.scenes]

    def _match_archive(self, datatake: Datatake) -> Datatake:
        """Return an overpass as the archive read it: without the scenes that it refused, with the offsets that it chose."""
        known = self.observations.get(datatake.key)
        if known is None:
            return datatake
        left = datatake.without({str(record["id"]) for record in known.refused})
        offsets = {str(record["id"]): int(record["offset"]) for record in known.sources}
        scenes = tuple(replace(scene, offset=offsets.get(scene.id, scene.offset)) for scene in left.scenes)
        return replace(left, scenes=scenes)


def open_index(workspace: Workspace, name: str, source: str | None = None) -> AcquisitionIndex:
    """Return the index of an area; ``source`` is used in place of the area's.

    Raises MinewatchError where there is no such area or source.
    """
    aoi = read_aoi(workspace, name)
    grid = make_grid(aoi)
    provider = open_source(choose_source(workspace, aoi, source), list_providers(workspace))
    mask = read_pipeline(workspace, aoi.pipeline).mask
    return AcquisitionIndex(aoi, grid, mask, provider, list_observations(workspace.archive(name), grid))
