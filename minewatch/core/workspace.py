"""The folders and files of a workspace; their names are defined here only."""

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
from minewatch.core.files import AnyPath, make_private_folder, parse_path
from minewatch.core.lock import SCAN, HeldLock, acquire_lock
from minewatch.core.plain_file import MARKER

ENVIRONMENT_VARIABLE = "MINEWATCH_WORKSPACE"

ALERTS_CSV = "alerts.csv"
"""The table of areas, dates and positions, in the output folder."""

ARCHIVE, CHANGES = "archive", "changes"
"""Folders of the observations and of the change maps, and the settings that move them elsewhere."""

DEFAULT_PIPELINE = "default"
"""Name of the pipeline of areas that name none."""

EVIDENCE, CUSTODY = "evidence", "custody.jsonl"
"""Folder of the evidence, and its custody log, below an output folder."""

TIMESTAMPS = "timestamps"
"""Folder of the time stamps of the logs, and of the hashes that wait for one, below an output folder."""

SCORED = "likeness.scored"
"""What was scored of an area's alerts, in the folder of its checkpoints."""

DECISIONS = "decisions.jsonl"
"""What people decided about alerts, in the folder ``output`` of a workspace, and in packs."""

LARGEST_SETTINGS = 2**20
"""Bytes of a ``minewatch.toml``; one may have come with evidence of unknown origin."""

_NAME = re.compile(r"\w[\w.-]{0,63}")


@dataclass(frozen=True)
class Workspace:
    """A folder with a ``minewatch.toml``, and the paths of everything in it."""

    root: Path
    """The folder itself, absolute."""

    output_root: Path | None = None
    """In place of ``output`` for tables and rasters (``--into``); the archive stays."""

    @property
    def settings(self) -> Path:
        """The workspace's own TOML."""
        return self.root / MARKER

    def read_document(self) -> dict[str, Any]:
        """Return the workspace's TOML, not to be modified; cached until the file changes.

        Raises WorkspaceError where it is not TOML or cannot be read.
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
        """Map layers that alerts are compared with."""
        return self.root / "context"

    @property
    def output(self) -> Path:
        """Tables, rasters and products of scans."""
        return self.output_root or self.root / "output"

    @property
    def archives(self) -> AnyPath:
        """The archives of all areas: where the settings say, else in ``output``."""
        return self._read_path(ARCHIVE) or self.root / "output" / ARCHIVE

    def archive(self, aoi: str) -> AnyPath:
        """The static STAC catalogue of the observations of one area."""
        return self.archives / aoi

    def checkpoints(self, aoi: str) -> Path:
        """Detector states of one area after its last scan; may be deleted at any time."""
        return self.root / "output" / "checkpoints" / aoi

    def surveys(self, aoi: str) -> Path:
        """What the scene classes of one area's looks said, where a budget chooses among them; may be deleted at any time."""
        return self.root / "output" / "surveys" / f"{aoi}.json"

    @property
    def change_maps(self) -> AnyPath:
        """The change rasters of all areas: where the settings say, else in ``output``; with ``--into`` always below it."""
        return (None if self.output_root else self._read_path(CHANGES)) or self.output / CHANGES

    def changes(self, aoi: str) -> AnyPath:
        """The change rasters of one area."""
        return self.change_maps / aoi

    def _read_path(self, name: str) -> AnyPath | None:
        """Return the path in a setting; raises WorkspaceError where it cannot be used."""
        text = self.read_document().get(name) if self.settings.is_file() else None
        if text is None:
            return None
        try:
            if not isinstance(text, str) or not text:
                raise WorkspaceError("give a folder, or s3://bucket/prefix")
            path = parse_path(text, self.root)
            return path.resolve() if isinstance(path, Path) else path  # a link that the settings name is the user's choice
        except WorkspaceError as error:
            raise WorkspaceError(f"{self.settings}: {name}: {error}") from None

    @property
    def alerts(self) -> Path:
        """The alerts GeoPackage."""
        return self.output / "alerts.gpkg"

    @property
    def alerts_csv(self) -> Path:
        """The table of areas, dates and positions."""
        return self.output / ALERTS_CSV

    def likeness(self, aoi: str) -> Path:
        """What was scored of one area's alerts; may be deleted at any time."""
        return self.checkpoints(aoi) / SCORED

    @property
    def home_layers(self) -> Path:
        """What was learnt from reviews on top of the shipped score; not moved by ``--into``."""
        return self.root / "output" / "home-layers"

    @property
    def evaluations(self) -> Path:
        """How good the scores of alerts are beside known places: a folder for each truth."""
        return self.output / "evaluations"

    @property
    def decisions(self) -> Path:
        """What people decided about alerts; not moved by ``--into``."""
        return self.root / "output" / DECISIONS

    @property
    def custody(self) -> Path:
        """Who made, opened, exported or packed which evidence."""
        return self.output / CUSTODY

    @property
    def evidence(self) -> Path:
        """One folder per confirmed alert, written once."""
        return self.output / EVIDENCE

    @property
    def received(self) -> Path:
        """Packs of others that were taken in, one folder each; never mixed with own evidence, not moved by ``--into``."""
        return self.root / "output" / "received"

    @property
    def timestamps(self) -> Path:
        """Time stamps of the logs, and the hashes that wait for one."""
        return self.output / TIMESTAMPS

    @property
    def external_sources(self) -> Path:
        """Other systems' alert files that people added; not moved by ``--into``."""
        return self.root / "output" / "witnesses.jsonl"

    @property
    def external_alerts(self) -> Path:
        """Other systems' alerts near the areas: one FlatGeobuf per source."""
        return self.root / "output" / "witnesses"

    @property
    def project(self) -> Path:
        """The QGIS project."""
        return self.output / "minewatch.qgz"

    @property
    def visits(self) -> Path:
        """Photographs of visits in the field: a folder for each alert; not moved by ``--into``."""
        return self.root / "output" / "visits"

    @property
    def images(self) -> Path:
        """Images."""
        return self.output / "images"

    @property
    def exports(self) -> Path:
        """Alerts in other formats."""
        return self.output / "exports"

    @property
    def reports(self) -> Path:
        """Reports, and which alerts each contains."""
        return self.output / "reports"

    @property
    def bulletins(self) -> Path:
        """Bulletins of a month."""
        return self.output / "bulletins"

    @property
    def runs(self) -> Path:
        """One JSON per scan: what it did, used, skipped and why."""
        return self.output / "runs"

    @property
    def run_log(self) -> Path:
        """What the watch did and when; not moved by ``--into``."""
        return self.root / "output" / "rounds.jsonl"

    @property
    def heartbeat(self) -> Path:
        """Written after each cycle of the watch, unless the settings name another file."""
        return self.root / "output" / "heartbeat.json"

    @property
    def timers(self) -> Path:
        """Files that let cron or systemd start the watch."""
        return self.root / "output" / "timers"

    @property
    def cron_lock(self) -> Path:
        """Keeps cron from starting the watch while it runs."""
        return self.root / "output" / ".cron-lock"

    @property
    def what_ifs(self) -> Path:
        """One output folder per schedule with a pipeline of its own."""
        return self.root / "output" / "what-if"

    @property
    def outbox(self) -> Path:
        """Messages to send, recorded events and what was sent; not moved by ``--into``."""
        return self.root / "output" / "outbox"

    @property
    def lock_file(self) -> Path:
        """Lock and lease of the running operation; never deleted."""
        return self.root / "output" / ".lock"

    @contextlib.contextmanager
    def lock(self, operation: str = SCAN, report: Callable[[str], None] = lambda _text: None) -> Iterator[HeldLock]:
        """Hold the workspace's lock, as :func:`acquire_lock` does, for an operation that changes it."""
        make_private_folder(self.lock_file.parent)
        with acquire_lock(self.lock_file, operation, report) as lock:
            yield lock


