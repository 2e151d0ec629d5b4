"""Exports: what other programs read is what the table says."""

from __future__ import annotations

import csv
import datetime as dt
import importlib.util
import json
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import geopandas as gpd
import openpyxl
import pandas as pd
import pyogrio
import pytest
import shapely
from openpyxl.worksheet.worksheet import Worksheet
from shapely.geometry import MultiPolygon, box, shape

from minewatch.alerts.cells import safe_cell
from minewatch.alerts.columns import ALERT_COLUMNS
from minewatch.alerts.geopackage import updating
from minewatch.alerts.style import COLOURS, render_alert_style, render_likeness_style
from minewatch.core.errors import AlertsError, MinewatchError, WorkspaceError
from minewatch.products.export.formats import FORMATS, Export, export_alerts
from minewatch.products.export.kml import NAMESPACE
from minewatch.products.export.shapefile import FIELDS, LONGEST_NAME, LONGEST_TEXT
from minewatch.products.export.spreadsheets import LONGEST_CELL

NAMES = [column.name for column in ALERT_COLUMNS]

EMPTY = {"object": "", "float64": float("nan"), "int32": 0, "datetime64[D]": None}
KML = {"k": NAMESPACE}
NASTY = 'ñandú <b>&amp; "x"; $[name]\n=1+1 \x0b 鉱山'
"""What people write: other alphabets, markup, line breaks, a control character."""


def make_table(**changes: Any) -> gpd.GeoDataFrame:
    """Make a table of two alerts, the second one not confirmed."""
    empty = {column.name: EMPTY[column.dtype] for column in ALERT_COLUMNS}
    rows = [empty | {"alert_id": f"pampa-20240{n}01-00000{n}", "aoi": "pampa"} for n in (1, 2)]
    for number, row in enumerate(rows, 1):
        row |= {"status": "confirmed", "first_seen": f"2024-0{number}-01", "confirmed_on": f"2024-0{number}-11"}
        row |= {"last_seen": "2024-12-01", "as_of": "2024-12-31", "area_ha": 1.25 * number, "lat": -12.95, "lon": -69.99}
        row |= {"ndvi_change": -0.4, "bsi_change": 0.25, "looks": 7, "pipeline": "default"}
    rows[1] |= {"status": "provisional", "confirmed_on": None} | changes
    shapes = [MultiPolygon([box(-69.99 + n / 100, -12.95, -69.989 + n / 100, -12.949)]) for n in (0, 1)]
    table = gpd.GeoDataFrame(rows, geometry=shapes, crs=4326)
    for name in ("first_seen", "confirmed_on", "last_seen", "as_of"):
        table[name] = pd.to_datetime(table[name]).astype("datetime64[ms]")
    return table


def export(folder: Path, name: str, table: gpd.GeoDataFrame | None = None) -> Path:
    return export_whole(folder, name, table).path


def export_whole(folder: Path, name: str, table: gpd.GeoDataFrame | None = None) -> Export:
    written, *beside = export_alerts(make_table() if table is None else table, folder, (name,))
    assert [file.path.name for file in beside] == list_beside(name)
    return written


def list_beside(name: str) -> list[str]:
    """Name the files beside an export."""
    return ["alerts.csv-metadata.json"] if name == "csv" else []


def usable() -> list[str]:
    """Name the formats that hold the whole table; waypoints have no columns."""
    return [name for name in FORMATS if name != "gpx" and (name != "parquet" or importlib.util.find_spec("pyarrow"))]


def read_cells(path: Path, name: str) -> list[dict[str, Any]]:
    """Read an export back as plain cells: dates as text, nothing as ''."""
    if name == "csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    if name == "kml":
        marks = read_xml(path.read_bytes()).iterfind(".//k:Placemark", KML)
        return [
            {data.get("name", ""): data.findtext("k:value", "", KML) for data in mark.iterfind(".//k:Data", KML)}
            for mark in marks
            if mark.find("k:ExtendedData", KML) is not None  # pins have none
        ]
    if name == "xlsx":
        header, *values = read_sheet(path).iter_rows(values_only=True)
        return [{str(key): plain(value) for key, value in zip(header, row, strict=True)} for row in values]
    if name == "geojson":
        rows = [feature["properties"] for feature in json.loads(path.read_text("utf-8"))["features"]]
    elif name == "parquet":
        rows = gpd.read_parquet(path).drop(columns="geometry").to_dict("records")
    else:
        rows = (
            pyogrio.read_dataframe(path, layer="alerts", read_geometry=False).sort_values(FIELDS["alert_id"]).to_dict("records")
        )
    back = {field: column for column, field in FIELDS.items()} if name == "shp" else {}
    return [{back.get(key, key): plain(value) for key, value in row.items()} for row in rows]


