"""Recipients of messages with bad days: a mail and a web server that refuse, fail, are busy, stall, or drop what they read.

They keep what they took as ids only, so that a year of mail does not fill the memory that is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import email
import email.policy
import hashlib
import hmac
import json
import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import numpy as np
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

REFUSE, FAIL, BUSY, STALL, DROP = "refuse", "fail", "busy", "stall", "drop"
KINDS = (REFUSE, FAIL, BUSY, STALL, DROP)
"""No connection; status 500, or 451; status 429 with Retry-After, or 421; nothing for a while, then gone; gone after reading."""

STALLED = 0.2
"""Seconds of a stall."""

MESSAGE_ID = re.compile(r"\b[a-z]+-\d{7}-[0-9a-f]{12}\b")


@dataclass(frozen=True)
class Outage:
    """A time in which something does not work."""

    start: dt.datetime
    end: dt.datetime
    kind: str


def plan_outages(
    random: np.random.Generator, first: dt.datetime, last: dt.datetime, kinds: Sequence[str], every: float, longest: float
) -> list[Outage]:
    """Draw outages that do not overlap: one in ``every`` days, of up to ``longest`` hours."""
    found = []
    now = first + dt.timedelta(days=float(random.exponential(every)))
    while now < last:
        end = now + dt.timedelta(hours=float(random.uniform(1, longest)))
        found.append(Outage(now, min(end, last), str(random.choice(kinds))))
        now = end + dt.timedelta(days=float(random.exponential(every)))
    return found


def find_trouble(outages: Sequence[Outage], now: dt.datetime) -> str:
    """Return the kind of the outage at an hour; '' where there is none."""
    return next((one.kind for one in outages if one.start <= now < one.end), "")


class Inbox(Protocol):
    """What the year does with a recipient."""

    def set_trouble(self, kind: str) -> None: ...


def find_free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


# --- mail ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mail:
    """What is kept of a mail."""

    to: str
    message_id: str
    """Of the message in the outbox; it stands in the footer."""
    header: str
    """Message-ID of the mail."""
    text: str


class Mailbox:
    """A mail server."""

    def __init__(self) -> None:
        self.port, self.trouble = find_free_port(), ""
        self.mails: list[Mail] = []
        self.tries = 0
        self._controller: Controller | None = None
        self._open()

    def address(self, to: str) -> str:
        """Return a recipient's address as apprise has them."""
        return f"mailto://127.0.0.1:{self.port}/?smtp=127.0.0.1&from=watch@example.org&to={to}"

    def set_trouble(self, kind: str) -> None:
        """Be as an outage has it; '' = well."""
        if (kind == REFUSE) == (self._controller is not None):
            self.close() if self._controller else self._open()
        self.trouble = kind

    def _open(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def close(self) -> None:
        """Stop."""
        if self._controller:
            self._controller.stop()
            self._controller = None

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the server's name for it
        self.tries += 1
        if self.trouble in (FAIL, BUSY):
            return "451 later" if self.trouble == FAIL else "421 too busy"
        if self.trouble == STALL:
            await asyncio.sleep(STALLED)
            return "451 that took long"
        self.mails.append(_read_mail(envelope))
        if self.trouble == DROP and server.transport:
            server.transport.abort()
        return "250 OK"


def _read_mail(envelope: Envelope) -> Mail:
    assert isinstance(envelope.content, bytes)
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    body = mail.get_body(("plain",))
    text = body.get_content() if body else ""
    match = MESSAGE_ID.search(text)
    return Mail(envelope.rcpt_tos[0], match[0] if match else "", str(mail["Message-ID"]), text)


# --- the web ---------------------------------------------------------------------------------------------------------


@dataclass
class Hook:
    """A web server."""

    secret: str
    trouble: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    """All that came, repeats too, without outlines."""
    bodies: dict[str, str] = field(default_factory=dict)
    """Message to a hash of its body."""
    changed: list[str] = field(default_factory=list)
    """Messages whose repeat had another body."""
    unsigned: int = 0
    """Requests whose signature was wrong."""
    tries: int = 0
    port: int = field(default_factory=find_free_port)
    _server: ThreadingHTTPServer | None = None

    def __post_init__(self) -> None:
        self._open()

    @property
    def address(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/hook"

    def set_trouble(self, kind: str) -> None:
        """Be as an outage has it; '' = well."""
        if (kind == REFUSE) == (self._server is not None):
            self.close() if self._server else self._open()
        self.trouble = kind

    def _open(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), type("Request", (_Request,), {"hook": self}))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, body: bytes, headers: Any) -> None:
        """Keep what came."""
        text = headers["Minewatch-Timestamp"].encode() + b"." + body
        digest = hmac.new(self.secret.encode(), text, hashlib.sha256).hexdigest()
        self.unsigned += headers["Minewatch-Signature"] != f"v1={digest}"
        value = json.loads(body)
        name, seen = value["message_id"], hashlib.sha256(body).hexdigest()
        if self.bodies.setdefault(name, seen) != seen or headers["Idempotency-Key"] != name:
            self.changed.append(name)
        self.events += [{**event, "geometry": None} for event in value["events"]]


class _Request(BaseHTTPRequestHandler):
    hook: Hook

    def do_POST(self) -> None:
        hook, body = self.hook, self.rfile.read(int(self.headers["Content-Length"]))
        hook.tries += 1
        if hook.trouble == STALL:
            time.sleep(STALLED)
        if hook.trouble in ("", DROP):
            hook.take(body, self.headers)
        if hook.trouble in (STALL, DROP):
            self.close_connection = True
            return
        status = {FAIL: 500, BUSY: 429}.get(hook.trouble, 200)
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "5400")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serve(secret: str) -> Iterator[tuple[Mailbox, Hook]]:
    """Run both until the block ends."""
    mailbox, hook = Mailbox(), Hook(secret)
    try:
        yield mailbox, hook
    finally:
        mailbox.close()
        hook.close()
