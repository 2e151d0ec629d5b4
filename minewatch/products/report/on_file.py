"""What is on file about the alerts of a report: their folders of evidence, and what people decided about them."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import shapely

from minewatch.alerts.decisions import Decision, read_decisions
from minewatch.core.errors import AlertsError, EvidenceError
from minewatch.core.files import list_names
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.lookup import find_evidence
from minewatch.products.evidence.manifest import MANIFEST
from minewatch.products.evidence.stages import FAULTS, GROWTH, read_stage
from minewatch.products.report.report_facts import AFTER, BEFORE, EvidenceFacts, Row


def find_all_evidence(workspace: Workspace, alert_ids: Iterable[str]) -> dict[str, EvidenceFacts]:
    """Return the evidence by alert id; alerts without a folder are absent."""
    found = {}
    for alert_id in alert_ids:
        try:
            folder = find_evidence(workspace, alert_id)
            found[alert_id] = read_evidence(folder)
        except (EvidenceError, AlertsError, OSError):
            continue
    return found


def read_evidence(folder: Path) -> EvidenceFacts:
    """Return the facts of a folder; raises OSError where its manifest cannot be read."""
    data = (folder / MANIFEST).read_bytes()
    manifests = {folder.name: hashlib.sha256(data).hexdigest()}
    for name in sorted(name for name in list_names(folder) if name.startswith(GROWTH)):
        if (path := folder / name / MANIFEST).is_file():
            manifests[f"{folder.name}/{name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        manifest = json.loads(data)
        dates = {name: _read_date(manifest["images"][name]) for name in (BEFORE, AFTER) if name in manifest["images"]}
        version = int(manifest["format"])
    except FAULTS:
        return EvidenceFacts(folder.name, manifests, {}, None)
    return EvidenceFacts(folder.name, manifests, dates, read_stage(folder), version)


def _read_date(image: Mapping[str, Any]) -> dt.date:
    return dt.datetime.fromisoformat(image["acquired"]).date()


def find_review_days(workspace: Workspace, rows: Iterable[Row]) -> dict[str, dt.date]:
    """Return the day on which the decision was made that a row shows, by alert id; those without a known one are absent."""
    try:
        decisions = read_decisions(workspace.decisions).all
    except AlertsError:
        return {}
    days = {}
    for row in rows:
        made = [decision.decided for decision in decisions if _is_shown(decision, row)]
        if row["review"] and made:
            days[str(row["alert_id"])] = max(made).date()
    return days


def _is_shown(decision: Decision, row: Row) -> bool:
    """True if a row shows a decision: about this alert, or about its ground under another id."""
    if decision.aoi != row["aoi"] or decision.columns != tuple(
        row[name] or "" for name in ("review", "review_note", "reviewed_by")
    ):
        return False
    return decision.alert_id == row["alert_id"] or bool(shapely.intersects(decision.outline, row["geometry"]))
