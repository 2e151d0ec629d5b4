"""Decides whether a datatake, as a source lists it, has to be fetched.

A version is replaced only by one with all of its tiles, each of the same or a newer baseline: so what a catalogue drops for a
while or another provider never had stays, and two providers used in turn do not overwrite each other for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minewatch.archive.item import Observation
from minewatch.areas.grid import PIXEL
from minewatch.core.text import count_of
from minewatch.core.traffic import format_bytes
from minewatch.settings.pipeline import Conflict
from minewatch.sources.reflectance_offset import OffsetCheck
from minewatch.sources.scene import Datatake, Scene


@dataclass(frozen=True)
class ArchivedScene:
    """A scene by what decides whether it is fetched."""

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


def needs_fetch(datatake: Datatake, archived: Observation | None, conflict: Conflict, pixel: int = PIXEL) -> bool:
    """True if a datatake has a new tile, part, baseline or offset, or if the conflict policy has changed.

    True too if it was read in larger pixels than ``pixel`` metres; smaller ones stay.
    """
    if archived is None or _is_conflict_policy_other(archived, conflict):
        return True
    known = {scene.id for scene in find_refused(datatake, archived)}
    before = _group_by_tile(ArchivedScene.of_record(source) for source in archived.sources)
    now = _group_by_tile(ArchivedScene.of_scene(scene) for scene in datatake.without(known).scenes)
    if any(_rank(now.get(tile, [])) < _rank(parts) for tile, parts in before.items()):
        return False
    return archived.read_pixel > pixel or any(_is_better(parts, before.get(tile, [])) for tile, parts in now.items())


@dataclass(frozen=True)
class SourceSwitch:
    """What reading from another source than an archive's would mean."""

    source: str
    """The other source."""

    before: tuple[str, ...]
    """Sources of the archive, that of most scenes first."""

    archived: int
    """Its looks."""

    again: tuple[Datatake, ...]
    """Looks that would be read again."""

    new: int
    """Looks that the archive lacks."""

    def describe(self, size: float | None) -> str:
        """Return why nothing was read, and what to do; ``size`` is the bytes of all looks in ``again``, None = not known."""
        cost = "" if size is None else f", about {format_bytes(size)}"
        new = f", beside {count_of(self.new, 'new one')}" if self.new else ""
        return (
            f"its archive of {count_of(self.archived, 'look')} is from {', '.join(self.before)}; "
            f"{self.source} would read {len(self.again)} of them again{cost}{new}; "
            f"if that is meant add --switch-source, else take --source {self.before[0]}"
        )


def find_switch(source: str, archived: Mapping[str, Observation], wanted: Sequence[Datatake]) -> SourceSwitch | None:
    """Return what would be read again from a source that an archive has nothing of; None where nothing would.

    ``archived`` has its observations by their keys, ``wanted`` what is to be fetched.  Sources name the same overpass by other
    keys at times, so that one of a day that is archived counts as read again too.
    """
    names = Counter(str(scene["source"]) for o in archived.values() for scene in (*o.sources, *o.refused))
    days = {observation.time.date() for observation in archived.values()}
    again = tuple(one for one in wanted if one.key in archived or one.time.date() in days)
    if not names or source in names or not again:
        return None
    before = tuple(name for name, _ in names.most_common())
    return SourceSwitch(source, before, len(archived), again, len(wanted) - len(again))


def find_refused(datatake: Datatake, archived: Observation) -> list[Scene]:
    """Return the scenes of a datatake that were refused before and are still listed with the same metadata."""
    refused = {ArchivedScene.of_record(record) for record in archived.refused}
    return [scene for scene in (*datatake.scenes, *datatake.older) if ArchivedScene.of_scene(scene) in refused]


def _is_conflict_policy_other(archived: Observation, conflict: Conflict) -> bool:
    """True if scenes whose pixels contradict their metadata were treated by another conflict policy."""
    if archived.refused and conflict != "refuse":
        return True
    for source in archived.sources:
        check = OffsetCheck.from_record(source)
        if check and check.outcome == "contradict" and conflict != ("metadata" if source["offset"] == check.stated else "pixels"):
            return True
    return False


def _group_by_tile(parts: Iterable[ArchivedScene]) -> dict[str, list[ArchivedScene]]:
    tiles: dict[str, list[ArchivedScene]] = {}
    for part in parts:
        tiles.setdefault(part.tile, []).append(part)
    return tiles


def _rank(parts: list[ArchivedScene]) -> tuple[str, int]:
    """Return the newest baseline of a tile and how many parts have it; halves of a tile and duplicates cannot be told apart."""
    newest = max((part.baseline for part in parts), default="")
    return newest, sum(part.baseline == newest for part in parts)


def _is_better(parts: list[ArchivedScene], before: list[ArchivedScene]) -> bool:
    """True if parts of a tile rank higher, or are others of the same source; another source has other ids for the same part."""
    if _rank(parts) != _rank(before):
        return _rank(parts) > _rank(before)
    return {part.source for part in parts} == {part.source for part in before} and set(parts) != set(before)
