"""Writes scenes as cloud-optimised GeoTIFFs and a static STAC catalogue with the asset names of Earth Search."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray

from minewatch.areas.grid import lonlat_from, lonlat_to
from minewatch.settings.credits import SIMULATION
from minewatch.settings.scl import CLOUD_CLASSES, NO_DATA
from minewatch.simulation.scenes import SimulatedScene
from minewatch.simulation.settings import Simulation
from minewatch.simulation.weather import Acquisition

_COMMON = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "swir16": "B11", "scl": "SCL"}
OVERVIEWS = 4
"""Smaller versions of an image in its file, each half as wide as the one before."""

_EXTENSIONS = [
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in ("eo/v1.1.0", "projection/v1.1.0", "raster/v1.1.0", "view/v1.0.0", "grid/v1.0.0")
]


@dataclass(frozen=True)
class SceneGrid:
    """The pixel grid of the scenes: a UTM zone and the corner of the first pixel, a multiple of 20 m."""

    epsg: int
    left: int
    """Easting of the west edge, metres."""
    top: int
    """Northing of the north edge, metres."""
    width: int
    """Pixels of 10 m."""
    height: int
    """Pixels of 10 m."""
    tile: str
    """MGRS square of the centre, such as ``19LCF``."""

    def find_ring(self) -> list[list[float]]:
        """Return the corners as a closed ring of longitude and latitude, counter-clockwise."""
        right, bottom = self.left + 10 * self.width, self.top - 10 * self.height
        top_left = self.left, self.top
        return self._project([top_left, (self.left, bottom), (right, bottom), (right, self.top), top_left])

    def find_outline(self, scl: NDArray[np.uint8]) -> list[list[float]]:
        """Return the outline of a scene's data, up to the edge of the swath, as such a ring; ``scl`` (y, x) of 20 m."""
        rows, columns = np.nonzero(scl)
        if scl.all() or not rows.size:
            return self.find_ring()
        corners = np.concatenate([np.column_stack([columns + x, rows + y]) for x in (0, 1) for y in (0, 1)])
        hull = shapely.orient_polygons(shapely.convex_hull(shapely.multipoints(20 * corners * [1, -1] + [self.left, self.top])))
        return self._project(shapely.get_coordinates(hull))

    def _project(self, corners: Iterable[Sequence[float]]) -> list[list[float]]:
        project = lonlat_from(self.epsg)
        return [[round(v, 8) for v in project.transform(x, y)] for x, y in corners]

    def find_inner_bbox(self) -> tuple[float, float, float, float]:
        """Return the largest box of longitude and latitude (W, S, E, N) inside the scenes."""
        (a, b, c, d, _) = self.find_ring()
        west, east = max(a[0], b[0]), min(c[0], d[0])
        south, north = max(b[1], c[1]), min(a[1], d[1])
        return west + 1e-5, south + 1e-5, east - 1e-5, north - 1e-5


