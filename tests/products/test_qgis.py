"""At home in QGIS: the table as it opens, edits while scans run, and the project with its printed map."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import shutil
import sqlite3
import tempfile
import time
import zipfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from click.testing import CliRunner, Result
from shapely.geometry import LineString, MultiPolygon, Point, box

from minewatch.alerts.columns import ALERT_COLUMNS, REVIEW_COLUMNS
from minewatch.alerts.decisions import REVIEWS, read_decisions
from minewatch.alerts.geopackage import updating
from minewatch.alerts.read import read_alerts
from minewatch.alerts.record import Alert
from minewatch.alerts.reviews import Review, review_alert
from minewatch.alerts.style import parse_style, read_style, render_styles
from minewatch.alerts.table import AreaResult, TableChanges, update_table
from minewatch.areas.aoi import Aoi, write_aoi
from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.detection.change_map import RASTERS
from minewatch.operations.scan_report import ScanReport
from minewatch.products.images.quicklook import list_maps
from minewatch.products.qgis.compass import render_compass
from minewatch.products.qgis.page_words import list_columns
from minewatch.products.qgis.print_layout import MOST_ROWS
from minewatch.products.qgis.print_layout import NAME as LAYOUT
from minewatch.products.qgis.project_file import write_project
from minewatch.products.qgis.project_layers import ALERTS_ID, AREAS_ID, TEXTS, gather_project, list_layers
from minewatch.products.report.options import LANGUAGES
from minewatch.products.report.texts import read_texts
from minewatch.settings.document import init_workspace
from tests.helpers.servers import Json, RunQgis
from tests.helpers.small import NAME, copy_workspace, make_scanned, read_layer, scan_small, snapshot

AREA = box(-70.0, -13.0, -69.9, -12.9)
ODD = "Län & <der> 'q' \"x\" 100%.gpkg"
LAYERS_ONLY = {"Alerts", "Context", "Looks of alerts", "Images", "Change rasters"}


def make_alert(number: int, **changes: Any) -> Alert:
    """Make an alert of about 1 ha, each number at a place of its own."""
    left = -69.995 + 0.002 * number
    first_seen = dt.date(2024, number % 11 + 1, 1)
    alert = Alert(
        alert_id=f"pampa-{first_seen:%Y%m%d}-{number:06x}",
        aoi="pampa",
        status="confirmed",
        first_seen=first_seen,
        confirmed_on=first_seen + dt.timedelta(10),
        last_seen=dt.date(2024, 12, 1),
        area_ha=1.0,
        lat=-12.9495,
        lon=left + 0.0005,
        ndvi_change=-0.4,
        bsi_change=0.25,
        looks=7,
        last_normal=dt.date(2023, 12, 27),
        geometry=MultiPolygon([box(left, -12.95, left + 0.001, -12.949)]),
    )
    return dataclasses.replace(alert, **changes)


def put(path: Path, *alerts: Alert, run: str = "run-1", aoi: str = "pampa", outline: Any = AREA) -> TableChanges:
    facts = {"monitor_from": dt.date(2024, 1, 1), "as_of": dt.date(2024, 12, 31), "pipeline": "default", "digest": "d"}
    result = AreaResult(aoi, outline, alerts, {}, facts)
    cells = {"run_id": run, "started": "2025-01-01T00:00:00", "aois": aoi}
    return update_table(path, [result], cells, path.parent / "decisions.jsonl")[aoi]


LIFE: dict[str, dict[str, Any]] = {"provisional": {"confirmed_on": None}, "closed": {"closed_on": dt.date(2024, 9, 12)}}
"""Status to the dates of an alert that differ from those of a confirmed one."""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace whose area has four alerts, one of each status."""
    made = init_workspace(tmp_path / "watch")
    write_aoi(made, Aoi("pampa", AREA, dt.date(2024, 1, 1)))
    states = ("confirmed", "provisional", "closed", "dismissed")
    put(made.alerts, *(make_alert(number, status=status, **LIFE.get(status, {})) for number, status in enumerate(states)))
    return made


@pytest.fixture(scope="session")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, ScanReport]:
    return make_scanned(tmp_path_factory)


