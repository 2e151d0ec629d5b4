"""Checks export bundles (packs): their own list, SHA256SUMS, the lines of the custody log, and the evidence in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from minewatch.core.errors import EvidenceError
from minewatch.core.text import show
from minewatch.core.workspace import CUSTODY, EVIDENCE
from minewatch.products.evidence.custody_log import CustodyLog, parse_custody
from minewatch.products.evidence.evidence_files import LARGEST_LINES, LARGEST_TEXT, EvidenceFiles, compare_files, select_subfolder
from minewatch.products.evidence.folder_check import check_files, compare_with_log
from minewatch.products.evidence.manifest import read_manifest
from minewatch.products.evidence.signature_check import SignatureRule, check_signature
from minewatch.products.evidence.verdicts import TrustAnchors, VerificationResult, judge

BUNDLE_MANIFEST, BUNDLE_SIGNATURE, CHECKSUMS = "pack.json", "pack.sig", "SHA256SUMS"
"""Files of an export bundle beside evidence and log: its manifest, the signature of that, and the hashes for sha256sum."""

UNLISTED = frozenset({BUNDLE_MANIFEST, BUNDLE_SIGNATURE, CHECKSUMS})
"""Files that the bundle's manifest cannot list."""

SUM = re.compile(r"([0-9a-f]{64})  (.+)")
"""A line of SHA256SUMS."""


def check_bundle(path: Path, whole: EvidenceFiles, trust: TrustAnchors, *, is_recorded: bool = False) -> VerificationResult:
    """Check a bundle, an unpacked folder or the ZIP as it came; ``is_recorded``: a log that is whole names its bytes."""
    ending = f"/{BUNDLE_MANIFEST}"
    tops = (name.removesuffix(BUNDLE_MANIFEST) for name in sorted(whole.names) if name.count("/") == 1 and name.endswith(ending))
    top = "" if BUNDLE_MANIFEST in whole.names else next(tops, "")
    files = select_subfolder(whole, top)
    try:
        manifest, data = read_manifest(files, BUNDLE_MANIFEST)
    except EvidenceError as error:
        return VerificationResult(path, faults=(str(error), *whole.irregular))
    comparison = compare_files(files, manifest["files"], UNLISTED)
    rule = SignatureRule(trust.public_key, None, trust.is_signature_required)
    signature = check_signature(files, (BUNDLE_MANIFEST, BUNDLE_SIGNATURE), manifest, data, rule)
    inner = TrustAnchors(None, trust.fetch, trust.sources, recompute=trust.recompute, authorities=trust.authorities)
    found = check_files(select_subfolder(files, f"{EVIDENCE}/"), inner, SignatureRule())
    log, log_faults = _read_lines(files, manifest)
    outside = (f"{show(name)}: was added" for name in sorted(whole.names) if not name.startswith(top))
    faults = dict.fromkeys(
        [
            *whole.irregular,
            *outside,
            *comparison.faults,
            *signature.faults,
            *_check_sums(files, manifest),
            *_compare_names(top, manifest["alert_id"], found.alert_id),
            *log_faults,
            *(_check_lines(log, manifest, found) if log else ()),
            *(f"{EVIDENCE}/{fault}" for fault in found.faults),
        ]
    )
    ends = tuple(_tell_unknown_ends(log)) if log else ()
    return VerificationResult(
        path,
        manifest["alert_id"],
        found.manifest,
        tuple(faults),
        (*signature.unknown, *found.unknown),
        (*signature.notes, *found.notes, *comparison.notes),
        log_faults=ends,
        verdict=judge(faults, ends, is_signed=bool(trust.public_key and signature.key), is_recorded=is_recorded),
        signer=signature.fingerprint,
        addenda=found.addenda,
    )


def _compare_names(top: str, stated: str, found: str) -> Iterator[str]:
    if top and found and {top.rstrip("/"), stated} != {found}:
        names = f"{show(top)}, its list is of {show(stated)}, its evidence of {show(found)}"
        yield f"the pack's folder is {names}: it was put together from several"


# --- SHA256SUMS ------------------------------------------------------------------------------------------------------


def _check_sums(files: EvidenceFiles, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line on each hash of SHA256SUMS that is not that of the file, and on each file that it lacks or has too many.

    Files of the manifest have been compared with it already, so that its hashes stand for them.
    """
    if CHECKSUMS not in files.names:
        yield f"{CHECKSUMS}: is missing"
        return
    try:
        lines = files.read(CHECKSUMS, LARGEST_TEXT).decode("utf-8").removesuffix("\n").split("\n")
        expected = dict(_list_sums(files, manifest))
    except (EvidenceError, UnicodeDecodeError):
        yield f"{CHECKSUMS}: was changed: it cannot be read"
        return
    parts = [SUM.fullmatch(line) for line in lines]
    stated = {part[2]: part[1] for part in parts if part}
    if not all(parts) or len(stated) != len(parts):
        yield f"{CHECKSUMS}: was changed: it has other lines than one hash for each file"
    for name in sorted(expected.keys() | stated.keys()):
        if stated.get(name) != expected.get(name):
            yield f"{CHECKSUMS}: was changed: its hash of {show(name)} is not that of the file"


def _list_sums(files: EvidenceFiles, manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield name and SHA-256 of each file that the list must have; raises EvidenceError where one cannot be read."""
    for name, stated in manifest["files"].items():
        yield name, str(stated.get("sha256")) if isinstance(stated, dict) else ""
    for name in (BUNDLE_MANIFEST, BUNDLE_SIGNATURE):
        if name in files.names:
            yield name, hashlib.sha256(files.read(name, LARGEST_TEXT)).hexdigest()


# --- the lines of the log --------------------------------------------------------------------------------------------


def _read_lines(files: EvidenceFiles, manifest: Mapping[str, Any]) -> tuple[CustodyLog | None, list[str]]:
    if CUSTODY not in files.names:
        return None, [] if CUSTODY in manifest["files"] else [f"{CUSTODY}: is missing"]  # else compare_files has named it
    try:
        return parse_custody(files.read(CUSTODY, LARGEST_LINES)), []
    except EvidenceError as error:
        return None, [str(error)]


def _check_lines(log: CustodyLog, manifest: Mapping[str, Any], found: VerificationResult) -> Iterator[str]:
    """Check the log lines in a bundle: their hashes, the chain between neighbours, the alert that they are about."""
    if manifest.get("custody") != [{"number": line.entry.number, "sha256": line.sha256} for line in log.lines]:
        yield f"{CUSTODY}: its lines are not those that {BUNDLE_MANIFEST} lists"
    if any(line.entry.alert_id != manifest["alert_id"] for line in log.lines if not line.entry.is_end_unknown):
        yield f"{CUSTODY}: a line is about something else"
    for before, after in zip(log.lines, log.lines[1:], strict=False):
        is_next = after.entry.number == before.entry.number + 1
        if is_next and after.entry.previous != before.sha256:
            yield f"{CUSTODY}: lines {before.entry.number} and {after.entry.number} are not chained"
        elif after.entry.number <= before.entry.number:
            yield f"{CUSTODY}: line {after.entry.number} comes after line {before.entry.number}; it was added or moved"
    if found.manifest:
        yield from compare_with_log(found.alert_id, found.manifest, found.addenda, log)


def _tell_unknown_ends(log: CustodyLog) -> Iterator[str]:
    for line in log.lines:
        if line.entry.is_end_unknown:
            yield (
                f"custody log, entry {line.entry.number}: the end of the log was not known on {show(line.entry.when[:10])} "
                "where this was packed; lines may have been removed"
            )
