"""Writes packs (``minewatch pack``): the evidence of an alert, and all that a reader of it needs, as one ZIP."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minewatch import __version__
from minewatch.core.errors import EvidenceError, MinewatchError, describe
from minewatch.core.files import make_private_folder, publish_bytes
from minewatch.core.text import render_json
from minewatch.core.workspace import CUSTODY, DECISIONS, EVIDENCE, Workspace
from minewatch.products.evidence.bundle_check import BUNDLE_MANIFEST, BUNDLE_SIGNATURE, CHECKSUMS
from minewatch.products.evidence.custody_log import CustodyLine, Handover, current_user, read_custody, record_custody
from minewatch.products.evidence.decision_lines import list_decision_lines
from minewatch.products.evidence.encryption import SUFFIX, Recipient, encrypt, read_recipients
from minewatch.products.evidence.evidence_files import describe_data, is_stray, open_folder
from minewatch.products.evidence.folder_writer import find_signer
from minewatch.products.evidence.lookup import find_evidence
from minewatch.products.evidence.manifest import FORMAT, encode_signature
from minewatch.products.evidence.read_me.facts import PackContent
from minewatch.products.evidence.read_me.write import write_read_me
from minewatch.products.evidence.signing import Signer
from minewatch.products.evidence.verification import TrustAnchors, verify_path

ENDING = ".zip"
"""Of a pack."""


@dataclass(frozen=True)
class PackRequest:
    """How a pack is made, and for whom."""

    folder: Path | None = None
    """Where it is written; None = ``output/exports``."""

    key: Path | None = None
    """File of the Ed25519 key that signs it; None = the one of the settings, if any."""

    recipients: Sequence[str] = ()
    """Public keys, or files of them, that it is encrypted for."""

    handover: Handover = field(default_factory=Handover)
    """For whom and why, for the custody log and the page to read first."""

    language: str = "en"
    """Of the page to read first; one of LANGUAGES."""


@dataclass(frozen=True)
class Pack:
    """A pack that was written."""

    path: Path
    """The ZIP, or its encrypted form."""

    sha256: str
    """Of that file."""

    notes: tuple[str, ...] = ()
    """Lines that a person should read."""


def write_export_bundle(workspace: Workspace, alert_id: str, request: PackRequest | None = None) -> Pack:
    """Write the evidence of an alert as one ZIP, and record it in the custody log: before, and its hash after.

    With recipients the ZIP is encrypted for them; the plain one is never on disk.  Raises EvidenceError where there is no
    evidence, or it is not as it was written: damaged evidence is not handed over.
    """
    request = request or PackRequest()
    source = find_evidence(workspace, alert_id)
    name, signer, readers = source.name, find_signer(workspace, request.key), read_recipients(request.recipients)
    manifest = _check_evidence(source)
    path = (request.folder or workspace.exports) / f"{name}{ENDING}{SUFFIX if readers else ''}"
    make_private_folder(path.parent)
    how = f"as {path.name}" + (f", encrypted for {', '.join(reader.label for reader in readers)}" if readers else "")
    # The log's head is signed with the settings' key alone, for that is the one with which it is checked.
    seal = None if request.key else signer
    # The pack holds its own lines of the log, and so this one; its hash is known only when it is whole.
    record_custody(workspace.custody, "packed", name, manifest, how, request.handover, seal)
    try:
        files, notes = _gather_files(workspace, source, signer, request)
        out = _write(path, name, files, readers)
    except (MinewatchError, OSError) as error:
        record_custody(workspace.custody, "packed", name, manifest, f"as {path.name}: failed, it was not written")
        reason = describe(error) if isinstance(error, MinewatchError) else error.strerror
        raise EvidenceError(f"{path} cannot be written: {reason}") from error
    try:
        record_custody(workspace.custody, "packed", name, manifest, f"{how}: written", replace(request.handover, files=out), seal)
    except EvidenceError as error:
        notes = (*notes, f"the hash of the pack is not in the custody log: {describe(error)}")
    return Pack(path, out[0][1], notes)


def _check_evidence(source: Path) -> str:
    """Return the SHA-256 of the manifest; raises EvidenceError where a file is not as it was written."""
    checks = verify_path(source, TrustAnchors())
    if faults := [fault for check in checks for fault in check.faults]:
        more = f" and {len(faults) - 1} more" if len(faults) > 1 else ""
        raise EvidenceError(f"evidence of {source.name} is not packed, it is not as it was written: {faults[0]}{more}")
    return checks[0].manifest


def _write(path: Path, name: str, files: dict[str, bytes], readers: Sequence[Recipient]) -> tuple[tuple[str, str, int], ...]:
    """Write the ZIP; return name, SHA-256 and size of the file that leaves, and of the ZIP within an encrypted one."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, content in sorted(files.items()):
            archive.writestr(f"{name}/{file}", content)
    plain = memory.getvalue()
    data = encrypt(plain, readers) if readers else plain
    publish_bytes(path, data)
    every = {path.name: data} | ({f"{name}{ENDING}": plain} if readers else {})
    return tuple((file, *describe_data(content).values()) for file, content in every.items())


def _gather_files(
    workspace: Workspace, source: Path, signer: Signer | None, request: PackRequest
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Return name to bytes: page to read first, evidence, decisions, log lines, and the pack's manifest; and notes."""
    evidence = open_folder(source)
    # What file managers and GIS programs left there is no evidence, and would be a fault in a pack.
    folder = {name: evidence.read(name) for name in sorted(evidence.names) if not is_stray(name)}
    lines = read_custody(workspace.custody).lines_of(source.name)
    decisions = list_decision_lines(workspace, source.name)
    content = PackContent(
        source.name, folder, tuple(line.entry for line in lines), decisions, signer.describe() if signer else None
    )
    page, notes = write_read_me(workspace, content, request.language)
    files = {**page, **{f"{EVIDENCE}/{name}": data for name, data in folder.items()}}
    files[CUSTODY] = b"".join(line.data + b"\n" for line in lines)
    if decisions:
        files[DECISIONS] = b"".join(line + b"\n" for line in decisions)
    files[BUNDLE_MANIFEST] = _make_manifest(source.name, files, lines, signer)
    if signer:
        files[BUNDLE_SIGNATURE] = encode_signature(signer, files[BUNDLE_MANIFEST])
    checksums = (f"{describe_data(data)['sha256']}  {name}\n" for name, data in sorted(files.items()))
    return files | {CHECKSUMS: "".join(checksums).encode()}, notes


def _make_manifest(name: str, files: dict[str, bytes], lines: Sequence[CustodyLine], signer: Signer | None) -> bytes:
    document = {
        "format": FORMAT,
        "alert_id": name,
        "packed": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "by": current_user(),
        "software": f"minewatch {__version__}",
        "custody": [{"number": line.entry.number, "sha256": line.sha256} for line in lines],
        "signed_with": signer.describe() if signer else None,
        "files": {name: describe_data(data) for name, data in files.items()},
    }
    return (render_json(document) + "\n").encode()
