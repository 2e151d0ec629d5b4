"""Rasters of alerts as other systems write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

LONLAT = (0.0001, -70.02, -12.98)
"""Pixel size, west and north in degrees."""

UTM = (30.0, 389_000.0, 8_565_000.0)
"""The same in metres of EPSG:32719, about the same place."""


def write_raster(
    path: Path,
    bands: Sequence[NDArray[np.generic]],
    epsg: int | None = 4326,
    origin: tuple[float, float, float] = LONLAT,
    *,
    tiled: bool = True,
    nodata: float | None = None,
    names: Sequence[str] = (),
) -> Path:
    """Write bands of one shape as a GeoTIFF and return its path; without ``epsg`` it says nowhere where it lies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size, west, north = origin
    blocks = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "lzw"} if tiled else {"tiled": False}
    with rasterio.open(
        path, "w", driver="GTiff", height=bands[0].shape[0], width=bands[0].shape[1], count=len(bands), dtype=bands[0].dtype,
        crs=f"EPSG:{epsg}" if epsg else None, transform=from_origin(west, north, size, size), nodata=nodata, **blocks,
    ) as raster:  # fmt: skip
        for number, band in enumerate(bands, 1):
            raster.write(band, number)
            if names:
                raster.set_band_description(number, names[number - 1])
    return path


def patch(value: int, dtype: str = "uint8", shape: tuple[int, int] = (300, 300), background: int = 0) -> NDArray[np.generic]:
    """Return pixels with a square of 10 pixels that has a value, from row and column 100 on."""
    pixels = np.full(shape, background, dtype)
    pixels[100:110, 100:110] = value
    return pixels
