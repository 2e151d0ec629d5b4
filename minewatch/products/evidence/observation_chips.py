"""The looks that a confirmation rests on, cut to the alert's chip: rasters in the archive's format, and their STAC items."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minewatch.archive.chip import ChipWriter, read_chip
from minewatch.archive.item import Observation, parse_item, sort_observations
from minewatch.archive.raster_header import BANDS
from minewatch.archive.stac_item import (
    COLLECTION,
    AssetFile,
    ItemRewriter,
    name_collection,
    outline_grid,
    render_collection,
    render_place,
)
from minewatch.archive.stack import LARGEST_STACKS, Stack, read_stack, read_stacks
from minewatch.areas.grid import Grid, Window
from minewatch.core.errors import ArchiveError, EvidenceError
from minewatch.core.files import AnyPath, read_files
from minewatch.products.evidence.evidence_files import LARGEST_TEXT, EvidenceFiles
from minewatch.products.evidence.manifest import OBSERVATIONS

MOST_LOOKS = 2000
"""Looks of evidence of unknown origin that are read: one every other day for ten years."""


class ArchivedLooks:
    """The looks of an area in the archive, for the chips of its alerts: what several chips need is read and rendered once."""

    def __init__(self, observations: Sequence[Observation], grid: Grid) -> None:
        self._observations, self._grid = sort_observations(observations), grid
        self.days: NDArray[np.int32] = np.unique(np.array([observation.day for observation in observations], np.int32))
        """(time,) days of the looks since 1970-01-01, each once."""
        self._stacks: dict[Window, Stack] = {}
        self._items: dict[AnyPath, tuple[ItemRewriter, Observation]] = {}

    def prefetch(self, chips: Collection[Window]) -> None:
        """Read chips together and hold them until others are.

        Raises ArchiveError where a file is damaged.
        """
        self._stacks = {}
        small = [chip for chip in chips if self._measure(chip) <= LARGEST_STACKS]
        self._stacks = read_stacks(self._observations, self._grid, small)

    def _measure(self, chip: Window) -> int:
        return len(self._observations) * chip.height * chip.width * len(BANDS)

    def until(self, day: dt.date, chip: Window) -> ChipLooks:
        """Return the looks of a chip up to a day."""
        known = [observation for observation in self._observations if observation.time.date() <= day]
        whole: Stack | None
        if (held := self._stacks.get(chip)) is not None:
            whole = Stack(held.days[: len(known)], held.scl[: len(known)], held.codes[:, : len(known)])
        else:
            whole = read_stack(known, chip) if self._measure(chip) <= LARGEST_STACKS else None
        return ChipLooks(known, chip, whole)

    def prepare_item(self, observation: Observation, folder: Path) -> tuple[ItemRewriter, Observation]:
        """Return what rewrites an item for ``folder`` or one beside its parent, and the observation as it says there."""
        if observation.item not in self._items:
            (data,), source = read_files([observation.item]), Path(str(observation.item.parent))
            name = f"{observation.item.stem}.json"
            rewriter = ItemRewriter(data, ["observation"], item=name, folder=folder, source_folder=source)
            sample = rewriter.rewrite(render_place(self._grid, folder), {"observation": AssetFile("./x.tif", "", 0)})
            self._items[observation.item] = rewriter, parse_item(folder / name, sample)
        return self._items[observation.item]


class ChipLooks:
    """The looks of a chip, read from the archive."""

    def __init__(self, observations: Sequence[Observation], chip: Window, whole: Stack | None) -> None:
        """Take the looks in order of acquisition; ``whole`` are those in memory, None where each part is read when needed."""
        self.observations, self._chip, self._whole = list(observations), chip, whole

    def load(self, window: Window) -> Stack:
        """Return the looks in a window of the chip."""
        if self._whole is not None:
            return self._whole.crop(window.slices)
        return read_stack(self.observations, self._place(window))

    def read_codes(self, number: int) -> NDArray[np.uint8]:
        """Return one look of the whole chip: (band, y, x), SCL first."""
        if self._whole is not None:
            return np.concatenate([self._whole.scl[number][None], self._whole.codes[:, number]])
        stack = read_stack([self.observations[number]], self._chip)
        return np.concatenate([stack.scl, stack.codes[:, 0]])

    def _place(self, window: Window) -> Window:
        return Window(self._chip.row + window.row, self._chip.column + window.column, *window.shape)


def cut_observations(archived: ArchivedLooks, looks: ChipLooks, grid: Grid, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the raster and the item of each look, and of the collection that lists them.

    ``grid`` is the chip, ``folder`` where the files will lie.
    """
    writer, place, listed = ChipWriter(grid), render_place(grid, folder), []
    for number, observation in enumerate(looks.observations):
        name = observation.item.stem
        raster = writer.write(looks.read_codes(number))
        rewriter, described = archived.prepare_item(observation, folder)
        asset = AssetFile(f"./{name}.tif", hashlib.sha256(raster).hexdigest(), len(raster))
        yield f"{name}.tif", raster
        yield f"{name}.json", rewriter.rewrite(place, {"observation": asset})
        listed.append(described)
    name, description = name_collection(folder.parent.name), f"Looks on which the alert {folder.parent.name} rests, cut to it"
    yield COLLECTION, render_collection(name, description, outline_grid(grid), listed)


class KeptLooks:
    """The looks in a folder or a bundle of evidence."""

    def __init__(self, files: EvidenceFiles, grid: Grid) -> None:
        self._files, self._grid = files, grid
        names = sorted(name for name in files.names if name.startswith(f"{OBSERVATIONS}/") and name.endswith(".json"))
        if not 0 < len(names) <= MOST_LOOKS:
            raise EvidenceError(f"it has {len(names)} looks; nothing can be recomputed from that")
        self.observations = sort_observations(filter(None, (self._parse(name) for name in names)))

    def _parse(self, name: str) -> Observation | None:
        document: Mapping[str, Any] = json.loads(self._files.read(name, LARGEST_TEXT))
        if document.get("type") != "Feature":  # the collection beside the items
            return None
        return parse_item(Path(name), document)

    def load(self, window: Window) -> Stack:
        """Return the looks in a window; raises EvidenceError where a raster is missing or damaged."""
        codes = np.empty((len(BANDS), len(self.observations), *window.shape), np.uint8)
        for number, observation in enumerate(self.observations):
            name = f"{OBSERVATIONS}/{Path(str(observation.raster)).name}"
            try:
                codes[:, number] = read_chip(self._files.read(name), self._grid.shape, window)
            except (ArchiveError, KeyError) as error:
                raise EvidenceError(f"{name}: cannot be read; {error}") from error
        days = np.array([observation.day for observation in self.observations], np.int32)
        return Stack(days, codes[0], codes[1:])
