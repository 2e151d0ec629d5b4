"""Outlines of items and areas in longitude and latitude: around 180°, malformed, and what a search asks for."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import antimeridian
import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Point, Polygon, box, mapping, shape

from minewatch.areas.antimeridian import cut_halves, find_bounds, is_cut, join_halves, wrap_longitude
from minewatch.areas.aoi import measure_area_ha
from minewatch.core.errors import SceneError
from minewatch.sources.footprint import TILE_DEGREES, has_footprint, list_boxes, read_footprint

NOBODY = box(10, 59.5, 11, 60.2)
"""Norway: the latitude of the real items near 180°, half the world away."""


def wrap(area: shapely.Geometry) -> shapely.Geometry:
    """Write every corner between -180 and 180, as many tools do: the lines then run round the world the long way."""
    return shapely.transform(area, lambda points: np.column_stack([(points[:, 0] + 180) % 360 - 180, points[:, 1]]))


@st.composite
def outlines(draw: st.DrawFn) -> Polygon:
    """Draw outlines with a hole around 180°: corners at growing angles round a centre."""
    x, y = draw(st.floats(177, 183)), draw(st.floats(-70, 70))
    count = draw(st.integers(3, 9))
    angles = np.sort(draw(st.lists(st.floats(0, 1), min_size=count, max_size=count, unique_by=lambda a: round(a, 2))))
    angles = 2 * math.pi * (np.arange(count) + 0.8 * angles) / count
    radius = np.array(draw(st.lists(st.floats(0.5, 2), min_size=count, max_size=count)))
    corners = np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)])
    hole = [(x + 0.1 * a, y + 0.1 * b) for a, b in ((0, 0), (1, 0), (0.5, 1))]
    outline = Polygon(corners)
    return Polygon(corners, [hole]) if shapely.contains_properly(outline, Polygon(hole)) else outline


# --- joining and cutting ---------------------------------------------------------------------------------------------


@given(outlines())
@settings(max_examples=100, deadline=None)
def test_every_way_to_write_an_outline_means_the_same(outline: Polygon) -> None:
    joined = join_halves(outline)
    cut = cut_halves(joined)
    for written in (outline, translate(outline, -360), translate(outline, 360), wrap(outline), cut):
        again = join_halves(written)
        assert shapely.symmetric_difference(again, joined).area < 1e-9
        assert again.geom_type == "Polygon"


@given(outlines())
@settings(max_examples=100, deadline=None)
def test_cutting_keeps_the_ground(outline: Polygon) -> None:
    # A line is straight in degrees and not on the ground: between close corners the two are one.
    joined = shapely.segmentize(join_halves(outline), 0.02)
    cut = cut_halves(joined)
    assert is_cut(cut)
    assert cut.is_valid
    assert measure_area_ha(cut) == pytest.approx(measure_area_ha(joined), rel=1e-7)
    assert shapely.area(cut) == pytest.approx(shapely.area(joined), rel=1e-9)
    middle = joined.representative_point()
    assert cut.buffer(1e-9).covers(Point(wrap_longitude(middle.x), middle.y))


@given(outlines())
@settings(max_examples=50, deadline=None)
def test_bounds_across_180_have_west_greater_than_east(outline: Polygon) -> None:
    west, south, east, north = find_bounds(cut_halves(outline))
    expected = join_halves(outline).bounds
    assert (west > east) == (expected[2] > 180)
    assert max(abs(west), abs(east)) <= 180
    assert (west, south, (east - west) % 360) == pytest.approx((*expected[:2], expected[2] - expected[0]))
    assert north == expected[3]


@pytest.mark.filterwarnings("ignore::antimeridian.FixWindingWarning")
@given(outlines())
@settings(max_examples=100, deadline=None)
def test_cutting_agrees_with_the_antimeridian_package(outline: Polygon) -> None:
    solid = shapely.orient_polygons(wrap(Polygon(outline.exterior)))  # it fails on holes near 180
    expected = shape(antimeridian.fix_shape(solid, fix_winding=True, great_circle=False))
    found = cut_halves(join_halves(solid))
    assert shapely.symmetric_difference(found, shapely.make_valid(expected)).area < 1e-5


@pytest.mark.parametrize(
    "hole", [box(179.5, 0.5, 180.5, 1.5), box(181, 0.5, 181.5, 1.5), box(-179, 0.5, -178.5, 1.5)], ids=["across", "east", "far"]
)
def test_holes_stay_where_they_are(hole: Polygon) -> None:
    cut = cut_halves(join_halves(Polygon(box(179, 0, 182, 2).exterior, [hole.exterior])))
    assert cut.area == pytest.approx(6 - hole.area)
    assert not cut.contains(Point(wrap_longitude(hole.centroid.x + 0.01), 1))


@pytest.mark.parametrize("outline", [box(179, 0, 180, 1), box(-180, 0, -179, 1), box(-70, -13, -69, -12), box(-180, 0, 0, 1)])
def test_what_only_touches_180_is_left_alone(outline: Polygon) -> None:
    assert join_halves(outline) is outline
    assert cut_halves(outline) is outline
    assert find_bounds(outline) == outline.bounds


def test_a_ring_round_a_pole_is_no_area() -> None:
    with pytest.raises(ValueError, match="round a pole"):
        join_halves(Polygon([(-120, 70), (0, 70), (120, 70), (179, 71)]))


# --- items -----------------------------------------------------------------------------------------------------------


def read_item(shared: Path, name: str) -> dict[str, Any]:
    item: dict[str, Any] = json.loads((shared / "data" / "stac-items" / f"{name}.json").read_text())
    return item


def project_tile(item: dict[str, Any], outline: shapely.Geometry) -> tuple[shapely.Geometry, Polygon]:
    """Return an item's outline and its tile in the tile's zone."""
    to_zone = Transformer.from_crs(4326, item["properties"]["proj:epsg"], always_xy=True)
    drawn = shapely.transform(join_halves(outline), lambda points: np.column_stack(to_zone.transform(points[:, 0], points[:, 1])))
    left, bottom, right, top = item["assets"]["scl"]["proj:bbox"]
    return drawn, box(left, bottom, right, top)


@pytest.mark.shared
@pytest.mark.parametrize(("name", "nodata"), [("antimeridian_T01VCG_a", 76.7), ("antimeridian_T01VCG_b", 32.3)])
def test_real_items_near_180_lie_on_their_tile(shared: Path, name: str, nodata: float) -> None:
    item = read_item(shared, name)
    footprint = read_footprint(item["geometry"], item["id"])
    drawn, tile = project_tile(item, footprint)
    assert drawn.difference(tile.buffer(500)).area == 0  # an edge straight in degrees leaves the tile's by 300 m
    assert 100 * drawn.intersection(tile).area / tile.area == pytest.approx(100 - nodata, abs=0.5)
    assert not footprint.intersects(NOBODY)
    assert is_cut(footprint)


@pytest.mark.shared
def test_the_item_that_runs_round_the_world_is_found_on_both_sides_of_180(shared: Path) -> None:
    item = read_item(shared, "antimeridian_T01VCG_b")
    west, _, east, _ = item["bbox"]
    assert east - west > 359, "its bbox is not to be believed"
    assert shape(item["geometry"]).intersects(NOBODY), "nor its outline as it stands"
    footprint = read_footprint(item["geometry"])
    assert footprint.intersects(box(179.7, 59.4, 179.8, 59.5))
    assert footprint.intersects(box(-179.1, 59.8, -179, 59.9))


@pytest.mark.shared
def test_a_server_that_takes_the_outline_at_its_word_still_lists_it(shared: Path) -> None:
    stored = shape(read_item(shared, "antimeridian_T01VCG_b")["geometry"])
    footprint = read_footprint(mapping(stored))
    for x, y in [(179.75, 59.5), (179.95, 59.6), (-179.5, 59.9), (-178.8, 60.0)]:
        area = box(x - 0.01, y - 0.01, x + 0.01, y + 0.01)
        assert footprint.intersects(area)
        assert any(shapely.make_valid(stored).intersects(box(*bounds)) for bounds in list_boxes(area))


BAD_GEOMETRIES: dict[str, Any] = {
    "none": None,
    "empty": {},
    "no type": {"coordinates": []},
    "a type that is none": {"type": "Blob", "coordinates": [1, 2]},
    "a point": {"type": "Point", "coordinates": [1, 2]},
    "no coordinates": {"type": "Polygon"},
    "an empty ring": {"type": "Polygon", "coordinates": [[]]},
    "two corners": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
    "text": {"type": "Polygon", "coordinates": [[["a", "b"]] * 4]},
    "null in it": {"type": "Polygon", "coordinates": [[[None, 0], [1, 0], [1, 1], [None, 0]]]},
    "metres": mapping(box(300_000, 6_590_220, 409_800, 6_700_020)),
    "a hemisphere": mapping(shapely.segmentize(box(-100, 0, 100, 10), 5)),
    "a line": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]},
    "a collection": {"type": "GeometryCollection", "geometries": []},
    "nested without end": {"type": "Polygon", "coordinates": [[[[[[0]]]]]]},
}


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("geometry", BAD_GEOMETRIES.values(), ids=BAD_GEOMETRIES)
def test_a_geometry_that_is_none_is_refused_in_words(geometry: Any) -> None:
    with pytest.raises(SceneError, match=r"item S2A_X has a geometry that cannot be used \(.+\)") as caught:
        read_footprint(geometry, "S2A_X")
    assert "\n" not in str(caught.value)
    assert not has_footprint(geometry)


def test_an_infinite_corner_is_refused() -> None:
    with pytest.raises(SceneError, match="cannot be used"):
        read_footprint(json.loads('{"type": "Polygon", "coordinates": [[[0, 0], [1e999, 0], [1, 1], [0, 0]]]}'))


def test_a_bow_tie_keeps_both_its_wings() -> None:
    wings = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    footprint = read_footprint(wings)
    assert footprint.is_valid
    assert footprint.area == pytest.approx(0.5)


def test_heights_are_dropped() -> None:
    assert not read_footprint(mapping(shapely.force_3d(box(0, 0, 1, 1), 250.0))).has_z


# --- what a search asks for ------------------------------------------------------------------------------------------


@given(st.floats(-180, 180), st.floats(-79, 79), st.floats(1e-3, 1.5), st.floats(1e-3, 1.0))
@example(179.5, 0.0, 1.0, 1.0)
@example(-180.0, -16.0, 0.5, 0.5)
@example(180.0, 70.0, 0.5, 0.5)
@settings(max_examples=200, deadline=None)
def test_boxes_cover_the_area_and_little_more(west: float, south: float, width: float, height: float) -> None:
    area = cut_halves(join_halves(box(west, south, west + width, south + height)))
    boxes = list_boxes(area)
    assert all(-180 <= w <= e <= 180 for w, _, e, _ in boxes)
    assert shapely.union_all([box(*bounds) for bounds in boxes]).buffer(1e-9).covers(area)
    reach = TILE_DEGREES / math.cos(math.radians(80))
    if abs(west) < 180 - reach - width:
        assert boxes == [area.bounds]
    assert sum(e - w for w, _, e, _ in boxes) <= width + 2 * reach


def test_areas_on_both_sides_of_180_search_two_boxes() -> None:
    (east, west) = list_boxes(MultiPolygon([box(179.5, -17, 180, -16), box(-180, -17, -179.5, -16)]))
    assert (east[0] < 179.5, east[2], west[0], west[2] > -179.5) == (True, 180, -180, True)
