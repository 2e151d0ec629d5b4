"""Finds the lines of decisions.jsonl that are about one alert, under any id that it had."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from minewatch.alerts.rows import find_alert
from minewatch.core.errors import AlertsError, EvidenceError
from minewatch.core.workspace import Workspace


def list_decision_lines(workspace: Workspace, alert_id: str) -> tuple[bytes, ...]:
    """Return the lines, as they stand in the file, without their ends; raises EvidenceError where it cannot be read.

    A line that cannot be parsed is on no alert that is known, and left out; ``minewatch verify`` names it.
    """
    path = workspace.decisions
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
    lines = [(line, str(parse_line(line).get("alert_id", ""))) for line in data.split(b"\n") if line.strip()]
    current = _find_current_id(workspace, alert_id)
    names = {name for _, name in lines}
    same = {name for name in names if name == alert_id or (current and _find_current_id(workspace, name) == current)}
    return tuple(line for line, name in lines if name in same)


def parse_line(line: bytes) -> Mapping[str, Any]:
    """Return the fields of a line; none where it is damaged."""
    with contextlib.suppress(ValueError, RecursionError):
        document = json.loads(line)
        return document if isinstance(document, dict) else {}
    return {}


def _find_current_id(workspace: Workspace, alert_id: str) -> str:
    """Return the id that an alert has now; '' where the table has none of it."""
    with contextlib.suppress(AlertsError):
        return find_alert(workspace.alerts, alert_id) if alert_id else ""
    return ""
