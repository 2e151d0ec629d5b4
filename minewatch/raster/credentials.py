"""Signed addresses and logins for the files of a provider, made for each request and never stored.

Addresses in scenes, caches, records and messages are always unsigned.
"""

from __future__ import annotations

import datetime as dt
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
from urllib.parse import parse_qs, urlsplit

from minewatch.core.errors import SourceError
from minewatch.core.http import DeniedError, FilePart, RangeError, fetch, fetch_part, is_remote
from minewatch.core.traffic import ByteCounter
from minewatch.raster.s3_requests import PUBLIC_S3, advise_login, request_object
from minewatch.settings.providers import S3Login, Signing, TokenLogin
from minewatch.sources.scene import Scene
from minewatch.sources.tokens import TOKENS, authorize, list_missing

SIGNING_SECONDS = 60.0
"""Longest wait for a signature; the package itself would wait forever."""

SIGNING_RETRIES = 3
"""By the package, at a busy or unavailable token service."""

LEAST_SECONDS = 61.0
"""A token valid for less is renewed: the package does so at 60."""

PACKAGE = "planetary_computer"
"""Planetary Computer's package, an optional dependency."""


MAGIC = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
"""First bytes of JPEG 2000 files."""

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF and BigTIFF files."""


class SignatureError(RangeError):
    """No signature was obtained; the message holds no address and no key."""


@dataclass(frozen=True)
class Access:
    """How the files of a scene are accessed; plain data without keys."""

    signing: Signing = ""
    """Who signs the addresses; '' = nobody."""

    s3: S3Login | None = None
    """Login for s3:// addresses; None = they are public, at Amazon."""

    token: TokenLogin | None = None
    """Key or token that goes along to its hosts."""

    received: ByteCounter | None = field(default=None, compare=False)
    """Counts what is fetched."""

    def fetch(self, href: str, start: int, stop: int) -> bytes:
        """Fetch bytes ``start`` to ``stop`` of a file; fewer only where the file ends.  Raises OSError."""
        data = self._fetch_part(href, start, stop).data if self.is_own(href) else fetch(href, start, stop)
        self._count(href, data)
        return data

    def fetch_part(self, href: str, start: int, stop: int) -> FilePart:
        """Fetch a byte range of a remote file; a rejected signature or token is renewed once.  Raises OSError."""
        part = self._fetch_part(href, start, stop)
        self._count(href, part.data)
        return part

    def _count(self, href: str, data: bytes) -> None:
        if self.received and is_remote(href):
            self.received.add(len(data))

    def _fetch_part(self, href: str, start: int, stop: int) -> FilePart:
        address, headers = self._prepare(href)
        is_host_wide = not href.startswith("s3:")
        try:
            try:
                part = fetch_part(address, start, stop, headers, is_host_wide=is_host_wide)
            except DeniedError:
                if not self._renew(href, address):
                    raise
                address, headers = self._prepare(href)
                part = fetch_part(address, start, stop, headers, is_host_wide=is_host_wide)
        except DeniedError as error:
            raise self._explain(href, error) from None
        if self.signing:
            SIGNATURES.confirm(address)
        if self.token and self.token.belongs_to(href):
            TOKENS.confirm(self.token)
        return part

    def is_own(self, href: str) -> bool:
        """True if an address must be signed, gets a token, or is in an object store."""
        return self.signing != "" or href.startswith("s3:") or (self.token is not None and self.token.belongs_to(href))

    def find_fault(self, hrefs: Iterable[str] = ()) -> str:
        """Return what is missing to read files at these addresses, and what to do; '' where nothing is."""
        if self.signing and importlib.util.find_spec(PACKAGE) is None:
            return "its files are signed by a package that is not installed: pip install 'minewatch[planetary-computer]'"
        needed = list(hrefs)
        names = self.s3.variables if self.s3 and any(href.startswith("s3:") for href in needed) else ()
        missing = [name for name in names if not os.environ.get(name)]
        if self.token and any(map(self.token.belongs_to, needed)):
            missing += list_missing(self.token)
        return f"its files need a login: set {' and '.join(missing)} in the environment" if missing else ""

    def _prepare(self, href: str) -> tuple[str, dict[str, str]]:
        """Return the address of a request, signed where the provider requires it, and the login headers for its host."""
        if href.startswith("s3:"):
            return request_object(href, self.s3 or PUBLIC_S3)
        address = SIGNATURES.sign(href) if self.signing else href
        return authorize(self.token, address) if self.token else (address, {})

    def _renew(self, href: str, address: str) -> bool:
        """True if another signature or token than the rejected one was obtained."""
        if href.startswith("s3:"):
            return False
        if self.token and self.token.belongs_to(href):
            return TOKENS.renew(self.token)
        return self.signing != "" and SIGNATURES.renew(href, address) is not None

    def _explain(self, href: str, error: DeniedError) -> DeniedError:
        if href.startswith("s3:"):
            return DeniedError(f"{error}; {advise_login(self.s3 or PUBLIC_S3)}")
        if self.token and self.token.belongs_to(href):
            return DeniedError(f"{error}; check {' and '.join(self.token.variables)}")
        expiry = _find_expiry(href)
        if expiry and expiry < dt.datetime.now(dt.UTC):
            return DeniedError(f"{error}; the address in the catalogue carries a signature that expired on {expiry:%Y-%m-%d}")
        return error


