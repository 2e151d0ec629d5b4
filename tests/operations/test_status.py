"""``minewatch status``: what it says of areas that do well, are late, fail, or were never scanned."""

from __future__ import annotations

import datetime as dt
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from minewatch.cli import main
from minewatch.core.workspace import Workspace
from minewatch.operations.run_log import ScheduledRun, append_runs
from minewatch.operations.status import AreaStatus, describe_status, find_status
from minewatch.settings.document import init_workspace
from tests.helpers.small import NAME, UNTIL, copy_workspace, make_scanned, read_layer, snapshot

NIGHT = dt.datetime(2023, 4, 5, 2, 30, tzinfo=dt.UTC)
NOW = NIGHT + dt.timedelta(hours=9)
DAY = dt.timedelta(days=1)
SETTINGS = '[schedules.nightly]\ncron = "30 2 * * *"\n[watch]\njitter_minutes = 0\n'


@pytest.fixture
def scanned(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Workspace:
    workspace = copy_workspace(make_scanned(tmp_path_factory)[0], tmp_path / "watch")
    workspace.settings.write_text(SETTINGS, "utf-8")
    return workspace


def record(workspace: Workspace, due: dt.datetime, reason: str = "", *, what_if: bool = False) -> None:
    ended = due + dt.timedelta(minutes=3)
    append_runs(workspace, [ScheduledRun("nightly", due, due, ended, None if reason else "run", {NAME: reason}, what_if)])


def look(workspace: Workspace, now: dt.datetime = NOW) -> AreaStatus:
    (area,) = find_status(workspace, now).areas
    return area


def test_an_area_that_does_well(scanned: Workspace) -> None:
    record(scanned, NIGHT)
    found = find_status(scanned, NOW)
    area = look(scanned)
    assert found.is_well
    assert area.is_well
    assert (area.last, area.next) == (NIGHT + dt.timedelta(minutes=3), NIGHT + DAY)
    assert (area.as_of, area.failures, area.late, area.schedules) == (UNTIL, 0, False, ("nightly",))
    assert area.newest is not None
    assert area.newest <= UNTIL
    assert area.lag == (NOW.date() - area.newest).days
    assert area.unseen is not None
    assert 0 <= area.unseen <= 1
    assert sum(area.alerts.values()) >= 2


def test_an_area_that_is_late(scanned: Workspace) -> None:
    record(scanned, NIGHT - DAY)
    assert not look(scanned, NIGHT + dt.timedelta(minutes=30)).late, "a scan takes its time"
    assert look(scanned).late
    assert not find_status(scanned, NOW).is_well
    with scanned.lock():
        assert not look(scanned).late, "somebody works on it"


def test_an_area_that_is_often_due_is_late_too(scanned: Workspace) -> None:
    """The latest of the times that were missed is never long ago; the first one counts."""
    scanned.settings.write_text(SETTINGS.replace("30 2 *", "*/30 * *"), "utf-8")
    record(scanned, NIGHT)
    assert not look(scanned, NIGHT + dt.timedelta(minutes=150)).late
    assert look(scanned, NIGHT + dt.timedelta(minutes=151)).late


def test_failures_in_a_row(scanned: Workspace) -> None:
    for days, reason in ((5, "early"), (4, ""), (3, "no answer"), (2, "no answer"), (1, "no space left")):
        record(scanned, NIGHT - days * DAY, reason)
    record(scanned, NIGHT, what_if=True)  # of another pipeline: it says nothing of the watch
    area = look(scanned, NIGHT - dt.timedelta(hours=1))
    assert (area.failures, area.reason) == (3, "no space left")
    assert area.last == NIGHT - 4 * DAY + dt.timedelta(minutes=3)
    assert not area.is_well
    record(scanned, NIGHT)
    assert look(scanned).is_well


def test_a_scan_by_hand_counts(scanned: Workspace) -> None:
    """Its time is that of the table's run, whose id says it; failures of before are over with it."""
    run_id = read_layer(scanned.alerts, "aois")[0]["run_id"]
    began = dt.datetime.strptime(run_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    record(scanned, began - dt.timedelta(hours=9), "no answer")
    area = look(scanned, began + dt.timedelta(hours=1))
    assert (area.last, area.failures) == (began, 0)
    assert look(scanned, began - dt.timedelta(hours=1)).last is None, "the clock was wrong then"
    record(scanned, began + dt.timedelta(hours=1), "no space left")
    assert look(scanned, began + dt.timedelta(hours=2)).failures == 1


def test_a_workspace_that_was_never_scanned(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    scanned, _ = make_scanned(tmp_path_factory)
    workspace = init_workspace(tmp_path / "new")
    assert find_status(workspace, NOW).is_well
    (workspace.aois / f"{NAME}.geojson").write_bytes((scanned.aois / f"{NAME}.geojson").read_bytes())
    area = look(workspace)
    assert (area.last, area.next, area.newest, area.lag, area.unseen, area.alerts) == (None, None, None, None, None, {})
    assert run(workspace, "status").exit_code == 0
    assert "no schedule" in run(workspace, "status").output
    workspace.settings.write_text(SETTINGS, "utf-8")
    assert run(workspace, "status").exit_code == 3, "it is due, and nobody scans"
    assert not workspace.output.exists(), "a look writes nothing"


def test_a_schedule_that_never_ran_is_late(scanned: Workspace) -> None:
    assert look(scanned, NIGHT + dt.timedelta(minutes=1)).late


def test_a_table_of_days_to_come_is_told(scanned: Workspace) -> None:
    record(scanned, NIGHT - 40 * DAY)
    found = find_status(scanned, NIGHT - 40 * DAY + dt.timedelta(hours=1))
    assert found.faults == [f"the table of {NAME} is as of {UNTIL}, which is in the future; was a clock wrong?"]
    assert not found.is_well


def test_a_pattern_without_an_area_needs_attention(scanned: Workspace) -> None:
    record(scanned, NIGHT)
    scanned.settings.write_text(SETTINGS.replace("cron =", 'areas = ["spot", "gone"]\ncron ='), "utf-8")
    found = find_status(scanned, NOW)
    assert not found.is_well
    assert found.faults == ["schedule 'nightly': no area is called 'gone'; see: minewatch aoi list"]
    assert found.notes == []
    rule = '[notify.rangers]\nto_variable = "RANGERS_MAIL"\nareas = ["spto", "sp*"]\n'
    scanned.settings.write_text(f"{SETTINGS}\n{rule}", "utf-8")
    assert find_status(scanned, NOW).notes == ["notify 'rangers': no area is called 'spto'; did you mean 'spot'?"]


def test_messages_that_could_not_be_delivered_need_attention(scanned: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    record(scanned, NIGHT)
    monkeypatch.setattr("minewatch.operations.status.count_messages", lambda _workspace: (4, 0))
    assert find_status(scanned, NOW).is_well
    monkeypatch.setattr("minewatch.operations.status.count_messages", lambda _workspace: (4, 1))
    found = find_status(scanned, NOW)
    assert not found.is_well
    assert describe_status(found)["outbox"] == {"waiting": 4, "dead": 1}


def test_as_json_for_monitoring_systems(scanned: Workspace) -> None:
    found = run(scanned, "status", "--json")
    assert found.exit_code == 3
    told = json.loads(found.stdout)
    assert told["well"] is False
    assert told["working"] is None
    (area,) = told["areas"]
    assert area["aoi"] == NAME
    assert area["late"] is True
    assert area["last_run"] is not None, "by hand"
    assert set(area["alerts"]) <= {"provisional", "confirmed", "closed", "dismissed"}


def test_a_look_changes_nothing(scanned: Workspace) -> None:
    before = snapshot(scanned.root)
    run(scanned, "status")
    run(scanned, "schedule", "show")
    assert snapshot(scanned.root) == before


def test_a_damaged_file_of_rounds_is_no_end(scanned: Workspace) -> None:
    record(scanned, NIGHT)
    with scanned.run_log.open("ab") as file:
        file.write(os.urandom(200).replace(b"\n", b"") + b'\n{"schedule": "nightly"}\n[]\nnull\n')
    assert find_status(scanned, NOW).is_well


def run(workspace: Workspace, *words: str):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(main, ["-w", str(workspace.root), *words])


def test_a_table_that_is_damaged_is_told(scanned: Workspace) -> None:
    record(scanned, NIGHT)
    scanned.alerts.write_bytes(b"no table")
    found = run(scanned, "status")
    assert found.exit_code == 3
    assert "the alerts table cannot be read" in found.output
    assert NAME in found.output
