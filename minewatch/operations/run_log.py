"""The run log: one line for each scan that a schedule requested, in ``rounds.jsonl``."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minewatch.core.errors import WorkspaceError
from minewatch.core.files import append_lines, read_lines
from minewatch.core.workspace import Workspace


@dataclass(frozen=True)
class ScheduledRun:
    """One scan that a schedule requested."""

    schedule: str
    """Its name."""

    due: dt.datetime
    """When it was due, UTC; after downtime the latest of the missed times."""

    started: dt.datetime
    """UTC."""

    ended: dt.datetime
    """UTC."""

    run_id: str | None
    """Of the scan; None where there was none."""

    areas: Mapping[str, str] = field(default_factory=dict)
    """Area to why it was not scanned, in one line; '' where it was.  Empty: the schedule has no area."""

    what_if: bool = False
    """True where the schedule's pipeline is not the areas' own: written to its own folder, and nobody is notified."""

    @property
    def failed(self) -> dict[str, str]:
        """Areas that were not scanned, and why."""
        return {aoi: reason for aoi, reason in self.areas.items() if reason}


def append_runs(workspace: Workspace, runs: Iterable[ScheduledRun]) -> None:
    """Append runs; they are on the disk when this returns.  Raises WorkspaceError."""
    lines = [json.dumps(describe_run(run), ensure_ascii=False) for run in runs]
    if not lines:
        return
    try:
        append_lines(workspace.run_log, lines)
    except OSError as error:
        raise WorkspaceError(f"cannot write {workspace.run_log}: {error.strerror}; check disk and permissions") from error


def read_runs(workspace: Workspace) -> Sequence[ScheduledRun]:
    """Return all runs in order; a line that a crash cut off is left out.  Raises WorkspaceError."""
    try:
        found, _ = read_lines(workspace.run_log, _parse)
    except OSError as error:
        raise WorkspaceError(f"{workspace.run_log} cannot be read: {error.strerror}; check its permissions") from error
    return found


def describe_run(run: ScheduledRun) -> dict[str, Any]:
    """Return a run as plain data, for the file and for ``--json``."""
    return {
        "schedule": run.schedule,
        "due": run.due.isoformat(),
        "started": run.started.isoformat(),
        "ended": run.ended.isoformat(),
        "run_id": run.run_id,
        "areas": dict(run.areas),
        "what_if": run.what_if,
    }


def _parse(value: Any) -> ScheduledRun:
    due, started, ended = (dt.datetime.fromisoformat(value[name]).astimezone(dt.UTC) for name in ("due", "started", "ended"))
    areas = {str(aoi): str(reason) for aoi, reason in value["areas"].items()}
    run_id = value["run_id"]
    return ScheduledRun(
        str(value["schedule"]), due, started, ended, run_id and str(run_id), areas, bool(value.get("what_if", False))
    )
