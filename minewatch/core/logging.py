"""The journal: what happens, as lines of JSON on stderr for machines that collect them.

People read the same on stderr in words, from the commands; then the journal is silent, so that nothing stands there twice.
No line holds a secret: addresses lose logins and queries, and what the environment variables hold that the settings name is
blotted out.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, TextIO
from urllib.parse import quote, unquote, urlsplit

import structlog
from structlog.contextvars import bound_contextvars, merge_contextvars

from minewatch.core.text import printable
from minewatch.core.url_policy import hide_secrets, is_web

VARIABLE = "MINEWATCH_LOG"
"""Environment variable that says how: ``text`` or ``json``."""

REDACTED = "***"
"""Stands for a secret."""

SECRET_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PC_SDK_SUBSCRIPTION_KEY")
"""Environment variables with secrets that libraries take without being told."""

SHORTEST_SECRET = 6
"""Letters of a part of a secret address that is blotted out where it stands alone; shorter ones are in many words."""

_ADDRESS = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*)://[^\s\"'<>]*")
_PLAIN = ("s3", "tcp", "tls", "file")
"""Kinds of addresses whose path is no secret."""


class LogWriter:
    """Writes lines of JSON."""

    def __init__(self, stream: TextIO, secrets: Iterable[str]) -> None:
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(stream),
            processors=[
                merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
                self._blot,
                structlog.processors.JSONRenderer(default=str, ensure_ascii=True),
            ],
        )

    def write(self, level: str, event: str, facts: Mapping[str, Any]) -> None:
        """Write a line."""
        getattr(self._logger, level)(event, **facts)

    def _blot(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
        first = {name: line[name] for name in ("time", "level", "event", "run_id") if name in line}
        plain = json.loads(json.dumps(first | dict(line), default=str))
        return {name: redact(value, self._secrets) for name, value in plain.items()}


def redact(value: Any, secrets: Iterable[str]) -> Any:
    """Take secrets out of plain data: those that are given, and logins and queries of addresses."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, REDACTED)
        return printable(_ADDRESS.sub(_redact_address, value))
    if isinstance(value, list):
        return [redact(part, secrets) for part in value]
    if isinstance(value, dict):
        return {redact(name, secrets): redact(part, secrets) for name, part in value.items()}
    return value


def _redact_address(match: re.Match[str]) -> str:
    address, scheme = match[0], match[1].lower()
    try:
        if is_web(address):
            return hide_secrets(address)
        if scheme in _PLAIN:
            return f"{scheme}://{address.partition('://')[2].rpartition('@')[2].partition('?')[0]}"
    except ValueError:  # no address after all
        pass
    return f"{scheme}://{REDACTED}"


def find_secrets(settings: Mapping[str, Any]) -> set[str]:
    """Return what the environment variables hold that settings name (keys that end in ``_variable``), and parts of it."""
    values = {os.environ.get(name, "") for name in {*_list_variables(settings), *SECRET_VARIABLES}}
    return {part for value in values if value for part in _split_secret(value)}


def _list_variables(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            if str(name).endswith("_variable") and isinstance(part, str):
                yield part
            yield from _list_variables(part)
    elif isinstance(value, list):
        for part in value:
            yield from _list_variables(part)


def _split_secret(value: str) -> set[str]:
    """Return a secret and, of an address, its parts but for the host: each may stand alone in an error."""
    forms = {value, quote(value, safe=""), value.strip()}
    with contextlib.suppress(ValueError):
        parts = urlsplit(value)
        if parts.scheme and parts.netloc:
            login = parts.netloc.rpartition("@")[0].split(":")
            pieces = {*login, *re.split(r"[/?&=#]", f"{parts.path}?{parts.query}")}
            forms |= {form for piece in pieces for form in (piece, unquote(piece)) if len(form) >= SHORTEST_SECRET}
    return forms


class _LoggerSlot:
    """Where the journal of this process lies, if there is one."""

    journal: LogWriter | None = None


def start_log(secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Begin to write lines of JSON, to stderr where no stream is given."""
    _LoggerSlot.journal = LogWriter(stream or sys.stderr, secrets)


def close_log() -> None:
    """Leave it to the commands to tell people."""
    _LoggerSlot.journal = None


def is_log_open() -> bool:
    """True if lines of JSON are written, in place of words for people."""
    return _LoggerSlot.journal is not None


def log_event(event: str, *, level: str = "info", **facts: Any) -> None:
    """Note what happened, with its facts; does nothing where no journal is open."""
    if _LoggerSlot.journal is not None:
        _LoggerSlot.journal.write(level, event, facts)


@contextlib.contextmanager
def bind_run_id(run_id: str) -> Iterator[None]:
    """Let every line of a block carry the name of the run."""
    with bound_contextvars(run_id=run_id):
        yield
