"""alerts.gpkg: changed in place, never without what people wrote into it, always readable."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import functools
import io
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
import shapely
from shapely.geometry import MultiPolygon, Polygon, box

from minewatch.alerts import geopackage, table
from minewatch.alerts.cells import describe_position
from minewatch.alerts.columns import ALERT_COLUMNS, LAYERS
from minewatch.alerts.csv_file import render_csv, write_csv
from minewatch.alerts.geopackage import decode_geometry, encode_geometry, updating
from minewatch.alerts.read import read_alerts
from minewatch.alerts.record import STATES
from minewatch.alerts.rows import read_areas
from minewatch.core.errors import AlertsError, MinewatchError
from tests.helpers.servers import RunQgis
from tests.helpers.small import read_layer
from tests.helpers.tables import AREA, HEIRLOOM, edit, history, make_alert, put, review, row_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "output" / "alerts.gpkg"


def test_layers_and_columns_are_those_of_the_contract(path: Path) -> None:
    put(path, make_alert(0))
    layers = dict(pyogrio.list_layers(path).tolist())
    assert {layers["alerts"], layers["aois"]} == {"MultiPolygon"}
    assert layers["alert_history"] is layers["runs"] is None
    assert [column.name for column in ALERT_COLUMNS] == [
        "alert_id", "aoi", "status", "first_seen", "area_ha", "lat", "lon", "confirmed_on", "last_seen", "ndvi_change",
        "bsi_change", "looks", "last_normal", "closed_on", "split_on", "scene_before", "scene_after", "merged_into",
        "split_from", "pipeline", "as_of", "run_id", "review", "review_note", "reviewed_by", "legal_status", "concession",
        "concession_ha", "concession_pct", "protected_area", "protected_ha", "protected_pct", "territory", "territory_ha",
        "territory_pct", "admin_unit", "river_m", "road_m", "airstrip_m", "settlement_m", "witnesses", "legal_reason",
        "legal_basis", "decided_at", "found_at", "made_after", "effective",
        "mine_score", "mine_reasons", "mine_basis", "mine_model", "witness_first", "witness_lead", "witness_basis",
    ]  # fmt: skip
    info = pyogrio.read_info(path, layer="alerts")
    assert info["fields"].tolist() == [column.name for column in ALERT_COLUMNS]
    assert info["crs"] == "EPSG:4326"
    for layer, columns in LAYERS.items():
        assert pyogrio.read_info(path, layer=layer)["fields"].tolist() == [column.name for column in columns]


def test_dates_are_of_type_date(path: Path) -> None:
    put(path, make_alert(0))
    with sqlite3.connect(path) as connection:
        types = {name: kind for _, name, kind, *_ in connection.execute("PRAGMA table_info(alerts)")}
        stored = connection.execute("SELECT first_seen, confirmed_on, last_seen, as_of FROM alerts").fetchone()
    connection.close()
    assert {types[name] for name in ("first_seen", "confirmed_on", "last_seen", "as_of")} == {"DATE"}
    assert stored == ("2024-01-01", "2024-01-11", "2024-12-01", "2024-12-31")


def test_a_row_says_what_the_alert_says(path: Path) -> None:
    alert = make_alert(0, merged_into="x", split_from="y")
    put(path, alert)
    row = row_of(path, alert.alert_id)
    for name in ("aoi", "status", "area_ha", "lat", "lon", "ndvi_change", "bsi_change", "looks", "merged_into", "split_from"):
        assert row[name] == getattr(alert, name)
    assert (row["scene_before"], row["scene_after"], row["run_id"]) == ("S2A_BEFORE", "S2B_AFTER", "run-1")
    assert row["geometry"].equals(alert.geometry)


def test_an_alert_without_confirmation_has_an_empty_date(path: Path) -> None:
    put(path, make_alert(0, status="provisional", confirmed_on=None))
    assert read_alerts(path)["confirmed_on"].isna().all()


def test_the_file_is_made_by_rename(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(geopackage, "install_styles", break_off)
    with pytest.raises(KeyboardInterrupt):
        put(path, make_alert(0))
    assert list(path.parent.iterdir()) == []


def test_only_the_owner_may_read_the_file(path: Path) -> None:
    put(path, make_alert(0))
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_later_scans_change_the_file_in_place(path: Path) -> None:
    put(path, make_alert(0))
    inode = path.stat().st_ino
    put(path, make_alert(0, area_ha=2.0), make_alert(1), run="run-2")
    assert path.stat().st_ino == inode
    assert read_alerts(path)["area_ha"].tolist() == [2.0, 1.0]
    assert sorted(p.name for p in path.parent.iterdir()) == ["alerts.gpkg"]


def test_a_reader_that_holds_the_file_open_sees_the_new_rows(path: Path) -> None:
    put(path, make_alert(0))
    reader = sqlite3.connect(path)
    try:
        assert reader.execute("SELECT count(*) FROM alerts").fetchone() == (1,)
        put(path, make_alert(0), make_alert(1))
        assert reader.execute("SELECT count(*) FROM alerts").fetchone() == (2,)
    finally:
        reader.close()


def test_an_edit_through_a_write_ahead_log_survives(path: Path) -> None:
    """QGIS opens GeoPackages in WAL mode and keeps them open."""
    put(path, make_alert(0))
    qgis = sqlite3.connect(path)
    try:
        assert qgis.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
        qgis.execute("SELECT count(*) FROM alerts").fetchone()
        put(path, make_alert(0), make_alert(1))
        geopackage._register_functions(qgis)
        qgis.execute("UPDATE alerts SET review = 'dismissed'")
        qgis.commit()
        put(path, make_alert(0), make_alert(1), make_alert(2))
        assert qgis.execute("SELECT count(*) FROM alerts").fetchone() == (3,)
    finally:
        qgis.close()
    assert read_alerts(path)["review"].tolist() == ["dismissed", "dismissed", ""]


def test_reviews_survive_the_next_scan(path: Path) -> None:
    put(path, make_alert(0), make_alert(1))
    review(path, make_alert(0).alert_id)
    before = row_of(path, make_alert(0).alert_id)
    put(path, make_alert(0, area_ha=3.0, status="closed"), make_alert(1), run="run-2")
    after = row_of(path, make_alert(0).alert_id)
    assert (after["area_ha"], after["status"], after["run_id"]) == (3.0, "closed", "run-2")
    for name in ("fid", "review", "review_note", "reviewed_by"):
        assert after[name] == before[name]
    assert after["review_note"] == HEIRLOOM
    assert row_of(path, make_alert(1).alert_id)["review"] == ""


def test_columns_that_people_add_survive(path: Path) -> None:
    put(path, make_alert(0))
    edit(path, "ALTER TABLE alerts ADD COLUMN case_number TEXT")
    edit(path, "UPDATE alerts SET case_number = 'K-17'")
    put(path, make_alert(0), make_alert(1))
    assert read_alerts(path)["case_number"].tolist() == ["K-17", ""]


def test_a_renamed_alert_keeps_its_row_and_its_review(path: Path) -> None:
    old = make_alert(0)
    put(path, old, make_alert(1))
    review(path, old.alert_id)
    fid = row_of(path, old.alert_id)["fid"]
    moved = make_alert(0, alert_id="pampa-20240106-abcdef", first_seen=dt.date(2024, 1, 6))
    tally = put(path, moved, make_alert(1), run="run-2")
    row = row_of(path, moved.alert_id)
    assert (row["fid"], row["review"], row["review_note"]) == (fid, "confirmed", HEIRLOOM)
    assert len(read_alerts(path)) == 2
    assert (moved.alert_id, "renamed", f"{old.alert_id} -> {moved.alert_id}") in history(path)
    assert (tally.events["renamed"], tally.events["new"], tally.events["withdrawn"]) == (1, 0, 0)


def test_a_new_alert_on_other_ground_is_no_renamed_one(path: Path) -> None:
    put(path, make_alert(0))
    tally = put(path, make_alert(5))
    assert (tally.events["new"], tally.events["withdrawn"], tally.events["renamed"]) == (1, 1, 0)


def test_a_withdrawn_alert_leaves_the_table_and_a_record_with_its_review(path: Path) -> None:
    put(path, make_alert(0), make_alert(1))
    review(path, make_alert(0).alert_id)
    put(path, make_alert(1), run="run-2")
    assert read_alerts(path)["alert_id"].tolist() == [make_alert(1).alert_id]
    (record,) = [row for row in read_layer(path, "alert_history") if row["event"] == "withdrawn"]
    assert (record["alert_id"], record["run_id"]) == (make_alert(0).alert_id, "run-2")
    assert HEIRLOOM in record["detail"]
    assert "Rosa" in record["detail"]


def test_events_are_told_and_recorded(path: Path) -> None:
    first = [make_alert(0, status="provisional", confirmed_on=None), make_alert(1), make_alert(2), make_alert(3), make_alert(4)]
    assert put(path, *first).events == {"new": 5}
    closed = dataclasses.replace(first[3], status="closed", merged_into=first[2].alert_id)
    grown = dataclasses.replace(first[2], area_ha=1.5)
    tally = put(path, make_alert(0), dataclasses.replace(first[1], status="closed"), grown, closed, first[4])
    assert tally.events == {"confirmed": 1, "closed": 1, "grown": 1, "merged": 1, "unchanged": 1}
    assert put(path, make_alert(0), first[1], grown, closed, first[4]).events == {"reopened": 1, "unchanged": 4}
    events = [(alert_id, event) for alert_id, event, _ in history(path)]
    assert (first[3].alert_id, "merged") in events
    assert "unchanged" not in {event for _, event in events}


def test_the_same_scan_again_changes_nothing_but_records(path: Path) -> None:
    put(path, make_alert(0))
    before, told = read_alerts(path), history(path)
    assert put(path, make_alert(0), run="run-2").events == {"unchanged": 1}
    assert read_alerts(path).drop(columns="run_id").equals(before.drop(columns="run_id"))
    assert history(path) == told
    assert [row["run_id"] for row in read_layer(path, "runs")] == ["run-1", "run-2"]


def test_a_what_if_is_marked_in_the_history(path: Path) -> None:
    put(path, make_alert(0))
    put(path, make_alert(0, status="closed"), make_alert(1), what_if=True, as_of=dt.date(2024, 6, 30), run="run-2")
    marked = [row for row in read_layer(path, "alert_history") if row["run_id"] == "run-2"]
    assert len(marked) == 2
    assert all("what-if" in row["detail"] for row in marked)
    assert "what-if" not in history(path)[0][2]
    assert read_areas(path) == {"pampa": (dt.date(2024, 1, 1), dt.date(2024, 6, 30))}


def test_areas_do_not_touch_each_others_rows(path: Path) -> None:
    put(path, make_alert(0))
    put(path, make_alert(1, aoi="sarare", alert_id="sarare-1"), aoi="sarare", as_of=dt.date(2024, 7, 1))
    assert put(path, aoi="sarare").events == {"withdrawn": 1}
    assert read_alerts(path)["alert_id"].tolist() == [make_alert(0).alert_id]
    assert {name: as_of for name, (_, as_of) in read_areas(path).items()} == {
        "pampa": dt.date(2024, 12, 31),
        "sarare": dt.date(2024, 12, 31),
    }


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM nowhere",
        "SELECT nothing FROM alerts",
        "SELECT CAST(x'ff' AS TEXT)",
        "SELECT ST_MinX(x'4750')",
    ],
)
def test_what_is_damaged_is_told_with_what_to_do(path: Path, sql: str) -> None:
    put(path, make_alert(0))
    with pytest.raises(AlertsError, match=r"could not be changed: .*nothing was changed; put a backup"), updating(path) as table:
        table.execute(sql).fetchall()


def test_a_cell_that_may_not_be_there_is_no_damage(path: Path) -> None:
    put(path, make_alert(0))
    with pytest.raises(AlertsError, match=r"nothing was changed$"), updating(path) as table:
        table.execute("INSERT INTO alerts (fid) SELECT fid FROM alerts")


@pytest.mark.parametrize("kind", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_locked_table_is_waited_for_and_then_left_alone(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path, make_alert(0))
    monkeypatch.setattr(table, "updating", functools.partial(updating, busy_seconds=0.2))
    monkeypatch.setattr(geopackage, "BUSY_SECONDS", 0.2)
    content = path.read_bytes()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(f"BEGIN {kind}")
    try:
        start = time.monotonic()
        with pytest.raises(AlertsError, match="locked") as error:
            put(path, make_alert(0), make_alert(1))
        assert time.monotonic() - start >= 0.2
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert "move it away" not in str(error.value), "a table that is in use is not damaged"
    assert path.read_bytes() == content


def test_a_lock_that_is_released_in_time_is_no_error(path: Path) -> None:
    put(path, make_alert(0))
    script = "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN EXCLUSIVE');"
    script += "print('held', flush=True); time.sleep(0.5)"
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        put(path, make_alert(0), make_alert(1))
    assert len(read_alerts(path)) == 2


def test_a_fault_in_the_middle_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(path, make_alert(0))
    content = path.read_bytes()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(table, "_update_aoi_row", fail)
    with pytest.raises(ZeroDivisionError):
        put(path, make_alert(0, area_ha=9.0), make_alert(1))
    assert path.read_bytes() == content


def test_a_writer_that_was_killed_leaves_the_old_table(path: Path) -> None:
    """Its hot journal makes read-only opens fail until somebody opens the file for writing."""
    put(path, make_alert(0))
    script = """if 1:
        import sqlite3, sys, time
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("PRAGMA cache_spill = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE rubbish (text)")
        for _ in range(2000):
            connection.execute("INSERT INTO rubbish VALUES (hex(randomblob(2000)))")
        connection.execute("DELETE FROM alert_history")
        print("written", flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        os.kill(writer.pid, signal.SIGKILL)
    journal = path.with_name("alerts.gpkg-journal")
    assert journal.stat().st_size > 0
    assert read_alerts(path)["alert_id"].tolist() == [make_alert(0).alert_id]
    assert history(path) == [(make_alert(0).alert_id, "new", "confirmed")]
    assert "rubbish" not in dict(pyogrio.list_layers(path).tolist())


def test_the_spatial_index_follows_the_rows(path: Path) -> None:
    put(path, make_alert(0), make_alert(1), make_alert(2))
    put(path, make_alert(0, west=-69.92), make_alert(2), make_alert(3), run="run-2")

    def find(west: float) -> list[str]:
        return pyogrio.read_dataframe(path, layer="alerts", bbox=(west, -12.96, west + 0.002, -12.94))["alert_id"].tolist()

    assert find(-69.921) == [make_alert(0).alert_id]
    assert find(-69.9905) == []
    assert find(-69.9805) == []
    assert find(-69.9605) == [make_alert(3).alert_id]
    with sqlite3.connect(path) as connection:
        indexed = connection.execute("SELECT count(*) FROM rtree_alerts_geom").fetchone()
        checked = connection.execute("SELECT rtreecheck('rtree_alerts_geom')").fetchone()
    connection.close()
    assert (indexed, checked) == ((3,), ("ok",))


def test_the_layer_tells_its_extent(path: Path) -> None:
    put(path, make_alert(0), make_alert(3))
    assert pyogrio.read_info(path, layer="alerts", force_total_bounds=True)["total_bounds"] == pytest.approx(
        (-69.99, -12.95, -69.959, -12.949)
    )
    with sqlite3.connect(path) as connection:
        stored = connection.execute("SELECT min_x, min_y, max_x, max_y FROM gpkg_contents WHERE table_name = 'alerts'").fetchone()
    connection.close()
    assert stored == pytest.approx((-69.99, -12.95, -69.959, -12.949))


def test_geometry_survives_the_blob() -> None:
    ring = box(0, 0, 4, 4).exterior.coords
    geometry = MultiPolygon([Polygon(ring, [box(1, 1, 2, 2).exterior.coords]), box(6, 6, 7, 7)])
    assert decode_geometry(encode_geometry(geometry)).equals_exact(geometry)
    assert decode_geometry(encode_geometry(box(0, 0, 1, 1))).geom_type == "MultiPolygon"


def test_no_table_yet_is_said_with_what_to_do(path: Path) -> None:
    with pytest.raises(AlertsError, match=r"no alerts table yet.*minewatch scan"):
        read_alerts(path)
    assert read_areas(path) == {}
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"this is no database at all, but it is long enough to be one" * 40])
def test_a_file_that_is_no_geopackage_is_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(AlertsError, match="no usable alerts table"):
        put(path, make_alert(0))
    assert path.read_bytes() == content


