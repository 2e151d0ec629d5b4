"""Reads a datatake onto the grids of areas, and writes what the archive keeps of it."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.archive.item import UNREAD_CLASSES, UNREAD_MARGIN_M, Draft, hand_over
from minewatch.archive.raster import RasterWriter
from minewatch.errors import SceneError
from minewatch.files import TEMPORARY_PREFIX, Place, make_private_folder, sync
from minewatch.grid import CELL, PIXEL, Grid, Window
from minewatch.indices import LAYERS, encode_layers
from minewatch.read import DatatakeReader, open_datatake
from minewatch.scene import Datatake

BAND_NAMES = sorted({name for layer in LAYERS for name in layer.bands})
"""Bands that the layers are made from."""

SWATH = 8 * CELL
"""Pixels of a grid that are read side by side, four blocks of a Sentinel-2 tile; at its edges blocks may be inflated twice."""

Target = tuple[Datatake, Grid, Place]
"""An overpass with the scenes that meet an area, the area's grid, and the folder of its archive."""


def write_drafts(targets: Sequence[Target]) -> list[Draft | SceneError]:
    """Read one overpass onto the grid of each area and write it under a temporary name in the area's folder.

    Each scene is opened once for all areas.  What cannot be read for an area is a SceneError in its place.
    """
    scenes = {scene.id: scene for take, _, _ in targets for scene in take.scenes}
    first = targets[0][0]
    results: list[Draft | SceneError] = []
    with open_datatake(Datatake(first.key, first.time, tuple(scenes.values()))) as files:
        for take, grid, folder in targets:
            try:
                results.append(_write_draft(take, files.on(grid, take.scenes), grid, folder))
            except SceneError as error:
                results.append(SceneError(*error.args))  # without the library's error behind it, which cannot be sent
    return results


def _write_draft(take: Datatake, reader: DatatakeReader, grid: Grid, folder: Place) -> Draft:
    classes: Counter[int] = Counter()
    unread = 0
    with _drafting(folder) as path:
        raster = RasterWriter(path, grid)
        with contextlib.closing(raster):
            strips = list(_strips(grid))
            for strip, following in zip(strips, [*strips[1:], None], strict=True):
                counts, left_out = _copy_strip(reader, raster, grid, strip, following)
                classes.update(counts)
                unread += left_out
        path.chmod(0o600)
        sync(path)
        return hand_over(take, path, folder, dict(sorted(classes.items())), unread)


@contextlib.contextmanager
def _drafting(folder: Place) -> Iterator[Path]:
    """Lend a temporary file of the archive, or of this machine for an object store; none is left where the block fails."""
    if not isinstance(folder, Path):
        with tempfile.TemporaryDirectory(prefix="minewatch-") as scratch:
            yield Path(scratch) / "draft.tif"
        return
    make_private_folder(folder)
    with tempfile.NamedTemporaryFile(prefix=TEMPORARY_PREFIX, suffix=".tif", dir=folder, delete=False) as file:
        path = Path(file.name)
    try:
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _strips(grid: Grid) -> Iterator[Window]:
    """Cut a grid into rows of cells, swath after swath from the left: what is kept of a scene does not grow with the width."""
    height, width = grid.shape
    for column in range(0, width, SWATH):
        for row in range(0, height, CELL):
            yield Window(row, column, min(CELL, height - row), min(SWATH, width - column))


def _copy_strip(
    reader: DatatakeReader, raster: RasterWriter, grid: Grid, strip: Window, following: Window | None
) -> tuple[Counter[int], int]:
    """Copy one row of cells; gives the pixels of each class inside the area, and the cells that were left unread."""
    margin = UNREAD_MARGIN_M // PIXEL
    around = strip.grow(margin, grid.shape)
    reader.expect(["scl"], [around, *([following.grow(margin, grid.shape)] if following else [])])
    classes, origin = reader.read_scl(around)
    cells = list(_cells(strip))
    read = [not _is_hidden(classes[cell.grow(margin, grid.shape).within(around)]) for cell in cells]
    reader.expect(BAND_NAMES, [cell for cell, wanted in zip(cells, read, strict=True) if wanted])
    for cell, wanted in zip(cells, read, strict=True):
        raster.write(cell, 0, classes[cell.within(around)])
        if wanted:
            bands = {name: reader.read_reflectance(name, cell, origin[cell.within(around)]) for name in BAND_NAMES}
            for band, codes in enumerate(encode_layers(bands), 1):
                raster.write(cell, band, codes)
    counts = _count_classes(classes[strip.within(around)], grid.inside(strip))
    return Counter({code: int(count) for code, count in enumerate(counts) if count}), read.count(False)


@njit(nogil=True, cache=True)
def _count_classes(classes: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    counts = np.zeros(256, np.int64)
    for row in range(classes.shape[0]):
        for column in range(classes.shape[1]):
            counts[classes[row, column]] += inside[row, column]
    return counts


@njit(nogil=True, cache=True)
def _is_hidden(classes: NDArray[np.uint8]) -> bool:
    for row in classes:
        for code in row:
            if code not in UNREAD_CLASSES:
                return False
    return True


def _cells(strip: Window) -> Iterator[Window]:
    for column in range(strip.column, strip.column + strip.width, CELL):
        yield Window(strip.row, column, strip.height, min(CELL, strip.column + strip.width - column))
