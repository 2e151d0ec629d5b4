"""Structured logs: events as JSON lines on stderr, for machines that collect them.

Without a structured log, the commands print messages for people there instead.  No line holds a secret: logins and queries
of addresses are removed, and the values of the environment variables that the settings name are redacted.
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

from minewatch.core.text import printable
from minewatch.core.url_policy import hide_secrets, is_web

VARIABLE = "MINEWATCH_LOG"
"""Environment variable with the format: ``text`` or ``json``."""

REDACTED = "***"
"""Replaces a secret."""

SECRET_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PC_SDK_SUBSCRIPTION_KEY")
"""Environment variables with secrets that libraries read by themselves."""

SHORTEST_SECRET = 6
"""Characters of a part of a secret address that is redacted by itself; shorter ones occur in many words."""

_ADDRESS = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*)://[^\s\"'<>]*")
_PUBLIC_SCHEMES = ("s3", "tcp", "tls", "file")
"""Schemes of addresses whose path is not secret."""


class LogWriter:
    """Writes JSON lines."""

    def __init__(self, stream: TextIO, secrets: Iterable[str]) -> None:
        import structlog  # noqa: PLC0415  a sixth of a second, which only these logs should pay

        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(stream),
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
                self._redact,
                structlog.processors.JSONRenderer(default=str, ensure_ascii=True),
            ],
        )

    def write(self, level: str, event: str, facts: Mapping[str, Any]) -> None:
        """Write one line."""
        getattr(self._logger, level)(event, **facts)

    def _redact(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> dict[str, Any]:
        first = {name: line[name] for name in ("time", "level", "event", "run_id") if name in line}
        plain = json.loads(json.dumps(first | dict(line), default=str))
        return {name: redact(value, self._secrets) for name, value in plain.items()}


def redact(value: Any, secrets: Iterable[str]) -> Any:
    """Remove ``secrets`` and the logins and queries of addresses from plain data."""
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
        if scheme in _PUBLIC_SCHEMES:
            return f"{scheme}://{address.partition('://')[2].rpartition('@')[2].partition('?')[0]}"
    except ValueError:  # not an address after all
        pass
    return f"{scheme}://{REDACTED}"


def find_secrets(settings: Mapping[str, Any]) -> set[str]:
    """Return the values of the environment variables that settings name (keys ending in ``_variable``), and their parts."""
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
    """Return a secret and, of an address, its parts except the host: each may occur alone in an error."""
    forms = {value, quote(value, safe=""), value.strip()}
    with contextlib.suppress(ValueError):
        parts = urlsplit(value)
        if parts.scheme and parts.netloc:
            login = parts.netloc.rpartition("@")[0].split(":")
            pieces = {*login, *re.split(r"[/?&=#]", f"{parts.path}?{parts.query}")}
            forms |= {form for piece in pieces for form in (piece, unquote(piece)) if len(form) >= SHORTEST_SECRET}
    return forms


class _LoggerSlot:
    """Holds the log of this process, if one was started."""

    writer: LogWriter | None = None


def start_log(secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Start writing JSON lines, to stderr unless a stream is given."""
    _LoggerSlot.writer = LogWriter(stream or sys.stderr, secrets)


def close_log() -> None:
    """Stop writing JSON lines; the commands print messages for people again."""
    _LoggerSlot.writer = None


def is_log_open() -> bool:
    """True if JSON lines are written in place of messages for people."""
    return _LoggerSlot.writer is not None


def log_event(event: str, *, level: str = "info", **facts: Any) -> None:
    """Log an event with its facts; does nothing unless a log was started."""
    if _LoggerSlot.writer is not None:
        _LoggerSlot.writer.write(level, event, facts)


@contextlib.contextmanager
def bind_run_id(run_id: str) -> Iterator[None]:
    """Add the run's id to every line of a block, if a log was started."""
    if not is_log_open():
        yield
        return
    from structlog.contextvars import bound_contextvars  # noqa: PLC0415  loaded with the log

    with bound_contextvars(run_id=run_id):
        yield
