"""Writes cloud-optimised GeoTIFFs, atomically."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from minewatch.areas.grid import Grid
from minewatch.core.errors import WorkspaceError, describe
from minewatch.core.files import is_full, publish_bytes, publishing
from minewatch.raster.tiff_writer import average_pairs, describe_place, describe_texts, render_cog

BLOCK = 512
"""Pixels of each side of a block."""

CACHE = 32 * 2**20
"""Bytes of GDAL's block cache; by default it is a twentieth of the machine's memory."""


def limit_cache() -> rasterio.Env:
    """Return the environment in which GDAL's block cache is limited to CACHE."""
    return rasterio.Env(GDAL_CACHEMAX=CACHE)


@contextlib.contextmanager
def wrap_raster_errors(folder: Path) -> Iterator[None]:
    """Raise WorkspaceError, with a one-line message, for errors of GDAL, which are of many kinds and say little."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.split(".")[0] != "rasterio":
            raise
        reason = "the disk is full" if is_full(folder) else f"GDAL says: {describe(error)}"
        remedy = "check room and permissions, and run the same command again; what was finished is kept"
        raise WorkspaceError(f"cannot write rasters in {folder}: {reason}; {remedy}") from error


def publish_cog(source: Any, target: Path, *, predict: bool = True) -> None:
    """Write a raster as a COG; ``source`` is the path of a GeoTIFF or an open dataset."""
    options = {"compress": "deflate", "predictor": "yes" if predict else "no", "blocksize": BLOCK}
    with publishing(target) as temporary:
        rasterio.shutil.copy(source, temporary, driver="COG", overview_resampling="nearest", num_threads="all_cpus", **options)


def find_damage(path: Path) -> str:
    """Return that a raster cannot be read to its end; '' where it can.

    Its last block is read alone: that of the full resolution stands at the end of a COG, so a file that was cut off lacks it.
    """
    is_whole = False
    with contextlib.suppress(RasterioError, OSError, ValueError), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, driver="GTiff") as raster:
            height, width = raster.shape
            raster.read(1, window=Window(width - 1, height - 1, 1, 1))
            is_whole = raster.crs is not None
    return "" if is_whole else f"{path} is cut off or damaged"


def write_picture(path: Path, grid: Grid, colours: NDArray[np.uint8], known: NDArray[np.bool_], tags: Mapping[str, str]) -> None:
    """Write a true-colour image on a grid as a COG: (y, x, 3) red, green, blue, transparent where not ``known``."""
    opacity = np.where(known, 255, 0).astype(np.uint8)
    pixels = np.concatenate([np.moveaxis(colours, -1, 0), opacity[None]])
    described = [*describe_place(grid.epsg, grid.transform), *describe_texts(tags)]
    publish_bytes(path, render_cog(pixels, described, BLOCK, halve=average_pairs))