def declare_context(workspace: Workspace) -> None:
    """Return a workspace layers of every shape, with names as people give them."""
    zone = shapely.affinity.scale(AREA, 0.5, 0.5)
    river, strip = LineString([(-69.99, -12.99), (-69.91, -12.91)]), Point(-69.95, -12.94)

    def save(name: str, column: str, shape: Any, **more: Any) -> None:
        frame = gpd.GeoDataFrame({column: ["Peña <&> 'ñ'"]}, geometry=[shape], crs=more.pop("crs", 4326))
        frame.to_file(workspace.context / name, **more)

    save(ODD, 'NAME "x"', zone, driver="GPKG", layer="first & <one>")
    save(ODD, "name", zone, driver="GPKG", layer="other")
    save("river.geojson", "name", river, driver="GeoJSON")
    moved = gpd.GeoSeries([strip], crs=4326).to_crs(32719)[0]
    save("air strip.shp", "NOM", moved, driver="ESRI Shapefile", encoding="cp1252", crs=32719)
    (workspace.context / "air strip.cpg").unlink()
    with workspace.settings.open("a", encoding="utf-8") as file:
        file.write(f"""
[context.concessions]
file = '''{ODD}'''
layer = "first & <one>"
kind = "concession"
name = 'NAME "x"'
[context.reserves]
file = '''context/{ODD}'''
layer = "other"
kind = "protected-area"
[context.rio]
file = "river.geojson"
kind = "river"
name = "name"
[context.strips]
file = "air strip.shp"
kind = "airstrip"
name = "NOM"
encoding = "cp1252"
[context.lost]
file = "lost.gpkg"
kind = "road"
""")


