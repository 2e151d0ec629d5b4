"""The grid of an area, its windows and tiles."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.features import geometry_mask
from shapely.geometry import Polygon, box

from minewatch.areas.antimeridian import cut_halves, wrap_longitude
from minewatch.areas.aoi import Aoi, GridHint, measure_area_ha
from minewatch.areas.grid import LATTICE, PIXEL, Grid, Window, find_utm_epsg, make_grid, refuse_empty
from minewatch.core.errors import AoiError
from tests.helpers.rasters import LEFT, TOP, lay_grid

ROMANIA = GridHint(3035, (5271982.576551932, 2533004.2149151857))
"""The lattice of a real series that was cut out and reprojected: no multiples of anything."""


def make_aoi(geometry: shapely.Geometry, grid: GridHint | None = None) -> Aoi:
    return Aoi("somewhere", geometry, dt.date(2020, 1, 1), grid=grid)


@st.composite
def boxes(draw: st.DrawFn) -> Polygon:
    """Draw rectangles of up to 20 km anywhere a UTM zone serves."""
    west = draw(st.floats(-179.9, 179.5))
    south = draw(st.floats(-79.5, 79))
    return box(west, south, west + draw(st.floats(1e-4, 0.2)), south + draw(st.floats(1e-4, 0.2)))


@st.composite
def windows(draw: st.DrawFn, height: int = 40, width: int = 30) -> Window:
    """Draw windows of a small grid."""
    row, column = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Window(row, column, draw(st.integers(1, height - row)), draw(st.integers(1, width - column)))


def check_lattice(grid: Grid, aoi: Aoi, origin: tuple[float, float]) -> None:
    """Check that a grid holds its area, lies on the lattice and is not larger than it must be."""
    left, bottom, right, top = grid.bounds
    for value, start in ((left, origin[0]), (right, origin[0]), (bottom, origin[1]), (top, origin[1])):
        steps = (value - start) / LATTICE
        assert steps == pytest.approx(round(steps), abs=1e-6)
    to_grid = Transformer.from_crs(4326, grid.crs, always_xy=True)
    x, y = to_grid.transform(*np.array(aoi.geometry.exterior.coords).T)
    slack = 0.002  # metres: a corner within a millimetre of the lattice is taken as on it
    assert left <= min(x) + slack
    assert right >= max(x) - slack
    assert bottom <= min(y) + slack
    assert top >= max(y) - slack
    west, south, east, north = grid.area.bounds
    assert max(west - left, south - bottom, right - east, top - north) < LATTICE
    assert grid.shape == ((top - bottom) / PIXEL, (right - left) / PIXEL)
    assert (grid.transform.a, grid.transform.e) == (PIXEL, -PIXEL)


@given(boxes())
@settings(max_examples=60, deadline=None)
def test_a_grid_holds_its_area_on_the_sentinel_lattice(area: Polygon) -> None:
    aoi = make_aoi(area)
    grid = make_grid(aoi)
    check_lattice(grid, aoi, (0, 0))
    assert grid.epsg == find_utm_epsg(area.centroid.x, area.centroid.y)


@given(st.floats(22.0, 22.3), st.floats(45.0, 45.3), st.floats(1e-4, 0.02))
@settings(max_examples=8, deadline=None)
def test_an_area_can_ask_for_another_lattice(west: float, south: float, size: float) -> None:
    aoi = make_aoi(box(west, south, west + size, south + size), ROMANIA)
    grid = make_grid(aoi)
    check_lattice(grid, aoi, ROMANIA.origin)
    assert grid.epsg == 3035


def test_a_grid_is_a_function_of_the_area_alone() -> None:
    area = box(-70.0, -12.9, -69.9, -12.8)
    assert make_grid(make_aoi(area)) == make_grid(make_aoi(area))


def test_a_rectangle_on_the_lattice_gains_no_pixel() -> None:
    to_lonlat = Transformer.from_crs(32719, 4326, always_xy=True)
    corners = [(350_000, 8_590_000), (350_400, 8_590_000), (350_400, 8_589_600), (350_000, 8_589_600)]
    grid = make_grid(make_aoi(Polygon([to_lonlat.transform(*corner) for corner in corners])))
    assert grid.bounds == (350_000, 8_589_600, 350_400, 8_590_000)
    assert grid.shape == (40, 40)


@pytest.mark.parametrize(
    ("longitude", "latitude", "epsg"),
    [
        (-70, -13, 32719),
        (-55.5, -7, 32721),
        (-1.9, 6.3, 32630),
        (22.15, 45.2, 32634),
        (-180, 1, 32601),
        (180, 1, 32660),
        (0, 0, 32631),
        (4.0, 60.5, 32632),  # Bergen: 32V is wider than six degrees
        (2.9, 60.5, 32631),
        (4.0, 55.9, 32631),
        (4.0, 64.0, 32631),
        (8.9, 78.0, 32631),  # Svalbard
        (15.6, 78.2, 32633),
        (21.0, 78.0, 32635),
        (33.0, 78.0, 32637),
        (42.0, 78.0, 32638),
        (15.6, 71.9, 32633),
        (10.0, -60.5, 32732),
    ],
)
def test_utm_zones(longitude: float, latitude: float, epsg: int) -> None:
    assert find_utm_epsg(longitude, latitude) == epsg


@given(st.floats(179.8, 180.2), st.floats(-70, 70), st.floats(0.01, 0.2), st.floats(0.01, 0.1))
@settings(max_examples=40, deadline=None)
def test_an_area_across_180_lies_on_one_grid(west: float, south: float, width: float, height: float) -> None:
    joined = box(west, south, west + width, south + height)
    aoi = make_aoi(cut_halves(joined))
    grid = make_grid(aoi)
    middle = joined.centroid
    assert grid.epsg % 100 == (60 if middle.x <= 180 else 1)
    check_lattice(grid, make_aoi(joined), (0, 0))
    assert grid.area.geom_type == "Polygon"


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from([-180.0, -179.9, -69.9, 0.0, 22.0, 179.85, 179.95]))
@settings(max_examples=60, deadline=None)
def test_a_point_of_the_area_maps_into_the_grid_and_back(along: float, up: float, west: float) -> None:
    joined = box(west, 0.5, west + 0.12, 0.6)
    grid = make_grid(make_aoi(cut_halves(joined)))
    longitude, latitude = wrap_longitude(west + 0.12 * along), 0.5 + 0.1 * up
    to_grid = Transformer.from_crs(4326, grid.crs, always_xy=True)
    column, row = ~grid.transform @ to_grid.transform(longitude, latitude)
    assert -1e-3 <= row <= grid.shape[0] + 1e-3
    assert -1e-3 <= column <= grid.shape[1] + 1e-3
    again = to_grid.transform(*(grid.transform @ (column, row)), direction="INVERSE")
    assert (again[0] - longitude + 180) % 360 - 180 == pytest.approx(0, abs=1e-8)
    assert again[1] == pytest.approx(latitude, abs=1e-8)


def test_pixels_across_180_are_inside_as_anywhere_else() -> None:
    triangle = Polygon([(179.99, -16.9), (180.01, -16.9), (180.0, -16.88)])
    grid = make_grid(make_aoi(cut_halves(triangle)))
    inside = grid.inside(grid.window)
    expected = ~geometry_mask([grid.area], grid.shape, grid.transform)
    assert np.array_equal(inside, expected)
    hectares = measure_area_ha(cut_halves(triangle))
    scale = 1.0006**2  # of zone 60 at 3 degrees from its middle, near the equator: 0.9996 times 1.001
    assert inside.sum() / 100 == pytest.approx(hectares * scale, rel=0.005)


@pytest.mark.parametrize("epsg", [999_999, 4326, 2263], ids=["unknown", "degrees", "feet"])
def test_a_crs_that_cannot_serve_is_refused(epsg: int) -> None:
    with pytest.raises(AoiError, match=f"EPSG:{epsg}.*'grid' property"):
        make_grid(make_aoi(box(-70, -13, -69.9, -12.9), GridHint(epsg, (0, 0))))


@given(windows(), st.integers(0, 12), windows())
def test_growing_a_window_covers_all_within_reach_and_stays_inside(window: Window, reach: int, probe: Window) -> None:
    limit = (40, 30)
    grown = window.grow(reach, limit)
    near = np.zeros(limit, bool)
    rows = slice(max(0, window.row - reach), window.row + window.height + reach)
    near[rows, max(0, window.column - reach) : window.column + window.width + reach] = True
    covered = np.zeros(limit, bool)
    covered[grown.slices] = True
    assert np.array_equal(covered, near)
    assert covered.sum() == grown.height * grown.width
    assert probe.grow(0, limit) == probe


@given(windows(), st.integers(0, 12))
def test_a_window_is_found_again_in_a_larger_one(window: Window, reach: int) -> None:
    numbers = np.arange(40 * 30).reshape(40, 30)
    around = window.grow(reach, numbers.shape)
    assert np.array_equal(numbers[around.slices][window.within(around)], numbers[window.slices])
    assert numbers[window.slices].shape == window.shape


@given(st.integers(1, 45), st.integers(1, 45), st.integers(1, 50))
def test_tiles_cover_each_pixel_once(height: int, width: int, size: int) -> None:
    count = np.zeros((height, width), int)
    tiles = list(lay_grid(height, width).window.cut(size, size))
    for tile in tiles:
        assert max(tile.shape) <= size
        count[tile.slices] += 1
    assert (count == 1).all()
    assert [(t.row, t.column) for t in tiles] == sorted((t.row, t.column) for t in tiles)


BLOB = Polygon(
    [(LEFT + 21, TOP - 13), (LEFT + 287, TOP - 44), (LEFT + 203, TOP - 391), (LEFT + 152, TOP - 203), (LEFT + 33, TOP - 317)]
)


@given(windows())
@settings(deadline=None)
def test_a_pixel_is_inside_where_its_centre_is(window: Window) -> None:
    grid = Grid(lay_grid(40, 30).geobox, BLOB)
    inside = ~geometry_mask([BLOB], (40, 30), grid.transform)
    assert np.array_equal(grid.inside(window), inside[window.slices])


def corners(fine: bool) -> st.SearchStrategy[tuple[float, float]]:
    """Points in and around a grid of 40 by 30 pixels; the coarse ones lie on corners and centres of pixels."""
    size = 1e-7 if fine else 5
    return st.tuples(st.integers(-8, 68), st.integers(-8, 88), st.integers(-3, 3), st.integers(-3, 3)).map(
        lambda p: (LEFT + 5 * p[0] + size * p[2], TOP - 5 * p[1] + size * p[3])
    )


@given(
    st.lists(corners(True) | corners(False), min_size=3, max_size=12), st.lists(corners(False), min_size=3, max_size=5), windows()
)
@settings(deadline=None, max_examples=100)
def test_each_pixel_is_judged_as_its_centre_is(outer: list[Any], hole: list[Any], window: Window) -> None:
    area = shapely.make_valid(Polygon(outer)).difference(shapely.make_valid(Polygon(hole if len(hole) > 2 else [])))
    area = shapely.union_all([part for part in getattr(area, "geoms", [area]) if part.geom_type.endswith("Polygon")])
    assume(not area.is_empty)
    grid = Grid(lay_grid(40, 30).geobox, area)
    x, y = LEFT + 5 + 10 * np.arange(30), TOP - 5 - 10 * np.arange(40)
    expected = shapely.contains_xy(area, x[None, :], y[:, None])
    assert np.array_equal(grid.inside(window), expected[window.slices])
    assert np.array_equal(grid.inside(Window(0, 0, 14, 10), 3), expected[::3, ::3])


@given(windows())
@settings(deadline=None)
def test_everything_is_inside_an_area_that_covers_the_grid(window: Window) -> None:
    assert lay_grid(40, 30).inside(window).all()


def test_the_corner_of_a_window_is_where_its_pixel_lies() -> None:
    transform = lay_grid(40, 30).transform_of(Window(3, 5, 2, 2))
    assert (transform.c, transform.f) == (LEFT + 50, TOP - 30)


def test_an_area_between_the_centres_of_pixels_is_refused() -> None:
    left, bottom = Transformer.from_crs(32634, 4326, always_xy=True).transform(500_001, 5_000_001)
    right, top = Transformer.from_crs(32634, 4326, always_xy=True).transform(500_004, 5_000_004)
    aoi = make_aoi(box(left, bottom, right, top), GridHint(32634, (0.0, 0.0)))
    with pytest.raises(AoiError, match="area 'somewhere' is 9 m² and holds the centre of no pixel"):
        refuse_empty(aoi, make_grid(aoi))
    wider = make_aoi(aoi.geometry.buffer(1e-4), aoi.grid)
    refuse_empty(wider, make_grid(wider))
