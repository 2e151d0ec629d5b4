"""Tombstones: the record of pruned observations, so that they are neither missed nor fetched again unnoticed."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minewatch.archive.item import Observation
from minewatch.core.errors import ArchiveError
from minewatch.core.files import AnyPath, list_names, publish_bytes, read_files, sync

NAME = "pruned.jsonl"
"""File with a line of JSON for each observation, and a last line with the checksum of the others."""


@dataclass(frozen=True)
class Tombstone:
    """An observation that was pruned."""

    key: str
    """Platform and start of the datatake."""

    day: dt.date
    """Of acquisition, UTC."""

    digest: str
    """Format it was written in."""

    grid: str
    """The grid it lay on."""

    baselines: tuple[str, ...]
    """Processing baselines of its scenes."""

    sources: tuple[str, ...]
    """Ids of its scenes."""

    cloud_cover: float
    """Of its clearest scene, percent; 101 where all were refused."""

    @classmethod
    def of(cls, observation: Observation) -> Tombstone:
        """Make the tombstone of an observation that is to be pruned."""
        clouds = [float(source["cloud_cover"]) for source in observation.sources]
        baselines = tuple(sorted({str(source["baseline"]) for source in observation.sources}))
        facts = (observation.key, observation.time.date(), observation.digest, observation.grid)
        return cls(*facts, baselines, observation.source_ids, min(clouds, default=101.0))


def read_tombstones(folder: AnyPath) -> list[Tombstone]:
    """Read the tombstones of an area's archive, in order of acquisition; raises ArchiveError where they are damaged."""
    if NAME not in list_names(folder):
        return []
    path = folder / NAME
    try:
        *lines, seal = read_files([path])[0].splitlines()
        if json.loads(seal)["sha256"] != _hash(lines):
            raise ValueError("another checksum")
        return [_parse(json.loads(line)) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"{path} is damaged; restore it, or delete it: then what was pruned is fetched again") from error


def _hash(lines: Sequence[bytes]) -> str:
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def _parse(entry: dict[str, Any]) -> Tombstone:
    baselines, sources = (tuple(map(str, entry[name])) for name in ("baselines", "sources"))
    facts = str(entry["key"]), dt.date.fromisoformat(entry["day"]), str(entry["digest"]), str(entry["grid"])
    return Tombstone(*facts, baselines, sources, float(entry["cloud_cover"]))


def write_tombstones(folder: AnyPath, tombstones: Iterable[Tombstone]) -> None:
    """Write all tombstones of an area's archive; they are on the disk when this returns."""
    ordered = sorted(tombstones, key=lambda tombstone: (tombstone.day, tombstone.key))
    lines = [json.dumps(asdict(tombstone) | {"day": tombstone.day.isoformat()}).encode() for tombstone in ordered]
    seal = json.dumps({"sha256": _hash(lines)}).encode()
    publish_bytes(folder / NAME, b"\n".join([*lines, seal]) + b"\n")
    if isinstance(folder, Path):
        sync(folder)
