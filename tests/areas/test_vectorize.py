"""Polygons: exactly the pixels that went in, wherever they lie and however they touch."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import Geod, Transformer
from scipy import ndimage
from shapely.geometry import MultiPolygon

from minewatch.areas.aoi import measure_area_ha
from minewatch.areas.grid import Window
from minewatch.areas.vectorize import Patch, find_centres, find_patches, find_position, outline, to_lonlat
from tests.helpers.small import make_flat_grid

GRID = make_flat_grid(60, 80)
MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))
Mask = NDArray[np.bool_]


def parse(*lines: str) -> Mask:
    """Draw a mask: # belongs to it."""
    return np.array([[character == "#" for character in line] for line in lines])


def cut(mask: Mask) -> list[Patch]:
    rows, columns = np.nonzero(mask)
    return list(find_patches(rows.astype(np.int32), columns.astype(np.int32), mask.shape))


def list_pixels(patch: Patch) -> frozenset[tuple[int, int]]:
    return frozenset((patch.window.row + r, patch.window.column + c) for r, c in np.argwhere(patch.mask).tolist())


def draw(mask: Mask, row: int = 7, column: int = 11) -> MultiPolygon:
    return outline(mask, Window(row, column, *mask.shape), GRID)


def see_pixels(geometry: MultiPolygon) -> Mask:
    """Tell which pixel centres of the grid a geometry holds."""
    height, width = GRID.shape
    x = GRID.transform.c + 10 * (np.arange(width) + 0.5)
    y = GRID.transform.f - 10 * (np.arange(height) + 0.5)
    return shapely.contains_xy(geometry, x[None, :], y[:, None])


def test_patches_are_the_exact_pixels() -> None:
    mask = parse(
        "##...#",
        "##....",
        "......",
        "...##.",
        "....#.",
    )
    patches = cut(mask)
    assert [patch.window for patch in patches] == [Window(0, 0, 2, 2), Window(0, 5, 1, 1), Window(3, 3, 2, 2)]
    assert list_pixels(patches[2]) == {(3, 3), (3, 4), (4, 4)}


def test_pixels_that_touch_at_a_corner_are_one_patch() -> None:
    (patch,) = cut(parse("#..", ".#.", "..#"))
    assert patch.mask.sum() == 3


def test_patch_leaves_out_the_pixels_of_another_in_its_box() -> None:
    ring, core = cut(parse("#####", "#...#", "#.#.#", "#...#", "#####"))
    assert (ring.mask.sum(), core.mask.sum()) == (16, 1)
    assert not ring.mask[2, 2]


def test_no_pixels_give_no_patches() -> None:
    assert cut(np.zeros((4, 4), bool)) == []


@settings(deadline=None)
@given(mask=arrays.arrays(bool, st.tuples(st.integers(1, 14), st.integers(1, 14))), seed=st.integers(0, 99))
def test_patches_equal_labels_of_the_whole_array(mask: Mask, seed: int) -> None:
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    expected = {frozenset(map(tuple, np.argwhere(labels == number).tolist())) for number in range(1, count + 1)}
    rows, columns = np.random.default_rng(seed).permutation(np.argwhere(mask).astype(np.int32)).T.reshape(2, -1)
    patches = list(find_patches(rows, columns, mask.shape))
    assert {list_pixels(patch) for patch in patches} == expected
    assert len(patches) == count
    assert all(patch.mask[edge].any() for patch in patches for edge in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]))
    assert [patch.window for patch in patches] == [patch.window for patch in cut(mask)]


@pytest.mark.parametrize(
    ("lines", "parts", "holes"),
    [
        pytest.param(("##", "##"), 1, 0, id="square"),
        pytest.param(("#.", ".#"), 2, 0, id="diagonal neighbours"),
        pytest.param(("###", "#.#", "###"), 1, 1, id="hole"),
        pytest.param(("####", "#.##", "##.#", "####"), 1, 2, id="holes that touch at a corner"),
        pytest.param((".###", "##.#", "####"), 1, 1, id="hole that touches the rim at a corner"),
        pytest.param(("#####", "#...#", "#.#.#", "#...#", "#####"), 2, 1, id="island in a hole"),
    ],
)
def test_outline_follows_the_pixel_edges(lines: tuple[str, ...], parts: int, holes: int) -> None:
    mask = parse(*lines)
    drawn = draw(mask)
    assert drawn.is_valid
    assert drawn.area == 100 * mask.sum()
    assert len(drawn.geoms) == parts
    assert sum(len(part.interiors) for part in drawn.geoms) == holes


