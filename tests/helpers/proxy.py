"""A proxy that misbehaves: it stands before a folder of GeoTIFFs and a STAC API, and does to answers what a test plans.

    with run_proxy(folder) as proxy:
        proxy.api = stac_api(proxy.move_assets(items), collection)
        proxy.plan = [Trouble(r"/files/.*red", busy(503), times=2)]
        scan(... source=proxy.url)

Files lie below ``/files``; every other path goes to the API, whose links come back through the proxy.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.helpers.hosts import Server

HIDDEN = "sig=c0" + "ffee"
"""A signature that stands in the address of every asset, and must never be shown."""


@dataclass
class Reply:
    """What an honest server would answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Act = Callable[["Line", Reply], None]
"""Sends something in place of an honest reply."""


@dataclass
class Trouble:
    """What is done to which answers."""

    path: str
    """Regular expression that is looked for in the path with its query, a space, and the body of the request."""

    act: Act
    """What is done."""

    times: float = 1
    """How often, for each path; then the line is good again."""

    skip: int = 0
    """Good answers before it, for each path."""

    share: float = 1
    """Probability for each answer."""


@dataclass
class Proxy:
    """A running proxy."""

    folder: Path
    """Of the files."""

    api: str = ""
    """Address of the STAC API behind it, once there is one."""

    url: str = ""
    """Its own."""

    plan: list[Trouble] = field(default_factory=list)
    """The first trouble that is due happens."""

    paths: list[str] = field(default_factory=list)
    """Method and path of every request."""

    times: list[float] = field(default_factory=list)
    """When each came, on the monotonic clock."""

    bodies: list[bytes] = field(default_factory=list)
    """Body of every request."""

    done: int = 0
    """Troubles that happened."""

    dice: random.Random = field(default_factory=lambda: random.Random(1))

    _seen: Counter[tuple[int, str]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self, *plan: Trouble) -> None:
        """Begin anew, with another plan."""
        with self._lock:
            self.done = 0
            self.plan = list(plan)
            self._seen.clear()
            self.paths.clear()
            self.times.clear()
            self.bodies.clear()

    def choose(self, method: str, path: str, body: bytes) -> Act | None:
        """Note a request and say what is done to its answer."""
        with self._lock:
            self.paths.append(f"{method} {path}")
            self.times.append(time.monotonic())
            self.bodies.append(body)
            for number, trouble in enumerate(self.plan):
                if re.search(trouble.path, f"{path} {body.decode()}"):
                    self._seen[number, path] += 1
                    is_due = trouble.skip < self._seen[number, path] <= trouble.skip + trouble.times
                    if is_due and self.dice.random() < trouble.share:
                        self.done += 1
                        return trouble.act
        return None

    def move_assets(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Let the assets of items that lie in ``folder/ID`` come through the proxy, with a signature."""
        moved = json.loads(json.dumps(items))
        for item in moved:
            for band, asset in item["assets"].items():
                asset["href"] = f"{self.url}/files/{item['id']}/{Path(asset['href']).name}?{band}&{HIDDEN}"
        return list(moved)


class Line(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        act = self.proxy.choose(self.command, self.path, body)
        is_file = self.path.startswith("/files/")
        reply = self._read_file() if is_file else self._forward(body)
        (act or Line.send)(self, reply)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self.do_GET()

    def _read_file(self) -> Reply:
        path = self.proxy.folder / urlsplit(self.path).path.removeprefix("/files/")
        if not path.is_file():
            return Reply(404)
        content = path.read_bytes()
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match:
            return Reply(200, content, {"Accept-Ranges": "bytes"})
        first, last = int(match[1]), min(int(match[2] or len(content)), len(content) - 1)
        if first > last:
            return Reply(416, b"", {"Content-Range": f"bytes */{len(content)}"})
        return Reply(206, content[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(content)}"})

    def _forward(self, body: bytes) -> Reply:
        if not self.proxy.api:
            return Reply(404)
        upstream = urlsplit(self.proxy.api)
        connection = http.client.HTTPConnection(upstream.netloc, timeout=30)
        connection.request(self.command, self.path, body or None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content = answer.read().replace(self.proxy.api.encode(), self.proxy.url.encode())
        connection.close()
        return Reply(answer.status, content, {"Content-Type": answer.headers.get("Content-Type", "application/json")})

    def send(self, reply: Reply, promise: int | None = None) -> None:
        """Send a reply that promises ``promise`` bytes; where these are not those of its body, the line is cut after it."""
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body) if promise is None else promise))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        if promise is not None:
            self.close_connection = True

    def hang_up(self) -> None:
        """Close the line without another byte."""
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def run_proxy(folder: Path) -> Iterator[Proxy]:
    """Run a proxy until the block ends."""
    proxy = Proxy(folder)
    server = Server(("127.0.0.1", 0), type("Line", (Line,), {"proxy": proxy}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- what a line does ------------------------------------------------------------------------------------------------


def busy(status: int, wait: str | None = None) -> Act:
    """Say that another time would be better, perhaps when."""
    headers = {} if wait is None else {"Retry-After": wait}
    return lambda line, _: line.send(Reply(status, b"<html>please wait</html>", headers))


def stall(seconds: float) -> Act:
    """Say nothing for so long, then hang up."""

    def act(line: Line, _: Reply) -> None:
        time.sleep(seconds)
        line.hang_up()

    return act


def trickle(seconds: float) -> Act:
    """Begin well and go on with a byte now and then."""

    def act(line: Line, reply: Reply) -> None:
        line.send(Reply(reply.status, b"", reply.headers), promise=len(reply.body))
        for byte in reply.body:
            line.wfile.write(bytes([byte]))
            time.sleep(seconds)

    return act


def cut(line: Line, reply: Reply) -> None:
    """Break off in the middle of the body."""
    line.send(Reply(reply.status, reply.body[: len(reply.body) // 2], reply.headers), promise=len(reply.body))


def shorten(line: Line, reply: Reply) -> None:
    """Promise half of the body, and send no more."""
    line.send(Reply(reply.status, reply.body[: len(reply.body) // 2], reply.headers))


def lengthen(line: Line, reply: Reply) -> None:
    """Send more than there is."""
    line.send(Reply(reply.status, reply.body + b"\0more", reply.headers))


def shift(line: Line, reply: Reply) -> None:
    """Send another part of the file than was asked for, and say so."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", reply.headers.get("Content-Range", ""))
    headers = {"Content-Range": f"bytes {int(match[1]) + 1}-{int(match[2]) + 1}/{int(match[3]) + 9}"} if match else {}
    line.send(Reply(reply.status, reply.body, headers))


