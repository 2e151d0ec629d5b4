"""Areas of interest: what is read, what is mended and said, what is refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
from pathlib import Path
from typing import Any

import pytest
import shapely
from pyproj import Transformer
from shapely.geometry import MultiPolygon, Polygon, box, mapping

from minewatch.areas.aoi import Aoi, GridHint, bbox_geometry, check_size, measure_area_ha, read_aoi, read_geometry, write_aoi
from minewatch.areas.area_files import list_aois, remove_aoi
from minewatch.core.errors import AoiError
from minewatch.core.workspace import Workspace
from minewatch.settings.document import init_workspace

SQUARE = box(-70.0, -12.9, -69.9, -12.8)
BOW_TIE = [[-70, -13], [-69, -12], [-69, -13], [-70, -12], [-70, -13]]
UNEVEN_BOW_TIE = [[-70, -13], [-69, -12.2], [-69, -13], [-70, -12], [-70, -13]]
PENTAGRAM = [
    [round(math.sin(4 * math.pi * k / 5), 6) - 70, round(math.cos(4 * math.pi * k / 5), 6) - 13] for k in (0, 1, 2, 3, 4, 0)
]
TOUCHING = [[-70, -13], [-69, -13], [-69, -12], [-69.5, -13], [-70, -12], [-70, -13]]
"""Two triangles whose ring comes back to its own edge: one reading only."""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "watch")


def feature(geometry: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def collect(*features: Any, **members: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)} | members


def save(folder: Path, document: Any) -> Path:
    path = folder / "area.geojson"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def make_aoi(**changes: Any) -> Aoi:
    return dataclasses.replace(Aoi("la-pampa", SQUARE, dt.date(2020, 1, 1)), **changes)


@pytest.mark.parametrize(
    "document",
    [mapping(SQUARE), feature(mapping(SQUARE)), collect(feature(mapping(SQUARE)))],
    ids=["bare polygon", "feature", "collection of one"],
)
def test_every_form_of_geojson_gives_the_same_area(tmp_path: Path, document: Any) -> None:
    geometry, _, repairs = read_geometry(save(tmp_path, document))
    assert geometry.equals(SQUARE)
    assert repairs == ()


def test_heights_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    ring = [[x, y, 250.0] for x, y in SQUARE.exterior.coords]
    path = tmp_path / "area.geojson"
    path.write_text(json.dumps(polygon(ring)), "utf-8-sig")
    geometry, _, _ = read_geometry(path)
    assert geometry.equals(SQUARE)
    assert not geometry.has_z


@pytest.mark.parametrize(
    "name", ["urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::4326", "EPSG:4326"], ids=["CRS84", "urn", "short"]
)
def test_a_crs_member_that_says_lonlat_is_accepted(tmp_path: Path, name: str) -> None:
    geometry, _, _ = read_geometry(save(tmp_path, collect(feature(mapping(SQUARE)), crs={"properties": {"name": name}})))
    assert geometry.equals(SQUARE)


FAR = "urn:ogc:def:crs:EPSG::32719"
BAD_FILES = {
    "not JSON": ("PK\x03\x04 a zip", "no GeoJSON"),
    "nothing at all": ("", "no GeoJSON"),
    "JSON without type": ({"name": "x"}, "no GeoJSON"),
    "a list": ([1, 2], "no GeoJSON"),
    "a topology": ({"type": "Topology"}, "no GeoJSON polygon"),
    "a bare point": ({"type": "Point", "coordinates": [-70, -13]}, "no GeoJSON polygon"),
    "a line": (feature({"type": "LineString", "coordinates": [[-70, -13], [-69, -12]]}), "LineString, not a polygon"),
    "no features": (collect(), "empty"),
    "two features": (collect(feature(mapping(SQUARE)), feature(mapping(SQUARE))), "2 features"),
    "no geometry": (feature(None), "empty"),
    "an empty polygon": (feature(polygon()), "empty"),
    "an empty ring": (feature(polygon([])), "empty"),
    "text for coordinates": (feature(polygon([["west", "south"]] * 4)), "coordinates"),
    "three numbers only": (feature(polygon([-70, -13, -69])), "coordinates"),
    "metres": (feature(mapping(box(350_000, 8_590_000, 351_000, 8_591_000))), "not in lon/lat"),
    "longitude past 360": (feature(mapping(box(370, -13, 371, -12))), "not in lon/lat"),
    "latitude first": (feature(mapping(box(-13, 100, -12, 101))), "not in lon/lat"),
    "another CRS": (collect(feature(mapping(SQUARE)), crs={"properties": {"name": FAR}}), "32719, not in lon/lat"),
    "infinity": ('{"type": "Polygon", "coordinates": [[[0, 0], [1e999, 0], [1, 1], [0, 0]]]}', "not in lon/lat"),
    "a CRS in the feature": (feature(mapping(SQUARE)) | {"crs": {"properties": {"name": FAR}}}, "32719, not in lon/lat"),
    "beyond 80 degrees": (feature(mapping(box(20, 80.5, 21, 81))), "80"),
    "as wide as the world": (feature(mapping(shapely.segmentize(box(-179, -17, 179, -16), 10))), "spans 358°"),
    "round a pole": (feature(polygon([[-120, 70], [0, 70], [120, 70], [-120, 70]])), "round a pole"),
    "a bow-tie": (feature(polygon(BOW_TIE)), "crosses itself"),
    "an uneven bow-tie": (feature(polygon(UNEVEN_BOW_TIE)), "crosses itself"),
    "a pentagram": (feature(polygon(PENTAGRAM)), "crosses itself"),
}


@pytest.mark.parametrize(("document", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_refused_in_words(tmp_path: Path, document: Any, message: str) -> None:
    path = save(tmp_path, document)
    with pytest.raises(AoiError, match=message) as caught:
        read_geometry(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        collect(feature(mapping(SQUARE)), crs={"type": "name", "properties": None}),
        feature(mapping(SQUARE)) | {"properties": ["la pampa"]},
        collect("la pampa"),
        collect(feature(mapping(SQUARE)) | {"geometry": "here"}),
    ],
    ids=["crs without properties", "properties as a list", "feature as text", "geometry as text"],
)
def test_a_file_with_odd_members_never_ends_in_a_traceback(tmp_path: Path, document: Any) -> None:
    try:
        geometry, properties, _ = read_geometry(save(tmp_path, document))
    except AoiError:
        return
    assert geometry.equals(SQUARE)
    assert properties == {}


@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_corner_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AoiError):
        read_geometry(save(tmp_path, '{"type": "Polygon", "coordinates": [[[0, 0], [NaN, 0], [1, 1], [0, 1], [0, 0]]]}'))


def test_a_flat_outline_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AoiError):
        read_geometry(save(tmp_path, polygon([[-70, -13], [-69, -13], [-68, -13], [-70, -13]])))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AoiError, match="does not exist"):
        read_geometry(tmp_path / "nowhere.geojson")
    with pytest.raises(AoiError, match="cannot be read"):
        read_geometry(tmp_path)


def test_a_ring_that_touches_itself_is_mended_and_said(tmp_path: Path) -> None:
    geometry, _, repairs = read_geometry(save(tmp_path, polygon(TOUCHING)))
    assert geometry.is_valid
    assert geometry.area == pytest.approx(0.5)  # two triangles of base 0.5 and height 1
    assert len(repairs) == 1
    assert "touched itself" in repairs[0]


def test_overlapping_parts_are_merged_and_said(tmp_path: Path) -> None:
    parts = MultiPolygon([box(-70, -13, -69, -12), box(-69.5, -13, -68.5, -12)])
    geometry, _, repairs = read_geometry(save(tmp_path, mapping(parts)))
    assert geometry.equals(box(-70, -13, -68.5, -12))
    assert "overlapped" in repairs[0]


def test_a_hole_stays_a_hole(tmp_path: Path) -> None:
    holed = Polygon(SQUARE.exterior, [box(-69.97, -12.87, -69.95, -12.85).exterior])
    geometry, _, repairs = read_geometry(save(tmp_path, mapping(holed)))
    assert geometry.equals(holed)
    assert repairs == ()


def test_a_bbox_is_a_rectangle() -> None:
    assert bbox_geometry((-70, -13, -69, -12)).equals(box(-70, -13, -69, -12))


# --- across 180 degrees ----------------------------------------------------------------------------------------------

TAVEUNI = MultiPolygon([box(179.8, -17, 180, -16.7), box(-180, -17, -179.9, -16.7)])
"""An area across 180 degrees as RFC 7946 has it: cut there."""

WRITTEN = {
    "beyond 180": box(179.8, -17, 180.1, -16.7),
    "beyond -180": box(-180.2, -17, -179.9, -16.7),
    "round the world": Polygon([(-179.9, -17), (179.8, -17), (179.8, -16.7), (-179.9, -16.7)]),
}


def test_an_area_cut_at_180_stays_as_it_is(tmp_path: Path) -> None:
    geometry, _, repairs = read_geometry(save(tmp_path, mapping(TAVEUNI)))
    assert geometry == TAVEUNI
    assert repairs == ()


@pytest.mark.parametrize("outline", WRITTEN.values(), ids=WRITTEN)
def test_an_area_across_180_is_cut_there_and_it_is_said(tmp_path: Path, outline: Polygon) -> None:
    geometry, _, repairs = read_geometry(save(tmp_path, mapping(outline)))
    assert shapely.symmetric_difference(geometry, TAVEUNI).area < 1e-12
    assert {part.bounds[2] == 180 or part.bounds[0] == -180 for part in shapely.get_parts(geometry)} == {True}
    assert repairs == ("it crosses 180° and was cut there; it spans 0.3° of longitude",)


def test_a_bbox_with_west_greater_than_east_crosses_180() -> None:
    geometry = bbox_geometry((179.8, -17, -179.9, -16.7))
    assert shapely.symmetric_difference(geometry, TAVEUNI).area < 1e-12
    area = make_aoi(geometry=geometry)
    assert area.bounds == pytest.approx((179.8, -17, -179.9, -16.7))
    assert area.area_km2 == pytest.approx(make_aoi(geometry=box(10, -17, 10.3, -16.7)).area_km2, rel=1e-5)
    assert area.joined.bounds == pytest.approx((179.8, -17, 180.1, -16.7))


def test_an_area_across_180_is_read_as_it_was_written(workspace: Workspace) -> None:
    area = make_aoi(geometry=bbox_geometry((179.8, -17, -179.9, -16.7)))
    write_aoi(workspace, area)
    assert read_aoi(workspace, "la-pampa") == area


def test_longitudes_counted_to_360_are_understood_and_it_is_said(tmp_path: Path) -> None:
    geometry, _, repairs = read_geometry(save(tmp_path, mapping(box(290, -13, 290.5, -12.5))))
    assert geometry.equals(box(-70, -13, -69.5, -12.5))
    assert repairs == ("its longitudes beyond 180 were counted from Greenwich: -70 to -69.5",)


def test_a_bow_tie_across_180_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AoiError, match="crosses itself"):
        read_geometry(save(tmp_path, polygon([[179.5, 0], [180.5, 1], [180.5, 0], [179.5, 1], [179.5, 0]])))


@pytest.mark.parametrize("south", [80.5, -82])
def test_polar_areas_are_refused_with_the_reason(south: float) -> None:
    with pytest.raises(AoiError, match="beyond 80° are refused: the sun is too low"):
        bbox_geometry((10, south, 11, south + 1))


@pytest.mark.parametrize(
    ("bbox", "message"),
    [
        ((-69, -13, -70, -12), "spans 359°.*swapped"),
        ((-179, -17, 179, -16), "spans 358°.*give W > E"),
        ((179, -16, -179, -17), "empty"),
        ((179, 79, -179, 81), "latitude 81"),
        ((-70, -12, -69, -13), "empty"),
        ((-70, -13, -70, -12), "empty"),
        ((math.nan, -13, -69, -12), "empty"),
        ((350_000, 8_590_000, 351_000, 8_591_000), "not in lon/lat"),
    ],
)
def test_a_bbox_that_is_none_is_refused(bbox: tuple[float, ...], message: str) -> None:
    with pytest.raises(AoiError, match=message):
        bbox_geometry(bbox)


@pytest.mark.parametrize("place", [(-69.9, -12.8), (0.001, 0.001), (-1.9, 6.3), (22.1, 45.2), (25.0, 69.5)])
def test_areas_are_those_of_an_equal_area_projection(place: tuple[float, float]) -> None:
    x, y = place
    ring = Polygon([(x, y), (x + 0.05, y + 0.01), (x + 0.04, y + 0.04), (x - 0.01, y + 0.03)])
    hole = Polygon([(x + 0.01, y + 0.01), (x + 0.02, y + 0.01), (x + 0.02, y + 0.02)])
    to_metres = Transformer.from_crs(4326, f"+proj=laea +lon_0={x} +lat_0={y} +ellps=WGS84", always_xy=True)

    def project(shape: Polygon) -> float:
        dense = shapely.segmentize(shape, 0.0005)
        return Polygon(zip(*to_metres.transform(*dense.exterior.xy), strict=True)).area

    holed = Polygon(ring.exterior, [hole.exterior])
    expected = (project(ring) - project(hole)) / 10_000
    assert measure_area_ha(holed) == pytest.approx(expected, rel=1e-4)
    assert measure_area_ha(holed.reverse()) == pytest.approx(measure_area_ha(holed), rel=1e-12)
    assert make_aoi(geometry=holed).area_km2 == pytest.approx(expected / 100, rel=1e-4)


def test_a_huge_area_needs_large(workspace: Workspace) -> None:
    huge = make_aoi(geometry=box(-71, -14, -69, -12))  # some 220 x 217 km
    with pytest.raises(AoiError, match=r"4\d,\d{3} km².*--large"):
        write_aoi(workspace, huge)
    assert list_aois(workspace) == []
    write_aoi(workspace, dataclasses.replace(huge, large=True))
    assert read_aoi(workspace, "la-pampa").large


def test_a_sentinel_tile_is_not_too_large() -> None:
    tile = make_aoi(geometry=box(-70, -13, -69, -12))
    assert check_size(tile) is tile


def test_an_area_is_read_as_it_was_written(workspace: Workspace) -> None:
    area = make_aoi(
        monitor_from=dt.date(2021, 2, 28),
        pipeline="strict",
        grid=GridHint(3035, (5271982.576551932, 2533004.2149151857)),
        properties={"source": "Amazon Mining Watch 2024", "note": "Kayapó"},
    )
    path = write_aoi(workspace, area)
    assert path == workspace.root / "aois" / "la-pampa.geojson"
    assert read_aoi(workspace, "la-pampa") == area


@pytest.mark.parametrize("name", ["a/b", "..", "a..b", "../x", ".hidden", "", "a" * 65, "a\n", "-rf", "a\0b", "a b"])
def test_a_name_that_could_leave_the_folder_is_refused(workspace: Workspace, name: str) -> None:
    before = sorted(workspace.root.rglob("*"))
    for action in (lambda: write_aoi(workspace, make_aoi(name=name)), lambda: read_aoi(workspace, name)):
        with pytest.raises(AoiError, match="cannot be the name"):
            action()
    with pytest.raises(AoiError, match="cannot be the name"):
        remove_aoi(workspace, name)
    assert sorted(workspace.root.rglob("*")) == before


@pytest.mark.parametrize("name", ["la-pampa", "Kayapó", "site_1.2", "a" * 64])
def test_ordinary_names_are_accepted(workspace: Workspace, name: str) -> None:
    write_aoi(workspace, make_aoi(name=name))
    assert list_aois(workspace) == [name]


def test_a_taken_name_changes_nothing(workspace: Workspace) -> None:
    path = write_aoi(workspace, make_aoi())
    before = path.read_bytes()
    with pytest.raises(AoiError, match="exists already"):
        write_aoi(workspace, make_aoi(geometry=box(0, 0, 0.1, 0.1)))
    assert path.read_bytes() == before


def test_a_missing_area_names_those_there_are(workspace: Workspace) -> None:
    write_aoi(workspace, make_aoi())
    with pytest.raises(AoiError, match="la-pampa"):
        read_aoi(workspace, "la-panpa")
    with pytest.raises(AoiError, match="no area"):
        remove_aoi(workspace, "la-panpa")


def test_a_removed_area_is_gone_and_its_archive_stays(workspace: Workspace) -> None:
    write_aoi(workspace, make_aoi())
    kept = workspace.archive("la-pampa") / "look.tif"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"pixels")
    remove_aoi(workspace, "la-pampa")
    assert list_aois(workspace) == []
    assert kept.exists()


def test_areas_are_listed_in_order_and_unfinished_files_are_none(workspace: Workspace) -> None:
    for name in ("b", "a"):
        write_aoi(workspace, make_aoi(name=name))
    (workspace.aois / ".tmp-x1.geojson").write_text('{"type": "Feat')
    (workspace.aois / "notes.txt").write_text("x")
    assert list_aois(workspace) == ["a", "b"]


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({}, "monitor_from"),
        ({"monitor_from": "last year"}, "monitor_from"),
        ({"monitor_from": 2020}, "monitor_from"),
        ({"monitor_from": "2020-02-30"}, "monitor_from"),
        ({"monitor_from": "2020-01-01", "grid": "UTM"}, "grid"),
        ({"monitor_from": "2020-01-01", "grid": {"epsg": 32719}}, "grid"),
        ({"monitor_from": "2020-01-01", "grid": {"epsg": "x", "origin": [0, 0]}}, "grid"),
        ({"monitor_from": "2020-01-01", "grid": {"epsg": 32719, "origin": [0]}}, "grid"),
        ({"monitor_from": "2020-01-01", "grid": {"epsg": 32719, "origin": [math.nan, 0]}}, "grid"),
        ({"monitor_from": "2020-01-01", "grid": {"epsg": 32719, "origin": [0, math.inf]}}, "grid"),
    ],
)
def test_a_bad_property_is_named(workspace: Workspace, properties: dict[str, Any], message: str) -> None:
    path = workspace.aois / "edited.geojson"
    path.write_text(json.dumps(feature(mapping(SQUARE), **properties)))
    with pytest.raises(AoiError, match=message) as caught:
        read_aoi(workspace, "edited")
    assert str(path) in str(caught.value)
