"""Areas from the files that people have: what each becomes, and what is said of it."""

from __future__ import annotations

import json
import re
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely
from click.testing import CliRunner, Result
from shapely.geometry import LineString, Point, Polygon, box, mapping
from shapely.geometry.base import BaseGeometry

from minewatch.areas import outline_file
from minewatch.areas.aoi import read_aoi
from minewatch.areas.area_files import list_aois
from minewatch.areas.naming import clean_name
from minewatch.areas.outline_file import MOST_FEATURES, read_outlines
from minewatch.cli import main
from minewatch.core.errors import AoiError
from minewatch.core.workspace import Workspace
from minewatch.settings.document import init_workspace

WEST, EAST = box(-70.0, -12.9, -69.9, -12.8), box(-69.9, -12.9, -69.8, -12.8)
BOW_TIE = Polygon([(-70, -13), (-69.9, -12.9), (-69.9, -13), (-70, -12.9)])
HOSTILE = "\x1b[2J\u202eevil/../name\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "watch")


def save(path: Path, *shapes: BaseGeometry | None, crs: Any = 4326, **columns: Any) -> Path:
    frame = gpd.GeoDataFrame({"Name": [f"n{n}" for n in range(len(shapes))]} | columns, geometry=list(shapes), crs=4326)
    frame.to_crs(crs).to_file(path, driver="KML" if path.suffix == ".kml" else None)
    return path


def add(workspace: Workspace, *words: str | Path) -> Result:
    answer = CliRunner().invoke(main, ["-w", str(workspace.root), "aoi", "add", *map(str, words)])
    assert answer.exception is None or isinstance(answer.exception, SystemExit)
    assert (answer.stdout + answer.stderr).replace("\n", "").isprintable()
    return answer


def refuse(workspace: Workspace, *words: str | Path) -> str:
    """Return the one line with which a file is refused, once nothing was written."""
    before = list_aois(workspace)
    answer = add(workspace, *words)
    (line,) = [line for line in answer.stderr.splitlines() if line.startswith("Error: ")]
    assert answer.exit_code == 1
    assert list_aois(workspace) == before
    return line


