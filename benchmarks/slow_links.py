"""A slow line: a server that answers range requests after a delay, and a small STAC API over a series.

It counts what it is asked: requests for images, the bytes sent, and the most requests that were under way at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT
from benchmarks.results import Row, Run, compare
from benchmarks.series import BANDS, Series, open_series

HOST = "127.0.0.1"
COLLECTION = "sentinel-2-l2a"


class Server(ThreadingHTTPServer):
    """Serves one series."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, series: Series, delay: float) -> None:
        super().__init__((HOST, 0), Handler)
        self.series, self.delay = series, delay
        self.lock = threading.Lock()
        self.requests = self.sent = self.under_way = self.most = 0

    @property
    def url(self) -> str:
        """Address of the API."""
        return f"http://{HOST}:{self.server_address[1]}"

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Count a request for an image while it is under way."""
        with self.lock:
            self.requests += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        try:
            yield
        finally:
            with self.lock:
                self.under_way -= 1

    def describe_root(self) -> dict[str, Any]:
        """Return the API's landing page."""
        conforms = [f"https://api.stacspec.org/v1.0.0/{name}" for name in ("core", "collections", "item-search")]
        links: list[dict[str, str]] = [{"rel": "root", "href": self.url}, {"rel": "self", "href": self.url}]
        search = {"rel": "search", "href": f"{self.url}/search", "type": "application/geo+json"}
        links += [search | {"method": method} for method in ("GET", "POST")]
        head = {"type": "Catalog", "stac_version": "1.0.0", "id": "slow", "description": "a slow line"}
        return head | {"conformsTo": conforms, "links": links}

    def describe_items(self) -> dict[str, Any]:
        """Return every item, with whole addresses: one page holds them all."""
        features = []
        for name in self.series.items:
            item = json.loads((self.series.folder / name / f"{name}.json").read_text("utf-8"))
            for asset in item["assets"].values():
                asset["href"] = f"{self.url}/{name}/{Path(asset['href']).name}"
            features.append(item | {"links": []})
        return {"type": "FeatureCollection", "features": features, "links": []}


class Handler(BaseHTTPRequestHandler):
    """Answers one connection, which stays open."""

    server: Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(6, 1, 1)  # TCP_NODELAY: the delay is ours alone

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def do_GET(self) -> None:
        """Answer after the delay."""
        path = self.path.partition("?")[0]
        if path == "/.counts":
            return self._send_json({"requests": self.server.requests, "sent": self.server.sent, "most": self.server.most})
        if not path.endswith(".tif"):
            time.sleep(self.server.delay)
            return self._send_json(self.server.describe_items() if path == "/search" else self.server.describe_root())
        with self.server.counting():
            time.sleep(self.server.delay)
            self._send_file(self.server.series.folder / path.lstrip("/"))
        return None

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send_json(self, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _send_file(self, path: Path) -> None:
        if not path.is_file():
            self.send_error(404)
            return
        size = path.stat().st_size
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = (int(match[1]), min(int(match[2] or size), size - 1)) if match else (0, size - 1)
        if first >= size:
            self.send_error(416)
            return
        self.send_response(206 if match else 200)
        self.send_header("Content-Type", "image/tiff")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(last - first + 1))
        if match:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.end_headers()
        if self.command != "HEAD":
            with path.open("rb") as file, contextlib.suppress(ConnectionError):
                self._pour(file.fileno(), first, last - first + 1)

    def _pour(self, file: int, offset: int, count: int) -> None:
        self.wfile.flush()
        while count > 0:
            sent = os.sendfile(self.connection.fileno(), file, offset, count)
            if not sent:
                break
            offset, count = offset + sent, count - sent
            with self.server.lock:
                self.server.sent += sent

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@dataclass(frozen=True)
class Link:
    """A running server."""

    url: str

    def count(self) -> dict[str, int]:
        """Return requests for images, bytes sent, and the most requests under way at once."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"{self.url}/.counts", timeout=10) as answer:
            counts: dict[str, int] = json.load(answer)
        return counts


@contextlib.contextmanager
def open_link(series: Series, delay: float) -> Iterator[Link]:
    """Serve a series from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.slow_links", str(series.folder), str(delay)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield Link(process.stdout.readline().strip())
    finally:
        process.terminate()
        process.wait()
        if process.stdout:
            process.stdout.close()


def measure_lines(run: Run) -> list[Row]:
    """Scan over a line without and with delay."""
    series, results, counts = run.series(run.size, run.scenes), [], []
    for number, delay in enumerate((0.0, run.delay)):
        with open_link(series, delay) as link:
            folder = run.work / f"line-{number}"
            workspace = series.workspace(folder, [series.area()])
            done = run.job("scan", source=link.url, **run.scan_settings(series, workspace))
            results.append(done)
            counts.append(link.count())
            assert not done.facts["failures"]
    windows = len(series.items) * len(BANDS)
    milliseconds = f"{1000 * run.delay:.0f} ms"
    return [
        Row("scan over HTTP, no delay", results[0].seconds, "s", cpu=results[0].cpu),
        *compare(f"scan over HTTP, {milliseconds} a request", results[1], results[0], "no delay", "slow-line"),
        Row("requests for one band of one scene", counts[1]["requests"] / windows, "requests", goal="requests"),
        Row("most requests under way at once", counts[1]["most"], "requests"),
    ]


def main() -> None:
    """Serve a folder until the process is ended; prints the address first."""
    server = Server(open_series(Path(sys.argv[1])), float(sys.argv[2]))
    print(server.url, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