def read_sheet(path: Path) -> Worksheet:
    """Read the sheet of the table, which is the first."""
    sheet, credits_ = openpyxl.load_workbook(path).worksheets
    assert credits_.title == "Credits"
    return sheet


def read_xml(data: bytes) -> ET.Element:
    return ET.fromstring(data)  # noqa: S314  # what the test itself has had written


def plain(value: Any) -> Any:
    if value is None or pd.isna(value):
        return ""
    return str(value)[:10] if isinstance(value, dt.date) else value


# --- every format ----------------------------------------------------------------------------------------------------


def test_formats_are_those_of_the_contract() -> None:
    assert set(FORMATS) == {"gpkg", "csv", "xlsx", "geojson", "kml", "parquet", "shp", "fgb", "gpx"}


def test_files_are_named_by_format_and_nothing_else_is_left(tmp_path: Path) -> None:
    names = usable()
    written = export_alerts(make_table(), tmp_path / "new" / "folder", names)
    expected = [file for name in names for file in (f"alerts.{'shp.zip' if name == 'shp' else name}", *list_beside(name))]
    assert [export.path.name for export in written] == expected
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(expected)
    assert all(e.path.stat().st_size > 0 and e.path.stat().st_mode & 0o777 == 0o600 for e in written)


@pytest.mark.parametrize("name", usable())
def test_every_format_has_every_column_with_the_same_cells(tmp_path: Path, name: str) -> None:
    note = "otro ñandú, 鉱山"
    table = make_table(review_note=note, witnesses="RADD 2024-06-11 (35 m)", river_m=12.5, concession="La Pampa & Hijos")
    first, second = read_cells(export(tmp_path, name, table), name)
    assert list(first) == NAMES
    for row, source in zip((first, second), table.to_dict("records"), strict=True):
        for column in ALERT_COLUMNS:
            wanted = plain(source[column.name])
            found = row[column.name]
            if column.dtype in ("float64", "int32") and wanted != "":
                assert float(found) == pytest.approx(wanted), column.name
            else:
                assert str(found) == str(wanted), column.name
    assert (second["review_note"], second["first_seen"], second["confirmed_on"]) == (note, "2024-02-01", "")
    assert (first["river_m"], float(second["river_m"])) == ("", 12.5)


@pytest.mark.parametrize("name", usable())
def test_an_empty_table_makes_valid_files_with_all_columns(tmp_path: Path, name: str) -> None:
    path = export(tmp_path, name, make_table().iloc[:0])
    if name == "csv":
        assert path.read_bytes().decode() == ",".join(NAMES) + "\r\n"
    elif name == "kml":
        assert len(read_xml(path.read_bytes()).findall("k:Document/k:Style", KML)) == len(COLOURS)
    elif name == "geojson":
        assert json.loads(path.read_text("utf-8"))["features"] == []
    elif name == "parquet":
        assert list(gpd.read_parquet(path).columns) == [*NAMES, "geometry"]
    elif name == "xlsx":
        assert list(read_sheet(path).iter_rows(values_only=True)) == [tuple(NAMES)]
    else:
        fields = pyogrio.read_info(path, layer="alerts")["fields"].tolist()
        assert fields == (list(FIELDS.values()) if name == "shp" else NAMES)


@pytest.mark.parametrize("name", usable())
def test_whatever_people_write_can_be_read_back(tmp_path: Path, name: str) -> None:
    (_, row) = read_cells(export(tmp_path, name, make_table(review_note=NASTY)), name)
    kept = NASTY if name == "csv" else NASTY.replace("\x0b", "\ufffd")
    assert row["review_note"] == kept


