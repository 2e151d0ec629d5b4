"""Recipients of messages whose every answer a test decides: a mail server and a web server."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.helpers.servers import find_free_port


@dataclass
class Mailbox:
    """What a mail server got, and how it answers."""

    url: str = ""
    """As apprise has it."""

    mails: list[EmailMessage] = field(default_factory=list)
    """What was taken, parsed."""

    answer: str = "250 OK"
    """To the content of a mail."""

    answer_to: str = "250 OK"
    """To a recipient."""

    stall: float = 0
    """Seconds before the content is answered."""

    tries: int = 0
    """Mails that were begun."""

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any) -> str:  # noqa: N802 - the server calls it by this name
        self.tries += 1
        if self.answer_to.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.answer_to

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the server calls it by this name
        await asyncio.sleep(self.stall)
        if self.answer.startswith("250"):
            content = envelope.content
            assert isinstance(content, bytes)
            mail = email.message_from_bytes(content, policy=email.policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
        return self.answer


PASSWORD = "pw-Zq81-hemlich"  # noqa: S105 - of a server that lives for one test


@contextmanager
def serve_mail(*, login: bool = False) -> Iterator[Mailbox]:
    """Run a mail server until the block ends; with ``login`` it wants the user ``watch`` and PASSWORD."""
    box, port = Mailbox(), find_free_port()

    def check(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
        known = (data.login, data.password) == (b"watch", PASSWORD.encode())
        return AuthResult(success=known, handled=known)  # what is not handled is answered 535

    options: dict[str, Any] = {"auth_require_tls": False, "auth_required": True, "authenticator": check} if login else {}
    controller = Controller(box, hostname="127.0.0.1", port=port, **options)
    user = f"watch:{PASSWORD}@" if login else ""
    box.url = f"mailto://{user}127.0.0.1:{port}/?smtp=127.0.0.1&from=watch@example.org&to=post@example.org"
    with warnings.catch_warnings():  # the server warns of what is wanted here: a login without TLS
        warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS", UserWarning)
        warnings.filterwarnings("ignore", "Session.login_data is deprecated", DeprecationWarning)  # it uses that itself
        controller.start()
        try:
            yield box
        finally:
            controller.stop()


@dataclass
class Hook:
    """What a web server got, and how it answers."""

    url: str = ""
    """Address."""

    bodies: list[bytes] = field(default_factory=list)
    """Of all requests that were read to their end."""

    headers: list[dict[str, str]] = field(default_factory=list)
    """Of the same, names in small letters."""

    answer: Callable[[Any, int], None] = lambda request, _number: request.send(200)
    """Sends the answer to the request with this number, from 0."""

    @property
    def values(self) -> list[dict[str, Any]]:
        """What was got, as JSON."""
        return [json.loads(body) for body in self.bodies]

    @property
    def event_ids(self) -> list[str]:
        """Ids of all events that came, repeats too."""
        return [event["event_id"] for value in self.values for event in value["events"]]


class _Request(BaseHTTPRequestHandler):
    hook: Hook
    lock: threading.Lock

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.lock:
            number = len(self.hook.bodies)
            self.hook.bodies.append(body)
            self.hook.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.hook.answer(self, number)

    def send(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def hang_up(self) -> None:
        """Drop the connection without an answer, though all was read."""
        self.close_connection = True

    def stall(self, seconds: float) -> None:
        time.sleep(seconds)
        self.hang_up()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve_hook(path: str = "/hook/tok-5e3f9a77c1") -> Iterator[Hook]:
    """Run a web server until the block ends."""
    hook = Hook()
    server = _Server(("127.0.0.1", 0), type("Request", (_Request,), {"hook": hook, "lock": threading.Lock()}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_address[1]}{path}"
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
