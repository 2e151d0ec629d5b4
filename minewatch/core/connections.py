"""How requests leave this machine: through which proxy, trusting which certificates, and for how long at most."""

from __future__ import annotations

import base64
import http.client
import io
import ipaddress
import os
import socket
import time
import urllib.request
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError, SSLError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout
from urllib3.util.ssl_ import create_urllib3_context

from minewatch.core.certificates import OWN_VARIABLE, CertificateError, load_certificates, name_certificates
from minewatch.core.traffic import RECEIVED

MOST_CONNECTIONS = 32
"""Kept open to one host."""

PIECE = 2**18
"""Bytes that are read at one time, which also limits what one step inflates."""

ENDLESS = float("inf")

_DEADLINE: ContextVar[float] = ContextVar("deadline", default=ENDLESS)
"""Time on the monotonic clock at which the answer that is being requested must be complete."""


class RequestError(OSError):
    """A request got no whole answer; the message holds no address, since addresses may hold secrets."""

    def __init__(self, message: str, *, is_transient: bool = True) -> None:
        super().__init__(message)
        self.is_transient = is_transient
        """True if another attempt may succeed."""


def send(
    method: str,
    href: str,
    headers: Mapping[str, str],
    *,
    timeout: Timeout,
    seconds: float,
    body: bytes | str | None = None,
) -> BaseHTTPResponse:
    """Send a request and return the answer's head; redirects are not followed.

    Head and body must have arrived within ``seconds``, however they arrive: headers without an end, "100 Continue" for
    ever, a byte now and then.  Raises RequestError.
    """
    mark = _DEADLINE.set(time.monotonic() + seconds)
    try:
        return _open_pools(find_proxy(href), name_certificates()).request(
            method, href, body=body, headers=headers, timeout=timeout, redirect=False, preload_content=False, decode_content=False
        )
    except (HTTPError, OSError, ValueError) as error:
        raise _explain(error, href, seconds) from None
    finally:
        _DEADLINE.reset(mark)


def receive(answer: BaseHTTPResponse, largest: int, *, decode: bool = False) -> bytes:
    """Return the body of an answer, or its first ``largest`` + 1 bytes; ``decode`` inflates it.  Raises RequestError."""
    body = bytearray()
    try:
        while part := answer.read1(min(PIECE, largest + 1 - len(body)), decode_content=decode):
            body += part
            RECEIVED.add(len(part))
    except (HTTPError, OSError) as error:
        if _is_late(error):
            raise RequestError("too slow") from None
        raise RequestError(f"the answer broke off, {type(error).__name__}") from None
    return bytes(body)


def _explain(error: Exception, href: str, seconds: float) -> RequestError:
    """Return what went wrong before there was an answer."""
    kind = type(error).__name__
    if isinstance(error, RequestError):
        fault = error
    elif isinstance(error, CertificateError):
        fault = RequestError(str(error), is_transient=False)
    elif _is_late(error):
        fault = RequestError(f"too slow, no answer within {seconds:g} seconds")
    elif isinstance(error, ProxyError):
        fault = _explain_proxy(error, href)
    elif isinstance(error, SSLError):
        fault = RequestError(_explain_tls(error), is_transient=False)
    elif isinstance(error, (NewConnectionError, ConnectTimeoutError)):  # on a bad line, the next attempt may succeed
        fault = RequestError(f"no connection, {kind}")
    elif isinstance(error, ValueError):
        fault = RequestError(f"no connection, {kind}", is_transient=False)
    else:
        fault = RequestError(f"no answer, {kind}")
    return fault


def _explain_tls(error: SSLError) -> str:
    if "CERTIFICATE_VERIFY_FAILED" not in str(error):
        return "no connection, SSLError"
    return (
        "no connection, SSLError: its certificate is not valid here; if an authority of your own signs, name the file with "
        f"its certificate in the environment variable {OWN_VARIABLE}"
    )


# --- proxies ---------------------------------------------------------------------------------------------------------


