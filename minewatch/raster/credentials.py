"""How the files of a provider are opened: signed addresses and logins, made for each request and kept nowhere.

Addresses in scenes, caches, records and messages are always the unsigned ones.
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
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Any
from urllib.parse import quote, urlsplit

from minewatch.core.errors import SourceError
from minewatch.core.http import DeniedError, FilePart, RangeError, fetch, fetch_part
from minewatch.settings.providers import S3Login, Signing
from minewatch.sources.scene import Scene

SIGNING_SECONDS = 60.0
"""A signature that does not come in this time is given up; the package itself would wait for ever."""

SIGNING_RETRIES = 3
"""Of the package, at a busy or absent token service."""

LEAST_SECONDS = 61.0
"""A token that lives for less is asked for anew: the package does so at 60."""

BLOB_HOSTS = ".blob.core.windows.net"
"""What the package signs."""

PACKAGE = "planetary_computer"
"""The Planetary Computer's own, an extra of this one."""


class SignatureError(RangeError):
    """A signature could not be had; the text holds no address and no key."""


@dataclass(frozen=True)
class FileRequest:
    """What is really asked for."""

    href: str
    """Signed where that is how the provider wants it."""

    headers: dict[str, str] = field(default_factory=dict)
    """That log in; sent to the host of the address alone."""


@dataclass(frozen=True)
class Access:
    """How the files of a scene are reached; plain data, without any key."""

    signing: Signing = ""
    """Who signs the addresses; '' = nobody."""

    s3: S3Login | None = None
    """Login for s3:// addresses; None = they are public, at Amazon."""

    def fetch(self, href: str, start: int, stop: int) -> bytes:
        """Fetch bytes ``start`` to ``stop`` of a file; fewer come only where the file ends.  Raises OSError."""
        if self.is_own(href):
            return self.fetch_part(href, start, stop).data
        return fetch(href, start, stop)

    def fetch_part(self, href: str, start: int, stop: int) -> FilePart:
        """Fetch a part of a remote file; a signature that is refused is renewed once.  Raises OSError."""
        request = self._prepare(href)
        try:
            part = fetch_part(request.href, start, stop, request.headers)
        except DeniedError as error:
            if href.startswith("s3:"):
                raise self._explain(error) from None
            renewed = SIGNATURES.renew(href, request.href) if self.signing else None
            if renewed is None:
                raise
            request = FileRequest(renewed)
            part = fetch_part(renewed, start, stop, {})
        if self.signing:
            SIGNATURES.confirm(request.href)
        return part

    def is_own(self, href: str) -> bool:
        """True if an address must be signed or logged in to, or is one of an object store."""
        return self.signing != "" or href.startswith("s3:")

    def find_fault(self, hrefs: Iterable[str] = ()) -> str:
        """Say what is missing for reading at all, and what to do; '' where nothing is.  Looks at names alone."""
        if self.signing and importlib.util.find_spec(PACKAGE) is None:
            return "its files are signed by a package that is not installed: pip install 'minewatch[planetary-computer]'"
        if self.s3 is None or not any(href.startswith("s3:") for href in hrefs):
            return ""
        missing = [name for name in (self.s3.key_variable, self.s3.secret_variable) if name and not os.environ.get(name)]
        return f"its files need a login: set {' and '.join(missing)} in the environment" if missing else ""

    def _prepare(self, href: str) -> FileRequest:
        if href.startswith("s3:"):
            return _address_object(href, self.s3 or PUBLIC_S3)
        return FileRequest(SIGNATURES.sign(href) if self.signing else href)

    def _explain(self, error: DeniedError) -> DeniedError:
        login = self.s3 or PUBLIC_S3
        if login.key_variable:
            return DeniedError(f"{error}; check {login.key_variable} and {login.secret_variable}")
        return DeniedError(f"{error}; the store wants a login")


UNSIGNED = Access()
"""Nothing to sign."""

PUBLIC_S3 = S3Login("", "", "", "")
"""Amazon's store, without a login."""


def check_scenes(scenes: Iterable[Scene]) -> None:
    """Raise SourceError where something is missing for reading any of the scenes, before the first is read."""
    for scene in scenes:
        if fault := Access(scene.signing, scene.s3).find_fault(scene.hrefs.values()):
            raise SourceError(f"{scene.source}: {fault}")


# --- Planetary Computer ----------------------------------------------------------------------------------------------


