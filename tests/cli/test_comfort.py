"""What people take for granted: completion, grouped help, near misses, versions, where they are."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner, Result

from minewatch import __version__
from minewatch.areas.aoi import Aoi, bbox_geometry, write_aoi
from minewatch.cli import COMMANDS, main
from minewatch.cli.groups import GROUPS, REST, group_commands
from minewatch.core.workspace import Workspace
from minewatch.settings.document import init_workspace
from tests.helpers.small import MONITOR_FROM, make_scanned


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False, prog_name="minewatch")


def complete(line: str) -> set[str]:
    """Return what a shell offers after a line; the last word is the one that is typed."""
    *words, typed = line.split(" ")
    return {item.value for item in BashComplete(main, {}, "minewatch", "_MINEWATCH_COMPLETE").get_completions(words, typed)}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MINEWATCH_WORKSPACE", raising=False)
    made = init_workspace(tmp_path / "watch")
    for number, name in enumerate(("la-pampa", "la-union", "sarare")):
        write_aoi(made, Aoi(name, bbox_geometry((number, 0, number + 0.1, 0.1)), MONITOR_FROM))
    monkeypatch.chdir(made.root)
    return made


# --- alone -----------------------------------------------------------------------------------------------------------


def test_alone_it_shows_groups_examples_and_the_workspace(workspace: Workspace) -> None:
    answer = run()
    assert answer.exit_code == 0
    assert [line[:-1] for line in answer.stdout.splitlines() if line[:-1] in GROUPS] == list(GROUPS)
    assert answer.stdout.count("\n    minewatch ") == 3
    assert answer.stderr.strip() == f"The workspace is {workspace.root}"


def test_without_a_workspace_it_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINEWATCH_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    answer = run()
    assert answer.exit_code == 0
    assert "make one with: minewatch init" in answer.stderr


def test_every_command_stands_in_one_group() -> None:
    grouped = [name for names in group_commands(COMMANDS).values() for name in names]
    assert sorted(grouped) == sorted(COMMANDS)
    assert group_commands(["scan", "new"]) == {"Watch": ["scan"], REST: ["new"]}


def test_help_fits_a_terminal_of_80_columns(workspace: Workspace) -> None:
    assert workspace.root.is_dir()
    context = click.Context(main, info_name="minewatch", terminal_width=80)
    lines = main.get_help(context).splitlines()
    assert max(map(len, (line for line in lines if not line.startswith("    minewatch")))) <= 80


@pytest.mark.parametrize(("typed", "meant"), [("scam", "scan"), ("alert", "alerts"), ("pipelines", "pipeline"), ("aio", "aoi")])
def test_an_unknown_command_names_those_that_are_spelt_alike(typed: str, meant: str) -> None:
    answer = run(typed)
    assert answer.exit_code == 2
    assert f"'{meant}'" in answer.stderr
    assert run("alerts", "lst").stderr.rstrip().endswith("Did you mean 'list'?")
    assert "mean" not in run("qqqqq").stderr


def test_a_workspace_in_a_workspace_is_told(workspace: Workspace) -> None:
    answer = run("init", workspace.root / "aois" / "inner")
    assert answer.exit_code == 0
    assert f"lies inside another one, {workspace.root}:" in answer.stderr
    assert "inside" not in run("init", workspace.root.parent / "beside").stderr


def test_the_version_names_what_results_depend_on() -> None:
    answer = run("--version")
    assert answer.exit_code == 0
    own, python, gdal, model = answer.stdout.splitlines()
    assert own == f"minewatch, version {__version__}"
    assert python.startswith("Python 3.")
    assert gdal.startswith("GDAL 3.")
    assert model.startswith("mine-likeness 1-")


# --- completion ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    answer = run("completion", shell)
    assert answer.exit_code == 0
    assert f"_MINEWATCH_COMPLETE={shell}_complete" in answer.stdout
    assert answer.stderr.startswith("do this once: ")


def test_names_of_the_workspace_are_completed(workspace: Workspace) -> None:
    assert complete("scan la-") == {"la-pampa", "la-union"}
    assert complete("alerts list --aoi s") == {"sarare"}
    assert complete("aoi show ") == {"la-pampa", "la-union", "sarare"}
    assert complete("scan --pipeline e") == {"early"}
    assert complete("pipeline show c") == {"cautious"}
    assert "earth-search" in complete("source check ")
    assert complete("prun") == {"prune"}
    assert complete(f"-w {workspace.root.parent} scan ") == set(), "no workspace, no names, no error"
    assert complete("alerts show x") == set(), "no table yet"


def test_ids_of_alerts_are_completed(tmp_path_factory: pytest.TempPathFactory) -> None:
    workspace = make_scanned(tmp_path_factory)[0]
    ids = complete(f"-w {workspace.root} explain spot-")
    assert ids
    assert all(name.startswith("spot-") for name in ids)
    assert complete(f"explain -w {workspace.root} spot-") == ids
    assert complete(f"-w {workspace.root} image ") == {"spot", *ids}
