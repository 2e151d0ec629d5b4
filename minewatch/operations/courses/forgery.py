"""A pack that only looks like one of the neighbouring agency: other dates, and all its hashes fit again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import Handover, record_custody
from minewatch.products.evidence.evidence_files import describe_data
from minewatch.products.evidence.export_bundle import PackRequest, write_export_bundle
from minewatch.products.evidence.manifest import ALERT, MANIFEST, write_manifest

DATES = ("last_normal", "first_seen", "confirmed_on", "last_seen")
"""What the forger changes."""

LIES = ("2023", "2022")
"""The year of the dates, and the year that is put in its place: before the permit to explore was given."""


def forge_pack(workspace: Workspace, alert_id: str, folder: Path, handover: Handover) -> Path:
    """Change the dates in the evidence of a workspace, which is spoilt by that, and pack it as anybody can: without the key."""
    evidence = workspace.evidence / alert_id
    for addendum in evidence.glob("growth-*"):
        shutil.rmtree(addendum)
    document = json.loads((evidence / ALERT).read_bytes())
    properties = document["features"][0]["properties"]
    properties |= {name: str(properties[name]).replace(*LIES) for name in DATES}
    data = (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
    _rewrite(evidence / ALERT, data)
    manifest = json.loads((evidence / MANIFEST).read_bytes())
    manifest["bracket"] = {name: str(day).replace(*LIES) for name, day in manifest["bracket"].items()}
    files = manifest.pop("files") | {ALERT: describe_data(data)}
    facts = {name: value for name, value in manifest.items() if name not in ("format", "signed_with")}
    (evidence / MANIFEST).unlink()
    manifest_hash = write_manifest(evidence, facts, files, None)
    for log in workspace.output.glob("custody.*"):
        log.unlink()
    aside = workspace.evidence.rename(workspace.output / "aside")  # with evidence beside it, a new log would say that it is new
    record_custody(workspace.custody, "made", alert_id, manifest_hash)
    aside.rename(workspace.evidence)
    return write_export_bundle(workspace, alert_id, PackRequest(folder, None, (), handover)).path


def _rewrite(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)