class Signatures:
    """Signatures of the Planetary Computer for a process, shared by its threads.

    The package keeps each until a minute before it expires, and asks for another then; here one thread asks at a time.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._worked: set[str] = set()
        self._renewed: set[str] = set()

    def sign(self, href: str) -> str:
        """Return the signed address, or the same where nobody signs its host.  Raises SignatureError."""
        with self._lock:
            return _request_signature(href)

    def confirm(self, signed: str) -> None:
        """Note that a signed address was good."""
        self._worked.add(_cut_signature(signed))

    def renew(self, href: str, denied: str) -> str | None:
        """Return an address with another signature than the one denied; None where another would do no better.

        So it is where the address has no signature of ours, and where one that was just renewed never worked.
        """
        signature = _cut_signature(denied)
        with self._lock:
            if denied == href or not signature:
                return None
            signed = _request_signature(href)
            if signed == denied:
                if signature in self._renewed and signature not in self._worked:
                    return None
                _drop_token(signature)
                signed = _request_signature(href)
                self._renewed.add(_cut_signature(signed))
            return signed if signed != denied else None


SIGNATURES = Signatures()
"""Those of this process."""


def _cut_signature(signed: str) -> str:
    return urlsplit(signed).query


def _drop_token(signature: str) -> None:
    tokens: dict[str, Any] = _load_package().TOKEN_CACHE
    for key in [key for key, token in tokens.items() if token.token == signature]:
        del tokens[key]


def _load_package() -> Any:
    try:
        with warnings.catch_warnings():  # it is written for an older pydantic
            warnings.simplefilter("ignore")
            return importlib.import_module(f"{PACKAGE}.sas")
    except ImportError:
        raise SignatureError("no signature: pip install 'minewatch[planetary-computer]'") from None


def _request_signature(href: str) -> str:
    """Let the package sign.  A token that it must ask for has SIGNING_SECONDS, since its own requests have no time limit."""
    package = _load_package()
    if _is_at_hand(package, href):
        return str(package.sign_url(href))
    answers: list[str | Exception] = []
    thread = Thread(target=_sign, args=(package, href, answers), name="sign", daemon=True)
    thread.start()
    thread.join(SIGNING_SECONDS)
    answer = answers[0] if answers else TimeoutError()
    if isinstance(answer, Exception):
        # Texts of the package hold addresses, and tokens where one is malformed.
        status = getattr(getattr(answer, "response", None), "status_code", "")
        raise SignatureError(f"no signature from the Planetary Computer, {type(answer).__name__} {status}".rstrip())
    return answer


def _sign(package: Any, href: str, answers: list[str | Exception]) -> None:
    try:
        if place := _find_container(href):
            package.get_token(*place, retry_total=SIGNING_RETRIES)
        answers.append(str(package.sign_url(href)))
    except (OSError, ValueError, TypeError, LookupError) as error:  # no connection or a refusal, or no token in the answer
        answers.append(error)


def _is_at_hand(package: Any, href: str) -> bool:
    """True if the package can sign without asking for a token."""
    place = _find_container(href)
    end = "/" + "/".join(place)
    return not place or any(key.endswith(end) and token.ttl() > LEAST_SECONDS for key, token in package.TOKEN_CACHE.items())


def _find_container(href: str) -> tuple[str, ...]:
    """Return account and container of an address that the package signs; nothing for others, which it leaves as they are."""
    parts = urlsplit(href)
    if not parts.netloc.endswith(BLOB_HOSTS):
        return ()
    return parts.netloc.split(".")[0], parts.path.lstrip("/").split("/")[0]


# --- object stores ---------------------------------------------------------------------------------------------------


def _address_object(href: str, login: S3Login) -> FileRequest:
    """Return the request for an object, with the headers of the store's login if it has one.  Raises RangeError."""
    bucket, _, key = href.removeprefix("s3://").partition("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket) or not key:
        raise RangeError("an address without the name of a bucket or of an object")
    root, path = _find_store(bucket, login), quote(key, safe="/-_.~")
    path = urlsplit(root).path + "/" + path
    address = f"{urlsplit(root).scheme}://{urlsplit(root).netloc}{path}"
    if not login.key_variable:
        return FileRequest(address)
    return FileRequest(address, _sign_object(urlsplit(root).netloc, path, login, dt.datetime.now(dt.UTC)))


def _find_store(bucket: str, login: S3Login) -> str:
    """Return the address of a bucket: by its path, or at Amazon by its host, where a dot would spoil the certificate."""
    if login.endpoint:
        scheme = "" if "://" in login.endpoint else "https://"
        return f"{scheme}{login.endpoint.rstrip('/')}/{bucket}"
    host = f"s3.{login.region}.amazonaws.com" if login.region else "s3.amazonaws.com"
    return f"https://{host}/{bucket}" if "." in bucket else f"https://{bucket}.{host}"


def _sign_object(host: str, path: str, login: S3Login, now: dt.datetime) -> dict[str, str]:
    """Return the headers that log a GET in.  Raises RangeError where the keys are not in the environment.

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
    return headers | {"Host": host}  # as it was signed, whatever its port


EMPTY_BODY_HASH = hashlib.sha256(b"").hexdigest()
"""Of the body of a GET."""


# --- logs ------------------------------------------------------------------------------------------------------------


class _RedactingFilter(logging.Filter):
    """Hides what may be a secret in the addresses that libraries log: queries, and users before a host."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; it always passes."""
        text = record.getMessage()
        record.msg, record.args = re.sub(r"\?[^\s\"']+|(?<=://)[^\s/@]+@", "?...", text), None
        return True


for _name in ("urllib3.connectionpool", "rasterio._env", "rasterio._err", "rasterio._base"):
    logging.getLogger(_name).addFilter(_RedactingFilter())
