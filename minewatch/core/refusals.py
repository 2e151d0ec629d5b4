"""Why a server refused a request, from the error documents of object stores and of APIs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from urllib3.response import BaseHTTPResponse

from minewatch.core.connections import RequestError, receive
from minewatch.core.text import show

LARGEST = 2**14
"""Bytes of an error document that are read."""

EXPIRED = re.compile(
    rb"ExpiredToken|TokenExpired|Request has expired|Signature not valid in the specified time frame|[Ss]ignature has expired"
)
"""Of Amazon, Azure and Google, for signatures and session tokens that were valid once."""

CODES = {
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "InvalidAccessKeyId": "the store does not know the access key",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "InvalidToken": "the session token is not valid",
    "SlowDown": "the store has too many requests",
    "NoSuchBucket": "there is no such bucket",
    "NoSuchKey": "there is no such object",
    "BlobNotFound": "there is no such object",
    "ContainerNotFound": "there is no such container",
}
"""Error codes of S3 and Azure to what they mean."""


def explain_refusal(answer: BaseHTTPResponse) -> str:
    """Return why a store refused a request, without addresses and keys; '' where it does not say.

    Only its code is repeated: messages quote the keys and signatures that were sent.
    """
    region = answer.headers.get("x-amz-bucket-region", "")
    try:
        body = receive(answer, LARGEST)[:LARGEST]
    except RequestError:
        body = b""
    if b"<Error" not in body and b"<?xml" not in body[:100]:
        body = b""
    if not region and (match := re.search(rb"<Region>([^<]*)</Region>", body)):
        region = match[1].decode("ascii", "replace")
    if re.fullmatch(r"[a-z0-9-]{2,40}", region) and answer.status in (301, 307, 400):
        return f'the bucket lies in the region {region}; write region = "{region}" in the s3 table of the source'
    code = match[1].decode() if (match := re.search(rb"<Code>([A-Za-z.]{1,60})</Code>", body)) else ""
    if EXPIRED.search(body):
        return f"the signature has expired ({code})"
    return f"{CODES[code]} ({code})" if code in CODES else code


QUOTED = 200
"""Characters of a server's own words that are shown."""

WORDS = ("description", "detail", "message", "error_description", "title", "error", "msg")
"""Keys of errors as JSON under which servers say what is wrong; the first that is there counts."""

SHORTEST_SECRET = 4
"""Characters; what is shorter is no secret, and stands in many words."""


def quote_refusal(answer: BaseHTTPResponse, secrets: Iterable[str] = ()) -> str:
    """Return what an API says in the JSON of an error, in quotes, without ``secrets``; '' where it says nothing."""
    try:
        document = json.loads(receive(answer, LARGEST, decode=True))
    except (RequestError, ValueError, RecursionError):
        return ""
    text = _find_words(document)
    for secret in secrets:
        text = text.replace(secret, "***") if len(secret) >= SHORTEST_SECRET else text
    text = re.sub(r"(?<=://)[^\s/@]+@|\?[^\s\"']*=[^\s\"']*", "", text)  # logins and queries of addresses
    return f'"{show(text, QUOTED)}"' if text.strip() else ""


def _find_words(document: Any) -> str:
    for _ in range(4):
        if isinstance(document, dict):
            document = next((document[name] for name in WORDS if document.get(name)), "")
        elif isinstance(document, list):
            document = document[0] if document else ""
    return document[: 4 * QUOTED] if isinstance(document, str) else ""