@pytest.mark.parametrize("name", usable())
def test_an_export_replaces_the_last_one(tmp_path: Path, name: str) -> None:
    path = export(tmp_path, name, make_table().iloc[:1])
    first = path.read_bytes()
    export(tmp_path, name)
    assert path.read_bytes() != first
    assert sorted(other.name for other in tmp_path.iterdir()) == [path.name, *list_beside(name)]


@pytest.mark.parametrize("name", usable())
def test_a_write_that_fails_leaves_the_last_export(tmp_path: Path, name: str) -> None:
    path = export(tmp_path, name)
    first = path.read_bytes()
    with pytest.raises((KeyError, AttributeError)):
        export(tmp_path, name, make_table().drop(columns="witnesses"))
    assert path.read_bytes() == first
    assert sorted(other.name for other in tmp_path.iterdir()) == [path.name, *list_beside(name)]


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(AlertsError, match="unknown format 'dwg'; known: gpkg, csv"):
        export_alerts(make_table(), tmp_path, ("csv", "dwg"))
    with pytest.raises(AlertsError, match="no format is named"):
        export_alerts(make_table(), tmp_path, ())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("here already")
    with pytest.raises(WorkspaceError, match="taken"):
        export(tmp_path / "taken", "csv")


# --- maps ------------------------------------------------------------------------------------------------------------


def test_geopackage_holds_the_same_table_and_its_style(tmp_path: Path) -> None:
    path = export(tmp_path, "gpkg")
    frame = gpd.read_file(path, layer="alerts")
    assert frame.crs.to_epsg() == 4326
    assert frame.geometry.geom_equals(make_table().geometry).all()
    info = pyogrio.read_info(path, layer="alerts")
    types = dict(zip(info["fields"].tolist(), info["dtypes"].tolist(), strict=True))
    assert types["first_seen"] == types["confirmed_on"] == "datetime64[D]", "a date without a time"
    with updating(path) as connection:
        rows = connection.execute("SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles").fetchall()
    assert rows == [("alerts", "geom", 1, render_alert_style()), ("alerts", "geom", 0, render_likeness_style())]


def test_geojson_is_as_rfc_7946_has_it(tmp_path: Path) -> None:
    table = make_table()
    clockwise = box(-69.123456789, -12.95, -69.122, -12.949).reverse()
    across = box(179.999, 1, 180.001, 1.001)
    table.geometry = [MultiPolygon([clockwise]), MultiPolygon([across])]
    document = json.loads(export(tmp_path, "geojson", table).read_text("utf-8"))
    assert "crs" not in document
    first, second = (shape(feature["geometry"]) for feature in document["features"])
    assert all(part.exterior.is_ccw for part in first.geoms)
    assert first.bounds[0] == -69.1234568, "seven digits"
    assert [part.bounds[::2] for part in sorted(second.geoms, key=lambda part: part.bounds)] == [
        pytest.approx((-180, -179.999)), pytest.approx((179.999, 180))
    ], "cut at 180 degrees"  # fmt: skip


