"""The heartbeat: a file and an address by which others see that the watch lives.  Its failure never stops a round."""

from __future__ import annotations

import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minewatch.core.errors import WorkspaceError, describe
from minewatch.core.files import publish_json
from minewatch.core.url_policy import is_web
from minewatch.core.workspace import Workspace
from minewatch.settings.watching import WatchTable

PATIENCE = 20.0
"""Seconds after which an address that does not answer is left alone."""


def write_heartbeat(workspace: Workspace, settings: WatchTable, facts: Mapping[str, Any]) -> list[str]:
    """Write the file and ask the address; gives a line for each that failed."""
    return [*_write(find_heartbeat(workspace, settings), facts), *_ask(settings.heartbeat_variable)]


def find_heartbeat(workspace: Workspace, settings: WatchTable) -> Path:
    """Give the path of the file."""
    return workspace.root / Path(settings.heartbeat_file).expanduser() if settings.heartbeat_file else workspace.heartbeat


def _write(path: Path, facts: Mapping[str, Any]) -> list[str]:
    try:
        publish_json(path, dict(facts))
    except (OSError, WorkspaceError) as error:
        return [f"the heartbeat was not written to {path}: {describe(error)}"]
    return []


def _ask(variable: str | None) -> list[str]:
    """Ask the address in an environment variable, for PATIENCE seconds at most; it is never shown."""
    if variable is None:
        return []
    address = os.environ.get(variable, "").strip()
    if not address:
        return [f"the heartbeat's address is not set; put it into the environment variable {variable}"]
    if not is_web(address):
        return [f"the heartbeat's address in {variable} does not begin with https:// or http://"]
    answers = ["no answer in time"]
    thread = threading.Thread(target=_knock, args=(address, answers), name="minewatch-heartbeat", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return [f"the heartbeat's address in {variable} cannot be reached: {answers[-1]}"] if answers[-1] else []


def _knock(address: str, answers: list[str]) -> None:
    """Ask an address, and add what went wrong, without the address: '' for nothing."""
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE / 2):  # noqa: S310  its scheme was looked at
            answers.append("")
    except urllib.error.HTTPError as error:
        error.close()
        answers.append(f"it answers with status {error.code}")
    except Exception as error:  # noqa: BLE001  whatever a stranger's server does
        answers.append(type(error).__name__)
