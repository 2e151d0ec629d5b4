"""Finds the evidence of alerts by their ids, and logs the export of alerts that have evidence."""

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
from minewatch.products.evidence.custody_log import record_custody_of_all
from minewatch.products.evidence.manifest import MANIFEST


def list_evidence(workspace: Workspace) -> set[str]:
    """Return the names of the folders of evidence, without unfinished ones."""
    return {name for name in list_names(workspace.evidence) if not name.startswith(TEMPORARY_PREFIX)}


def find_evidence(workspace: Workspace, alert_id: str) -> Path:
    """Return the folder of an alert by any id that it has or had; raises EvidenceError where there is none."""
    folder, names = workspace.evidence, list_evidence(workspace)
    if alert_id in names:
        return folder / alert_id
    with contextlib.suppress(AlertsError):
        current = find_alert(workspace.alerts, alert_id)
        for name in sorted(names):
            if _find_current_id(workspace, name) == current:
                return folder / name
    raise EvidenceError(f"there is no evidence of {alert_id!r} in {folder}; scans write it when an alert is confirmed")


def _find_current_id(workspace: Workspace, name: str) -> str:
    """Return the id that the alert of a folder has now; '' where the table no longer has it."""
    with contextlib.suppress(AlertsError):
        return find_alert(workspace.alerts, name)
    return ""


def log_export(workspace: Workspace, alert_ids: Iterable[str], detail: str) -> list[str]:
    """Record in the custody log that alerts with evidence left the workspace; ``detail`` says in which files.

    The files are written by then, so a log that cannot be written is no error: return what a person should read about it.
    """
    try:
        ids, names = set(alert_ids), list_evidence(workspace)
        # Only an alert without a folder of its name can have been renamed.
        renamed = {name for name in names - ids if _find_current_id(workspace, name) in ids - names} if ids - names else set()
        if manifests := {name: _hash_manifest(workspace.evidence / name) for name in sorted((names & ids) | renamed)}:
            record_custody_of_all(workspace.custody, "exported", manifests, detail)
    except MinewatchError as error:
        return [f"the export is not in the custody log: {describe(error)}"]
    return []


def _hash_manifest(folder: Path) -> str:
    """Return the SHA-256 of a manifest; '' where it cannot be read, which ``minewatch verify`` reports."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
