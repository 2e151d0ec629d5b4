"""Map files as an attacker would write them: none leads to an address, runs SQL, or has no end."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import struct
import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
from shapely.geometry import box, mapping

from minewatch.core import geopackage_check, map_archive
from minewatch.core.errors import MapFileError
from minewatch.core.map_file import DRIVERS, check_map_file, list_map_layers, restrict_gdal
from tests.helpers.hosts import Answer, Host, serve_host

FEATURE = {"type": "Feature", "properties": {}, "geometry": mapping(box(0, 0, 1, 1))}
RING = "<gml:LinearRing><gml:coordinates>0,0 1,0 1,1 0,0</gml:coordinates></gml:LinearRing>"


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A server that has nothing and notes who asks."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serve_host() as host:
        host.answer = lambda answer, _: answer.send(404)
        monkeypatch.setattr(Answer, "do_HEAD", Answer.do_GET, raising=False)
        yield host


def write_gml(schema: str) -> str:
    return (
        '<?xml version="1.0"?><wfs:FeatureCollection xmlns:wfs="http://www.opengis.net/wfs" xmlns:gml="http://www.opengis.net/gml"'
        f' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:ogr="http://ogr.maptools.org/"'
        f' xsi:schemaLocation="{schema}">'
        f'<gml:featureMember><ogr:c fid="c.0"><ogr:g><gml:Polygon srsName="EPSG:4326"><gml:exterior>{RING}</gml:exterior>'
        "</gml:Polygon></ogr:g></ogr:c>"
        "</gml:featureMember></wfs:FeatureCollection>"
    )


def write_crs(crs: str) -> str:
    return json.dumps({"type": "FeatureCollection", "crs": "HERE", "features": [FEATURE]}).replace('"HERE"', crs)


LINK = '{"type": "link", "properties": {"href": "URL/crs"}}'
LEADING = {
    "schema.gml": write_gml("http://ogr.maptools.org/ URL/wfs?SERVICE=WFS&amp;REQUEST=DescribeFeatureType&amp;TYPENAME=c"),
    "link.geojson": write_crs(LINK),
    "escaped.geojson": write_crs(LINK).replace('"crs"', '"\\u0063rs"'),
    "escaped type.geojson": write_crs(LINK).replace('"link"', '"l\\u0069nk"'),
    "capitals.geojson": write_crs(LINK).replace('"crs"', '"CRS"'),
    "single quotes.geojson": write_crs(LINK).replace('"crs"', "'crs'"),
    "comment.geojson": write_crs("/* */" + LINK),
    "commented.geojson": write_crs(LINK).replace('"crs":', '"crs" /* */ :'),
    "url.geojson": write_crs('{"type": "url", "properties": {"url": "URL/crs"}}'),
    "late.geojson": write_crs(LINK).replace('"crs"', '"x": "' + " " * 2**24 + '", "crs"'),
    "topology.json": json.dumps({"type": "Topology", "crs": "HERE", "objects": {}, "arcs": []}).replace('"HERE"', LINK),
    "vrt.gpkg": '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/vsicurl/URL/v.geojson</SrcDataSource></OGRVRTLayer>'
    "</OGRVRTDataSource>",
    "late vrt.kml": f"<!--{' ' * 70_000}-->"
    '<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>/vsicurl/URL/v</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>',
    "service.xml": "<OGRWFSDataSource><URL>URL/wfs</URL></OGRWFSDataSource>",
    "pipeline.gdalg.json": '{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read /vsicurl/URL/g.geojson"}',
    "link.kml": '<kml xmlns="http://www.opengis.net/kml/2.2"><Document><NetworkLink><Link><href>URL/n.kml</href></Link></NetworkLink>'
    "<Placemark><styleUrl>URL/s.kml#x</styleUrl><Point><coordinates>0,0</coordinates></Point></Placemark></Document></kml>",
    "shortcut.url": "[InternetShortcut]\nURL=URL/x.geojson\n",
    "view.tab": '!table\n!version 300\nopen table "/vsicurl/URL/t"\nCreate View v As\nSelect a From t\n',
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", LEADING)
def test_no_file_makes_anybody_ask_an_address(tmp_path: Path, host: Host, name: str) -> None:
    path = tmp_path / name
    path.write_text(LEADING[name].replace("URL", host.url))
    with contextlib.suppress(MapFileError, pyogrio.errors.DataSourceError):
        check_map_file(path)
        for layer in list_map_layers(path):
            pyogrio.raw.read(path, layer=layer)
    assert host.paths == []


def test_gdal_would_ask(tmp_path: Path, host: Host) -> None:
    """The attack of the test above works where nobody looks; else that test would be worth nothing."""
    path = tmp_path / "a.geojson"
    path.write_text(write_crs(LINK).replace("URL", host.url))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyogrio.raw.read(path)
    assert host.paths


@pytest.mark.parametrize("crs", ["null", '"EPSG:4326"', '{"type": "name", "properties": {"name": "EPSG:4326"}}', '{"a": "link"}'])
def test_a_named_reference_system_is_taken(tmp_path: Path, crs: str) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(
        write_crs(crs).replace('"properties": {}', '"properties": {"crs": "x", "kind": "crs", "n": "Compa\\u00f1\\u00eda"}')
    )
    check_map_file(path)


def test_gdal_keeps_no_driver_that_leads_elsewhere() -> None:
    restrict_gdal()
    left = set(pyogrio.list_drivers())
    assert {"GPKG", "GeoJSON", "ESRI Shapefile", "KML", "LIBKML", "GML", "FlatGeobuf"} <= left
    assert left - set(DRIVERS) == {"CSV", "MEM", "ODS", "XLSX"}


# --- databases -------------------------------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path) -> Path:
    path = tmp_path / "a.gpkg"
    gpd.GeoDataFrame({"n": ["a"]}, geometry=[box(0, 0, 1, 1)], crs=4326).to_file(path, driver="GPKG", layer="c")
    return path


def run_sql(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as database:
        for statement in statements:
            database.execute(statement)
    database.close()


ENDLESS = "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r) SELECT i AS fid, (SELECT geom FROM c) AS geom FROM r"
LISTED = (
    "INSERT INTO gpkg_contents(table_name, data_type, identifier, srs_id) VALUES ('v', 'features', 'v', 4326)",
    "INSERT INTO gpkg_geometry_columns VALUES ('v', 'geom', 'POLYGON', 4326, 0, 0)",
)


def test_a_view_without_end_is_not_run_and_the_tables_beside_it_are_read(package: Path) -> None:
    run_sql(package, f"CREATE VIEW v AS {ENDLESS}", *LISTED)
    check_map_file(package)
    assert list_map_layers(package) == {"c": "Polygon"}
    with pytest.raises(MapFileError, match="its layer 'v' is a view or is computed, which is not run"):
        list_map_layers(package, "v")


@pytest.mark.parametrize("table", ["gpkg_geometry_columns", "gpkg_spatial_ref_sys", "rtree_c_geom"])
def test_a_view_in_place_of_a_table_that_gdal_asks_is_refused(package: Path, table: str) -> None:
    run_sql(package, f"DROP TABLE {table}", f"CREATE VIEW {table} AS {ENDLESS}")
    with pytest.raises(MapFileError, match=f"its {table} is not a table"):
        check_map_file(package)


def test_computed_columns_are_not_read(package: Path) -> None:
    run_sql(package, "CREATE TABLE v(fid INTEGER PRIMARY KEY, geom BLOB GENERATED ALWAYS AS (zeroblob(900000000)))", *LISTED)
    check_map_file(package)
    assert list(list_map_layers(package)) == ["c"]


def test_a_table_whose_pages_lead_back_to_themselves_ends(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every entry of an inner page leads to the same leaf: some hundred kilobytes that would be read for years."""
    run_sql(package, "CREATE TABLE big(fid INTEGER PRIMARY KEY, x)")
    with sqlite3.connect(package) as database:
        database.executemany("INSERT INTO big(x) VALUES (?)", [("y" * 400,)] * 3000)
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'big'").fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    database.close()
    data = bytearray(package.read_bytes())
    at = (root - 1) * size
    (cells,) = struct.unpack_from(">H", data, at + 3)
    assert data[at] == 5  # an inner page
    assert cells > 50
    places = struct.unpack_from(f">{cells}H", data, at + 12)
    for place in places:  # to itself, in place of the leaves
        struct.pack_into(">I", data, at + place, root)
    package.write_bytes(data)
    monkeypatch.setattr(geopackage_check, "LONGEST_SECONDS", 0.5)
    began = time.monotonic()
    with pytest.raises(MapFileError, match=r"takes too long|damaged|has no end"):
        check_map_file(package)
    assert time.monotonic() - began < 5


