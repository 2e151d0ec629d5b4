"""Signed addresses and logins for the files of a provider, made for each request and never stored.

Addresses in scenes, caches, records and messages are always unsigned.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import importlib
import importlib.util
import logging
import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any
from urllib.parse import quote, urlsplit

from minewatch.core.errors import SourceError
from minewatch.core.http import DeniedError, FilePart, RangeError, fetch, fetch_part
from minewatch.settings.providers import S3Login, Signing
from minewatch.sources.scene import Scene

SIGNING_SECONDS = 60.0
"""Longest wait for a signature; the package itself would wait forever."""

SIGNING_RETRIES = 3
"""By the package, at a busy or unavailable token service."""

LEAST_SECONDS = 61.0
"""A token valid for less is renewed: the package does so at 60."""

PACKAGE = "planetary_computer"
"""Planetary Computer's package, an optional dependency."""


class SignatureError(RangeError):
    """No signature was obtained; the message holds no address and no key."""


@dataclass(frozen=True)
class Access:
    """How the files of a scene are accessed; plain data without keys."""

    signing: Signing = ""
    """Who signs the addresses; '' = nobody."""

    s3: S3Login | None = None
    """Login for s3:// addresses; None = they are public, at Amazon."""

    def fetch(self, href: str, start: int, stop: int) -> bytes:
        """Fetch bytes ``start`` to ``stop`` of a file; fewer only where the file ends.  Raises OSError."""
        return self.fetch_part(href, start, stop).data if self.is_own(href) else fetch(href, start, stop)

    def fetch_part(self, href: str, start: int, stop: int) -> FilePart:
        """Fetch a byte range of a remote file; a rejected signature is renewed once.  Raises OSError."""
        address, headers = self._prepare(href)
        try:
            part = fetch_part(address, start, stop, headers)
        except DeniedError as error:
            if href.startswith("s3:"):
                raise self._explain(error) from None
            renewed = SIGNATURES.renew(href, address) if self.signing else None
            if renewed is None:
                raise
            address = renewed
            part = fetch_part(address, start, stop, {})
        if self.signing:
            SIGNATURES.confirm(address)
        return part

    def is_own(self, href: str) -> bool:
        """True if an address must be signed or is in an object store."""
        return self.signing != "" or href.startswith("s3:")

    def find_fault(self, hrefs: Iterable[str] = ()) -> str:
        """Return what is missing to read files at these addresses, and what to do; '' where nothing is."""
        if self.signing and importlib.util.find_spec(PACKAGE) is None:
            return "its files are signed by a package that is not installed: pip install 'minewatch[planetary-computer]'"
        if self.s3 is None or not any(href.startswith("s3:") for href in hrefs):
            return ""
        missing = [name for name in (self.s3.key_variable, self.s3.secret_variable) if name and not os.environ.get(name)]
        return f"its files need a login: set {' and '.join(missing)} in the environment" if missing else ""

    def _prepare(self, href: str) -> tuple[str, dict[str, str]]:
        """Return the address of a request, signed where the provider requires it, and the login headers for its host."""
        if href.startswith("s3:"):
            return _request_object(href, self.s3 or PUBLIC_S3)
        return SIGNATURES.sign(href) if self.signing else href, {}

    def _explain(self, error: DeniedError) -> DeniedError:
        login = self.s3 or PUBLIC_S3
        if login.key_variable:
            return DeniedError(f"{error}; check {login.key_variable} and {login.secret_variable}")
        return DeniedError(f"{error}; the store wants a login")


UNSIGNED = Access()
"""Access without a signature or login."""

PUBLIC_S3 = S3Login("", "", "", "")
"""Amazon S3 without a login."""


def check_scenes(scenes: Iterable[Scene]) -> None:
    """Raise SourceError where something is missing to read any of the scenes."""
    for scene in scenes:
        if fault := Access(scene.signing, scene.s3).find_fault(scene.hrefs.values()):
            raise SourceError(f"{scene.source}: {fault}")


# --- Planetary Computer ----------------------------------------------------------------------------------------------


