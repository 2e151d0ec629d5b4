"""Checks the files of one piece of evidence: against its manifest, its signature, its addenda, its log, its source."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from minewatch.core.errors import EvidenceError
from minewatch.core.text import show
from minewatch.products.evidence.custody_log import CustodyLog
from minewatch.products.evidence.evidence_files import EvidenceFiles, compare_files, select_subfolder
from minewatch.products.evidence.manifest import ADDENDUM, GROWTH, MANIFEST, SIGNATURE, UNLISTED, read_manifest
from minewatch.products.evidence.signature_check import SignatureCheck, SignatureRule, check_signature
from minewatch.products.evidence.timestamp_checks import StampFindings, TrustedAuthorities, check_evidence_stamp
from minewatch.products.evidence.verdicts import TrustAnchors, VerificationResult

ACTIONS = "made", "extended"
"""Of the log's lines on evidence, and on its addenda."""


@dataclass
class _Findings:
    """What was found so far."""

    faults: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    signatures: list[SignatureCheck] = field(default_factory=list)

    def add_signature(self, check: SignatureCheck, prefix: str = "") -> None:
        """Add what is known of a signature."""
        self.signatures.append(check)
        self.faults += [prefix + fault for fault in check.faults]
        self.unknown += [line for line in check.unknown if line not in self.unknown]
        if not prefix:  # an addendum has no news: its faults are told, and it is signed with the same key or told
            self.notes += check.notes

    def add_stamp(self, check: StampFindings, prefix: str = "") -> None:
        """Add what a time stamp says."""
        self.faults += [prefix + line for line in check.faults]
        self.unknown += [prefix + line for line in check.unknown]
        self.notes += [prefix + line for line in check.notes]

    @property
    def signer(self) -> str:
        """Fingerprint of the key that signed all; '' where there is no such key."""
        keys = {check.fingerprint for check in self.signatures}
        return keys.pop() if len(keys) == 1 else ""


def check_files(
    files: EvidenceFiles, trust: TrustAnchors, rule: SignatureRule, log: CustodyLog | None = None, *, is_own: bool = False
) -> VerificationResult:
    """Check the files of one piece of evidence, and what a log says of it.

    ``is_own``: the user's own workspace made it, so that the source which it names is trusted.  The verdict is left to
    the caller.
    """
    try:
        manifest, data = read_manifest(files)
    except EvidenceError as error:
        return VerificationResult(Path(), faults=(str(error), *files.irregular))
    found, alert_id, digest = _Findings(), manifest["alert_id"], hashlib.sha256(data).hexdigest()
    folders = _list_addenda(files) if manifest["format"] > 1 else []
    main = replace(files, names=frozenset(name for name in files.names if name.split("/")[0] not in folders))
    _compare(main, manifest, found)
    found.add_signature(check_signature(files, (MANIFEST, SIGNATURE), manifest, data, rule))
    found.add_stamp(check_evidence_stamp(main, data, trust.authorities))
    addenda = _check_addenda(files, folders, (alert_id, digest), rule, found, trust.authorities)
    log_faults = compare_with_log(alert_id, digest, addenda, log) if log else []
    if recompute := trust.recompute:
        words = "recomputed from these files alone, the alert is the same", "the confirmation was not recomputed"
        _ask(found, lambda: recompute(main, manifest), words)
    if trust.fetch:
        # Loaded only here: it brings a hundred megabytes of libraries, and most checks need none of them.
        compare = importlib.import_module("minewatch.products.evidence.refetch").compare_with_source
        trusted = is_own and not log_faults
        _ask(
            found,
            lambda: compare(files, manifest, trust.sources, is_own=trusted),
            ("the source gives the same pixels today", "the pixels were not compared"),
        )
    return VerificationResult(
        Path(),
        alert_id,
        digest,
        (*found.faults, *log_faults),
        tuple(found.unknown),
        tuple(found.notes),
        signer=found.signer,
        addenda=tuple(addenda),
    )


