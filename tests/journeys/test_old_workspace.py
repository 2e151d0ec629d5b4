"""A workspace that minewatch 0.1.0 wrote goes on with the code of today: nothing is fetched or told anew.

The catalogue in it has lost the pixels of all scenes but one, so that whatever is read again fails by name.
"""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from benchmarks.same import Comparison
from minewatch.cli import main
from minewatch.detection.checkpoint import load_checkpoint
from tests.helpers.places import ROOT
from tests.helpers.small import snapshot

FIXTURE = ROOT / "tests" / "data" / "workspace-0.1.0.tar.gz"
"""See the README beside it."""

LOAD = "minewatch.detection.tiles.load_checkpoint"
"""Where the one function is called that is watched; all else is asked of commands and files."""

AS_OF, LATER = "2023-12-24", "2024-01-02"
"""Date of the last scan, and one after the scene whose pixels are there."""

FORMER, RENAMED = "spot-20230228-6fae64", "spot-20230218-6fae64"
"""A scene that came late took this alert back by a look, after it was confirmed and reviewed."""

WITHDRAWN = "spot-20230529-756354"
"""Another late scene took this one away."""

DISMISSED, VISIT, CLOSED = "spot-20230320-a83a6e", "spot-20230419-eee6ac", "spot-20230817-d5bfa7"


@dataclass(frozen=True)
class Scanned:
    """An old workspace after a scan with the code of today."""

    pristine: Path
    """As it was before."""

    root: Path
    """As it is now."""

    report: Any
    """What ``scan --json`` said."""

    checkpoints: list[bool]
    """For each checkpoint that was asked for: whether it was used."""


def run(root: Path, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "-w", str(root)], catch_exceptions=False, prog_name="minewatch")


def ask(root: Path, *words: str) -> Any:
    """Run a command that must succeed, and read its JSON."""
    answer = run(root, *words, "--json")
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the workspace, ``watch``, and what the same old code made of one more scene, ``later``."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def scan(pristine: Path, root: Path, until: str) -> Scanned:
    shutil.copytree(pristine / "watch", root)  # with the times of the files
    used: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:

        def watch(*arguments: Any) -> Any:
            found = load_checkpoint(*arguments)
            used.append(found is not None)
            return found

        patch.setattr(LOAD, watch)
        report = ask(root, "scan", "--until", until)
    return Scanned(pristine / "watch", root, report, used)


