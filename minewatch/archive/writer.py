"""Reads a datatake onto the grids of areas, and writes what the archive keeps of it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from minewatch.archive.item import UNREAD_CLASSES, UNREAD_MARGIN_M
from minewatch.archive.publication import TempRaster, WriteStats, finish_temp_raster
from minewatch.archive.raster import RasterWriter
from minewatch.areas.grid import ARCHIVE_BLOCK, PIXEL, Grid, Window
from minewatch.core.compilation import njit
from minewatch.core.errors import SceneError
from minewatch.core.files import AnyPath, make_private_folder, sync
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.raster.indices import EMPTY, LAYERS, encode_layers
from minewatch.raster.read import DatatakeFiles, DatatakeReader, open_datatake
from minewatch.raster.reflectance import find_measured
from minewatch.raster.resampling import CLASS_END
from minewatch.settings.pipeline import Conflict
from minewatch.settings.scl import CLOUD_CLASSES, NO_DATA
from minewatch.sources.reflectance_offset import BOA_OFFSET, DarkPixels, OffsetCheck, check_offset, count_dark_pixels
from minewatch.sources.scene import Datatake, Scene

BAND_NAMES = sorted({name for layer in LAYERS for name in layer.bands})
"""Bands that the layers are made from."""

SWATH = 8 * ARCHIVE_BLOCK
"""Width, in pixels, that is read at a time: four blocks of a Sentinel-2 tile; blocks at its edges may be decoded twice."""

NOBODY = np.int8(-1)
"""Origin of a pixel that comes from no scene."""


class Target(NamedTuple):
    """A datatake and the area it is read for."""

    datatake: Datatake
    """With the scenes that meet the area."""

    grid: Grid
    """The area's."""

    folder: AnyPath
    """Of its archive."""

    conflict: Conflict = "refuse"
    """What to do with scenes whose pixels contradict the offset in their metadata."""

    pixel: int = PIXEL
    """Metres of the pixels in which bands of 10 m are read."""


def write_temp_rasters(targets: Sequence[Target]) -> list[TempRaster | SceneError]:
    """Read one datatake onto the grid of each area and write it under a temporary name in the area's folder.

    Each scene is opened once for all areas, which read pixels of one size.  Where reading fails for an area, its place holds the
    SceneError.
    """
    scenes = {scene.id: scene for target in targets for scene in (*target.datatake.scenes, *target.datatake.older)}
    first = targets[0].datatake
    results: list[TempRaster | SceneError] = []
    joined = Datatake(first.key, first.time, tuple(scenes[name] for name in sorted(scenes)))
    with open_datatake(joined, pixel=targets[0].pixel) as files:
        for target in targets:
            before = files.received.total
            try:
                written = _write_temp_raster(target, files)
                results.append(replace(written, stats=replace(written.stats, received=files.received.total - before)))
            except SceneError as error:
                results.append(error.detach())
    return results


def _write_temp_raster(target: Target, files: DatatakeFiles) -> TempRaster:
    """Write a raster, and again while scenes whose pixels contradict their metadata have to be left out or corrected."""
    datatake, checks, refused, handled = target.datatake, dict[str, OffsetCheck](), list[Scene](), set[str]()
    with _open_temp_file(target.folder) as path:
        while True:
            stats = _fill_raster(path, files.on(target.grid, datatake.scenes), target)
            checks |= {name: check for name, check in stats.checks.items() if name not in handled}
            wrong = {name for name in stats.checks if checks[name].outcome == "contradict"} - handled
            handled |= wrong
            if not wrong or target.conflict == "metadata":
                break
            if target.conflict == "refuse":
                refused += [scene for scene in datatake.scenes if scene.id in wrong]
                datatake = datatake.without({scene.id for scene in refused})
            else:
                datatake = replace(
                    datatake, scenes=tuple(_believe_pixels(s, checks[s.id]) if s.id in wrong else s for s in datatake.scenes)
                )
        path.chmod(0o600)
        sync(path)
        return finish_temp_raster(
            datatake, path, target.folder, replace(stats, checks=checks, refused=sorted(refused, key=lambda scene: scene.id))
        )


def _believe_pixels(scene: Scene, check: OffsetCheck) -> Scene:
    return replace(
        scene, offset=0 if check.stated else BOA_OFFSET, offset_reason=f"its pixels, against its metadata: {check.describe()}"
    )


def _fill_raster(path: Path, reader: DatatakeReader, target: Target) -> WriteStats:
    grid, stats = target.grid, WriteStats(target.pixel)
    dark = [DarkPixels() for _ in reader.readers]
    raster = RasterWriter(path, grid)
    with contextlib.closing(raster):
        strips = cut_strips(grid)
        for strip, following in zip(strips, [*strips[1:], None], strict=True):
            counts = _copy_strip(reader, raster, grid, strip, following, stats)
            dark = [before + DarkPixels(*more) for before, more in zip(dark, counts.tolist(), strict=True)]
    for scene, pixels in zip(reader.readers, dark, strict=True):
        stats.checks[scene.scene.id] = check_offset(scene.offset, scene.scene.baseline, pixels)
    return stats


def cut_strips(grid: Grid) -> list[Window]:
    """Return rows of blocks, swath after swath from the left, so that memory does not grow with the width."""
    return sorted(grid.window.cut(ARCHIVE_BLOCK, SWATH), key=lambda strip: strip.column)


