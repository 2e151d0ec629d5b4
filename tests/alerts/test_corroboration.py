"""Second witnesses: who else saw it, when, and how far away; the same in every table that is made anew."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from pyproj import Geod
from shapely.geometry import MultiPolygon, Point, box

from minewatch.alerts.context.region import AlertSite
from minewatch.alerts.corroboration.agreement import Agreement, SightingIndex, describe_agreements
from minewatch.alerts.corroboration.columns import read_days
from minewatch.alerts.corroboration.corroboration import corroborate_alerts, remove_source
from minewatch.alerts.corroboration.points import PIECE, read_points
from minewatch.alerts.corroboration.record import (
    ExternalSource,
    ExternalSources,
    append_external_sources,
    read_external_sources,
    read_sightings,
    store_sightings,
)
from minewatch.alerts.corroboration.sighting import NO_DAY, Region, Sightings, to_day
from minewatch.alerts.read import read_alerts
from minewatch.cli import main
from minewatch.core.errors import AlertsError, ExternalAlertError
from minewatch.core.workspace import Workspace
from tests.helpers.small import NAME, UNTIL, copy_workspace, make_scanned, scan_small

GEOD = Geod(ellps="WGS84")
SQUARE = MultiPolygon([box(-70.0, -13.0, -69.99, -12.99)])
SITE = AlertSite(SQUARE, dt.date(2024, 6, 1), dt.date(2024, 9, 1), None)


@pytest.fixture
def workspace(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A scanned workspace with two alerts."""
    return copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "workspace")


def cells(workspace: Workspace) -> dict[str, str]:
    table = read_alerts(workspace.alerts)
    return dict(zip(table["alert_id"], table["witnesses"], strict=True))


def largest(workspace: Workspace) -> Any:
    """Return the row of the largest alert."""
    return read_alerts(workspace.alerts).sort_values("area_ha").iloc[-1]


def place(row: Any, metres: float) -> tuple[float, float]:
    """Return longitude and latitude of a point so far east of an alert."""
    corners = shapely.get_coordinates(row.geometry)
    x, y = corners[np.argmax(corners[:, 0])]
    lon, lat, _ = GEOD.fwd(x, y, 90, metres)
    return lon, lat


def write_csv(path: Path, rows: Iterable[tuple[float, float, str]], header: str = "") -> Path:
    """Write a CSV as Global Forest Watch does; rows are longitude, latitude and date."""
    header = header or "latitude,longitude,gfw_integrated_alerts__date,gfw_integrated_alerts__confidence"
    lines = [header, *(f"{lat:.7f},{lon:.7f},{date},high" for lon, lat, date in rows)]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def run(workspace: Workspace, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["-w", str(workspace.root), "alerts", "corroborate", *arguments])


def make_index(*shapes: Any, days: list[int] | None = None) -> SightingIndex:
    known = np.array(days or [NO_DAY] * len(shapes), np.int32)
    return SightingIndex(Sightings(np.array(shapes, object), known), -70.0)


# --- what agrees -----------------------------------------------------------------------------------------------------


def test_distance_is_geodesic_and_nothing_inside() -> None:
    lon, lat, _ = GEOD.fwd(-69.99, -12.995, 90, 35)
    agreement = make_index(Point(lon, lat)).match(SITE, "RADD", 100, 180)
    assert agreement is not None
    assert agreement.distance_m == pytest.approx(35, abs=0.1)
    inside = make_index(Point(-69.995, -12.995), Point(lon, lat)).match(SITE, "RADD", 100, 180)
    assert inside == Agreement("RADD", None, 0.0)


def test_what_is_farther_than_asked_does_not_agree() -> None:
    lon, lat, _ = GEOD.fwd(-69.99, -12.995, 90, 101)
    assert make_index(Point(lon, lat)).match(SITE, "RADD", 100, 180) is None
    assert make_index(Point(lon, lat)).match(SITE, "RADD", 102, 180) is not None


