"""Packs evidence into one ZIP to hand over, with the lines of the custody log that are about it."""

from __future__ import annotations

import contextlib
import datetime as dt
import zipfile
from collections.abc import Mapping
from pathlib import Path

from minewatch import __version__
from minewatch.alerts.reviews import find_alert
from minewatch.custody import read_custody, record_custody, tell_user
from minewatch.errors import AlertsError, EvidenceError
from minewatch.evidence.bundle import describe_data, open_folder
from minewatch.evidence.folder import find_signer
from minewatch.evidence.manifest import FORMAT, encode_signature
from minewatch.evidence.verification import PACK, PACK_SIGNATURE, SUMS, Trust, verify_path
from minewatch.files import TEMPORARY_PREFIX, list_names, make_private_folder, publishing
from minewatch.text import render_json
from minewatch.workspace import CUSTODY, EVIDENCE, Workspace


def find_evidence(workspace: Workspace, alert_id: str) -> Path:
    """Find the folder of an alert by any id that it has or had; raises EvidenceError where there is none."""
    folder = workspace.evidence
    names = {name for name in list_names(folder) if not name.startswith(TEMPORARY_PREFIX)}
    if alert_id in names:
        return folder / alert_id
    with contextlib.suppress(AlertsError):
        wanted = find_alert(workspace.alerts, alert_id)
        for name in sorted(names):
            with contextlib.suppress(AlertsError):
                if find_alert(workspace.alerts, name) == wanted:
                    return folder / name
    raise EvidenceError(f"there is no evidence of {alert_id!r} in {folder}; scans write it when an alert is confirmed")


def pack_evidence(workspace: Workspace, alert_id: str, folder: Path | None = None, key: Path | None = None) -> Path:
    """Write the evidence of an alert as one ZIP and note it in the log; gives the ZIP.

    Raises EvidenceError where there is none, or where it is not as it was written: damaged evidence is not handed over.
    """
    source = find_evidence(workspace, alert_id)
    name, signer = source.name, find_signer(workspace, key)
    (check,) = verify_path(source, Trust())
    if check.faults:
        more = f" and {len(check.faults) - 1} more" if len(check.faults) > 1 else ""
        raise EvidenceError(f"evidence of {name} is not packed, it is not as it was written: {check.faults[0]}{more}")
    bundle = open_folder(source)
    files = {f"{EVIDENCE}/{file}": bundle.read(file) for file in sorted(bundle.names)}
    path = (folder or workspace.exports) / f"{name}.zip"
    make_private_folder(path.parent)
    record_custody(workspace.custody, "packed", name, check.manifest, f"as {path.name}")
    lines = read_custody(workspace.custody).of(name)
    files[CUSTODY] = b"".join(line.data + b"\n" for line in lines)
    document = {
        "format": FORMAT,
        "alert_id": name,
        "packed": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "by": tell_user(),
        "software": f"minewatch {__version__}",
        "custody": [{"number": line.entry.number, "sha256": line.sha256} for line in lines],
        "signed_with": signer.describe() if signer else None,
        "files": {file: describe_data(data) for file, data in files.items()},
    }
    files[PACK] = (render_json(document) + "\n").encode()
    if signer:
        files[PACK_SIGNATURE] = encode_signature(signer, files[PACK])
    sums = (f"{describe_data(data)['sha256']}  {file}\n" for file, data in sorted(files.items()))
    files[SUMS] = "".join(sums).encode()
    try:
        _write_zip(path, name, files)
    except EvidenceError:
        record_custody(workspace.custody, "packed", name, check.manifest, f"as {path.name}: failed, there is no such pack")
        raise
    return path


def _write_zip(path: Path, top: str, files: Mapping[str, bytes]) -> None:
    try:
        with publishing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in sorted(files.items()):
                archive.writestr(f"{top}/{name}", data)
    except OSError as error:
        raise EvidenceError(f"{path} cannot be written: {error.strerror}") from error
