"""Writes the change map of an area from its tiles, and reads what was published."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.io import DatasetWriter
from rasterio.windows import Window as RasterWindow

from minewatch import __version__
from minewatch.areas.area_plan import AreaPlan
from minewatch.areas.grid import Grid, Window
from minewatch.core.errors import WorkspaceError, describe
from minewatch.core.files import AnyPath, make_private_folder, read_files, upload
from minewatch.core.temp_files import clean_stale, make_temp_name
from minewatch.detection.change_map import EPISODE, RASTERS, ChangeLayer, Status, TileChanges
from minewatch.detection.change_record import AreaChanges
from minewatch.detection.coverage import CoverageCount
from minewatch.detection.scene_quality import SceneQuality
from minewatch.detection.tiles import list_tiles
from minewatch.raster.cog import BLOCK, limit_cache, publish_cog, wrap_raster_errors
from minewatch.settings.credits import tag_credit


class ChangeMap:
    """The change map of an area while its tiles come; published when all tiles are there."""

    def __init__(self, folder: AnyPath, area: AreaPlan, scene_quality: SceneQuality, credit: str = "") -> None:
        self._area, self._scene_quality = area, scene_quality
        self._folder, self._credit, self._missing = folder, credit, len(list_tiles(area))
        self._count, self._episodes = CoverageCount(), [np.empty(0, EPISODE)]
        self._open = contextlib.ExitStack()
        self._rasters: Mapping[str, DatasetWriter] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.__exit__(kind, error, trace)

    def add(self, changes: TileChanges) -> None:
        """Add a tile, in any order; the files are open from the first to the last."""
        self._rasters = self._rasters or self._open.enter_context(_writing_rasters(self._folder, self._area, self._credit))
        window = _make_window(changes.window)
        for name, raster in self._rasters.items():
            raster.write(changes.rasters[name], 1, window=window)
        self._count.add(changes)
        self._episodes.append(changes.episodes[changes.episodes["provisional_on"] > 0])
        self._missing -= 1
        if self._missing == 0:
            self._open.close()

    @property
    def changes(self) -> AreaChanges:
        """What the tiles tell of the area."""
        return AreaChanges(self._scene_quality, self._count, np.concatenate(self._episodes))


def read_published(folder: AnyPath, area: AreaPlan, name: str) -> NDArray[Any] | None:
    """Read a published raster, (y, x); None where it is of another date or grid, or of other settings.

    Raises WorkspaceError where it cannot be read.
    """
    path = folder / f"{name}.tif"
    try:
        with rasterio.MemoryFile(read_files([path])[0]) as memory, memory.open() as raster:
            tags = raster.tags()
            found = tags.get("as_of"), tags.get("pipeline_digest"), raster.shape
            values: NDArray[Any] = raster.read(1)
            return values if found == (area.until.isoformat(), area.pipeline.digest, area.grid.shape) else None
    except (OSError, rasterio.errors.RasterioError) as error:
        raise WorkspaceError(f"{path} cannot be read: {describe(error)}") from error


def redraw_raster(
    folder: Path, area: AreaPlan, credit: str, name: str, redraw: Callable[[Window, NDArray[Any]], NDArray[Any]]
) -> None:
    """Write a published raster anew: each tile as ``redraw`` makes it from its window and its values."""
    with (
        wrap_raster_errors(folder),
        rasterio.open(folder / f"{name}.tif") as source,
        _writing_rasters(folder, area, credit, [name]) as rasters,
    ):
        for tile in list_tiles(area):
            window = _make_window(tile)
            rasters[name].write(redraw(tile, source.read(1, window=window)), 1, window=window)


def _make_window(tile: Window) -> RasterWindow:
    return RasterWindow(tile.column, tile.row, tile.width, tile.height)


STATUS_COLOURS: Mapping[Status, tuple[int, int, int, int]] = {
    Status.OUTSIDE: (0, 0, 0, 0),
    Status.NEVER_COVERED: (60, 60, 60, 255),
    Status.NO_VEGETATION: (222, 209, 178, 255),
    Status.NOT_MONITORED: (150, 140, 180, 255),
    Status.STABLE: (196, 222, 190, 255),
    Status.PROVISIONAL: (240, 140, 0, 255),
    Status.CONFIRMED: (200, 16, 46, 255),
    Status.CLOSED: (95, 107, 115, 255),
}
"""Red, green, blue, opacity."""


@contextlib.contextmanager
def _writing_rasters(
    folder: AnyPath, area: AreaPlan, credit: str, names: Iterable[str] = tuple(RASTERS)
) -> Iterator[Mapping[str, DatasetWriter]]:
    """Yield open rasters of one area by name, by default all; the files appear together when the block ends well.

    For an object store they are made in the temporary folder of this machine.
    """
    home = make_private_folder(folder) if isinstance(folder, Path) else None
    if home:
        clean_stale(home)
    with (
        wrap_raster_errors(home or Path(tempfile.gettempdir())),
        tempfile.TemporaryDirectory(prefix=make_temp_name(), dir=home) as scratch,
        limit_cache(),
        contextlib.ExitStack() as stack,
    ):
        parts = {name: Path(scratch) / f"{name}.tif" for name in names}
        rasters = {name: stack.enter_context(_open(part, area.grid, RASTERS[name])) for name, part in parts.items()}
        yield rasters
        for name, raster in rasters.items():
            raster.update_tags(
                aoi=area.aoi.name,
                as_of=area.until.isoformat(),
                monitor_from=area.monitor_from.isoformat(),
                pipeline=area.pipeline_name,
                pipeline_digest=area.pipeline.digest,
                software=f"minewatch {__version__}",
                name=name,
                meaning=RASTERS[name].meaning,
                **tag_credit(credit),
            )
        stack.close()
        target = folder if isinstance(folder, Path) else make_private_folder(Path(scratch) / "whole")
        for name, part in parts.items():
            publish_cog(part, target / f"{name}.tif", predict=name != "status")  # a palette has no predictor
        if not isinstance(folder, Path):
            upload({target / f"{name}.tif": folder / f"{name}.tif" for name in parts})


def _open(path: Path, grid: Grid, layer: ChangeLayer) -> DatasetWriter:
    raster = rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=grid.shape[0],
        width=grid.shape[1],
        count=1,
        dtype=layer.dtype,
        nodata=layer.nodata,
        crs=grid.crs,
        transform=grid.transform,
        tiled=True,
        blockxsize=BLOCK,
        blockysize=BLOCK,
        compress="zstd",
        zstd_level=1,
        sparse_ok=True,
    )
    raster.scales = (layer.scale,)
    raster.set_band_description(1, layer.meaning)
    if layer is RASTERS["status"]:
        raster.write_colormap(1, {int(status): colour for status, colour in STATUS_COLOURS.items()})
    return raster
