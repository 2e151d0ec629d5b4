"""Finds damaged files of the archive and sets them aside, so that they are fetched again.

An item holds its own checksum and that of its raster.  Sizes are always compared; checksums where the file system shows that a
file has changed since the last comparison, or of all files.  Each block of a raster has a checksum that is compared on reading.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minewatch.archive.item import ITEM_CHECKSUM, Observation, hash_item, is_current, list_observations
from minewatch.archive.pruned import read_tombstones
from minewatch.archive.publication import hash_file
from minewatch.areas.grid import Grid
from minewatch.core.errors import WorkspaceError
from minewatch.core.files import AnyPath, Stamp, delete_files, list_names, list_stamps, publish_json, read_files, rename

ASIDE = ".damaged"
"""End of the name of a file that was set aside."""

_NAME = re.compile(r"(?P<key>.+)_[0-9a-f]{12}(?P<kind>_v\d+\.json|\.tif)")
"""Of an item or a raster."""


@dataclass(frozen=True)
class Damage:
    """A damaged or missing file of the archive."""

    key: str
    """Of the observation."""

    name: str
    """Of the file."""

    what: str
    """What is wrong with it."""

    day: dt.date | None = None
    """Of acquisition; None where it is unknown."""

    sources: tuple[str, ...] = ()
    """Ids of the scenes it was made from; empty where they are unknown."""

    def describe(self) -> str:
        """Describe it in one line."""
        return f"the archive's file {self.name} {self.what}"


@dataclass(frozen=True)
class IntegrityReport:
    """The state of an area's archive before a scan."""

    damages: tuple[Damage, ...] = ()
    """Damaged files."""

    before: frozenset[str] = frozenset()
    """Names of the undamaged items."""


def check_archive(folder: AnyPath, grid: Grid, ledger: Path | None = None, *, thorough: bool = False) -> IntegrityReport:
    """Find the damaged files of an area's archive and set them aside; report those set aside before that are not yet replaced.

    ``ledger`` lists the files whose checksums were compared; ``thorough`` compares all.  Only for the scan that holds the lock.
    """
    stamps = list_stamps(folder)
    known = {} if thorough or ledger is None else _read_ledger(ledger)
    found: list[Damage] = []
    checked: dict[str, str] = {}
    whole: set[str] = set()
    items = sorted(name for name in stamps if name.endswith(".json") and _NAME.fullmatch(name))
    for name, data in zip(items, read_files([folder / name for name in items]), strict=True):
        document = _open_item(data)
        if document is None:
            rename(folder / name, folder / f"{name}{ASIDE}")
            found.append(Damage(_key_of(name), name, "is damaged", find_day(_key_of(name))))
            continue
        properties = document["properties"]
        if is_current(properties["minewatch:digest"], properties["minewatch:grid"], grid):  # others are fetched anew anyway
            damages = _check_raster(folder, document, stamps, known, checked)
            found += damages
            whole |= set() if damages else {name}
    found += _find_traces(folder, stamps, {damage.key for damage in found})
    if ledger is not None and checked != known:
        with contextlib.suppress(OSError, WorkspaceError):  # then they are compared again
            publish_json(ledger, checked)
    return IntegrityReport(tuple(found), frozenset(whole))


def note_whole(folder: AnyPath, ledger: Path, names: Iterable[str]) -> None:
    """Note rasters whose checksums were made from the files as they lie there, so that nobody compares them once more."""
    stamps = list_stamps(folder)
    with contextlib.suppress(OSError, WorkspaceError):  # then they are compared again
        publish_json(ledger, _read_ledger(ledger) | {name: stamps[name].state for name in names if name in stamps})


def _open_item(data: bytes) -> dict[str, Any] | None:
    """Return an item, None where it is damaged; items of earlier versions have no checksum of their own."""
    try:
        document = json.loads(data.decode("utf-8"))
        properties = document["properties"]
        complete = {"minewatch:key", "minewatch:digest", "minewatch:grid", "minewatch:sources"} <= set(properties)
        stated = properties.get(ITEM_CHECKSUM)
        asset = document["assets"]["observation"]
        whole = complete and isinstance(asset["href"], str) and isinstance(asset["file:size"], int)
        return document if whole and (stated is None or stated == hash_item(data)) else None
    except (ValueError, KeyError, TypeError):
        return None


