"""Writes the change map, and pictures, as COGs that QGIS shows readably."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import DatasetWriter
from rasterio.windows import Window as RasterWindow

from minewatch.areas.grid import Grid
from minewatch.core.errors import WorkspaceError, describe
from minewatch.core.files import Place, is_full, make_private_folder, publishing, upload
from minewatch.core.temp_files import clean_stale, make_temp_name
from minewatch.detection.change_map import RASTERS, ChangeLayer, Status, TileChanges

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

BLOCK = 512

CACHE = 32 * 2**20
"""Bytes that GDAL may keep of the rasters; left alone, it takes a twentieth of the machine's memory."""


@contextlib.contextmanager
def writing_changes(folder: Place, grid: Grid, tags: Mapping[str, str]) -> Iterator[ChangeWriter]:
    """Lend a writer for the rasters of one area; the files appear together when the block ends well.

    For an object store they are made in the temporary folder of this machine.
    """
    home = make_private_folder(folder) if isinstance(folder, Path) else None
    if home:
        clean_stale(home)
    with (
        _naming_refusals(home or Path(tempfile.gettempdir())),
        tempfile.TemporaryDirectory(prefix=make_temp_name(), dir=home) as scratch,
        rasterio.Env(GDAL_CACHEMAX=CACHE),
        contextlib.ExitStack() as stack,
    ):
        parts = {name: Path(scratch) / f"{name}.tif" for name in RASTERS}
        writer = ChangeWriter({name: stack.enter_context(_open(parts[name], grid, RASTERS[name])) for name in RASTERS})
        yield writer
        for name, raster in writer.rasters.items():
            raster.update_tags(**tags, name=name, meaning=RASTERS[name].meaning)
        stack.close()
        target = folder if isinstance(folder, Path) else make_private_folder(Path(scratch) / "whole")
        for name in RASTERS:
            _publish_cog(parts[name], target / f"{name}.tif", RASTERS[name])
        if not isinstance(folder, Path):
            upload({target / f"{name}.tif": folder / f"{name}.tif" for name in RASTERS})


@contextlib.contextmanager
def _naming_refusals(folder: Path) -> Iterator[None]:
    """Say in one line that rasters cannot be written; GDAL's own errors are of many kinds and tell little."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.split(".")[0] != "rasterio":
            raise
        reason = "the disk is full" if is_full(folder) else f"GDAL says: {describe(error)}"
        remedy = "check room and permissions, and run the same command again; what was finished is kept"
        raise WorkspaceError(f"cannot write rasters in {folder}: {reason}; {remedy}") from error


class ChangeWriter:
    """Takes tiles in any order."""

    def __init__(self, rasters: Mapping[str, DatasetWriter]) -> None:
        self.rasters = rasters

    def write(self, tile: TileChanges) -> None:
        """Put one tile in its place."""
        window = RasterWindow(tile.window.column, tile.window.row, tile.window.width, tile.window.height)
        for name, raster in self.rasters.items():
            raster.write(tile.rasters[name], 1, window=window)


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


def _publish_cog(part: Path, target: Path, layer: ChangeLayer) -> None:
    options: dict[str, Any] = {
        "compress": "deflate",
        "blocksize": BLOCK,
        "overview_resampling": "nearest",
        "num_threads": "all_cpus",
    }
    if layer is not RASTERS["status"]:  # a palette and a predictor do not go together
        options["predictor"] = "yes"
    with publishing(target) as temporary:
        rasterio.shutil.copy(part, temporary, driver="COG", **options)


def write_picture(path: Path, grid: Grid, colours: NDArray[np.uint8], known: NDArray[np.bool_], tags: Mapping[str, str]) -> None:
    """Write a true-colour picture on a grid as a COG: (y, x, 3) red, green, blue, transparent where nothing is known."""
    opacity = np.where(known, 255, 0).astype(np.uint8)
    profile: dict[str, Any] = {"height": grid.shape[0], "width": grid.shape[1], "count": 4, "dtype": "uint8"}
    with (
        _naming_refusals(path.parent),
        publishing(path) as temporary,
        rasterio.Env(GDAL_CACHEMAX=CACHE),
        rasterio.MemoryFile() as memory,
    ):
        with memory.open(
            driver="GTiff", crs=grid.crs, transform=grid.transform, photometric="RGB", alpha="YES", **profile
        ) as raster:
            raster.write(np.concatenate([np.moveaxis(colours, -1, 0), opacity[None]]))
            raster.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
            raster.update_tags(**tags)
        with memory.open() as raster:
            rasterio.shutil.copy(raster, temporary, driver="COG", compress="deflate", predictor="yes", blocksize=BLOCK)
