"""Fetches byte ranges of local files and over HTTP; the size and duration of every answer are limited."""

from __future__ import annotations

import email.utils
import os
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout

from minewatch.core.connections import MOST_CONNECTIONS, RequestError, receive, refuse_proxy_login, send
from minewatch.core.errors import SceneError
from minewatch.core.host_load import get_host_load
from minewatch.core.refusals import explain_refusal
from minewatch.core.text import show
from minewatch.core.url_policy import check_href, name_origin

MOST_REQUESTS = MOST_CONNECTIONS
"""In flight from one process: at 30 ms and 1 MB each they fill a gigabit line several times over, and with more,
servers answer 429."""

TIMEOUT = Timeout(connect=15, read=30)
"""Seconds to connect, and seconds without a byte."""

ANSWER_SECONDS = 120.0
"""Longest duration of one answer, head and body, so that a trickle ends too."""

ATTEMPTS = 4
"""At a range, where the error is transient: a busy server, a body cut short."""

FIRST_BACKOFF = 0.5
"""Seconds before the second attempt; see :func:`compute_backoff`."""

LONGEST_RETRY_AFTER = 60.0
"""Seconds; a longer Retry-After of a server is cut to this."""

RETRY_SECONDS = 300.0
"""After these no other attempt at a range is made; with the last one's ANSWER_SECONDS it ends after seven minutes."""

BUSY_STATUSES = (408, 425, 429, 500, 502, 503, 504)
"""After which a request is repeated."""

THROTTLED_STATUSES = (429, 503)
"""The server has too many requests at one time."""

DENIED_STATUSES = (401, 403)
"""Access is denied."""

PROXY_DENIED = 407
"""The proxy wants a login."""

UNKNOWN = -1
"""Size of a file that the server does not state."""

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

    is_throttled: bool = False
    """True if the server has too many requests at one time."""


@cache
def get_fetch_pool() -> ThreadPoolExecutor:
    """Return the threads that fetch: one pool per process, which limits its requests in flight."""
    return ThreadPoolExecutor(MOST_REQUESTS, thread_name_prefix="fetch")


os.register_at_fork(after_in_child=get_fetch_pool.cache_clear)  # threads do not survive a fork


class FilePart(NamedTuple):
    """A byte range of a file."""

    data: bytes
    """Its bytes; fewer than requested only where the file ends."""

    total: int
    """Bytes of the whole file; UNKNOWN where the server does not say."""


def is_remote(href: str) -> bool:
    """True if an address is fetched over HTTP; object stores are too, by signed requests."""
    return urlsplit(href).scheme in ("http", "https", "s3")


def fetch(href: str, start: int, stop: int) -> bytes:
    """Fetch bytes ``start`` to ``stop`` of a file; fewer only where the file ends.  Raises OSError."""
    if is_remote(href):
        return fetch_part(href, start, stop, {}).data
    with Path(href).open("rb", buffering=0) as file:
        return os.pread(file.fileno(), stop - start, start)


