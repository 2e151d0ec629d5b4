"""A workspace that minewatch 1.0.0 wrote goes on with the code of today, as the contract of version 1 promises.

The catalogue in it has lost the pixels of all scenes but the newest, which no scan had seen.
"""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from minewatch.cli import main
from tests.helpers.places import ROOT
from tests.helpers.small import snapshot

FIXTURE = ROOT / "tests" / "data" / "workspace-1.0.0.tar.xz"
"""See the README beside it."""

LATER = "2023-08-24"
"""Day of the scene whose pixels are there."""

ALERT = "spot-20221227-f62ac1"


def run(root: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "-w", str(root)], catch_exceptions=False, prog_name="minewatch")


def ask(root: Path, *words: str) -> Any:
    """Run a command that must succeed, and read its JSON."""
    answer = run(root, *words, "--json")
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace as it was written."""
    folder = tmp_path_factory.mktemp("written")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    return folder / "watch"


@pytest.fixture(scope="module")
def scanned(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A copy after a scan with one more look, and what the scan said."""
    root = Path(shutil.copytree(pristine, tmp_path_factory.mktemp("scanned") / "watch"))
    return root, ask(root, "scan", "--until", LATER)


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    """The workspace to change."""
    return Path(shutil.copytree(pristine, tmp_path / "watch"))


def read_columns(root: Path) -> dict[str, dict[str, str]]:
    """Return each layer of the table with its columns and their types."""
    with closing(sqlite3.connect(root / "output" / "alerts.gpkg")) as connection:
        layers = ("alerts", "aois", "alert_history", "runs")
        return {layer: {row[1]: row[2] for row in connection.execute(f"PRAGMA table_info({layer})")} for layer in layers}


def read_csv_header(root: Path) -> list[str]:
    with (root / "output" / "alerts.csv").open(encoding="utf-8") as file:
        return next(csv.reader(file))


def test_a_scan_reads_what_is_new_and_nothing_else(scanned: tuple[Path, Any], pristine: Path) -> None:
    root, report = scanned
    (area,) = report["areas"]
    assert (area["scenes"]["observations_read"], area["scenes"]["failed"]) == (1, [])
    assert area["evidence"] == {"written": [], "extended": [], "failed": []}
    before, after = (snapshot(one / "output" / "archive") for one in (pristine, root))
    assert {name: after[name] for name in before if name.endswith(".tif")} == {
        name: content for name, content in before.items() if name.endswith(".tif")
    }
    assert snapshot(root / "output" / "evidence") == snapshot(pristine / "output" / "evidence")


def test_the_alert_keeps_its_name_and_what_people_decided(scanned: tuple[Path, Any]) -> None:
    (row,) = ask(scanned[0], "alerts", "list")
    told = {key: row[key] for key in ("alert_id", "status", "review", "review_note", "reviewed_by", "legal_status", "concession")}
    assert told == {
        "alert_id": ALERT,
        "status": "confirmed",
        "review": "needs-visit",
        "review_note": "ask the post",
        "reviewed_by": "Ana",
        "legal_status": "inside",
        "concession": "Minera Aurora",
    }
    assert row["witnesses"].startswith("Example Watch 2023-01-20")


def test_no_column_went_away_or_changed_its_type(scanned: tuple[Path, Any], pristine: Path) -> None:
    former, today = read_columns(pristine), read_columns(scanned[0])
    for layer, columns in former.items():
        assert columns.items() <= today[layer].items(), layer
    assert read_csv_header(scanned[0])[: len(read_csv_header(pristine))] == read_csv_header(pristine)


def test_evidence_logs_and_packs_are_as_they_were_written(copy: Path) -> None:
    checks = ask(copy, "verify", str(copy))
    assert ALERT in {check["alert_id"] for check in checks}
    assert all(not check["faults"] and not check["unknown"] for check in checks)
    (check,) = ask(copy, "verify", f"{copy}/output/exports/{ALERT}.zip", "--public-key", f"{copy}/keys/evidence.pub")
    assert check["verdict"] == "signed"
    (check,) = ask(copy, "verify", f"{copy}/output/evidence/{ALERT}", "--recompute")
    assert "recomputed from these files alone, the alert is the same" in check["notes"]


def test_a_changed_log_is_found(copy: Path) -> None:
    log = copy / "output" / "decisions.jsonl"
    log.write_text(log.read_text("utf-8").replace("seen from the river", "not seen"), "utf-8")
    assert run(copy, "verify", str(copy)).exit_code == 3


def test_decisions_are_added_to(copy: Path) -> None:
    log = copy / "output" / "decisions.jsonl"
    before = log.read_bytes()
    assert ask(copy, "alerts", "review", ALERT, "--confirm", "--by", "Ana")["alert_id"] == ALERT
    assert log.read_bytes().startswith(before)
    assert len(log.read_bytes().splitlines()) == len(before.splitlines()) + 1
    assert all(not check["faults"] for check in ask(copy, "verify", str(copy)))


def test_it_is_read_and_handed_on_before_any_scan(copy: Path) -> None:
    assert ask(copy, "alerts", "show", ALERT)["alert_id"] == ALERT
    assert ask(copy, "explain", ALERT, "--all")["alert_id"] == ALERT
    assert run(copy, "alerts", "export", "--format", "csv,gpkg", "-o", str(copy / "out")).exit_code == 0
    assert run(copy, "pack", ALERT, "-o", str(copy / "out")).exit_code == 0
    assert [check["faults"] for check in ask(copy, "verify", f"{copy}/out/{ALERT}.zip")] == [[]]
