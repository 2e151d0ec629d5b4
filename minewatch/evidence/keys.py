"""Ed25519 keys by the package cryptography, which the extra ``evidence`` brings; only :mod:`signature` loads this."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_private_key,
    load_ssh_public_key,
)

from minewatch.errors import EvidenceError
from minewatch.evidence.signature import Signer

KEY_VARIABLE = "MINEWATCH_KEY_PASSPHRASE"
"""Environment variable with the passphrase of a key that has one."""

UNUSABLE = (ValueError, TypeError, UnsupportedAlgorithm)
"""What the library raises for files that hold no key, or one that it cannot open; its words may quote them."""


def read_signer(path: Path) -> Signer:
    """Read a private key, PEM (PKCS 8) or OpenSSH; raises EvidenceError where it is no Ed25519 key that can be opened."""
    data, secret = _read(path, "signing key"), os.environ.get(KEY_VARIABLE, "").encode() or None
    try:
        key = (load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key)(data, secret)
    except UNUSABLE as error:
        raise EvidenceError(
            f"signing key {path} cannot be used ({type(error).__name__}): give a PEM or OpenSSH file, "
            f"and its passphrase, if it has one, in {KEY_VARIABLE}"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise EvidenceError(f"signing key {path} is no Ed25519 key; make one with: ssh-keygen -t ed25519")
    return Signer(_encode(key.public_key()), key.sign)


def read_public_key(path: Path) -> str:
    """Read a public key, PEM or OpenSSH, as base64 of its bytes; raises EvidenceError where it is none."""
    data = _read(path, "public key")
    try:
        key = (load_ssh_public_key if data.startswith(b"ssh-") else load_pem_public_key)(data)
    except UNUSABLE as error:
        raise EvidenceError(f"public key {path} cannot be used ({type(error).__name__}): give a PEM or OpenSSH file") from None
    if not isinstance(key, Ed25519PublicKey):
        raise EvidenceError(f"public key {path} is no Ed25519 key")
    return _encode(key)


def unlock_identity(path: Path) -> bytes:
    """Read a private key of OpenSSH that has a passphrase, as it is without one; raises EvidenceError where that fails."""
    data, secret = _read(path, "private key"), os.environ.get(KEY_VARIABLE, "").encode() or None
    try:
        return load_ssh_private_key(data, secret).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    except UNUSABLE:
        raise EvidenceError(f"private key {path} is locked: put its passphrase in {KEY_VARIABLE}") from None


def is_signed(data: bytes, signature: bytes, public_key: str) -> bool:
    """Tell whether a signature, in hexadecimal digits, is that of this key for these bytes."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
        key.verify(bytes.fromhex(signature.decode("ascii")), data)
    except (InvalidSignature, ValueError):
        return False
    return True


def _read(path: Path, kind: str) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise EvidenceError(f"{kind} {path} cannot be read: {error.strerror}") from error


def _encode(key: Ed25519PublicKey) -> str:
    return base64.b64encode(key.public_bytes_raw()).decode()
