"""The workspace: its folders, its settings, its lock, and files that are never half written."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from minewatch.core.errors import WorkspaceError
from minewatch.core.files import make_private_folder, publish_bytes, publish_json, publishing
from minewatch.core.plain_file import MARKER
from minewatch.core.temp_files import TEMPORARY_PREFIX, make_temp_name
from minewatch.core.workspace import ENVIRONMENT_VARIABLE, Workspace, check_name, find_workspace
from minewatch.settings.document import default_source, init_workspace, read_settings
from minewatch.settings.pipeline import Pipeline, read_pipeline


@pytest.fixture(autouse=True)
def _no_workspace_of_the_person_who_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "watch")


def find_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def find_leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob(f"{TEMPORARY_PREFIX}*"))


# --- finding it ------------------------------------------------------------------------------------------------------


def test_the_current_folder_or_one_above_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = workspace.root / "aois" / "old"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert find_workspace() == workspace


def test_the_environment_goes_before_the_current_folder(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    other = init_workspace(workspace.root.parent / "other")
    monkeypatch.chdir(other.root)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(workspace.root))
    assert find_workspace() == workspace
    assert find_workspace(other.root) == other


def test_a_named_folder_is_taken_as_it_is(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace.root.parent)
    assert find_workspace(Path("watch")) == workspace
    with pytest.raises(WorkspaceError, match="no workspace"):
        find_workspace(workspace.root / "aois")


def test_no_workspace_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkspaceError, match=r"minewatch\.toml.*minewatch init$"):
        find_workspace()
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(WorkspaceError, match="gone"):
        find_workspace()


def test_another_output_folder_keeps_the_archive(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path, tmp_path / "what-if")
    assert workspace.alerts.parent == workspace.runs.parent == tmp_path / "what-if"
    assert workspace.changes("a").is_relative_to(tmp_path / "what-if")
    assert workspace.archive("a") == tmp_path / "output" / "archive" / "a"


@pytest.mark.parametrize("name", ["a/b", "a\\b", "..", "a..b", ".a", "", "a" * 65, "a\n", "a\0", "-a", "~", "a b", "*"])
def test_names_that_are_refused(name: str) -> None:
    with pytest.raises(WorkspaceError, match="cannot be the name of an area"):
        check_name("an area", name)


@pytest.mark.parametrize("name", ["a", "la-pampa", "Kayapó", "b_2.5", "7", "a" * 64])
def test_names_that_are_taken(name: str) -> None:
    assert check_name("an area", name) == name


# --- making it -------------------------------------------------------------------------------------------------------


def test_a_new_workspace_can_be_used_at_once(workspace: Workspace) -> None:
    assert sorted(path.name for path in workspace.root.iterdir()) == ["aois", "context", MARKER, "pipelines"]
    assert read_settings(workspace).source == "earth-search"
    assert read_pipeline(workspace, "default") == Pipeline()


def test_a_workspace_is_never_made_twice(workspace: Workspace) -> None:
    before = {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}
    with pytest.raises(WorkspaceError, match="workspace already; nothing was changed"):
        init_workspace(workspace.root, "another")
    assert {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()} == before


def test_files_that_are_there_stay(tmp_path: Path) -> None:
    own = tmp_path / "pipelines" / "default.toml"
    own.parent.mkdir()
    own.write_text("[alerts]\nmin_area_ha = 3\n")
    workspace = init_workspace(tmp_path)
    assert read_pipeline(workspace, "default").alerts.min_area_ha == 3


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "watch").write_text("a file")
    with pytest.raises(WorkspaceError, match="cannot make a workspace"):
        init_workspace(tmp_path / "watch")


# --- its settings ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scenes", "a folder with spaces", 'said "so"', "back\\slash", "accents é"])
def test_a_relative_source_counts_from_the_workspace(tmp_path: Path, name: str) -> None:
    workspace = init_workspace(tmp_path / "watch", name)
    assert default_source(workspace) == name
    (workspace.root / name).mkdir()
    assert default_source(workspace) == str(workspace.root / name)


@pytest.mark.parametrize("source", ["earth-search", "https://example.org/stac", "/data/catalog.json"])
def test_other_sources_stay_as_they_are(tmp_path: Path, source: str) -> None:
    assert default_source(init_workspace(tmp_path / "watch", source)) == source


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sorce = 'x'", "sorce"),
        ("source = ''", "source"),
        ("source = 3", "source"),
        ("source = [", "is no TOML"),
    ],
)
def test_a_fault_in_the_settings_is_named(workspace: Workspace, text: str, message: str) -> None:
    workspace.settings.write_text(text)
    with pytest.raises(WorkspaceError, match=message) as caught:
        read_settings(workspace)
    assert str(workspace.settings) in str(caught.value)


def test_the_settings_are_read_once_until_they_are_edited(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    parse = tomllib.loads
    monkeypatch.setattr(tomllib, "loads", lambda text: read.append(text) or parse(text))
    for _ in range(3):
        assert read_settings(workspace).source == "earth-search"
        assert workspace.archives == workspace.root / "output" / "archive"
    assert len(read) == 1
    workspace.settings.write_text('source = "ours"\narchive = "kept"\n')
    assert read_settings(workspace).source == "ours"
    assert workspace.archives == workspace.root / "kept"
    assert len(read) == 2


# --- its lock --------------------------------------------------------------------------------------------------------


def test_only_one_scan_holds_the_workspace(workspace: Workspace) -> None:
    with workspace.lock():
        with pytest.raises(WorkspaceError, match="another scan is running"), workspace.lock():
            pass
        assert find_mode(workspace.output) == 0o700
    with workspace.lock():
        pass


def test_the_lock_of_a_scan_that_was_killed_is_free(workspace: Workspace) -> None:
    script = (
        "import os, sys; from pathlib import Path; from minewatch.core.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).lock():\n    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, workspace.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(WorkspaceError, match="another scan is running"), workspace.lock():
            pass
        holder.kill()
    with workspace.lock():
        pass


def test_what_goes_wrong_under_the_lock_is_not_called_another_scan(workspace: Workspace) -> None:
    with pytest.raises(BlockingIOError, match="busy pipe"), workspace.lock():
        raise BlockingIOError("busy pipe")


# --- its files -------------------------------------------------------------------------------------------------------


def test_published_files_and_new_folders_are_private(tmp_path: Path) -> None:
    path = tmp_path / "output" / "runs" / "run.json"
    previous = os.umask(0)
    try:
        publish_json(path, {"note": "Kayapó"})
    finally:
        os.umask(previous)
    assert json.loads(path.read_text("utf-8")) == {"note": "Kayapó"}
    assert "Kayapó" in path.read_text("utf-8")
    assert find_mode(path) == 0o600
    assert find_mode(tmp_path / "output") == find_mode(path.parent) == 0o700


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "alerts.csv"
    publish_bytes(path, b"old")

    def fail_halfway() -> None:
        with publishing(path) as temporary:
            temporary.write_bytes(b"ne")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert path.read_bytes() == b"old"
    assert find_leftovers(tmp_path) == []


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "alerts.csv"
    publish_bytes(path, b"old")
    with path.open("rb") as reader:
        with publishing(path) as temporary:
            temporary.write_bytes(b"new")
            assert path.read_bytes() == b"old"
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert find_leftovers(tmp_path) == []


def test_a_writer_killed_halfway_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts.csv"
    publish_bytes(path, b"old")
    script = (
        "import os, signal, sys; from pathlib import Path; from minewatch.core.files import publishing\n"
        "with publishing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'ne'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == -9
    assert path.read_bytes() == b"old"
    (left,) = find_leftovers(tmp_path)
    assert find_mode(left) == 0o600


def test_a_folder_that_cannot_be_made_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "output").write_text("a file in its place")
    with pytest.raises(WorkspaceError, match="cannot make the folder"):
        make_private_folder(tmp_path / "output" / "runs")
    with pytest.raises(WorkspaceError):
        publish_bytes(tmp_path / "output" / "alerts.csv", b"x")
    with pytest.raises(WorkspaceError), Workspace(tmp_path).lock():
        pass
    assert (tmp_path / "output").read_text() == "a file in its place"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_an_error_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "output"
    folder.mkdir(mode=0o500)
    for action in (lambda: publish_bytes(folder / "x", b""), lambda: make_private_folder(folder / "runs")):
        with pytest.raises(WorkspaceError, match="check its permissions"):
            action()


def test_what_a_dead_process_left_unfinished_goes_with_the_next_file(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], check=True, capture_output=True, text=True)
    mine = make_temp_name()
    left = mine.replace(f"-{os.getpid()}-", f"-{int(dead.stdout)}-")
    (tmp_path / f"{left}a.json").write_text("{")
    (tmp_path / f"{left}b").mkdir()
    kept = {
        f"{mine}c.json",
        mine.replace(f"-{os.getpid()}-", f"-{os.getppid()}-"),
        f"{TEMPORARY_PREFIX}0123abcd-7-d",
        f"{TEMPORARY_PREFIX}e",
    }
    old = {f"{TEMPORARY_PREFIX}0123abcd-8-f", f"{TEMPORARY_PREFIX}g.tif"}
    for name in kept | old:
        (tmp_path / name).write_text("{")
    for name in old:
        os.utime(tmp_path / name, (0, 0))
    publish_json(tmp_path / "a.json", 1)
    assert {path.name for path in tmp_path.iterdir()} == kept | {"a.json"}