class Signatures:
    """Signatures of the Planetary Computer; thread-safe.

    The package caches each token until a minute before it expires; here one thread at a time requests one.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._worked: set[str] = set()
        self._renewed: set[str] = set()

    def sign(self, href: str) -> str:
        """Return the signed address, or the same for other hosts.  Raises SignatureError."""
        with self._lock:
            return _request_signature(href)

    def confirm(self, signed: str) -> None:
        """Record that a signed address was accepted."""
        self._worked.add(_cut_signature(signed))

    def renew(self, href: str, denied: str) -> str | None:
        """Return the address with another signature than the rejected one; None where that would not help.

        That is so where the address was not signed, and where a renewed signature never worked.
        """
        signature = _cut_signature(denied)
        with self._lock:
            if denied == href or not signature:
                return None
            signed = _request_signature(href)
            if signed == denied:
                if signature in self._renewed and signature not in self._worked:
                    return None
                tokens = _load_package().TOKEN_CACHE
                for key in [key for key, token in tokens.items() if token.token == signature]:
                    del tokens[key]
                signed = _request_signature(href)
                self._renewed.add(_cut_signature(signed))
            return signed if signed != denied else None


SIGNATURES = Signatures()
"""The signatures of this process."""


def _cut_signature(signed: str) -> str:
    return urlsplit(signed).query


def _load_package() -> Any:
    try:
        with warnings.catch_warnings():  # it was written for an older pydantic
            warnings.simplefilter("ignore")
            return importlib.import_module(f"{PACKAGE}.sas")
    except ImportError:
        raise SignatureError("no signature: pip install 'minewatch[planetary-computer]'") from None


def _request_signature(href: str) -> str:
    """Return an address signed by the package; requests of a token end after SIGNING_SECONDS, since they have no timeout."""
    package = _load_package()
    if _has_token(package, href):
        return str(package.sign_url(href))
    answers: list[str | Exception] = []
    thread = Thread(target=_sign, args=(package, href, answers), name="sign", daemon=True)
    thread.start()
    thread.join(SIGNING_SECONDS)
    answer = answers[0] if answers else TimeoutError()
    if isinstance(answer, Exception):
        # Messages of the package contain addresses, and tokens where one is malformed.
        status = getattr(getattr(answer, "response", None), "status_code", "")
        raise SignatureError(f"no signature from the Planetary Computer, {type(answer).__name__} {status}".rstrip())
    return answer


def _sign(package: Any, href: str, answers: list[str | Exception]) -> None:
    try:
        if place := _find_container(href):
            package.get_token(*place, retry_total=SIGNING_RETRIES)
        answers.append(str(package.sign_url(href)))
    except (OSError, ValueError, TypeError, LookupError) as error:  # no connection, a rejection, or no token in the answer
        answers.append(error)


def _has_token(package: Any, href: str) -> bool:
    """True if the package can sign without requesting a token."""
    place = _find_container(href)
    end = "/" + "/".join(place)
    return not place or any(key.endswith(end) and token.ttl() > LEAST_SECONDS for key, token in package.TOKEN_CACHE.items())


def _find_container(href: str) -> tuple[str, ...]:
    """Return account and container of an address that the package signs; () for others."""
    parts = urlsplit(href)
    if not parts.netloc.endswith(".blob.core.windows.net"):
        return ()
    return parts.netloc.split(".")[0], parts.path.lstrip("/").split("/")[0]


# --- object stores ---------------------------------------------------------------------------------------------------


def _request_object(href: str, login: S3Login) -> tuple[str, dict[str, str]]:
    """Return the address of an object, and login headers where the store requires them.  Raises RangeError."""
    bucket, _, key = href.removeprefix("s3://").partition("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket) or not key:
        raise RangeError("an address without the name of a bucket or of an object")
    store = urlsplit(_find_store(bucket, login))
    path = f"{store.path}/{quote(key, safe='/-_.~')}"
    headers = _sign_object(store.netloc, path, login, dt.datetime.now(dt.UTC)) if login.key_variable else {}
    return f"{store.scheme}://{store.netloc}{path}", headers


def _find_store(bucket: str, login: S3Login) -> str:
    """Return a bucket's address: by path, or at Amazon by host name, unless it has a dot, which no certificate covers."""
    if login.endpoint:
        scheme = "" if "://" in login.endpoint else "https://"
        return f"{scheme}{login.endpoint.rstrip('/')}/{bucket}"
    host = f"s3.{login.region}.amazonaws.com" if login.region else "s3.amazonaws.com"
    return f"https://{host}/{bucket}" if "." in bucket else f"https://{bucket}.{host}"


def _sign_object(host: str, path: str, login: S3Login, now: dt.datetime) -> dict[str, str]:
    """Return the login headers of a GET.  Raises RangeError where the keys are not in the environment.

    Signature Version 4: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    key, secret = os.environ.get(login.key_variable), os.environ.get(login.secret_variable)
    if not key or not secret:
        raise RangeError(f"no login; set {login.key_variable} and {login.secret_variable} in the environment")
    date, region = f"{now:%Y%m%d}", login.region or "us-east-1"
    headers = {"x-amz-content-sha256": EMPTY_BODY_HASH, "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}"}
    if login.requester_pays:
        headers["x-amz-request-payer"] = "requester"
    signed = {"host": host, **headers}
    lines = ["GET", path, "", *(f"{name}:{value}" for name, value in signed.items()), "", ";".join(signed), EMPTY_BODY_HASH]
    scope = f"{date}/{region}/s3/aws4_request"
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, digest])
    stamp = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), text):
        stamp = hmac.digest(stamp, part.encode(), "sha256")
    headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={';'.join(signed)}, Signature={stamp.hex()}"
    )
    return headers | {"Host": host}  # with its port, as it was signed


EMPTY_BODY_HASH = hashlib.sha256(b"").hexdigest()
"""SHA-256 of the body of a GET."""


# --- logs ------------------------------------------------------------------------------------------------------------


def _redact(record: logging.LogRecord) -> bool:
    """Remove queries and users from the addresses that libraries log, which may be secret; return True: all records pass."""
    record.msg, record.args = re.sub(r"\?[^\s\"']+|(?<=://)[^\s/@]+@", "?...", record.getMessage()), None
    return True


for _name in ("urllib3.connectionpool", "rasterio._env", "rasterio._err", "rasterio._base"):
    logging.getLogger(_name).addFilter(_redact)