def test_polygons_count_by_their_nearest_point() -> None:
    far, overlapping = box(-69.9895, -13, -69.9, -12.9), box(-69.995, -12.995, -69.9, -12.9)
    agreement = make_index(far).match(SITE, "AMW", 100, 180)
    assert agreement is not None
    assert agreement.distance_m == pytest.approx(GEOD.inv(-69.99, -12.99, -69.9895, -12.99)[2], abs=0.1)
    assert make_index(overlapping).match(SITE, "AMW", 0, 180) == Agreement("AMW", None, 0.0)


def test_days_count_from_when_the_alert_was_seen() -> None:
    middle = Point(-69.995, -12.995)

    def agrees(date: dt.date, days: int) -> bool:
        return make_index(middle, days=[to_day(date)]).match(SITE, "RADD", 100, days) is not None

    assert agrees(dt.date(2024, 7, 1), 0), "between the first and the last day"
    assert agrees(dt.date(2024, 5, 2), 30)
    assert not agrees(dt.date(2024, 5, 1), 30)
    assert agrees(dt.date(2024, 10, 1), 30)
    assert not agrees(dt.date(2024, 10, 2), 30)


def test_of_what_is_equally_near_the_nearest_date_is_told() -> None:
    dates = [dt.date(2024, 4, 1), dt.date(2024, 6, 11), dt.date(2024, 8, 1)]
    agreement = make_index(*[Point(-69.995, -12.995)] * 3, days=[to_day(date) for date in dates]).match(SITE, "RADD", 100, 180)
    assert str(agreement) == "RADD 2024-06-11 (inside)"


def test_the_cell_tells_every_witness_by_name() -> None:
    agreements = [Agreement("RADD", dt.date(2024, 6, 11), 35.2), Agreement("Amazon Mining Watch", None, 0.0)]
    assert describe_agreements(agreements) == "Amazon Mining Watch (inside); RADD 2024-06-11 (35 m)"
    assert describe_agreements([]) == ""


def test_an_alert_at_180_degrees_is_heard() -> None:
    outline = MultiPolygon([box(179.999, 1, 180, 1.001), box(-180, 1, -179.999, 1.001)])
    extent = dataclasses.replace(SITE, outline=outline)
    for longitude in (180.0012, 180.0005):
        sightings = Sightings(np.array([Point(longitude, 1.0005)], object), np.array([NO_DAY], np.int32))
        agreement = SightingIndex(sightings, 180.0).match(extent, "RADD", 100, 180)
        assert agreement is not None
        assert agreement.distance_m == pytest.approx(max(0, (longitude - 180.001) * 111_300), abs=0.5)


@pytest.mark.parametrize(
    ("cell", "column", "date"),
    [
        ("2024-06-11", "gfw_integrated_alerts__date", "2024-06-11"),
        ("2024/06/11 00:00:00+00", "alert_date", "2024-06-11"),
        ("20240611", "date", "2024-06-11"),
        (20240611.0, "date", "2024-06-11"),
        ("24163", "Date", "2024-06-11"),
        (1718064000000, "alert_date", "2024-06-11"),
        (1258, "VEG-DIST-DATE", "2024-06-11"),
        (1258.0, "GEN_DIST_DATE", "2024-06-11"),
        ("", "date", "NaT"),
        (None, "date", "NaT"),
        ("soon", "date", "NaT"),
        ("24399", "Date", "NaT"),
        (-1, "VEG-DIST-DATE", "NaT"),
    ],
)
def test_dates_are_read_as_other_systems_write_them(cell: Any, column: str, date: str) -> None:
    (day,) = read_days([cell], column)
    assert ("NaT" if day == NO_DAY else str(np.datetime64(int(day), "D"))) == date


# --- the table -------------------------------------------------------------------------------------------------------


def test_a_csv_of_global_forest_watch_is_shown_in_the_table(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    date = f"{row.first_seen:%Y-%m-%d}"
    path = write_csv(tmp_path / "gfw.csv", [(*place(row, 35), date), (10.0, 50.0, date)])
    result = corroborate_alerts(workspace, path, "RADD")
    assert result.reading.rows == 2
    assert result.agreements.keys() == {row.alert_id}
    assert cells(workspace)[row.alert_id] == f"RADD {date} (35 m, high)"
    assert [cell for cell in cells(workspace).values() if cell] == [f"RADD {date} (35 m, high)"]


def test_the_same_file_again_changes_nothing(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    path = write_csv(tmp_path / "gfw.csv", [(*place(row, 10), f"{row.first_seen:%Y-%m-%d}")])
    corroborate_alerts(workspace, path, "RADD")
    before = {file: file.read_bytes() for file in (workspace.external_sources, *workspace.external_alerts.iterdir())}
    table = read_alerts(workspace.alerts)
    again = corroborate_alerts(workspace, path, "RADD")
    assert again.added == []
    assert again.agreements.keys() == {row.alert_id}
    assert {file: file.read_bytes() for file in (workspace.external_sources, *workspace.external_alerts.iterdir())} == before
    assert read_alerts(workspace.alerts).equals(table)


def test_a_table_that_is_made_anew_shows_the_same(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    corroborate_alerts(workspace, write_csv(tmp_path / "a.csv", [(*place(row, 35), f"{row.first_seen:%Y-%m-%d}")]), "RADD")
    shown = cells(workspace)
    scan_small(workspace)
    assert cells(workspace) == shown
    workspace.alerts.unlink()
    scan_small(workspace)
    assert cells(workspace) == shown
    with workspace.alerts_csv.open(newline="") as file:
        assert {line["alert_id"]: line["witnesses"] for line in csv.DictReader(file)} == shown


def test_an_older_table_does_not_show_it_yet(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    path = write_csv(tmp_path / "a.csv", [(*place(row, 35), f"{row.first_seen:%Y-%m-%d}")])
    (witness,) = corroborate_alerts(workspace, path, "RADD").added
    assert witness.effective == UNTIL
    known = read_external_sources(workspace.external_sources)
    assert known.of(NAME, UNTIL) == [witness]
    assert known.of(NAME, UNTIL - dt.timedelta(days=1)) == []


def test_several_witnesses_stand_side_by_side_and_can_be_taken_back(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    date = f"{row.first_seen:%Y-%m-%d}"
    corroborate_alerts(workspace, write_csv(tmp_path / "a.csv", [(*place(row, 35), date)]), "RADD")
    mines = gpd.GeoDataFrame(geometry=[row.geometry.buffer(0.001)], crs=4326)
    mines.to_file(tmp_path / "mines.geojson")
    corroborate_alerts(workspace, tmp_path / "mines.geojson", "Amazon Mining Watch")
    assert cells(workspace)[row.alert_id] == f"Amazon Mining Watch (inside); RADD {date} (35 m, high)"
    assert remove_source(workspace, "RADD") == 1
    assert cells(workspace)[row.alert_id] == "Amazon Mining Watch (inside)"
    assert len(read_external_sources(workspace.external_sources).all) == 3, "what was said stays in the file"
    with pytest.raises(ExternalAlertError, match="no witness 'RADD'"):
        remove_source(workspace, "RADD")
    corroborate_alerts(workspace, tmp_path / "a.csv", "RADD")
    assert "RADD" in cells(workspace)[row.alert_id]


def test_what_is_said_last_of_a_file_counts(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    path = write_csv(tmp_path / "a.csv", [(*place(row, 35), f"{row.first_seen:%Y-%m-%d}")])
    corroborate_alerts(workspace, path, "RADD", distance_m=100)
    corroborate_alerts(workspace, path, "RADD", distance_m=20)
    assert cells(workspace)[row.alert_id] == "", "the point lies farther away than the second distance"
    corroborate_alerts(workspace, path, "RADD", distance_m=100)
    assert cells(workspace)[row.alert_id] != ""


def test_new_exports_of_a_witness_add_to_the_older_ones(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    date = f"{row.first_seen:%Y-%m-%d}"
    for number, metres in enumerate((60, 20, 90)):
        corroborate_alerts(workspace, write_csv(tmp_path / f"{number}.csv", [(*place(row, metres), date)]), "RADD")
    assert cells(workspace)[row.alert_id] == f"RADD {date} (20 m, high)"


def test_where_what_a_witness_saw_is_gone_a_scan_says_so(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    path = write_csv(tmp_path / "a.csv", [(*place(row, 35), f"{row.first_seen:%Y-%m-%d}")])
    corroborate_alerts(workspace, path, "RADD")
    for file in workspace.external_alerts.iterdir():
        file.unlink()
    report = scan_small(workspace)
    assert any("witness 'RADD' cannot be asked" in note for note in report.areas[0].notes)
    corroborate_alerts(workspace, path, "RADD")
    assert cells(workspace)[row.alert_id] != "", "adding the file again brings it back"


def test_a_review_and_a_witness_leave_each_other_alone(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    CliRunner().invoke(main, ["-w", str(workspace.root), "alerts", "review", row.alert_id, "--confirm", "--by", "Rosa"])
    corroborate_alerts(workspace, write_csv(tmp_path / "a.csv", [(*place(row, 35), f"{row.first_seen:%Y-%m-%d}")]), "RADD")
    after = largest(workspace)
    assert (after.review, after.reviewed_by, after.witnesses != "") == ("confirmed", "Rosa", True)


# --- the files of others ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["geojson", "gpkg", "shp", "fgb"])
@pytest.mark.parametrize("epsg", [4326, 32719])
def test_maps_in_any_reference_system_agree(workspace: Workspace, tmp_path: Path, kind: str, epsg: int) -> None:
    if kind == "geojson" and epsg != 4326:
        pytest.skip("GeoJSON is lon/lat")
    row = largest(workspace)
    point = Point(*place(row, 35))
    frame = gpd.GeoDataFrame({"alert_date": [f"{row.first_seen:%Y-%m-%d}"]}, geometry=[point], crs=4326).to_crs(epsg)
    frame.to_file(tmp_path / f"radd.{kind}")
    corroborate_alerts(workspace, tmp_path / f"radd.{kind}", "RADD")
    assert cells(workspace)[row.alert_id] == f"RADD {row.first_seen:%Y-%m-%d} (35 m)"


def test_one_polygon_of_all_mines_is_taken_apart(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    everywhere = [box(x, 0, x + 0.1, 0.1) for x in range(-60, 60)]
    whole = shapely.union_all([*everywhere, row.geometry])
    gpd.GeoDataFrame(geometry=[whole], crs=4326).to_file(tmp_path / "amw.geojson")
    (witness,) = corroborate_alerts(workspace, tmp_path / "amw.geojson", "AMW").added
    assert witness.count == len(row.geometry.geoms)


def test_broken_outlines_are_mended(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    x, y = row.lon, row.lat
    bow = shapely.Polygon([(x - 0.01, y - 0.01), (x + 0.01, y + 0.01), (x + 0.01, y - 0.01), (x - 0.01, y + 0.01)])
    gpd.GeoDataFrame(geometry=[bow], crs=4326).to_file(tmp_path / "a.gpkg")
    corroborate_alerts(workspace, tmp_path / "a.gpkg", "AMW")
    assert "AMW" in cells(workspace)[row.alert_id]


def test_other_names_and_separators_are_known(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\ufeffLat;Lng;ALERT_DATE\r\n-12,5;-70,1;2024/06/11\r\nx;y;\r\n".encode())
    reading = read_points(path, [Region("a", (-71, -13, -70, -12))], None)
    (shape,) = reading.sightings["a"].shapes
    assert (shape.x, shape.y) == (-70.1, -12.5)
    assert reading.sightings["a"].days.tolist() == [to_day(dt.date(2024, 6, 11))]
    assert reading.notes == ["1 row has no position and is left out"]


def test_rows_without_a_date_are_no_sightings_in_a_file_with_dates(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    result = corroborate_alerts(workspace, write_csv(tmp_path / "a.csv", [(*place(row, 35), "")]), "RADD")
    assert result.added == []
    assert result.notes == ["1 near the areas have no date in 'gfw_integrated_alerts__date' and are left out"]


def test_a_file_is_read_in_pieces(tmp_path: Path) -> None:
    count = PIECE + 5
    path = tmp_path / "a.csv"
    path.write_text("latitude,longitude,alert__date\n" + "-12.5,-60,2024-06-11\n" * (count - 1) + "-12.5,-70.5,2024-06-12\n")
    reading = read_points(path, [Region("a", (-71, -13, -70, -12))], None)
    assert (reading.rows, len(reading.sightings["a"])) == (count, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,when\na,b\n", "no columns with a position; it has name, when"),
        ("", "cannot be read as CSV"),
        ("latitude,longitude\n-70.1,-12.5\n-110.0,-12.5\n", "row 3 .*seem to be exchanged"),
        ("latitude,longitude\n8500000,400000\n", "row 2 .*no degrees"),
        ('latitude,longitude\n1,2\n1,2,3,4\n"', "cannot be read as CSV"),
    ],
)
def test_a_bad_csv_is_one_clear_error(workspace: Workspace, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(ExternalAlertError, match=message):
        corroborate_alerts(workspace, path, "RADD")
    assert not workspace.external_sources.exists()


def test_a_shapefile_without_a_reference_system_is_an_error(workspace: Workspace, tmp_path: Path) -> None:
    gpd.GeoDataFrame({"a": [1]}, geometry=[Point(0, 0)], crs=4326).to_file(tmp_path / "a.shp")
    (tmp_path / "a.prj").unlink()
    with pytest.raises(ExternalAlertError, match="does not say in which coordinate reference system"):
        corroborate_alerts(workspace, tmp_path / "a.shp", "RADD")


def test_bad_maps_are_one_clear_error(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.geojson").write_text("{")
    with pytest.raises(ExternalAlertError, match="cannot be read as a map"):
        corroborate_alerts(workspace, tmp_path / "a.geojson", "RADD")
    with pytest.raises(ExternalAlertError, match="there is no file"):
        corroborate_alerts(workspace, tmp_path / "none.geojson", "RADD")
    (tmp_path / "b.geojson").write_text("<OGRVRTDataSource><OGRVRTLayer name='a'/></OGRVRTDataSource>")
    with pytest.raises(ExternalAlertError, match="only describes where data are"):
        corroborate_alerts(workspace, tmp_path / "b.geojson", "RADD")
    point = {"type": "Point", "coordinates": [-12.5, -110.0]}
    (tmp_path / "c.geojson").write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": point}))
    with pytest.raises(ExternalAlertError, match="exchanged"):
        corroborate_alerts(workspace, tmp_path / "c.geojson", "RADD")
    gpd.GeoDataFrame({"a": [1]}, geometry=[Point(0, 0)], crs=4326).to_file(tmp_path / "d.gpkg")
    with pytest.raises(ExternalAlertError, match="no column 'when'; it has a"):
        corroborate_alerts(workspace, tmp_path / "d.gpkg", "RADD", date_column="when")
    with pytest.raises(ExternalAlertError, match="no layer 'x' with shapes; it has d"):
        corroborate_alerts(workspace, tmp_path / "d.gpkg", "RADD", layer="x")


@pytest.mark.parametrize("name", ["", " RADD", "a; b", "x" * 61, "a\nb"])
def test_a_name_that_cannot_stand_in_the_table_is_refused(workspace: Workspace, tmp_path: Path, name: str) -> None:
    with pytest.raises(ExternalAlertError, match="cannot be the name of a witness"):
        corroborate_alerts(workspace, write_csv(tmp_path / "a.csv", []), name)


def test_without_a_table_there_is_nothing_to_corroborate(tmp_path: Path) -> None:
    with pytest.raises(AlertsError, match="no alerts table yet"):
        corroborate_alerts(Workspace(tmp_path), write_csv(tmp_path / "a.csv", []), "RADD")


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_what_was_seen_is_kept_as_it_was(tmp_path: Path) -> None:
    shapes = np.array([Point(-70, -12), box(-70, -12, -69, -11)], object)
    name = store_sightings(tmp_path, Sightings(shapes, np.array([to_day(dt.date(2024, 6, 11)), NO_DAY], np.int32)))
    kept = read_sightings(tmp_path / name)
    assert kept.days.tolist() == [to_day(dt.date(2024, 6, 11)), NO_DAY]
    assert shapely.equals_exact(kept.shapes, shapes).all()
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    moment = dt.datetime(2025, 1, 2, tzinfo=dt.UTC)
    witness = ExternalSource("RADD", "spot", "a.csv", "0" * 64, "a.gpkg", 3, 100.0, 180, dt.date(2024, 12, 31), moment)
    path = tmp_path / "witnesses.jsonl"
    append_external_sources(path, [witness])
    path.write_bytes(path.read_bytes() + b'{"name": "GL')
    append_external_sources(path, [dataclasses.replace(witness, name="ñ")])
    assert read_external_sources(path) == ExternalSources((witness, dataclasses.replace(witness, name="ñ")), (2,))


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_tells_who_agrees(workspace: Workspace, tmp_path: Path) -> None:
    row = largest(workspace)
    date = f"{row.first_seen:%Y-%m-%d}"
    path = write_csv(tmp_path / "a.csv", [(*place(row, 35), date)])
    result = run(workspace, str(path), "--name", "RADD", "--json")
    answer = json.loads(result.stdout)
    assert (result.exit_code, answer["near"], answer["added"]) == (0, {NAME: 1}, [NAME])
    (agreement,) = answer["agreements"]
    assert (agreement["alert_id"], agreement["date"]) == (row.alert_id, date)
    assert agreement["distance_m"] == pytest.approx(35, abs=0.2)
    again = run(workspace, str(path), "--name", "RADD")
    assert "1 of 2 alerts agree" in again.stderr
    assert "nothing was added" in again.stderr
    assert row.alert_id in again.stdout
    assert "1 taken back" in run(workspace, "--name", "RADD", "--take-back").stdout


def test_nothing_near_is_a_result_that_is_said(workspace: Workspace, tmp_path: Path) -> None:
    result = run(workspace, str(write_csv(tmp_path / "a.csv", [(10, 50, "2024-01-01")])), "--name", "RADD")
    assert result.exit_code == 0
    assert "none of the 1 in" in result.stderr
    row = largest(workspace)
    swapped = write_csv(tmp_path / "b.csv", [(row.lat, row.lon, "2024-01-01")])
    assert "1 would, with latitude and longitude exchanged" in run(workspace, str(swapped), "--name", "RADD").stderr
    assert not workspace.external_sources.exists()


def test_wrong_use_is_told(workspace: Workspace, tmp_path: Path) -> None:
    assert run(workspace, "--name", "RADD").exit_code == 2
    assert run(workspace, str(tmp_path / "none.csv")).exit_code == 2
    assert run(workspace, str(tmp_path / "none.csv"), "--name", "RADD").exit_code == 1
    assert run(workspace, str(tmp_path / "none.csv"), "--name", "RADD", "--distance", "-1").exit_code == 2
