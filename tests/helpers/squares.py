"""A place where the map grid is turned far from north, with one mine whose every corner is known: a square of 200 m."""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import Path

import numpy as np
import pytest
from pyproj import Geod, Proj, Transformer
from shapely.geometry import Polygon, box, mapping

from minewatch.areas.aoi import Aoi, write_aoi
from minewatch.areas.grid import reproject
from minewatch.core.workspace import Workspace
from minewatch.operations.plan import ScanRequest
from minewatch.operations.scan import scan
from minewatch.settings.document import init_workspace
from tests.helpers.rasters import FOREST, make_item, paint_bands, write_bands, write_catalog

EPSG, LEFT, TOP, SIDE = 32633, 626_000, 8_700_000, 160
"""Svalbard, at the eastern edge of zone 33X: north of the map grid and true north are more than five degrees apart."""

NAME = "square"

MINE = box(LEFT + 600, TOP - 900, LEFT + 800, TOP - 700)
"""In metres of the grid, on the 20 m lattice, so that its edges are sharp in every band."""

TO_DEGREES = Transformer.from_crs(EPSG, 4326, always_xy=True)

CONVERGENCE = Proj(f"EPSG:{EPSG}").get_factors(*TO_DEGREES.transform(*MINE.centroid.coords[0])).meridian_convergence
"""Degrees from true north to the north of the map grid, clockwise, as PROJ has it."""

assert CONVERGENCE > 5, "else roses prove nothing"

BARE = {"blue": 2200, "green": 2400, "red": 2900, "nir": 3100, "swir16": 3600}
"""Digital numbers of bare ground; SCL calls it not vegetated."""

MONITOR_FROM, DUG, UNTIL = dt.date(2021, 6, 1), dt.date(2021, 6, 20), dt.date(2021, 7, 20)


def make_square(factory: pytest.TempPathFactory) -> Workspace:
    """Scan the place; the second call gives the same workspace, so nobody may change it."""
    return _make(factory.getbasetemp())


@functools.cache
def _make(folder: Path) -> Workspace:
    root = folder / "square"
    days = [dt.date(year, 6, 1) + dt.timedelta(days=5 * step) for year in (2019, 2020) for step in range(16)]
    days += [MONITOR_FROM + dt.timedelta(days=5 * step) for step in range(11)]
    catalog = write_catalog(root / "scenes", [_write_day(root / "scenes", day) for day in days])
    workspace = init_workspace(root / "watch", source=str(catalog))
    write_aoi(workspace, Aoi(NAME, to_degrees(_ground()), MONITOR_FROM))
    scan(workspace, ScanRequest(until=UNTIL))
    return workspace


def _ground() -> Polygon:
    return box(LEFT, TOP - 10 * SIDE, LEFT + 10 * SIDE, TOP)


def to_degrees(shape: Polygon) -> Polygon:
    degrees = reproject(shape, TO_DEGREES)
    assert isinstance(degrees, Polygon)
    return degrees


def measure_distance(right: float, down: float, length: float) -> float:
    """Return the metres on the ellipsoid of a line to the right, that begins so many metres from the mine's upper left corner.

    All three are in metres of the map grid, which are not those of the ground.
    """
    x, y = MINE.bounds[0] + right, MINE.bounds[3] - down
    start, end = TO_DEGREES.transform(x, y), TO_DEGREES.transform(x + length, y)
    return float(Geod(ellps="WGS84").inv(*start, *end)[2])


def _write_day(folder: Path, day: dt.date) -> dict[str, object]:
    """Write the scene of a day; describe it as a STAC item."""
    name = f"S2A_33XXG_{day:%Y%m%d}_0_L2A"
    rng = np.random.default_rng(day.toordinal())
    values = {}
    for band, forest in FOREST.items():
        size = 20 if band in ("swir16", "scl") else 10
        number = 10 * SIDE // size
        painted = np.full((number, number), forest)
        if day >= DUG:
            west, south, east, north = (round(value / size) for value in MINE.bounds)
            rows = slice(TOP // size - north, TOP // size - south)
            painted[rows, west - LEFT // size : east - LEFT // size] = BARE.get(band, 5)
        values[band] = painted if band == "scl" else painted + rng.integers(-20, 21, painted.shape)
    write_bands(folder / name, paint_bands(SIDE, SIDE, **values), left=LEFT, top=TOP, epsg=EPSG)
    outline = to_degrees(_ground())
    return make_item(name, time=f"{day}T12:50:21Z") | {"geometry": mapping(outline), "bbox": list(outline.bounds)}
