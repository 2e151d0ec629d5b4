"""Context: what is said of an alert's place in law and landscape can be checked by hand."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box
from shapely.geometry.base import BaseGeometry

from minewatch.alerts.columns import ALERT_COLUMNS
from minewatch.alerts.context.cells import read_date
from minewatch.alerts.context.features import read_features
from minewatch.alerts.context.layer import ContextLayer, open_layers
from minewatch.alerts.context.legal_status import assess_legal_status
from minewatch.alerts.context.overlap import Overlap
from minewatch.alerts.context.place import CONTEXT_COLUMNS, LAW_COLUMNS, place_sites
from minewatch.alerts.context.region import AlertSite
from minewatch.alerts.context.terms import AREAS, DISTANCES, KINDS
from minewatch.alerts.csv_file import CSV_COLUMNS
from minewatch.alerts.database import update
from minewatch.alerts.geopackage import updating
from minewatch.alerts.read import read_alerts
from minewatch.cli import main
from minewatch.core.errors import ContextError, WorkspaceError
from minewatch.core.workspace import Workspace
from minewatch.settings.document import init_workspace
from tests.helpers.small import copy_workspace, make_scanned, read_layer, scan_small

GEOD = Geod(ellps="WGS84")
DAY = dt.date(2024, 6, 1)
SQUARE = box(-70.0, -13.0, -69.99, -12.99)
"""The alert of most tests: about 120 ha."""

Row = dict[str, Any]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "watch")


def save(workspace: Workspace, file: str, rows: list[Row], crs: Any = 4326, **how: Any) -> Path:
    """Write features, given as rows with a ``geometry``, into the folder context."""
    path = workspace.context / file
    gpd.GeoDataFrame(rows, geometry="geometry", crs=crs).to_file(path, **how)
    return path


def declare(workspace: Workspace, section: str, file: str, kind: str, /, **keys: Any) -> None:
    lines = [f"[context.{section}]", f"file = {json.dumps(file)}", f'kind = "{kind}"']
    lines += [f"{key} = {value if isinstance(value, dt.date) else json.dumps(value)}" for key, value in keys.items()]
    with workspace.settings.open("a", encoding="utf-8") as file_:
        file_.write("\n" + "\n".join(lines) + "\n")


def put(workspace: Workspace, kind: str, *shapes: BaseGeometry, name: str = "layer", **keys: Any) -> None:
    """Declare a layer of shapes that are called A, B, C …"""
    rows: list[Row] = [{"label": chr(65 + number), "geometry": shape} for number, shape in enumerate(shapes)]
    save(workspace, f"{name}.gpkg", rows)
    declare(workspace, name, f"{name}.gpkg", kind, name="label", **keys)


def put_concessions(workspace: Workspace, *rows: tuple[BaseGeometry, str | None, str | None], **keys: Any) -> None:
    """Declare a layer of concessions A, B, C … with their first and last day."""
    features = [
        {"label": chr(65 + n), "granted": granted, "expires": expires, "geometry": shape}
        for n, (shape, granted, expires) in enumerate(rows)
    ]
    save(workspace, "concessions.geojson", features)
    declare(
        workspace, "concessions", "concessions.geojson", "concession",
        **({"name": "label", "valid_from": "granted", "valid_to": "expires"} | keys),
    )  # fmt: skip


def place(workspace: Workspace, outline: BaseGeometry = SQUARE, day: dt.date = DAY) -> dict[str, Any]:
    return dict(place_sites(open_layers(workspace), {"x": AlertSite(outline, day, day, day)}).cells["x"])


def area_ha(geometry: BaseGeometry) -> float:
    return abs(GEOD.geometry_area_perimeter(shapely.orient_polygons(geometry))[0]) / 10_000


def east_of(metres: float, lon: float = -69.99, lat: float = -12.995) -> Point:
    return Point(*GEOD.fwd(lon, lat, 90, metres)[:2])


# --- columns ---------------------------------------------------------------------------------------------------------


def test_the_cells_are_columns_of_the_table() -> None:
    names = [column.name for column in ALERT_COLUMNS]
    assert [name for name in names if name in CONTEXT_COLUMNS] == list(CONTEXT_COLUMNS)
    assert set(CONTEXT_COLUMNS) < set(CSV_COLUMNS)


def test_without_layers_nothing_is_said(workspace: Workspace) -> None:
    cells = place(workspace)
    assert (cells.pop("legal_status"), cells.pop("legal_reason")) == ("unknown", "no-layer")
    assert set(cells.values()) == {None}


# --- concessions -----------------------------------------------------------------------------------------------------

WEST_HALF, WEST_THIRD = box(-70.1, -13.1, -69.995, -12.9), box(-70.1, -13.1, -69.9967, -12.9)
VALID, OVER, TO_COME = ("2020-01-01", "2030-12-31"), ("2010-01-01", "2020-12-31"), ("2025-01-01", "2030-12-31")
ALL, FAR = box(-70.1, -13.1, -69.9, -12.9), box(-70.2, -13.2, -70.1, -13.1)


@pytest.mark.parametrize(
    ("concessions", "status", "name"),
    [
        ([(ALL, *VALID)], "inside", "A"),
        ([(FAR, *VALID)], "outside", ""),
        ([(ALL, *OVER)], "expired", "A"),
        ([(ALL, *TO_COME)], "expired", "A"),
        ([(ALL, None, "2030-12-31")], "unknown", "A"),
        ([(ALL, "soon", "2030-12-31")], "unknown", "A"),
        ([(ALL, "2030-12-31", "2020-01-01")], "unknown", "A"),
        ([(WEST_HALF, *VALID)], "inside", "A"),
        ([(WEST_THIRD, *VALID)], "outside", "A"),
        ([(ALL, *OVER), (WEST_HALF, *VALID)], "inside", "B"),
        ([(ALL, *OVER), (WEST_THIRD, *VALID)], "expired", "A"),
        ([(ALL, None, None), (WEST_HALF, *VALID)], "inside", "B"),
        ([(ALL, None, None), (ALL, *OVER)], "unknown", "A"),
        ([(ALL, "2024-06-01", "2024-06-01")], "inside", "A"),
        ([(ALL, "2024-06-02", "2024-07-01")], "expired", "A"),
    ],
)
def test_legal_status(workspace: Workspace, concessions: Any, status: str, name: str) -> None:
    put_concessions(workspace, *concessions)
    cells = place(workspace)
    assert (cells["legal_status"], cells["concession"]) == (status, name)


def test_the_day_that_counts_is_the_day_the_alert_was_first_seen(workspace: Workspace) -> None:
    put_concessions(workspace, (ALL, *VALID))
    days = [dt.date(2019, 12, 31), dt.date(2020, 1, 1), dt.date(2030, 12, 31), dt.date(2031, 1, 1)]
    assert [place(workspace, day=day)["legal_status"] for day in days] == ["expired", "inside", "inside", "expired"]


def test_an_empty_last_day_is_none_only_where_that_is_declared(workspace: Workspace) -> None:
    put_concessions(workspace, (ALL, "2020-01-01", None), open_ended=True)
    assert place(workspace)["legal_status"] == "inside"


def test_one_date_can_stand_for_a_whole_layer(workspace: Workspace) -> None:
    put_concessions(workspace, (ALL, None, None), valid_from=dt.date(2020, 1, 1), valid_to=dt.date(2023, 1, 1))
    assert place(workspace)["legal_status"] == "expired"
    assert place(workspace, day=dt.date(2022, 1, 1))["legal_status"] == "inside"


def test_concessions_without_declared_dates_leave_the_status_open(workspace: Workspace) -> None:
    put(workspace, "concession", ALL)
    assert place(workspace)["legal_status"] == "unknown"
    assert place(workspace, box(-69.5, -13, -69.49, -12.99))["legal_status"] == "outside"


def test_an_empty_layer_and_one_of_another_country_say_nothing(workspace: Workspace) -> None:
    put_concessions(workspace, (box(20, 40, 21, 41), *VALID))
    cells = place(workspace)
    assert (cells["legal_status"], cells["concession_ha"]) == ("unknown", None)
    save(workspace, "concessions.geojson", [{"label": "", "granted": "", "expires": "", "geometry": None}])
    assert place(workspace)["legal_status"] == "unknown"


@pytest.mark.parametrize(
    ("cell", "date"),
    [
        ("2024-01-31", dt.date(2024, 1, 31)),
        ("2024/01/31 00:00:00", dt.date(2024, 1, 31)),
        ("2024-01-31T23:00:00-05:00", dt.date(2024, 1, 31)),
        ("20240131", dt.date(2024, 1, 31)),
        (20240131, dt.date(2024, 1, 31)),
        (20240131.0, dt.date(2024, 1, 31)),
        ("9999-12-31", dt.date(9999, 12, 31)),
        ("31/01/2024", None),
        ("2024", None),
        ("2024131", None),
        ("0000-00-00", None),
        ("2024-02-30", None),
        ("", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_dates(cell: Any, date: dt.date | None) -> None:
    assert read_date(cell) == date


def test_dates_of_another_form_are_read_when_it_is_declared(workspace: Workspace) -> None:
    put_concessions(workspace, (ALL, "31/12/2020", "31/12/2030"), date_format="%d/%m/%Y")
    assert place(workspace)["legal_status"] == "inside"


def test_columns_of_type_date_are_read(workspace: Workspace) -> None:
    dates = pd.to_datetime(["2020-01-01", "2030-01-01"])
    for file in ("c.gpkg", "c.shp"):
        with pytest.MonkeyPatch.context():
            save(workspace, file, [{"a": dates[0].date(), "b": dates[1].date(), "geometry": ALL}])
        declare(workspace, file[2:], file, "concession", valid_from="a", valid_to="b")
    for layer in open_layers(workspace):
        assert list(read_features(layer).periods) == [(dt.date(2020, 1, 1), dt.date(2030, 1, 1))]


# --- overlaps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", AREAS)
def test_overlaps_are_geodesic_and_count_shared_ground_once(workspace: Workspace, kind: str) -> None:
    put(workspace, kind, box(-70.1, -13.1, -69.996, -12.9), box(-70.1, -13.1, -69.994, -12.9))
    cells, (name, hectares, per_cent) = place(workspace), AREAS[kind]
    assert cells[name] == "B"
    assert cells[hectares] == pytest.approx(area_ha(box(-70.0, -13.0, -69.994, -12.99)), abs=1e-4)
    assert cells[per_cent] == pytest.approx(60, abs=0.01)


def test_an_alert_outside_a_declared_layer_has_no_overlap(workspace: Workspace) -> None:
    put(workspace, "protected-area", FAR, box(-69.99, -13.0, -69.9, -12.99))
    cells = place(workspace)
    assert (cells["protected_area"], cells["protected_ha"], cells["protected_pct"]) == ("", 0, 0), "touching is no overlap"
    assert cells["territory_ha"] is None


def test_two_layers_of_a_kind_are_taken_together(workspace: Workspace) -> None:
    put(workspace, "indigenous-territory", box(-70.1, -13.1, -69.996, -12.9), name="one")
    put(workspace, "indigenous-territory", FAR, box(-69.997, -13.1, -69.9, -12.9), name="two")
    cells = place(workspace)
    assert (cells["territory"], cells["territory_pct"]) == ("B", 100)


def test_holes_of_an_area_are_not_in_it(workspace: Workspace) -> None:
    put(workspace, "protected-area", ALL.difference(box(-70, -13, -69.995, -12.99)))
    assert place(workspace)["protected_pct"] == pytest.approx(50, abs=0.01)


def test_the_unit_that_holds_most_of_the_alert_is_named_and_of_nested_ones_the_smallest(workspace: Workspace) -> None:
    put(workspace, "administrative-unit", ALL, WEST_HALF.buffer(0.002), FAR, box(-70.05, -13.05, -69.95, -12.95), name="levels")
    assert place(workspace)["admin_unit"] == "D"
    put(workspace, "administrative-unit", box(-71, -14, -69, -12), name="country")
    assert place(workspace)["admin_unit"] == "D, A"
    assert place(workspace, box(-70.6, -12.5, -70.59, -12.49))["admin_unit"] == "A"


# --- distances -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DISTANCES)
def test_distance_is_geodesic_from_the_outline(workspace: Workspace, kind: str) -> None:
    put(workspace, kind, east_of(40_000), east_of(1234.5), Point(-71, -13))
    assert place(workspace)[f"{kind}_m"] == pytest.approx(1234.5, abs=0.1)


def test_what_touches_or_lies_inside_is_at_no_distance(workspace: Workspace) -> None:
    put(workspace, "river", LineString([(-70.1, -12.995), (-69.9, -12.995)]))
    put(workspace, "road", LineString([(-69.99, -13.1), (-69.99, -12.9)]), name="roads")
    put(workspace, "airstrip", Point(-69.995, -12.995), name="strips")
    put(workspace, "settlement", ALL, name="towns")
    cells = place(workspace)
    assert {cells[column] for column in DISTANCES.values()} == {0}


def test_the_nearest_in_degrees_need_not_be_the_nearest(workspace: Workspace) -> None:
    """At 70° north a degree of longitude is a third of one of latitude."""
    site = box(20.0, 70.0, 20.001, 70.001)
    put(workspace, "road", Point(20.0005, 70.081), Point(20.151, 70.0005))
    east = GEOD.inv(20.001, 70.0005, 20.151, 70.0005)[2]
    assert place(workspace, site)["road_m"] == pytest.approx(east, abs=0.2)
    assert east < GEOD.inv(20.0005, 70.001, 20.0005, 70.081)[2]


def test_a_line_is_nearest_between_its_corners(workspace: Workspace) -> None:
    put(workspace, "road", LineString([(-69.9, -20.0), (-69.9, -5.0)]))
    best = min(GEOD.inv(-69.99, -13 + y / 1e5, -69.9, -13 + y / 1e5)[2] for y in range(1000))
    assert place(workspace)["road_m"] == pytest.approx(best, abs=0.5)


@pytest.mark.parametrize(("metres", "found"), [(60_000, True), (400_000, True), (1_100_000, False)])
def test_far_things_are_found_up_to_a_thousand_kilometres(workspace: Workspace, metres: float, found: bool) -> None:
    put(workspace, "settlement", east_of(metres))
    answer = place(workspace)["settlement_m"]
    assert answer == pytest.approx(metres, rel=1e-5) if found else answer is None


def test_distances_agree_with_trying_every_point(workspace: Workspace) -> None:
    points = [Point(-70 + 0.37 * (n * 7 % 11 - 5), -13 + 0.29 * (n * 5 % 13 - 6)) for n in range(60)]
    put(workspace, "settlement", *points)
    sites = {str(n): AlertSite(box(x := -70.3 + 0.1 * n, -12.8, x + 0.002, -12.798), DAY, DAY, DAY) for n in range(7)}
    placed = place_sites(open_layers(workspace), sites).cells
    for name, site in sites.items():
        corners = shapely.get_coordinates(shapely.segmentize(site.outline, 0.0001))
        best = min(GEOD.inv(x, y, p.x, p.y)[2] for p in points for x, y in corners)
        assert placed[name]["settlement_m"] == pytest.approx(best, abs=1)


@pytest.mark.parametrize("epsg", [4326, 32719, 4674])
@pytest.mark.parametrize("file", ["c.gpkg", "c.shp"])
def test_only_what_lies_near_is_read(workspace: Workspace, file: str, epsg: int) -> None:
    frame = gpd.GeoSeries([box(x := -75 + n, -13, x + 0.5, -12.5) for n in range(10)], crs=4326).to_crs(epsg)
    save(workspace, file, [{"number": n, "geometry": shape} for n, shape in enumerate(frame)], crs=epsg)
    declare(workspace, "c", file, "protected-area", name="number")
    (layer,) = open_layers(workspace)
    assert list(read_features(layer, (-69.9, -12.9, -69.8, -12.8)).names) == ["5"]
    assert len(read_features(layer).names) == 10


# --- the world -------------------------------------------------------------------------------------------------------

ACROSS = MultiPolygon([box(179.995, -17, 180, -16.99), box(-180, -17, -179.995, -16.99)])
"""An alert of two halves on both sides of 180°, as RFC 7946 wants it."""


@pytest.mark.parametrize(
    "reserve",
    [
        MultiPolygon([box(179.9, -17.1, 180, -16.9), box(-180, -17.1, -179.9, -16.9)]),
        box(179.9, -17.1, 180.1, -16.9),
        box(-180.1, -17.1, -179.9, -16.9),
        Polygon([(179.9, -17.1), (-179.9, -17.1), (-179.9, -16.9), (179.9, -16.9)]),
    ],
    ids=["cut at 180", "beyond 180", "beyond -180", "jumping"],
)
@pytest.mark.parametrize("site", [ACROSS, box(179.98, -17, 179.99, -16.99), box(-179.99, -17, -179.98, -16.99)])
def test_areas_that_cross_the_antimeridian(workspace: Workspace, reserve: BaseGeometry, site: BaseGeometry) -> None:
    put(workspace, "protected-area", reserve)
    cells = place(workspace, site)
    assert cells["protected_pct"] == 100
    assert cells["protected_ha"] == pytest.approx(area_ha(site), abs=1e-3)


def test_distances_across_the_antimeridian(workspace: Workspace) -> None:
    put(workspace, "road", Point(-179.9, -16.995), Point(179.0, -16.995))
    expected = GEOD.inv(179.99, -16.995, -179.9, -16.995)[2]
    assert place(workspace, box(179.98, -17, 179.99, -16.99))["road_m"] == pytest.approx(expected, abs=0.2)


def test_an_area_around_the_globe_holds_everything(workspace: Workspace) -> None:
    put(workspace, "administrative-unit", box(-180, -90, 180, 90))
    assert [place(workspace, site)["admin_unit"] for site in (SQUARE, ACROSS)] == ["A", "A"]


@pytest.mark.parametrize("epsg", [32719, 32718, 5880, 24879, 3857, 4674, 3832])
def test_other_reference_systems_are_reprojected(workspace: Workspace, epsg: int) -> None:
    into = Transformer.from_crs(4326, epsg, always_xy=True)
    corners = shapely.get_coordinates(shapely.segmentize(box(-70.1, -13.1, -69.995, -12.9), 0.001))
    save(workspace, "c.gpkg", [{"geometry": Polygon(list(zip(*into.transform(*corners.T), strict=True)))}], crs=epsg)
    declare(workspace, "c", "c.gpkg", "protected-area")
    assert place(workspace)["protected_pct"] == pytest.approx(50, abs=0.02)


def test_a_long_straight_edge_in_metres_is_a_curve_in_degrees(workspace: Workspace) -> None:
    """The southern edge of a box of 400 km in UTM: hundreds of metres off its chord in degrees."""
    into = Transformer.from_crs(4326, 32719, always_xy=True)
    x, y = into.transform(-70, -60)
    save(workspace, "c.gpkg", [{"geometry": box(x - 200_000, y, x + 200_000, y + 100_000)}], crs=32719)
    declare(workspace, "c", "c.gpkg", "protected-area")
    inside = box(*into.transform(x, y + 100, direction="INVERSE"), *into.transform(x + 100, y + 200, direction="INVERSE"))
    assert place(workspace, inside)["protected_pct"] == 100


def test_the_middle_of_a_utm_zone_and_its_border_give_the_same(workspace: Workspace) -> None:
    put(workspace, "protected-area", box(-72.5, -13.5, -71.5, -12.5))
    for west in (-72.005, -72.0, -71.995):  # zones 18 and 19 meet at -72
        site = box(west, -13, west + 0.01, -12.99)
        assert place(workspace, site)["protected_ha"] == pytest.approx(area_ha(site), abs=1e-3)


# --- formats and damaged data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["c.gpkg", "c.geojson", "c.shp", "c.fgb", "c.kml", "c.gml"])
def test_formats(workspace: Workspace, file: str) -> None:
    how = {"driver": "KML"} if file == "c.kml" else {}
    save(workspace, file, [{"Name": "Concesión Ñandú", "geometry": WEST_HALF}], **how)
    declare(workspace, "c", file, "protected-area", name="Name")
    cells = place(workspace)
    assert (cells["protected_area"], cells["protected_pct"]) == ("Concesión Ñandú", pytest.approx(50, abs=0.01))


def test_several_layers_in_one_file(workspace: Workspace) -> None:
    save(workspace, "all.gpkg", [{"geometry": ALL}], layer="reserves")
    save(workspace, "all.gpkg", [{"geometry": east_of(500)}], layer="towns")
    declare(workspace, "reserves", "context/all.gpkg", "protected-area", layer="reserves")
    declare(workspace, "towns", "all.gpkg", "settlement", layer="towns")
    cells = place(workspace)
    assert (cells["protected_area"], cells["protected_pct"], cells["settlement_m"]) == ("reserves", 100, 500)


def test_text_of_another_encoding(workspace: Workspace) -> None:
    save(workspace, "c.shp", [{"label": "Concesión", "geometry": ALL}], encoding="cp1252")
    (workspace.context / "c.cpg").unlink()
    declare(workspace, "c", "c.shp", "protected-area", name="label", encoding="windows-1252")
    assert place(workspace)["protected_area"] == "Concesión"


def test_outlines_that_cross_themselves_are_mended_and_named(workspace: Workspace) -> None:
    bow = Polygon([(-70.1, -13.1), (-69.9, -12.9), (-69.9, -13.1), (-70.1, -12.9)])
    rows = [{"label": "Bow tie", "geometry": bow}, {"label": "none", "geometry": None}, {"label": "fine", "geometry": FAR}]
    save(workspace, "c.gpkg", rows)
    declare(workspace, "c", "c.gpkg", "protected-area", name="label")
    features = read_features(open_layers(workspace)[0])
    assert features.names == ["Bow tie", "fine"]
    assert shapely.is_valid(features.shapes).all()
    first, second = sorted(features.describe_faults())
    assert "1 outlines crossed" in first
    assert "Bow tie" in first
    assert "1 rows have no shape" in second


def test_lines_in_a_layer_of_areas_are_left_out_and_counted(workspace: Workspace) -> None:
    rows = [{"geometry": shapely.GeometryCollection([ALL, LineString([(0, 0), (1, 1)])])}, {"geometry": Point(-70, -13)}]
    save(workspace, "c.geojson", rows)
    declare(workspace, "c", "c.geojson", "protected-area")
    assert place(workspace)["protected_pct"] == 100
    assert read_features(open_layers(workspace)[0]).describe_faults() == [
        "context layer 'c': 1 shapes have no area and were left out"
    ]


def test_shapes_that_lie_nowhere_are_left_out(workspace: Workspace) -> None:
    save(workspace, "c.gpkg", [{"geometry": Point(1e30, 1e30)}, {"geometry": Point(500_000, 8_560_000)}], crs=32719)
    declare(workspace, "c", "c.gpkg", "settlement")
    features = read_features(open_layers(workspace)[0])
    assert len(features.shapes) == 1
    assert "nowhere on Earth" in features.describe_faults()[0]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"kind": "consession"}, "unknown kind 'consession'; did you mean 'concession'"),
        ({"kind": "volcano"}, "known kinds: concession, protected-area"),
        ({"nmae": "label"}, "unknown key 'nmae'; did you mean 'name'"),
        ({"name": "LABLE"}, "has no column 'LABLE' (name); did you mean 'label'"),
        ({"name": "xyz"}, "known columns: label, since"),
        ({"valid_from": "sinze"}, "has no column 'sinze' (valid_from); did you mean 'since'"),
        ({"valid_from": 3}, "valid_from: give the name of a column in quotes"),
        ({"layer": "concession"}, "has no layer 'concession'; did you mean 'concessions'"),
        ({"file": "concesions.gpkg"}, "there is no file 'concesions.gpkg'"),
        ({"file": "concesions.gpkg"}, "did you mean 'concessions.gpkg'"),
        ({"file": "."}, "is a folder"),
        ({"encoding": "klingon"}, "unknown encoding 'klingon'"),
        ({"crs": "EPSG:1"}, "unknown coordinate reference system 'EPSG:1'"),
        ({"kind": "river", "valid_from": "since"}, "dates are for concessions"),
        ({"name": 3}, "name: give text in quotes"),
        ({"open_ended": True}, "name that column as valid_to"),
        ({"valid_from": dt.date(2024, 1, 1), "valid_to": dt.date(2023, 1, 1)}, "valid_to is before valid_from"),
    ],
)
def test_faults_of_a_declaration_are_named_with_the_nearest(workspace: Workspace, keys: Row, words: str) -> None:
    save(workspace, "concessions.gpkg", [{"label": "A", "since": "2020-01-01", "geometry": ALL}])
    every = {"file": "concessions.gpkg", "kind": "concession"} | keys
    declare(workspace, "c", every.pop("file"), every.pop("kind"), **every)
    with pytest.raises(ContextError) as caught:
        open_layers(workspace)
    text = str(caught.value)
    assert words in text
    assert "\n" not in text


def test_a_missing_kind_and_a_table_that_is_none(workspace: Workspace) -> None:
    template = workspace.settings.read_text()
    workspace.settings.write_text(template + '\n[context.c]\nfile = "c.gpkg"\n')
    with pytest.raises(ContextError, match=r"the key 'kind' is missing \(one of concession"):
        open_layers(workspace)
    workspace.settings.write_text(template + '\n[context]\nfile = "c.gpkg"\n')
    with pytest.raises(ContextError, match=r"write each layer as a table of its own, headed \[context.NAME\]"):
        open_layers(workspace)
    workspace.settings.write_text(template + '\ncontext = "c.gpkg"\n')
    with pytest.raises(WorkspaceError, match="context"):
        open_layers(workspace)


def open_one(workspace: Workspace, file: str, kind: str = "protected-area", **keys: Any) -> ContextLayer:
    declare(workspace, "c", file, kind, **keys)
    (layer,) = open_layers(workspace)
    return layer


def test_a_file_without_a_reference_system_says_what_to_do(workspace: Workspace) -> None:
    save(workspace, "c.shp", [{"a": 1, "geometry": ALL}]).with_suffix(".prj").unlink()
    with pytest.raises(ContextError, match=r'add it to \[context.c\], for example: crs = "EPSG:32719"'):
        open_one(workspace, "c.shp")


def test_a_declared_reference_system_helps(workspace: Workspace) -> None:
    save(workspace, "c.shp", [{"a": 1, "geometry": ALL}]).with_suffix(".prj").unlink()
    assert open_one(workspace, "c.shp", crs="EPSG:4326").is_lonlat
    assert place(workspace)["protected_pct"] == 100


def test_metres_that_claim_to_be_degrees_are_refused(workspace: Workspace) -> None:
    save(workspace, "c.geojson", [{"geometry": box(500_000, 8_560_000, 501_000, 8_561_000)}])
    with pytest.raises(ContextError, match="says that its coordinates are degrees"):
        open_one(workspace, "c.geojson")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not a map", "damaged, or of an unknown format"),
        (b"", "damaged, or of an unknown format"),
        (b'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/etc/x.shp</SrcDataSource></OGRVRTLayer>', "only describes"),
        (b"<OGRWFSDataSource><URL>http://127.0.0.1:9/</URL></OGRWFSDataSource>", "only describes"),
        (b"a,b\n1,2\n", "unknown format|not taken|no layer with shapes"),
    ],
)
def test_files_that_hold_no_features_are_refused(workspace: Workspace, content: bytes, words: str) -> None:
    (workspace.context / "c.gpkg").write_bytes(content)
    with pytest.raises(ContextError, match=words):
        open_one(workspace, "c.gpkg")


def test_a_table_of_numbers_is_no_layer(workspace: Workspace) -> None:
    (workspace.context / "c.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ContextError, match="no layer with shapes"):
        open_one(workspace, "c.csv")


def test_points_are_no_concessions(workspace: Workspace) -> None:
    save(workspace, "c.gpkg", [{"geometry": Point(-70, -13)}])
    with pytest.raises(ContextError, match="holds shapes of type Point; a layer of kind concession has polygons"):
        open_one(workspace, "c.gpkg", "concession")


def test_a_file_elsewhere_is_taken_when_its_path_is_given(workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "shared drive" / "c.gpkg"
    elsewhere.parent.mkdir()
    save(workspace, "c.gpkg", [{"geometry": ALL}]).rename(elsewhere)
    assert open_one(workspace, str(elsewhere)).path == elsewhere


# --- laws ------------------------------------------------------------------------------------------------------------

corner = st.tuples(st.floats(-70.02, -69.97), st.floats(-13.02, -12.97))
patch = st.tuples(corner, st.floats(0.001, 0.02), st.floats(0.001, 0.02)).map(
    lambda p: box(p[0][0], p[0][1], p[0][0] + p[1], p[0][1] + p[2])
)
PERIODS = [None, (dt.date(2020, 1, 1), dt.date(2030, 1, 1)), (dt.date(2010, 1, 1), dt.date(2015, 1, 1))]


@given(st.lists(st.tuples(patch, st.sampled_from(PERIODS)), max_size=6))
def test_one_legal_status_follows_from_the_shares(rows: Any) -> None:
    found = [
        Overlap(str(n), period, (shape & SQUARE,), shape.area) for n, (shape, period) in enumerate(rows) if (shape & SQUARE).area
    ]
    status, deciding = assess_legal_status(found, DAY, area_ha(SQUARE))
    half = area_ha(SQUARE) / 2

    def share(*periods: Any) -> float:
        pieces = [overlap.pieces[0] for overlap in found if overlap.period in periods]
        return area_ha(shapely.union_all(pieces)) if pieces else 0.0

    unknown, valid, over = PERIODS
    if share(valid) > half * 1.0001:
        assert status == "inside"
    elif share(valid, unknown) < half * 0.9999 and share(valid, unknown, over) > half * 1.0001:
        assert status == "expired"
    elif share(*PERIODS) < half * 0.9999:
        assert status == "outside"
    assert set(map(id, deciding)) <= set(map(id, found))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laws")


@settings(max_examples=40, deadline=None)  # each example writes files
@given(shapes=st.lists(patch, min_size=1, max_size=5), more=st.lists(patch, min_size=1, max_size=3), kind=st.sampled_from(KINDS))
def test_overlaps_stay_below_the_alert_and_kinds_do_not_mix(shelf: Path, shapes: Any, more: Any, kind: str) -> None:
    workspace = Workspace(shelf)
    workspace.context.mkdir(exist_ok=True)
    workspace.settings.write_text("")
    put(workspace, "protected-area", *shapes, name="one")
    put(workspace, "road", *shapes, name="two")
    before = place(workspace)
    assert 0 <= before["protected_ha"] <= area_ha(SQUARE) * (1 + 1e-9) + 1e-4
    assert 0 <= before["protected_pct"] <= 100
    expected = shapely.union_all([shape & SQUARE for shape in shapes])  # each corner on an edge moves the geodesic along it
    assert before["protected_ha"] == pytest.approx(area_ha(expected), rel=1e-5, abs=1e-4)
    put(workspace, kind, *more, name="three")
    after = place(workspace)
    own = {"concession": "legal_status", "administrative-unit": "admin_unit"}.get(kind)
    mine = {*AREAS.get(kind, ()), DISTANCES.get(kind, ""), own, *(LAW_COLUMNS if kind == "concession" else ())}
    assert {name: cell for name, cell in after.items() if name not in mine} == {
        name: cell for name, cell in before.items() if name not in mine
    }


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.fixture
def scanned(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scanned workspace of its own; what the scan found is inside concession A until 2022-12-31."""
    workspace = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "scanned")
    outline = read_alerts(workspace.alerts).union_all().envelope.buffer(0.01)
    put_concessions(workspace, (outline, "2020-01-01", "2022-12-31"))
    put(workspace, "river", Point(outline.centroid.x + 0.1, outline.centroid.y), name="rivers")
    return workspace


