"""A mail server to practise with: it takes every mail (SMTP, RFC 5321) on this machine alone, and keeps it as files."""

from __future__ import annotations

import base64
import email
import email.policy
import re
import socketserver
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path

from minewatch.core.errors import WorkspaceError

FOLDER = "mail"
"""In the course's folder."""

HOST, PORT = "127.0.0.1", 2525

LARGEST = 32 * 2**20
"""Bytes of a mail that is kept."""

LONGEST_LINE = 2**16
"""Bytes of a line that is read."""


class MailServer(socketserver.TCPServer):
    """Takes mail, one connection after the other."""

    allow_reuse_address = True

    def __init__(self, folder: Path, port: int, tell: Callable[[str], None]) -> None:
        """Listen; ``tell`` gets a line for each mail.  Raises WorkspaceError where the port is taken."""
        self.folder = folder / FOLDER
        self.folder.mkdir(exist_ok=True)
        self.tell = tell
        try:
            super().__init__((HOST, port), _Conversation)
        except OSError as error:
            raise WorkspaceError(f"cannot listen on port {port}: {error.strerror}; give another --port") from error

    def keep(self, data: bytes) -> None:
        """Write a mail into the folder: as it came, as a page for a browser, and what was attached to it."""
        path = self.folder / f"{1 + len(list_mails(self.folder.parent)):04d}.eml"
        path.write_bytes(data)
        mail = read_mail(path)
        for name, content in unfold_mail(mail):
            (self.folder / f"{path.stem}{name}").write_bytes(content)
        self.tell(f"{FOLDER}/{path.stem}.html: {str(mail['subject']).strip()}")


class _Conversation(socketserver.StreamRequestHandler):
    """What one client says."""

    server: MailServer
    timeout = 60

    def handle(self) -> None:
        self._answer(220, "minewatch course")
        while line := self.rfile.readline(LONGEST_LINE):
            word = line[:4].strip().upper()
            if word == b"QUIT":
                self._answer(221, "bye")
                return
            if word == b"DATA":
                self._answer(354, "end with a dot")
                self.server.keep(self._read_mail())
            self._answer(*((250, "OK") if word in COMMANDS else (502, "not known here")))

    def _read_mail(self) -> bytes:
        lines, size = [], 0
        while (line := self.rfile.readline(LONGEST_LINE)) and line.rstrip(b"\r\n") != b".":
            size += len(line)
            if size <= LARGEST:
                lines.append(line[1:] if line.startswith(b"..") else line)
        return b"".join(lines)

    def _answer(self, code: int, text: str) -> None:
        self.wfile.write(f"{code} {text}\r\n".encode())


COMMANDS = (b"HELO", b"EHLO", b"MAIL", b"RCPT", b"DATA", b"RSET", b"NOOP")


def list_mails(folder: Path) -> list[Path]:
    """Return the mails in a course's folder, in the order in which they came."""
    return sorted((folder / FOLDER).glob("*.eml"))


def read_mail(path: Path) -> EmailMessage:
    """Return a mail that was kept."""
    return email.message_from_bytes(path.read_bytes(), policy=email.policy.default)


def unfold_mail(mail: EmailMessage) -> Iterator[tuple[str, bytes]]:
    """Yield ends of file names and what belongs there: the page with its images in it, and each attachment."""
    page = mail.get_body(("html", "plain"))
    text = page.get_content() if page else ""
    images = {str(part["Content-ID"]).strip("<>"): part for part in mail.walk() if part["Content-ID"]}

    def embed(link: re.Match[str]) -> str:
        part = images.get(link[1])
        if part is None:
            return link[0]
        return f"data:{part.get_content_type()};base64,{base64.b64encode(part.get_content()).decode()}"

    yield ".html", ('<!doctype html><meta charset="utf-8">\n' + re.sub(r"\bcid:([\w.-]+)", embed, text)).encode()
    for part in mail.iter_attachments():
        name = re.sub(r"[^\w.-]", "_", part.get_filename() or "attachment")
        content = part.get_content()
        yield f"-{name}", content.encode() if isinstance(content, str) else bytes(content)
