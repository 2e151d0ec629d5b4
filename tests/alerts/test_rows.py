"""Rows that lists are made of, read by SQLite alone: their cells are those that GDAL gives."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from minewatch.alerts.cells import plain_cell
from minewatch.alerts.columns import ALERT_COLUMNS
from minewatch.alerts.database import BUSY_SECONDS
from minewatch.alerts.geopackage import read_outline
from minewatch.alerts.read import read_alerts
from minewatch.alerts.rows import read_areas, read_rows
from minewatch.core.errors import AlertsError
from tests.helpers.tables import edit, make_alert, put, review

OWN_COLUMNS = {
    "visits": ("INTEGER", [3, None, 5]),
    "team": ("SMALLINT", [1, 2, 3]),
    "risk": ("REAL", [0.25, None, 7]),
    "visited": ("DATE", ["2024-05-06", None, "2024-05-07"]),
    "called": ("DATETIME", ["2024-05-06T10:11:12Z", None, "2024-05-07T00:00:00Z"]),
    "sure": ("BOOLEAN", [1, 0, 1]),
    "seen": ("BOOLEAN", [1, None, 0]),
    "said": ("TEXT(20)", ["a\x1b[31mb\r\nc", None, "ñandú\u202eabc"]),
}
"""Columns that people add in QGIS, each with its type and cells."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A table of three alerts in two areas, with an edited review that no scan has seen yet."""
    path = tmp_path / "alerts.gpkg"
    put(path, make_alert(2, merged_into="pampa-20240201-000001"), make_alert(1, last_normal=None, confirmed_on=None))
    put(path, make_alert(0, aoi="andes", alert_id="andes-20240101-000000"), aoi="andes", run="run-2")
    review(path, make_alert(1).alert_id)
    return path


def plain_rows(rows: list[dict[Any, Any]]) -> list[list[tuple[str, Any, type]]]:
    cells = [{name: plain_cell(cell) for name, cell in row.items() if name != "geometry"} for row in rows]
    return [[(name, cell, type(cell)) for name, cell in row.items()] for row in cells]


def expect_same(path: Path) -> None:
    """Check names, order, cells and types of all rows against those of the frame."""
    assert plain_rows(read_rows(path)) == plain_rows(read_alerts(path).to_dict("records"))


def test_rows_are_those_that_gdal_reads(path: Path) -> None:
    assert [row["alert_id"] for row in read_rows(path)] == sorted(row["alert_id"] for row in read_rows(path))
    expect_same(path)


def test_columns_that_people_added_are_read_as_gdal_reads_them(path: Path) -> None:
    fids = [fid for (fid,) in sqlite3.connect(path).execute("SELECT fid FROM alerts ORDER BY fid")]
    for name, (kind, cells) in OWN_COLUMNS.items():
        edit(path, f'ALTER TABLE alerts ADD COLUMN "{name}" {kind}')
        for fid, cell in zip(fids, cells, strict=True):
            edit(path, f'UPDATE alerts SET "{name}" = ? WHERE fid = ?', cell, fid)  # noqa: S608  names are the test's
    expect_same(path)


@pytest.mark.parametrize(
    ("cell", "day"),
    [("2024/5/6", "2024-05-06"), ("2024-05-06T23:00:00Z", "2024-05-06"), ("2024-13-40", ""), ("6.5.2024", ""), (7, "")],
)
def test_a_date_that_people_wrote_otherwise_is_read_as_gdal_reads_it(path: Path, cell: Any, day: str) -> None:
    edit(path, "UPDATE alerts SET last_normal = ?", cell)
    assert {plain_cell(row["last_normal"]) for row in read_rows(path)} == {day}


def test_a_table_of_an_older_version_lacks_columns(path: Path) -> None:
    edit(path, "DROP VIEW alert_titles")
    edit(path, "DELETE FROM gpkg_contents WHERE table_name = 'alert_titles'")
    for column in ALERT_COLUMNS[-12:]:
        edit(path, f'ALTER TABLE alerts DROP COLUMN "{column.name}"')
    edit(path, "DROP TABLE minewatch_shown")
    expect_same(path)


def test_a_table_without_alerts_has_no_rows(tmp_path: Path) -> None:
    put(tmp_path / "alerts.gpkg")
    assert read_rows(tmp_path / "alerts.gpkg") == []


def test_a_saved_edit_that_lies_in_the_log_alone_is_read(path: Path) -> None:
    editor = sqlite3.connect(path, isolation_level=None)
    assert editor.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    editor.execute("CREATE TEMP TABLE kept AS SELECT 1")  # the connection stays, as that of QGIS does
    editor.execute("INSERT INTO alert_history (alert_id, event) VALUES ('x', 'new')")
    editor.execute("DELETE FROM aois WHERE aoi = 'andes'")
    assert path.with_name("alerts.gpkg-wal").stat().st_size > 0
    assert list(read_areas(path)) == ["pampa"]
    expect_same(path)
    editor.close()


def test_the_outline_is_that_of_the_frame(path: Path) -> None:
    for row in read_alerts(path).itertuples():
        assert read_outline(path, row.alert_id).equals_exact(row.geometry, 0)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("DROP TABLE alerts", "has no layer 'alerts'"),
        ("UPDATE alerts SET scene_after = CAST(x'ff41' AS TEXT)", "cannot be read"),
    ],
)
def test_a_damaged_table_is_told_in_one_line(path: Path, sql: str, words: str) -> None:
    with sqlite3.connect(path) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        connection.execute(sql)
    with pytest.raises(AlertsError, match=words):
        read_rows(path)


def test_a_locked_table_is_told_in_one_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert BUSY_SECONDS > 1
    monkeypatch.setattr("minewatch.alerts.database.BUSY_SECONDS", 0.1)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(AlertsError, match="another program has it locked"):
        read_rows(path)
    holder.close()
