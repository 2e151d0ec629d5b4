"""Fetches ranges of bytes from local files and over HTTP; every answer is bounded and checked."""

from __future__ import annotations

import email.utils
import os
import re
import time
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, LocationValueError, NewConnectionError, SSLError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout

from minewatch.core.errors import SceneError
from minewatch.core.url_policy import check_href

MOST_REQUESTS = 32
"""Requests in flight from one process at most: at 30 ms and 1 MB each they fill a gigabit line several times over,
and more of them would make servers answer 429."""

TIMEOUT = Timeout(connect=15, read=30)
"""Seconds: a connection that does not come, or a line that says nothing, is given up."""

ANSWER_SECONDS = 120.0
"""Seconds for one answer in all, so that a trickle ends too."""

ATTEMPTS = 4
"""For answers that promise better ones: a busy server, a body cut short."""

FIRST_BACKOFF = 0.5
"""Seconds before the second attempt; doubled each time, and spread by up to as much again."""

LONGEST_RETRY_AFTER = 60.0
"""Seconds: the most that a server's Retry-After is believed."""

RETRY_SECONDS = 300.0
"""Seconds after which no other attempt at a range is made; with the last one's ANSWER_SECONDS it ends after seven minutes."""

BUSY_STATUSES = (408, 429, 500, 502, 503, 504)
"""Answers that are asked for again."""

DENIED_STATUSES = (401, 403)
"""Answers to who may not read."""

REDIRECT_STATUSES = (301, 302, 303, 307, 308)
"""Answers that name another address."""

MOST_REDIRECTS = 3
"""How many of them are followed."""


class RangeError(OSError):
    """Bytes could not be had; the text holds no address, since addresses may hold secrets."""


class DeniedError(RangeError):
    """The server wants a login or a signature, or the one that it got is not good any more."""


class _TransientError(RangeError):
    """The same, where another attempt may do better."""

    wait: float | None = None
    """Seconds that the server asked for."""


@cache
def get_fetch_pool() -> ThreadPoolExecutor:
    """Return the threads that fetch: one set for the process, which bounds its requests in flight."""
    return ThreadPoolExecutor(MOST_REQUESTS, thread_name_prefix="fetch")


@cache
def _connections(proxy: str | None) -> urllib3.PoolManager:
    make = partial(urllib3.ProxyManager, proxy) if proxy else urllib3.PoolManager
    return make(maxsize=MOST_REQUESTS, retries=False, ca_certs=os.environ.get("CURL_CA_BUNDLE"))


os.register_at_fork(after_in_child=get_fetch_pool.cache_clear)  # threads and connections do not live on in a child
os.register_at_fork(after_in_child=_connections.cache_clear)


class FilePart(NamedTuple):
    """A part of a file."""

    data: bytes
    """What was asked for; less only where the file ends."""

    total: int
    """Bytes of the whole file."""


def is_remote(href: str) -> bool:
    """True if an address is fetched over HTTP; those of object stores are, once they are signed."""
    return urlsplit(href).scheme in ("http", "https", "s3")


def fetch(href: str, start: int, stop: int) -> bytes:
    """Fetch bytes ``start`` to ``stop`` of a file; fewer come only where the file ends.  Raises OSError."""
    return fetch_part(href, start, stop, {}).data if is_remote(href) else _fetch_local(href, start, stop)


def _fetch_local(path: str, start: int, stop: int) -> bytes:
    with Path(path).open("rb", buffering=0) as file:
        return os.pread(file.fileno(), stop - start, start)


def fetch_part(href: str, start: int, stop: int, headers: Mapping[str, str]) -> FilePart:
    """Fetch bytes ``start`` to ``stop`` of a remote file; ``headers`` are for its host alone.  Raises OSError."""
    deadline = time.monotonic() + RETRY_SECONDS
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _fetch_once(href, start, stop, headers)
        except _TransientError as error:
            pause = compute_backoff(FIRST_BACKOFF, attempt) if error.wait is None else error.wait
            if attempt == ATTEMPTS or time.monotonic() + pause > deadline:
                raise
            time.sleep(pause)
    raise AssertionError("unreachable")


