"""Signs manifests with a person's Ed25519 key (RFC 8032), and checks them with the public key.

The key is read where it lies and is never written anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minewatch.errors import EvidenceError


@dataclass(frozen=True)
class Signer:
    """A person's key, ready to sign."""

    public_key: str
    """Base64 of its 32 bytes."""

    sign: Callable[[bytes], bytes]
    """Gives the 64 bytes of a signature."""

    def describe(self) -> dict[str, str]:
        """Say, in what will be signed, with which key; people compare the first half of the SHA-256 of its bytes."""
        digest = hashlib.sha256(base64.b64decode(self.public_key)).hexdigest()
        return {"algorithm": "Ed25519", "public_key": self.public_key, "fingerprint": digest[:32]}


def read_signer(path: Path) -> Signer:
    """Read a private key, PEM (PKCS 8) or OpenSSH; raises EvidenceError where it is no Ed25519 key that can be opened."""
    signer: Signer = _load_keys().read_signer(path)
    return signer


def read_public_key(path: Path) -> str:
    """Read a public key, PEM or OpenSSH, as base64 of its bytes; raises EvidenceError where it is none."""
    return str(_load_keys().read_public_key(path))


def is_signed(data: bytes, signature: bytes, public_key: str) -> bool:
    """Tell whether a signature is that of this key for these bytes; raises EvidenceError without the package for it."""
    return bool(_load_keys().is_signed(data, signature, public_key))


def unlock_identity(path: Path) -> bytes:
    """Read a private key of OpenSSH that has a passphrase, as it is without one; raises EvidenceError where that fails."""
    return bytes(_load_keys().unlock_identity(path))


def _load_keys() -> Any:
    if importlib.util.find_spec("cryptography") is None:
        raise EvidenceError("this needs a package that is not installed; pip install 'minewatch[evidence]'")
    return importlib.import_module("minewatch.evidence.keys")