def run_cli(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def read_document(path: Path) -> ET.Element:
    with zipfile.ZipFile(path) as archive:
        (name,) = archive.namelist()
        return parse_style(archive.read(name).decode())


def layers_of(path: Path) -> dict[str, ET.Element]:
    """Return the layers of a project by title."""
    return {str(layer.findtext("layername")): layer for layer in read_document(path).iter("maplayer")}


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.server
def test_the_table_opens_with_labels_lists_and_time(workspace: Workspace, run_qgis: RunQgis) -> None:
    days = ("2023-12-01", "2024-01-15", "2024-02-15", "2024-12-01")
    seen = run_qgis("qgis_form.py", workspace.alerts, *days)
    alerts, areas = seen["alerts"], seen["aois"]
    green = "1.0 ha\n2024-03-01\ngreen again 2024-09-12"
    assert alerts["labels"] == ["1.0 ha\n2024-01-01", "1.0 ha\n2024-02-01", green, "1.0 ha\n2024-04-01"]
    assert alerts["title"] == '"alert_id"'
    choices = {value: label for label, value in alerts["widgets"]["review"]["choices"]}
    assert alerts["widgets"]["review"]["kind"] == "ValueMap"
    assert set(choices) == set(REVIEWS)
    assert choices["needs-visit"] == "Needs visit"
    assert {alerts["widgets"][name]["kind"] for name in ("review_note", "reviewed_by")} == {"TextEdit"}
    assert alerts["editable"] == list(REVIEW_COLUMNS)
    assert set(alerts["widgets"]) == {"fid", *(column.name for column in ALERT_COLUMNS)}
    assert areas["editable"] == []
    assert alerts["temporal"] == {"active": True, "instants": True, "field": "first_seen", "stays": True}
    assert list(alerts["played"].values()) == [0, 1, 2, 4], "alerts stay once they have begun"


@pytest.mark.server
def test_an_alert_that_was_never_confirmed_or_was_merged_has_no_label_once_it_closed(
    workspace: Workspace, run_qgis: RunQgis
) -> None:
    faded = make_alert(0, status="closed", confirmed_on=None, closed_on=dt.date(2024, 9, 12))
    merged = make_alert(1, status="closed", closed_on=dt.date(2024, 9, 12), merged_into=make_alert(2).alert_id)
    put(workspace.alerts, faded, merged, make_alert(2))
    assert run_qgis("qgis_form.py", workspace.alerts)["alerts"]["labels"] == ["", "", "1.0 ha\n2024-03-01"]


@pytest.mark.server
def test_a_table_with_a_column_that_the_style_does_not_know_opens_all_the_same(workspace: Workspace, run_qgis: RunQgis) -> None:
    with updating(workspace.alerts) as connection:
        connection.execute("ALTER TABLE alerts ADD COLUMN later TEXT")
    seen = run_qgis("qgis_form.py", workspace.alerts)["alerts"]
    assert "later" in seen["widgets"]
    assert seen["widgets"]["review"]["kind"] == "ValueMap"


@pytest.mark.server
def test_qgis_in_edit_mode_over_two_scans_loses_nothing(workspace: Workspace, run_qgis: RunQgis, tmp_path: Path) -> None:
    """Rows grow, get new ids and get reviewed elsewhere while a person has unsaved edits."""
    grown, renamed, contested, quiet = (make_alert(number) for number in range(4))
    put(workspace.alerts, grown, renamed, contested, quiet)
    (tmp_path / "wait").touch()
    wanted = [f"{grown.alert_id}=confirmed", f"{renamed.alert_id}=needs-visit", f"{contested.alert_id}=dismissed"]
    with ThreadPoolExecutor(1) as pool:
        editing = pool.submit(run_qgis, "qgis_edit.py", workspace.alerts, tmp_path, *wanted)
        wait_until_editing(tmp_path, editing)
        put(workspace.alerts, dataclasses.replace(grown, area_ha=2.0), renamed, contested, quiet, run="run-2")
        review_alert(workspace.alerts, workspace.decisions, contested.alert_id, Review("confirmed", "Ana"))
        renamed = dataclasses.replace(renamed, alert_id="pampa-20240115-00beef")
        grown = dataclasses.replace(grown, area_ha=3.0)
        put(workspace.alerts, grown, renamed, contested, quiet, make_alert(9), run="run-3")
        (tmp_path / "save").touch()
        done = editing.result(120)
    assert done == {"saved": True, "errors": done["errors"], "wal": True}
    rows = {row["alert_id"]: row for row in read_layer(workspace.alerts, "alerts")}
    assert {name: row["review"] for name, row in rows.items()} == {
        grown.alert_id: "confirmed",
        renamed.alert_id: "needs-visit",
        contested.alert_id: "dismissed",
        quiet.alert_id: "",
        make_alert(9).alert_id: "",
    }
    assert rows[grown.alert_id]["area_ha"] == 3.0, "saving an edit does not bring old values back"
    assert {row["run_id"] for row in rows.values()} == {"run-3"}
    tally = put(workspace.alerts, grown, renamed, contested, quiet, make_alert(9), run="run-4")
    assert tally.events["reviewed"] == 3
    assert any("replaces confirmed by Ana" in note for note in tally.notes)
    kept = {(d.alert_id, d.review, d.by) for d in read_decisions(workspace.decisions).all}
    assert kept == {
        (grown.alert_id, "confirmed", "Rosa in QGIS"),
        (renamed.alert_id, "needs-visit", "Rosa in QGIS"),
        (contested.alert_id, "confirmed", "Ana"),
        (contested.alert_id, "dismissed", "Rosa in QGIS"),
    }
    assert read_alerts(workspace.alerts).set_index("alert_id")["status"][contested.alert_id] == "dismissed"
    check_intact(workspace.alerts)


def wait_until_editing(folder: Path, editing: Future[Json]) -> None:
    deadline = time.monotonic() + 120
    while not (folder / "editing").exists():
        if editing.done():
            editing.result()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check_intact(path: Path) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_a_style_that_a_person_changed_goes_into_the_project(workspace: Workspace) -> None:
    own = '<qgis version="3.34.0"><renderer-v2 type="nullSymbol"/></qgis>'
    with updating(workspace.alerts) as connection:
        connection.execute("UPDATE layer_styles SET styleQML = ? WHERE f_table_name = 'alerts'", (own,))
    assert read_style(workspace.alerts, "alerts") == own
    write_project(workspace)
    renderer = layers_of(workspace.project)["Alerts"].find("renderer-v2")
    assert renderer is not None
    assert renderer.get("type") == "nullSymbol"


@pytest.mark.parametrize("broken", ["", "<qgis>", '<!DOCTYPE q [<!ENTITY a "b">]><qgis>&a;</qgis>', None])
def test_a_style_that_cannot_be_read_is_replaced_in_the_project(workspace: Workspace, broken: str | None) -> None:
    with updating(workspace.alerts) as connection:
        if broken is None:
            connection.execute("DROP TABLE layer_styles")
        else:
            connection.execute("UPDATE layer_styles SET styleQML = ?", (broken,))
    assert read_style(workspace.alerts, "alerts") == render_styles()["alerts"]


# --- images ----------------------------------------------------------------------------------------------------------


def test_a_scan_writes_both_images_for_maps(scanned: tuple[Workspace, ScanReport]) -> None:
    workspace, report = scanned
    images = list_maps(workspace.images / f"{NAME}.png")
    grid = report.areas[0].plan.grid
    assert [image.when for image in images] == ["before", "after"]
    for image in images:
        assert image.date in image.path.name
        with rasterio.open(image.path) as raster:
            assert raster.crs.to_epsg() == grid.epsg
            assert tuple(raster.bounds) == grid.bounds
            assert raster.tags()["date"] == image.date
            assert raster.tags()["scenes"].split() == list(image.scenes)
            assert [band.name for band in raster.colorinterp] == ["red", "green", "blue", "alpha"]
            pixels = raster.read()
        assert set(np.unique(pixels[3])) <= {0, 255}
        assert (pixels[3] == 255).mean() > 0.9
        assert pixels[:3].std() > 5


def test_images_are_written_again_only_where_they_are_missing(scanned: tuple[Workspace, ScanReport], tmp_path: Path) -> None:
    workspace = copy_workspace(scanned[0], tmp_path / "copy")
    before = snapshot(workspace.images)
    (image, _) = list_maps(workspace.images / f"{NAME}.png")
    times = {path.name: path.stat().st_mtime_ns for path in workspace.images.iterdir()}
    scan_small(workspace)
    assert {path.name: path.stat().st_mtime_ns for path in workspace.images.iterdir()} == times
    image.path.unlink()
    scan_small(workspace)
    assert snapshot(workspace.images) == before


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '[{"when": "after"}]', '[{"when": 1, "date": 2, "key": 3, "scenes": 4, "file": 5}]']
)
def test_a_damaged_list_of_images_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "spot.json").write_text(text)
    assert list_maps(tmp_path / "spot.png") == []