def test_a_geopackage_of_something_else_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    gpd.GeoDataFrame({"name": ["river"]}, geometry=[AREA], crs=4326).to_file(path, layer="rivers")
    content = path.read_bytes()
    with pytest.raises(MinewatchError):
        read_alerts(path)
    with pytest.raises(MinewatchError):
        put(path, make_alert(0))
    assert path.read_bytes() == content


def test_csv_is_the_table_of_area_date_and_position(path: Path) -> None:
    put(path, make_alert(0), make_alert(1, status="provisional", confirmed_on=None))
    write_csv(read_alerts(path), path.with_suffix(".csv"))
    text = path.with_suffix(".csv").read_text("utf-8")
    first, second = csv.DictReader(io.StringIO(text))
    assert list(first)[:7] == ["alert_id", "aoi", "status", "date", "area_ha", "lat", "lon"]
    assert (first["alert_id"], first["aoi"], first["status"]) == (make_alert(0).alert_id, "pampa", "confirmed")
    assert (first["date"], first["confirmed_on"]) == ("2024-01-01", "2024-01-11")
    assert [float(first[name]) for name in ("area_ha", "lat", "lon")] == pytest.approx([1.0, -12.9495, -69.9895])
    assert (second["confirmed_on"], second["merged_into"]) == ("", "")


