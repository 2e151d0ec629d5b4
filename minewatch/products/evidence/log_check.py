"""Checks the logs of a workspace: the custody log with the signature of its head, and the decisions that it pins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minewatch.alerts.decisions import DECISION_LOG
from minewatch.core.chain_check import ChainedLine, LogReport, examine_log
from minewatch.core.errors import EvidenceError
from minewatch.core.log_head import Seal, make_seal_message, name_head
from minewatch.core.text import count_of
from minewatch.core.workspace import CUSTODY
from minewatch.products.evidence.custody_log import CustodyEntry, CustodyLog, examine_custody
from minewatch.products.evidence.own_workspace import OwnWorkspace
from minewatch.products.evidence.signing import compute_fingerprint, is_signed
from minewatch.products.evidence.timestamp_checks import TrustedAuthorities, check_log_stamps
from minewatch.products.evidence.verdicts import TrustAnchors, Verdict, VerificationResult

MOST_PINS = 100_000
"""Decisions that a custody log may pin; people do not make more."""


@dataclass(frozen=True)
class LogCheck:
    """What a custody log is like."""

    log: CustodyLog = field(default_factory=lambda: CustodyLog((), ()))
    """Its lines on what was made."""

    faults: tuple[str, ...] = ()
    """What is wrong with it; none where it is whole."""

    unknown: tuple[str, ...] = ()
    """What should have been checked and could not be."""

    notes: tuple[str, ...] = ()
    """What a person should know."""

    pins: frozenset[tuple[int, str]] = frozenset()
    """Number and SHA-256 of decisions that must be there."""

    vouched: frozenset[str] = frozenset()
    """SHA-256 of the manifests that were made before this workspace began to sign, and that its signature of the log covers.

    A line that is added later, and signed with the others by the next scan, is none of them.
    """


def check_log(path: Path, trust: TrustAnchors, own: OwnWorkspace | None, *, has_evidence: bool = False) -> LogCheck:
    """Check a custody log; ``has_evidence``: there is evidence, of which a log must tell."""
    pins: set[tuple[int, str]] = set()
    sealed: list[int] = []

    def keep(entry: CustodyEntry) -> bool:
        if entry.decisions and len(pins) < MOST_PINS:
            pins.add(entry.decisions)
        if entry.sealed_by:
            sealed[:] = [*sealed[:1], entry.number] if sealed else [entry.number]
        return entry.action in ("made", "extended", "packed", "exported", "reported")

    try:
        log, report = examine_custody(path, keep)
    except EvidenceError as error:
        return LogCheck(faults=(str(error),))
    faults = list(report.faults)
    if has_evidence and not report.count:
        faults.append(f"the custody log is missing, though there is evidence: {path.name} was deleted or emptied")
    check, stamps = _check_seal(report, sealed, trust, own), check_log_stamps(path, trust.authorities)
    faults += [*check.faults, *stamps.faults]
    is_own = own is not None and report.head and report.head.seal and report.head.seal.public_key == own.public_key
    first = sealed[0] if is_own and sealed and not (faults or check.unknown) else 0
    vouched = frozenset(line.entry.manifest for line in log.lines if line.entry.number < first)
    notes, unknown = (count_of(report.count, "line"), *check.notes, *stamps.notes), (*check.unknown, *stamps.unknown)
    return LogCheck(log, tuple(faults), unknown, notes, frozenset(pins), vouched)


def _check_seal(report: LogReport, sealed: Sequence[int], trust: TrustAnchors, own: OwnWorkspace | None) -> LogCheck:
    """Check the signature of a head; ``sealed``: first and last entry that says that the head was signed with it."""
    name, head = name_head(Path(CUSTODY)).name, report.head
    seal = head.seal if head else None
    due = max((number for number in sealed if head and number <= head.number), default=0)  # a crash may have come before it
    if seal is None or seal.number < due:
        return _judge_unsigned(name, due, trust, own) if report.count else LogCheck()
    if not report.is_seal_found:
        return LogCheck(faults=(f"custody log, entry {seal.number}: is not the one that was signed in {name}; it was changed",))
    message = make_seal_message(CUSTODY, seal.number, seal.sha256)
    try:
        if is_signed(message, seal.signature.encode("ascii", "replace"), seal.public_key):
            return _describe_seal(seal, report.last[0] - seal.number, trust, own)
    except EvidenceError as error:
        return LogCheck(unknown=(f"the signature of {name} was not checked: {error}",))
    return LogCheck(faults=(f"{name}: its signature does not fit it",))


def _judge_unsigned(name: str, due: int, trust: TrustAnchors, own: OwnWorkspace | None) -> LogCheck:
    """Return what it means that a head is not signed; ``due``: the last entry with which it should be, 0 = none."""
    if due:
        return LogCheck(faults=(f"{name}: its signature is missing, though entry {due} says that it was signed",))
    if trust.is_signature_required:
        return LogCheck(faults=(f"{name}: is not signed",))
    has_key = own is not None and own.has_key
    return LogCheck(notes=(f"{name} is not signed; the next scan or pack that writes evidence signs it",) if has_key else ())


def _describe_seal(seal: Seal, later: int, trust: TrustAnchors, own: OwnWorkspace | None) -> LogCheck:
    """Return whose signature it is; ``later``: how many lines came after the one that was signed."""
    name, fingerprint = name_head(Path(CUSTODY)).name, compute_fingerprint(seal.public_key)
    known = {key for key in (trust.public_key, own.public_key if own else "") if key}
    if known and seal.public_key not in known:
        return LogCheck(faults=(f"{name}: is signed with key {fingerprint}, which is not the one it should be",))
    whose = "" if known else "; whose key it is can only be checked with --public-key"
    after = f" ({count_of(later, 'line')} came after it)" if later else ""
    return LogCheck(notes=(f"{name} is signed up to entry {seal.number}{after}, with key {fingerprint}{whose}",))


def check_decisions(path: Path, pins: frozenset[tuple[int, str]], authorities: TrustedAuthorities) -> VerificationResult | None:
    """Check the decisions of people; ``pins``: those that the custody log names.  None where there are none, nor were."""
    missing = dict.fromkeys(sorted(pins))

    def visit(line: ChainedLine) -> None:
        missing.pop((line.number, line.sha256), None)

    try:
        report = examine_log(path, DECISION_LOG, visit)
    except OSError as error:
        return VerificationResult(path, faults=(f"{path.name} cannot be read: {error.strerror}",))
    if not (report.exists or report.head or pins):
        return None
    stamps = check_log_stamps(path, authorities)
    faults = [*report.faults, *stamps.faults]
    if missing:
        number = next(iter(missing))[0]
        faults.append(f"decisions, entry {number}: the custody log names another one, or it was removed")
    notes = [count_of(report.count + report.unchained, "line")]
    if report.unchained:
        notes.append(f"lines 1 to {report.unchained} are of an earlier version: {_describe_unchained(report)}")
    result = VerificationResult(path, faults=tuple(faults), unknown=stamps.unknown, notes=(*notes, *stamps.notes))
    return replace(result, verdict=Verdict.CHANGED if faults else Verdict.RECORDED)


def _describe_unchained(report: LogReport) -> str:
    if report.count:
        return "they were not chained when they were written, and are as they were when the first chained line followed them"
    return "they are not chained, so that a change in them cannot be seen"
