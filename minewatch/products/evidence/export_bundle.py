"""Writes export bundles (``minewatch evidence pack``): the evidence of an alert and its custody log lines as one ZIP."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from minewatch import __version__
from minewatch.core.errors import EvidenceError, MinewatchError, describe
from minewatch.core.files import make_private_folder, publish_bytes
from minewatch.core.text import render_json
from minewatch.core.workspace import CUSTODY, EVIDENCE, Workspace
from minewatch.products.evidence.bundle_check import BUNDLE_MANIFEST, BUNDLE_SIGNATURE, CHECKSUMS
from minewatch.products.evidence.custody_log import current_user, read_custody, record_custody
from minewatch.products.evidence.encryption import SUFFIX, encrypt, read_recipients
from minewatch.products.evidence.evidence_files import describe_data, open_folder
from minewatch.products.evidence.folder_writer import find_signer
from minewatch.products.evidence.lookup import find_evidence
from minewatch.products.evidence.manifest import FORMAT, encode_signature
from minewatch.products.evidence.signing import Signer
from minewatch.products.evidence.verification import TrustAnchors, verify_path


def write_export_bundle(
    workspace: Workspace, alert_id: str, folder: Path | None = None, key: Path | None = None, recipients: Sequence[str] = ()
) -> Path:
    """Write the evidence of an alert as one ZIP, record it in the custody log, and return the path of the ZIP.

    With recipients (public keys, or files of them) the ZIP is encrypted for them; the plain one is never on disk.
    Raises EvidenceError where there is no evidence, or it is not as it was written: damaged evidence is not handed over.
    """
    source = find_evidence(workspace, alert_id)
    name, signer, readers = source.name, find_signer(workspace, key), read_recipients(recipients)
    (check,) = verify_path(source, TrustAnchors())
    if check.faults:
        more = f" and {len(check.faults) - 1} more" if len(check.faults) > 1 else ""
        raise EvidenceError(f"evidence of {name} is not packed, it is not as it was written: {check.faults[0]}{more}")
    path = (folder or workspace.exports) / f"{name}.zip{SUFFIX if readers else ''}"
    make_private_folder(path.parent)
    how = f"as {path.name}" + (f", encrypted for {', '.join(reader.label for reader in readers)}" if readers else "")
    record_custody(workspace.custody, "packed", name, check.manifest, how, signer=signer)
    try:
        memory = io.BytesIO()
        with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, content in sorted(_gather_files(workspace, source, signer).items()):
                archive.writestr(f"{name}/{file}", content)
        data = memory.getvalue()
        publish_bytes(path, encrypt(data, readers) if readers else data)
    except (MinewatchError, OSError) as error:
        record_custody(workspace.custody, "packed", name, check.manifest, f"as {path.name}: failed, it was not written")
        reason = describe(error) if isinstance(error, MinewatchError) else error.strerror
        raise EvidenceError(f"{path} cannot be written: {reason}") from error
    return path


def _gather_files(workspace: Workspace, source: Path, signer: Signer | None) -> dict[str, bytes]:
    """Return name to bytes: evidence, custody log lines, the bundle's manifest, its signature, and the list of hashes."""
    evidence = open_folder(source)
    files = {f"{EVIDENCE}/{name}": evidence.read(name) for name in sorted(evidence.names)}
    lines = read_custody(workspace.custody).lines_of(source.name)
    files[CUSTODY] = b"".join(line.data + b"\n" for line in lines)
    document = {
        "format": FORMAT,
        "alert_id": source.name,
        "packed": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "by": current_user(),
        "software": f"minewatch {__version__}",
        "custody": [{"number": line.entry.number, "sha256": line.sha256} for line in lines],
        "signed_with": signer.describe() if signer else None,
        "files": {name: describe_data(data) for name, data in files.items()},
    }
    files[BUNDLE_MANIFEST] = (render_json(document) + "\n").encode()
    if signer:
        files[BUNDLE_SIGNATURE] = encode_signature(signer, files[BUNDLE_MANIFEST])
    checksums = (f"{describe_data(data)['sha256']}  {name}\n" for name, data in sorted(files.items()))
    return files | {CHECKSUMS: "".join(checksums).encode()}
