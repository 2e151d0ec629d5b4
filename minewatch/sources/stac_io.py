"""Reads catalogue documents, with limits of time and size, retries, and the URL policy."""

from __future__ import annotations

import datetime as dt
import json
import math
import time
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pystac
from pystac.stac_io import StacIO
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests import PreparedRequest, Request
from requests.exceptions import RequestException
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout

from minewatch.core.connections import RequestError, receive, refuse_proxy_login, send
from minewatch.core.errors import SceneError, SourceError
from minewatch.core.http import (
    BUSY_STATUSES,
    DENIED_STATUSES,
    MOST_REDIRECTS,
    PROXY_DENIED,
    REDIRECT_STATUSES,
    RangeError,
    compute_backoff,
    parse_retry_after,
    resolve_redirect,
)
from minewatch.core.refusals import quote_refusal
from minewatch.core.text import show
from minewatch.core.url_policy import LONGEST_HREF, check_href, check_id, hide_secrets, is_web, list_secrets
from minewatch.settings.providers import TokenLogin
from minewatch.sources.tokens import TOKENS, TokenError, authorize

TIMEOUT = (15, 30)
"""Seconds to connect, and seconds without a byte."""

DOCUMENT_SECONDS = 120.0
"""Longest duration of one document, so that a trickle ends too."""

SEARCH_SECONDS = 1800.0
"""Longest duration of one search; then it ends with an error and nothing is changed."""

ATTEMPTS = 5
"""At a document, where the error is transient.  POST is repeated too: a search changes nothing."""

FORMAT_ATTEMPTS = 3
"""At a document that is not JSON: a proxy's page, which is transient, or a wrong address, which is not."""

FIRST_BACKOFF = 0.5
"""Seconds before the second attempt; see :func:`compute_backoff`."""

LARGEST_DOCUMENT = 64 * 2**20
"""Bytes of one document once inflated; a page of 100 items has one to three million."""

DEEPEST_NESTING = 100
"""Of lists and objects; the outline of a multipolygon in a page of items is 9 deep."""

LONGEST_LINK = 2**16
"""Characters of the address of a next page, whose token may hold the whole question; some have 32 kB."""

KEPT_HEADERS = ("accept", "accept-encoding", "user-agent", "content-type", "content-length")
"""Sent to another host after a redirect; other headers may contain a key."""


