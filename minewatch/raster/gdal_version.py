"""Says which GDAL reads pixels, and loads nothing else: ``minewatch --version`` waits for it."""

from __future__ import annotations

import rasterio


def describe_gdal() -> str:
    """Return the version of GDAL, and of the package that brings it."""
    return f"GDAL {rasterio.__gdal_version__} (rasterio {rasterio.__version__})"
