"""A month of nights in fast motion, with outages and kills: at the end all is as if nothing had gone wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.watched_year import Year
from benchmarks.world import Scope
from benchmarks.year import WELL, run_year, write_page
from benchmarks.year_check import Verdict
from minewatch.alerts.read import read_alerts
from minewatch.operations.run_log import read_runs

SCOPE = Scope(nights=20, areas=4, columns=2, side=48, years=1, revisit=3, cloudiness=0.0, mines=2, seed=6)


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> tuple[Year, Verdict]:
    folder = tmp_path_factory.mktemp("year")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("no_proxy", "NO_PROXY"):
            patch.setenv(name, "127.0.0.1,localhost")
        for name in ("YEAR_HOOK", "YEAR_SECRET", "YEAR_RANGERS", "YEAR_MINISTRY"):
            patch.setenv(name, "")  # so that what the run sets there goes again
        return run_year(SCOPE, folder / "cache", folder / "run")


def test_nothing_is_lost_or_invented(month: tuple[Year, Verdict]) -> None:
    _, verdict = month
    assert verdict.faults == []
    assert verdict.facts["dead letters at the end"] == 0


def test_much_went_wrong(month: tuple[Year, Verdict]) -> None:
    year, verdict = month
    assert verdict.facts["kills"] >= 1
    assert verdict.facts["nights without a catalogue"] >= 1
    assert any(one.failed for one in read_runs(year.workspace))
    assert year.troubles.hook
    assert year.troubles.mail


def test_mines_are_found_and_told(month: tuple[Year, Verdict]) -> None:
    year, verdict = month
    assert len(verdict.scores.sites) >= 1
    assert all(site.hit for site in verdict.scores.sites)
    assert verdict.scores.false_alarms == 0
    messages = {one.fact[0] for one in year.expected.messages if one.event in ("provisional", "confirmed")}
    assert set(read_alerts(year.workspace.alerts)["alert_id"]) <= messages


def test_page_is_written(month: tuple[Year, Verdict], tmp_path: Path) -> None:
    year, verdict = month
    write_page(tmp_path, SCOPE, year, verdict, 60)
    text = (tmp_path / "endurance.md").read_text("utf-8")
    assert WELL in text
    assert 5000 < (tmp_path / "images" / "year.png").stat().st_size < 250_000