def test_outline_lies_where_the_window_lies() -> None:
    assert draw(parse("##"), row=3, column=5).bounds == (400_050, 8_589_960, 400_070, 8_589_970)


@settings(deadline=None)
@given(mask=MASKS)
def test_outline_holds_exactly_its_pixels(mask: Mask) -> None:
    drawn = draw(mask)
    expected = np.zeros(GRID.shape, bool)
    expected[7 : 7 + mask.shape[0], 11 : 11 + mask.shape[1]] = mask
    assert drawn.is_valid
    assert (see_pixels(drawn) == expected).all()
    assert (find_centres(drawn, GRID.transform, GRID.shape) == expected).all()
    assert drawn.area == pytest.approx(100 * mask.sum())


@settings(deadline=None)
@given(mask=MASKS.filter(np.any))
def test_lonlat_outline_is_valid_and_the_same_ground(mask: Mask) -> None:
    geometry = to_lonlat(draw(mask), GRID)
    back = shapely.transform(geometry, Transformer.from_crs(4326, 32719, always_xy=True).transform, interleaved=False)
    assert geometry.is_valid
    assert geometry.geom_type in {"Polygon", "MultiPolygon"}
    assert back.symmetric_difference(draw(mask)).area < 0.01 * draw(mask).length  # a centimetre along the rim


@settings(deadline=None)
@given(mask=MASKS.filter(np.any))
def test_position_lies_inside(mask: Mask) -> None:
    geometry = to_lonlat(draw(mask), GRID)
    lat, lon = find_position(geometry)
    assert geometry.contains(shapely.Point(lon, lat))


def test_position_of_a_horseshoe_lies_on_the_horseshoe() -> None:
    geometry = to_lonlat(draw(parse("#####", "#...#", "#...#", "#...#")), GRID)
    lat, lon = find_position(geometry)
    assert not geometry.contains(geometry.centroid)
    assert geometry.contains(shapely.Point(lon, lat))


def test_position_lies_in_the_largest_part() -> None:
    geometry = to_lonlat(draw(parse("#.....", ".####.", "..####")), GRID)
    lat, lon = find_position(geometry)
    largest = max(shapely.get_parts(geometry), key=lambda part: part.area)
    assert largest.contains(shapely.Point(lon, lat))


def test_area_is_geodesic() -> None:
    geometry = to_lonlat(draw(parse("####", "#..#", "####", ".###")), GRID)
    geod = Geod(ellps="WGS84")
    (polygon,) = shapely.get_parts(geometry)
    rings = [abs(geod.polygon_area_perimeter(*ring.xy)[0]) for ring in (polygon.exterior, *polygon.interiors)]
    assert measure_area_ha(geometry) == pytest.approx((rings[0] - rings[1]) / 10_000, rel=1e-9)


def test_area_on_the_ground_differs_from_the_area_on_the_map() -> None:
    """Near a zone's middle UTM is 0.04 % short, so 1 ha on the map is 1.0008 ha on the ground."""
    middle = make_flat_grid(60, 80)
    on_ground = measure_area_ha(to_lonlat(outline(np.ones((50, 50), bool), Window(0, 0, 50, 50), middle), middle))
    longitude, latitude = Transformer.from_crs(32719, 4326, always_xy=True).transform(400_250, 8_589_750)
    dx = np.deg2rad(longitude + 69) * np.cos(np.deg2rad(latitude))
    scale = 0.9996 * (1 + dx**2 / 2)
    assert on_ground == pytest.approx(25 / scale**2, rel=2e-5)
    assert on_ground > 25.005
