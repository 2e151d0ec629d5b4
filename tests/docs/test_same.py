"""The comparison of two workspaces: blind for names of runs and versions, and for nothing else."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tarfile
from pathlib import Path

import pytest
import rasterio

from benchmarks.same import main
from tests.helpers.places import ROOT

FIXTURE = ROOT / "tests" / "data" / "workspace-0.1.0.tar.gz"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "watch"


@pytest.fixture
def new(old: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(old, tmp_path / "watch"))


def change_table(workspace: Path, *statements: str) -> None:
    connection = sqlite3.connect(workspace / "output" / "alerts.gpkg")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_copy_is_the_same(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(old), str(new)]) == 0
    assert "0 differences, 0 notes" in capsys.readouterr().out


def test_runs_and_versions_may_differ(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_table(new, "UPDATE runs SET run_id = 'another', started = 'later', version = '9.9'")
    with rasterio.open(new / "output" / "changes" / "spot" / "status.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as raster:
        raster.update_tags(software="minewatch 9.9")
    assert main([str(old), str(new)]) == 0
    assert "status.tif: pixels equal, file bytes not (tags: software)" in capsys.readouterr().out


def test_more_columns_are_a_note(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_table(new, "ALTER TABLE alert_history ADD COLUMN former_id TEXT")
    assert main([str(old), str(new)]) == 0
    assert "alert_history: more columns: former_id" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("UPDATE alert_history SET detail = 'x' WHERE fid = 1", "alert_history, row 1 (spot-20230228-6fae64), detail: confirmed"),
        ("UPDATE alert_history SET event = 'x' WHERE fid = 1", "alert_history, row 1 (spot-20230228-6fae64), event: new before"),
        ("DELETE FROM alert_history WHERE fid = 1", "alert_history: 13 rows before, 12 after"),
        ("UPDATE runs SET alerts_new = 77 WHERE fid = 1", "runs, row 1, alerts_new: 3 before, 77 after"),
    ],
)
def test_a_cell_is_named(statement: str, where: str, old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_table(new, statement)
    assert main([str(old), str(new)]) == 1
    assert f"DIFFERENT: alerts.gpkg, {where}" in capsys.readouterr().out


def test_a_pixel_is_seen(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with rasterio.open(new / "output" / "changes" / "spot" / "status.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as raster:
        pixels = raster.read()
        pixels[0, 0, 0] += 1
        raster.write(pixels)
    assert main([str(old), str(new)]) == 1
    assert "DIFFERENT: changes/spot/status.tif: pixels differ" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["alerts.csv", "decisions.jsonl", "evidence/*/after.tif", "evidence/*/pipeline.toml", "archive/*/*.tif"]
)
def test_a_lost_or_changed_file_is_named(name: str, old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next((new / "output").glob(name))
    if path.suffix == ".tif":
        path.unlink()
    else:
        path.write_text(path.read_text("utf-8").replace("confirmed", "dismissed").replace("0.", "1."))
    assert main([str(old), str(new)]) == 1
    assert f"DIFFERENT: {path.relative_to(new / 'output')}" in capsys.readouterr().out


def test_what_a_scan_says_of_itself_is_compared(old: Path, new: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = max((new / "output" / "runs").glob("*.json"))
    record = json.loads(path.read_text())
    record["areas"][0]["scenes"]["observations_read"] += 1
    record["areas"][0]["notes"] = ["other words"]
    path.write_text(json.dumps(record))
    assert main([str(old), str(new)]) == 1
    told = capsys.readouterr().out
    assert "DIFFERENT: runs, scan 5, areas[0], scenes, observations_read: 8 before, 9 after" in told
    assert "note: runs, scan 5, areas[0]: other words in notes" in told


def test_a_folder_that_is_no_workspace_is_told(old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(old), str(tmp_path)]) == 1
    assert "has no alerts.gpkg" in capsys.readouterr().out
