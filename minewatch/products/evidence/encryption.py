"""Encrypts and decrypts export bundles in the age format (https://age-encryption.org/v1).

Both happen in memory: the plain bytes are never written to disk.  No message repeats a private key.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.util
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from minewatch.core.errors import EvidenceError
from minewatch.core.text import show
from minewatch.products.evidence.signing import unlock_identity

SUFFIX = ".age"
"""Of encrypted files."""

AGE_HEADS = (b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----")
"""First bytes of an age file, binary and armoured."""

PRIVATE_PREFIX = "AGE-SECRET-KEY-"
"""Beginning of age's private keys."""

SSH_KINDS = ("ssh-ed25519", "ssh-rsa")
"""Kinds of OpenSSH keys that age can encrypt for."""

LARGEST_KEY_FILE = 2**16
"""Bytes of a file with keys."""

LARGEST_BUNDLE = 2**27
"""Bytes of an encrypted bundle that is opened in memory."""

DAMAGED = "cannot be decrypted: it was changed, damaged or cut off; ask for it again"
"""What is said of a file that does not open though the key fits."""

MOST_RECIPIENTS = 50
"""Of one bundle."""


@dataclass(frozen=True)
class Recipient:
    """Somebody who will be able to open a bundle."""

    label: str
    """For people and the log: the ends of the public key, or its fingerprint as ``ssh-keygen -l`` shows it."""

    key: Any
    """The key as pyrage has it."""


def read_recipients(texts: Sequence[str]) -> tuple[Recipient, ...]:
    """Read public keys, or files with one a line; each recipient is returned once.

    Raises EvidenceError where one cannot be used, and where the package for it is missing.
    """
    found = {recipient.label: recipient for text in texts for recipient in _read_recipient(text)}
    if len(found) > MOST_RECIPIENTS:
        raise EvidenceError(f"{len(found)} recipients are too many for one pack; give {MOST_RECIPIENTS} at most")
    return tuple(found.values())


def _read_recipient(text: str) -> list[Recipient]:
    text = text.strip()
    if _is_private(text):
        raise EvidenceError("--to was given a private key; give the public one, and keep the private one to yourself")
    if text.lower().startswith("age1") or text.startswith(("ssh-", "ecdsa-", "sk-")):
        return [_parse_recipient(text, "--to")]
    if not text:
        raise EvidenceError("--to: give a public key (age1…, ssh-ed25519 …, ssh-rsa …) or a file with such keys")
    path = Path(text).expanduser()
    lines = _read_text(
        path, "--to: neither a public key (age1…, ssh-ed25519 …, ssh-rsa …) nor a file with such keys"
    ).splitlines()
    if any(_is_private(line) for line in lines):
        raise EvidenceError(f"--to: {path} holds a private key; give the file of the public one")
    keys = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip() and not line.strip().startswith("#")]
    if not keys:
        raise EvidenceError(f"--to: {path} holds no public key")
    return [_parse_recipient(line, f"--to: {path}, line {number}") for number, line in keys]


def _is_private(text: str) -> bool:
    return PRIVATE_PREFIX in text.upper() or "PRIVATE KEY" in text


def _parse_recipient(text: str, where: str) -> Recipient:
    age, kind = _load_age(), text.split(maxsplit=1)[0]
    try:
        if kind.lower().startswith("age1"):
            key = str(age.x25519.Recipient.from_str(text))
            return Recipient(f"{key[:16]}…{key[-6:]}", age.x25519.Recipient.from_str(text))
        if kind in SSH_KINDS:
            digest = hashlib.sha256(base64.b64decode(text.split()[1], validate=True)).digest()
            fingerprint = base64.b64encode(digest).decode().rstrip("=")
            return Recipient(f"{kind} SHA256:{fingerprint}", age.ssh.Recipient.from_str(text))
    except (age.RecipientError, ValueError, IndexError):
        name = "age1…" if kind.lower().startswith("age1") else kind
        raise EvidenceError(f"{where}: this {name} key cannot be used; was it copied whole?") from None
    raise EvidenceError(f"{where}: keys of the kind {show(kind, 40)!r} cannot be used; give age1…, ssh-ed25519 … or ssh-rsa …")