def send_whole(line: Line, reply: Reply) -> None:
    """Know nothing of ranges."""
    if reply.status == 206:
        content = (line.proxy.folder / urlsplit(line.path).path.removeprefix("/files/")).read_bytes()
        reply = Reply(200, content)
    line.send(reply)


def flip(line: Line, reply: Reply) -> None:
    """Send a body whose middle is damaged."""
    middle = len(reply.body) // 2
    damaged = bytes(255 - byte for byte in reply.body[middle : middle + 8])
    line.send(Reply(reply.status, reply.body[:middle] + damaged + reply.body[middle + 8 :], reply.headers))


def send_page(line: Line, _: Reply) -> None:
    """Send a page for people, and call it a success."""
    line.send(Reply(200, b"<!doctype html><html><body>Please sign in</body></html>", {"Content-Type": "text/html"}))


def send_json(document: Any) -> Act:
    """Send another document."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return lambda line, _: line.send(Reply(200, body, {"Content-Type": "application/json"}))


def reset(line: Line, _: Reply) -> None:
    """Tear the connection down."""
    line.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.hang_up()


def reset_midway(line: Line, reply: Reply) -> None:
    """Tear it down in the middle of the body."""
    cut(line, reply)
    reset(line, reply)


def send_elsewhere(location: str, status: int = 302) -> Act:
    """Name another address."""
    return lambda line, _: line.send(Reply(status, b"", {"Location": location}))


def garble(line: Line, reply: Reply) -> None:
    """Call bytes compressed that are not."""
    line.send(Reply(reply.status, b"\x1f\x8b\x08\0" + reply.body, reply.headers | {"Content-Encoding": "gzip"}))


def forbid(line: Line, _: Reply) -> None:
    """Refuse, as servers do whose signature has expired."""
    line.send(Reply(403, b"<Error><Code>AuthenticationFailed</Code></Error>"))


def flood(piece: bytes) -> Act:
    """Send a document without an end."""

    def act(line: Line, _: Reply) -> None:
        line.send(Reply(200, b'{"type": "FeatureCollection", "junk": "'), promise=2**50)
        for _ in range(2**20):
            line.wfile.write(piece)

    return act


def change_page(change: Callable[[dict[str, Any]], None]) -> Act:
    """Change a document of the API."""

    def act(line: Line, reply: Reply) -> None:
        document = json.loads(reply.body)
        change(document)
        line.send(Reply(reply.status, json.dumps(document).encode(), reply.headers))

    return act