@pytest.mark.parametrize("note", ['=HYPERLINK("http://evil")', "+1", "-1+cmd", "@SUM(A1)", "\t=1", "\r=1"])
def test_csv_runs_no_formula(path: Path, note: str) -> None:
    put(path, make_alert(0))
    review(path, make_alert(0).alert_id, note)
    (row,) = csv.DictReader(io.StringIO(render_csv(read_alerts(path)), newline=""))
    assert row["review_note"].strip("\t\r ")[0] not in "=+-@"
    assert note.replace("\r", "\n") in row["review_note"]
    assert row["ndvi_change"] == "-0.4"


def test_csv_keeps_commas_quotes_and_lines(path: Path) -> None:
    put(path, make_alert(0))
    review(path, make_alert(0).alert_id, 'a "pit", two\nlines, ünïcode')
    (row,) = csv.DictReader(io.StringIO(render_csv(read_alerts(path)), newline=""))
    assert row["review_note"] == 'a "pit", two\nlines, ünïcode'


def test_csv_of_an_empty_table_has_its_columns(path: Path) -> None:
    put(path)
    assert render_csv(read_alerts(path)).startswith("alert_id,aoi,status,date,area_ha,lat,lon")


@pytest.mark.parametrize(
    ("lat", "lon", "text"), [(-12.5, -69.25, "12.50000°S 69.25000°W"), (45.2, 22.15, "45.20000°N 22.15000°E")]
)
def test_positions_are_written_with_the_hemisphere(lat: float, lon: float, text: str) -> None:
    assert describe_position(lat, lon) == text


