"""Keys and tokens that go along with requests of a provider's documents and files, to its own hosts alone.

They are added to each request where it is sent: addresses and headers elsewhere never hold them.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from minewatch.core.http import FIRST_BACKOFF, DeniedError, RangeError, compute_backoff, post
from minewatch.settings.providers import TokenLogin

TOKEN_SECONDS = 30.0
"""Longest wait for a token, for each attempt."""

ATTEMPTS = 3
"""At a token."""

LARGEST_ANSWER = 2**16
"""Bytes; tokens of the Copernicus Data Space have two thousand."""

MARGIN = 60.0
"""Seconds before its end at which a token is renewed, or a tenth of its life where that is less."""


class TokenError(RangeError):
    """There is no key or token; the message names variables and holds no key."""


@dataclass
class _Token:
    text: str
    end: float
    """On the monotonic clock."""

    has_worked: bool = False
    """True if a host has accepted it."""


class Tokens:
    """The fetched tokens of this process; thread-safe, and one thread at a time fetches one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[TokenLogin, _Token] = {}
        self._failed: dict[TokenLogin, tuple[float, str]] = {}
        self._rejected: set[TokenLogin] = set()
        self._sent = threading.local()

    def get(self, login: TokenLogin) -> str:
        """Return the key or a valid token; raises TokenError."""
        if login.variable:
            return _read_variable(login.variable)
        token = self._fetch(login, time.monotonic())
        self._sent.text = token.text
        return token.text

    def confirm(self, login: TokenLogin) -> None:
        """Record that the token that this thread sent last was accepted."""
        held = self._held.get(login)
        if held is not None and held.text == getattr(self._sent, "text", ""):
            held.has_worked = True
            self._rejected.discard(login)

    def renew(self, login: TokenLogin) -> bool:
        """Give up the token that this thread sent last, which was rejected; False where another one would not help.

        That is so for a key, and where a renewed token never worked either.
        """
        with self._lock:
            held = self._held.get(login)
            if login.variable:
                return False
            if held is None or held.text != getattr(self._sent, "text", ""):
                return True  # another thread was first
            if not held.has_worked and login in self._rejected:
                return False
            del self._held[login]
            self._rejected.add(login)
            return True

    def list_secrets(self, login: TokenLogin) -> tuple[str, ...]:
        """Return what must not be shown: what the variables hold, and the token."""
        held = self._held.get(login)
        known = [os.environ.get(name, "").strip() for name in login.variables] + ([held.text] if held else [])
        return tuple(text for text in known if text)

    def _fetch(self, login: TokenLogin, began: float) -> _Token:
        with self._lock:
            held, (failed, reason) = self._held.get(login), self._failed.get(login, (-1.0, ""))
            if held is not None and time.monotonic() < held.end:
                return held
            if failed >= began:  # while this thread waited, another one asked in vain
                raise TokenError(reason)
            try:
                self._held[login] = token = _request_token(login)
            except TokenError as error:
                self._failed[login] = time.monotonic(), str(error)
                raise
            return token


TOKENS = Tokens()
"""The tokens of this process."""


def authorize(login: TokenLogin | None, href: str) -> tuple[str, dict[str, str]]:
    """Return an address and headers with the key or token, if the address is one of its hosts.  Raises TokenError."""
    if login is None or not login.belongs_to(href):
        return href, {}
    token = TOKENS.get(login)
    if not login.query:
        return href, {login.header: token} if login.header else {"Authorization": f"Bearer {token}"}
    parts = urlsplit(href)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != login.query]
    return parts._replace(query=urlencode([*query, (login.query, token)])).geturl(), {}


def list_missing(login: TokenLogin) -> list[str]:
    """Return the environment variables that are not set."""
    return [name for name in login.variables if not os.environ.get(name, "").strip()]


def _read_variable(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise TokenError(f"no key; set {name} in the environment")
    if not value.isascii() or not value.isprintable():
        raise TokenError(f"no key; {name} holds line breaks or other characters that no key has")
    return value


def _request_token(login: TokenLogin) -> _Token:
    """Fetch a token by client credentials (RFC 6749, 4.4).  Raises TokenError."""
    form = {"grant_type": "client_credentials", "client_id": _read_variable(login.id_variable)}
    form |= {"client_secret": _read_variable(login.secret_variable)} | ({"scope": login.scope} if login.scope else {})
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = post(login.url, urlencode(form).encode(), headers, LARGEST_ANSWER, TOKEN_SECONDS)
            return _parse_token(answer)
        except RangeError as error:
            is_refused = isinstance(error, DeniedError) or "status 400" in str(error)
            if is_refused or attempt == ATTEMPTS or isinstance(error, TokenError):
                advice = f"; check {login.id_variable} and {login.secret_variable}" if is_refused else ""
                raise TokenError(f"no token from the login service of the source: {error}{advice}") from None
        time.sleep(compute_backoff(FIRST_BACKOFF, attempt))
    raise AssertionError("unreachable")


def _parse_token(answer: bytes) -> _Token:
    try:
        document = json.loads(answer)
        text, life = document["access_token"], float(document.get("expires_in") or 300)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise TokenError("its answer holds no token") from None
    if not isinstance(text, str) or not text or not text.isascii() or not text.isprintable() or not life > 0:
        raise TokenError("its answer holds no token")
    now = time.monotonic()
    return _Token(text, now + life - min(MARGIN, life / 10))