class DocumentError(OSError):
    """A document could not be read; the message holds no address, since addresses may hold secrets.

    ``attempts`` are worthwhile, ``status`` is that of an error answer, ``wait`` the seconds that the server asks to wait.
    """

    def __init__(self, message: str, attempts: int = 1, status: int | None = None, wait: float | None = None) -> None:
        super().__init__(message)
        self.attempts, self.status, self.wait = attempts, status, wait

    @property
    def is_refusal(self) -> bool:
        """True if the server refuses the request itself, so that it would refuse it later too."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in BUSY_STATUSES

    @property
    def is_passing(self) -> bool:
        """True if the server, or the line, may be in order later."""
        return self.attempts > 1 and not self.is_refusal


class FormatError(DocumentError):
    """A document was received but is not what was requested."""

    @property
    def is_passing(self) -> bool:
        """False: it may be the only one that there is."""
        return False


MOST_VALUES = 50_000
"""Of one item; real ones have one to four thousand, an outline of 10 000 points 30 000."""

SHORT_ID = 60
"""Characters of an invalid id in messages."""


class GuardedIO(StacApiIO):
    """Reads documents with limits and retries, from addresses that the catalogue at ``root`` may name."""

    def __init__(self, root: str, token: TokenLogin | None = None) -> None:
        super().__init__(timeout=TIMEOUT, max_retries=None)
        self.root, self.token = root, token
        self._deadline = math.inf

    def begin(self) -> None:
        """Start the time limit of a search."""
        self._deadline = time.monotonic() + SEARCH_SECONDS

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """Read a document; raises SourceError where its address is not allowed, DocumentError where it cannot be read."""
        is_link = isinstance(source, pystac.Link)
        href = self._check(source.href if is_link else str(source))
        if is_web(href):
            return super().read_text(source if is_link else href, *args, **kwargs)
        with Path(href).open("rb") as file:
            return _decode(file.read(LARGEST_DOCUMENT + 1))

    def json_loads(self, txt: str, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
        """Parse a document; raises FormatError where it is not a JSON object."""
        return parse_document(txt)

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Request a document, with retries after transient errors.  Raises DocumentError."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._request_once((method or "GET").upper(), href, headers, parameters)
            except DocumentError as error:
                if attempt >= min(error.attempts, ATTEMPTS):
                    raise
                pause = compute_backoff(FIRST_BACKOFF, attempt) if error.wait is None else error.wait
                self.check_clock(pause)
                time.sleep(pause)
        raise AssertionError("unreachable")

    def read_answer(
        self, href: str, method: str, headers: dict[str, str] | None, parameters: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Request a page of a search, whose address may hold a long token.  Raises as read_text does."""
        return parse_document(self.request(self._check(href, LONGEST_LINK), method, headers, parameters))

    def _check(self, href: str, longest: int = LONGEST_HREF) -> str:
        try:
            return check_href(href, self.root, "a link", longest=longest)
        except SceneError as error:
            raise SourceError(f"catalogue {hide_secrets(self.root)}: {error}") from error

    def check_clock(self, pause: float = 0) -> None:
        """Raise DocumentError where a search has taken too long, or will have after a pause in seconds."""
        if time.monotonic() + pause > self._deadline:
            raise DocumentError(f"the search took longer than {SEARCH_SECONDS / 60:.0f} minutes and was given up")

    def _request_once(
        self, method: str, href: str, headers: Mapping[str, str] | None, parameters: Mapping[str, Any] | None
    ) -> str:
        body = {"json": parameters} if method == "POST" else {"params": parameters or {}}
        request = Request(method, href, headers=headers, **body)
        try:
            modified = self._req_modifier(request) if self._req_modifier else None
            prepared = self.session.prepare_request(modified or request)
        except (RequestException, ValueError) as error:
            raise DocumentError(f"not a valid address, {type(error).__name__}") from None
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._send(prepared)
            try:
                if answer.status not in REDIRECT_STATUSES:
                    return self._receive(answer, str(prepared.url))
                prepared = _redirect(prepared, answer)
            except RequestError as error:
                raise _convert(error) from None
            finally:
                answer.close()
        raise DocumentError("redirected too often")

    def _receive(self, answer: BaseHTTPResponse, href: str) -> str:
        secrets = TOKENS.list_secrets(self.token) if self.token else ()
        return _receive(answer, href, (*list_secrets(self.root), *secrets))

    def _send(self, prepared: PreparedRequest) -> BaseHTTPResponse:
        """Send a request, with the token of its host, which is renewed once."""
        answer = self._send_once(prepared)
        if self.token is None or not self.token.belongs_to(str(prepared.url)):
            return answer
        if answer.status not in DENIED_STATUSES:
            TOKENS.confirm(self.token)
        elif TOKENS.renew(self.token):
            answer.close()
            return self._send_once(prepared)
        return answer

    def _send_once(self, prepared: PreparedRequest) -> BaseHTTPResponse:
        self.check_clock()
        seconds = min(DOCUMENT_SECONDS, self._deadline - time.monotonic())
        timeout = Timeout(connect=TIMEOUT[0], read=TIMEOUT[1])
        try:
            address, login = authorize(self.token, str(prepared.url))
            headers = {name: str(value) for name, value in prepared.headers.items()} | login
            body = prepared.body if isinstance(prepared.body, (bytes, str)) else None
            return send(str(prepared.method), address, headers, body=body, timeout=timeout, seconds=seconds)
        except RequestError as error:
            raise _convert(error) from None
        except TokenError as error:
            raise DocumentError(str(error)) from None


class StaticIO(GuardedIO):
    """As GuardedIO, for static catalogues, whose collections are not API endpoints."""

    def stac_object_from_dict(self, d: dict[str, Any], *args: Any, **kwargs: Any) -> pystac.STACObject:
        """Return a pystac object; for a malformed item, an empty one with its fault."""
        if d.get("type") == "Feature":
            # pystac itself would read the collection of an item of STAC 0.9 from any address in a link.
            return make_item(d, *args, **kwargs)
        return StacIO.stac_object_from_dict(self, d, *args, **kwargs)


FAULT = "minewatch:fault"
"""Extra field of an empty item: why the real one could not be parsed."""


def make_item(document: dict[str, Any], href: Any = None, root: Any = None, **_: Any) -> pystac.Item:
    """Return the item of a document; where that fails, an empty one with its FAULT, so that others can be used."""
    place = None if href is None else str(href)
    try:
        return _read_item(document, place, root)
    except SceneError as error:
        name, epoch = show(document.get("id"), SHORT_ID), dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        empty = pystac.Item(name, None, None, epoch, {}, href=place, extra_fields={FAULT: str(error)})
    if root is not None:
        empty.set_root(root)
    return empty


