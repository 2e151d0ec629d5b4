"""Checks who signed a manifest: with which key, and whether that is a key that the user or the workspace knows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minewatch.core.errors import EvidenceError
from minewatch.core.text import show
from minewatch.products.evidence.evidence_files import EvidenceFiles
from minewatch.products.evidence.own_workspace import OwnWorkspace
from minewatch.products.evidence.signing import ALGORITHM, compute_fingerprint, is_signed

LARGEST_SIGNATURE = 2**10
"""Bytes of a signature's file; it has 129."""


@dataclass(frozen=True)
class SignatureRule:
    """Which signature a manifest must have."""

    given: str | None = None
    """Base64 of the key that the user gave; None = any."""

    own: OwnWorkspace | None = None
    """The workspace whose own evidence it is; None where it is of unknown origin."""

    is_required: bool = False
    """True if there must be one."""

    vouched: frozenset[str] = frozenset()
    """SHA-256 of own manifests from before the workspace began to sign, which the signature of its log covers."""


@dataclass(frozen=True)
class SignatureCheck:
    """What is known of a signature."""

    key: str = ""
    """Base64 of the key with which it was checked and fits; '' = none."""

    faults: tuple[str, ...] = ()
    """What is wrong with it."""

    notes: tuple[str, ...] = ()
    """Whose it is, as far as that is known."""

    unknown: tuple[str, ...] = ()
    """What should have been checked and could not be."""

    @property
    def fingerprint(self) -> str:
        """Of the key, computed from it; '' = none."""
        return compute_fingerprint(self.key) if self.key else ""


def check_signature(
    files: EvidenceFiles, names: tuple[str, str], manifest: Mapping[str, Any], data: bytes, rule: SignatureRule
) -> SignatureCheck:
    """Check the signature of a manifest; ``names`` are those of the manifest and of the signature."""
    name, signature = names
    stated = manifest.get("signed_with")
    if stated is None:
        is_vouched = hashlib.sha256(data).hexdigest() in rule.vouched
        return _check_unsigned(name, signature, rule, is_there=signature in files.names, is_vouched=is_vouched)
    if not isinstance(stated, dict) or not all(isinstance(value, str) for value in stated.values()):
        return SignatureCheck(faults=(f"{name}: does not say which key signed it",))
    if signature not in files.names:
        return SignatureCheck(faults=(f"{signature}: is missing",))
    stated_key = stated.get("public_key", "")
    key = rule.given or stated_key
    try:
        fits = is_signed(data, files.read(signature, LARGEST_SIGNATURE), key)
    except EvidenceError as error:
        return SignatureCheck(unknown=(f"the signature was not checked: {error}",))
    if not fits:
        other = rule.given not in (None, stated_key)
        return SignatureCheck(
            faults=(f"{signature}: is not of the key that was given" if other else f"{signature}: does not fit {name}",)
        )
    faults = [*_compare_statement(name, stated, key), *_compare_own(name, key, rule)]
    return SignatureCheck(key, tuple(faults), (_describe(name, key, rule),), _list_unknown(rule))


def _check_unsigned(name: str, signature: str, rule: SignatureRule, *, is_there: bool, is_vouched: bool) -> SignatureCheck:
    faults = [f"{signature}: was added"] if is_there else []
    if rule.given or rule.is_required:
        faults.append(f"{name}: is not signed")
    elif rule.own and rule.own.has_key and not is_vouched:
        faults.append(
            f"{name}: is not signed, but this workspace signs its evidence (signing_key): "
            "it was made anew, or before the key was named"
        )
    note = f"{name} is not signed" + ("; it is older than the first signature of the log, which covers it" if is_vouched else "")
    return SignatureCheck(faults=tuple(faults), notes=() if faults else (note,))


def _compare_statement(name: str, stated: Mapping[str, str], key: str) -> list[str]:
    """Return a line on each statement about the key that is not true of the key that signed."""
    fingerprint = compute_fingerprint(key)
    faults = []
    if stated.get("public_key") != key:
        faults.append(f"{name}: names another key than the one that signed it ({fingerprint})")
    if stated.get("fingerprint") != fingerprint:
        claim = show(stated.get("fingerprint", ""), 60)
        faults.append(f"{name}: says that the key's fingerprint is {claim}; that of the key that signed it is {fingerprint}")
    if stated.get("algorithm") != ALGORITHM:
        faults.append(f"{name}: says that it was signed by another method than {ALGORITHM}")
    return faults


def _compare_own(name: str, key: str, rule: SignatureRule) -> list[str]:
    if rule.given or rule.own is None or rule.own.public_key in ("", key):
        return []
    own = compute_fingerprint(rule.own.public_key)
    return [f"{name}: is signed with key {compute_fingerprint(key)}, and not with that of this workspace ({own})"]


def _list_unknown(rule: SignatureRule) -> tuple[str, ...]:
    if rule.given or rule.own is None or not rule.own.key_fault:
        return ()
    return (
        f"not checked whether this workspace's own key signed: {rule.own.key_fault}; or give its public half as --public-key",
    )


def _describe(name: str, key: str, rule: SignatureRule) -> str:
    fingerprint = compute_fingerprint(key)
    if rule.given:
        return f"{name} is signed with the key you gave, {fingerprint}"
    if rule.own and rule.own.public_key == key:
        return f"{name} is signed with the key of this workspace, {fingerprint}"
    return f"{name} is signed with key {fingerprint}; whose key it is can only be checked with --public-key"
