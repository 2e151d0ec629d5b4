"""Requests of objects in S3 stores, signed where the store wants a login; keys come from the environment."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
import re
from urllib.parse import quote, urlsplit

from minewatch.core.http import RangeError
from minewatch.settings.providers import S3Login

TEMPORARY_KEY = "ASIA"
"""Prefix of Amazon's access keys that are good with a session token alone."""

PUBLIC_S3 = S3Login("", "", "", "")
"""Amazon S3 without a login."""


def read_variable(name: str) -> str:
    """Return what an environment variable holds; raises RangeError where it is not set, or cannot be part of a request."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise RangeError(f"no login; set {name} in the environment")
    if not value.isascii() or not value.isprintable():
        raise RangeError(f"no login; {name} holds line breaks or other characters that no key has")
    return value


def advise_login(login: S3Login) -> str:
    """Return what to check where a store denies access; '' where there is nothing."""
    if not login.key_variable:
        return "the store wants a login: name it in the s3 table of the source"
    if os.environ.get(login.key_variable, "").startswith(TEMPORARY_KEY) and not login.session_variable:
        return f"{login.key_variable} holds a temporary key, which needs a session token: name it in session_variable"
    names = [login.key_variable, login.secret_variable, *([login.session_variable] if login.session_variable else [])]
    pays = "" if login.requester_pays else "; a bucket whose reader pays needs requester_pays = true"
    return f"check {' and '.join(names)}{pays}"


def request_object(href: str, login: S3Login) -> tuple[str, dict[str, str]]:
    """Return the address of an object, and login headers where the store requires them.  Raises RangeError."""
    bucket, _, key = href.removeprefix("s3://").partition("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket) or not key:
        raise RangeError("an address without the name of a bucket or of an object")
    store = urlsplit(_find_store(bucket, login))
    path = f"{store.path}/{quote(key, safe='/-_.~')}"
    headers = sign_object(store.netloc, path, login, dt.datetime.now(dt.UTC)) if login.key_variable else {}
    return f"{store.scheme}://{store.netloc}{path}", headers


def _find_store(bucket: str, login: S3Login) -> str:
    """Return a bucket's address: by path, or at Amazon by host name, unless it has a dot, which no certificate covers."""
    if login.endpoint:
        scheme = "" if "://" in login.endpoint else "https://"
        return f"{scheme}{login.endpoint.rstrip('/')}/{bucket}"
    host = f"s3.{login.region}.amazonaws.com" if login.region else "s3.amazonaws.com"
    return f"https://{host}/{bucket}" if "." in bucket else f"https://{bucket}.{host}"


def sign_object(host: str, path: str, login: S3Login, now: dt.datetime) -> dict[str, str]:
    """Return the login headers of a GET.  Raises RangeError where the keys are not in the environment.

    Signature Version 4: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
    """
    key, secret = read_variable(login.key_variable), read_variable(login.secret_variable)
    date, region = f"{now:%Y%m%d}", login.region or "us-east-1"
    headers = {"x-amz-content-sha256": EMPTY_BODY_HASH, "x-amz-date": f"{now:%Y%m%dT%H%M%SZ}"}
    if login.requester_pays:
        headers["x-amz-request-payer"] = "requester"
    if login.session_variable:
        headers["x-amz-security-token"] = read_variable(login.session_variable)
    signed = {"host": host, **headers}
    signed = dict(sorted(signed.items()))
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
