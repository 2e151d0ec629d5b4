"""Reflectance around an alert on one date: read from the source, written as a COG, read back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader

from minewatch.areas.grid import Grid, Window
from minewatch.core.errors import EvidenceError
from minewatch.core.units import NODATA, SCALE
from minewatch.raster.read import DatatakeReader
from minewatch.raster.tiff_writer import BandText, describe_place, describe_texts, render_cog, take_every_second
from minewatch.settings.providers import BANDS
from minewatch.sources.scene import Scene

BLOCK = 256
"""Side of a block of the COGs, pixels."""

MOST_PIXELS = 5000 * 5000
"""Of an image in evidence of unknown origin: a square of 50 km."""

GDAL_VERSION = str(rasterio.__gdal_version__)
"""Of the library that reads rasters."""


@dataclass(frozen=True)
class EvidenceImage:
    """An image of evidence: a window of one overpass."""

    bands: tuple[str, ...]
    """Names of the reflectance bands."""

    reflectance: NDArray[np.int16]
    """(band, y, x) reflectance x 10 000, -32768 = no data."""

    classes: NDArray[np.uint8]
    """(y, x) SCL codes, 0 = no data."""

    def compute_ndvi(self) -> NDArray[np.float64]:
        """Return (y, x) NDVI; NaN where a band has no data, or both are zero."""
        red, nir = (self.reflectance[self.bands.index(band)].astype(np.float64) for band in ("red", "nir"))
        total = red + nir
        is_known = (red != NODATA) & (nir != NODATA) & (total > 0)
        ndvi = np.full(red.shape, np.nan)
        np.divide(nir - red, total, out=ndvi, where=is_known)
        return ndvi

    def stack_colours(self) -> NDArray[np.int16]:
        """Return (y, x, 3) red, green, blue; where the source has no green, the mean of red and blue stands in for it."""
        layers = {band: self.reflectance[index] for index, band in enumerate(self.bands)}
        if "green" not in layers:
            red, blue = layers["red"], layers["blue"]
            mean = ((red.astype(np.int32) + blue) // 2).astype(np.int16)
            layers["green"] = np.where((red == NODATA) | (blue == NODATA), np.int16(NODATA), mean)
        return np.stack([layers[band] for band in ("red", "green", "blue")], axis=-1)


def name_bands(scenes: Sequence[Scene]) -> tuple[str, ...]:
    """Name the reflectance bands that all scenes have."""
    return tuple(band for band in BANDS if band != "scl" and all(band in scene.hrefs for scene in scenes))


def read_evidence_image(reader: DatatakeReader, bands: tuple[str, ...], window: Window) -> EvidenceImage:
    """Read a window of the scenes; raises SceneError where a file cannot be read."""
    classes, origin = reader.read_scl(window)
    return EvidenceImage(bands, np.stack([reader.read_reflectance(band, window, origin) for band in bands]), classes)


def render_evidence_image(image: EvidenceImage, grid: Grid, window: Window, tags: Mapping[str, str]) -> tuple[bytes, bytes]:
    """Return reflectance and classes as two COGs."""
    place = describe_place(grid.epsg, grid.transform_of(window))
    bands = [BandText(f"{band} reflectance", 1 / SCALE) for band in image.bands]
    return (
        render_cog(image.reflectance, [*place, *describe_texts(tags, bands)], BLOCK, nodata=NODATA, halve=take_every_second),
        render_cog(
            image.classes[None], [*place, *describe_texts(tags, [BandText("scl")])], BLOCK, nodata=0, halve=take_every_second
        ),
    )


def parse_evidence_image(image: bytes, classes: bytes) -> EvidenceImage:
    """Read an image back from the bytes of its two files; raises EvidenceError where they are none."""
    try:
        with _opening(image) as raster:
            bands = tuple(str(name).split(" ")[0] for name in raster.descriptions)
            if not set(bands) < set(BANDS) or set(raster.dtypes) != {"int16"}:
                raise EvidenceError("an image has other bands than evidence")
            reflectance = raster.read()
        with _opening(classes) as raster:
            return EvidenceImage(bands, reflectance, raster.read(1))
    except (RasterioError, UnicodeDecodeError) as error:
        raise EvidenceError(f"an image cannot be read ({type(error).__name__})") from error


@contextlib.contextmanager
def _opening(data: bytes) -> Iterator[DatasetReader]:
    with rasterio.MemoryFile(data) as memory, memory.open(driver="GTiff") as raster:
        if raster.height * raster.width > MOST_PIXELS:
            raise EvidenceError("an image is larger than any evidence")
        yield raster


def compare_evidence_images(kept: EvidenceImage, fetched: EvidenceImage) -> list[str]:
    """Name the bands whose pixels differ, and in how many."""
    if kept.bands != fetched.bands or {kept.classes.shape, kept.reflectance.shape[1:]} != {fetched.classes.shape}:
        return ["the source gives other bands or another extent"]
    pairs = [*zip(kept.bands, kept.reflectance, fetched.reflectance, strict=True), ("scl", kept.classes, fetched.classes)]
    counts = {band: int((ours != theirs).sum()) for band, ours, theirs in pairs}
    return [
        f"{band}: {count} of {kept.classes.size} pixels are not as the source gives them"
        for band, count in counts.items()
        if count
    ]
