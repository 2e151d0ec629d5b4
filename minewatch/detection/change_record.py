"""The record of an area's changes, kept beside its checkpoints: where nothing is new, a scan takes them from it.

It holds a digest of all that the changes rest on, and the state of the files of the published change map; it is used only where
both are the same.  A later as-of date alone moves the map to that date.  Without a record results are the same, only later.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from minewatch import __version__
from minewatch.archive.item import Observation, describe_grid, sort_observations
from minewatch.areas.area_plan import AreaPlan
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import AnyPath, list_stamps, make_private_folder, publish_bytes
from minewatch.detection.array_file import MALFORMED, ArrayFile, pack_arrays
from minewatch.detection.change_map import EPISODE, RASTERS, Episodes
from minewatch.detection.checkpoint import rename_fields
from minewatch.detection.coverage import Coverage, CoverageCount
from minewatch.detection.rules import RULES_VERSION
from minewatch.detection.scene_quality import SceneQuality

NAME = "changes.record"
"""Of the file, in the folder of the checkpoints."""

COUNTERS = ("status", "last_clear", "missing")
"""Fields of :class:`CoverageCount` that count pixels by a whole number."""


@dataclass(frozen=True)
class AreaChanges:
    """The changes of an area, but for its rasters; the same for every as-of date up to the next look."""

    scene_quality: SceneQuality
    """Of each look, over the whole area."""

    count: CoverageCount
    """Of its pixels."""

    episodes: Episodes
    """The anomalies that became provisional; the others, which are many, are part of no alert."""

    def cover(self, area: AreaPlan) -> Coverage:
        """Return how much of the area was seen, as of its as-of date."""
        return self.count.close(area.monitor_from, area.until)


class KnownChanges(NamedTuple):
    """What a record holds."""

    changes: AreaChanges
    """Of the area."""

    as_of: dt.date
    """As-of date of the published change map."""


class ChangeRecord(NamedTuple):
    """Where the changes of an area are recorded, and what they rest on."""

    folder: Path
    """Of the checkpoints."""

    maps: AnyPath
    """Folder of the published change map."""

    digest: str
    """Of all that the changes rest on, see :func:`hash_inputs`."""

    def read(self, *, with_map: bool = True) -> KnownChanges | None:
        """Return the changes; None where something is new, or, ``with_map``, the map's files are not those that were published.

        Copies of a workspace are not, though they say the same.
        """
        try:
            file = ArrayFile((self.folder / NAME).read_bytes())
            head = file.head
            if head["digest"] != self.digest or (with_map and head["files"] != self._stamp_files()):
                return None
            counters = {name: Counter({int(key): n for key, n in head[name].items()}) for name in COUNTERS}
            count = CoverageCount(**counters, watched=head["watched"], onsets=file.read("onsets"))
            quality = SceneQuality(**{field.name: file.read(field.name) for field in fields(SceneQuality)})
            changes = AreaChanges(quality, count, rename_fields(file.read("episodes"), EPISODE))
            return KnownChanges(changes, dt.date.fromisoformat(head["as_of"]))
        except (OSError, *MALFORMED):
            return None

    def write(self, known: KnownChanges) -> None:
        """Record the changes whose map has just been published."""
        changes, count = known.changes, known.changes.count
        head: dict[str, Any] = {name: getattr(count, name) for name in COUNTERS}
        head |= {"digest": self.digest, "as_of": known.as_of.isoformat(), "watched": count.watched, "files": self._stamp_files()}
        arrays = {field.name: getattr(changes.scene_quality, field.name) for field in fields(SceneQuality)}
        arrays |= {"onsets": count.onsets, "episodes": changes.episodes}
        with contextlib.suppress(OSError, WorkspaceError):  # then the next scan finds them again
            publish_bytes(make_private_folder(self.folder) / NAME, pack_arrays(head, arrays))

    def _stamp_files(self) -> dict[str, str]:
        """Return the state of each file of the map."""
        stamps, names = list_stamps(self.maps), [f"{name}.tif" for name in RASTERS]
        return {name: stamps[name].state for name in names}


def hash_inputs(area: AreaPlan, observations: Sequence[Observation], credit: str) -> str:
    """Return the digest of all that an area's changes and the files of its map rest on, but for the as-of date.

    ``credit`` are the words that stand in the files.
    """
    facts = [
        [__version__, RULES_VERSION, area.aoi.name, area.pipeline_name, area.pipeline.digest, area.monitor_from.isoformat()],
        [describe_grid(area.grid), area.grid.area.wkb_hex, credit],
        [[observation.day, observation.raster.name] for observation in sort_observations(observations)],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
