"""A small web server whose every answer a test decides, and which counts the requests that it has at one time."""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Host:
    """Files by path, and what is done to the answers."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Path (with a slash before it) to content."""

    answer: Callable[[Answer, int], None] = lambda answer, _number: answer.send_range()
    """Sends the answer to the request with this number, from 0."""

    delay: float = 0
    """Seconds before each answer."""

    paths: list[str] = field(default_factory=list)
    """Path and query of every request."""

    ranges: list[str] = field(default_factory=list)
    """Range header of every request."""

    most: int = 0
    """The most requests that were open at one time."""

    url: str = ""
    """Address, without a slash at the end."""

    open: int = 0
    """Requests that are not answered yet."""

    _lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self, path: str, header: str) -> int:
        with self._lock:
            self.open += 1
            self.most = max(self.most, self.open)
            self.paths.append(path)
            self.ranges.append(header)
            return len(self.paths) - 1

    def leave(self) -> None:
        with self._lock:
            self.open -= 1


class Answer(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    host: Host
    body = b""
    """Of a POST."""

    def do_GET(self) -> None:
        number = self.host.enter(self.path, self.headers.get("Range", ""))
        try:
            if self.host.delay:
                time.sleep(self.host.delay)
            self.host.answer(self, number)
        finally:
            self.host.leave()

    def do_POST(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.do_GET()

    def find_range(self) -> tuple[bytes, int, int, int]:
        """Return what was asked for, its first and last byte, and the size of the file."""
        content = self.host.files[self.path.split("?")[0]]
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert match, "a range is asked for"
        first, last = int(match[1]), min(int(match[2]), len(content) - 1)
        return content[first : last + 1], first, last, len(content)

    def send_range(self) -> None:
        body, first, last, size = self.find_range()
        self.send(206, body, {"Content-Range": f"bytes {first}-{last}/{size}"})

    def send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None, promise: int | None = None) -> None:
        """Send an answer that promises ``promise`` bytes; where these are not those of ``body``, the line is cut."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if promise is None else promise))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = promise is not None

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server that says nothing when a client hangs up."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve_host(files: dict[str, bytes] | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Host]:
    """Run the server until the block ends."""
    host = Host(files or {})
    server = Server(("127.0.0.1", 0), type("Answer", (Answer,), {"host": host}))
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    host.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
    try:
        yield host
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
