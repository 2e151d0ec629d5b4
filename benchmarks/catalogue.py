"""The catalogue of a synthetic series, with Earth Search's layout, and the truth about its mines."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.features import shapes
from shapely.geometry.base import BaseGeometry

from benchmarks.scene_pixels import Mine, Window
from benchmarks.series import BANDS, EPSG, LEFT, TILE, TOP, Settings, name_item


def describe_item(settings: Settings, day: dt.date, cloudy: float) -> dict[str, Any]:
    """Build a scene's STAC item with the properties that Earth Search gives."""
    ring = find_ring(settings.size)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name_item(day),
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": bound(ring),
        "collection": "sentinel-2-l2a",
        "properties": {
            "datetime": f"{day}T14:51:21Z",
            "platform": "sentinel-2a",
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "eo:cloud_cover": 100 * cloudy,
            "proj:epsg": EPSG,
            "proj:code": f"EPSG:{EPSG}",
            "grid:code": f"MGRS-{TILE}",
            "s2:processing_baseline": "05.11",
            "s2:datatake_id": f"GS2A_{day:%Y%m%d}T145121_{day.toordinal() % 100000:06d}_N05.11",
            "s2:nodata_pixel_percentage": 0,
            "earthsearch:boa_offset_applied": True,
        },
        "links": [{"rel": "root", "href": "../catalog.json"}, {"rel": "parent", "href": "../collection.json"}],
        "assets": {band: _describe_asset(settings.size, band, *place) for band, place in BANDS.items()},
    }


def _describe_asset(size: int, band: str, file: str, side: int) -> dict[str, Any]:
    shape = [size * 10 // side] * 2
    scaled = {} if band == "scl" else {"scale": 0.0001, "offset": -0.1}
    kind = "uint8" if band == "scl" else "uint16"
    return {
        "href": f"./{file}.tif",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"] if band == "scl" else ["data", "reflectance"],
        "gsd": side,
        "proj:shape": shape,
        "proj:transform": [side, 0, LEFT, 0, -side, TOP],
        "raster:bands": [{"nodata": 0, "data_type": kind, "spatial_resolution": side, **scaled}],
    }


def find_ring(size: int) -> list[list[float]]:
    """Return the corners of the scenes in lon/lat."""
    x, y = LEFT + 10 * size, TOP - 10 * size
    project = Transformer.from_crs(EPSG, 4326, always_xy=True)
    return [list(project.transform(*corner)) for corner in ((LEFT, TOP), (LEFT, y), (x, y), (x, TOP), (LEFT, TOP))]


def bound(ring: list[list[float]]) -> list[float]:
    """Return the bounding box of a ring."""
    low, high = np.min(ring, axis=0), np.max(ring, axis=0)
    return [*map(float, low), *map(float, high)]


def write_catalog(folder: Path, settings: Settings, leave_out: int | None = None) -> None:
    """Write catalog.json and collection.json over the items, on request without one of them."""
    head = {"stac_version": "1.0.0", "description": "Synthetic Sentinel-2 L2A series for measuring speed"}
    days = settings.days
    interval = [f"{days[0]}T00:00:00Z", f"{days[-1]}T23:59:59Z"]
    names = [name_item(day) for number, day in enumerate(days) if number != leave_out]
    collection = {
        "type": "Collection",
        "id": "sentinel-2-l2a",
        **head,
        "license": "other",
        "extent": {"spatial": {"bbox": [bound(find_ring(settings.size))]}, "temporal": {"interval": [interval]}},
        "links": [{"rel": rel, "href": "./catalog.json"} for rel in ("root", "parent")]
        + [{"rel": "item", "href": f"./{name}/{name}.json", "type": "application/geo+json"} for name in names],
    }
    links = [{"rel": "root", "href": "./catalog.json"}, {"rel": "child", "href": "./collection.json"}]
    catalog = {"type": "Catalog", "id": "synthetic-sentinel-2", **head, "links": links}
    (folder / "collection.json").write_text(json.dumps(collection, indent=1) + "\n", "utf-8")
    (folder / "catalog.json").write_text(json.dumps(catalog, indent=1) + "\n", "utf-8")


def write_truth(path: Path, settings: Settings, mines: list[Mine], looks: NDArray[np.float64]) -> None:
    """Write the layers ``sites`` and ``ignore``: mines that fewer than two looks show are not scored."""
    sites: list[dict[str, Any]] = []
    ignored: list[dict[str, Any]] = []
    for number, mine in enumerate(mines):
        days = [day.isoformat() for day, clear in zip(settings.days, looks[:, number], strict=True) if clear >= 0.8]
        outline, pixels = trace_mine(mine)
        if len(days) < 2:
            ignored.append({"kind": "mine: too few looks, not scored", "geometry": outline})
            continue
        facts = {"site": len(sites) + 1, "source": "synthetic", "kind": "mining", "onset": mine.onset.isoformat()}
        seen = {"first_clear": days[0], "second_clear": days[1], "looks": json.dumps(days)}
        sites.append(facts | seen | {"growing": False, "area_ha": pixels / 100, "geometry": outline})
    columns = ["site", "source", "kind", "onset", "first_clear", "second_clear", "looks", "growing", "area_ha", "geometry"]
    for layer, rows, names in (("sites", sites, columns), ("ignore", ignored, ["kind", "geometry"])):
        table = gpd.GeoDataFrame(pd.DataFrame(rows, columns=names), geometry="geometry", crs=EPSG)
        pyogrio.write_dataframe(table, path, layer=layer, driver="GPKG", geometry_type="Polygon")


def trace_mine(mine: Mine) -> tuple[BaseGeometry, int]:
    """Outline the pixels of a mine in metres, and count them."""
    top, left, bottom, right = mine.reach()
    mask = mine.covers(Window(top, left, bottom - top, right - left, 1))
    corner = Affine(10, 0, LEFT + 10 * left, 0, -10, TOP - 10 * top)
    found = shapes(mask.astype(np.uint8), mask=mask, transform=corner)
    return shapely.union_all([shapely.geometry.shape(outline) for outline, _ in found]), int(mask.sum())