@pytest.fixture(scope="module")
def again(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """Scanned as of the same day."""
    return scan(pristine, tmp_path_factory.mktemp("again") / "watch", AS_OF)


@pytest.fixture(scope="module")
def later(pristine: Path, tmp_path_factory: pytest.TempPathFactory) -> Scanned:
    """Scanned with one more scene."""
    return scan(pristine, tmp_path_factory.mktemp("later") / "watch", LATER)


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    """The workspace to change."""
    return Path(shutil.copytree(pristine / "watch", tmp_path / "watch"))


def compare(old: Path, new: Path) -> list[str]:
    """Name what differs in the results; run ids, the digest of settings and what is new since aside."""
    comparison = Comparison(old, new)
    comparison.names("changes")
    comparison.rasters("changes", "change maps")
    for layer in ("alerts", "aois", "alert_history"):
        comparison.table(layer)
    former, today = (
        list(csv.DictReader((root / "output" / "alerts.csv").read_text("utf-8").splitlines())) for root in (old, new)
    )
    assert [{name: row[name] for name in former[0]} for row in today] == former
    return [found for found in comparison.differences if ", digest:" not in found and "blind_days" not in found]


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_nothing_is_fetched_again(again: Scanned) -> None:
    (area,) = again.report["areas"]
    assert area["scenes"]["observations_read"] == 0
    assert area["scenes"]["failed"] == []
    assert area["scenes"]["observations_used"] == 75
    assert snapshot(again.root / "output" / "images") == snapshot(again.pristine / "output" / "images")
    assert snapshot(again.root / "output" / "archive").keys() == snapshot(again.pristine / "output" / "archive").keys()


def test_checkpoints_of_earlier_rules_are_made_anew(again: Scanned) -> None:
    assert again.checkpoints == [False]
    assert ask(again.root, "scan", "--until", AS_OF)["areas"][0]["changes"] == {"unchanged": 4}


def test_the_results_are_those_of_the_old_code(again: Scanned) -> None:
    assert compare(again.pristine, again.root) == []
    (area,) = again.report["areas"]
    assert area["changes"] == {"unchanged": 4}


def test_one_more_scene_is_all_that_is_read(later: Scanned) -> None:
    (area,) = later.report["areas"]
    assert area["scenes"]["observations_read"] == 1
    assert area["scenes"]["failed"] == []
    assert area["scenes"]["observations_used"] == 76
    assert area["evidence"] == {"written": [], "extended": [], "failed": []}


def test_with_it_the_results_are_those_of_the_old_code(later: Scanned, pristine: Path) -> None:
    assert compare(pristine / "later", later.root) == []


def test_decisions_go_on_acting(later: Scanned) -> None:
    rows = {row["alert_id"]: row for row in ask(later.root, "alerts", "list")}
    told = {name: (row["status"], row["review"], row["review_note"], row["reviewed_by"]) for name, row in rows.items()}
    assert told == {
        RENAMED: ("confirmed", "confirmed", "seen from the river", "R. Quispe"),
        DISMISSED: ("dismissed", "dismissed", "road works", "R. Quispe"),
        VISIT: ("confirmed", "needs-visit", "ask the post", "Ana"),
        CLOSED: ("closed", "", "", ""),
    }


def test_what_others_saw_is_still_told(later: Scanned) -> None:
    assert ask(later.root, "alerts", "show", VISIT)["witnesses"] == "Example Watch 2023-04-20 (inside)"


@pytest.mark.parametrize("which", ["again", "later"])
def test_evidence_is_written_once(which: str, request: pytest.FixtureRequest) -> None:
    scanned: Scanned = request.getfixturevalue(which)
    before, after = (snapshot(root / "output" / "evidence") for root in (scanned.pristine, scanned.root))
    assert {Path(name).parts[0] for name in after} == {FORMER, WITHDRAWN, DISMISSED, VISIT, CLOSED}
    assert after == before


def test_evidence_and_the_log_of_custody_are_as_they_were_written(copy: Path) -> None:
    answer = run(copy, "verify", str(copy), "--json")
    assert answer.exit_code == 0, answer.output
    checks = json.loads(answer.stdout)
    assert {check["alert_id"] for check in checks} >= {FORMER, WITHDRAWN, DISMISSED, VISIT, CLOSED}
    assert all(not check["faults"] and not check["unknown"] for check in checks)


def test_evidence_that_was_changed_is_found(copy: Path) -> None:
    (copy / "output" / "evidence" / FORMER / "pipeline.toml").write_text("[scenes]\n")
    answer = run(copy, "verify", str(copy), "--json")
    assert answer.exit_code == 3
    assert "pipeline.toml: was changed" in answer.stdout


@pytest.mark.parametrize("which", ["again", "later"])
def test_an_alert_is_found_under_its_former_id(which: str, request: pytest.FixtureRequest) -> None:
    scanned: Scanned = request.getfixturevalue(which)
    assert ask(scanned.root, "alerts", "show", FORMER)["alert_id"] == RENAMED


def test_it_is_found_before_any_scan_too(copy: Path) -> None:
    assert ask(copy, "alerts", "show", FORMER)["alert_id"] == RENAMED
    assert ask(copy, "alerts", "review", FORMER, "--needs-visit", "--by", "Ana")["alert_id"] == RENAMED


def test_a_withdrawn_alert_is_in_the_history_alone(again: Scanned) -> None:
    assert run(again.root, "alerts", "show", WITHDRAWN).exit_code == 1


def test_an_alert_is_explained_from_the_old_archive(copy: Path) -> None:
    assert ask(copy, "explain", RENAMED, "--all")["alert_id"] == RENAMED