UNSIGNED = Access()
"""Access without a signature or login."""


def check_scenes(scenes: Iterable[Scene]) -> None:
    """Raise SourceError where something is missing to read any of the scenes."""
    for scene in scenes:
        if fault := Access(scene.signing, scene.s3, scene.token).find_fault(scene.hrefs.values()):
            raise SourceError(f"{scene.source}: {fault}")


def read_first_bytes(scene: Scene, band: str) -> str:
    """Read the first bytes of a band's file; return why that fails, in one line without addresses; '' where it does not."""
    access, href = Access(scene.signing, scene.s3, scene.token), scene.hrefs[band]
    if fault := access.find_fault([href]):
        return fault
    try:
        data = access.fetch(href, 0, len(MAGIC[0]))
    except RangeError as error:
        return str(error)
    except OSError as error:
        return error.strerror or type(error).__name__
    return "" if data.startswith((*MAGIC, *TIFF_STARTS)) else "it is neither GeoTIFF nor JPEG 2000"


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
    """Return an address signed by the package; requests of a token end after SIGNING_SECONDS, since they have no timeout.

    A signature that the address carries already is taken off: items that were saved when they were signed hold stale ones.
    """
    package = _load_package()
    href = href.partition("?")[0] if _find_container(href) else href
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
    if _find_container(href) and not _has_token(package, href, 0):
        raise SignatureError("the signature from the Planetary Computer had expired already, or this machine's clock is wrong")
    return answer


def _sign(package: Any, href: str, answers: list[str | Exception]) -> None:
    try:
        if place := _find_container(href):
            package.get_token(*place, retry_total=SIGNING_RETRIES)
        answers.append(str(package.sign_url(href)))
    except (OSError, ValueError, TypeError, LookupError) as error:  # no connection, a rejection, or no token in the answer
        answers.append(error)


def _has_token(package: Any, href: str, least: float = LEAST_SECONDS) -> bool:
    """True if the package can sign without requesting a token; ``least`` are the seconds for which it must be valid."""
    place = _find_container(href)
    end = "/" + "/".join(place)
    return not place or any(key.endswith(end) and token.ttl() > least for key, token in package.TOKEN_CACHE.items())


def _find_container(href: str) -> tuple[str, ...]:
    """Return account and container of an address that the package signs; () for others."""
    parts = urlsplit(href)
    if not parts.netloc.endswith(".blob.core.windows.net"):
        return ()
    return parts.netloc.split(".")[0], parts.path.lstrip("/").split("/")[0]


def _find_expiry(signed: str) -> dt.datetime | None:
    """Return when the signature in an address ends, of Azure, Google or Amazon; None where it does not say."""
    query = {name.lower(): values[-1] for name, values in parse_qs(urlsplit(signed).query).items()}
    try:
        if "sig" in query and "se" in query:
            return dt.datetime.fromisoformat(query["se"]).replace(tzinfo=dt.UTC)
        if "signature" in query and "expires" in query:
            return dt.datetime.fromtimestamp(int(query["expires"]), dt.UTC)
        for name in ("x-amz", "x-goog"):
            if f"{name}-signature" in query:
                begin = dt.datetime.strptime(query[f"{name}-date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
                return begin + dt.timedelta(seconds=int(query[f"{name}-expires"]))
    except (ValueError, KeyError, OverflowError, OSError):
        return None
    return None


# --- logs ------------------------------------------------------------------------------------------------------------


def _redact(record: logging.LogRecord) -> bool:
    """Remove queries and users from the addresses that libraries log, which may be secret; return True: all records pass."""
    record.msg, record.args = re.sub(r"\?[^\s\"']+|(?<=://)[^\s/@]+@", "?...", record.getMessage()), None
    return True


for _name in ("urllib3.connectionpool", "rasterio._env", "rasterio._err", "rasterio._base"):
    logging.getLogger(_name).addFilter(_redact)