def test_a_shapefile_is_whole_and_says_what_it_cannot_hold(tmp_path: Path) -> None:
    long = "ñ" * 200
    path, notes = (written := export_whole(tmp_path, "shp", make_table(review_note=long))).path, written.notes
    files = [f"alerts.{end}" for end in ("cpg", "dbf", "prj", "shp", "shp.xml", "shx")]
    assert sorted(zipfile.ZipFile(path).namelist()) == files
    frame = gpd.read_file(path)
    assert frame.crs.to_epsg() == 4326
    assert frame["rev_note"].iloc[1] == "ñ" * (LONGEST_TEXT // 2)
    assert "rev_note is review_note" in notes[0]
    assert notes[1:] == ("shp: 1 text was cut to 254 bytes; take gpkg for all",)


def test_names_of_shapefile_fields_are_short_and_different() -> None:
    assert list(FIELDS) == NAMES
    assert max(map(len, FIELDS.values())) <= LONGEST_NAME
    assert len({field.lower() for field in FIELDS.values()}) == len(FIELDS)


@pytest.mark.parametrize("name", [name for name in usable() if name not in ("csv", "xlsx")])
def test_outlines_are_the_tables(tmp_path: Path, name: str) -> None:
    path = export(tmp_path, name)
    layer = {"layer": "alerts"} if name in ("gpkg", "kml") else {}
    frame = gpd.read_parquet(path) if name == "parquet" else gpd.read_file(path, **layer)
    assert frame.crs.to_epsg() == 4326
    frame = frame.sort_values("Name" if name == "kml" else "alert_id")
    assert shapely.hausdorff_distance(frame.geometry.to_numpy(), make_table().geometry.to_numpy()).max() < 1e-6


def test_parquet_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ImportError("pyarrow")

    monkeypatch.setattr(gpd.GeoDataFrame, "to_parquet", refuse)
    with pytest.raises(MinewatchError, match=r"minewatch\[parquet\]"):
        export(tmp_path, "parquet")
    assert list(tmp_path.iterdir()) == []


# --- spreadsheets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\t=", "＝"])
@pytest.mark.parametrize("name", ["csv", "xlsx"])
def test_no_cell_is_run_as_a_formula(tmp_path: Path, name: str, start: str) -> None:
    text = f"{start}HYPERLINK(1)"
    (_, row) = read_cells(export(tmp_path, name, make_table(review_note=text, reviewed_by=text)), name)
    assert row["review_note"].startswith("'")
    assert row["review_note"].lstrip("'").split("H")[1] == "YPERLINK(1)"
    assert row["reviewed_by"] == row["review_note"]


def test_numbers_and_plain_text_are_left_alone() -> None:
    assert [safe_cell(value) for value in (-0.4, 7, "a=b", "La-Pampa", "'x", "")] == [-0.4, 7, "a=b", "La-Pampa", "'x", ""]


def test_a_workbook_holds_numbers_dates_and_texts_as_such(tmp_path: Path) -> None:
    sheet = read_sheet(export(tmp_path, "xlsx", make_table(review_note="{=1+1}", reviewed_by="https://example.org")))
    assert (sheet.title, sheet.freeze_panes, sheet.auto_filter.ref) == ("alerts", "A2", sheet.dimensions)
    second = dict(zip(NAMES, sheet[3], strict=True))
    for column in ALERT_COLUMNS:
        cell = second[column.name]
        assert cell.hyperlink is None
        if cell.value is not None and column.dtype == "datetime64[D]":
            assert (cell.is_date, cell.number_format) == (True, "yyyy-mm-dd"), column.name
        elif cell.value is not None:
            assert cell.data_type == ("s" if column.dtype == "object" else "n"), column.name
    assert (str(second["first_seen"].value), second["confirmed_on"].value) == ("2024-02-01 00:00:00", None)
    assert (second["review_note"].value, second["reviewed_by"].value) == ("{=1+1}", "https://example.org")


def test_programs_that_read_through_gdal_see_dates_too(tmp_path: Path) -> None:
    dtypes = pyogrio.read_dataframe(export(tmp_path, "xlsx"), layer="alerts").dtypes
    kinds = {"float64": "f", "int32": "if", "datetime64[D]": "M"}
    for column in ALERT_COLUMNS:
        if column.name in ("first_seen", "as_of", "area_ha", "ndvi_change", "looks"):
            assert dtypes[column.name].kind in kinds[column.dtype], column.name


def test_a_text_is_cut_where_a_cell_of_a_workbook_ends(tmp_path: Path) -> None:
    (_, row) = read_cells(export(tmp_path, "xlsx", make_table(review_note="ñ" * 40_000)), "xlsx")
    assert row["review_note"] == "ñ" * LONGEST_CELL


def test_the_same_table_makes_the_same_workbook(tmp_path: Path) -> None:
    path = export(tmp_path, "xlsx")
    first = path.read_bytes()
    assert export(tmp_path, "xlsx").read_bytes() == first
    times = openpyxl.load_workbook(path).properties
    assert {times.created, times.modified} == {dt.datetime(1980, 1, 1)}, "no clock in it"  # noqa: DTZ001
    assert {entry.date_time for entry in zipfile.ZipFile(path).infolist()} == {(1980, 1, 1, 0, 0, 0)}


# --- Google Earth ----------------------------------------------------------------------------------------------------


def test_kml_has_what_google_earth_needs(tmp_path: Path) -> None:
    root = read_xml(export(tmp_path, "kml").read_bytes())
    assert root.tag == f"{{{NAMESPACE}}}kml"
    styles = {style.get("id"): style for style in root.iterfind("k:Document/k:Style", KML)}
    assert set(styles) == set(COLOURS)
    assert styles["confirmed"].findtext("k:LineStyle/k:color", "", KML) == "ff2e10c8", "aabbggrr of #c8102e"
    marks, pins = (folder.findall("k:Placemark", KML) for folder in root.iterfind("k:Document/k:Folder", KML))
    order = ["name", "Snippet", "description", "TimeStamp", "styleUrl", "ExtendedData", "MultiGeometry"]
    assert [[child.tag.split("}")[1] for child in mark] for mark in marks] == [order, order]
    assert [mark.findtext("k:name", "", KML) for mark in marks] == make_table()["alert_id"].tolist()
    assert [mark.findtext("k:TimeStamp/k:when", "", KML) for mark in marks] == ["2024-01-01", "2024-02-01"]
    assert [mark.findtext("k:styleUrl", "", KML) for mark in marks] == ["#confirmed", "#provisional"]
    assert [pin.findtext("k:name", "", KML) for pin in pins] == make_table()["alert_id"].tolist(), "seen from afar"
    assert [pin.findtext("k:Point/k:coordinates", "", KML) for pin in pins] == [
        "-69.9900000,-12.9500000",
        "-69.9900000,-12.9500000",
    ]
    assert styles["confirmed"].find("k:IconStyle/k:Icon/k:href", KML) is not None
    assert gpd.read_file(tmp_path / "alerts.kml", layer="alerts").geom_type.unique().tolist() == ["MultiPolygon"], (
        "outlines come first"
    )
    ring = marks[0].findtext(".//k:outerBoundaryIs/k:LinearRing/k:coordinates", "", KML).split()
    assert ring[0] == ring[-1]
    assert len(ring) == 5


def test_the_balloon_shows_text_as_text(tmp_path: Path) -> None:
    table = make_table(review_note="<script>alert(1)</script> $[name] & co", reviewed_by="Rosa")
    root = read_xml(export(tmp_path, "kml", table).read_bytes())
    assert root.findtext(".//k:BalloonStyle/k:text", "", KML).endswith("$[description]")
    balloon = root.findall(".//k:Placemark", KML)[1].findtext("k:description", "", KML)
    assert "<td>&lt;script&gt;alert(1)&lt;/script&gt; $&#91;name] &amp; co</td>" in balloon
    assert "<b>Reviewed by</b></td><td>Rosa</td>" in balloon
    assert "<b>Confirmed on</b>" not in balloon, "cells without a value have no row"


def test_holes_stay_holes(tmp_path: Path) -> None:
    table = make_table().iloc[:1].copy()
    outer, hole = box(-70, -13, -69.9, -12.9), box(-69.96, -12.96, -69.94, -12.94)
    table.geometry = [MultiPolygon([outer.difference(hole)])]
    assert gpd.read_file(export(tmp_path, "kml", table), layer="alerts").geometry.iloc[0].area == pytest.approx(0.01 - 0.0004)


def test_gpx_has_a_waypoint_and_an_outline_for_each_alert(tmp_path: Path) -> None:
    path = export(tmp_path, "gpx", make_table(alert_id="a<b>&\x0b"))
    points = pyogrio.read_dataframe(path, layer="waypoints")
    assert points["name"].tolist() == ["pampa-20240101-000001", "a<b>&\ufffd"]
    assert points["sym"].tolist() == ["Flag, Red", "Flag, Blue"]
    assert "provisional, " in points["desc"][1]
    assert [[point.y, point.x] for point in points.geometry] == make_table()[["lat", "lon"]].to_numpy().tolist()
    tracks = pyogrio.read_dataframe(path, layer="tracks")
    assert shapely.hausdorff_distance(tracks.geometry[0], make_table().geometry[0].boundary) < 1e-6
    order = [child.tag.split("}")[1] for child in read_xml(path.read_bytes())]
    assert order == ["metadata", "wpt", "wpt", "trk", "trk"], "the order of the schema"
