"""Signs manifests with a person's Ed25519 key (RFC 8032), and checks signatures with the public key.

The package cryptography, which the extra ``evidence`` brings, is loaded only where a key is used.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from minewatch.core.errors import EvidenceError

KEY_VARIABLE = "MINEWATCH_KEY_PASSPHRASE"
"""Environment variable with the passphrase of a key that has one."""

FORMAT_HINT = "give a PEM or OpenSSH file"


@dataclass(frozen=True)
class Signer:
    """A private key that is ready to sign."""

    public_key: str
    """Base64 of its 32 bytes."""

    sign: Callable[[bytes], bytes]
    """Bytes to the 64 bytes of their signature."""

    def describe(self) -> dict[str, str]:
        """Return what the signed manifest says of the key; the fingerprint is the first half of the SHA-256 of its bytes."""
        digest = hashlib.sha256(base64.b64decode(self.public_key)).hexdigest()
        return {"algorithm": "Ed25519", "public_key": self.public_key, "fingerprint": digest[:32]}


def read_signer(path: Path) -> Signer:
    """Read a private key, PEM (PKCS 8) or OpenSSH; raises EvidenceError where it is no Ed25519 key that can be opened."""
    library = _load("serialization")
    data, secret = _read(path, "signing key"), _read_passphrase()
    load = library.load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else library.load_pem_private_key
    with _opening(f"signing key {path}", f"{FORMAT_HINT}, and its passphrase, if it has one, in {KEY_VARIABLE}"):
        key = load(data, secret)
    if not isinstance(key, _load("asymmetric.ed25519").Ed25519PrivateKey):
        raise EvidenceError(f"signing key {path} is no Ed25519 key; make one with: ssh-keygen -t ed25519")
    return Signer(_encode(key.public_key()), key.sign)


def read_public_key(path: Path) -> str:
    """Read a public key, PEM or OpenSSH, as base64 of its bytes; raises EvidenceError where it is none."""
    library = _load("serialization")
    data = _read(path, "public key")
    with _opening(f"public key {path}", FORMAT_HINT):
        key = (library.load_ssh_public_key if data.startswith(b"ssh-") else library.load_pem_public_key)(data)
    if not isinstance(key, _load("asymmetric.ed25519").Ed25519PublicKey):
        raise EvidenceError(f"public key {path} is no Ed25519 key")
    return _encode(key)


def unlock_identity(path: Path) -> bytes:
    """Return an OpenSSH private key without its passphrase; raises EvidenceError where that fails."""
    library = _load("serialization")
    data, secret = _read(path, "private key"), _read_passphrase()
    try:
        key = library.load_ssh_private_key(data, secret)
        return bytes(key.private_bytes(library.Encoding.PEM, library.PrivateFormat.OpenSSH, library.NoEncryption()))
    except _key_faults():
        raise EvidenceError(f"private key {path} is locked: put its passphrase in {KEY_VARIABLE}") from None


def is_signed(data: bytes, signature: bytes, public_key: str) -> bool:
    """True if a signature, in hexadecimal digits, is that of this key for these bytes.

    Raises EvidenceError where the package cryptography is not installed.
    """
    library = _load("asymmetric.ed25519")
    try:
        key = library.Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
        key.verify(bytes.fromhex(signature.decode("ascii")), data)
    except (import_module("cryptography.exceptions").InvalidSignature, ValueError):
        return False
    return True


def _load(part: str) -> Any:
    """Return a part of the library; raises EvidenceError where it is not installed."""
    if importlib.util.find_spec("cryptography") is None:
        raise EvidenceError("this needs a package that is not installed; pip install 'minewatch[evidence]'")
    return import_module(f"cryptography.hazmat.primitives.{part}")


def _key_faults() -> tuple[type[Exception], ...]:
    """Return what the library raises for keys that it cannot read; their messages may quote the key, and are not shown."""
    return ValueError, TypeError, import_module("cryptography.exceptions").UnsupportedAlgorithm


@contextlib.contextmanager
def _opening(what: str, remedy: str) -> Iterator[None]:
    """Raise EvidenceError where a file holds no key that the library can open."""
    try:
        yield
    except _key_faults() as error:
        raise EvidenceError(f"{what} cannot be used ({type(error).__name__}): {remedy}") from None


def _read(path: Path, kind: str) -> bytes:
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise EvidenceError(f"{kind} {path} cannot be read: {error.strerror}") from error


def _read_passphrase() -> bytes | None:
    return os.environ.get(KEY_VARIABLE, "").encode() or None


def _encode(key: Any) -> str:
    return base64.b64encode(key.public_bytes_raw()).decode()
