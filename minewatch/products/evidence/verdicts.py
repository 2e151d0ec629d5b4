"""What a check of evidence rests on, and what it ends in."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minewatch.products.evidence.evidence_files import EvidenceFiles
from minewatch.products.evidence.known_sources import Sources
from minewatch.products.evidence.timestamp_checks import TrustedAuthorities


class Verdict(enum.StrEnum):
    """What is known of what was checked, and from whom."""

    SIGNED = "signed"
    """Unchanged since it was signed with a key that the user gave."""

    RECORDED = "recorded"
    """As the log of the workspace that holds it recorded it; the log is whole."""

    CONSISTENT = "consistent"
    """It fits its own list of hashes, which anybody can write."""

    CHANGED = "changed"
    """Something was changed, added or removed, or is not signed as it should be."""

    LOG_UNKNOWN = "log-unknown"
    """It fits its own list of hashes, but the log that should vouch for it, or that goes with a bundle, is not whole."""


TRUSTED = frozenset({Verdict.SIGNED, Verdict.RECORDED})
"""The verdicts of exit code 0."""


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

    is_signature_required: bool = False
    """True if evidence or a bundle without a signature is a fault."""

    recompute: Callable[[EvidenceFiles, Mapping[str, Any]], list[str]] | None = None
    """Works out the confirmation again from the files and their manifest; returns a line on each difference."""


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
    """What is wrong with it."""

    unknown: tuple[str, ...] = ()
    """What should have been checked and could not be."""

    notes: tuple[str, ...] = ()
    """What a person should know."""

    log: Path | None = None
    """The custody log in which the check is to be recorded; None where there is none of its own workspace."""

    log_faults: tuple[str, ...] = ()
    """What is wrong with the log that should vouch for it."""

    verdict: Verdict = Verdict.CHANGED
    """What is known of it."""

    signer: str = ""
    """Fingerprint of the key that signed it, computed from that key; '' = unsigned, or the signature does not fit."""

    addenda: tuple[str, ...] = ()
    """SHA-256 of the manifests of its addenda, in their order."""

    @property
    def is_trusted(self) -> bool:
        """True if all that was asked was checked, and found as it should be."""
        return self.verdict in TRUSTED and not (self.faults or self.log_faults or self.unknown)

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        match self.verdict:
            case Verdict.SIGNED:
                return "signed by the key you gave, and unchanged"
            case Verdict.RECORDED if self.alert_id:
                return "as the log of this workspace recorded it"
            case Verdict.RECORDED:
                return "whole: each chained line fits the one before it, and its head names no line that is missing"
            case Verdict.CONSISTENT:
                how = "signed by a key you did not give" if self.signer else "unsigned"
                return f"consistent with itself, {how}: this says nothing about who wrote it"
            case Verdict.LOG_UNKNOWN:
                return "consistent with itself, but its log is NOT whole and cannot vouch for it"
            case _:
                return "NOT as it was written"


def judge(faults: object, log_faults: object, *, is_signed: bool, is_recorded: bool) -> Verdict:
    """Return the verdict: ``is_signed`` with a key that the user gave, ``is_recorded`` in a log that is whole."""
    if faults:
        return Verdict.CHANGED
    if log_faults:
        return Verdict.LOG_UNKNOWN
    if is_signed:
        return Verdict.SIGNED
    return Verdict.RECORDED if is_recorded else Verdict.CONSISTENT
