"""Containers and cron: no home, nothing writable, no locks, no UTF-8."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from minewatch.alerts.database import recover
from minewatch.alerts.geopackage import create_geopackage, updating
from minewatch.cli import main
from minewatch.core import cache_folders, compilation
from minewatch.core.cache_folders import set_matplotlib_folder
from minewatch.core.compilation import find_cache
from minewatch.core.errors import AlertsError, WorkspaceError
from minewatch.core.files import append_lines, wrap_disk_errors
from minewatch.core.lock import acquire_lock
from minewatch.settings.document import init_workspace
from tests.helpers.places import ROOT

NOWHERE = "/proc/nowhere"


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment without home and caches, whose temporary files lie in the folder given back."""
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", NOWHERE)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


# --- folders of caches -------------------------------------------------------------------------------------------------


def test_compiled_code_is_kept_beside_the_code_or_at_home(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (find_cache().folder, find_cache().note) == (None, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(bare / "caches"))
    assert find_cache(Path(NOWHERE)).folder == bare / "caches" / "minewatch"
    assert find_cache(Path(NOWHERE)).note == ""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(bare / "stated"))
    assert find_cache().folder == bare / "stated"
    assert (bare / "stated").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("stated", "fault"), [("", "there is no folder for compiled code"), (NOWHERE, f"names {NOWHERE}, which")]
)
def test_where_nothing_else_can_be_written_it_is_a_private_folder_and_one_line_says_so(
    bare: Path, monkeypatch: pytest.MonkeyPatch, stated: str, fault: str
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", stated)
    found = find_cache(Path(NOWHERE))
    assert found.folder == bare / f"minewatch-{os.geteuid()}"
    assert found.is_kept
    assert fault in found.note
    assert "set NUMBA_CACHE_DIR to a folder" in found.note
    assert "\n" not in found.note


@pytest.mark.parametrize("kind", ["open to others", "a link", "no room", "none"])
def test_a_folder_that_others_may_have_filled_or_that_is_full_is_not_used(
    bare: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = bare / f"minewatch-{os.geteuid()}"
    if kind == "open to others":
        folder.mkdir()
        folder.chmod(0o777)
    elif kind == "a link":
        (bare / "other").mkdir(mode=0o700)
        folder.symlink_to(bare / "other")
    elif kind == "no room":
        monkeypatch.setattr(cache_folders, "ROOM", 2**62)
    else:
        monkeypatch.setattr("tempfile.tempdir", NOWHERE)
    found = find_cache(Path(NOWHERE))
    assert (found.folder, found.is_kept) == (None, False)
    assert "each run compiles anew: set NUMBA_CACHE_DIR" in found.note


def test_functions_are_compiled_without_a_cache_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "CACHE", compilation.CompileCache(None, is_kept=False))
    assert compilation.njit(nogil=True, cache=True)(abs_of)(-2) == 2


def abs_of(number: int) -> int:
    return abs(number)


def test_matplotlib_gets_a_folder_where_there_is_no_home(bare: Path) -> None:
    set_matplotlib_folder()
    assert os.environ["MPLCONFIGDIR"] == str(bare / f"minewatch-{os.geteuid()}" / "matplotlib")


# --- locks -------------------------------------------------------------------------------------------------------------


def refuse(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EBADF])
def test_a_share_without_locks_is_one_line_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse_so(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse_so)
    monkeypatch.setattr("fcntl.lockf", refuse_so)
    workspace = init_workspace(tmp_path / "watch")
    CliRunner().invoke(main, ["-w", str(workspace.root), "aoi", "add", "spot", "--bbox=-70,-13,-69.99,-12.99"])
    found = CliRunner().invoke(main, ["-w", str(workspace.root), "scan"])
    assert found.exit_code == 1
    assert f"files in {workspace.output} cannot be locked" in found.stderr
    assert "move the workspace to a local disk" in found.stderr
    assert "another scan" not in found.stderr
    assert [path.name for path in workspace.output.iterdir()] == [".lock"]
    with pytest.raises(WorkspaceError, match=r"cannot lock .*mount the share with locks"), wrap_disk_errors():
        append_lines(workspace.run_log, ["x"])


def test_a_table_that_cannot_be_locked_is_not_called_locked_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "alerts.gpkg"
    create_geopackage(path)
    with updating(path):
        with pytest.raises(AlertsError, match="another program has it locked"), updating(path, busy_seconds=0):
            pass
        monkeypatch.setattr("fcntl.lockf", refuse)
        with pytest.raises(WorkspaceError, match="cannot be locked"), updating(path, busy_seconds=0):
            pass
    recover(path)


def test_flock_alone_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcntl.flock", refuse)
    with acquire_lock(tmp_path / ".lock"):
        pass


# --- the locale --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "locale",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "latin-1"},
    ],
)
def test_names_and_output_are_whole_in_the_c_locale(tmp_path: Path, locale: dict[str, str]) -> None:
    root = init_workspace(tmp_path / "Área de estudo – José's").root
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)} | locale
    command = [sys.executable, "-m", "minewatch", "-w", str(root), "pipeline", "show", "ñu"]
    found = subprocess.run(command, env=environment, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert found.returncode == 1
    assert b"Traceback" not in found.stderr
    text = found.stderr.decode("latin-1" if "PYTHONIOENCODING" in locale else "utf-8")
    expected = f"no pipeline 'ñu' in {root}/pipelines"
    assert (expected.replace("–", "\\u2013") if "PYTHONIOENCODING" in locale else expected) in text