def fetch_part(href: str, start: int, stop: int, headers: Mapping[str, str], *, is_host_wide: bool = False) -> FilePart:
    """Fetch bytes ``start`` to ``stop`` of a remote file.  Raises OSError.

    ``headers`` are sent to this address alone; where they are good for its host, they go along with redirects on it.
    """
    deadline, attempt, load = time.monotonic() + RETRY_SECONDS, 1, get_host_load(urlsplit(href).netloc, MOST_REQUESTS)
    while True:
        with load.enter() as ticket:
            try:
                part = _fetch_once(href, start, stop, headers, is_host_wide=is_host_wide)
            except _TransientError as error:
                fault = error
            else:
                load.note_success()
                return part
            is_our_load = fault.is_throttled and load.slow_down(ticket)
        pause = compute_backoff(FIRST_BACKOFF, attempt) if fault.wait is None else fault.wait
        if attempt == ATTEMPTS or time.monotonic() + pause > deadline:
            raise fault
        attempt += not is_our_load
        time.sleep(pause)


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
        except RequestError as error:
            answers.append(RangeError(str(error)))

    # Looking up a host has no time limit of its own: the thread is left behind.
    thread = threading.Thread(target=send, name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    answer = answers[0] if answers else RangeError(f"no whole answer within {seconds:.0f} seconds")
    if isinstance(answer, RangeError):
        raise answer
    return answer


def request_status(href: str, seconds: float) -> int:
    """Return the status of a GET, after redirects; its body is not read.  Raises OSError, whose message holds no address."""
    timeout = Timeout(connect=seconds, read=seconds)
    for _ in range(MOST_REDIRECTS + 1):
        answer = send("GET", href, {"User-Agent": "minewatch"}, timeout=timeout, seconds=seconds)
        answer.close()
        if answer.status == PROXY_DENIED:
            raise refuse_proxy_login(href)
        if answer.status not in REDIRECT_STATUSES:
            return answer.status
        href = resolve_redirect(href, answer.headers.get("Location", ""))
    raise RangeError("redirected too often")


def _post_once(href: str, body: bytes, headers: Mapping[str, str], largest: int, seconds: float) -> bytes:
    headers = {"Accept-Encoding": "identity", "User-Agent": "minewatch", **headers}
    timeout = Timeout(connect=seconds, read=seconds)
    answer = send("POST", href, headers, body=body, timeout=timeout, seconds=seconds)
    try:
        if answer.status in DENIED_STATUSES:
            raise DeniedError(f"status {answer.status}, access is denied")
        if answer.status in REDIRECT_STATUSES:
            raise RangeError(f"status {answer.status}, a redirect, which is not followed; give the final address")
        if answer.status == PROXY_DENIED:
            raise refuse_proxy_login(href)
        if answer.status != 200:
            raise RangeError(f"status {answer.status}")
        received = receive(answer, largest)
    finally:
        answer.close()
    if len(received) > largest:
        raise RangeError(f"the answer has more than {largest} bytes")
    return received


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


def _fetch_once(href: str, start: int, stop: int, headers: Mapping[str, str], *, is_host_wide: bool) -> FilePart:
    for _ in range(MOST_REDIRECTS + 1):
        answer = _request(href, start, stop, headers)
        try:
            if answer.status not in REDIRECT_STATUSES:
                return _receive(answer, href, start, stop)
            location = answer.headers.get("Location", "")
            # A store in another region would refuse a signature that was made for this one.
            if (headers or not location) and (reason := explain_refusal(answer)):
                raise RangeError(f"status {answer.status}: {reason}")
            target = resolve_redirect(href, location)
            href, headers = target, headers if is_host_wide and name_origin(href) == name_origin(target) else {}
        except RequestError as error:
            raise _convert(error) from None
        finally:
            answer.close()
    raise RangeError("redirected too often")


def _request(href: str, start: int, stop: int, more: Mapping[str, str]) -> BaseHTTPResponse:
    headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity", "User-Agent": "minewatch", **more}
    try:
        return send("GET", href, headers, timeout=TIMEOUT, seconds=ANSWER_SECONDS)
    except RequestError as error:
        raise _convert(error) from None


def _convert(fault: RequestError) -> RangeError:
    return (_TransientError if fault.is_transient else RangeError)(str(fault))


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


def _receive(answer: BaseHTTPResponse, href: str, start: int, stop: int) -> FilePart:
    if answer.status in BUSY_STATUSES:
        error = _TransientError(f"status {answer.status}")
        error.wait, error.is_throttled = parse_retry_after(answer.headers.get("Retry-After")), answer.status in THROTTLED_STATUSES
        raise error
    if answer.status == PROXY_DENIED:
        raise refuse_proxy_login(href)
    if answer.status == 200:
        raise RangeError("the server, or a proxy before it, ignores ranges of bytes (status 200 in place of 206)")
    if answer.status != 206:
        reason = explain_refusal(answer)
        if answer.status in DENIED_STATUSES:
            raise DeniedError(f"status {answer.status}, access is denied{reason and f': {reason}'}")
        raise RangeError(f"status {answer.status} in place of a part of the file{reason and f': {reason}'}")
    first, last, total = _parse_place(answer, stop)
    if first != start or not first <= last < stop:
        raise RangeError("another part of the file than was asked for")
    return FilePart(_receive_body(answer, last + 1 - first), total)


def _parse_place(answer: BaseHTTPResponse, stop: int) -> tuple[int, int, int]:
    """Return first and last byte of an answer, and the size of the file, UNKNOWN where the server does not say."""
    coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise RangeError(f"the server, or a proxy before it, compresses parts of files (Content-Encoding: {show(coding, 20)})")
    place = answer.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", place.strip(), re.ASCII | re.IGNORECASE)
    if not match:
        raise RangeError(f"the answer does not say which part of the file it is (Content-Range: {show(place, 40) or 'none'})")
    first, last = int(match[1]), int(match[2])
    if match[3] == "*":
        return first, last, UNKNOWN
    if last + 1 != min(stop, int(match[3])):
        raise RangeError("another part of the file than was asked for")
    return first, last, int(match[3])


def _receive_body(answer: BaseHTTPResponse, size: int) -> bytes:
    body = receive(answer, size)
    if len(body) > size:
        raise RangeError("more bytes than were asked for")
    if len(body) < size:
        raise _TransientError("the answer broke off")
    return body
