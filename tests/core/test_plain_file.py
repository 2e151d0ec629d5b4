"""Workspaces that came by git or tar: what is in the place of files and folders that are written to, and where it leads."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from minewatch.alerts.geopackage import create_geopackage, updating
from minewatch.cli import main
from minewatch.core.errors import AlertsError, WorkspaceError
from minewatch.core.files import append_lines, delete_files, make_private_folder, publish_bytes, read_lines
from minewatch.core.lock import acquire_lock, find_holder, read_lease
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.outbox import lock_outbox
from minewatch.settings.document import init_workspace

KINDS: dict[str, Callable[[Path, Path], None]] = {
    "link": lambda path, target: path.symlink_to(target),
    "dangling link": lambda path, target: path.symlink_to(target.with_name("new")),
    "device": lambda path, _target: path.symlink_to("/dev/null"),
    "fifo": lambda path, _target: os.mkfifo(path),
}
WRITERS: dict[str, Callable[[Path], object]] = {
    "lock": lambda path: acquire_lock(path).__enter__(),
    "lines": lambda path: append_lines(path, ["x"]),
    "outbox": lambda path: lock_outbox(path.parent, "deliver").__enter__(),
    "table": lambda path: updating(path).__enter__(),
}
SECRET = b"the user's own"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "file").write_bytes(SECRET)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return init_workspace(tmp_path / "workspace")


def is_untouched(folder: Path) -> bool:
    return {path.name: path.read_bytes() for path in folder.iterdir()} == {"file": SECRET}


def run(workspace: Workspace, *words: str) -> Result:
    return CliRunner().invoke(main, ["-w", str(workspace.root), *words])


# --- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_but_a_plain_file_is_written_in_place(workspace: Workspace, outside: Path, writer: str, kind: str) -> None:
    path = make_private_folder(workspace.output) / (".deliver.lock" if writer == "outbox" else "some")
    KINDS[kind](path, outside / "file")
    with pytest.raises((OSError, WorkspaceError, AlertsError), match=r"it is a link, not a copy|it is no plain file"):
        WRITERS[writer](path)
    assert is_untouched(outside)
    assert path.is_symlink() or path.is_fifo()


def test_a_table_that_is_a_link_is_refused_although_it_is_a_table(workspace: Workspace, outside: Path) -> None:
    table = outside / "alerts.gpkg"
    create_geopackage(table)
    before = table.read_bytes()
    make_private_folder(workspace.output)
    workspace.alerts.symlink_to(table)
    found = run(workspace, "context", "refresh")
    assert (found.exit_code, found.stderr.count("\n")) == (1, 1)
    assert "alerts.gpkg cannot be used: it is a link" in found.stderr
    assert table.read_bytes() == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("command", ["prune --keep-gb 1", "scan"])
def test_a_lock_that_leads_out_is_one_clear_line(workspace: Workspace, outside: Path, command: str, kind: str) -> None:
    run(workspace, "aoi", "add", "spot", "--bbox=-70,-13,-69.99,-12.99")
    make_private_folder(workspace.output)
    KINDS[kind](workspace.lock_file, outside / "file")
    found = run(workspace, *command.split())
    assert found.exit_code == 1
    assert "Traceback" not in found.output
    assert f"cannot use the lock {workspace.lock_file}" in found.stderr
    assert is_untouched(outside)


@pytest.mark.parametrize("kind", ["device", "fifo"])
def test_reading_waits_for_nobody(workspace: Workspace, outside: Path, kind: str) -> None:
    path = make_private_folder(workspace.output) / "some"
    KINDS[kind](path, outside / "file")
    assert read_lease(path) is None
    assert find_holder(path) is None
    with pytest.raises(OSError, match=r"it is a link|it is no plain file"):
        read_lines(path, str)


@pytest.mark.parametrize(
    "lease", ["[]", '{"pid": 1}', '{"host": 1, "pid": "x", "boot": [], "since": "", "doing": ""}', "[" * 10000]
)
def test_a_strangers_lease_is_none(tmp_path: Path, lease: str) -> None:
    path = tmp_path / ".lock"
    path.write_text(lease)
    assert find_holder(path) is None


# --- folders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["output", "output/runs", "output/archive/spot", "output/outbox/waiting"])
def test_nothing_is_written_through_a_folder_that_leads_out(workspace: Workspace, outside: Path, name: str) -> None:
    link = workspace.root / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(outside)
    actions: list[Callable[[], object]] = [
        lambda: publish_bytes(link / "file", b"x"),
        lambda: append_lines(link / "file", ["x"]),
        lambda: append_lines(link / "a" / "b", ["x"]),
        lambda: make_private_folder(link / "new"),
        lambda: delete_files([link / "file"]),
    ]
    for action in actions:
        with pytest.raises(WorkspaceError, match=rf"{name} is a link that leads out of the workspace, to {outside}"):
            action()
    assert is_untouched(outside)


def test_links_in_a_circle_end_in_one_line(workspace: Workspace) -> None:
    workspace.output.symlink_to("output")
    for action in (lambda: make_private_folder(workspace.runs), lambda: acquire_lock(workspace.lock_file).__enter__()):
        with pytest.raises(WorkspaceError):
            action()


def test_the_link_to_another_workspace_leads_out_too(workspace: Workspace, outside: Path) -> None:
    (outside / "minewatch.toml").write_text("")
    workspace.output.symlink_to(outside)
    with pytest.raises(WorkspaceError, match="leads out of the workspace"):
        make_private_folder(workspace.runs)


def test_links_that_stay_inside_and_links_to_the_workspace_are_as_good_as_folders(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.root / "kept").mkdir()
    workspace.output.symlink_to("kept")
    (tmp_path / "short").symlink_to(workspace.root)
    for root in (
        workspace.root,
        tmp_path / "short",
        workspace.aois / ".." / ".." / "short",
        tmp_path / "short" / ".." / "workspace",
    ):
        publish_bytes(root / "output" / "a", str(root).encode())
        assert (workspace.root / "kept" / "a").read_bytes() == str(root).encode()


def test_a_folder_that_the_settings_name_may_be_a_link(workspace: Workspace, outside: Path) -> None:
    (workspace.root / "disk").symlink_to(outside)
    workspace.settings.write_text('archive = "disk/archive"\nchanges = "disk"\n')
    archive = workspace.archive("spot")
    assert isinstance(archive, Path)
    publish_bytes(archive / "a", b"x")
    assert (outside / "archive" / "spot" / "a").read_bytes() == b"x"


def test_init_replaces_nothing_that_a_link_leads_to(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "new" / "pipelines").mkdir(parents=True)
    (tmp_path / "new" / "pipelines" / "default.toml").symlink_to(outside / "new")
    with pytest.raises(WorkspaceError):
        init_workspace(tmp_path / "new")
    assert is_untouched(outside)
