"""Checks evidence of any kind: a folder of it, a pack, a log, or all of a workspace; and says what is known of it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from minewatch.core.errors import EvidenceError, PackError
from minewatch.core.plain_file import MARKER
from minewatch.core.text import show
from minewatch.core.workspace import CUSTODY, DECISIONS, EVIDENCE
from minewatch.products.evidence.bundle_check import BUNDLE_MANIFEST, check_bundle
from minewatch.products.evidence.custody_log import examine_custody, list_evidence_names
from minewatch.products.evidence.encryption import decrypt, is_encrypted
from minewatch.products.evidence.evidence_files import open_folder, open_zip
from minewatch.products.evidence.folder_check import check_files
from minewatch.products.evidence.log_check import LogCheck, check_decisions, check_log
from minewatch.products.evidence.manifest import MANIFEST
from minewatch.products.evidence.own_workspace import OwnWorkspace, find_holder, find_own_workspace
from minewatch.products.evidence.signature_check import SignatureRule
from minewatch.products.evidence.verdicts import TrustAnchors, Verdict, VerificationResult, judge

__all__ = ["TrustAnchors", "Verdict", "VerificationResult", "verify_path"]


def verify_path(path: Path, trust: TrustAnchors) -> list[VerificationResult]:
    """Check a folder of evidence, an export bundle, a log, or everything in a workspace or output folder.

    Raises EvidenceError where the path is none of these.
    """
    path = path.absolute()
    if trust.identity and not (path.is_file() and is_encrypted(path)):
        raise EvidenceError(f"{path} is not encrypted; leave out --identity")
    if path.is_file():
        return [_verify_file(path, trust)]
    if not path.is_dir():
        raise EvidenceError(f"{path} does not exist; give a folder of evidence, a pack, or a workspace")
    if (path / MARKER).is_file():
        return _verify_output(path / "output", trust)
    if os.path.lexists(path / BUNDLE_MANIFEST):
        return [check_bundle(path, open_folder(path), trust)]
    if os.path.lexists(path / MANIFEST):  # a link too, even to nothing: it is named
        return [_verify_folder(path, trust)]
    output = path.parent if path.name == EVIDENCE else path
    if (output / EVIDENCE).is_dir() or (output / CUSTODY).is_file():
        return _verify_output(output, trust)
    if path.parent.name == EVIDENCE:  # a folder whose manifest is gone
        return [_verify_folder(path, trust)]
    raise EvidenceError(f"{path} holds no evidence; give a folder of evidence, a pack, or a workspace that was scanned")


def _verify_file(path: Path, trust: TrustAnchors) -> VerificationResult:
    if path.name == CUSTODY:
        return _describe_log(path, check_log(path, trust, find_own_workspace(path.parent)))
    if path.name == DECISIONS:
        pins = check_log(path.with_name(CUSTODY), trust, None).pins
        return check_decisions(path, pins, trust.authorities) or VerificationResult(path)
    if is_encrypted(path):
        if trust.identity is None:
            raise EvidenceError(f"{path} is encrypted; give the file of your private key as --identity")
        return _verify_zip(path, decrypt(path, trust.identity), trust)
    try:
        with path.open("rb") as file:
            return _verify_zip(path, file, trust)
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}") from error


def _verify_zip(path: Path, file: BinaryIO, trust: TrustAnchors) -> VerificationResult:
    try:
        files = open_zip(file)
    except PackError as error:
        return VerificationResult(path, faults=(f"the ZIP is not one that was packed here: {error}; it was not read further",))
    except EvidenceError as error:
        raise EvidenceError(f"{path} is no pack: {error}") from error
    return check_bundle(path, files, trust, is_recorded=_is_recorded(path, trust))


def _is_recorded(path: Path, trust: TrustAnchors) -> bool:
    """True if the log of the workspace that holds a pack, or else of the user's, is whole and names the pack's bytes."""
    own = find_holder(path)
    log = own.log if own else trust.log
    if log is None or not log.is_file():
        return False
    try:
        lines, report = examine_custody(log, lambda entry: entry.action == "packed" and bool(entry.files))
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except (EvidenceError, OSError):
        return False
    return not report.faults and any(digest == sha256 for line in lines.lines for _, sha256, _ in line.entry.files)


# --- a workspace -----------------------------------------------------------------------------------------------------


def _verify_output(output: Path, trust: TrustAnchors) -> list[VerificationResult]:
    own, names = find_own_workspace(output), list_evidence_names(output)
    log = check_log(output / CUSTODY, trust, own, has_evidence=bool(names))
    checks = [_check_folder(output / EVIDENCE / name, trust, own, log) for name in names]
    made = {line.entry.alert_id for line in log.log.lines if line.entry.action == "made"}
    missing = tuple(f"evidence of {show(name)}: the folder is missing" for name in sorted(made - set(names)))
    decisions = check_decisions(output / DECISIONS, log.pins, trust.authorities)
    chain = _describe_log(output / CUSTODY, replace(log, faults=(*log.faults, *missing)))
    return [*checks, chain, *([decisions] if decisions else [])]


def _describe_log(path: Path, log: LogCheck) -> VerificationResult:
    verdict = Verdict.CHANGED if log.faults else Verdict.RECORDED
    return VerificationResult(path, faults=log.faults, unknown=log.unknown, notes=log.notes, verdict=verdict)


# --- a folder --------------------------------------------------------------------------------------------------------


def _verify_folder(folder: Path, trust: TrustAnchors) -> VerificationResult:
    """Check one folder; only the log of a workspace that holds it is read, any other may have come with it."""
    own = find_own_workspace(folder.parent.parent) if folder.parent.name == EVIDENCE else None
    log = check_log(own.log, trust, own, has_evidence=True) if own else None
    check = _check_folder(folder, trust, own, log)
    if check.manifest:
        check = replace(check, notes=(*check.notes, *_describe_vouching(check, trust, own)))
    return replace(check, log_faults=log.faults, unknown=(*check.unknown, *log.unknown)) if log else check


def _describe_vouching(check: VerificationResult, trust: TrustAnchors, own: OwnWorkspace | None) -> list[str]:
    """Return who vouches, where that is not the workspace that the user is in, and what nobody can vouch for here."""
    if own is None:
        return [f"addenda: {len(check.addenda)}; whether there were more, only the log of the workspace that made it says"]
    return [f"this workspace is {own.root}, not the one you are in"] if trust.log and trust.log != own.log else []


def _check_folder(folder: Path, trust: TrustAnchors, own: OwnWorkspace | None, log: LogCheck | None) -> VerificationResult:
    if not folder.is_dir() or folder.is_symlink():
        return VerificationResult(
            folder, show(folder.name), faults=(f"{show(folder.name)}: was added; evidence is a folder, and no link",)
        )
    rule = SignatureRule(trust.public_key, own, trust.is_signature_required, log.vouched if log else frozenset())
    try:
        is_own = own is not None and own.log == trust.log
        found = check_files(open_folder(folder), trust, rule, log.log if log else None, is_own=is_own)
    except EvidenceError as error:
        return VerificationResult(folder, folder.name, faults=(str(error),))
    faults = list(found.faults)
    if found.alert_id and log and found.alert_id != folder.name:
        faults.append(f"the folder is called {show(folder.name)}, and the manifest is of {show(found.alert_id)}: it was renamed")
    return replace(
        found,
        path=folder,
        alert_id=found.alert_id or folder.name,
        faults=tuple(faults),
        log=own.log if own else None,
        verdict=judge(
            faults,
            log.faults if log else (),
            is_signed=bool(trust.public_key and found.signer),
            is_recorded=own is not None,
        ),
    )
