"""Fetches byte ranges of local files and over HTTP; the size and duration of every answer are limited."""

from __future__ import annotations

import email.utils
import os
import re
import threading
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
"""In flight from one process: at 30 ms and 1 MB each they fill a gigabit line several times over, and with more,
servers answer 429."""

TIMEOUT = Timeout(connect=15, read=30)
"""Seconds to connect, and seconds without a byte."""

ANSWER_SECONDS = 120.0
"""Longest duration of one answer, so that a trickle ends too."""

ATTEMPTS = 4
"""At a range, where the error is transient: a busy server, a body cut short."""

FIRST_BACKOFF = 0.5
"""Seconds before the second attempt; see :func:`compute_backoff`."""

LONGEST_RETRY_AFTER = 60.0
"""Seconds; a longer Retry-After of a server is cut to this."""

RETRY_SECONDS = 300.0
"""After these no other attempt at a range is made; with the last one's ANSWER_SECONDS it ends after seven minutes."""

BUSY_STATUSES = (408, 429, 500, 502, 503, 504)
"""After which a request is repeated."""

DENIED_STATUSES = (401, 403)
"""Access is denied."""

REDIRECT_STATUSES = (301, 302, 303, 307, 308)
"""The answer names another address."""

MOST_REDIRECTS = 3
"""That are followed for one request."""


class RangeError(OSError):
    """Bytes could not be fetched; the message holds no address, since addresses may hold secrets."""


class DeniedError(RangeError):
    """The server requires a login or signature, or the one sent is no longer valid."""


class _TransientError(RangeError):
    """Bytes could not be fetched, but another attempt may succeed."""

    wait: float | None = None
    """Seconds that the server asks to wait."""


@cache
def get_fetch_pool() -> ThreadPoolExecutor:
    """Return the threads that fetch: one pool per process, which limits its requests in flight."""
    return ThreadPoolExecutor(MOST_REQUESTS, thread_name_prefix="fetch")


@cache
def _connections(proxy: str | None) -> urllib3.PoolManager:
    make = partial(urllib3.ProxyManager, proxy) if proxy else urllib3.PoolManager
    return make(maxsize=MOST_REQUESTS, retries=False, ca_certs=os.environ.get("CURL_CA_BUNDLE"))


os.register_at_fork(after_in_child=get_fetch_pool.cache_clear)  # threads and connections do not survive a fork
os.register_at_fork(after_in_child=_connections.cache_clear)


class FilePart(NamedTuple):
    """A byte range of a file."""

    data: bytes
    """Its bytes; fewer than requested only where the file ends."""

    total: int
    """Bytes of the whole file."""


def is_remote(href: str) -> bool:
    """True if an address is fetched over HTTP; object stores are too, by signed requests."""
    return urlsplit(href).scheme in ("http", "https", "s3")


def fetch(href: str, start: int, stop: int) -> bytes:
    """Fetch bytes ``start`` to ``stop`` of a file; fewer only where the file ends.  Raises OSError."""
    if is_remote(href):
        return fetch_part(href, start, stop, {}).data
    with Path(href).open("rb", buffering=0) as file:
        return os.pread(file.fileno(), stop - start, start)


def fetch_part(href: str, start: int, stop: int, headers: Mapping[str, str]) -> FilePart:
    """Fetch bytes ``start`` to ``stop`` of a remote file; ``headers`` are sent to its host only.  Raises OSError."""
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


def post(href: str, body: bytes, headers: Mapping[str, str], largest: int, seconds: float) -> bytes:
    """Send ``body`` and return the answer's, at most ``largest`` bytes, within ``seconds``; redirects are not followed.

    Raises RangeError, whose message holds no address.
    """
    name = f"minewatch-post-{urlsplit(href).netloc}"
    if any(thread.name == name for thread in threading.enumerate()):
        raise RangeError("an earlier request still hangs")
    answers: list[bytes | RangeError] = []

    def send() -> None:
        try:
            answers.append(_post_once(href, body, headers, largest, seconds))
        except RangeError as error:
            answers.append(error)
        except (HTTPError, OSError, ValueError) as error:
            answers.append(RangeError(f"the answer broke off, {type(error).__name__}"))

    # Neither looking up a host nor an answer that trickles has a time limit of its own: the thread is left behind.
    thread = threading.Thread(target=send, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    answer = answers[0] if answers else RangeError(f"no whole answer within {seconds:.0f} seconds")
    if isinstance(answer, RangeError):
        raise answer
    return answer


def _post_once(href: str, body: bytes, headers: Mapping[str, str], largest: int, seconds: float) -> bytes:
    headers = {"Accept-Encoding": "identity", "User-Agent": "minewatch", **headers}
    timeout = Timeout(connect=seconds, read=seconds)
    try:
        answer = _connections(find_proxy(href)).request(
            "POST", href, body=body, headers=headers, timeout=timeout, redirect=False, preload_content=False, decode_content=False
        )
    except (NewConnectionError, ConnectTimeoutError, SSLError, LocationValueError, ValueError) as error:
        raise RangeError(f"no connection, {type(error).__name__}") from None
    except (HTTPError, OSError) as error:
        raise RangeError(f"no answer, {type(error).__name__}") from None
    try:
        if answer.status in DENIED_STATUSES:
            raise DeniedError(f"status {answer.status}, access is denied")
        if answer.status in REDIRECT_STATUSES:
            raise RangeError(f"status {answer.status}, a redirect, which is not followed; give the final address")
        if answer.status != 200:
            raise RangeError(f"status {answer.status}")
        return _receive_whole(answer, largest, seconds)
    finally:
        answer.close()


def _receive_whole(answer: BaseHTTPResponse, largest: int, seconds: float) -> bytes:
    deadline, body = time.monotonic() + seconds, bytearray()
    while part := answer.read1(largest + 1 - len(body)):
        body += part
        if len(body) > largest:
            raise RangeError(f"the answer has more than {largest} bytes")
        if time.monotonic() > deadline:
            raise RangeError("the answer is too slow")
    return bytes(body)


def compute_backoff(first: float, attempt: int) -> float:
    """Return the seconds to wait after an attempt (from 1): exponential backoff, with jitter of up to as much again.

    The jitter keeps clients that were rejected together from returning together.
    """
    return first * 2.0 ** (attempt - 1) * (1 + time.perf_counter_ns() % 1000 / 1000)


def parse_retry_after(header: str | None, longest: float = LONGEST_RETRY_AFTER) -> float | None:
    """Return the seconds of a Retry-After header, a number or a date (RFC 9110, 10.2.3), at most ``longest``; else None."""
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
    except (NewConnectionError, ConnectTimeoutError) as error:  # on a bad line, the next attempt may succeed
        raise _TransientError(f"no connection, {type(error).__name__}") from None
    except (SSLError, LocationValueError, ValueError) as error:
        raise RangeError(f"no connection, {type(error).__name__}") from None
    except (HTTPError, OSError) as error:
        raise _TransientError(f"no answer, {type(error).__name__}") from None


def find_proxy(href: str) -> str | None:
    """Return the proxy that the environment names for an address; None for a direct connection."""
    parts = urlsplit(href)
    proxy = urllib.request.getproxies().get(parts.scheme)
    return None if proxy is None or urllib.request.proxy_bypass(parts.hostname or "") else proxy


def resolve_redirect(href: str, location: str) -> str:
    """Return the address of a redirect, if a document at ``href`` would be allowed to name it.

    That is https in any zone that is not nearer to this machine, and plain http only on the same host.  Raises RangeError
    for every other.
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
