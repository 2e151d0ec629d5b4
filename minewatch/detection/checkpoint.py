"""Checkpoints: the state of each tile after the looks of a scan, so that the next scan adds only the new looks.

A checkpoint holds a digest of everything it was made from, and is used only where the looks of this scan begin with the same.
Without checkpoints results are the same, only later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.archive.item import Observation, describe_grid, sort_observations
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import Window
from minewatch.core.files import make_private_folder, publish_bytes
from minewatch.detection.array_file import MALFORMED, ArrayFile, pack_arrays
from minewatch.detection.change_map import EPISODE
from minewatch.detection.monitor import STATE
from minewatch.detection.rules import RULES_VERSION
from minewatch.detection.scene_quality import SceneQuality
from minewatch.detection.state import TileState

WORTH = 10
"""Fewest looks that a checkpoint is written for; fewer are processed again quickly."""

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

    baselines: str
    """Name of its baselines, which stay the same in a year of monitoring."""


def save_checkpoint(
    folder: Path, tile: Window, digests: Digests, epochs: int, state: TileState, known: Checkpoint | None = None
) -> None:
    """Write the state of a tile; baselines, the bulk of it, are not written again where it goes on from a ``known`` one."""
    count, stem = len(digests.observations), _name(tile)
    digest = digests.hash_first(count)
    baselines = known.baselines if known else digest[:16]
    path = make_private_folder(folder) / f"{stem}_{baselines}.base"
    if not path.exists():
        low, high = (state.base >> shift for shift in (0, 8))
        # The low bytes apart from the high ones: these are nearly all alike, and compress to nothing.
        publish_bytes(path, pack_arrays({}, {"low": low.astype(np.uint8), "high": high.astype(np.uint8)}))
    arrays = {name: getattr(state, field) for name, field in ARRAYS.items()}
    arrays["state"] = np.asarray(state.anomalies).view(STATE)
    head = {"observations": count, "digest": digest, "epochs": epochs, "baselines": baselines}
    publish_bytes(folder / f"{stem}.state", pack_arrays(head, arrays))
    for old in folder.glob(f"{stem}_*.base"):
        if old != path:
            old.unlink(missing_ok=True)


def load_checkpoint(folder: Path, tile: Window, digests: Digests) -> Checkpoint | None:
    """Return the checkpoint of a tile where the looks of this scan begin with those it was made from, None otherwise."""
    try:
        file = ArrayFile((folder / f"{_name(tile)}.state").read_bytes())
        count, baselines = file.head["observations"], file.head["baselines"]
        ordered = digests.observations
        if not 0 < count <= len(ordered) or file.head["digest"] != digests.hash_first(count):
            return None
        if count < len(ordered) and ordered[count].day == ordered[count - 1].day:  # the last look would change
            return None
        arrays = {name: file.read(name) for name in ARRAYS}
        arrays["state"] = rename_fields(arrays["state"], STATE).view(np.recarray)
        arrays["closed"] = rename_fields(arrays["closed"], EPISODE)
        base = _read_base(folder / f"{_name(tile)}_{baselines}.base")
        return Checkpoint(
            count, file.head["epochs"], TileState(base, **{ARRAYS[name]: array for name, array in arrays.items()}), baselines
        )
    except (OSError, *MALFORMED):
        return None


def read_last_counting(folder: Path, tile: Window, digests: Digests) -> NDArray[np.int16] | None:
    """Return ``last_counting`` of a tile after all looks of this scan, None where no checkpoint has it."""
    try:
        file = ArrayFile((folder / f"{_name(tile)}.state").read_bytes())
        is_latest = file.head["digest"] == digests.hash_first(len(digests.observations))
        return file.read("counted") if is_latest else None
    except (OSError, *MALFORMED):
        return None


def rename_fields(records: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return stored records with today's names of the fields; raise ValueError where their layout is another."""
    if list_fields(records.dtype) != list_fields(dtype):
        raise ValueError("records of another layout")
    return records.view(dtype)


def list_fields(dtype: np.dtype[Any]) -> list[tuple[int, str]]:
    """Return offset and format of each field, and last the size of the record: the layout without the names."""
    known: Mapping[str, Any] = dtype.fields or {}
    fields = [known[name] for name in dtype.names or ()]
    return [*((field[1], field[0].str) for field in fields), (dtype.itemsize, "")]


def _read_base(path: Path) -> NDArray[np.int16]:
    """Read stored baselines; a damaged file is deleted, since an existing one is never written again."""
    try:
        file = ArrayFile(path.read_bytes())
        low, high = file.read("low"), file.read("high")
        base = np.empty(low.shape, np.int16)
        halves = base.view(np.uint8).reshape(*base.shape, 2)
        halves[..., 0], halves[..., 1] = low, high
    except MALFORMED:
        path.unlink(missing_ok=True)
        raise
    return base


def _name(tile: Window) -> str:
    return f"{tile.row}_{tile.column}_{tile.height}x{tile.width}"