# --- the project, as it is written -----------------------------------------------------------------------------------


def test_the_project_holds_all_groups_with_paths_relative_to_it(scanned: tuple[Workspace, ScanReport], tmp_path: Path) -> None:
    workspace = copy_workspace(scanned[0], tmp_path / "copy")
    declare_context(workspace)
    written = write_project(workspace)
    assert {group.name for group in written.project.groups} == LAYERS_ONLY
    layers = list(list_layers(written.project.groups))
    assert len({layer.id for layer in layers}) == len(layers)
    assert min(len(layer.id) for layer in layers) > 10
    assert all(layer.source.startswith(("./", "../context/")) for layer in layers)
    assert str(tmp_path) not in ET.tostring(read_document(workspace.project), "unicode")
    for layer in layers:
        assert (workspace.output / layer.source.split("|")[0]).is_file()
    rasters = [layer for layer in layers if layer.id.startswith("change_")]
    assert {layer.title for layer in rasters} == {f"{NAME}: {name}" for name in RASTERS}
    assert [layer.title for layer in rasters if layer.visible] == [f"{NAME}: status"]
    assert [layer.visible for layer in layers if layer.id.startswith("image_")] == [True, False]
    assert len(written.project.notes) == 1, "the layer whose file is missing"
    assert "lost.gpkg" in written.project.notes[0]


def test_the_same_workspace_gives_the_same_project(workspace: Workspace) -> None:
    write_project(workspace)
    first = workspace.project.read_bytes()
    assert write_project(workspace).kept is None
    assert workspace.project.read_bytes() == first
    assert workspace.project.stat().st_mode & 0o777 == 0o600


def test_a_project_that_somebody_saved_is_kept(workspace: Workspace) -> None:
    write_project(workspace)
    with zipfile.ZipFile(workspace.project) as archive:
        document = archive.read("minewatch.qgs")
    for number in (1, 2):
        with zipfile.ZipFile(workspace.project, "w") as archive:
            archive.writestr("minewatch.qgs", document + f"<!-- mine {number} -->".encode())
        mine = workspace.project.read_bytes()
        kept = write_project(workspace).kept
        assert kept == workspace.output / f"minewatch-{number}.qgz"
        assert kept.read_bytes() == mine
    answer = run_cli("-w", str(workspace.root), "qgis")
    assert "had been changed" not in answer.stderr