def find_workspace(folder: Workspace | Path | str | None = None) -> Workspace:
    """Return the workspace in ``folder``, else the environment's, else the nearest one from the current folder upwards.

    A workspace is returned as it is.  Raises WorkspaceError where there is none.
    """
    if isinstance(folder, Workspace):
        return folder
    given = folder or os.environ.get(ENVIRONMENT_VARIABLE)
    start = Path(given or "").absolute()
    for candidate in [start] if given else [start, *start.parents]:
        if (candidate / MARKER).is_file():
            return Workspace(candidate)
    if (start / ALERTS_CSV).is_file():  # the folder of --into, or an output folder
        raise WorkspaceError(f"{start} holds results, and is no workspace (no {MARKER}); its alerts: {start / ALERTS_CSV}")
    raise WorkspaceError(f"{start} is no workspace (no {MARKER}); make one with: minewatch init {given or ''}".rstrip())


def find_enclosing(folder: Path) -> Path | None:
    """Return the nearest workspace that a folder lies in, its own left out; None where it lies in none."""
    return next((parent for parent in folder.absolute().resolve().parents if (parent / MARKER).is_file()), None)


@lru_cache(16)
def _read_version(path: Path, _version: tuple[int, int, int]) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_SETTINGS:
            raise WorkspaceError(f"{path} is larger than any settings ({LARGEST_SETTINGS >> 20} MB)")
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise WorkspaceError(f"{path} is no TOML: {error}") from error


def check_name(kind: str, name: str) -> str:
    """Return ``name`` if it can safely be a file's name; raises WorkspaceError otherwise."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise WorkspaceError(
            f"{name!r} cannot be the name of {kind}: use letters, digits, '-', '_' and single dots, at most 64, no '/'"
        )
    return name
