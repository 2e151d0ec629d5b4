"""Builders of tiny Sentinel-2 scenes whose every pixel a test knows: GeoTIFFs, STAC items, static catalogues, grids."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from shapely.geometry import box, mapping

from minewatch.areas.grid import Grid
from minewatch.sources.scene import Scene

EPSG = 32719
"""UTM zone 19 south: Madre de Dios."""

LEFT, TOP = 350_000, 8_590_000
"""North-west corner of the tiny scenes in metres, on the 20 m lattice."""

FOREST = {"blue": 300, "green": 500, "red": 400, "nir": 3200, "swir16": 1500, "scl": 4}
"""Digital numbers of healthy forest, SCL vegetation."""

COARSE = ("swir16", "scl")
"""Bands of 20 m; the others have 10 m."""

NAME = "S2A_19LCF_20200704_0_L2A"
TIME = dt.datetime(2020, 7, 4, 14, 50, 21, tzinfo=dt.UTC)


def lay_grid(height: int, width: int, left: int = LEFT, top: int = TOP, epsg: int = EPSG) -> Grid:
    """Lay a grid of 10 m pixels; its area is the whole of it."""
    outline = box(left, top - 10 * height, left + 10 * width, top)
    return Grid(GeoBox((height, width), Affine(10, 0, left, 0, -10, top), f"EPSG:{epsg}"), outline)


def paint_bands(height: int, width: int, **values: int | NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Fill the bands of a scene of ``height`` x ``width`` pixels of 10 m with forest, or with the numbers given."""
    bands = {}
    for band, usual in FOREST.items():
        size = 2 if band in COARSE else 1
        value = np.asarray(values.get(band, usual), np.uint8 if band == "scl" else np.uint16)
        bands[band] = np.broadcast_to(value, (height // size, width // size)).copy()
    return bands


def write_raster(
    path: Path,
    array: NDArray[Any],
    *,
    left: float = LEFT,
    top: float = TOP,
    size: float = 10,
    epsg: int | None = EPSG,
    **options: Any,
) -> Path:
    """Write a (y, x) or (band, y, x) array as a GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    layers = array if array.ndim == 3 else array[None]
    profile = {
        "driver": "GTiff",
        "count": len(layers),
        "height": layers.shape[1],
        "width": layers.shape[2],
        "dtype": layers.dtype.name,
        "crs": f"EPSG:{epsg}" if epsg else None,
        "transform": Affine(size, 0, left, 0, -size, top),
    }
    with rasterio.open(path, "w", **(profile | options)) as raster:
        raster.write(layers)
    return path


def write_bands(folder: Path, bands: Mapping[str, NDArray[Any]], **place: Any) -> dict[str, str]:
    """Write each band as ``BAND.tif``; give band to path."""
    return {
        band: str(write_raster(folder / f"{band}.tif", array, size=20 if band in COARSE else 10, **({"nodata": 0} | place)))
        for band, array in bands.items()
    }


def write_scene(
    folder: Path,
    bands: Mapping[str, NDArray[Any]],
    *,
    name: str = NAME,
    offset: int = 0,
    tile: str = "19LCF",
    baseline: tuple[int, int] = (2, 14),
    time: dt.datetime = TIME,
    key: str = "s2a_20200704T145021",
    **place: Any,
) -> Scene:
    """Write the bands below ``folder/name`` and describe them as a Scene."""
    hrefs = write_bands(folder / name, bands, **place)
    return Scene(name, str(folder), time, key, tile, baseline, hrefs, offset, "as the test says", box(-70, -13, -69, -12), 0)


def make_item(
    name: str = NAME,
    *,
    time: str = TIME.isoformat(),
    assets: Mapping[str, str] | None = None,
    size: int = 400,
    **properties: Any,
) -> dict[str, Any]:
    """Describe a scene of ``size`` metres as a STAC item with Earth Search asset names; its assets lie beside it."""
    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True)
    west, south, east, north = to_lonlat.transform_bounds(LEFT, TOP - size, LEFT + size, TOP)
    hrefs = {band: f"./{band}.tif" for band in FOREST} if assets is None else assets
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": mapping(box(west, south, east, north)),
        "bbox": [west, south, east, north],
        "properties": {"datetime": time, "platform": "sentinel-2a", "eo:cloud_cover": 5} | properties,
        "links": [],
        "assets": {key: {"href": href} for key, href in hrefs.items()},
    }


def write_catalog(folder: Path, items: Iterable[Mapping[str, Any]], links: Iterable[Mapping[str, str]] = ()) -> Path:
    """Write a static catalogue: ``catalog.json`` and ``ID/ID.json`` for each item; give the catalogue's path."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = list(links)
    for item in items:
        path = folder / item["id"] / f"{item['id']}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(item))
        listed.append({"rel": "item", "href": f"./{item['id']}/{item['id']}.json"})
    catalog = {"type": "Catalog", "stac_version": "1.0.0", "id": "tiny", "description": "A tiny catalogue", "links": listed}
    path = folder / "catalog.json"
    path.write_text(json.dumps(catalog))
    return path