def test_names_that_xml_cannot_hold_do_not_spoil_the_project(workspace: Workspace) -> None:
    frame = gpd.GeoDataFrame({"na\x01me": ["a"]}, geometry=[AREA], crs=4326)
    frame.to_file(workspace.context / "odd\x02.gpkg", driver="GPKG")
    with workspace.settings.open("a", encoding="utf-8") as file:
        file.write('[context.odd]\nfile = "odd\\u0002.gpkg"\nkind = "concession"\nname = "na\\u0001me"\n')
    assert not [note for note in write_project(workspace).project.notes if "odd" in note]
    assert layers_of(workspace.project)["odd"].findtext("datasource") == "../context/odd�.gpkg"


def test_settings_that_lead_elsewhere_are_followed(
    workspace: Workspace, scanned: tuple[Workspace, ScanReport], tmp_path: Path
) -> None:
    """Rasters outside of the workspace are named by their whole path: they stay where they are when it is moved."""
    folder = tmp_path / "elsewhere" / "pampa"
    folder.mkdir(parents=True)
    for name in RASTERS:
        shutil.copy(Path(str(scanned[0].changes("spot"))) / f"{name}.tif", folder)
    workspace.settings.write_text(f'changes = "{folder.parent}"\n' + workspace.settings.read_text())
    write_project(workspace)
    assert layers_of(workspace.project)["pampa: status"].findtext("datasource") == str(folder / "status.tif")
    store = workspace.settings.read_text().replace(str(folder.parent), "s3://bucket/changes")
    workspace.settings.write_text(store)
    notes = write_project(workspace).project.notes
    assert any("object store" in note for note in notes)


def test_areas_of_several_zones_share_a_world_map(workspace: Workspace) -> None:
    far = shapely.affinity.translate(AREA, 20, 0)
    put(workspace.alerts, aoi="far away", outline=far)
    project = write_project(workspace).project
    assert project.crs.to_epsg() == 3857
    assert project.areas == ["far away", "pampa"]


def test_without_alerts_the_map_shows_the_areas(workspace: Workspace) -> None:
    put(workspace.alerts)
    left, bottom, right, top = write_project(workspace).project.extent
    assert right - left > 10_000
    assert top - bottom > 10_000


def test_the_rose_is_a_picture_without_fonts() -> None:
    rose = parse_style(render_compass())
    assert rose.tag.endswith("svg")
    assert not [element for element in rose.iter() if element.tag.endswith("text")]


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_names_what_it_wrote_and_what_it_left_out(workspace: Workspace) -> None:
    answer = run_cli("-w", str(workspace.root), "qgis")
    assert answer.exit_code == 0
    assert answer.stdout.splitlines()[-1] == str(workspace.project)
    assert "left out: images of pampa" in answer.stderr
    described = json.loads(run_cli("-w", str(workspace.root), "qgis", "--json").stdout)
    assert described["crs"] == "EPSG:32719"
    assert [group["name"] for group in described["groups"]] == ["Alerts"]
    assert [layer["id"] for layer in described["groups"][0]["layers"]] == [ALERTS_ID, AREAS_ID]


def check_refused(workspace: Workspace, words: str) -> None:
    answer = run_cli("-w", str(workspace.root), "qgis")
    assert answer.exit_code == 1
    assert answer.stdout == ""
    assert len(answer.stderr.strip().splitlines()) == 1
    assert words in answer.stderr


def test_without_a_table_the_command_says_how_to_make_one(tmp_path: Path) -> None:
    check_refused(init_workspace(tmp_path / "new"), "make one with: minewatch scan")


def test_without_areas_the_command_says_so(workspace: Workspace) -> None:
    with updating(workspace.alerts) as connection:
        connection.execute("DELETE FROM aois")
    check_refused(workspace, "there is no area")


def test_a_damaged_table_is_refused(workspace: Workspace) -> None:
    workspace.alerts.write_bytes(b"no database")
    check_refused(workspace, "no usable alerts table")


def test_broken_settings_are_refused(workspace: Workspace) -> None:
    workspace.settings.write_text('[context.rio]\nfile = "a.gpkg"\nkind = "rivr"\n')
    check_refused(workspace, "did you mean 'river'?")