def test_the_style_travels_in_the_file(path: Path) -> None:
    put(path, make_alert(0))
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles").fetchall()
        listed = connection.execute("SELECT data_type FROM gpkg_contents WHERE table_name = 'layer_styles'").fetchone()
    connection.close()
    assert listed == ("attributes",)
    assert [row[:3] for row in rows] == [("alerts", "geom", 1), ("aois", "geom", 1), ("alerts", "geom", 0)]
    assert sorted(re.findall(r'<category [^>]*value="(\w+)"', rows[0][3])) == sorted(STATES)


def test_gdal_tools_find_nothing_wrong(path: Path) -> None:
    put(path, make_alert(0), make_alert(1))
    put(path, make_alert(1), make_alert(2))
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        counted = connection.execute("SELECT feature_count FROM gpkg_ogr_contents WHERE table_name = 'alerts'").fetchone()
    connection.close()
    assert counted == (2,)
    frame = pyogrio.read_dataframe(path, layer="alerts", where="status = 'confirmed' AND first_seen >= '2024-03-01'")
    assert frame["alert_id"].tolist() == [make_alert(2).alert_id]
    assert shapely.is_valid(frame.geometry).all()


@pytest.mark.server
def test_qgis_shows_the_alerts_by_status(path: Path, run_qgis: RunQgis) -> None:
    states = {
        "confirmed": make_alert(0),
        "closed": make_alert(1, status="closed"),
        "dismissed": make_alert(3, status="dismissed"),
    }
    states["provisional"] = make_alert(2, status="provisional", confirmed_on=None)
    put(path, *states.values())
    seen = run_qgis("qgis_check.py", path, path.with_name("picture.png"))
    alerts = seen["layers"]["alerts"]
    assert (alerts["valid"], alerts["features"], alerts["geometry"], alerts["crs"]) == (True, 4, "MultiPolygon", "EPSG:4326")
    assert seen["styled_by_itself"]
    assert {category["value"] for category in seen["categories"]} >= set(states)
    assert len({category["colour"] for category in seen["categories"]}) >= 4
    assert alerts["pixels"] > 1000
    assert {"aois", "alert_history", "runs"} <= set(seen["layers"])
    fields = {field["name"]: field for field in alerts["fields"]}
    assert fields["first_seen"]["type"] == "Date"
    assert fields["area_ha"]["alias"] == "Area (ha)"


@pytest.mark.server
def test_an_edit_in_qgis_survives_the_next_scan(path: Path, run_qgis: RunQgis, tmp_path: Path) -> None:
    put(path, make_alert(0), make_alert(1))
    script = tmp_path / "edit.py"
    script.write_text(
        "import json, sys\n"
        "from qgis.core import QgsApplication, QgsVectorLayer, edit\n"
        "app = QgsApplication([], False); app.initQgis()\n"
        "layer = QgsVectorLayer(sys.argv[1] + '|layername=alerts', 'alerts', 'ogr')\n"
        "with edit(layer):\n"
        "    for feature in layer.getFeatures():\n"
        "        layer.changeAttributeValue(feature.id(), layer.fields().indexOf('review'), 'needs-visit')\n"
        "del feature, layer\n"
        "app.exitQgis()\n"
        "print(json.dumps({'done': True}))\n"
    )
    assert run_qgis(script, path) == {"done": True}
    put(path, make_alert(0, area_ha=4.0), make_alert(1), make_alert(2), run="run-2")
    frame = read_alerts(path)
    assert frame["review"].tolist() == ["needs-visit", "needs-visit", ""]
    assert frame["area_ha"].tolist() == [4.0, 1.0, 1.0]
