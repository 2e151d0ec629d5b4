"""Three rounds of each drill, by the same code as `make drill`: what is killed or starved ends where it ends undisturbed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from drills import disturbances
from drills.__main__ import DRILLS, describe, main
from drills.kills import STAGES, kill_stage
from drills.page import make_result, render_page, store_results
from drills.report import Figures
from drills.truth import compare, inspect, read_truth
from drills.world import AREA, World, open_world

ROUNDS = 3
SEED = 7
ONCE = ("clock", "read-only", "ctrl-c")
"""Drills of which three rounds each, and of those that are not named here, are in test_interrupts.py and test_repair.py."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("drills")) as made:
        yield made


@pytest.mark.parametrize("name", STAGES)
def test_no_kill_loses_or_invents_anything(world: World, name: str) -> None:
    figures = kill_stage(world, STAGES[name], ROUNDS, SEED)
    assert figures.troubles == []
    assert figures.is_clean, describe(figures)
    assert figures.hits >= ROUNDS
    assert set(figures.following) == {0}


@pytest.mark.parametrize(("name", "rounds"), [("two", ROUNDS), *((name, 1) for name in ONCE)])
def test_no_disturbance_loses_or_invents_anything(world: World, name: str, rounds: int) -> None:
    figures = DRILLS[name](world, rounds, SEED)
    if figures.remark:
        pytest.skip(figures.remark)
    assert figures.troubles == []
    assert figures.is_clean, describe(figures)
    assert figures.rounds == rounds
    assert set(figures.following) == {0}


def test_a_drill_sees_what_is_lost_invented_or_left(world: World) -> None:
    with world.open_copy("whole") as workspace:
        before = read_truth(workspace, AREA)
        assert compare(before, read_truth(workspace, AREA)).is_none
        assert inspect(workspace).is_none
        evidence = next(workspace.evidence.glob("[!.]*"))
        (evidence / "alert.geojson").write_text("{}")
        workspace.alerts_csv.write_text("alert_id\n")
        (workspace.output / ".tmp-x").write_text("half")
        (workspace.reports).mkdir()
        (workspace.reports / "more.html").write_text("<p>")
        difference = compare(read_truth(workspace, AREA), before) + inspect(workspace)
    assert difference.lost == ("table alerts.csv",)
    assert difference.invented == ("report more.html",)
    assert difference.leftovers == ("output/.tmp-x",)
    assert len(difference.faults) == 1
    assert evidence.name in difference.faults[0]


def test_a_disk_of_ones_own(world: World) -> None:
    if reason := disturbances.explain_missing_disks():
        pytest.skip(reason)
    with world.open_copy("whole") as workspace:
        before = read_truth(workspace, AREA)
        job = STAGES["report"].make_job(world, workspace)
        first, second = disturbances.run_on_disk(job, disturbances.Disk(0))
        assert first.code == 1
        assert "the disk is full" in first.text
        assert second.code == 0
        assert not any(workspace.root.iterdir()), "the disk is not seen from outside"
        workspace.root.rmdir()
        workspace.root.with_name("kept").rename(workspace.root)
        assert set(read_truth(workspace, AREA)) - set(before) == {"report spot-2023-03-31.html"}


def test_the_page_keeps_the_figures_of_other_runs(tmp_path: Path) -> None:
    good = Figures("kill -9, scan", rounds=50, hits=49, endings=Counter({-9: 49, 0: 1}), following=Counter({0: 50}))
    bad = Figures("disk full", rounds=2, lost=1, troubles=["scan, 3 kB: lost: table alerts.csv"])
    store_results(tmp_path / "results.json", {"scan": make_result("python -m drills --stage scan", good)})
    known = store_results(tmp_path / "results.json", {"full": make_result("python -m drills --stage full", bad)})
    page = render_page(known, list(DRILLS))
    assert "**52 rounds, 49 kills within a stage, losses: 1, invented: 0.**" in page
    assert "| kill -9, scan | 50 | 49 | 0 | 0 | 0 | 0 | 0 | -9 × 49, 0 × 1 | 0 × 50 |" in page
    assert "- disk full: scan, 3 kB: lost: table alerts.csv" in page
    assert "`python -m drills --stage scan`" in page


def test_wrong_words_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, told in ((["--stage", "scna"], "no such drill: scna"), (["--rounds", "0"], "--rounds: at least 1")):
        with pytest.raises(SystemExit):
            main(arguments)
        assert told in capsys.readouterr().err
