"""Asks a time-stamping authority for a token over HTTP (RFC 3161, 3.4); only a hash is sent."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from minewatch.core.errors import EvidenceError, TimestampError
from minewatch.core.plain_file import read_plain
from minewatch.products.evidence.timestamp_token import (
    LARGEST_CHAIN,
    LARGEST_TOKEN,
    TimestampCheck,
    check_digest_timestamp,
    make_request,
    read_token,
    split_certificates,
)
from minewatch.settings.timestamps import TimestampsTable


@dataclass(frozen=True)
class Authority:
    """An authority that is ready to be asked."""

    table: TimestampsTable
    """Its settings."""

    roots: bytes
    """The root certificates that its own must lead to."""

    @property
    def host(self) -> str:
        """Its host, for people."""
        return urlsplit(self.table.url).netloc


def open_authority(table: TimestampsTable, root: Path) -> Authority:
    """Return the authority of the settings of the workspace in ``root``; raises EvidenceError where its root cannot be read."""
    return Authority(table, read_roots(root / Path(table.ca).expanduser()))


def read_roots(path: Path) -> bytes:
    """Read a file of root certificates; raises EvidenceError where it is none."""
    try:
        data = read_plain(path.resolve(), LARGEST_CHAIN)  # those of a system are links
    except OSError as error:
        raise EvidenceError(f"the root certificate {path} cannot be read: {error.strerror or error}") from error
    try:
        found = split_certificates(data)
    except TimestampError:
        found = []
    if not found:
        raise EvidenceError(f"{path} holds no certificate; give the root certificate of the authority as PEM")
    return data


def request_timestamp(authority: Authority, digest: bytes, seconds: float) -> tuple[bytes, TimestampCheck]:
    """Return the authority's answer for a SHA-256, checked, within ``seconds``; raises EvidenceError where there is none."""
    from minewatch.core.http import RangeError, post  # noqa: PLC0415  most who import this ask nobody

    table = authority.table
    body, nonce = make_request(digest, table.policy)
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply", **_make_login(table)}
    try:
        answer = post(table.url, body, headers, LARGEST_TOKEN, seconds)
    except RangeError as error:
        raise EvidenceError(f"{authority.host} gave no time stamp: {error}") from None
    try:
        found = check_digest_timestamp(digest, answer, b"", authority.roots)
        _check_answer(answer, nonce, table.policy)
        if not found.is_named:
            raise TimestampError(f"its certificates do not lead to one of {table.ca}")
    except TimestampError as error:
        raise TimestampError(f"{authority.host} gave a time stamp that proves nothing: {error}") from None
    except EvidenceError as error:
        raise EvidenceError(f"{authority.host} gave a time stamp that cannot be checked: {error}") from None
    return answer, found


def _make_login(table: TimestampsTable) -> dict[str, str]:
    if not table.user_variable:
        return {}
    user, password = (os.environ.get(name, "") for name in (table.user_variable, table.password_variable))
    if not user or not password:
        raise EvidenceError(f"put the login of the authority into {table.user_variable} and {table.password_variable}")
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode('ascii')}"}


def _check_answer(answer: bytes, nonce: int, policy: str) -> None:
    """Check what only the one who asked knows: the nonce, without which an old answer could be sent again, and the policy."""
    info = read_token(answer).info
    if info["nonce"].native != nonce:
        raise TimestampError("it does not answer this request: its nonce is another")
    if policy and info["policy"].dotted != policy:
        raise TimestampError(f"it was made under policy {info['policy'].dotted}, not {policy}")