def run(workspace: Workspace, *words: str, code: int = 0) -> Any:
    result = CliRunner().invoke(main, ["-w", str(workspace.root), *words])
    assert result.exit_code == code, result.output
    return result


def history(workspace: Workspace) -> set[tuple[str, str]]:
    return {(row["event"], row["detail"]) for row in read_layer(workspace.alerts, "alert_history")}


def test_a_scan_writes_the_cells_and_tells_when_the_law_changed(scanned: Workspace) -> None:
    assert set(read_alerts(scanned.alerts)["legal_status"]) == {"unknown"}
    scan_small(scanned)
    rows = read_alerts(scanned.alerts)
    late = rows["first_seen"] > "2022-12-31"
    assert set(rows[late]["legal_status"]) <= {"expired"}
    assert set(rows[~late]["legal_status"]) <= {"inside"}
    assert (rows["concession_pct"] == 100).all()
    assert rows["concession_ha"].tolist() == pytest.approx(rows["area_ha"].tolist(), abs=1e-3)
    assert rows["river_m"].between(5_000, 20_000).all()
    assert rows["road_m"].isna().all()
    assert "legal_status" in scanned.alerts_csv.read_text().splitlines()[0]
    assert {"unknown -> inside", "unknown -> expired"} & {detail for event, detail in history(scanned) if event == "legal status"}