def zip_files(path: Path, *members: Path, folder: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            archive.write(member, folder + member.name)
    return path


# --- formats ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.kml", "a.kmz", "a.shp", "a.zip", "A.ZIP", "a.gpkg", "a.geojson", "a.fgb", "a.gml", "a.gdb"])
def test_each_format_gives_the_same_area(workspace: Workspace, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    path = folder / name
    if name == "a.kmz":
        zip_files(path, save(folder / "doc.kml", WEST))
    elif name.lower() == "a.zip":
        save(folder / "Área.shp", WEST)
        zip_files(path, *folder.glob("Área.*"), folder="Ã\x81rea/")
    elif name == "a.gdb":
        gpd.GeoDataFrame({"Name": ["a"]}, geometry=[WEST], crs=4326).to_file(path, driver="OpenFileGDB")
    else:
        save(path, WEST)
    answer = add(workspace, "pampa", path)
    assert answer.exit_code == 0, answer.stderr
    assert read_aoi(workspace, "pampa").geometry.symmetric_difference(WEST).area < 1e-9


@pytest.mark.parametrize("name", ["a.geojson", "a.gpkg", "a.shp"])
def test_other_reference_systems_are_reprojected_and_it_is_said(workspace: Workspace, tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, WEST, crs=32719)
    answer = add(workspace, "pampa", path)
    assert "reprojected from WGS 84 / UTM zone 19S (EPSG:32719) to longitude and latitude" in answer.stderr
    area = read_aoi(workspace, "pampa").geometry
    assert area.symmetric_difference(WEST).area / WEST.area < 1e-4


@pytest.mark.parametrize(
    "name",
    ["EPSG:32719", "urn:ogc:def:crs:EPSG::32719", "urn:ogc:def:crs:EPSG:6.6:32719", "http://www.opengis.net/def/crs/EPSG/0/32719",
     "http://www.opengis.net/gml/srs/epsg.xml#32719", "urn:x-ogc:def:crs:EPSG:32719"],
)  # fmt: skip
def test_every_spelling_of_a_reference_system_is_known(tmp_path: Path, name: str) -> None:
    document = {"type": "Polygon", "coordinates": mapping(box(500_000, 8_580_000, 510_000, 8_590_000))["coordinates"]}
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(document | {"crs": {"type": "name", "properties": {"name": name}}}))
    west, south, _, _ = read_outlines(path).single().geometry.bounds
    assert (west, south) == pytest.approx((-69, -12.84), abs=0.02)


@pytest.mark.parametrize("name", ["EPSG:1", "Minas Gerais", "http://127.0.0.1:9/crs", HOSTILE])
def test_an_unknown_reference_system_is_named(workspace: Workspace, tmp_path: Path, name: str) -> None:
    document = mapping(WEST) | {"crs": {"type": "name", "properties": {"name": name}}}
    (tmp_path / "a.geojson").write_text(json.dumps(document))
    assert "a reference system that is not known; reproject it" in refuse(workspace, "a", tmp_path / "a.geojson")


def test_a_shapefile_without_its_reference_system_says_what_to_do(workspace: Workspace, tmp_path: Path) -> None:
    path = save(tmp_path / "a.shp", WEST, crs=32719)
    path.with_suffix(".prj").unlink()
    line = refuse(workspace, "a", zip_files(tmp_path / "a.zip", *tmp_path.glob("a.*")))
    assert "add its .prj file, or say it with --crs EPSG:4326" in line
    assert add(workspace, "a", tmp_path / "a.zip", "--crs", "EPSG:32719").exit_code == 0
    assert read_aoi(workspace, "a").geometry.symmetric_difference(WEST).area / WEST.area < 1e-4
    assert "not known" in refuse(workspace, "b", path, "--crs", "nowhere")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
@pytest.mark.parametrize("name", ["a.shp", "a.geojson"])
def test_names_in_any_encoding_are_read(workspace: Workspace, tmp_path: Path, name: str, encoding: str) -> None:
    path = tmp_path / name
    if name == "a.shp":
        gpd.GeoDataFrame({"HOLDER": ["Compañía Ñandú"]}, geometry=[WEST], crs=4326).to_file(path, encoding=encoding)
        path.with_suffix(".cpg").unlink()
    else:
        feature = {"type": "Feature", "properties": {"HOLDER": "Compañía Ñandú"}, "geometry": mapping(WEST)}
        path.write_bytes(json.dumps(feature, ensure_ascii=False).encode(encoding))
    answer = add(workspace, path, "--name-from", "holder")
    assert list_aois(workspace) == ["Compañía-Ñandú"]
    assert ("was read as cp1252" in answer.stderr) == (name == "a.geojson" and encoding == "cp1252")


def test_heights_and_columns_of_other_programs_do_no_harm(workspace: Workspace, tmp_path: Path) -> None:
    """A column called pipeline or grid in a register means something else."""
    path = save(tmp_path / "a.gpkg", shapely.force_3d(WEST, 7), grid=[12], pipeline=["Camisea"], large=[1], monitor_from=["soon"])
    assert add(workspace, "a", path).exit_code == 0
    assert not read_aoi(workspace, "a").geometry.has_z
    assert read_aoi(workspace, "a").pipeline == "default"


# --- several features ------------------------------------------------------------------------------------------------


def test_several_features_need_a_decision(workspace: Workspace, tmp_path: Path) -> None:
    path = save(tmp_path / "two.kml", WEST, EAST)
    line = refuse(workspace, "a", path)
    assert "has 2 features: add --merge for one area of them all, or --name-from COLUMN for an area of each (columns: " in line
    assert "Name" in line


def test_several_features_become_one_area(workspace: Workspace, tmp_path: Path) -> None:
    answer = add(workspace, "both", save(tmp_path / "two.gpkg", WEST, EAST, state=["MD", "MD"]), "--merge")
    assert "both: 2 features were merged into one area" in answer.stderr
    area = read_aoi(workspace, "both")
    assert area.geometry.equals(WEST.union(EAST))
    assert area.properties == {"state": "MD"}


def test_each_feature_becomes_an_area_with_a_clean_name_of_its_own(workspace: Workspace, tmp_path: Path) -> None:
    names = ["Río Azul / Nº 7", "río azul nº 7", HOSTILE, None, "", "x" * 300, "x" * 300, "..", "7.0"]
    path = save(tmp_path / "many.geojson", *[WEST] * len(names), HOLDER=names)
    answer = add(workspace, "res", path, "--name-from", "HOLDER")
    assert answer.exit_code == 0, answer.stderr
    assert f"{path}: 9 features, each an area named from the column HOLDER" in answer.stderr
    long = f"res-{'x' * 55}"
    expected = [
        "res-Río-Azul-Nº-7",
        "res-río-azul-nº-7-2",
        "res-2J-evil-name",
        "res-4",
        "res-5",
        long,
        f"{long}-2",
        "res-8",
        "res-7-0",
    ]
    assert sorted(list_aois(workspace)) == sorted(expected)
    for name in expected:
        assert f"area {name}: " in answer.stderr


def test_without_a_name_the_values_alone_are_the_names(workspace: Workspace, tmp_path: Path) -> None:
    path = save(tmp_path / "two.shp", WEST, EAST, n=[1, 2])
    rows = json.loads(add(workspace, path, "--name-from", "N", "--json").stdout)
    assert [row["aoi"] for row in rows] == list_aois(workspace) == ["1", "2"]


def test_no_area_is_overwritten_and_all_are_added_or_none(workspace: Workspace, tmp_path: Path) -> None:
    path = save(tmp_path / "two.gpkg", WEST, EAST)
    assert add(workspace, "p-n1", save(tmp_path / "one.gpkg", EAST)).exit_code == 0
    kept = (workspace.aois / "p-n1.geojson").read_bytes()
    assert "area 'p-n1' exists already" in refuse(workspace, "p", path, "--name-from", "Name")
    assert (workspace.aois / "p-n1.geojson").read_bytes() == kept


def test_a_fault_while_the_areas_are_written_leaves_none(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from minewatch.areas import register  # noqa: PLC0415

    def fail_at_the_second(workspace: Workspace, area: Any) -> Path:
        if area.name == "n1":
            raise AoiError("disk full")
        return write(workspace, area)

    write = register.write_aoi
    monkeypatch.setattr(register, "write_aoi", fail_at_the_second)
    assert "disk full" in refuse(workspace, save(tmp_path / "two.gpkg", WEST, EAST), "--name-from", "Name")


def test_an_unknown_column_and_contrary_options_are_told(workspace: Workspace, tmp_path: Path) -> None:
    path = save(tmp_path / "two.gpkg", WEST, EAST)
    assert "has no column 'label'; it has Name" in refuse(workspace, path, "--name-from", "label")
    assert add(workspace, "a", path, "--name-from", "Name", "--merge").exit_code == 2
    assert add(workspace, "a", "--bbox", "0,0,1,1", "--merge").exit_code == 2


def test_of_several_layers_one_is_chosen(workspace: Workspace, tmp_path: Path) -> None:
    for layer, shape in {"parks": WEST, "mines": EAST}.items():
        gpd.GeoDataFrame(geometry=[shape], crs=4326).to_file(tmp_path / "all.gpkg", layer=layer)
    assert "several layers (parks, mines); choose one with --layer" in refuse(workspace, "a", tmp_path / "all.gpkg")
    assert add(workspace, "a", tmp_path / "all.gpkg", "--layer", "mines").exit_code == 0
    assert read_aoi(workspace, "a").geometry.equals(EAST)
    assert "no layer 'roads' with shapes; it has parks, mines" in refuse(
        workspace, "b", tmp_path / "all.gpkg", "--layer", "roads"
    )


# --- what is no area -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.geojson", "a.gpkg", "a.kml"])
@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Point(-70, -12), "the area is a Point, not a polygon"),
        (LineString([(-70, -12), (-69, -12)]), "the area is a LineString, not a polygon"),
        (None, "the area is empty, not a polygon"),
        (BOW_TIE, "the outline crosses itself"),
    ],
    ids=["point", "line", "empty", "bow-tie"],
)
def test_what_is_no_area_is_one_clear_line(
    workspace: Workspace, tmp_path: Path, shape: BaseGeometry | None, words: str, name: str
) -> None:
    path = tmp_path / name
    gpd.GeoDataFrame({"Name": ["a"]}, geometry=[shape], crs=4326).to_file(path, driver="KML" if name == "a.kml" else None)
    line = refuse(workspace, "a", path)
    assert words in line or (shape is None and "has no layer with shapes" in line)
    assert str(path) in line


