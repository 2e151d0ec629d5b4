"""The decode limit: GDAL reads the blocks that a scan cannot do without, on two threads, and nothing else happens."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from benchmarks.outlines import Frame
from benchmarks.series import BANDS, Series

CLOUD = (0, 9, 10)
"""Scene classes below which no other band is needed where they fill a whole block."""

OPTIONS = {"GDAL_CACHEMAX": 64 * 2**20, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}


@dataclass(frozen=True)
class Read:
    """One file and its blocks."""

    path: Path
    windows: tuple[Window, ...]


def list_reads(series: Series, areas: Sequence[Frame]) -> list[list[Read]]:
    """List the blocks that hold each area: of the scene classes all, of the bands those that are not wholly cloud."""
    found: list[list[Read]] = [[] for _ in areas]
    with rasterio.Env(**OPTIONS):
        for item in series.items:
            lattices = {band: _open_lattice(series.file(item, band)) for band in BANDS}
            with rasterio.open(series.file(item, "scl")) as dataset:
                clear = ~np.isin(dataset.read(1), CLOUD)
            for reads, area in zip(found, areas, strict=True):
                for band, (_, side) in BANDS.items():
                    blocks = _blocks(area, side // 10, *lattices[band])
                    needed = [w for w in blocks if band == "scl" or _is_needed(w, side // 10, clear)]
                    reads.extend([Read(series.file(item, band), tuple(needed))] if needed else [])
    return found


def _open_lattice(path: Path) -> tuple[int, int]:
    """Return the side of a file's blocks, and its own."""
    with rasterio.open(path) as dataset:
        return dataset.block_shapes[0][0], dataset.height


def _blocks(area: Frame, scale: int, block: int, size: int) -> list[Window]:
    top, left, bottom, right = (min(max(0, edge // scale), size) for edge in area)  # the grid may reach beyond the file
    return [
        Window(column, row, min(block, size - column), min(block, size - row))
        for row in range(top // block * block, bottom, block)
        for column in range(left // block * block, right, block)
    ]


def _is_needed(window: Window, scale: int, clear: np.ndarray) -> bool:
    top, left = int(window.row_off * scale) // 2, int(window.col_off * scale) // 2
    height, width = int(window.height * scale) // 2, int(window.width * scale) // 2
    return bool(clear[top : top + height, left : left + width].any())


def read_all(reads: list[Read]) -> int:
    """Decode everything on two threads, each file by one; gives the pixels."""
    waiting: queue.SimpleQueue[Read | None] = queue.SimpleQueue()
    for read in [*reads, None, None]:
        waiting.put(read)
    counts = [0, 0]

    def follow(number: int) -> None:
        with rasterio.Env(**OPTIONS):
            while (read := waiting.get()) is not None:
                with rasterio.open(read.path) as dataset:
                    counts[number] += sum(dataset.read(1, window=window).size for window in read.windows)

    threads = [threading.Thread(target=follow, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)
