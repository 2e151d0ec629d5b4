"""What the watch did and when: one line for each scan that a schedule asked for, in ``rounds.jsonl``."""

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
    """One scan of areas of one schedule."""

    schedule: str
    """Its name."""

    due: dt.datetime
    """When the schedule asked for it, UTC; after downtime the latest of the times that were missed."""

    started: dt.datetime
    """UTC."""

    ended: dt.datetime
    """UTC."""

    run_id: str | None
    """Of the scan; None where there was none."""

    areas: Mapping[str, str] = field(default_factory=dict)
    """Area to why it was not scanned, in one line; '' where it was.  None: the schedule has no area."""

    what_if: bool = False
    """True where the schedule's pipeline is not the areas' own: written apart, and nobody is told."""

    @property
    def failed(self) -> dict[str, str]:
        """The areas that were not scanned, and why."""
        return {aoi: reason for aoi, reason in self.areas.items() if reason}


def append_runs(workspace: Workspace, rounds: Iterable[ScheduledRun]) -> None:
    """Write rounds down; they are on the disk when this returns.  Raises WorkspaceError."""
    lines = [json.dumps(describe_run(one), ensure_ascii=False) for one in rounds]
    if not lines:
        return
    try:
        append_lines(workspace.run_log, lines)
    except OSError as error:
        raise WorkspaceError(f"cannot write {workspace.run_log}: {error.strerror}; check disk and permissions") from error


def append_run(workspace: Workspace, one: ScheduledRun) -> None:
    """Write one round down."""
    append_runs(workspace, [one])


def read_runs(workspace: Workspace) -> Sequence[ScheduledRun]:
    """Return all rounds in the order they were written; a line that a crash cut off is left out.  Raises WorkspaceError."""
    try:
        found, _ = read_lines(workspace.run_log, _parse)
    except OSError as error:
        raise WorkspaceError(f"{workspace.run_log} cannot be read: {error.strerror}") from error
    return found


def describe_run(one: ScheduledRun) -> dict[str, Any]:
    """Return a round as plain data, for the file and for ``--json``."""
    return {
        "schedule": one.schedule,
        "due": one.due.isoformat(),
        "started": one.started.isoformat(),
        "ended": one.ended.isoformat(),
        "run_id": one.run_id,
        "areas": dict(one.areas),
        "what_if": one.what_if,
    }


def _parse(value: Any) -> ScheduledRun:
    due, started, ended = (dt.datetime.fromisoformat(value[name]).astimezone(dt.UTC) for name in ("due", "started", "ended"))
    areas = {str(aoi): str(reason) for aoi, reason in value["areas"].items()}
    run_id = value["run_id"]
    return ScheduledRun(
        str(value["schedule"]), due, started, ended, run_id and str(run_id), areas, bool(value.get("what_if", False))
    )