def _compare(files: EvidenceFiles, manifest: Mapping[str, Any], found: _Findings, prefix: str = "") -> None:
    comparison = compare_files(files, manifest["files"], UNLISTED)
    found.faults += [prefix + fault for fault in comparison.faults]
    found.notes += [prefix + note for note in comparison.notes]


def _ask(found: _Findings, compare: Callable[[], list[str]], words: tuple[str, str]) -> None:
    """Add what a comparison finds; ``words`` are what is said where nothing differs, and what was not done where it fails."""
    same, not_done = words
    try:
        differing = compare()
    except EvidenceError as error:
        found.unknown.append(f"{not_done}: {error}")
        return
    found.faults += differing
    found.notes += [] if differing else [same]


# --- addenda ---------------------------------------------------------------------------------------------------------


def _list_addenda(files: EvidenceFiles) -> list[str]:
    """Return the names of the folders of addenda, by their dates."""
    tops = {name.split("/")[0] for name in files.names if "/" in name}
    return sorted(top for top in tops if ADDENDUM.fullmatch(top))


def _check_addenda(
    files: EvidenceFiles,
    folders: Sequence[str],
    main: tuple[str, str],
    rule: SignatureRule,
    found: _Findings,
    authorities: TrustedAuthorities,
) -> list[str]:
    """Check each addendum by its own manifest, and their chain to the first; return the SHA-256 of their manifests."""
    (alert_id, digest), hashes = main, [main[1]]
    for folder in folders:
        part, prefix = select_subfolder(files, f"{folder}/"), f"{folder}/"
        try:
            manifest, data = read_manifest(part)
        except EvidenceError as error:
            found.faults.append(prefix + str(error))
            continue
        if folder != f"{GROWTH}{manifest.get('as_of')}":
            found.faults.append(f"{prefix}: was renamed: its manifest is as of {show(str(manifest.get('as_of')), 12)}")
        if manifest["alert_id"] != alert_id or manifest.get("extends") != digest:
            found.faults.append(f"{prefix}{MANIFEST}: is an addendum to other evidence")
        if manifest.get("previous") != hashes[-1]:
            found.faults.append(f"{prefix}{MANIFEST}: does not follow the one before it, which was changed, added or removed")
        hashes.append(hashlib.sha256(data).hexdigest())
        _compare(part, manifest, found, prefix)
        found.add_signature(check_signature(part, (MANIFEST, SIGNATURE), manifest, data, rule), prefix)
        found.add_stamp(check_evidence_stamp(part, data, authorities), prefix)
    return hashes[1:]


# --- the log ---------------------------------------------------------------------------------------------------------


def compare_with_log(alert_id: str, digest: str, addenda: Sequence[str], log: CustodyLog) -> list[str]:
    """Return a line where the log names another manifest: one can be made anew, with all its hashes."""
    lines = [line.entry for line in log.lines_of(alert_id)]
    made, extended = ([entry.manifest for entry in lines if entry.action == action] for action in ACTIONS)
    seen = {entry.manifest for entry in lines if entry.action not in ACTIONS}
    return [*_compare_main(digest, made, seen), *_compare_addenda(addenda, extended)]


def _compare_main(digest: str, made: Sequence[str], seen: set[str]) -> Iterator[str]:
    """Compare a manifest with the lines on its making; ``seen`` are those that other lines name, such as packs."""
    if seen & set(made[:-1]):
        yield f"{MANIFEST}: was made anew after others had seen the first one, as the custody log says"
    if not made:
        yield f"{MANIFEST}: no line of the custody log says that it was made"
    elif made[-1] != digest:  # a scan that was killed between line and folder makes both again
        yield f"{MANIFEST}: was changed: it is not the one that the custody log names"


def _compare_addenda(addenda: Sequence[str], extended: Sequence[str]) -> Iterator[str]:
    for number, digest in enumerate(addenda, 1):
        if digest not in extended:
            yield f"addendum {number}: its {MANIFEST} is not one that the custody log names; it was changed or added"
    if extended and extended[-1] not in addenda:
        yield f"an addendum is missing: the custody log says that one was made ({MANIFEST} {show(extended[-1], 12)})"