def find_proxy(href: str) -> str | None:
    """Return the proxy that the environment names for an address, with its login; None for a direct connection.

    Raises RequestError for one that cannot be used.
    """
    parts = urlsplit(href)
    if _is_bypassed(parts):
        return None
    variable = _find_variable(parts.scheme)
    proxy = os.environ.get(variable) or urllib.request.getproxies().get(parts.scheme)
    if not proxy:
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    try:
        found = urlsplit(proxy)
        is_usable = found.scheme.lower() in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:
        is_usable, found = False, urlsplit("")
    if found.scheme.lower().startswith("socks"):
        raise RequestError(
            f"{variable} names a SOCKS proxy, which minewatch cannot use; name an HTTP proxy in HTTPS_PROXY and HTTP_PROXY, or "
            "hosts that need none in NO_PROXY",
            is_transient=False,
        )
    if not is_usable:
        raise RequestError(f"{variable} names no proxy; write http://HOST:PORT", is_transient=False)
    return proxy


def _find_variable(scheme: str) -> str:
    """Return the environment variable that names the proxy for a scheme; '' where none does."""
    names = (name for kind in (scheme, "all") for name in (f"{kind}_proxy", f"{kind}_proxy".upper()))
    return next((name for name in names if os.environ.get(name)), "")


def _is_bypassed(parts: SplitResult) -> bool:
    """True if the environment excepts a host from its proxy: by name, or by a network such as 10.0.0.0/8."""
    host = parts.hostname or ""
    if urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2] or host):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    named = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
    return any(_is_within(address, name.strip()) for name in named if "/" in name)


def _is_within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _explain_proxy(error: ProxyError, href: str) -> RequestError:
    variable = _find_variable(urlsplit(href).scheme) or "the environment"
    if " 407 " in f"{error.original_error} ":
        return refuse_proxy_login(href)
    return RequestError(f"no connection through the proxy of {variable}, {type(error.original_error).__name__}")


def refuse_proxy_login(href: str) -> RequestError:
    """Return the error that the proxy wants a login (status 407)."""
    variable = _find_variable(urlsplit(href).scheme) or "the environment"
    return RequestError(
        f"status 407, the proxy of {variable} wants a login, or another one: write http://USER:PASSWORD@HOST:PORT there, with "
        "%40 for an @ in the password",
        is_transient=False,
    )


# --- pools of connections --------------------------------------------------------------------------------------------


@cache
def _open_pools(proxy: str | None, certificates: tuple[str, ...]) -> urllib3.PoolManager:
    context = create_urllib3_context()
    load_certificates(context, certificates)
    options: dict[str, Any] = {"maxsize": MOST_CONNECTIONS, "retries": False, "ssl_context": context}
    if proxy:
        parts = urlsplit(proxy)
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        pools: urllib3.PoolManager = urllib3.ProxyManager(
            address, proxy_headers=_make_login(parts), proxy_ssl_context=context, **options
        )
    else:
        pools = urllib3.PoolManager(**options)
    pools.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
    return pools


os.register_at_fork(after_in_child=_open_pools.cache_clear)  # connections do not survive a fork


def _make_login(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(login.encode()).decode('ascii')}"}


# --- total time limits -----------------------------------------------------------------------------------------------


class _LateError(TimeoutError):
    """An answer was not complete in time."""


def _is_late(error: BaseException) -> bool:
    causes = (error, error.__cause__, error.__context__)
    return any(isinstance(cause, _LateError) for cause in causes)


class _TimedStream(io.RawIOBase):
    """The bytes of a connection until a deadline: timeouts of sockets begin anew with each byte, and so never end."""

    def __init__(self, raw: io.RawIOBase, line: socket.socket, deadline: float) -> None:
        super().__init__()
        self._raw, self._line, self._deadline = raw, line, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise _LateError("too slow")
        pause = self._line.gettimeout()
        if left < ENDLESS and (pause is None or pause > left):
            self._line.settimeout(left)
        try:
            return self._raw.readinto(buffer)
        except TimeoutError as error:
            raise (_LateError("too slow") if time.monotonic() >= self._deadline else error) from None

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    """An answer whose every byte, from the status line on, must arrive before the deadline of its request."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp: Any = io.BufferedReader(_TimedStream(self.fp.detach(), sock, _DEADLINE.get()))


class _HttpConnection(HTTPConnection):
    response_class = _TimedResponse


class _HttpsConnection(HTTPSConnection):
    response_class = _TimedResponse


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection
