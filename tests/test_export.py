"""Exports: what other programs read is what the table says."""

from __future__ import annotations

import csv
import datetime as dt
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pyogrio
import pytest
from shapely.geometry import MultiPolygon, box

from minewatch.alerts.columns import ALERT_COLUMNS
from minewatch.errors import AlertsError, MinewatchError, WorkspaceError
from minewatch.export import FORMATS, export_alerts

NAMES = [column.name for column in ALERT_COLUMNS]


def make_table(**changes: Any) -> gpd.GeoDataFrame:
    """Make a table of two alerts, the second one not confirmed."""
    empty = {column.name: "" if column.dtype == "object" else None for column in ALERT_COLUMNS}
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
    (path,) = export_alerts(make_table() if table is None else table, folder, (name,))
    return path


def usable() -> list[str]:
    return [name for name in FORMATS if name != "parquet" or importlib.util.find_spec("pyarrow")]


def test_formats_are_those_of_the_contract() -> None:
    assert set(FORMATS) == {"gpkg", "csv", "xlsx", "geojson", "kml", "parquet"}


def test_files_are_named_by_format_and_nothing_else_is_left(tmp_path: Path) -> None:
    names = usable()
    paths = export_alerts(make_table(), tmp_path / "new" / "folder", tuple(names))
    assert [path.name for path in paths] == [f"alerts.{name}" for name in names]
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(f"alerts.{name}" for name in names)
    assert all(path.stat().st_size > 0 and path.stat().st_mode & 0o777 == 0o600 for path in paths)


def test_geopackage_holds_the_same_table(tmp_path: Path) -> None:
    frame = gpd.read_file(export(tmp_path, "gpkg"), layer="alerts")
    table = make_table()
    assert frame.crs.to_epsg() == 4326
    assert list(frame.columns) == [*NAMES, "geometry"]
    assert frame.geometry.geom_equals(table.geometry).all()
    assert frame["area_ha"].tolist() == [1.25, 2.5]
    info = pyogrio.read_info(tmp_path / "alerts.gpkg", layer="alerts")
    types = dict(zip(info["fields"].tolist(), info["dtypes"].tolist(), strict=True))
    assert types["first_seen"] == types["confirmed_on"] == "datetime64[D]", "a date without a time"
    assert frame["first_seen"].dt.date.tolist() == [dt.date(2024, 1, 1), dt.date(2024, 2, 1)]
    assert frame["confirmed_on"].isna().tolist() == [False, True]


def test_geojson_is_lonlat_with_plain_dates(tmp_path: Path) -> None:
    document = json.loads(export(tmp_path, "geojson").read_text("utf-8"))
    first, second = (feature["properties"] for feature in document["features"])
    assert document["type"] == "FeatureCollection"
    assert "crs" not in document
    assert (first["first_seen"], first["confirmed_on"], second["confirmed_on"]) == ("2024-01-01", "2024-01-11", None)
    assert first["alert_id"] == "pampa-20240101-000001"
    longitude, latitude = document["features"][0]["geometry"]["coordinates"][0][0][0]
    assert (longitude, latitude) == pytest.approx((-69.99, -12.95), abs=0.002)


def test_csv_is_the_table_of_area_date_and_position(tmp_path: Path) -> None:
    rows = list(csv.DictReader(export(tmp_path, "csv").read_text("utf-8").splitlines()))
    assert [(row["alert_id"], row["date"], row["area_ha"]) for row in rows] == [
        ("pampa-20240101-000001", "2024-01-01", "1.25"),
        ("pampa-20240201-000002", "2024-02-01", "2.5"),
    ]


def test_xlsx_has_a_row_for_each_alert_and_runs_no_formula(tmp_path: Path) -> None:
    path = export(tmp_path, "xlsx", make_table(review_note="=1+1"))
    frame = pyogrio.read_dataframe(path, layer="alerts")
    assert frame["alert_id"].tolist() == make_table()["alert_id"].tolist()
    assert frame["area_ha"].astype(float).tolist() == [1.25, 2.5]
    assert [str(value)[:10] for value in frame["first_seen"]] == ["2024-01-01", "2024-02-01"]
    assert frame["review_note"].iloc[1] == "'=1+1"


def test_kml_names_the_alerts(tmp_path: Path) -> None:
    path = export(tmp_path, "kml")
    text, frame = path.read_text("utf-8"), gpd.read_file(path)
    assert [name for name in re.findall(r"<name>(.*?)</name>", text) if name != "alerts"] == make_table()["alert_id"].tolist()
    assert "<description>confirmed, 1.25 ha, first seen 2024-01-01</description>" in text
    assert frame.geometry.iloc[0].centroid.distance(make_table().geometry.iloc[0].centroid) < 1e-6


def test_parquet_keeps_the_table_or_says_what_to_install(tmp_path: Path) -> None:
    if importlib.util.find_spec("pyarrow"):
        assert gpd.read_parquet(export(tmp_path, "parquet"))["alert_id"].tolist() == make_table()["alert_id"].tolist()
        return
    with pytest.raises(MinewatchError, match=r"minewatch\[parquet\]"):
        export(tmp_path, "parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["gpkg", "csv", "xlsx", "geojson", "kml"])
def test_an_empty_table_can_be_exported(tmp_path: Path, name: str) -> None:
    assert export(tmp_path, name, make_table().iloc[:0]).exists()


@pytest.mark.parametrize("name", ["gpkg", "csv", "xlsx", "geojson", "kml"])
def test_an_export_replaces_the_last_one(tmp_path: Path, name: str) -> None:
    export(tmp_path, name, make_table().iloc[:1])
    first = (tmp_path / f"alerts.{name}").read_bytes()
    export(tmp_path, name)
    assert (tmp_path / f"alerts.{name}").read_bytes() != first
    assert len(list(tmp_path.iterdir())) == 1


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(AlertsError, match="unknown format 'shp'; known: gpkg, csv"):
        export_alerts(make_table(), tmp_path, ("csv", "shp"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("here already")
    with pytest.raises(WorkspaceError, match="taken"):
        export(tmp_path / "taken", "csv")