def test_the_cells_do_not_depend_on_the_run(scanned: Workspace) -> None:
    scan_small(scanned)
    first = read_alerts(scanned.alerts).drop(columns="run_id")
    told = history(scanned)
    scan_small(scanned)
    assert read_alerts(scanned.alerts).drop(columns="run_id").equals(first)
    assert history(scanned) == told


def test_refresh_places_existing_alerts_without_a_scan(scanned: Workspace) -> None:
    before = read_alerts(scanned.alerts)
    result = run(scanned, "context", "refresh")
    assert " placed" in result.output
    after = read_alerts(scanned.alerts)
    assert set(after["legal_status"]) <= {"inside", "expired"}
    assert after.drop(columns=list(CONTEXT_COLUMNS)).equals(before.drop(columns=list(CONTEXT_COLUMNS)))
    scan_small(scanned)
    assert read_alerts(scanned.alerts)[list(CONTEXT_COLUMNS)].equals(after[list(CONTEXT_COLUMNS)]), "a scan says the same"
    assert "legal_status" in scanned.alerts_csv.read_text()


def test_an_older_table_is_upgraded(scanned: Workspace) -> None:
    with updating(scanned.alerts) as connection:
        connection.execute("DROP VIEW alert_titles")
        connection.execute("DELETE FROM gpkg_contents WHERE table_name = 'alert_titles'")
        for name in (*CONTEXT_COLUMNS, "witnesses"):
            connection.execute(f'ALTER TABLE alerts DROP COLUMN "{name}"')
    assert set(read_alerts(scanned.alerts)["legal_status"]) == {""}, "an older table can be read"
    listed = run(scanned, "alerts", "list", "--outside", "concession")
    assert "left out" in listed.stderr
    run(scanned, "context", "refresh")
    with sqlite3.connect(scanned.alerts) as connection:
        types = {name: kind for _, name, kind, *_ in connection.execute("PRAGMA table_info(alerts)")}
    connection.close()
    assert (types["legal_status"], types["river_m"], types["witnesses"]) == ("TEXT", "REAL", "TEXT")
    assert set(read_alerts(scanned.alerts)["legal_status"]) <= {"inside", "expired"}
    assert not [event for event, _ in history(scanned) if event == "legal status"], "a first status is no change"