def test_pins_beside_an_area_are_left_out_and_said(workspace: Workspace, tmp_path: Path) -> None:
    answer = add(workspace, "a", save(tmp_path / "a.kml", Point(-70, -12), WEST))
    assert "feature 1 is a Point, not a polygon; left out" in answer.stderr
    assert read_aoi(workspace, "a").geometry.equals_exact(WEST, 1e-9)
    collection = shapely.GeometryCollection([EAST, Point(0, 0)])
    (tmp_path / "b.geojson").write_text(json.dumps(mapping(collection)))
    assert "the area holds Point too, which was left out" in add(workspace, "b", tmp_path / "b.geojson").stderr


def test_a_track_around_an_area_is_its_outline(workspace: Workspace, tmp_path: Path) -> None:
    """In two parts, since reception was lost, and beside waypoints, which are no area."""
    corners = [(-70.0, -12.9), (-69.9, -12.9), (-69.9, -12.8), (-70.0, -12.8), (-70.0, -12.899)]

    def write(name: str, *parts: list[tuple[float, float]]) -> Path:
        points = ["".join(f'<trkpt lat="{lat}" lon="{lon}"/>' for lon, lat in part) for part in parts]
        track = "".join(f"<trkseg>{part}</trkseg>" for part in points)
        text = f'<wpt lat="0" lon="0"/><trk><name>Río</name>{track}</trk>'
        (tmp_path / name).write_text(f'<gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1">{text}</gpx>', "utf-8")
        return tmp_path / name

    answer = add(workspace, "a", write("closed.gpx", corners[:2], corners[2:]))
    assert re.search(r"a track of 43\.\d km, closed over the 111 m between its ends", answer.stderr)
    assert read_aoi(workspace, "a").geometry.symmetric_difference(WEST).area < 1e-9
    assert "is a MultiLineString, not a polygon" in refuse(workspace, "b", write("open.gpx", corners[:4]))


