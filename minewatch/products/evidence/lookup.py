"""Finds the evidence of alerts by the ids that they have or had."""

from __future__ import annotations

import contextlib
from collections.abc import Set as AbstractSet
from pathlib import Path

from minewatch.alerts.rows import find_alert
from minewatch.core.errors import AlertsError, EvidenceError
from minewatch.core.files import list_names
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.text import find_nearest
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.manifest import GROWTH


def list_evidence(workspace: Workspace) -> set[str]:
    """Return the names of the folders of evidence, without unfinished ones."""
    return {name for name in list_names(workspace.evidence) if not name.startswith(TEMPORARY_PREFIX)}


def list_addenda(folder: Path) -> list[Path]:
    """Return the folders of the addenda, the earliest first."""
    return [folder / name for name in sorted(list_names(folder)) if name.startswith(GROWTH)]


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
    raise EvidenceError(f"there is no evidence of {alert_id!r} in {folder}{_suggest(workspace, alert_id, names)}")


def _suggest(workspace: Workspace, alert_id: str, names: AbstractSet[str]) -> str:
    """Return the end of an error: the id that was probably meant, else how evidence comes to be."""
    with contextlib.suppress(AlertsError):
        find_alert(workspace.alerts, alert_id)
        return "; scans write it when an alert is confirmed"
    near = find_nearest(alert_id, names)
    return f"; did you mean {near!r}?" if near else "; scans write it when an alert is confirmed"


def _find_current_id(workspace: Workspace, name: str) -> str:
    """Return the id that the alert of a folder has now; '' where the table no longer has it."""
    with contextlib.suppress(AlertsError):
        return find_alert(workspace.alerts, name)
    return ""


def find_evidence_of(workspace: Workspace, alert_ids: AbstractSet[str]) -> dict[str, str]:
    """Return the names of the folders of some alerts, and the id by which each was asked for."""
    names = list_evidence(workspace)
    found = {name: name for name in sorted(names & alert_ids)}
    if rest := alert_ids - names:
        # Only an alert without a folder of its name can have been renamed.
        current = {name: _find_current_id(workspace, name) for name in sorted(names - alert_ids)}
        found |= {name: alert_id for name, alert_id in current.items() if alert_id in rest}
    return found