def compute_backoff(first: float, attempt: int) -> float:
    """Return the seconds to wait after an attempt (from 1): doubled each time, and spread by up to as much again.

    Spread, so that clients that a server turned away together do not come back together.
    """
    return first * 2.0 ** (attempt - 1) * (1 + time.perf_counter_ns() % 1000 / 1000)


def parse_retry_after(header: str | None, longest: float = LONGEST_RETRY_AFTER) -> float | None:
    """Read a Retry-After, seconds or a date (RFC 9110, 10.2.3): seconds from now, at most ``longest``; None where it is none."""
    seconds: float
    text = (header or "").strip()
    try:
        if text.isascii() and text.isdigit():
            seconds = float(text[:9])
        else:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), longest)


def _fetch_once(href: str, start: int, stop: int, headers: Mapping[str, str]) -> FilePart:
    for _ in range(MOST_REDIRECTS + 1):
        answer = _request(href, start, stop, headers)
        try:
            if answer.status not in REDIRECT_STATUSES:
                return _receive(answer, start, stop)
            href, headers = resolve_redirect(href, answer.headers.get("Location", "")), {}
        except (HTTPError, OSError) as error:
            answer.close()
            if isinstance(error, RangeError):
                raise
            raise _TransientError(f"the answer broke off, {type(error).__name__}") from None
        answer.close()
    raise RangeError("redirected too often")


def _request(href: str, start: int, stop: int, more: Mapping[str, str]) -> BaseHTTPResponse:
    headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity", "User-Agent": "minewatch", **more}
    try:
        return _connections(find_proxy(href)).request(
            "GET", href, headers=headers, timeout=TIMEOUT, redirect=False, preload_content=False, decode_content=False
        )
    except (NewConnectionError, ConnectTimeoutError) as error:  # on a bad line, the next attempt may find the way
        raise _TransientError(f"no connection, {type(error).__name__}") from None
    except (SSLError, LocationValueError, ValueError) as error:
        raise RangeError(f"no connection, {type(error).__name__}") from None
    except (HTTPError, OSError) as error:
        raise _TransientError(f"no answer, {type(error).__name__}") from None


def find_proxy(href: str) -> str | None:
    """Return the proxy that the environment names for an address; None where it is asked without one."""
    parts = urlsplit(href)
    proxy = urllib.request.getproxies().get(parts.scheme)
    return None if proxy is None or urllib.request.proxy_bypass(parts.hostname or "") else proxy


def resolve_redirect(href: str, location: str) -> str:
    """Return the address that a redirect names, where a document at ``href`` might name it.

    That is https anywhere but nearer to this machine, and plain http only on the host that is asked already.  Raises
    RangeError for every other.
    """
    try:
        target = check_href(urljoin(href, location), href, "a redirect") if location else ""
    except (SceneError, ValueError):
        target = ""
    new = urlsplit(target)
    if new.scheme != "https" and (new.scheme != "http" or new.hostname != urlsplit(href).hostname):
        raise RangeError("redirected to where nothing is read")
    return target


def _receive(answer: BaseHTTPResponse, start: int, stop: int) -> FilePart:
    if answer.status in BUSY_STATUSES:
        error = _TransientError(f"status {answer.status}")
        error.wait = parse_retry_after(answer.headers.get("Retry-After"))
        raise error
    if answer.status in DENIED_STATUSES:
        raise DeniedError(f"status {answer.status}, access is denied")
    if answer.status != 206:
        raise RangeError(f"status {answer.status} in place of a part of the file")
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", answer.headers.get("Content-Range", ""))
    first, last, total = map(int, match.groups()) if match else (-1, -1, -1)
    if first != start or last + 1 != min(stop, total):
        raise RangeError("another part of the file than was asked for")
    return FilePart(_receive_body(answer, last + 1 - first), total)


def _receive_body(answer: BaseHTTPResponse, size: int) -> bytes:
    deadline, body = time.monotonic() + ANSWER_SECONDS, bytearray()
    while part := answer.read1(size + 1 - len(body)):
        body += part
        if len(body) > size:
            raise RangeError("more bytes than were asked for")
        if time.monotonic() > deadline:
            raise _TransientError("too slow")
    if len(body) < size:
        raise _TransientError("the answer broke off")
    return bytes(body)
