"""How lists and exports show likeness: in order, filtered, and never without what it means."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from minewatch.alerts.columns import ALERT_COLUMNS
from minewatch.alerts.style import BY_LIKENESS, TIP, parse_style, render_alert_style, render_likeness_style
from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.likeness.grades import MEANING
from minewatch.settings.document import init_workspace
from tests.helpers.outbox import one_rule
from tests.helpers.tables import edit, make_alert, put

SCORES = (0.31, None, 0.86, 0.05)
"""Of the alerts 0 to 3."""


def name(number: int) -> str:
    return make_alert(number).alert_id


def put_scored(workspace: Workspace) -> None:
    alerts = [make_alert(number) for number in range(len(SCORES))]
    cells: dict[str, dict[str, Any]] = {}
    for alert, score in zip(alerts, SCORES, strict=True):
        basis = {"not_scored": "clouded", "share": 0.4} if score is None else {"score": score}
        words = "not scored: haze" if score is None else f"looks so: {score:.2f}"
        cells[alert.alert_id] = {"mine_score": score, "mine_reasons": words, "mine_basis": json.dumps(basis), "mine_model": "1-a"}
    put(workspace.alerts, *alerts, context=cells)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = init_workspace(tmp_path / "watch")
    put_scored(made)
    return made


def run(workspace: Workspace, *words: str) -> Result:
    result = CliRunner().invoke(main, ["-w", str(workspace.root), *words], env={"COLUMNS": "250"})
    assert result.exit_code == 0, result.output
    return result


def list_ids(workspace: Workspace, *words: str) -> list[str]:
    return [row["alert_id"] for row in json.loads(run(workspace, "alerts", "list", "--json", *words).stdout)]


def test_the_likest_come_first_and_those_without_a_score_last(workspace: Workspace) -> None:
    assert list_ids(workspace, "--sort", "mine-score") == [name(n) for n in (2, 0, 3, 1)]
    assert list_ids(workspace) == [name(n) for n in range(4)]


def test_a_filter_says_how_many_it_cannot_know(workspace: Workspace) -> None:
    assert list_ids(workspace, "--min-mine-score", "0.31") == [name(0), name(2)]
    assert "1 alert is left out: not scored" in run(workspace, "alerts", "list", "--min-mine-score", "0.3").stderr
    assert CliRunner().invoke(main, ["alerts", "list", "--min-mine-score", "1.2"]).exit_code == 2


def test_the_list_says_what_likeness_means(workspace: Workspace, tmp_path: Path) -> None:
    answer = run(workspace, "alerts", "list")
    assert "likeness" in answer.stdout
    assert "0.86" in answer.stdout
    assert MEANING in " ".join(answer.stderr.split())
    plain = init_workspace(tmp_path / "plain")
    put(plain.alerts, make_alert(0))
    assert "ikeness" not in run(plain, "alerts", "list").output


def test_one_alert_is_shown_with_its_reasons(workspace: Workspace) -> None:
    shown = run(workspace, "alerts", "show", name(2))
    assert "looks so: 0.86" in shown.stdout
    assert MEANING in " ".join(shown.stderr.split())
    assert json.loads(run(workspace, "alerts", "show", name(2), "--json").stdout)["mine_basis"] == {"score": 0.86}


@pytest.mark.parametrize("option", ["--min-mine-score", "--min-area"])
def test_a_limit_that_is_no_number_is_refused(workspace: Workspace, option: str) -> None:
    result = CliRunner().invoke(main, ["-w", str(workspace.root), "alerts", "list", option, "nan"])
    assert result.exit_code == 2
    assert "nan is no number" in result.output


def test_exports_have_the_columns_and_the_filter(workspace: Workspace, tmp_path: Path) -> None:
    run(workspace, "alerts", "export", "--format", "csv,shp", "--min-mine-score", "0.3", "-o", str(tmp_path / "out"))
    with (tmp_path / "out" / "alerts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["alert_id"], row["mine_score"], row["mine_reasons"]) for row in rows] == [
        (name(0), "0.31", "looks so: 0.31"),
        (name(2), "0.86", "looks so: 0.86"),
    ]


def test_a_rule_that_holds_back_is_warned_about(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANGERS_MAIL", "json://127.0.0.1:9/")
    one_rule(workspace, "min_mine_score = 0.5\n")
    result = CliRunner().invoke(main, ["-w", str(workspace.root), "notify", "test"], env={"COLUMNS": "250"})
    assert "rangers: min_mine_score holds back alerts below 0.5, and mines may be among them" in result.stderr


# --- styles ----------------------------------------------------------------------------------------------------------


def test_the_default_style_goes_by_status_and_a_second_one_by_likeness() -> None:
    assert parse_style(render_alert_style()).find("renderer-v2").get("attr") == "status"  # type: ignore[union-attr]
    rules = parse_style(render_likeness_style()).findall("renderer-v2/rules/rule")
    assert [rule.get("filter", "") for rule in rules][-1] == "ELSE"
    assert len(rules) == 4


@pytest.mark.parametrize("document", [render_alert_style(), render_likeness_style()])
def test_map_tips_give_reasons_and_meaning_and_no_bare_score(document: str) -> None:
    tip = parse_style(document).findtext("mapTip") or ""
    assert tip == TIP
    assert '"mine_reasons"' in tip
    assert MEANING in tip
    assert "mine_score" not in tip


def test_an_older_table_gets_columns_and_style_once(workspace: Workspace) -> None:
    path = workspace.alerts
    edit(path, "DELETE FROM layer_styles WHERE styleName = ?", BY_LIKENESS)
    for column in [column.name for column in ALERT_COLUMNS if column.name.startswith("mine_")]:
        edit(path, f'ALTER TABLE alerts DROP COLUMN "{column}"')
    assert list_ids(workspace, "--sort", "mine-score") == [name(n) for n in range(4)], "nothing is scored yet"
    put_scored(workspace)
    assert list_ids(workspace, "--sort", "mine-score")[0] == name(2)
    assert count_styles(path) == 1
    edit(path, "DELETE FROM layer_styles WHERE styleName = ?", BY_LIKENESS)
    put_scored(workspace)
    assert count_styles(path) == 0, "a person took it out"


def count_styles(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        (count,) = connection.execute("SELECT count(*) FROM layer_styles WHERE styleName = ?", (BY_LIKENESS,)).fetchone()
    connection.close()
    return int(count)
