"""Signs manifests with a person's Ed25519 key (RFC 8032), and checks signatures with the public key.

The package cryptography, which the extra ``evidence`` brings, is loaded only where a key is used.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.util
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from minewatch.core.errors import EvidenceError
from minewatch.core.files import write_private

KEY_VARIABLE = "MINEWATCH_KEY_PASSPHRASE"
"""Environment variable with the passphrase of a key that has one."""

ALGORITHM = "Ed25519"
"""The one kind of signature."""

KEY_BYTES = 32
"""Of a public key."""

LARGEST_KEY = 2**16
"""Bytes of a file with a key."""

OPENSSH_MARK = b"openssh-key-v1\0"
"""First bytes of a private key of OpenSSH, below its base64."""

SIGNATURE_LINE = re.compile(rb"[0-9a-f]{128}\n?")
"""A signature as it is written: another spelling of the same digits would be another file."""

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
        return {"algorithm": ALGORITHM, "public_key": self.public_key, "fingerprint": compute_fingerprint(self.public_key)}

    def seal(self, data: bytes) -> tuple[str, str]:
        """Return the public key, and the signature of the bytes in hexadecimal digits."""
        return self.public_key, self.sign(data).hex()


def compute_fingerprint(public_key: str) -> str:
    """Return the first half of the SHA-256 of a key's bytes, in hexadecimal digits; ``public_key`` is base64 of them."""
    return hashlib.sha256(base64.b64decode(public_key)).hexdigest()[:32]


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


def read_public_half(path: Path) -> str:
    """Return the public key of a private one, as base64 of its bytes, without its passphrase where the file allows that.

    OpenSSH's files hold the public key in the open, PEM files hold it locked with the private one.  Raises EvidenceError
    where the key is missing, or its passphrase would be needed.
    """
    if not path.expanduser().is_file():
        raise EvidenceError(f"signing key {path} is missing")
    found = _parse_openssh(_read(path, "signing key"))
    return base64.b64encode(found).decode() if found else read_signer(path).public_key


def _parse_openssh(data: bytes) -> bytes | None:
    """Return the 32 bytes of the public key in an OpenSSH private key file; None where it is another file.

    Format: PROTOCOL.key of OpenSSH: a mark, three strings on the lock, the number of keys, the public key.
    """
    if b"OPENSSH PRIVATE KEY" not in data:
        return None
    try:
        body = base64.b64decode(b"".join(data.split(b"-----")[2].split()), validate=True)
        if not body.startswith(OPENSSH_MARK):
            return None
        rest = body.removeprefix(OPENSSH_MARK)
        for _ in range(3):
            _, rest = _take_string(rest)
        public, _ = _take_string(rest[4:])
        kind, rest = _take_string(public)
        key, _ = _take_string(rest)
    except (ValueError, IndexError):
        return None
    return key if kind == b"ssh-ed25519" and len(key) == KEY_BYTES else None


def _take_string(data: bytes) -> tuple[bytes, bytes]:
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 + size:
        raise ValueError("cut off")
    return data[4 : 4 + size], data[4 + size :]


def read_public_key(path: Path) -> str:
    """Read a public key, PEM or OpenSSH, as base64 of its bytes; raises EvidenceError where it is none."""
    library = _load("serialization")
    data = _read(path, "public key")
    with _opening(f"public key {path}", FORMAT_HINT):
        key = (library.load_ssh_public_key if data.startswith(b"ssh-") else library.load_pem_public_key)(data)
    if not isinstance(key, _load("asymmetric.ed25519").Ed25519PublicKey):
        raise EvidenceError(f"public key {path} is no Ed25519 key")
    return _encode(key)


def write_new_keys(private: Path, public: Path) -> None:
    """Make a key and write both halves, PEM; the private one has no passphrase, and others cannot read its file."""
    library = _load("serialization")
    key, pem = _load("asymmetric.ed25519").Ed25519PrivateKey.generate(), library.Encoding.PEM
    write_private(private, key.private_bytes(pem, library.PrivateFormat.PKCS8, library.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(pem, library.PublicFormat.SubjectPublicKeyInfo))


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
        if not SIGNATURE_LINE.fullmatch(signature):
            return False
        key = library.Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
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
        with path.expanduser().open("rb") as file:
            data = file.read(LARGEST_KEY + 1)
    except OSError as error:
        raise EvidenceError(f"{kind} {path} cannot be read: {error.strerror}") from error
    if len(data) > LARGEST_KEY:
        raise EvidenceError(f"{kind} {path} is too large for a file with a key")
    return data


def _read_passphrase() -> bytes | None:
    return os.environ.get(KEY_VARIABLE, "").encode() or None


def _encode(key: Any) -> str:
    return base64.b64encode(key.public_bytes_raw()).decode()
