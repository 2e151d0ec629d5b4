"""Checkpoints: the state of each tile after the looks of a scan, so that the next scan adds only the new looks.

A checkpoint holds a digest of everything it was made from, and is used only where the looks of this scan begin with the same.
Without checkpoints results are the same, only later.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from minewatch.archive.item import Observation, describe_grid, sort_observations
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import Window
from minewatch.core.files import make_private_folder, publish_bytes
from minewatch.detection.change_map import EPISODE
from minewatch.detection.monitor import STATE
from minewatch.detection.rules import RULES_VERSION
from minewatch.detection.scene_quality import SceneQuality
from minewatch.detection.state import TileState

WORTH = 60
"""Fewest looks that a checkpoint is written for; fewer are processed again quickly."""

MALFORMED = (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zstandard.ZstdError)
"""Errors that a damaged checkpoint raises."""

ARRAYS = {
    "open": "open_pixels",
    "state": "anomalies",
    "closed": "closed",
    "seen": "clear_looks",
    "last": "last_clear",
    "normal": "last_normal",
    "counted": "last_counting",
    "blind": "blind_days",
    "onsets": "onsets",
    "covered": "covered",
}
"""Names of a file's arrays, which stay when a field is renamed, to the fields of :class:`TileState`, all but the baselines."""


@dataclass(frozen=True)
class Digests:
    """Digests, one for each number of observations, of all that the state after them depends on."""

    settings: str
    """Of the area, its grid, its pipeline and the version of the rules."""

    observations: Sequence[Observation]
    """In order of acquisition."""

    scenes: SceneQuality
    """Of their looks."""

    def count_looks(self, count: int) -> int:
        """Count the looks of the first ``count`` observations; those of one day are one look."""
        return len({observation.day for observation in self.observations[:count]})

    def hash_first(self, count: int) -> str:
        """Return the digest of the first ``count`` observations, their scenes' quality and the settings."""
        looks = self.count_looks(count)
        digest = hashlib.sha256(self.settings.encode())
        for observation in self.observations[:count]:
            digest.update(f"\n{observation.day} {observation.raster.name}".encode())
        digest.update(self.scenes.numbers[:looks].tobytes())
        digest.update(self.scenes.is_consistent[:looks].tobytes())
        return digest.hexdigest()


def make_digests(observations: Sequence[Observation], area: AreaPlan, scenes: SceneQuality) -> Digests:
    """Gather what the state of an area's tiles depends on."""
    ordered = sort_observations(observations)
    detector = [area.pipeline.mask.model_dump(mode="json"), area.pipeline.detector.model_dump(mode="json")]
    facts = [RULES_VERSION, describe_grid(area.grid), area.grid.area.wkb_hex, area.monitor_from.isoformat(), detector]
    return Digests(hashlib.sha256(json.dumps(facts).encode()).hexdigest(), ordered, scenes)


@dataclass(frozen=True)
class Checkpoint:
    """The state of a tile after some observations."""

    observations: int
    """How many."""

    epochs: int
    """Years of monitoring they reach into."""

    state: TileState
    """State after them."""


def save_checkpoint(folder: Path, tile: Window, digests: Digests, epochs: int, state: TileState) -> None:
    """Write the state of a tile; baselines, the bulk of it, are written once a year of monitoring."""
    count = len(digests.observations)
    baselines = hashlib.sha256(state.base.tobytes()).hexdigest()[:16]
    stem = _name(tile)
    path = make_private_folder(folder) / f"{stem}_{baselines}.base"
    if not path.exists():
        # The low bytes before the high ones: these are nearly all alike, and compress to nothing.
        halves = state.base.view(np.uint8).reshape(*state.base.shape, 2).transpose(2, 0, 1)
        publish_bytes(path, _pack({"base": np.ascontiguousarray(halves)}))
    head = {"observations": count, "digest": digests.hash_first(count), "epochs": epochs, "baselines": baselines}
    arrays = {name: getattr(state, field) for name, field in ARRAYS.items()}
    arrays["state"] = np.asarray(state.anomalies).view(STATE)
    publish_bytes(folder / f"{stem}.state", json.dumps(head).encode() + b"\n" + _pack(arrays))
    for old in folder.glob(f"{stem}_*.base"):
        if old != path:
            old.unlink(missing_ok=True)


def load_checkpoint(folder: Path, tile: Window, digests: Digests) -> Checkpoint | None:
    """Return the checkpoint of a tile where the looks of this scan begin with those it was made from, None otherwise."""
    try:
        head, _, data = (folder / f"{_name(tile)}.state").read_bytes().partition(b"\n")
        facts = json.loads(head)
        count = facts["observations"]
        ordered = digests.observations
        if not 0 < count <= len(ordered) or facts["digest"] != digests.hash_first(count):
            return None
        if count < len(ordered) and ordered[count].day == ordered[count - 1].day:  # the last look would change
            return None
        halves = _read_base(folder / f"{_name(tile)}_{facts['baselines']}.base")
        base = np.ascontiguousarray(halves.transpose(1, 2, 0)).view(np.int16)[..., 0]
        arrays = _unpack(data)
        arrays["state"] = _rename_fields(arrays["state"], STATE).view(np.recarray)
        arrays["closed"] = _rename_fields(arrays["closed"], EPISODE)
        state = TileState(base, **{field: arrays[name] for name, field in ARRAYS.items()})
        return Checkpoint(count, facts["epochs"], state)
    except (OSError, *MALFORMED):
        return None


def _rename_fields(records: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return stored records with today's names of the fields; raise ValueError where their layout is another."""
    if list_fields(records.dtype) != list_fields(dtype):
        raise ValueError("records of another layout")
    return records.view(dtype)


def list_fields(dtype: np.dtype[Any]) -> list[tuple[int, str]]:
    """Return offset and format of each field, and last the size of the record: the layout without the names."""
    known: Mapping[str, Any] = dtype.fields or {}
    fields = [known[name] for name in dtype.names or ()]
    return [*((field[1], field[0].str) for field in fields), (dtype.itemsize, "")]


def _read_base(path: Path) -> NDArray[np.uint8]:
    """Read stored baselines; a damaged file is deleted, since an existing one is never written again."""
    try:
        return _unpack(path.read_bytes())["base"]
    except MALFORMED:
        path.unlink(missing_ok=True)
        raise


def _name(tile: Window) -> str:
    return f"{tile.row}_{tile.column}_{tile.height}x{tile.width}"


def _pack(arrays: dict[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return zstandard.ZstdCompressor(level=1, write_checksum=True).compress(buffer.getvalue())


def _unpack(data: bytes) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(zstandard.ZstdDecompressor().decompress(data)), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}