def test_a_folder_that_cannot_be_written_is_refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> tuple[int, str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    check_refused(workspace, "cannot write in")
    assert not workspace.project.exists()


# --- the project, as QGIS sees it ------------------------------------------------------------------------------------


@pytest.fixture
def small_project(scanned: tuple[Workspace, ScanReport], tmp_path: Path) -> Workspace:
    """A scanned workspace with its project."""
    workspace = copy_workspace(scanned[0], tmp_path / "a watch & <more>")
    write_project(workspace)
    return workspace


def check_layers(seen: Json) -> None:
    assert seen["read"]
    assert seen["errors"] == []
    assert {key for key, layer in seen["layers"].items() if not layer["valid"]} == set()
    assert set(seen["drawn"]) == set(seen["layers"])


@pytest.mark.server
def test_qgis_draws_every_layer_of_the_project(small_project: Workspace, run_qgis: RunQgis, tmp_path: Path) -> None:
    seen = run_qgis("qgis_project.py", small_project.project, tmp_path)
    check_layers(seen)
    assert [name for name in seen["groups"] if not name.startswith(f"{NAME}-")] == [
        *("Alerts", "Looks of alerts", "Change rasters"),
        *(NAME, "Images"),
    ]
    assert seen["drawn"][:2] == [ALERTS_ID, AREAS_ID]
    assert seen["crs"].startswith("EPSG:327")
    assert seen["period"] == ["2022-10-01", "2023-03-31"]
    empty = {key for key, layer in seen["layers"].items() if layer["pixels_own"] < 20}
    assert empty == set()
    assert seen["pixels"] > 50_000
    assert seen["layers"][ALERTS_ID]["renderer"] == "categorizedSymbol"
    assert seen["layers"][ALERTS_ID]["labels"]
    assert seen["temporal"] == "first_seen"
    assert seen["editable"] == list(REVIEW_COLUMNS)
    kinds = {layer["name"]: layer["renderer"] for layer in seen["layers"].values()}
    assert kinds[f"{NAME}: status"] == "paletted"
    assert {kinds[f"{NAME}: {name}"] for name in RASTERS if name != "status"} == {"singlebandpseudocolor"}


@pytest.mark.server
def test_the_printed_map_says_what_when_where(small_project: Workspace, run_qgis: RunQgis, tmp_path: Path) -> None:
    seen = run_qgis("qgis_project.py", small_project.project, tmp_path)
    page = seen["layouts"][LAYOUT]
    assert page["exported"]
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "page.png").stat().st_size > 50_000
    assert page["sheets"][0] == [297.0, 210.0]
    assert page["printed"] == 1, "the second page is for the rest of a long table"
    assert page["texts"]["title"].endswith(NAME)
    assert "As of 31 March 2023" in page["texts"]["facts"]
    alerts = read_alerts(small_project.alerts)
    standing = alerts[alerts["status"].isin(["confirmed", "provisional"])]
    assert f"confirmed by the method: {(standing['status'] == 'confirmed').sum()}" in page["texts"]["facts"]
    assert page["texts"]["source"].startswith("Contains modified Copernicus Sentinel data 2022-2023, processed by minewatch.")
    assert "Outlines and numbers as of 31 March 2023." in page["texts"]["source"], "the image is of another day"
    assert page["rose"] == [{"true_north": True, "linked": True, "turned": page["rose"][0]["turned"], "missing": False}]
    assert 0 < abs(page["rose"][0]["turned"]) < 3, "grid north and true north differ a little"
    assert page["bars"][0]["linked"]
    assert page["legend"][:2] == ["Alerts", "Areas of interest"]
    assert page["headings"] == [heading for heading, _ in list_columns(read_texts("en", TEXTS))]
    assert [row[0] for row in page["table"]] == [str(number) for number in range(1, len(standing) + 1)]
    table = {row[1]: row[1:] for row in page["table"]}
    for row in standing.itertuples():
        shown = table["…" + row.alert_id[-15:]]
        normal = "unknown" if pd.isna(row.last_normal) else f"{row.last_normal:%Y-%m-%d}"
        assert shown[1:5] == [row.status, f"{row.area_ha:.2f}", normal, f"{row.first_seen:%Y-%m-%d}"]
        assert float(shown[5]) == pytest.approx(row.lat, abs=1e-5)
        assert float(shown[6]) == pytest.approx(row.lon, abs=1e-5)
    assert len(table) == len(standing)