def test_a_database_that_is_no_geopackage_is_refused(tmp_path: Path) -> None:
    run_sql(tmp_path / "a.gpkg", "CREATE TABLE a(b)")
    with pytest.raises(MapFileError, match="no GeoPackage"):
        check_map_file(tmp_path / "a.gpkg")
    (tmp_path / "b.gpkg").write_bytes(b"SQLite format 3\0" + bytes(5000))
    with pytest.raises(MapFileError, match="damaged"):
        check_map_file(tmp_path / "b.gpkg")


# --- archives --------------------------------------------------------------------------------------------------------


def test_an_archive_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(map_archive, "LARGEST_TOTAL", 2**20)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.shp", bytes(2**20 + 1))
    with pytest.raises(MapFileError, match="holds more than 1 MB"):
        check_map_file(path)
    data = path.read_bytes()
    lying = data.replace(struct.pack("<I", 2**20 + 1), struct.pack("<I", 10))
    assert lying != data
    path.write_bytes(lying)  # both headers say 10 bytes
    with pytest.raises(MapFileError, match=r"damaged|more than"):
        check_map_file(path)


def test_what_an_archive_names_stays_in_the_folder(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.zip", tmp_path / "inside"
    folder.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../../evil.geojson", "/etc/cron.d/x.prj", "..\\b.dbf", "__MACOSX/._evil.geojson", "a.exe"):
            archive.writestr(name, "{}")
    found = map_archive.unpack_map(path, folder, map_archive.LARGEST_TOTAL)
    assert found.is_relative_to(folder)
    assert sorted(other.suffix for other in folder.rglob("*") if other.is_file()) == [".dbf", ".geojson", ".prj"]
    assert {other.name for other in tmp_path.iterdir()} == {"a.zip", "inside"}


@pytest.mark.parametrize(
    ("names", "words"),
    [([], "no shapefile"), (["a.shp", "b.shp"], "holds a.shp, b.shp; unpack it"), (["x/a.kml", "x/a.KML"], "twice")],
)
def test_an_archive_of_no_one_map_says_what_it_holds(tmp_path: Path, names: list[str], words: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    with pytest.raises(MapFileError, match=words):
        map_archive.unpack_map(tmp_path / "a.zip", tmp_path, map_archive.LARGEST_TOTAL)


def test_the_main_file_of_a_kmz_is_chosen(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.kmz", "w") as archive:
        archive.writestr("doc.kml", "main")
        archive.writestr("files/other.kml", "other")
    assert map_archive.unpack_map(tmp_path / "a.kmz", tmp_path, map_archive.LARGEST_TOTAL).read_text() == "main"
