"""Reads the record of a scan, ``output/runs/RUN.json``."""

from __future__ import annotations

from typing import Any

from minewatch.core.errors import RunRecordError
from minewatch.core.text import parse_json, show
from minewatch.core.workspace import Workspace


def read_run_record(workspace: Workspace, run_id: str) -> dict[str, Any] | None:
    """Return what a scan recorded; None where its record is gone.  Raises RunRecordError where it is cut off or damaged."""
    path = workspace.runs / f"{run_id}.json"
    try:
        record = parse_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise make_record_error(workspace, run_id) from error
    if not isinstance(record, dict):
        raise make_record_error(workspace, run_id)
    return record


def make_record_error(workspace: Workspace, run_id: str) -> RunRecordError:
    """Make the error for a record that does not hold what records do."""
    path = workspace.runs / f"{run_id}.json"
    return RunRecordError(f"the record of the scan {show(run_id)} cannot be read ({path} is cut off or damaged)")