@pytest.mark.server
def test_the_printed_map_has_scale_graticule_and_locator(small_project: Workspace, run_qgis: RunQgis, tmp_path: Path) -> None:
    page = run_qgis("qgis_project.py", small_project.project, tmp_path)["layouts"][LAYOUT]
    shown, locator = page["maps"]["map"], page["maps"]["locator"]
    (grid,) = shown["grids"]
    assert grid["crs"] == "EPSG:4326"
    assert grid["labels"]
    assert 0 < grid["step"] < 0.02
    assert locator["frames"] == ["map"]
    assert locator["layers"] == [AREAS_ID]
    assert locator["scale"] > shown["scale"]
    assert page["texts"]["scale"].strip() == f"1 : {round(shown['scale']):,}"
    assert round(shown["scale"]) % 500 == 0, "a round number"


@pytest.mark.server
def test_the_printed_map_numbers_alerts_as_its_table_does(workspace: Workspace, run_qgis: RunQgis, tmp_path: Path) -> None:
    """Those that the table leaves out have no number; on the screen alerts have area and date."""
    write_project(workspace)
    page = run_qgis("qgis_project.py", workspace.project, tmp_path)["layouts"][LAYOUT]
    numbers = {f"…{alert_id[-15:]}": number for alert_id, number in page["numbers"].items() if number}
    assert numbers == {row[1]: row[0] for row in page["table"]}
    assert sorted(numbers.values()) == ["1", "2", "3"]
    dismissed = read_alerts(workspace.alerts).query("status == 'dismissed'")["alert_id"].item()
    assert page["numbers"][dismissed] == ""


@pytest.mark.server
@pytest.mark.parametrize(
    ("language", "facts", "status", "legend"),
    [
        ("en", "confirmed by the method: 2", "confirmed", "Confirmed by the method"),
        ("es", "confirmadas por el método: 2", "confirmada", "Confirmada por el método"),
        ("fr", "confirmées par la méthode\N{NO-BREAK SPACE}: 2", "confirmée", "Confirmée par la méthode"),
        ("pt", "confirmados pelo método: 2", "confirmado", "Confirmado pelo método"),
    ],
)
def test_the_printed_map_speaks_the_language(
    workspace: Workspace, run_qgis: RunQgis, tmp_path: Path, language: str, facts: str, status: str, legend: str
) -> None:
    texts = read_texts(language, TEXTS)
    write_project(workspace, language)
    seen = run_qgis("qgis_project.py", workspace.project, tmp_path)
    page = seen["layouts"][LAYOUT]
    assert facts in page["texts"]["facts"]
    assert texts.date(dt.date(2024, 12, 31)) in page["texts"]["facts"]
    assert page["headings"] == [heading for heading, _ in list_columns(texts)]
    assert status in [row[2] for row in page["table"]]
    assert page["legend"][0] == texts.text("alerts")
    assert legend in {category.get("label") for category in layers_of(workspace.project)[texts.text("alerts")].iter("category")}
    for text in (*page["texts"].values(), legend):
        assert not re.search("mining|miner|mina", text, re.IGNORECASE), "words do not accuse"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_all_words_of_the_page(language: str) -> None:
    english, words = read_texts("en", TEXTS).words, read_texts(language, TEXTS).words
    assert set(words) == set(english)
    for key, text in words.items():
        assert set(re.findall(r"{\w+}", str(text))) == set(re.findall(r"{\w+}", str(english[key]))), key
        assert language == "en" or len(str(text)) < 30 or text != english[key], key


def test_words_that_a_person_gave_the_legend_stay(workspace: Workspace) -> None:
    own = render_styles()["alerts"].replace("Confirmed by the method", "Frente de trabajo")
    with updating(workspace.alerts) as connection:
        connection.execute("UPDATE layer_styles SET styleQML = ? WHERE f_table_name = 'alerts'", (own,))
    write_project(workspace, "es")
    labels = [category.get("label") for category in layers_of(workspace.project)["Alertas"].iter("category")]
    assert labels == ["Frente de trabajo", "Provisional", "Cerrada", "Descartada"]


