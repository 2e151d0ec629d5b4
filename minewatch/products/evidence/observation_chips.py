"""The looks that a confirmation rests on, cut to the alert's chip: rasters in the archive's format, and their STAC items."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
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
    name_collection,
    outline_grid,
    render_collection,
    rewrite_item,
)
from minewatch.archive.stack import Stack, read_stack
from minewatch.areas.grid import Grid, Window
from minewatch.core.errors import ArchiveError, EvidenceError
from minewatch.core.files import read_files
from minewatch.products.evidence.evidence_files import LARGEST_TEXT, EvidenceFiles
from minewatch.products.evidence.manifest import OBSERVATIONS

LARGEST_STACK = 2**28
"""Bytes of a chip's looks that are held in memory together; of a larger chip each part is read when it is needed."""

MOST_LOOKS = 2000
"""Looks of evidence of unknown origin that are read: one every other day for ten years."""


class ChipLooks:
    """The looks of a chip, read from the archive."""

    def __init__(self, observations: Sequence[Observation], chip: Window) -> None:
        self.observations = sort_observations(observations)
        self._chip = chip
        size = len(self.observations) * chip.height * chip.width * len(BANDS)
        self._whole = read_stack(self.observations, chip) if size <= LARGEST_STACK else None

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

    def read_classes(self, row: int, column: int) -> NDArray[np.uint8]:
        """Return the SCL codes of one pixel of the chip: (observation,)."""
        codes: NDArray[np.uint8] = self.load(Window(row, column, 1, 1)).scl[:, 0, 0]
        return codes

    def _place(self, window: Window) -> Window:
        return Window(self._chip.row + window.row, self._chip.column + window.column, *window.shape)


def cut_observations(looks: ChipLooks, grid: Grid, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the raster and the item of each look, and of the collection that lists them.

    ``grid`` is the chip, ``folder`` where the files will lie.
    """
    writer, listed = ChipWriter(grid), []
    items = read_files([observation.item for observation in looks.observations])
    for number, (observation, item) in enumerate(zip(looks.observations, items, strict=True)):
        name = observation.item.stem
        raster = writer.write(looks.read_codes(number))
        asset = AssetFile(f"./{name}.tif", hashlib.sha256(raster).hexdigest(), len(raster))
        source_folder = Path(str(observation.item.parent))
        data = rewrite_item(item, {"observation": asset}, grid, item=f"{name}.json", folder=folder, source_folder=source_folder)
        yield f"{name}.tif", raster
        yield f"{name}.json", data
        listed.append(parse_item(folder / f"{name}.json", data))
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

    def read_classes(self, row: int, column: int) -> NDArray[np.uint8]:
        """Return the SCL codes of one pixel of the chip: (observation,)."""
        codes: NDArray[np.uint8] = self.load(Window(row, column, 1, 1)).scl[:, 0, 0]
        return codes
