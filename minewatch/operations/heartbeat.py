"""The sign of life of the watch: a file, and an address that is requested."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minewatch.core.errors import WorkspaceError, describe
from minewatch.core.files import publish_json
from minewatch.core.url_policy import is_web
from minewatch.core.workspace import Workspace
from minewatch.settings.watching import WatchTable

HEARTBEAT_TIMEOUT = 20.0
"""Seconds."""


def write_heartbeat(workspace: Workspace, settings: WatchTable, facts: Mapping[str, Any]) -> list[str]:
    """Write the heartbeat file and request the heartbeat address; returns a line for each that failed."""
    path, faults = find_heartbeat(workspace, settings), []
    try:
        publish_json(path, dict(facts))
    except (OSError, WorkspaceError) as error:
        faults.append(f"the heartbeat was not written to {path}: {describe(error)}")
    return [*faults, *_request_heartbeat(settings.heartbeat_variable)]


def find_heartbeat(workspace: Workspace, settings: WatchTable) -> Path:
    """Return the path of the heartbeat file."""
    return workspace.root / Path(settings.heartbeat_file).expanduser() if settings.heartbeat_file else workspace.heartbeat


def _request_heartbeat(variable: str | None) -> list[str]:
    """Request the address in an environment variable, for HEARTBEAT_TIMEOUT at most; the address is never shown."""
    if variable is None:
        return []
    address = os.environ.get(variable, "").strip()
    if not address:
        return [f"the heartbeat's address is not set; put it into the environment variable {variable}"]
    if not is_web(address):
        return [f"the heartbeat's address in {variable} does not begin with https:// or http://"]
    answers = ["no answer in time"]
    thread = threading.Thread(target=_open_address, args=(address, answers), name="minewatch-heartbeat", daemon=True)
    thread.start()
    thread.join(HEARTBEAT_TIMEOUT)
    return [f"the heartbeat's address in {variable} cannot be reached: {answers[-1]}"] if answers[-1] else []


def _open_address(address: str, answers: list[str]) -> None:
    """Request an address, and add to ``answers`` what failed, without the address; '' where nothing did."""
    from minewatch.core.http import request_status  # noqa: PLC0415  to show the state, nothing is requested

    try:
        status = request_status(address, HEARTBEAT_TIMEOUT / 2)
        answers.append("" if 200 <= status < 300 else f"it answers with status {status}")
    except OSError as error:
        answers.append(str(error))
