"""Reads a datatake onto the grids of areas, and writes what the archive keeps of it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from minewatch.archive.item import UNREAD_CLASSES, UNREAD_MARGIN_M
from minewatch.archive.publication import TempRaster, WriteStats, hand_over
from minewatch.archive.raster import RasterWriter
from minewatch.areas.grid import ARCHIVE_BLOCK, PIXEL, Grid, Window
from minewatch.core.errors import SceneError
from minewatch.core.files import AnyPath, make_private_folder, sync
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.raster.indices import LAYERS, encode_layers
from minewatch.raster.read import DatatakeFiles, DatatakeReader, open_datatake
from minewatch.settings.pipeline import Conflict
from minewatch.sources.reflectance_offset import DarkPixels, OffsetCheck, check_offset, count_dark_pixels
from minewatch.sources.scene import Datatake, Scene

BAND_NAMES = sorted({name for layer in LAYERS for name in layer.bands})
"""Bands that the layers are made from."""

SWATH = 8 * ARCHIVE_BLOCK
"""Pixels of a grid that are read side by side, four blocks of a Sentinel-2 tile; at its edges blocks may be inflated twice."""


class Target(NamedTuple):
    """An overpass for an area."""

    take: Datatake
    """With the scenes that meet the area."""

    grid: Grid
    """The area's."""

    folder: AnyPath
    """Of its archive."""

    conflict: Conflict = "refuse"
    """What to do with scenes whose pixels contradict the offset in their metadata."""


def write_temp_rasters(targets: Sequence[Target]) -> list[TempRaster | SceneError]:
    """Read one overpass onto the grid of each area and write it under a temporary name in the area's folder.

    Each scene is opened once for all areas.  What cannot be read for an area is a SceneError in its place.
    """
    scenes = {scene.id: scene for target in targets for scene in (*target.take.scenes, *target.take.older)}
    first = targets[0].take
    results: list[TempRaster | SceneError] = []
    with open_datatake(Datatake(first.key, first.time, tuple(scenes[name] for name in sorted(scenes)))) as files:
        for target in targets:
            try:
                results.append(_write_draft(target, files))
            except SceneError as error:
                results.append(error.detach())
    return results


def _write_draft(target: Target, files: DatatakeFiles) -> TempRaster:
    """Write a draft, and write it again as long as a scene's pixels contradict its metadata and that has to change it."""
    take, checks, refused, settled = target.take, dict[str, OffsetCheck](), list[Scene](), set[str]()
    with _drafting(target.folder) as path:
        while True:
            findings = _fill_raster(path, files.on(target.grid, take.scenes), target.grid)
            checks |= {name: check for name, check in findings.checks.items() if name not in settled}
            wrong = {name for name in findings.checks if checks[name].outcome == "contradict"} - settled
            settled |= wrong
            if not wrong or target.conflict == "metadata":
                break
            if target.conflict == "refuse":
                refused += [scene for scene in take.scenes if scene.id in wrong]
                take = take.without({scene.id for scene in refused})
            else:
                take = replace(take, scenes=tuple(_believe_pixels(s, checks[s.id]) if s.id in wrong else s for s in take.scenes))
        path.chmod(0o600)
        sync(path)
        return hand_over(take, path, target.folder, replace(findings, checks=checks, refused=refused))


def _believe_pixels(scene: Scene, check: OffsetCheck) -> Scene:
    return replace(scene, offset=check.opposite, offset_reason=f"its pixels, against its metadata: {check.describe()}")


def _fill_raster(path: Path, reader: DatatakeReader, grid: Grid) -> WriteStats:
    findings = WriteStats()
    dark = [DarkPixels() for _ in reader.readers]
    raster = RasterWriter(path, grid)
    with contextlib.closing(raster):
        strips = list(_strips(grid))
        for strip, following in zip(strips, [*strips[1:], None], strict=True):
            counts = _copy_strip(reader, raster, grid, strip, following, findings)
            dark = [before + DarkPixels(*more) for before, more in zip(dark, counts.tolist(), strict=True)]
    for scene, pixels in zip(reader.readers, dark, strict=True):
        findings.checks[scene.scene.id] = check_offset(scene.offset, scene.scene.baseline, pixels)
    return findings


@contextlib.contextmanager
def _drafting(folder: AnyPath) -> Iterator[Path]:
    """Yield a temporary file of the archive, or of this machine for an object store; none is left where the block fails."""
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
        for row in range(0, height, ARCHIVE_BLOCK):
            yield Window(row, column, min(ARCHIVE_BLOCK, height - row), min(SWATH, width - column))


def _copy_strip(
    reader: DatatakeReader, raster: RasterWriter, grid: Grid, strip: Window, following: Window | None, findings: WriteStats
) -> NDArray[np.int64]:
    """Copy one row of cells and note what was found; gives the dark pixels of each scene, as :func:`count_dark_pixels` does."""
    margin = UNREAD_MARGIN_M // PIXEL
    around = strip.grow(margin, grid.shape)
    reader.prefetch(["scl"], [around, *([following.grow(margin, grid.shape)] if following else [])])
    classes, origin = reader.read_scl(around)
    cells = list(_cells(strip))
    read = [not _is_hidden(classes[cell.grow(margin, grid.shape).within(around)]) for cell in cells]
    reader.prefetch(BAND_NAMES, [cell for cell, wanted in zip(cells, read, strict=True) if wanted])
    offsets = np.array([scene.offset for scene in reader.readers], np.int32)
    dark = np.zeros((len(offsets), 3), np.int64)
    for cell, wanted in zip(cells, read, strict=True):
        part = cell.within(around)
        raster.write(cell, 0, classes[part])
        if wanted:
            bands = {name: reader.read_reflectance(name, cell, origin[part]) for name in BAND_NAMES}
            dark += count_dark_pixels(classes[part], origin[part], bands, offsets)
            for band, codes in enumerate(encode_layers(bands), 1):
                raster.write(cell, band, codes)
    counts = _count_classes(classes[strip.within(around)], grid.inside(strip))
    findings.classes.update({code: int(count) for code, count in enumerate(counts) if count})
    findings.unread_cells += read.count(False)
    return dark


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
    for column in range(strip.column, strip.column + strip.width, ARCHIVE_BLOCK):
        yield Window(strip.row, column, strip.height, min(ARCHIVE_BLOCK, strip.column + strip.width - column))