def test_a_layer_that_cannot_be_used_stops_a_scan_before_anything_is_read(scanned: Workspace) -> None:
    (scanned.context / "concessions.geojson").unlink()
    before = scanned.alerts.read_bytes()
    with pytest.raises(ContextError, match="there is no file"):
        scan_small(scanned)
    assert scanned.alerts.read_bytes() == before


# --- the command line ------------------------------------------------------------------------------------------------


def set_cells(workspace: Workspace, column: str, *values: Any) -> list[str]:
    """Return the alerts these cells, in their order; gives their ids."""
    ids: list[str] = read_alerts(workspace.alerts)["alert_id"].tolist()
    with updating(workspace.alerts) as connection:
        for alert_id, value in zip(ids, values, strict=False):
            (fid,) = connection.execute("SELECT fid FROM alerts WHERE alert_id = ?", (alert_id,)).fetchone()
            update(connection, "alerts", fid, {column: value})
    return ids


def listed(workspace: Workspace, *words: str) -> tuple[list[str], str]:
    result = run(workspace, "alerts", "list", "--json", *words)
    return [row["alert_id"] for row in json.loads(result.stdout)], result.stderr


@pytest.mark.parametrize(
    ("statuses", "chosen", "left_out"),
    [
        (("outside", "inside"), 1, False),
        (("expired", "inside"), 1, False),
        (("outside", "expired"), 2, False),
        (("unknown", "outside"), 1, True),
        (("inside", "inside"), 0, False),
    ],
)
def test_outside_concessions(scanned: Workspace, statuses: tuple[str, str], chosen: int, left_out: bool) -> None:
    set_cells(scanned, "legal_status", *statuses)
    rows, errors = listed(scanned, "--outside", "concession")
    assert len(rows) == chosen
    assert ("1 alert is left out" in errors) == left_out