def _check_raster(
    folder: AnyPath,
    document: dict[str, Any],
    stamps: dict[str, Stamp],
    known: dict[str, str],
    checked: dict[str, str],
) -> list[Damage]:
    properties, asset = document["properties"], document["assets"]["observation"]
    name = Path(asset["href"]).name
    stamp = stamps.get(name)
    if stamp is None:
        what = "is missing"
    elif stamp.size != asset["file:size"]:
        what = f"has {stamp.size} bytes in place of {asset['file:size']}"
    elif known.get(name) == stamp.state or name in checked or _has_checksum(folder / name, asset.get("file:checksum", "")):
        checked[name] = stamp.state
        return []
    else:
        what = "is not what its checksum says"
    if stamp is not None:
        rename(folder / name, folder / f"{name}{ASIDE}")
    day = dt.datetime.fromisoformat(properties["datetime"]).date()
    sources = tuple(str(source["id"]) for source in properties["minewatch:sources"])
    return [Damage(properties["minewatch:key"], name, what, day, sources)]


def _has_checksum(raster: AnyPath, stated: str) -> bool:
    """Compare a raster with the multihash in its item; always True in an object store, which checks its own files."""
    if not isinstance(raster, Path):
        return True
    try:
        return stated == f"1220{hash_file(raster)}"
    except OSError:
        return False


def _find_traces(folder: AnyPath, stamps: dict[str, Stamp], known: set[str]) -> list[Damage]:
    """Find observations without an item by what is left of them: files set aside, rasters, and entries of the collection."""
    names = {name.removesuffix(ASIDE) for name in stamps}
    alive = {match["key"] for name in stamps if (match := _NAME.fullmatch(name)) and name.endswith(".json")}
    pruned = {tombstone.key for tombstone in read_tombstones(folder)}
    found: dict[str, Damage] = {}
    for name in sorted(names | _list_links(folder, stamps)):
        match = _NAME.fullmatch(name)
        if match and match["key"] not in alive | known | pruned:
            what = "was damaged" if f"{name}{ASIDE}" in stamps else "has no item" if name in stamps else "is missing"
            found.setdefault(match["key"], Damage(match["key"], name, what, find_day(match["key"])))
    return list(found.values())


def _list_links(folder: AnyPath, stamps: dict[str, Stamp]) -> set[str]:
    """Return the names of the items that the collection of the last scan lists."""
    if "collection.json" not in stamps:
        return set()
    try:
        links = json.loads(read_files([folder / "collection.json"])[0])["links"]
        return {Path(str(link["href"])).name for link in links if link["rel"] == "item"}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def find_day(key: str) -> dt.date | None:
    """Find the day of acquisition in a key."""
    match = re.search(r"_(\d{8})T", key)
    try:
        return dt.datetime.strptime(match[1], "%Y%m%d").replace(tzinfo=dt.UTC).date() if match else None
    except ValueError:
        return None


def list_lost(folder: AnyPath, grid: Grid, health: IntegrityReport) -> list[Damage]:
    """Return the damaged files whose observation was not fetched again; delete the files that were set aside for the others."""
    if not health.damages:
        return []
    usable = list_observations(folder, grid)
    lost = [damage for damage in health.damages if not _is_replaced(damage, usable.get(damage.key), health.before)]
    repaired = {damage.key for damage in health.damages} - {damage.key for damage in lost}
    used = {name for key in repaired if (o := usable.get(key)) for name in (o.raster.name, o.item.name)}
    spoilt = {Path(damage.name).stem for damage in health.damages if damage.key in repaired}
    names = list_names(folder)
    asides = [name for name in names if name.endswith(ASIDE) and _key_of(name.removesuffix(ASIDE)) in repaired]
    dead = [name for name in names - used if _key_of(name) in repaired and name.split("_v")[0].removesuffix(".tif") in spoilt]
    delete_files(folder / name for name in [*asides, *dead])
    return lost


def _key_of(name: str) -> str:
    match = _NAME.fullmatch(name)
    return match["key"] if match else ""


def _is_replaced(damage: Damage, observation: Observation | None, before: frozenset[str]) -> bool:
    """True if an observation was replaced: fetched by this scan, or made from at least the same scenes."""
    if observation is None:
        return False
    return observation.item.name not in before or set(damage.sources) <= set(observation.source_ids)


def _read_ledger(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(state) for name, state in found.items()} if isinstance(found, dict) else {}