def _read_item(document: dict[str, Any], href: str | None, root: Any) -> pystac.Item:
    if _is_large(document):
        raise SceneError(f"item {show(document.get('id'), SHORT_ID)} holds more than {MOST_VALUES} values")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # their text is untrusted
            item = pystac.Item.from_dict(document, href=href, root=root, preserve_dict=False)
    except Exception as error:  # malformed documents make libraries raise nearly everything
        name = show(document.get("id"), SHORT_ID)
        raise SceneError(f"item {name} is no item of STAC ({type(error).__name__})") from error
    check_id(item.id)
    if item.datetime is not None and item.datetime.year not in range(1970, 2200):
        raise SceneError(f"item {item.id} is of the year {item.datetime.year}")
    return item


def _is_large(document: dict[str, Any]) -> bool:
    """True if an item has more than MOST_VALUES values."""
    waiting: list[Any] = [document]
    count = 0
    while waiting and count <= MOST_VALUES:
        value = waiting.pop()
        inner = value.values() if isinstance(value, dict) else value
        count += len(inner)
        waiting.extend(part for part in inner if isinstance(part, (dict, list)))
    return count > MOST_VALUES


def parse_document(text: str) -> dict[str, Any]:
    """Parse a JSON object; raises FormatError where the text is not one, or nested too deep."""
    try:
        document = json.loads(text)
        is_deep = _is_deep(document)
    except RecursionError:
        is_deep = True
    except ValueError:
        what = "a web page" if text.lstrip()[:1] == "<" else "something else, or only a part"
        raise FormatError(f"it does not give JSON but {what}", FORMAT_ATTEMPTS) from None
    if is_deep:
        raise FormatError(f"its JSON is nested more than {DEEPEST_NESTING} deep")
    if not isinstance(document, dict):
        raise FormatError("its JSON is no object")
    return document


def _is_deep(document: Any) -> bool:
    level: list[Any] = [[document]]
    for _ in range(DEEPEST_NESTING + 1):
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _decode(body: bytes | bytearray) -> str:
    if len(body) > LARGEST_DOCUMENT:
        raise FormatError(f"a document of more than {LARGEST_DOCUMENT // 2**20} MB")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FormatError("it does not give JSON but something that is not text", FORMAT_ATTEMPTS) from None


def _redirect(prepared: PreparedRequest, answer: BaseHTTPResponse) -> PreparedRequest:
    """Return the request to a redirect's address, with the same method except after 303; raises DocumentError."""
    try:
        target = resolve_redirect(str(prepared.url), answer.headers.get("Location", ""))
        moved = prepared.copy()
        moved.prepare_url(target, None)
    except (RangeError, RequestException, ValueError) as error:
        raise DocumentError(str(error) if isinstance(error, RangeError) else "redirected to an invalid address") from None
    is_other = urlsplit(str(moved.url)).netloc != urlsplit(str(prepared.url)).netloc
    if answer.status == 303:
        moved.method, moved.body = "GET", None
    for name in list(moved.headers):
        if (is_other and name.lower() not in KEPT_HEADERS) or (moved.body is None and name.lower().startswith("content-")):
            del moved.headers[name]
    return moved


def _convert(fault: RequestError) -> DocumentError:
    return DocumentError(str(fault), ATTEMPTS if fault.is_transient else 1)


def _receive(answer: BaseHTTPResponse, href: str, secrets: Iterable[str]) -> str:
    """Return the text of an answer; raises DocumentError or RequestError."""
    if answer.status == PROXY_DENIED:
        raise refuse_proxy_login(href)
    if answer.status != 200:
        is_busy = answer.status in BUSY_STATUSES
        wait = parse_retry_after(answer.headers.get("Retry-After")) if is_busy else None
        words = "" if is_busy else quote_refusal(answer, secrets)
        raise DocumentError(f"status {answer.status}{words and f', {words}'}", ATTEMPTS if is_busy else 1, answer.status, wait)
    text = _decode(receive(answer, LARGEST_DOCUMENT, decode=True))
    parse_document(text)  # an answer that is not JSON is requested again
    return text


def format_error(error: BaseException) -> str:
    """Return an error in a few words, without addresses, which may hold secrets."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, (APIError, RequestException)):
        response = getattr(error, "response", None)
        code = getattr(error, "status_code", None) or getattr(response, "status_code", None)
        return f"status {code}" if code else "no connection"
    return " ".join(str(error).split())[:300] or type(error).__name__
