"""Checks evidence: each file against the manifest, the manifest against signature and log, the pixels against the source."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from minewatch.core.errors import EvidenceError
from minewatch.core.files import list_names
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.text import count_of, show
from minewatch.core.workspace import CUSTODY, DECISIONS, EVIDENCE, MARKER
from minewatch.products.evidence.custody_log import CustodyLog, check_custody, parse_custody, read_custody
from minewatch.products.evidence.encryption import decrypt, is_encrypted
from minewatch.products.evidence.evidence_files import (
    LARGEST_TEXT,
    EvidenceFiles,
    compare_files,
    open_folder,
    open_zip,
    select_subfolder,
)
from minewatch.products.evidence.manifest import MANIFEST, SIGNATURE, UNLISTED, read_manifest
from minewatch.products.evidence.refetch import Sources, compare_with_source
from minewatch.products.evidence.signing import is_signed
from minewatch.products.evidence.timestamp_checks import (
    StampFindings,
    TrustedAuthorities,
    check_evidence_stamp,
    check_log_stamps,
    hash_log_lines,
)

BUNDLE_MANIFEST, BUNDLE_SIGNATURE, CHECKSUMS = "pack.json", "pack.sig", "SHA256SUMS"
"""Files of an export bundle beside evidence and log: its manifest, the signature of that, and the hashes for sha256sum."""


@dataclass(frozen=True)
class TrustAnchors:
    """What evidence is checked against, besides its own manifest."""

    public_key: str | None = None
    """Base64 of the key that should have signed; None = the one that the manifest names."""

    fetch: bool = False
    """True to read the pixels from the source again."""

    sources: Sources = field(default_factory=Sources)
    """The only sources that pixels are read from."""

    log: Path | None = None
    """The custody log of the user's own workspace; the source that evidence in it names is trusted."""

    identity: Path | None = None
    """File of the private key that opens an encrypted bundle."""

    authorities: TrustedAuthorities = field(default_factory=TrustedAuthorities)
    """Who is trusted to tell the time."""


@dataclass(frozen=True)
class VerificationResult:
    """The result of checking a folder, a bundle or a log."""

    path: Path
    """What was checked."""

    alert_id: str = ""
    """Of the evidence; '' for a log."""

    manifest: str = ""
    """SHA-256 of its manifest; '' where there is none."""

    faults: tuple[str, ...] = ()
    """What is wrong; none where all is as it was written."""

    unknown: tuple[str, ...] = ()
    """What should have been checked and could not be."""

    notes: tuple[str, ...] = ()
    """What a person should know."""

    log: Path | None = None
    """The custody log in which the check is to be recorded; None where there is none beside it."""


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
    if (path / BUNDLE_MANIFEST).exists():
        return [_verify_bundle(path, open_folder(path), trust)]
    if (path / MANIFEST).exists():
        return [_verify_folder(path, trust)]
    output = path.parent if path.name == EVIDENCE else path
    if (output / EVIDENCE).is_dir() or (output / CUSTODY).is_file():
        return _verify_output(output, trust)
    if path.parent.name == EVIDENCE:  # a folder whose manifest is gone
        return [_verify_folder(path, trust)]
    raise EvidenceError(f"{path} holds no evidence; give a folder of evidence, a pack, or a workspace that was scanned")


def _verify_file(path: Path, trust: TrustAnchors) -> VerificationResult:
    if path.name == CUSTODY:
        return _verify_log(path, trust)
    if is_encrypted(path):
        if trust.identity is None:
            raise EvidenceError(f"{path} is encrypted; give the file of your private key as --identity")
        return _verify_zip(path, io.BytesIO(decrypt(path, trust.identity)), trust)
    try:
        with path.open("rb") as file:
            return _verify_zip(path, file, trust)
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}") from error


def _verify_output(output: Path, trust: TrustAnchors) -> list[VerificationResult]:
    folder, log = output / EVIDENCE, output / CUSTODY
    names = sorted(name for name in list_names(folder) if not name.startswith(TEMPORARY_PREFIX))
    checks = [_verify_folder(folder / name, trust) for name in names]
    made = {line.entry.alert_id for line in read_custody(log).lines if line.entry.action == "made"}
    missing = tuple(f"evidence of {show(name)}: the folder is missing" for name in sorted(made - set(names)))
    chain = _verify_log(log, trust)
    decisions = _check_decision_stamps(output / DECISIONS, trust)
    faults, notes = (*chain.faults, *missing, *decisions.faults), (*chain.notes, *decisions.notes)
    return [*checks, replace(chain, faults=faults, notes=notes, unknown=(*chain.unknown, *decisions.unknown))]


