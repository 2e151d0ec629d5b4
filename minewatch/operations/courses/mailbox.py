"""A mail server to practise with: it takes every mail (SMTP, RFC 5321) on this machine alone, and keeps it as a file."""

from __future__ import annotations

import email
import email.policy
import socketserver
from collections.abc import Callable
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
        """Write a mail into the folder."""
        path = self.folder / f"{1 + len(list_mails(self.folder.parent)):04d}.eml"
        path.write_bytes(data)
        self.tell(f"{FOLDER}/{path.name}: {read_subject(path)}")


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


def read_subject(path: Path) -> str:
    """Return the subject of a mail."""
    return str(email.message_from_bytes(path.read_bytes(), policy=email.policy.default)["subject"]).strip()
