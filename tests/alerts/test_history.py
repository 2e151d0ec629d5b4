"""alert_history: data in columns, a sentence for people, and tables that were written before there were such columns."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from pathlib import Path

import pytest

from minewatch.alerts.columns import HISTORY, HISTORY_COLUMNS
from minewatch.alerts.history import HistoryEvent, follow_renames, read_history
from minewatch.alerts.reviews import Review, review_alert
from minewatch.alerts.rows import find_alert
from minewatch.core.errors import AlertsError
from tests.helpers.small import read_layer
from tests.helpers.tables import edit, make_alert, put

DATA = ("former_id", "from_status", "to_status", "merged_into", "gained_ha", "area_ha", "what_if")
"""Columns that older tables lack."""

OF_REVIEWS = ("review", "by", "reason", "note", "decided_at", "found_at", "made_after")
"""More of them."""

OLD, NEXT, NOW = "pampa-20231231-000001", "pampa-20240102-000002", "pampa-20240103-000003"
"""The ids that one alert has had."""


def make_old(path: Path) -> Path:
    """Make a table as versions without columns for data left it."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for name in (*DATA, *OF_REVIEWS):
            connection.execute(f"ALTER TABLE {HISTORY} DROP COLUMN {name}")
    return path


def list_columns(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [row[1] for row in connection.execute(f"PRAGMA table_info({HISTORY})")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A table in which everything happened that carries data."""
    path = tmp_path / "output" / "alerts.gpkg"
    legal = {"context": {make_alert(1).alert_id: {"legal_status": "outside"}}}
    first = make_alert(1, status="provisional", confirmed_on=None), make_alert(2), make_alert(3)
    put(path, make_alert(0, alert_id=OLD), *first, **legal)
    closed = dataclasses.replace(first[1], status="closed")
    merged = dataclasses.replace(first[2], status="closed", merged_into=NEXT)
    legal["context"][make_alert(1).alert_id]["legal_status"] = "inside"
    put(path, make_alert(0, alert_id=NEXT), make_alert(1, area_ha=1234.5), closed, merged, run="run-2", **legal)
    put(path, make_alert(0, alert_id=NOW), make_alert(1, area_ha=1234.5), first[1], merged, run="run-3", what_if=True, **legal)
    review_alert(path, path.parent / "decisions.jsonl", NOW, Review("dismissed", "Rosa", note=f"{NOW} -> nowhere; what-if"))
    return path


def test_what_changed_stands_in_columns(path: Path) -> None:
    """The sentence says the same, and nobody has to take it apart."""
    growing, closed, merged = (make_alert(number).alert_id for number in (1, 2, 3))
    told = [
        {name: value for name, value in row.items() if name in ("alert_id", "event", *DATA) and value not in ("", None, 0)}
        for row in read_layer(path, HISTORY)
    ]
    numbers = ("gained_ha", "area_ha")
    told = [{k: v for k, v in row.items() if k not in numbers or v == v} for row in told]  # noqa: PLR0124  nan is not itself
    assert told[4:] == [
        {"alert_id": NEXT, "event": "renamed", "former_id": OLD},
        {"alert_id": growing, "event": "legal status", "from_status": "outside", "to_status": "inside"},
        {"alert_id": growing, "event": "confirmed", "from_status": "provisional", "to_status": "confirmed"},
        {"alert_id": growing, "event": "grown", "gained_ha": 1233.5, "area_ha": 1234.5},
        {"alert_id": closed, "event": "closed", "from_status": "confirmed", "to_status": "closed"},
        {"alert_id": merged, "event": "merged", "merged_into": NEXT},
        {"alert_id": NOW, "event": "renamed", "former_id": NEXT, "what_if": 1},
        {"alert_id": closed, "event": "reopened", "from_status": "closed", "to_status": "confirmed", "what_if": 1},
        {"alert_id": NOW, "event": "reviewed", "from_status": "confirmed", "to_status": "dismissed"},
    ]
    assert {(row["event"], row["to_status"]) for row in told[:4]} == {("new", "provisional"), ("new", "confirmed")}


def test_a_sentence_that_is_polished_changes_nothing(path: Path) -> None:
    events = read_history(path)
    edit(path, "UPDATE alert_history SET detail = 'Something else happened to ' || alert_id")
    assert [dataclasses.replace(event, detail="") for event in read_history(path)] == [
        dataclasses.replace(event, detail="") for event in events
    ]
    assert find_alert(path, OLD) == NOW


def without_review(events: list[HistoryEvent]) -> list[HistoryEvent]:
    """A review's sentence never said what became of the status, nor when it was made."""
    nothing = dict.fromkeys(OF_REVIEWS[:4], "") | dict.fromkeys(OF_REVIEWS[4:])
    return [dataclasses.replace(e, from_status="", to_status="", **nothing) if e.event == "reviewed" else e for e in events]


def test_an_older_table_is_read_as_it_is(path: Path) -> None:
    events = read_history(path)
    content = make_old(path).read_bytes()
    assert read_history(path) == without_review(events)
    assert [find_alert(path, name) for name in (OLD, NEXT, NOW)] == [NOW] * 3
    with pytest.raises(AlertsError, match="there is no alert 'pampa-2024'"):
        find_alert(path, "pampa-2024")
    assert path.read_bytes() == content
    assert not set(DATA) & set(list_columns(path))


def test_an_older_table_is_filled_by_the_next_update(path: Path) -> None:
    events = read_history(path)
    make_old(path)
    review_alert(path, path.parent / "decisions.jsonl", OLD, Review("confirmed", "Juan"))
    assert list_columns(path) == ["fid", *(column.name for column in HISTORY_COLUMNS)]
    *before, last = read_history(path)
    assert before == without_review(events)
    assert (last.alert_id, last.event, last.from_status, last.to_status) == (NOW, "reviewed", "dismissed", "confirmed")
    edit(path, "UPDATE alert_history SET detail = ''")
    assert find_alert(path, OLD) == NOW


def test_an_older_table_that_a_reader_holds_open_is_filled(path: Path) -> None:
    """QGIS reads through a write-ahead log, and keeps the state in which it began until it reads anew."""
    make_old(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("PRAGMA journal_mode = WAL")
        reader.execute("BEGIN")
        rows = reader.execute("SELECT * FROM alert_history").fetchall()
        put(path, make_alert(0, alert_id=NOW), run="run-4")
        assert reader.execute("SELECT * FROM alert_history").fetchall() == rows
        reader.execute("COMMIT")
        assert reader.execute("SELECT former_id FROM alert_history WHERE alert_id = ?", (NEXT,)).fetchall() == [(OLD,)]


def test_an_update_that_fails_leaves_an_older_table_alone(path: Path) -> None:
    content = make_old(path).read_bytes()
    with pytest.raises(AlertsError, match="there is no alert"):
        review_alert(path, path.parent / "decisions.jsonl", "nobody", Review("confirmed", "Juan"))
    assert path.read_bytes() == content


def test_rows_that_an_older_version_adds_to_a_table_of_today_count_too(path: Path) -> None:
    newest = "pampa-20240104-000004"
    edit(path, "UPDATE alerts SET alert_id = ? WHERE alert_id = ?", newest, NOW)
    edit(path, "INSERT INTO alert_history (alert_id, event, detail) VALUES (?, 'renamed', ?)", newest, f"{NOW} -> {newest}")
    assert find_alert(path, OLD) == newest
    put(path, make_alert(0, alert_id=newest), run="run-5")
    assert [row["former_id"] for row in read_layer(path, HISTORY) if row["alert_id"] == newest] == [NOW]


def test_names_that_lead_in_a_circle_end() -> None:
    renames = {"a": "b", "b": "c", "c": "a"}
    assert follow_renames("a", renames, lambda name: name == "c") == "c"
    assert follow_renames("a", renames, lambda _: False) is None
