"""Finds evidence by the ids of its alert, and notes in the log that it left with an export or a report."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

from minewatch.alerts.reviews import find_alert
from minewatch.core.errors import AlertsError, EvidenceError, MinewatchError, describe
from minewatch.core.files import list_names
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import record_all
from minewatch.products.evidence.manifest import MANIFEST


def list_evidence(workspace: Workspace) -> set[str]:
    """Name the folders of evidence; those that are not finished do not count."""
    return {name for name in list_names(workspace.evidence) if not name.startswith(TEMPORARY_PREFIX)}


def find_evidence(workspace: Workspace, alert_id: str) -> Path:
    """Find the folder of an alert by any id that it has or had; raises EvidenceError where there is none."""
    folder, names = workspace.evidence, list_evidence(workspace)
    if alert_id in names:
        return folder / alert_id
    with contextlib.suppress(AlertsError):
        wanted = find_alert(workspace.alerts, alert_id)
        for name in sorted(names):
            if _follow(workspace, name) == wanted:
                return folder / name
    raise EvidenceError(f"there is no evidence of {alert_id!r} in {folder}; scans write it when an alert is confirmed")


def _follow(workspace: Workspace, name: str) -> str:
    """Return the id that the alert of a folder has now; '' where the table has it no more."""
    with contextlib.suppress(AlertsError):
        return find_alert(workspace.alerts, name)
    return ""


def note_export(workspace: Workspace, alert_ids: Iterable[str], detail: str) -> list[str]:
    """Note in the log that alerts left the workspace, for each that has evidence; ``detail`` says in which files.

    What was written stands also where the log cannot be: the files are out by then, and only a line that says so helps.
    Gives the lines that a person should read: none, or why there is no note.
    """
    try:
        ids, names = set(alert_ids), list_evidence(workspace)
        # Only where some alerts have no folder of their name can one of them have been renamed.
        renamed = {name for name in names - ids if _follow(workspace, name) in ids - names} if ids - names else set()
        left = sorted((names & ids) | renamed)
        if left:
            record_all(workspace.custody, "exported", {name: _hash_manifest(workspace.evidence / name) for name in left}, detail)
    except MinewatchError as error:
        return [f"the export is not in the custody log: {describe(error)}"]
    return []


def _hash_manifest(folder: Path) -> str:
    """Return the SHA-256 of a manifest; '' where it cannot be read, which is for ``minewatch verify`` to tell."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
