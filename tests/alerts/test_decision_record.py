"""When a decision was made, by whom and why: told as it was, wherever it is told."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pyogrio
import pytest
from click.testing import CliRunner

from minewatch.alerts import reviews
from minewatch.alerts.columns import DECISION_COLUMNS
from minewatch.alerts.decisions import read_decisions
from minewatch.alerts.history import HistoryEvent, read_history
from minewatch.alerts.read import read_alerts
from minewatch.alerts.reviews import Review, review_alert
from minewatch.alerts.rows import list_pending_edits
from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.products.report.decision_words import DecisionFacts, describe_decision, describe_review_event, name_review
from minewatch.products.report.gather_facts import gather_facts
from minewatch.products.report.html_page import render_page
from minewatch.products.report.options import LANGUAGES
from minewatch.products.report.report_facts import ReportRequest
from minewatch.products.report.texts import Texts, read_texts
from minewatch.settings.document import init_workspace
from tests.helpers.servers import RunQgis
from tests.helpers.small import NAME, copy_workspace, make_scanned
from tests.helpers.tables import edit, make_alert, put, row_of

WRITTEN = dt.datetime(2026, 6, 30, 22, 0, tzinfo=dt.UTC)
EDITED_AFTER = dt.datetime(2026, 7, 1, 6, 30, tzinfo=dt.UTC)
DECIDED = dt.datetime(2026, 7, 3, 14, 5, tzinfo=dt.UTC)
FOUND = dt.datetime(2026, 7, 4, 2, 30, tzinfo=dt.UTC)
"""What the clock says at each step of these tests."""

AS_OF = dt.date(2026, 6, 30)
"""The as-of date of their tables."""

ALERT = make_alert(0).alert_id
ROSA = Review("dismissed", "R. Quispe", "road works", "seen from the air")


class Clock:
    """The clock that reviews read."""

    now = WRITTEN

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(reviews, "_now", clock)
    return clock


@pytest.fixture
def workspace(tmp_path: Path, clock: Clock) -> Workspace:
    assert clock.now == WRITTEN
    workspace = init_workspace(tmp_path / "watch")
    put(workspace.alerts, make_alert(0), make_alert(1), as_of=AS_OF)
    return workspace


def decide(workspace: Workspace, clock: Clock, review: Review = ROSA, alert_id: str = ALERT) -> None:
    clock.now = DECIDED
    review_alert(workspace.alerts, workspace.decisions, alert_id, review)


def edit_review(workspace: Workspace, review: str, note: str, by: str, alert_id: str = ALERT) -> None:
    values = review, note, by, alert_id
    edit(workspace.alerts, "UPDATE alerts SET review = ?, review_note = ?, reviewed_by = ? WHERE alert_id = ?", *values)


def scan(workspace: Workspace, clock: Clock, now: dt.datetime, run: str = "run-2") -> None:
    clock.now = now
    put(workspace.alerts, make_alert(0), make_alert(1), run=run, as_of=AS_OF)


def run(workspace: Workspace, *words: str) -> str:
    result = CliRunner().invoke(main, ["-w", str(workspace.root), *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def reviewed(workspace: Workspace) -> list[HistoryEvent]:
    return [event for event in read_history(workspace.alerts) if event.event == "reviewed"]


# --- on the command line ---------------------------------------------------------------------------------------------


def test_table_and_history_have_the_day_of_the_decision_beside_the_date_it_acts_from(workspace: Workspace, clock: Clock) -> None:
    decide(workspace, clock)
    row = row_of(workspace.alerts, ALERT)
    assert (row["decided_at"], str(row["effective"])[:10]) == ("2026-07-03T14:05:00+00:00", "2026-06-30")
    assert not row["found_at"]
    assert not row["made_after"]
    (event,) = reviewed(workspace)
    assert (event.review, event.by, event.reason, event.note) == ("dismissed", "R. Quispe", "road works", "seen from the air")
    assert (event.decided_at, event.found_at, event.as_of) == (DECIDED, None, AS_OF)


def test_scans_keep_it_and_a_new_table_shows_it_again(workspace: Workspace, clock: Clock) -> None:
    decide(workspace, clock)
    before = {name: str(row_of(workspace.alerts, ALERT)[name]) for name in DECISION_COLUMNS}
    scan(workspace, clock, FOUND)
    assert {name: str(row_of(workspace.alerts, ALERT)[name]) for name in DECISION_COLUMNS} == before
    workspace.alerts.unlink()
    scan(workspace, clock, FOUND, "run-3")
    assert {name: str(row_of(workspace.alerts, ALERT)[name]) for name in DECISION_COLUMNS} == before
    scan(workspace, clock, FOUND, "run-4")
    assert read_alerts(workspace.alerts)["decided_at"].tolist() == [DECIDED.isoformat(), ""]


SENTENCE = "dismissed · decided 3 July 2026 by R. Quispe, effective 30 June 2026: road works; seen from the air"


def test_list_and_show_say_it_truly(workspace: Workspace, clock: Clock) -> None:
    decide(workspace, clock)
    assert f"{ALERT}: {SENTENCE}" in run(workspace, "alerts", "list")
    assert f"decision {SENTENCE}" in run(workspace, "alerts", "show", ALERT)
    assert run(workspace, "alerts", "list").count("decided") == 1, "nothing is said of alerts that nobody reviewed"


def test_show_tells_every_decision_under_every_id(workspace: Workspace, clock: Clock) -> None:
    decide(workspace, clock)
    later = dataclasses.replace(make_alert(0), alert_id="pampa-20240105-00000a")
    put(workspace.alerts, later, make_alert(1), run="run-2", as_of=AS_OF)
    clock.now = FOUND
    review_alert(workspace.alerts, workspace.decisions, later.alert_id, Review("confirmed", "J. Mamani"))
    shown = run(workspace, "alerts", "show", later.alert_id)
    assert f"decision {SENTENCE}" in shown
    assert "confirmed · decided 4 July 2026 by J. Mamani, effective 30 June 2026" in shown
    assert shown.count("decision ") == 2


def test_a_review_that_is_withdrawn_says_who_did_so(workspace: Workspace, clock: Clock) -> None:
    decide(workspace, clock)
    clock.now = FOUND
    review_alert(workspace.alerts, workspace.decisions, ALERT, Review("", "J. Mamani"))
    listed = run(workspace, "alerts", "list")
    assert "review withdrawn · decided 4 July 2026 by J. Mamani, effective 30 June 2026" in listed


def test_csv_and_json_have_the_columns(workspace: Workspace) -> None:
    run(workspace, "alerts", "review", ALERT, "--dismiss", "road works", "--by", "R. Quispe")
    with workspace.alerts_csv.open(newline="") as file:
        rows = {row["alert_id"]: row for row in csv.DictReader(file)}
    assert rows[ALERT]["decided_at"].startswith("2026-06-30T22:00:00")
    (row,) = (row for row in json.loads(run(workspace, "alerts", "list", "--json")) if row["alert_id"] == ALERT)
    assert (row["effective"], row["reviewed_by"], row["review_note"]) == ("2026-06-30", "R. Quispe", "road works")


# --- in QGIS ---------------------------------------------------------------------------------------------------------


def test_an_edit_has_the_range_in_which_it_was_made(workspace: Workspace, clock: Clock) -> None:
    scan(workspace, clock, EDITED_AFTER)
    edit_review(workspace, "dismissed", "a field", "Rosa")
    scan(workspace, clock, FOUND, "run-3")
    (kept,) = read_decisions(workspace.decisions).all
    assert (kept.decided, kept.made_after, kept.found_at, kept.via) == (None, EDITED_AFTER, FOUND, "table")
    (event,) = reviewed(workspace)
    assert (event.decided_at, event.made_after, event.found_at) == (None, EDITED_AFTER, FOUND)
    assert (event.review, event.by, event.note) == ("dismissed", "Rosa", "a field")
    row = row_of(workspace.alerts, ALERT)
    assert (row["made_after"], row["found_at"]) == ("2026-07-01T06:30:00+00:00", "2026-07-04T02:30:00+00:00")
    words = "made in QGIS between 1 July 2026, 06:30 UTC and 4 July 2026, 02:30 UTC by Rosa, effective 30 June 2026: a field"
    assert words in run(workspace, "alerts", "list")
    assert words in run(workspace, "alerts", "show", ALERT)


def test_a_command_ends_the_range_of_edits_as_a_scan_does(workspace: Workspace, clock: Clock) -> None:
    """It takes in what was edited in the area; what is edited later was made after it."""
    edit_review(workspace, "confirmed", "", "Rosa")
    decide(workspace, clock, alert_id=make_alert(1).alert_id)
    edit_review(workspace, "needs-visit", "", "Ana")
    scan(workspace, clock, FOUND)
    first, _, last = read_decisions(workspace.decisions).all
    assert (first.by, first.made_after, first.found_at) == ("Rosa", WRITTEN, DECIDED)
    assert (last.by, last.made_after, last.found_at) == ("Ana", DECIDED, FOUND)


def test_an_edit_that_no_scan_has_taken_in_does_not_borrow_another_day(workspace: Workspace, clock: Clock) -> None:
    decide(workspace, clock)
    edit_review(workspace, "confirmed", "it is a mine", "Juan")
    assert list_pending_edits(workspace.alerts) == {ALERT}
    (row,) = read_alerts(workspace.alerts).query("alert_id == @ALERT").to_dict("records")
    assert row["decided_at"] == ""
    assert "confirmed · by Juan; the next scan records when: it is a mine" in run(workspace, "alerts", "list")
    assert SENTENCE in run(workspace, "alerts", "show", ALERT), "what was decided before is still told"


def test_blanks_that_an_editor_adds_are_no_edit(workspace: Workspace, clock: Clock) -> None:
    decide(workspace, clock)
    edit_review(workspace, "dismissed", "road works; seen from the air\n", " R. Quispe")
    assert list_pending_edits(workspace.alerts) == set()
    assert SENTENCE in run(workspace, "alerts", "list")


def test_a_reason_outlives_an_edit_of_the_name(workspace: Workspace, clock: Clock) -> None:
    decide(workspace, clock)
    edit_review(workspace, "dismissed", "road works; seen from the air", "R. Quispe Huamán")
    scan(workspace, clock, FOUND)
    last = read_decisions(workspace.decisions).all[-1]
    assert (last.by, last.reason, last.note) == ("R. Quispe Huamán", "road works", "seen from the air")


def test_an_edit_that_was_found_before_a_crash_keeps_when_it_was_found(
    workspace: Workspace, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit_review(workspace, "dismissed", "", "Rosa")
    with monkeypatch.context() as patch:
        patch.setattr(reviews, "write_review", lambda *_: (_ for _ in ()).throw(RuntimeError("power cut")))
        with pytest.raises(RuntimeError, match="power"):
            scan(workspace, clock, DECIDED)
    scan(workspace, clock, FOUND)
    (kept,) = read_decisions(workspace.decisions).all
    (event,) = reviewed(workspace)
    assert kept.found_at == event.found_at == DECIDED
    assert row_of(workspace.alerts, ALERT)["found_at"] == DECIDED.isoformat()


def test_what_a_withdrawn_alert_was_reviewed_as_is_kept_in_columns(workspace: Workspace, clock: Clock) -> None:
    decide(workspace, clock)
    clock.now = FOUND
    put(workspace.alerts, make_alert(1), run="run-2", as_of=AS_OF)
    (event,) = (event for event in read_history(workspace.alerts) if event.event == "withdrawn")
    assert (event.review, event.by, event.note, event.decided_at) == (
        "dismissed",
        "R. Quispe",
        "road works; seen from the air",
        DECIDED,
    )


@pytest.mark.server
def test_an_edit_saved_by_qgis_itself_is_found(workspace: Workspace, clock: Clock, run_qgis: RunQgis, tmp_path: Path) -> None:
    assert run_qgis("qgis_edit.py", workspace.alerts, tmp_path, f"{ALERT}=dismissed")["saved"]
    scan(workspace, clock, FOUND)
    (kept,) = read_decisions(workspace.decisions).all
    assert (kept.review, kept.by, kept.decided, kept.made_after, kept.found_at) == (
        "dismissed",
        "Rosa in QGIS",
        None,
        WRITTEN,
        FOUND,
    )


# --- files of older versions -----------------------------------------------------------------------------------------


def make_old(workspace: Workspace) -> None:
    """Take away what older versions did not write."""
    with sqlite3.connect(workspace.alerts) as connection:
        connection.execute("DROP VIEW alert_titles")
        connection.execute("DELETE FROM gpkg_contents WHERE table_name = 'alert_titles'")
        connection.execute("ALTER TABLE minewatch_shown DROP COLUMN checked_at")
        for name in DECISION_COLUMNS:
            connection.execute(f"ALTER TABLE alerts DROP COLUMN {name}")
        for name in ("review", '"by"', "reason", "note", "decided_at", "found_at", "made_after"):
            connection.execute(f"ALTER TABLE alert_history DROP COLUMN {name}")
    connection.close()
    lines = [json.loads(line) for line in workspace.decisions.read_text().splitlines()]
    for line in lines:
        line["decided"] = line["decided"] or line["found_at"]
        del line["found_at"], line["made_after"]
    workspace.decisions.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def old(workspace: Workspace, clock: Clock) -> Workspace:
    """An older workspace with a dismissal on the command line, and one in QGIS."""
    decide(workspace, clock)
    edit_review(workspace, "dismissed", "a field", "Rosa", make_alert(1).alert_id)
    scan(workspace, clock, FOUND)
    make_old(workspace)
    return workspace


def test_old_decisions_are_read_for_what_they_are(old: Workspace) -> None:
    """They called the finding of an edit the time of the decision."""
    by_command, by_edit = read_decisions(old.decisions).all
    assert (by_command.decided, by_command.found_at) == (DECIDED, None)
    assert (by_edit.decided, by_edit.found_at, by_edit.made_after) == (None, FOUND, None)


def test_old_tables_say_no_day_until_the_next_scan_fills_it_in(old: Workspace, clock: Clock) -> None:
    before = run(old, "alerts", "list")
    assert "dismissed · by R. Quispe; the next scan records when: road works; seen from the air" in before
    shown = run(old, "alerts", "show", ALERT)
    assert (
        "dismissed by R. Quispe; road works; seen from the air · day of the decision not recorded, effective 30 June 2026"
        in shown
    )
    scan(old, clock, FOUND + dt.timedelta(days=1), "run-3")
    after = run(old, "alerts", "list")
    assert SENTENCE in after
    assert "made in QGIS not later than 4 July 2026, 02:30 UTC by Rosa, effective 30 June 2026: a field" in after
    assert len(read_decisions(old.decisions).all) == 2


def test_an_edit_of_an_old_table_has_no_first_bound(old: Workspace, clock: Clock) -> None:
    edit_review(old, "confirmed", "", "Juan")
    scan(old, clock, FOUND + dt.timedelta(days=1), "run-3")
    last = read_decisions(old.decisions).all[-1]
    assert (last.by, last.made_after) == ("Juan", None)


# --- in the words of each language -----------------------------------------------------------------------------------


def list_facts() -> list[DecisionFacts]:
    command = DecisionFacts("dismissed", "Ana \u202e<b>", "why \x1b[31m", DECIDED, None, None, AS_OF)
    found = dataclasses.replace(command, decided_at=None, found_at=FOUND, made_after=EDITED_AFTER)
    return [command, found, dataclasses.replace(found, made_after=None), dataclasses.replace(command, by="")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_days_the_name_and_the_reason(language: str) -> None:
    texts = read_texts(language)
    command, edited, open_edit, unnamed = (describe_decision(facts, texts) for facts in list_facts())
    for line in (command, edited, open_edit):
        assert "Ana �<b>" in line
        assert line.endswith(f"{texts.colon} why �[31m"), "a stranger's text is cleaned"
        assert texts.date(AS_OF) in line
        assert line.startswith(texts.text("decided_dismissed"))
    assert texts.date(DECIDED.date()) in command
    assert texts.moment(EDITED_AFTER) in edited
    assert texts.moment(FOUND) in edited
    assert texts.moment(FOUND) in open_edit
    assert texts.date(EDITED_AFTER.date()) not in open_edit
    assert texts.text("decision_unnamed") in unnamed


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_said_where_nobody_decided(language: str) -> None:
    texts = read_texts(language)
    assert describe_decision(DecisionFacts("", "", "", None, None, None, None), texts) == texts.text("review_")
    assert name_review("other", texts) == texts.text("review_other", text="other")


def test_times_of_other_zones_are_told_in_utc() -> None:
    lima = DECIDED.replace(hour=23).astimezone(dt.timezone(dt.timedelta(hours=5)))
    facts = dataclasses.replace(list_facts()[0], decided_at=lima)
    assert "decided 3 July 2026" in describe_decision(facts, read_texts("en"))


@pytest.mark.parametrize("cell", ["", "yesterday", "2026", None, "2026-13-45T00:00:00"])
def test_a_time_that_somebody_spoilt_is_none(workspace: Workspace, clock: Clock, cell: Any) -> None:
    decide(workspace, clock)
    edit(workspace.alerts, "UPDATE alerts SET decided_at = ?", cell)
    assert "the next scan records when" in run(workspace, "alerts", "list")


# --- in a report -----------------------------------------------------------------------------------------------------


@pytest.fixture
def scanned(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Workspace:
    """A scanned workspace whose first alert was dismissed on the command line, and the second one reviewed in QGIS."""
    workspace = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "scanned")
    first, second = read_alerts(workspace.alerts)["alert_id"].tolist()[:2]
    decide(workspace, clock, alert_id=first)
    edit_review(workspace, "confirmed", "<i>mine</i>", "Rosa & co", second)
    clock.now = FOUND
    review_alert(workspace.alerts, workspace.decisions, first, Review("needs-visit", "R. Quispe", note="go there"))
    clock.now = FOUND + dt.timedelta(hours=1)
    review_alert(workspace.alerts, workspace.decisions, first, ROSA)
    return workspace


def read_page(workspace: Workspace, texts: Texts) -> str:
    page = render_page(gather_facts(workspace, ReportRequest(NAME, language=texts.language)))
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2]).split())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_says_each_decision_truly(scanned: Workspace, language: str) -> None:
    texts = read_texts(language)
    page = read_page(scanned, texts)
    (dismissed,) = read_alerts(scanned.alerts).query("status == 'dismissed'").to_dict("records")
    said = describe_decision(DecisionFacts.of_row(dismissed), texts)
    assert "R. Quispe" in said
    assert " ".join(said.split()) in page, "a dismissed alert has no section, but its decision stands in the table"
    (edited,) = (event for event in reviewed(scanned) if event.by == "Rosa & co")
    words = describe_review_event(edited, texts).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert page.count(" ".join(words.split())) == 2, "as the review, and in the history"
    assert texts.moment(FOUND) in words
    effective = texts.short_date(edited.as_of or AS_OF)
    assert f"{effective} {texts.text('event_reviewed')}" not in page, "the date from which it acts is not the day of the review"


def test_the_report_on_a_dismissed_alert_tells_its_whole_history(scanned: Workspace) -> None:
    texts, (first, *_) = read_texts("en"), read_alerts(scanned.alerts)["alert_id"].tolist()
    page = render_page(gather_facts(scanned, ReportRequest(alert_id=first)))
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    for event in reviewed(scanned):
        if event.alert_id == first:
            assert describe_review_event(event, texts) in text
    assert "needs a visit · decided 4 July 2026 by R. Quispe" in text


def test_the_history_layer_can_be_read_by_anybody(workspace: Workspace, clock: Clock) -> None:
    decide(workspace, clock)
    frame = pyogrio.read_dataframe(workspace.alerts, layer="alert_history")
    (row,) = frame[frame["event"] == "reviewed"].to_dict("records")
    assert (row["by"], row["reason"], row["decided_at"]) == ("R. Quispe", "road works", "2026-07-03T14:05:00+00:00")
