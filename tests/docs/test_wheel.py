"""What is installed: the wheel has every file, its messages point to none that it lacks, and the lock files agree."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

PACKAGE = ROOT / "minewatch"
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
LACKED = re.compile(rf"\b(?:docs/|README|CONTRIBUTING|pipelines/default|\w+\.md\b|make (?:{'|'.join(TARGETS)})\b)")
"""What only a checkout has: its pages, its settings, its make targets."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked; built by what is installed, so that no network is needed."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("minewatch-*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def list_files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }


def test_wheel_has_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    assert {path.suffix for path in PACKAGE.rglob("*.*")} >= {".py", ".html", ".toml", ".css", ".js"}
    assert list_files(wheel / "minewatch") == list_files(PACKAGE)
    assert [path.name for path in wheel.iterdir() if not path.match("minewatch-*.dist-info")] == ["minewatch"]


def test_wheel_works_outside_of_the_checkout(wheel: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "minewatch", "init", "watch"]
    environment = os.environ | {"PYTHONPATH": str(wheel)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "watch" / "minewatch.toml").is_file()


def list_docstrings(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield docstrings that no user sees: all but those of commands."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        shown = any(".command" in ast.unparse(how) or ".group" in ast.unparse(how) for how in getattr(node, "decorator_list", []))
        if isinstance(body, list) and not shown:
            yield from (line.value for line in body if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))


def list_texts(path: Path) -> Iterator[str]:
    """Yield what a file may show to a user."""
    if path.suffix != ".py":
        yield path.read_text("utf-8")
        return
    tree = ast.parse(path.read_text("utf-8"))
    hidden = {id(node) for node in list_docstrings(tree)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in hidden]
    yield from (node.value for node in constants if isinstance(node.value, str))


def test_messages_point_to_nothing_that_a_wheel_lacks() -> None:
    files = [path for path in sorted(PACKAGE.rglob("*")) if path.suffix in {".py", ".html", ".js", ".toml"}]
    assert [(path.name, text) for path in files for text in list_texts(path) if LACKED.search(text)] == []


def test_the_search_finds_what_it_looks_for() -> None:
    assert all(LACKED.search(text) for text in ("see docs/prune.md", "run make demo", "CONTRIBUTING.md", "as the README says"))
    assert not any(LACKED.search(text) for text in ("make one with: minewatch scan", "pipelines/NAME.toml", "minewatch.toml"))


def read_pins(name: str) -> dict[str, str]:
    """Return each pin of a lock file with its hashes; packages that differ between systems have several."""
    blocks = re.findall(
        r"^(\S+==\S+(?: ;[^\\\n]*)?)((?: \\\n    --hash=sha256:\w{64})+)$", (ROOT / name).read_text("utf-8"), re.MULTILINE
    )
    return dict(blocks)


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-image.lock"])
def test_lock_files_agree(name: str) -> None:
    use, everything = read_pins(name), read_pins("requirements-dev.lock")
    pins = {pin.split()[0]: hashes for pin, hashes in everything.items()}
    assert len(use) > 80
    assert {pin for pin, hashes in use.items() if pins.get(pin.split()[0]) != hashes} == set()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-image.lock", "requirements-dev.lock"])
def test_lock_file_has_hashes_and_names_no_index(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    assert len(read_pins(name)) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    assert "://" not in text
    assert "--index" not in text