def _check_decision_stamps(log: Path, trust: TrustAnchors) -> StampFindings:
    try:
        return check_log_stamps(log, hash_log_lines(log), trust.authorities)
    except OSError as error:
        return StampFindings(unknown=(f"{log.name} cannot be read: {error.strerror}",))


def _verify_log(log: Path, trust: TrustAnchors) -> VerificationResult:
    lines = read_custody(log).lines
    stamps = check_log_stamps(log, {line.number: line.sha256 for line in lines}, trust.authorities)
    faults, notes = (*check_custody(log), *stamps.faults), (count_of(len(lines), "line"), *stamps.notes)
    return VerificationResult(log, faults=faults, unknown=stamps.unknown, notes=notes)


# --- a folder --------------------------------------------------------------------------------------------------------


def _verify_folder(folder: Path, trust: TrustAnchors) -> VerificationResult:
    log = folder.parent.parent / CUSTODY if folder.parent.name == EVIDENCE else None
    if not folder.is_dir() or folder.is_symlink():
        return VerificationResult(
            folder, show(folder.name), faults=(f"{show(folder.name)}: was added; evidence is a folder, and no link",)
        )
    try:
        files = open_folder(folder)
        found = verify_files(files, trust, read_custody(log) if log else None, is_own=log is not None and log == trust.log)
    except EvidenceError as error:
        return VerificationResult(folder, folder.name, faults=(str(error),))
    faults = list(found.faults)
    if found.alert_id and log and found.alert_id != folder.name:
        faults.append(f"the folder is called {show(folder.name)}, and the manifest is of {show(found.alert_id)}: it was renamed")
    return VerificationResult(
        folder, found.alert_id or folder.name, found.manifest, tuple(faults), found.unknown, found.notes, log
    )


def _compare_with_log(alert_id: str, digest: str, log: CustodyLog) -> list[str]:
    """Return a line where the log names another manifest: one can be made anew, with all its hashes."""
    made = [line.entry.manifest for line in log.lines_of(alert_id) if line.entry.action == "made"]
    if not made:
        return [f"{MANIFEST}: no line of the custody log says that it was made"]
    return [] if made[-1] == digest else [f"{MANIFEST}: was changed: it is not the one that the custody log names"]


def verify_files(
    files: EvidenceFiles, trust: TrustAnchors, log: CustodyLog | None = None, *, is_own: bool = False
) -> VerificationResult:
    """Check the files of one piece of evidence, and what a log says of it; ``is_own``: it is the user's own log."""
    try:
        manifest, data = read_manifest(files)
    except EvidenceError as error:
        return VerificationResult(Path(), faults=(str(error), *files.irregular))
    alert_id, digest = manifest["alert_id"], hashlib.sha256(data).hexdigest()
    log_faults = _compare_with_log(alert_id, digest, log) if log else []
    faults = compare_files(files, manifest["files"], UNLISTED)
    notes, unknown = _check_signature(files, MANIFEST, SIGNATURE, manifest, data, trust, faults)
    stamp = check_evidence_stamp(files, data, trust.authorities)
    faults, unknown, notes = [*faults, *stamp.faults], [*unknown, *stamp.unknown], [*notes, *stamp.notes]
    if trust.fetch:
        try:
            differing = compare_with_source(files, manifest, trust.sources, is_own=is_own and not log_faults)
            faults += differing
            notes += [] if differing else ["the source gives the same pixels today"]
        except EvidenceError as error:
            unknown.append(f"the pixels were not compared: {error}")
    return VerificationResult(Path(), alert_id, digest, (*faults, *log_faults), tuple(unknown), tuple(notes))


