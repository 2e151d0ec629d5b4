"""A what-if cannot harm: it is refused unless it is kept apart or wanted, and what a scan takes from the table is listed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from minewatch.areas.aoi import Aoi, write_aoi
from minewatch.cli import main
from minewatch.core.errors import MinewatchError, WorkspaceError
from minewatch.core.workspace import Workspace
from minewatch.operations.plan import ScanRequest, plan_scan, set_apart
from minewatch.settings.document import init_workspace
from tests.helpers.small import NAME, UNTIL, copy_workspace, make_scanned
from tests.helpers.tables import AREA, make_alert, put

AS_OF = dt.date(2024, 12, 31)
OWN = ScanRequest(("pampa",), until=AS_OF)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two areas: the table has ``pampa``, as of AS_OF; ``sarare`` was never scanned."""
    made = init_workspace(tmp_path / "watch")
    (made.pipelines / "early.toml").write_text("")
    for name in ("pampa", "sarare"):
        write_aoi(made, Aoi(name, AREA, dt.date(2024, 1, 1)))
    put(made.alerts, make_alert(0), as_of=AS_OF)
    return made


def run(workspace: Workspace, *words: str | Path) -> Result:
    arguments = ["-w", str(workspace.root), *map(str, words)]
    return CliRunner().invoke(main, arguments, catch_exceptions=False, prog_name="minewatch")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--since", "2024-02-01"), "--since 2024-02-01, its own is 2024-01-01"),
        (("--pipeline", "early"), "--pipeline early, its own is default"),
        (("--set", "alerts.min_area_ha=0.5"), "--set alerts.min_area_ha=0.5"),
        (("--until", "2024-06-30"), "--until 2024-06-30, its table is as of 2024-12-31"),
        (("--until", "2024-06-30", "--json"), "--until 2024-06-30"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_what_if_is_refused_in_one_line_that_says_why_and_how(workspace: Workspace, words: tuple[str, ...], why: str) -> None:
    before = workspace.alerts.read_bytes()
    answer = run(workspace, "scan", *words)
    assert (answer.exit_code, answer.stdout) == (1, "")
    (line,) = answer.stderr.strip().splitlines()
    assert all(word in line for word in (why, "--into DIR", "--replace", "pampa"))
    assert workspace.alerts.read_bytes() == before
    assert not workspace.runs.exists()


def test_only_the_area_that_is_one_is_named(workspace: Workspace) -> None:
    with pytest.raises(MinewatchError) as refused:
        plan_scan(workspace, ScanRequest(until=dt.date(2024, 6, 30)))
    assert "pampa (--until 2024-06-30, its table is as of 2024-12-31)" in str(refused.value)
    assert "sarare" not in str(refused.value)
    with pytest.raises(MinewatchError, match=r"pampa, sarare \(--pipeline early"):
        plan_scan(workspace, ScanRequest(pipeline="early"))


@pytest.mark.parametrize(
    "own",
    [
        {},
        {"since": dt.date(2024, 1, 1)},
        {"pipeline": "default"},
        {"overrides": ("alerts.min_area_ha=0.1",)},
        {"until": dt.date(2025, 1, 31)},
    ],
    ids=str,
)
def test_an_area_s_own_settings_in_other_words_are_no_what_if(workspace: Workspace, own: dict[str, Any]) -> None:
    assert not plan_scan(workspace, dataclasses.replace(OWN, **own)).areas[0].what_if


def test_into_and_replace_let_it_pass_as_a_what_if(workspace: Workspace, tmp_path: Path) -> None:
    older = dataclasses.replace(OWN, until=dt.date(2024, 6, 30))
    apart = set_apart(workspace, tmp_path / "apart")
    assert plan_scan(apart, older).areas[0].what_if, "older than the workspace's own table, which --into does not hide"
    assert plan_scan(workspace, dataclasses.replace(older, replace=True)).areas[0].what_if
    assert run(workspace, "scan", "--into", tmp_path / "apart", "--replace").exit_code == 2


def test_the_future_is_refused(workspace: Workspace) -> None:
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    answer = run(workspace, "scan", "--until", f"{tomorrow}", "--replace")
    assert answer.exit_code == 1
    assert f"--until {tomorrow} is in the future" in answer.stderr
    put(workspace.alerts, make_alert(0), as_of=tomorrow, run="a wrong clock")
    assert not plan_scan(workspace, dataclasses.replace(OWN, until=tomorrow)).areas[0].what_if, "the watch goes on"
    with pytest.raises(MinewatchError, match=f"today is .*, its table is as of {tomorrow}.*--replace"):
        plan_scan(workspace, ScanRequest(("pampa",)))


def test_no_live_table_and_no_export_is_a_place_for_a_what_if(workspace: Workspace, tmp_path: Path) -> None:
    other = init_workspace(tmp_path / "other")
    for folder in (workspace.output, workspace.output / "evidence", other.output, workspace.root / "aois" / ".." / "output"):
        with pytest.raises(WorkspaceError, match="is the output of the workspace"):
            set_apart(workspace, folder)
    assert set_apart(workspace, workspace.what_ifs / "mine").output == workspace.what_ifs / "mine"
    (tmp_path / "hand-over").mkdir()
    (tmp_path / "hand-over" / "alerts.csv").write_text("alert_id\n")
    with pytest.raises(WorkspaceError, match="alerts that no scan put there"):
        set_apart(workspace, tmp_path / "hand-over")


def test_what_a_scan_takes_from_the_table_is_listed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    watch = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "watch")
    rows = json.loads(run(watch, "alerts", "list", "--json").stdout)
    small = {row["alert_id"] for row in rows if row["area_ha"] < 0.5}
    shutil.rmtree(watch.evidence)
    answer = run(watch, "scan", "--until", f"{UNTIL}", "--set", "alerts.min_area_ha=0.5", "--replace")
    assert answer.exit_code == 0, answer.stderr
    assert "  what-if: --set alerts.min_area_ha=0.5" in answer.stdout.splitlines()
    assert {line.split()[1] for line in answer.stdout.splitlines() if line.startswith("  withdrawn: ")} == small != set()
    (record,) = re.findall(r"^run: (.*\.json)$", answer.stderr, re.MULTILINE)
    assert {one["alert_id"] for one in json.loads(Path(record).read_text())["areas"][0]["changed"]} >= small
    assert not watch.evidence.exists() or not any(watch.evidence.iterdir()), "a folder is written once, and never by a trial"
    for said in (answer, run(watch, "alerts", "list")):
        assert f"minewatch scan {NAME}" in said.stderr, "how to bring its own back"
    head, row = (line.split("  ") for line in answer.stdout.splitlines()[:2])
    facts = dict(zip(filter(None, map(str.strip, head)), filter(None, map(str.strip, row)), strict=True))
    number = {name: int(value) for name, value in facts.items() if value.isdigit()}
    assert number["scenes"] == number["used"] + number["skipped"] == 43
    news = sum(number.get(name, 0) for name in ("new", "grown", "changed", "unchanged"))
    assert number["alerts"] == news == len(rows) - len(small)
    assert number["confirmed"] == number["still bare"] + number["green again"]


def test_each_alert_is_counted_once(workspace: Workspace) -> None:
    """One that has grown and is confirmed at once is one alert."""
    grown = make_alert(0, status="closed", area_ha=2.5)
    changes = put(workspace.alerts, grown, make_alert(1), make_alert(2, status="provisional"), run="run-2")
    assert sum(changes.events.values()) > 3
    assert changes.count_alerts() == {"new": 2, "grown": 1, "changed": 0, "unchanged": 0}
    again = put(workspace.alerts, grown, make_alert(1), make_alert(2), run="run-3")
    assert again.count_alerts() == {"new": 0, "grown": 0, "changed": 1, "unchanged": 2}
