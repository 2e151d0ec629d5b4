"""The notebooks run from top to bottom, and are kept without outputs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import minewatch
from tests.helpers.places import ROOT

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
PAGES = [*NOTEBOOKS, ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def code_cells(notebook: Path) -> list[dict]:
    return [cell for cell in json.loads(notebook.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_there_is_a_first_notebook() -> None:
    assert FOLDER / "first-scan.ipynb" in NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped(notebook: Path) -> None:
    for cell in code_cells(notebook):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_kernel_is_found_everywhere(notebook: Path) -> None:
    assert json.loads(notebook.read_text("utf-8"))["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(notebook: Path, tmp_path: Path) -> None:
    """nbmake runs in a process of its own: the kernel's sockets and threads are no business of this one."""
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=600", "-q", "-p", "no:cacheprovider", str(notebook)]
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONWARNINGS": "error::DeprecationWarning:__main__"}
    result = subprocess.run(command, cwd=FOLDER.parent, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_readers_are_shown_only_what_the_package_gives(page: Path) -> None:
    """``import minewatch`` is the interface; what lies deeper may move."""
    text = page.read_text("utf-8")
    assert re.findall(r"(?:from|import) minewatch\.[\w.]+", text) == []
    assert {*re.findall(r"\bminewatch\.(\w+)\(", text)} <= {*minewatch.__all__}
