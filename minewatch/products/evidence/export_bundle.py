"""Packs evidence into one ZIP to hand over, with the lines of the custody log that are about it."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from minewatch import __version__
from minewatch.core.errors import EvidenceError, MinewatchError, describe
from minewatch.core.files import make_private_folder, publish_bytes
from minewatch.core.text import render_json
from minewatch.core.workspace import CUSTODY, EVIDENCE, Workspace
from minewatch.products.evidence.custody_log import current_user, read_custody, record_custody
from minewatch.products.evidence.encryption import SUFFIX, encrypt, read_recipients
from minewatch.products.evidence.evidence_files import describe_data, open_folder
from minewatch.products.evidence.folder_writer import find_signer
from minewatch.products.evidence.lookup import find_evidence
from minewatch.products.evidence.manifest import FORMAT, encode_signature
from minewatch.products.evidence.signing import Signer
from minewatch.products.evidence.verification import PACK, PACK_SIGNATURE, SUMS, TrustAnchors, verify_path


def pack_evidence(
    workspace: Workspace, alert_id: str, folder: Path | None = None, key: Path | None = None, recipients: Sequence[str] = ()
) -> Path:
    """Write the evidence of an alert as one ZIP and note it in the log; gives the ZIP.

    With recipients (public keys, or files that hold some) it is encrypted for them, and lies open nowhere on the disk.
    Raises EvidenceError where there is none, or where it is not as it was written: damaged evidence is not handed over.
    """
    source = find_evidence(workspace, alert_id)
    name, signer, people = source.name, find_signer(workspace, key), read_recipients(recipients)
    (check,) = verify_path(source, TrustAnchors())
    if check.faults:
        more = f" and {len(check.faults) - 1} more" if len(check.faults) > 1 else ""
        raise EvidenceError(f"evidence of {name} is not packed, it is not as it was written: {check.faults[0]}{more}")
    path = (folder or workspace.exports) / f"{name}.zip{SUFFIX if people else ''}"
    make_private_folder(path.parent)
    how = f"as {path.name}" + (f", encrypted for {', '.join(person.label for person in people)}" if people else "")
    record_custody(workspace.custody, "packed", name, check.manifest, how)
    try:
        data = _make_zip(name, _gather_files(workspace, source, signer))
        publish_bytes(path, encrypt(data, people) if people else data)
    except (MinewatchError, OSError) as error:
        record_custody(workspace.custody, "packed", name, check.manifest, f"as {path.name}: failed, it was not written")
        reason = describe(error) if isinstance(error, MinewatchError) else error.strerror
        raise EvidenceError(f"{path} cannot be written: {reason}") from error
    return path


def _gather_files(workspace: Workspace, source: Path, signer: Signer | None) -> dict[str, bytes]:
    """Return the files of a pack: the evidence, the log's lines on it, what lists them, and the signature of that."""
    bundle = open_folder(source)
    files = {f"{EVIDENCE}/{file}": bundle.read(file) for file in sorted(bundle.names)}
    lines = read_custody(workspace.custody).of(source.name)
    files[CUSTODY] = b"".join(line.data + b"\n" for line in lines)
    document = {
        "format": FORMAT,
        "alert_id": source.name,
        "packed": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "by": current_user(),
        "software": f"minewatch {__version__}",
        "custody": [{"number": line.entry.number, "sha256": line.sha256} for line in lines],
        "signed_with": signer.describe() if signer else None,
        "files": {file: describe_data(data) for file, data in files.items()},
    }
    files[PACK] = (render_json(document) + "\n").encode()
    if signer:
        files[PACK_SIGNATURE] = encode_signature(signer, files[PACK])
    sums = (f"{describe_data(data)['sha256']}  {file}\n" for file, data in sorted(files.items()))
    return files | {SUMS: "".join(sums).encode()}


def _make_zip(top: str, files: Mapping[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(f"{top}/{name}", data)
    return memory.getvalue()
