"""What was found stays found: the dates of a change, and what became of an alert after it was confirmed."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from minewatch.alerts.csv_file import write_csv
from minewatch.alerts.lifetime import FateCount, describe_bracket, describe_fate, find_green_again, find_last_before
from minewatch.alerts.read import read_alerts
from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.settings.document import init_workspace
from tests.helpers.tables import make_alert, put

GREEN = dt.date(2024, 9, 12)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One alert of each kind: bare, green again, merged, faded, provisional, dismissed."""
    made = init_workspace(tmp_path / "watch")
    bare = make_alert(0)
    kinds = [
        {"status": "closed", "closed_on": GREEN, "last_normal": None},
        {"status": "closed", "closed_on": GREEN, "merged_into": bare.alert_id},
        {"status": "closed", "closed_on": GREEN, "confirmed_on": None},
        {"status": "provisional", "confirmed_on": None},
        {"status": "dismissed"},
    ]
    put(made.alerts, bare, *(make_alert(number, **kind) for number, kind in enumerate(kinds, 1)))
    return made


def run(workspace: Workspace, *words: str) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), *words], catch_exceptions=False)


def list_numbers(workspace: Workspace, *words: str) -> list[int]:
    """Name the alerts of a list by the numbers that they were made with."""
    rows = json.loads(run(workspace, "alerts", "list", "--json", *words).stdout)
    return [int(row["alert_id"].rpartition("-")[2], 16) for row in rows]


def test_a_bracket_is_told_as_two_looks_or_open_to_the_left() -> None:
    assert describe_bracket(dt.date(2019, 7, 11), dt.date(2019, 8, 5)) == "between 11 July 2019 and 5 August 2019"
    assert describe_bracket(None, dt.date(2019, 8, 5)) == "not later than 5 August 2019: no normal look is known before"


def test_only_looks_up_to_the_last_normal_one_show_the_ground_before() -> None:
    assert find_last_before(dt.date(2019, 7, 11), dt.date(2019, 1, 1)) == dt.date(2019, 7, 11)
    assert find_last_before(None, dt.date(2019, 1, 1)) == dt.date(2018, 12, 31), "all looks since may show the change"


def test_confirmed_lists_all_that_ever_were_but_not_what_a_person_dismissed(workspace: Workspace) -> None:
    assert list_numbers(workspace, "--sort", "id") == [0, 1, 2, 3, 4, 5]
    assert list_numbers(workspace) == [0, 4, 1, 2, 3, 5], "open ones first"
    assert list_numbers(workspace, "--confirmed") == [0, 1, 2]
    assert list_numbers(workspace, "--status", "confirmed") == [0]
    assert list_numbers(workspace, "--confirmed", "--status", "closed") == [1, 2]


def test_merged_alerts_are_merged_and_not_green_again(workspace: Workspace) -> None:
    rows = read_alerts(workspace.alerts).to_dict("records")
    assert [find_green_again(row) for row in rows] == [None, GREEN, None, None, None, None], "only what was confirmed"
    merged = f"merged into {rows[0]['alert_id']}"
    assert [describe_fate(row) for row in rows] == ["still bare", "green again since 12 September 2024", merged, "", "", ""]
    assert FateCount.of(rows) == FateCount(1, 1, 1)


def test_the_list_says_since_when_the_ground_is_green_again(workspace: Workspace) -> None:
    result = run(workspace, "alerts", "list", "--sort", "id")
    head, *rows = result.stdout.splitlines()
    assert "last normal  first seen  confirmed   green again" in head
    assert "2023-12-27" in rows[0]
    assert "unknown" in rows[1]
    assert "2024-09-12" in rows[1]
    assert "2024-09-12" not in rows[2]
    assert rows[2].rstrip().endswith(make_alert(0).alert_id)
    counts = "3 alerts confirmed since 1 January 2024: 1 still bare, 1 green again, 1 merged into another"
    assert counts in result.stderr


def test_one_alert_is_shown_with_its_bracket_and_what_became_of_it(workspace: Workspace) -> None:
    text = " ".join(run(workspace, "alerts", "show", make_alert(1).alert_id).stdout.split())
    assert "changed not later than 1 February 2024: no normal look is known before" in text
    assert "ground green again since 12 September 2024" in text


def test_numbers_are_told_with_their_nouns() -> None:
    day = dt.date(2024, 1, 1)
    assert FateCount().describe(day) == "no alert confirmed since 1 January 2024"
    assert FateCount(still_bare=1).describe(day) == "1 alert confirmed since 1 January 2024: 1 still bare"
    assert FateCount(4, 3).describe() == "7 alerts confirmed: 4 still bare, 3 green again"


def test_the_state_of_the_watch_counts_what_was_ever_confirmed(workspace: Workspace) -> None:
    (workspace.aois / "pampa.geojson").write_text(
        json.dumps({"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [SQUARE]}})
    )
    (area,) = json.loads(run(workspace, "status", "--json").stdout)["areas"]
    assert area["ever_confirmed"] == {"confirmed": 3, "still_bare": 1, "green_again": 1, "merged": 1}
    assert area["alerts"] == {"closed": 3, "confirmed": 1, "dismissed": 1, "provisional": 1}


SQUARE = [[-70.0, -13.0], [-69.9, -13.0], [-69.9, -12.9], [-70.0, -12.9], [-70.0, -13.0]]


def test_the_csv_carries_the_dates(workspace: Workspace) -> None:
    write_csv(read_alerts(workspace.alerts), workspace.alerts_csv)
    with workspace.alerts_csv.open(encoding="utf-8", newline="") as file:
        first, second, *_ = csv.DictReader(file)
    dates = [[row[name] for name in ("last_normal", "closed_on", "split_on")] for row in (first, second)]
    assert dates == [["2023-12-27", "", ""], ["", "2024-09-12", ""]]