def test_one_outline_that_crosses_itself_refuses_all_and_is_named(workspace: Workspace, tmp_path: Path) -> None:
    path = save(tmp_path / "a.gpkg", WEST, BOW_TIE)
    assert "feature 2: the outline crosses itself" in refuse(workspace, path, "--name-from", "Name")


def test_what_is_not_read_is_one_clear_line(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def give(name: str, data: bytes) -> Path:
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    whole = save(tmp_path / "whole.gpkg", WEST).read_bytes()
    assert "no GeoJSON" in refuse(workspace, "a", give("a.geojson", b"PK a zip"))
    assert "cannot be read" in refuse(workspace, "a", give("a.gpkg", whole[:5000]))
    assert "unknown format" in refuse(workspace, "a", give("a.txt", b"-70 -12"))
    assert "cannot be unpacked" in refuse(workspace, "a", give("a.kmz", b"PK\3\4" + bytes(50)))
    assert "does not exist" in refuse(workspace, "a", tmp_path / "none.kml")
    assert "is a folder" in refuse(workspace, "a", tmp_path)
    assert "only describes where data are" in refuse(workspace, "a", give("a.vrt", b"<OGRVRTDataSource/>"))
    with zipfile.ZipFile(tmp_path / "bomb.kmz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("doc.kml", bytes(2**21))
    monkeypatch.setattr(outline_file, "LARGEST_FILE", 2**20)
    assert "do not unpack it" in refuse(workspace, "a", tmp_path / "bomb.kmz")


def test_a_register_of_a_whole_country_is_no_set_of_areas(workspace: Workspace, tmp_path: Path) -> None:
    path = save(tmp_path / "a.fgb", *[WEST] * (MOST_FEATURES + 1))
    assert f"more than {MOST_FEATURES}" in refuse(workspace, "a", path, "--merge")


def test_a_view_of_a_stranger_is_not_run(workspace: Workspace, tmp_path: Path) -> None:
    path = save(tmp_path / "a.gpkg", WEST)
    with sqlite3.connect(path) as database:
        database.execute("CREATE VIEW v AS SELECT * FROM a")
        database.execute(
            "INSERT INTO gpkg_contents(table_name, data_type, identifier, srs_id) VALUES ('v', 'features', 'v', 4326)"
        )
        database.execute("INSERT INTO gpkg_geometry_columns VALUES ('v', 'geom', 'POLYGON', 4326, 0, 0)")
    database.close()
    assert "is a view or is computed" in refuse(workspace, "x", path, "--layer", "v")
    assert add(workspace, "x", path).exit_code == 0


@pytest.mark.parametrize(
    ("text", "name"),
    [("Compañía Ñandú S.A.", "Compañía-Ñandú-S-A"), ("../../etc/passwd", "etc-passwd"), ("con\0\x1b[31m", "con-31m"),
     ("\u202etxt.exe", "txt-exe"), ("日本 1", "日本-1"), ("--x--", "x"), (" \n", ""), ("n\u0303", "ñ")],
)  # fmt: skip
def test_names_are_cleaned(text: str, name: str) -> None:
    assert clean_name(text) == name


def test_a_reference_system_may_be_said_of_geojson_too(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(mapping(gpd.GeoSeries([WEST], crs=4326).to_crs(32719)[0])))
    assert "reproject" in refuse(workspace, "a", path)
    assert "EPSG:99999" in refuse(workspace, "a", path, "--crs", "EPSG:99999")
    answer = add(workspace, "a", path, "--crs", "EPSG:32719")
    assert "reprojected from" in answer.stdout + answer.stderr
    assert read_aoi(workspace, "a").geometry.symmetric_difference(WEST).area < 1e-3 * WEST.area
