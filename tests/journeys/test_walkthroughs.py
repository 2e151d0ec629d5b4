"""The walkthroughs do what they say: each line of them is run, in its order, on the demo."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

PAGES = sorted((ROOT / "docs" / "walkthroughs").glob("*.md"))
BEGINNING = "minewatch demo demo\ncd demo\n"
ATTENTION = ("watch", "status", "doctor")
"""Commands that may say with exit code 3 that something needs attention."""


def read_script(page: Path) -> str:
    """Return the page's lines for the shell."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return "".join(blocks)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real demo, with the ids that the pages name."""
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, "-m", "minewatch", "demo", "demo"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return folder / "demo"


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which ``minewatch`` is this checkout, and exit code 3 of some commands is no failure."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "minewatch"
    forgiven = "|".join(ATTENTION)
    lines = [
        "#!/bin/sh",
        f'"{sys.executable}" -m minewatch "$@"',
        "code=$?",
        f'case "$1" in {forgiven}) [ $code = 3 ] && exit 0;; esac',
        "exit $code",
    ]
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MINEWATCH_")}
    return {**kept, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_line_of_a_walkthrough_works(page: Path, demo: Path, shell: dict[str, str], tmp_path: Path) -> None:
    script = read_script(page)
    assert script.startswith(BEGINNING)
    place = tmp_path / "place"
    place.mkdir()
    shutil.copytree(demo, place / "demo")
    _point_to(place / "demo", demo)
    command = ["bash", "-ex", "-c", script.removeprefix(BEGINNING)]
    ran = subprocess.run(command, cwd=place / "demo", env=shell, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    for path in re.findall(r"`(output/[\w./-]+)`", page.read_text("utf-8")):
        assert (place / "demo" / path).exists(), f"{page.name} names {path}"


def _point_to(copy: Path, demo: Path) -> None:
    """Let the copy's source be its own scenes, should its settings name those of the original by their path."""
    settings = copy / "minewatch.toml"
    settings.write_text(settings.read_text("utf-8").replace(str(demo), str(copy)), "utf-8")


def test_there_is_one_for_each_kind_of_user() -> None:
    assert {page.stem for page in PAGES} == {"analyst", "investigator", "gis-staff"}