def encrypt(data: bytes, recipients: Sequence[Recipient]) -> bytes:
    """Return the bytes encrypted so that each recipient alone can open them; raises EvidenceError."""
    age = _load_age()
    try:
        sealed: bytes = age.encrypt(data, [recipient.key for recipient in recipients])
    except age.EncryptError as error:
        raise EvidenceError(f"the pack cannot be encrypted ({show(error)})") from None
    return sealed


def is_encrypted(path: Path) -> bool:
    """True if a file is of the age format; raises EvidenceError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(max(map(len, AGE_HEADS))).startswith(AGE_HEADS)
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}") from error


def decrypt(path: Path, identity: Path) -> BinaryIO:
    """Return the content of an encrypted file, opened with the private key in file ``identity``; it is held in memory once.

    Raises EvidenceError where the key does not fit, or the file is damaged or too large.
    """
    age = _load_age()
    keys = _read_identity(age, identity)
    memory = io.BytesIO()
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > LARGEST_BUNDLE:
                raise EvidenceError(
                    f"{path} is too large to be opened in memory; decrypt it with: age -d -i KEY, then verify the ZIP"
                )
            age.decrypt_io(file, memory, keys)
    except age.DecryptError as error:
        if "no matching keys" in str(error).lower():  # pyrage has one class and no code for all faults
            raise EvidenceError(f"{path.name} is not encrypted for the key in {identity}") from None
        raise EvidenceError(f"{path.name} {DAMAGED}") from None
    except OSError as error:
        if error.strerror:
            raise EvidenceError(f"{path} cannot be read: {error.strerror}") from error
        raise EvidenceError(f"{path.name} {DAMAGED}") from None  # pyrage's, of a piece that does not fit its mark
    return memory


def _read_identity(age: Any, path: Path) -> list[Any]:
    text = _read_text(path.expanduser(), "--identity")
    if "PRIVATE KEY-----" in text:
        return [_read_ssh_identity(age, path, text.encode())]
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    if any(line.lower().startswith(("age1", "ssh-")) for line in lines):
        raise EvidenceError(f"--identity: {path} holds a public key; the private one is needed")
    try:
        keys = [age.x25519.Identity.from_str(line) for line in lines]
    except age.IdentityError:
        keys = []
    if not keys:
        raise EvidenceError(f"--identity: {path} holds no private key of age ({PRIVATE_PREFIX}…) or OpenSSH")
    return keys


def _read_ssh_identity(age: Any, path: Path, data: bytes) -> Any:
    try:
        return age.ssh.Identity.from_buffer(data)
    except age.IdentityError as error:
        if "decrypted first" not in str(error):  # as above: only its text tells a locked key from a damaged one
            raise EvidenceError(f"--identity: {path} cannot be used; give a key of age, or of OpenSSH (Ed25519, RSA)") from None
    return age.ssh.Identity.from_buffer(unlock_identity(path))


def _read_text(path: Path, where: str) -> str:
    try:
        if not path.is_file():
            raise EvidenceError(f"{where}: there is no file {show(path)}")
        with path.open("rb") as file:
            data = file.read(LARGEST_KEY_FILE + 1)
        if len(data) > LARGEST_KEY_FILE:
            raise EvidenceError(f"{where}: {path} is too large for a file with keys")
        if data.startswith(AGE_HEADS):
            raise EvidenceError(f"{where}: {path} is encrypted itself; unlock it with age -d, and give what comes out")
        return data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise EvidenceError(f"{where}: {show(path)} cannot be read ({type(error).__name__})") from None


def _load_age() -> Any:
    if importlib.util.find_spec("pyrage") is None:
        raise EvidenceError("encryption needs a package that is not installed; pip install 'minewatch[evidence]'")
    return importlib.import_module("pyrage")
