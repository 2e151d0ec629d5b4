"""What is on file about alerts: their folders of evidence."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from minewatch.core.errors import AlertsError, EvidenceError
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.lookup import find_evidence, list_addenda
from minewatch.products.evidence.manifest import MANIFEST
from minewatch.products.evidence.stages import FAULTS, read_day_of, read_stage
from minewatch.products.report.report_facts import AFTER, BEFORE, EvidenceFacts


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
    for addendum in list_addenda(folder):
        if (path := addendum / MANIFEST).is_file():
            manifests[f"{folder.name}/{addendum.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        manifest = json.loads(data)
        dates = {name: read_day_of(manifest["images"][name]) for name in (BEFORE, AFTER) if name in manifest["images"]}
        version = int(manifest["format"])
    except FAULTS:
        return EvidenceFacts(folder.name, manifests, {}, None)
    return EvidenceFacts(folder.name, manifests, dates, read_stage(folder), version)