def place_scene_grid(settings: Simulation) -> SceneGrid:
    """Return the grid around the centre, aligned with the Sentinel-2 pixels of its UTM zone."""
    zone = min(60, int((settings.longitude + 180) // 6) + 1)
    epsg = (32600 if settings.latitude >= 0 else 32700) + zone
    x, y = lonlat_to(epsg).transform(settings.longitude, settings.latitude)
    left = round((x - 5 * settings.width) / 20) * 20
    top = round((y + 5 * settings.height) / 20) * 20
    return SceneGrid(epsg, left, top, settings.width, settings.height, name_square(zone, settings.latitude, x, y))


def name_square(zone: int, latitude: float, x: float, y: float) -> str:
    """Return the MGRS square of 100 km that holds a UTM point (NGA.STND.0037)."""
    band = "CDEFGHJKLMNPQRSTUVWXX"[int((latitude + 80) // 8)]
    column = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")[(zone - 1) % 3][int(x // 100_000) - 1]
    rows = "ABCDEFGHJKLMNPQRSTUV"
    row = rows[(int(y // 100_000) + (5 if zone % 2 == 0 else 0)) % 20]
    return f"{zone:02d}{band}{column}{row}"


def name_item(grid: SceneGrid, acquisition: Acquisition) -> str:
    """Return the item's id, as Earth Search builds it."""
    return f"S2{acquisition.platform[-1].upper()}_{grid.tile}_{acquisition.day:%Y%m%d}_0_L2A"


def write_scene(folder: Path, grid: SceneGrid, acquisition: Acquisition, scene: SimulatedScene) -> str:
    """Write an item's folder with its six assets and return its id."""
    name = name_item(grid, acquisition)
    home = folder / name
    home.mkdir(parents=True, exist_ok=True)
    rasters = dict(zip(("blue", "green", "red", "nir"), scene.bands, strict=True))
    for key, array in (*rasters.items(), ("swir16", scene.swir16), ("scl", scene.scl)):
        _write_cog(home / f"{_COMMON[key]}.tif", grid, array)
    _write_json(home / f"{name}.json", _describe_item(grid, acquisition, scene, name))
    return name


def _write_cog(path: Path, grid: SceneGrid, array: NDArray[Any]) -> None:
    """Write a band as a COG with overviews and blocks of 1024 pixels as in Earth Search, smaller ones in small images."""
    rows, columns = array.shape
    side = 10 * grid.width // columns
    block = min(1024, max(128, 1 << (max(rows, columns) - 1).bit_length()))
    reflectance = array.dtype == np.uint16
    extra = {"predictor": 2} if reflectance else {}
    transform = Affine(side, 0, grid.left, 0, -side, grid.top)
    place = {"crs": f"EPSG:{grid.epsg}", "transform": transform, "width": columns, "height": rows, "count": 1}
    overviews = "average" if reflectance else "nearest"
    packing = {
        "compress": "deflate",
        "level": 1,
        "blocksize": block,
        "overview_resampling": overviews,
        "overview_count": OVERVIEWS,
    }
    kind = array.dtype.name
    with rasterio.open(path, "w", driver="COG", dtype=kind, nodata=0, **place, **packing, **extra) as target:
        target.write(array, 1)


def _describe_item(grid: SceneGrid, acquisition: Acquisition, scene: SimulatedScene, name: str) -> dict[str, Any]:
    """Build the STAC item of a scene."""
    ring = grid.find_outline(scene.scl)
    late = acquisition.baseline >= "04.00"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": _EXTENSIONS,
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": _bound(ring),
        "collection": "sentinel-2-l2a",
        "properties": _describe_properties(grid, acquisition, scene, late),
        "links": [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
        ],
        "assets": {key: _describe_asset(grid, key, band, -0.1 if late else 0) for key, band in _COMMON.items()},
    }


def _describe_properties(grid: SceneGrid, acquisition: Acquisition, scene: SimulatedScene, late: bool) -> dict[str, Any]:
    """Return the item's properties; cloud cover and nodata are those of its own SCL."""
    seen = max(1, int((scene.scl > 0).sum()))
    cloudy = 100 * float(np.isin(scene.scl, CLOUD_CLASSES).sum()) / seen
    platform, moment = acquisition.platform, f"{acquisition.when:%Y%m%dT%H%M%S}"
    return {
        "datetime": f"{acquisition.when:%Y-%m-%dT%H:%M:%SZ}",
        "platform": platform,
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "eo:cloud_cover": round(cloudy, 6),
        "proj:epsg": grid.epsg,
        "proj:code": f"EPSG:{grid.epsg}",
        "grid:code": f"MGRS-{grid.tile}",
        "mgrs:utm_zone": int(grid.tile[:2]),
        "mgrs:latitude_band": grid.tile[2],
        "mgrs:grid_square": grid.tile[3:],
        "view:sun_azimuth": round(acquisition.sun_azimuth, 6),
        "view:sun_elevation": round(acquisition.sun_elevation, 6),
        "s2:processing_baseline": acquisition.baseline,
        "s2:datatake_id": f"GS2{platform[-1].upper()}_{moment}_{acquisition.orbit:06d}_N{acquisition.baseline}",
        "s2:nodata_pixel_percentage": round(100 * float((scene.scl == NO_DATA).mean()), 6),
        "s2:sequence": "0",
        "earthsearch:boa_offset_applied": late and not acquisition.shifted,
    }


def _describe_asset(grid: SceneGrid, key: str, band: str, offset: float) -> dict[str, Any]:
    """Return an asset; like Earth Search it states the offset of its baseline even where it was applied."""
    side = 20 if key in ("swir16", "scl") else 10
    data_type = "uint8" if key == "scl" else "uint16"
    raster: dict[str, Any] = {"nodata": 0, "data_type": data_type, "spatial_resolution": side}
    asset: dict[str, Any] = {
        "href": f"./{band}.tif",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        "roles": ["data"] if key == "scl" else ["data", "reflectance"],
        "gsd": side,
        "proj:shape": [grid.height * 10 // side, grid.width * 10 // side],
        "proj:transform": [side, 0, grid.left, 0, -side, grid.top],
    }
    if key != "scl":
        raster |= {"scale": 0.0001, "offset": offset}
        asset["eo:bands"] = [{"name": band, "common_name": key}]
    return asset | {"raster:bands": [raster]}


def write_catalog(folder: Path, grid: SceneGrid, acquisitions: Sequence[Acquisition], text: str) -> Path:
    """Write collection.json and catalog.json and return the path of the catalogue."""
    moments = [f"{a.when:%Y-%m-%dT%H:%M:%SZ}" for a in acquisitions]
    head = {"stac_version": "1.0.0", "description": text}
    up = [{"rel": rel, "href": "./catalog.json", "type": "application/json"} for rel in ("root", "parent")]
    names = [name_item(grid, a) for a in acquisitions]
    items = [{"rel": "item", "href": f"./{n}/{n}.json", "type": "application/geo+json"} for n in names]
    collection = {
        "type": "Collection",
        "id": "sentinel-2-l2a",
        **head,
        "license": "other",
        "providers": [{"name": SIMULATION, "roles": ["producer"]}],
        "extent": {
            "spatial": {"bbox": [_bound(grid.find_ring())]},
            "temporal": {"interval": [[min(moments), max(moments)]]},
        },
        "links": up + items,
    }
    links = [up[0], {"rel": "child", "href": "./collection.json", "type": "application/json"}]
    _write_json(folder / "collection.json", collection)
    _write_json(folder / "catalog.json", {"type": "Catalog", "id": "simulated-sentinel-2", **head, "links": links})
    return folder / "catalog.json"


def _bound(ring: list[list[float]]) -> list[float]:
    return [*(min(p[k] for p in ring) for k in (0, 1)), *(max(p[k] for p in ring) for k in (0, 1))]


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
