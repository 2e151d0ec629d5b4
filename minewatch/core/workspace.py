"""The folders and files of a workspace: the one place that knows their names."""

from __future__ import annotations

import contextlib
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from minewatch.core.errors import WorkspaceError
from minewatch.core.files import Place, find_place, make_private_folder
from minewatch.core.lock import SCAN, HeldLock, hold

MARKER = "minewatch.toml"
"""The file that makes a folder a workspace."""

ENVIRONMENT_VARIABLE = "MINEWATCH_WORKSPACE"

ARCHIVE, CHANGES = "archive", "changes"
"""Folders of the observations and of the change maps; the settings of the same names put them elsewhere."""

EVIDENCE, CUSTODY = "evidence", "custody.jsonl"
"""Folder of the evidence and the log about it; they are looked for below any output folder."""

_NAME = re.compile(r"\w[\w.-]{0,63}")


@dataclass(frozen=True)
class Workspace:
    """A folder with a ``minewatch.toml``, and where everything lies in it."""

    root: Path
    """The folder itself, absolute."""

    output_root: Path | None = None
    """Where tables and rasters of this run go instead of ``output`` (``--into``); the archive stays."""

    @property
    def settings(self) -> Path:
        """The workspace's own TOML."""
        return self.root / MARKER

    def read_document(self) -> dict[str, Any]:
        """Return what stands in the workspace's own TOML, to be left as it is; read once, and anew when it was edited.

        Raises WorkspaceError where it is none or cannot be read.
        """
        try:
            status = self.settings.stat()
        except OSError as error:
            raise WorkspaceError(f"{self.settings} cannot be read: {error.strerror}") from error
        return _read_version(self.settings, (status.st_ino, status.st_mtime_ns, status.st_size))

    @property
    def aois(self) -> Path:
        """One GeoJSON per area."""
        return self.root / "aois"

    @property
    def pipelines(self) -> Path:
        """One TOML per pipeline."""
        return self.root / "pipelines"

    @property
    def context(self) -> Path:
        """Layers that alerts are compared with."""
        return self.root / "context"

    @property
    def output(self) -> Path:
        """Everything that scans write."""
        return self.output_root or self.root / "output"

    @property
    def archives(self) -> Place:
        """The archives of all areas: in the folder or object store that the settings name, else in ``output``."""
        return self._find_place(ARCHIVE) or self.root / "output" / ARCHIVE

    def archive(self, aoi: str) -> Place:
        """The static STAC catalogue of the observations of one area."""
        return self.archives / aoi

    def checkpoints(self, aoi: str) -> Path:
        """What was known of one area after its last scan; may be deleted at any time."""
        return self.root / "output" / "checkpoints" / aoi

    @property
    def change_maps(self) -> Place:
        """The change rasters of all areas: where the settings say, else in ``output``; with ``--into`` always there."""
        return (None if self.output_root else self._find_place(CHANGES)) or self.output / CHANGES

    def changes(self, aoi: str) -> Place:
        """The change rasters of one area."""
        return self.change_maps / aoi

    def _find_place(self, name: str) -> Place | None:
        """Return the place that the settings name; raises WorkspaceError where it cannot be used."""
        text = self.read_document().get(name) if self.settings.is_file() else None
        if text is None:
            return None
        try:
            if not isinstance(text, str) or not text:
                raise WorkspaceError("give a folder, or s3://bucket/prefix")
            return find_place(text, self.root)
        except WorkspaceError as error:
            raise WorkspaceError(f"{self.settings}: {name}: {error}") from None

    @property
    def alerts(self) -> Path:
        """The alerts GeoPackage."""
        return self.output / "alerts.gpkg"

    @property
    def alerts_csv(self) -> Path:
        """The table of area, date and position."""
        return self.output / "alerts.csv"

    @property
    def decisions(self) -> Path:
        """What people decided about alerts; the one of the workspace, whatever table is written."""
        return self.root / "output" / "decisions.jsonl"

    @property
    def custody(self) -> Path:
        """Who made, opened, exported or packed which evidence; it lies beside the evidence that it is about."""
        return self.output / CUSTODY

    @property
    def evidence(self) -> Path:
        """One folder for each alert that was confirmed, written once."""
        return self.output / EVIDENCE

    @property
    def witnesses(self) -> Path:
        """Who else saw something, as people added it; the one of the workspace, as decisions are."""
        return self.root / "output" / "witnesses.jsonl"

    @property
    def sightings(self) -> Path:
        """What the others saw near the areas: one FlatGeobuf for each that was added."""
        return self.root / "output" / "witnesses"

    @property
    def project(self) -> Path:
        """The QGIS project."""
        return self.output / "minewatch.qgz"

    @property
    def images(self) -> Path:
        """Pictures."""
        return self.output / "images"

    @property
    def exports(self) -> Path:
        """Alerts in other formats."""
        return self.output / "exports"

    @property
    def reports(self) -> Path:
        """Reports, and which alerts each one told."""
        return self.output / "reports"

    @property
    def runs(self) -> Path:
        """One JSON per scan: what it did, used, skipped and why."""
        return self.output / "runs"

    @property
    def rounds(self) -> Path:
        """What the watch did and when; the one of the workspace."""
        return self.root / "output" / "rounds.jsonl"

    @property
    def heartbeat(self) -> Path:
        """Written after each round of the watch, where the settings name no other file."""
        return self.root / "output" / "heartbeat.json"

    @property
    def timers(self) -> Path:
        """What lets cron start the watch."""
        return self.root / "output" / "timers"

    @property
    def cron_lock(self) -> Path:
        """Keeps cron from starting the watch while it still works."""
        return self.root / "output" / ".cron-lock"

    @property
    def what_ifs(self) -> Path:
        """What schedules with a pipeline of their own wrote: one output folder each."""
        return self.root / "output" / "what-if"

    @property
    def outbox(self) -> Path:
        """Messages that wait, what was found to tell, and what was told; the one of the workspace."""
        return self.root / "output" / "outbox"

    @property
    def held(self) -> Path:
        """Who works in the workspace now; never deleted."""
        return self.root / "output" / ".lock"

    @contextlib.contextmanager
    def lock(self, doing: str = SCAN, tell: Callable[[str], None] = lambda _text: None) -> Iterator[HeldLock]:
        """Hold the workspace for one scan, or whatever else changes it.

        Raises BusyError where another one runs, WorkspaceError where the folder cannot be written.  ``tell`` gets a line
        where the lock of a dead holder was taken over.
        """
        make_private_folder(self.held.parent)
        with hold(self.held, doing, tell) as holding:
            yield holding


def find_workspace(folder: Workspace | Path | str | None = None) -> Workspace:
    """Return the workspace: ``folder``, else the environment's, else the current folder or one above it.

    A workspace is returned as it is.  Raises WorkspaceError where there is none.
    """
    if isinstance(folder, Workspace):
        return folder
    given = folder or os.environ.get(ENVIRONMENT_VARIABLE)
    start = Path(given or "").absolute()
    for candidate in [start] if given else [start, *start.parents]:
        if (candidate / MARKER).is_file():
            return Workspace(candidate)
    raise WorkspaceError(f"{start} is no workspace (no {MARKER}); make one with: minewatch init {given or ''}".rstrip())


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file of the workspace; raises WorkspaceError where it is none or cannot be read."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise WorkspaceError(f"{path} is no TOML: {error}") from error


@lru_cache(16)
def _read_version(path: Path, _version: tuple[int, int, int]) -> dict[str, Any]:
    return read_toml(path)


def check_name(kind: str, name: str) -> str:
    """Return ``name`` if it can safely be a file's name; raises WorkspaceError otherwise."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise WorkspaceError(
            f"{name!r} cannot be the name of {kind}: use letters, digits, '-', '_' and single dots, at most 64, no '/'"
        )
    return name
