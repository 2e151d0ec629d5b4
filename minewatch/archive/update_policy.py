"""Tells whether an overpass, as a source lists it, has something that the archive lacks.

A version is replaced only by one that has every tile it has, at least as new: what a catalogue lost for a while, or what
another provider never had, is not lost here, and providers that are asked in turn do not overwrite each other for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from minewatch.archive.item import Observation
from minewatch.settings.pipeline import Conflict
from minewatch.sources.reflectance_offset import OffsetCheck
from minewatch.sources.scene import Datatake, Scene


@dataclass(frozen=True)
class ArchivedScene:
    """A scene, as the archive knows it."""

    id: str
    """Of its item."""

    source: str
    """Where it was found."""

    tile: str
    """MGRS tile, or ''."""

    baseline: str
    """As '05.09'."""

    stated: int
    """The offset by its metadata."""

    @classmethod
    def of_scene(cls, scene: Scene) -> ArchivedScene:
        """Describe a scene that was found."""
        return cls(scene.id, scene.source, scene.tile, "{:02d}.{:02d}".format(*scene.baseline), scene.offset)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> ArchivedScene:
        """Describe a scene from an observation's item."""
        check = OffsetCheck.from_record(record)
        stated = check.stated if check else int(record["offset"])
        return cls(record["id"], record["source"], record["tile"], record["baseline"], stated)


def is_news(take: Datatake, archived: Observation | None, conflict: Conflict) -> bool:
    """True if an overpass has to be read: for a tile, a part, a baseline, an offset, or another way with conflicts."""
    if archived is None or _was_settled_otherwise(archived, conflict):
        return True
    known = {scene.id for scene in find_refused(take, archived)}
    before = _sort_parts(ArchivedScene.of_record(source) for source in archived.sources)
    now = _sort_parts(ArchivedScene.of_scene(scene) for scene in take.without(known).scenes)
    if any(_rank(now.get(tile, [])) < _rank(parts) for tile, parts in before.items()):
        return False
    return any(_is_better(parts, before.get(tile, [])) for tile, parts in now.items())


def find_refused(take: Datatake, archived: Observation) -> list[Scene]:
    """Find the scenes of an overpass that were refused before and are still listed with the same metadata."""
    refused = {ArchivedScene.of_record(record) for record in archived.refused}
    return [scene for scene in (*take.scenes, *take.older) if ArchivedScene.of_scene(scene) in refused]


def _was_settled_otherwise(archived: Observation, conflict: Conflict) -> bool:
    """True if scenes whose pixels contradict their metadata were not treated as they are to be."""
    if archived.refused and conflict != "refuse":
        return True
    for source in archived.sources:
        check = OffsetCheck.from_record(source)
        if check and check.outcome == "contradict" and conflict != ("metadata" if source["offset"] == check.stated else "pixels"):
            return True
    return False


def _sort_parts(parts: Iterable[ArchivedScene]) -> dict[str, list[ArchivedScene]]:
    tiles: dict[str, list[ArchivedScene]] = {}
    for part in parts:
        tiles.setdefault(part.tile, []).append(part)
    return tiles


def _rank(parts: list[ArchivedScene]) -> tuple[str, int]:
    """Return the newest baseline of a tile, and how many parts have it: halves of a tile and duplicates look alike."""
    newest = max((part.baseline for part in parts), default="")
    return newest, sum(part.baseline == newest for part in parts)


def _is_better(parts: list[ArchivedScene], before: list[ArchivedScene]) -> bool:
    """True if parts of a tile rank higher, or are others of the same source; another source has other ids for the same."""
    if _rank(parts) != _rank(before):
        return _rank(parts) > _rank(before)
    return {part.source for part in parts} == {part.source for part in before} and set(parts) != set(before)
