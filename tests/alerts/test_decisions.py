"""What people decide: kept for good, acting on its ground from its date, whatever the alerts are called."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, box

from minewatch.alerts import reviews
from minewatch.alerts.apply_decisions import DecisionIndex, apply_decisions
from minewatch.alerts.decisions import DISMISS, NOTHING, REVIEWS, Decision, append_decisions, read_decisions
from minewatch.alerts.record import Alert
from minewatch.alerts.reviews import Review, review_alert
from minewatch.alerts.rows import find_alert
from minewatch.core.errors import AlertsError
from minewatch.settings.pipeline import AlertSettings
from tests.helpers.tables import edit, history, make_alert, put, review, row_of

REVIEWED = dt.date(2024, 12, 31)
"""The as-of date of the tables that `put` writes."""

BY_ROSA = Review(DISMISS, "Rosa", "road works", "seen from the air")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "output" / "alerts.gpkg"


@pytest.fixture
def decisions(path: Path) -> Path:
    return path.parent / "decisions.jsonl"


def make_decision(alert: Alert, **changes: Any) -> Decision:
    moment = dt.datetime(2025, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    decision = Decision(alert.alert_id, alert.aoi, DISMISS, "road works", "", "Rosa", moment, REVIEWED, alert.geometry)
    return dataclasses.replace(decision, **changes)


def widen(alert: Alert, degrees: float) -> Alert:
    west, south, east, north = alert.geometry.bounds
    return dataclasses.replace(alert, geometry=MultiPolygon([box(west, south, east + degrees, north)]))


def judge(alert: Alert, *decisions: Decision, until: dt.date = REVIEWED) -> str:
    return apply_decisions(alert, DecisionIndex(decisions), until, AlertSettings()).status


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_decision_is_read_as_it_was_written(decisions: Path) -> None:
    first, second = make_decision(make_alert(0), note="ñ \n\r\u2028 {"), make_decision(make_alert(1), review=NOTHING, reason="")
    append_decisions(decisions, [first])
    append_decisions(decisions, [second])
    assert len(decisions.read_bytes().split(b"\n")) == 3
    kept = read_decisions(decisions)
    assert [dataclasses.replace(d, outline=first.outline) for d in kept.all] == [
        first,
        dataclasses.replace(second, outline=first.outline),
    ]
    assert kept.all[0].outline.equals_exact(first.outline, 1e-7, normalize=True)
    assert decisions.stat().st_mode & 0o777 == 0o600


@given(st.integers(1, 400))
def test_a_write_that_was_cut_off_loses_no_other_decision(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "decisions.jsonl"
    append_decisions(path, [make_decision(make_alert(0)), make_decision(make_alert(1))])
    data = path.read_bytes()
    second = len(data) - data.index(b"\n") - 1
    path.write_bytes(data[: len(data) - min(cut, second)])
    append_decisions(path, [make_decision(make_alert(2))])
    kept = read_decisions(path)
    ids = [decision.alert_id for decision in kept.all]
    assert ids[0] == make_alert(0).alert_id
    assert ids[-1] == make_alert(2).alert_id
    assert len(ids) + len(kept.damaged) >= 2


@pytest.mark.parametrize(
    "line", ["{", "[]", "null", '{"review": "maybe"}', json.dumps({"review": "dismissed", "outline": {"type": "Point"}}), "\xff"]
)
def test_lines_that_are_no_decision_are_named_and_have_no_effect(path: Path, decisions: Path, line: str) -> None:
    put(path, make_alert(0))
    append_decisions(decisions, [make_decision(make_alert(0))])
    with decisions.open("ab") as file:
        file.write(line.encode("latin-1") + b"\n")
    assert read_decisions(decisions).damaged == (2,)
    (note,) = put(path, make_alert(0), run="run-2").notes
    assert "line 2" in note
    assert row_of(path, make_alert(0).alert_id)["status"] == "dismissed"


def test_a_file_that_cannot_be_written_leaves_the_table_alone(path: Path, decisions: Path) -> None:
    put(path, make_alert(0))
    decisions.mkdir()
    with pytest.raises(AlertsError, match=r"decisions\.jsonl.*Is a directory"):
        review_alert(path, decisions, make_alert(0).alert_id, BY_ROSA)
    assert row_of(path, make_alert(0).alert_id)["status"] == "confirmed"


# --- how decisions act -----------------------------------------------------------------------------------------------


def test_a_dismissal_acts_from_its_date_for_its_time() -> None:
    alert, day = make_alert(0), dt.timedelta(days=1)
    decision, last = make_decision(alert), REVIEWED + dt.timedelta(days=AlertSettings().dismissal_days)
    assert judge(alert, decision) == judge(alert, decision, until=last) == "dismissed"
    assert judge(alert, decision, until=last + day) == "confirmed"


def test_an_alert_that_outgrows_its_dismissal_is_raised_again() -> None:
    alert = make_alert(0)
    decision = make_decision(alert)
    assert judge(widen(alert, 0.0001), decision) == "dismissed"  # 0.11 ha more
    assert judge(widen(alert, 0.0003), decision) == "confirmed"


def test_a_closed_alert_stays_closed() -> None:
    alert = make_alert(0, status="closed")
    assert judge(alert, make_decision(alert)) == "closed"


def test_dismissed_ground_raises_no_alert_under_another_id() -> None:
    alert, later = make_alert(0), make_alert(0, alert_id="pampa-20250301-abcdef", status="provisional")
    assert judge(later, make_decision(alert)) == "dismissed"


def test_a_dismissed_corner_says_nothing_of_a_large_alert() -> None:
    large = widen(make_alert(0, alert_id="pampa-20250301-abcdef"), 0.01)
    assert judge(large, make_decision(make_alert(0))) == "confirmed"
    assert apply_decisions(large, DecisionIndex([make_decision(make_alert(0))]), REVIEWED, AlertSettings()).review == ("", "", "")


@pytest.mark.parametrize("review", [text for text in REVIEWS if text != DISMISS])
def test_a_later_decision_takes_a_dismissal_back(decisions: Path, review: str) -> None:
    alert = make_alert(0)
    append_decisions(decisions, [make_decision(alert), make_decision(alert, review=review)])
    acting = read_decisions(decisions).of("pampa", REVIEWED)
    assert judge(alert, *acting) == "confirmed"


def test_decisions_of_later_tables_and_other_areas_do_not_act(decisions: Path) -> None:
    alert = make_alert(0)
    append_decisions(decisions, [make_decision(alert, effective=dt.date(2025, 1, 1)), make_decision(alert, aoi="madre")])
    assert read_decisions(decisions).of("pampa", REVIEWED) == []


# --- the command -----------------------------------------------------------------------------------------------------


def test_a_review_shows_at_once_and_at_every_later_scan(path: Path, decisions: Path) -> None:
    alert = make_alert(0)
    put(path, alert)
    assert review_alert(path, decisions, alert.alert_id, BY_ROSA).status == "dismissed"
    for run in ("run-1", "run-2"):
        row = row_of(path, alert.alert_id)
        assert (row["status"], row["review"], row["reviewed_by"]) == ("dismissed", "dismissed", "Rosa")
        assert row["review_note"] == "road works; seen from the air"
        assert row["confirmed_on"] == row_of(path, alert.alert_id)["confirmed_on"]
        if run == "run-1":
            assert put(path, alert, run="run-2").events == {"unchanged": 1}
    (kept,) = read_decisions(decisions).all
    assert (kept.reason, kept.note, kept.effective) == ("road works", "seen from the air", REVIEWED)


def test_a_review_that_is_taken_back_gives_the_machines_word(path: Path, decisions: Path) -> None:
    provisional = make_alert(1, status="provisional", confirmed_on=None)
    put(path, make_alert(0), provisional)
    for alert, status in ((make_alert(0), "confirmed"), (provisional, "provisional")):
        review_alert(path, decisions, alert.alert_id, BY_ROSA)
        assert review_alert(path, decisions, alert.alert_id, Review(NOTHING, "Rosa")).status == status
        assert row_of(path, alert.alert_id)["review"] == ""


def test_growth_beyond_a_dismissal_is_told_as_reopened(path: Path, decisions: Path) -> None:
    alert = make_alert(0)
    put(path, alert)
    review_alert(path, decisions, alert.alert_id, BY_ROSA)
    tally = put(path, dataclasses.replace(widen(alert, 0.001), area_ha=2.0), run="run-2")
    assert tally.events == {"reopened": 1, "grown": 1}
    assert tally.alerts[0].status == "confirmed"
    assert row_of(path, alert.alert_id)["review"] == "dismissed"


def test_an_old_id_is_followed_to_the_new_one(path: Path, decisions: Path) -> None:
    put(path, make_alert(0))
    put(path, make_alert(0, alert_id="pampa-20240105-00000a"), run="run-2")
    put(path, make_alert(0, alert_id="pampa-20240106-00000b"), run="run-3")
    assert find_alert(path, make_alert(0).alert_id) == "pampa-20240106-00000b"
    reviewed = review_alert(path, decisions, make_alert(0).alert_id, BY_ROSA)
    assert reviewed.alert_id == "pampa-20240106-00000b"
    assert reviewed.notes == [f"{make_alert(0).alert_id} is now pampa-20240106-00000b"]
    with pytest.raises(AlertsError, match="there is no alert 'pampa-1'"):
        find_alert(path, "pampa-1")


def test_a_renamed_alert_keeps_its_decision_even_without_its_row(path: Path, decisions: Path) -> None:
    put(path, make_alert(0))
    review_alert(path, decisions, make_alert(0).alert_id, BY_ROSA)
    path.unlink()
    put(path, make_alert(0, alert_id="pampa-20240105-00000a"))
    row = row_of(path, "pampa-20240105-00000a")
    assert (row["status"], row["review"], row["reviewed_by"]) == ("dismissed", "dismissed", "Rosa")


# --- edits of the table ----------------------------------------------------------------------------------------------


def test_an_edit_of_the_table_becomes_a_decision(path: Path, decisions: Path) -> None:
    alert = make_alert(0)
    put(path, alert)
    edit(path, "UPDATE alerts SET review = 'dismissed', review_note = 'a field', reviewed_by = 'Rosa'")
    tally = put(path, alert, run="run-2", as_of=dt.date(2025, 1, 31))
    (kept,) = read_decisions(decisions).all
    assert (kept.review, kept.note, kept.by, kept.effective, kept.via) == ("dismissed", "a field", "Rosa", REVIEWED, "table")
    assert tally.events == {"reviewed": 1, "dismissed": 1}
    assert row_of(path, alert.alert_id)["status"] == "dismissed"
    assert put(path, alert, run="run-3").events == {"unchanged": 1}
    assert len(read_decisions(decisions).all) == 1


def test_an_edit_of_a_row_that_leaves_the_table_is_kept_and_acts_when_the_ground_returns(path: Path, decisions: Path) -> None:
    put(path, make_alert(0))
    edit(path, "UPDATE alerts SET review = 'dismissed'")
    put(path, run="run-2")
    put(path, make_alert(0, alert_id="pampa-20250105-00000a"), run="run-3")
    assert row_of(path, "pampa-20250105-00000a")["status"] == "dismissed"
    assert [decision.alert_id for decision in read_decisions(decisions).all] == [make_alert(0).alert_id]


def test_a_conflict_keeps_both_and_says_so(path: Path, decisions: Path) -> None:
    alert = make_alert(0)
    put(path, alert)
    review_alert(path, decisions, alert.alert_id, BY_ROSA)
    edit(path, "UPDATE alerts SET review = 'confirmed', reviewed_by = 'Juan'")  # QGIS saves what it held since before
    (note,) = put(path, alert, run="run-2").notes
    assert "confirmed by Juan in the table replaces dismissed by Rosa" in note
    assert [decision.by for decision in read_decisions(decisions).all] == ["Rosa", "Juan"]
    assert row_of(path, alert.alert_id)["status"] == "confirmed"
    assert [event for _, event, _ in history(path)].count("reviewed") == 2


def test_a_command_after_an_edit_keeps_both(path: Path, decisions: Path) -> None:
    alert = make_alert(0)
    put(path, alert)
    review(path, alert.alert_id)
    review_alert(path, decisions, alert.alert_id, BY_ROSA)
    assert [decision.review for decision in read_decisions(decisions).all] == ["confirmed", "dismissed"]


def test_the_same_edit_again_after_it_was_taken_back_counts_again(path: Path, decisions: Path) -> None:
    alert = make_alert(0)
    put(path, alert)
    for _ in range(2):
        edit(path, "UPDATE alerts SET review = 'dismissed', review_note = '', reviewed_by = 'Rosa'")
        put(path, alert, run="run-2")
        assert row_of(path, alert.alert_id)["status"] == "dismissed"
        assert review_alert(path, decisions, alert.alert_id, Review(NOTHING, "Juan")).status == "confirmed"
    assert [decision.by for decision in read_decisions(decisions).all] == ["Rosa", "Juan", "Rosa", "Juan"]


def test_a_review_that_is_none_stays_in_its_cell_and_has_no_effect(path: Path, decisions: Path) -> None:
    alert = make_alert(0)
    put(path, alert)
    edit(path, "UPDATE alerts SET review = 'perhaps'")
    for run in ("run-2", "run-3"):
        (note,) = put(path, alert, run=run).notes
        assert "'perhaps' is none of confirmed, dismissed, needs-visit" in note
    assert row_of(path, alert.alert_id)["review"] == "perhaps"
    assert read_decisions(decisions).all == ()


def test_an_update_that_is_cut_off_after_the_harvest_loses_no_edit(
    path: Path, decisions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = make_alert(0)
    put(path, alert)
    edit(path, "UPDATE alerts SET review = 'dismissed', reviewed_by = 'Rosa'")
    with monkeypatch.context() as patch:
        patch.setattr(reviews, "write_review", lambda *_: (_ for _ in ()).throw(RuntimeError("power cut")))
        with pytest.raises(RuntimeError, match="power"):
            put(path, alert, run="run-2")
    assert row_of(path, alert.alert_id)["review"] == "dismissed"
    put(path, alert, run="run-3")
    assert [decision.columns for decision in read_decisions(decisions).all] == [("dismissed", "", "Rosa")]
    assert row_of(path, alert.alert_id)["status"] == "dismissed"


# --- older tables ----------------------------------------------------------------------------------------------------


def make_older(path: Path) -> None:
    """Take away what tables of version 0.1.0 did not have."""
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE minewatch_shown")
        connection.execute("UPDATE layer_styles SET description = 'Alerts by status' WHERE f_table_name = 'alerts'")
    connection.close()


def test_reviews_of_an_older_table_become_decisions(path: Path, decisions: Path) -> None:
    alert = make_alert(0)
    put(path, alert)
    review(path, alert.alert_id)
    make_older(path)
    put(path, alert, run="run-2")
    assert [decision.columns for decision in read_decisions(decisions).all] == [("confirmed", "checked with the drone", "Rosa")]


def test_a_style_that_a_person_changed_is_left_alone(path: Path) -> None:
    put(path, make_alert(0))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE layer_styles SET styleQML = '<qgis/>' WHERE f_table_name = 'alerts'")
    put(path, make_alert(0), run="run-2")
    with sqlite3.connect(path) as connection:
        styles = dict(connection.execute("SELECT f_table_name, styleQML FROM layer_styles WHERE useAsDefault"))
    connection.close()
    assert styles["alerts"] == "<qgis/>"
    assert "renderer" in styles["aois"]
