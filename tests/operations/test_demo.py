"""The demo: from an empty folder to alerts, and again, and after it was cut off."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from click.testing import CliRunner

from minewatch.cli import main
from minewatch.core.errors import WorkspaceError
from minewatch.operations import demo
from minewatch.operations.demo import Demo, run_demo
from minewatch.simulation.series import simulate_series
from minewatch.simulation.settings import demo_simulation
from tests.helpers.small import SMALL, snapshot


@pytest.fixture(autouse=True)
def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate a square kilometre in place of the demo's 36."""
    monkeypatch.setattr(demo, "demo_simulation", lambda: SMALL)


def check_demo(made: Demo) -> None:
    alerts = gpd.read_file(made.workspace.alerts, layer="alerts")
    assert "confirmed" in set(alerts["status"])
    assert made.picture.read_bytes().startswith(b"\x89PNG")
    assert len(made.workspace.alerts_csv.read_text().splitlines()) == 1 + len(alerts)
    assert len(gpd.read_file(made.truth, layer="sites")) >= SMALL.mines
    assert made.report.failures == 0


def test_the_demo_makes_a_workspace_and_the_second_run_only_scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run_demo(tmp_path / "a demo")
    check_demo(made)
    assert (made.workspace.root / "minewatch.toml").exists()
    assert [path.name for path in made.workspace.aois.iterdir()] == ["demo.geojson"]
    scenes = snapshot(made.workspace.root / "simulated")

    def refuse(*_: object) -> None:
        raise AssertionError("simulated again")

    monkeypatch.setattr(demo, "simulate_series", refuse)
    again = run_demo(tmp_path / "a demo")
    check_demo(again)
    assert again.report.areas[0].fetched == 0
    assert snapshot(made.workspace.root / "simulated") == scenes
    made.workspace.root.rename(tmp_path / "moved")
    check_demo(run_demo(tmp_path / "moved"))


def test_a_demo_that_was_cut_off_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(folder: Path, *arguments: Any) -> Any:
        simulate_series(folder, *arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(demo, "simulate_series", cut_off)
        with pytest.raises(KeyboardInterrupt):
            run_demo(tmp_path / "demo")
    check_demo(run_demo(tmp_path / "demo"))
    assert [path.name for path in (tmp_path / "demo").iterdir() if path.name.endswith(".part")] == []


def test_a_demo_that_was_cut_off_after_the_scenes_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for name in ("init_workspace", "write_aoi", "scan"):
        with monkeypatch.context() as patch:
            patch.setattr(demo, name, cut_off)
            with pytest.raises(KeyboardInterrupt):
                run_demo(tmp_path / "demo")
    check_demo(run_demo(tmp_path / "demo"))


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(WorkspaceError, match="empty folder"):
        run_demo(tmp_path)
    assert snapshot(tmp_path) == {"thesis.txt": b"years of work"}


def test_the_command_prints_the_table_and_where_the_files_lie(tmp_path: Path) -> None:
    run = functools.partial(CliRunner().invoke, main, catch_exceptions=False)
    answer = run(["demo", str(tmp_path / "demo")])
    assert answer.exit_code == 0
    for name in ("alerts.gpkg", "alerts.csv", "demo.png", "truth.gpkg"):
        (path,) = [line.split(maxsplit=1)[1] for line in answer.stdout.splitlines() if line.endswith(name)]
        assert Path(path).is_file()
    alerts = gpd.read_file(tmp_path / "demo" / "output" / "alerts.gpkg", layer="alerts")
    for row in alerts.itertuples():
        assert row.alert_id in answer.stdout
        assert f"{row.lat:.5f}" in answer.stdout


def test_the_demo_as_told_is_six_by_six_kilometres() -> None:
    settings = demo_simulation()
    assert (settings.width, settings.height) == (600, 600)
    assert settings.mines >= 3