def test_the_two_looks_of_each_alert_are_layers_of_their_days(small_project: Workspace) -> None:
    """The same as in report and evidence: the last normal look, and the look that confirmed it."""
    groups = {group.name: group for group in gather_project(small_project).groups}
    for row in read_alerts(small_project.alerts).itertuples():
        (alert,) = [group for group in groups["Looks of alerts"].members if group.name == row.alert_id]
        texts = read_texts("en", TEXTS)
        days = [texts.text(f"look_{name}", date=texts.date(day.date())) for name, day in list_looks(row)]
        assert [layer.title for layer in alert.members] == days
        assert [Path(layer.source).name for layer in alert.members] == ["after.tif", "before.tif"]
        assert not any(layer.visible for layer in alert.members)


def list_looks(row: Any) -> list[tuple[str, Any]]:
    return [("after", row.confirmed_on), ("before", row.last_normal)]


@pytest.mark.server
def test_the_printed_table_keeps_what_was_confirmed(workspace: Workspace, run_qgis: RunQgis, tmp_path: Path) -> None:
    write_project(workspace)
    page = run_qgis("qgis_project.py", workspace.project, tmp_path)["layouts"][LAYOUT]
    assert [row[2] for row in page["table"]] == ["green again", "provisional", "confirmed"], "the latest first, none dismissed"
    facts = "confirmed by the method: 2  ·  still bare: 1 (1.0 ha)  ·  green again: 1  ·  provisional: 1 (1.0 ha)"
    assert page["texts"]["facts"].endswith(facts)


@pytest.mark.server
def test_a_workspace_that_was_moved_is_still_whole(small_project: Workspace, run_qgis: RunQgis, tmp_path: Path) -> None:
    moved = Path(shutil.move(small_project.root, tmp_path / "mövéd 'there'"))
    check_layers(run_qgis("qgis_project.py", moved / "output" / "minewatch.qgz", tmp_path))


@pytest.mark.server
def test_context_of_any_name_and_shape_is_drawn(workspace: Workspace, run_qgis: RunQgis, tmp_path: Path) -> None:
    declare_context(workspace)
    written = write_project(workspace)
    seen = run_qgis("qgis_project.py", workspace.project, tmp_path)
    check_layers(seen)
    context = {layer["name"]: layer for layer in seen["layers"].values() if "/context/" in layer["source"]}
    assert set(context) == {"concessions", "reserves", "rio", "strips"}
    assert {name for name, layer in context.items() if layer["pixels_own"] < 30} == set()
    assert context["strips"]["crs"] == "EPSG:32719"
    assert [layer["name"] for layer in context.values() if layer["labels"]] == ["concessions", "rio", "strips"]
    assert [note for note in written.project.notes if "lost" in note]


@pytest.mark.server
def test_a_long_table_goes_on_on_the_second_page(workspace: Workspace, run_qgis: RunQgis, tmp_path: Path) -> None:
    put(workspace.alerts, *(make_alert(n, alert_id=f"{'a-long-name' * 5}-{n:06x}") for n in range(MOST_ROWS + 10)))
    write_project(workspace)
    page = run_qgis("qgis_project.py", workspace.project, tmp_path)["layouts"][LAYOUT]
    assert len(page["table"]) == MOST_ROWS
    assert page["printed"] == 2
    shortened = {"…" + alert_id[-15:] for alert_id in read_alerts(workspace.alerts)["alert_id"]}
    assert {row[1] for row in page["table"]} < shortened


@pytest.mark.server
def test_an_edit_in_the_project_survives_the_next_scan(small_project: Workspace, run_qgis: RunQgis, tmp_path: Path) -> None:
    alert_id = read_alerts(small_project.alerts)["alert_id"][0]
    done = run_qgis("qgis_edit.py", small_project.alerts, tmp_path, f"{alert_id}=dismissed")
    assert done["saved"]
    scan_small(small_project)
    row = read_alerts(small_project.alerts).set_index("alert_id").loc[alert_id]
    assert (row["review"], row["reviewed_by"], row["status"]) == ("dismissed", "Rosa in QGIS", "dismissed")
    page = run_qgis("qgis_project.py", small_project.project, tmp_path)["layouts"][LAYOUT]
    assert "…" + alert_id[-15:] not in {row[1] for row in page["table"]}, "the project of before shows the table of now"