def _check_signature(
    files: EvidenceFiles,
    name: str,
    signature: str,
    manifest: Mapping[str, Any],
    data: bytes,
    trust: TrustAnchors,
    faults: list[str],
) -> tuple[list[str], list[str]]:
    """Check who signed a manifest: add to the faults, and return notes and what could not be checked."""
    key = manifest.get("signed_with")
    if not isinstance(key, dict):
        if trust.public_key:
            faults.append(f"{name}: is not signed")
        elif signature in files.names:
            faults.append(f"{signature}: was added")
        return ([] if trust.public_key else [f"{name} is not signed"]), []
    if signature not in files.names:
        faults.append(f"{signature}: is missing")
        return [], []
    stated = str(key.get("public_key", ""))
    try:
        fits = is_signed(data, files.read(signature, LARGEST_TEXT), trust.public_key or stated)
    except EvidenceError as error:
        return [], [f"the signature was not checked: {error}"]
    if not fits:
        other = trust.public_key not in (None, stated)
        faults.append(f"{signature}: is not of the key that was given" if other else f"{signature}: does not fit {name}")
        return [], []
    doubt = "" if trust.public_key else "; whose key it is can only be checked with --public-key"
    return [f"{name} is signed with key {show(key.get('fingerprint', ''))}{doubt}"], []


# --- an export bundle ------------------------------------------------------------------------------------------------


def _verify_zip(path: Path, file: BinaryIO, trust: TrustAnchors) -> VerificationResult:
    try:
        files = open_zip(file)
    except EvidenceError as error:
        raise EvidenceError(f"{path} is no pack: {error}") from error
    return _verify_bundle(path, files, trust)


def _verify_bundle(path: Path, whole: EvidenceFiles, trust: TrustAnchors) -> VerificationResult:
    ending = f"/{BUNDLE_MANIFEST}"
    tops = (name.removesuffix(BUNDLE_MANIFEST) for name in sorted(whole.names) if name.count("/") == 1 and name.endswith(ending))
    top = "" if BUNDLE_MANIFEST in whole.names else next(tops, "")  # an unpacked folder, or the ZIP as it came
    files = select_subfolder(whole, top)
    try:
        manifest, data = read_manifest(files, BUNDLE_MANIFEST)
    except EvidenceError as error:
        return VerificationResult(path, faults=(str(error), *whole.irregular))
    outside = (f"{show(name)}: was added" for name in sorted(whole.names) if not name.startswith(top))
    unlisted = frozenset({BUNDLE_MANIFEST, BUNDLE_SIGNATURE, CHECKSUMS})
    faults = [*whole.irregular, *outside, *compare_files(files, manifest["files"], unlisted)]
    notes, unknown = _check_signature(files, BUNDLE_MANIFEST, BUNDLE_SIGNATURE, manifest, data, trust, faults)
    inner = TrustAnchors(None, trust.fetch, trust.sources, authorities=trust.authorities)
    found = verify_files(select_subfolder(files, f"{EVIDENCE}/"), inner)
    if top and found.alert_id and {top.rstrip("/"), manifest["alert_id"]} != {found.alert_id}:
        names = f"{show(top)}, its list is of {show(manifest['alert_id'])}, its evidence of {show(found.alert_id)}"
        faults.append(f"the pack's folder is {names}: it was put together from several")
    faults += _check_log_lines(files, manifest, found)
    every = dict.fromkeys([*faults, *(f"{EVIDENCE}/{fault}" for fault in found.faults)])
    return VerificationResult(
        path, manifest["alert_id"], found.manifest, tuple(every), (*unknown, *found.unknown), (*notes, *found.notes)
    )


def _check_log_lines(files: EvidenceFiles, manifest: Mapping[str, Any], found: VerificationResult) -> list[str]:
    """Check the log lines in a bundle: their hashes, the chain between neighbours, the alert that they are about."""
    if CUSTODY not in files.names:
        return [] if CUSTODY in manifest["files"] else [f"{CUSTODY}: is missing"]  # else compare_files has named it
    try:
        log = parse_custody(files.read(CUSTODY, LARGEST_TEXT))
    except EvidenceError as error:
        return [str(error)]
    stated = manifest.get("custody")
    faults = []
    if stated != [{"number": line.entry.number, "sha256": line.sha256} for line in log.lines]:
        faults.append(f"{CUSTODY}: its lines are not those that {BUNDLE_MANIFEST} lists")
    if any(line.entry.alert_id != manifest["alert_id"] for line in log.lines):
        faults.append(f"{CUSTODY}: a line is about something else")
    for before, after in zip(log.lines, log.lines[1:], strict=False):
        if after.entry.number == before.entry.number + 1 and after.entry.previous != before.sha256:
            faults.append(f"{CUSTODY}: lines {before.entry.number} and {after.entry.number} are not chained")
    return faults + (_compare_with_log(found.alert_id, found.manifest, log) if found.manifest else [])