@contextlib.contextmanager
def _open_temp_file(folder: AnyPath) -> Iterator[Path]:
    """Yield a temporary file in the archive, or on this machine for an object store; it is deleted where the caller fails."""
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


def _copy_strip(
    reader: DatatakeReader, raster: RasterWriter, grid: Grid, strip: Window, following: Window | None, stats: WriteStats
) -> NDArray[np.int64]:
    """Copy one row of blocks and update the statistics; return each scene's dark pixels, as :func:`count_dark_pixels` does."""
    view = view_strip(reader, grid, strip, following)
    around, classes, origin = view.around, view.classes, view.origin
    for scene, windows in zip(reader.readers, view.list_needed(len(reader.readers)), strict=True):
        if windows:
            scene.prefetch(BAND_NAMES, windows)
    offsets = np.array([scene.offset for scene in reader.readers], np.int32)
    dark = np.zeros((len(offsets), 3), np.int64)
    inside = grid.inside(strip)
    for block, is_visible in view.blocks.items():
        part = block.within(around)
        if is_visible:
            chosen = np.ascontiguousarray(origin[part])
            bands = _read_block(reader, block, chosen)
            dark += count_dark_pixels(classes[part], chosen, bands, offsets)
            measured = find_measured(bands)
            if not measured.all() and len(offsets) > 1 and _fall_back(reader, block, classes[part], chosen, measured):
                bands = _read_block(reader, block, chosen)
                measured = find_measured(bands)
            layers = encode_layers(bands)
            if not measured.all():
                broken = _clear_broken(classes[part], layers, measured, inside[block.within(strip)])
                stats.broken.update({code: int(count) for code, count in enumerate(broken) if count})
            for band, codes in enumerate(layers, 1):
                raster.write(block, band, codes)
        raster.write(block, 0, classes[part])
    counts = count_classes(classes[strip.within(around)], inside)
    stats.classes.update({code: int(count) for code, count in enumerate(counts) if count})
    stats.unread_blocks += list(view.blocks.values()).count(False)
    return dark


class StripView(NamedTuple):
    """The scene classes of a row of blocks, and what has to be read of it."""

    around: Window
    """The row and its margin."""

    classes: NDArray[np.uint8]
    """(y, x) of ``around``, 0 = no data."""

    origin: NDArray[np.int8]
    """(y, x) number of the scene that each pixel comes from, -1 = none."""

    blocks: dict[Window, bool]
    """Each block, and whether its indices are read."""

    def list_needed(self, scenes: int) -> list[list[Window]]:
        """Return the blocks that are read of each of a number of scenes."""
        visible = [block for block, is_visible in self.blocks.items() if is_visible]
        return [[b for b in visible if (self.origin[b.within(self.around)] == index).any()] for index in range(scenes)]


def view_strip(reader: DatatakeReader, grid: Grid, strip: Window, following: Window | None) -> StripView:
    """Read the scene classes of a row of blocks, and begin to fetch those of the row that follows."""
    margin = UNREAD_MARGIN_M // PIXEL
    around = strip.grow(margin, grid.shape)
    reader.prefetch(["scl"], [around, *([following.grow(margin, grid.shape)] if following else [])])
    classes, origin = reader.read_scl(around)
    blocks = strip.cut(ARCHIVE_BLOCK, ARCHIVE_BLOCK)
    visible = {block: not _is_hidden(classes[block.grow(margin, grid.shape).within(around)]) for block in blocks}
    return StripView(around, classes, origin, visible)


def _read_block(reader: DatatakeReader, block: Window, origin: NDArray[np.int8]) -> dict[str, NDArray[np.int16]]:
    return {name: reader.read_reflectance(name, block, origin) for name in BAND_NAMES}


def _fall_back(
    reader: DatatakeReader, block: Window, classes: NDArray[np.uint8], origin: NDArray[np.int8], measured: NDArray[np.bool_]
) -> bool:
    """Take pixels that are no reflectance from the next scene that measured them, in place; False where none did."""
    missing = ~measured & (classes != NO_DATA)
    filled = np.zeros_like(missing)
    for index in range(1, len(reader.readers)):
        tried = missing & (origin < index)
        if tried.any():
            codes = reader.readers[index].read("scl", block)
            seen = find_measured(_read_block(reader, block, np.where(tried, np.int8(index), NOBODY)))
            found = tried & seen & (codes > NO_DATA) & (codes < CLASS_END)
            classes[found], origin[found] = codes[found], index
            missing, filled = missing & ~found, filled | found
    return bool(filled.any())


@njit(nogil=True, cache=True)
def _clear_broken(
    classes: NDArray[np.uint8], layers: NDArray[np.uint8], measured: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Make pixels that are no reflectance no data, in place; return how many ``inside`` had each class.

    Clouds keep their class, as where nothing is read under them: the margin around them depends on it.
    """
    counts = np.zeros(CLASS_END, np.int64)
    for row in range(classes.shape[0]):
        for column in range(classes.shape[1]):
            if not measured[row, column]:
                layers[:, row, column] = EMPTY
                code = classes[row, column]
                if code != NO_DATA and code not in CLOUD_CLASSES:
                    counts[code] += inside[row, column]
                    classes[row, column] = NO_DATA
    return counts


@njit(nogil=True, cache=True)
def count_classes(classes: NDArray[np.uint8], inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many pixels inside an area have each class, 0 to 255."""
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