def test_the_list_tells_the_legal_status_where_concessions_are_known(scanned: Workspace) -> None:
    set_cells(scanned, "legal_status", "unknown", "unknown")
    assert "legal" not in run(scanned, "alerts", "list").stdout
    set_cells(scanned, "legal_status", "expired", "unknown")
    head, first, *_ = run(scanned, "alerts", "list").stdout.splitlines()
    assert (head.split()[-1], first.split()[-1]) == ("legal", "expired")


def test_outside_other_ground(scanned: Workspace) -> None:
    ids = set_cells(scanned, "protected_ha", 0, 1.5)
    assert listed(scanned, "--outside", "protected-area") == ([ids[0]], "")
    rows, errors = listed(scanned, "--outside", "indigenous-territory")
    assert rows == []
    assert "2 alerts are left out: whether outside any indigenous-territory is unknown" in errors
    assert listed(scanned, "--outside", "protected-area", "--min-area", "1000")[0] == []


def test_outside_filters_exports_too(scanned: Workspace, tmp_path: Path) -> None:
    set_cells(scanned, "legal_status", "outside", "inside")
    run(scanned, "alerts", "export", "--outside", "concession", "--format", "csv", "-o", str(tmp_path / "x"))
    assert len((tmp_path / "x" / "alerts.csv").read_text().splitlines()) == 2


def test_outside_takes_kinds_of_ground_alone(scanned: Workspace) -> None:
    assert "protected-area" in run(scanned, "alerts", "list", "--outside", "concesion", code=2).output


def test_check_tells_what_is_in_the_layers(workspace: Workspace) -> None:
    put_concessions(workspace, (ALL, *VALID), (FAR, "soon", "2030-01-01"), (FAR, None, None))
    put(workspace, "protected-area", ALL, name="reserves")
    result = run(workspace, "context", "check", "--json")
    first, second = json.loads(result.stdout)
    assert (first["name"], first["kind"], first["features"], first["dated"]) == ("concessions", "concession", 3, 1)
    assert any("'soon'" in problem for problem in first["problems"])
    assert second["problems"] == []
    assert "1 have no date" in run(workspace, "context", "check", "concessions").output


def test_check_names_every_fault_and_fails(workspace: Workspace) -> None:
    declare(workspace, "gone", "gone.gpkg", "river")
    put(workspace, "road", LineString([(0, 0), (1, 1)]), name="roads")
    result = run(workspace, "context", "check", code=1)
    assert "there is no file 'gone.gpkg'" in result.stderr
    assert "roads" in result.stdout
    run(workspace, "context", "check", "roads")
    assert "there is no context layer 'rods'" in run(workspace, "context", "check", "rods", code=1).output


def test_check_without_layers_says_so(workspace: Workspace) -> None:
    assert "no context layer is declared" in run(workspace, "context", "check").stderr
    assert "there is no alerts table yet" in run(workspace, "context", "refresh", code=1).output
