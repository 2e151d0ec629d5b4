"""Sends JSON to a webhook: signed, with a timestamp, and with ids by which the other side recognises repeats.

The format is described in docs/notifications.md; a change that breaks readers raises VERSION.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import os
from collections.abc import Collection
from typing import Any
from urllib.parse import quote, urlsplit

from urllib3.util import Timeout

from minewatch import __version__
from minewatch.core.connections import RequestError, refuse_proxy_login, send
from minewatch.core.http import PROXY_DENIED, REDIRECT_STATUSES, parse_retry_after
from minewatch.core.url_policy import NetworkZone, find_zone
from minewatch.operations.notify.content import make_link
from minewatch.operations.notify.event import Event
from minewatch.operations.notify.outbox import LONGEST_WAIT, SENT, DeliveryAttempt, Message, fail
from minewatch.operations.notify.rule import Rule

VERSION = 1
"""Of the JSON."""

TIMESTAMP, SIGNATURE, KEY = "Minewatch-Timestamp", "Minewatch-Signature", "Idempotency-Key"
"""Headers: seconds since 1970; v1= and the HMAC-SHA256 of time, dot and body in hexadecimal; the message's id."""

STANDARD_ID, STANDARD_TIMESTAMP, STANDARD_SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
"""The same in the format of Standard Webhooks 1.0.0, with verifiers in a dozen languages: standardwebhooks.com."""

ENCODED = "whsec_"
"""A secret with this prefix holds the key in base64, as in the standard."""

TIMEOUT = Timeout(connect=10, read=20)
"""Seconds to connect, and seconds without a byte."""

LONGEST_ANSWER = 30.0
"""Seconds until the headers of the answer are complete, so that a trickle ends too."""

LARGEST = 2 * 2**20
"""Bytes of a body; from a larger one the outlines are left out."""

TEMPORARY = (408, 425, 429)
"""Errors that may be gone the next time; so may all from 500 on."""


def render_body(message: Message, rule: Rule, *, is_test: bool = False) -> bytes:
    """Return the JSON of a message: the same bytes at each attempt."""
    body = _encode(message, rule, is_test=is_test, has_outlines=True)
    return body if len(body) <= LARGEST else _encode(message, rule, is_test=is_test, has_outlines=False)


def _encode(message: Message, rule: Rule, *, is_test: bool, has_outlines: bool) -> bytes:
    events = zip(message.events, message.kinds, strict=True)
    value = {
        "version": VERSION,
        "message_id": message.message_id,
        "rule": rule.name,
        "created": message.created,
        "test": is_test,
        "coordinates": rule.table.coordinates,
        "geometries_left_out": not has_outlines,
        "events": [_describe_event(event, kind, has_outline=has_outlines) for event, kind in events],
    }
    return json.dumps(value, separators=(",", ":")).encode("ascii")


def _describe_event(event: Event, kind: str, *, has_outline: bool) -> dict[str, Any]:
    facts = {name: None if value == "" else value for name, value in event.facts.items()}
    link = make_link(event.facts)
    return {
        "event_id": event.event_id,
        "event": kind,
        "area": event.aoi,
        "alert_id": event.alert_id or None,
        "recorded": event.recorded,
        "run_id": event.run_id or None,
        "facts": facts | ({"map": link} if link else {}),
        "geometry": event.geometry if has_outline else None,
    }


def sign_body(message_id: str, body: bytes, secret: str, now: dt.datetime) -> dict[str, str]:
    """Return the headers that prove who sent a body and when.  Raises ValueError for a secret that holds no key."""
    stamp, key = str(int(now.timestamp())), decode_key(secret)
    ours = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    standard = hmac.digest(key, f"{message_id}.{stamp}.".encode() + body, "sha256")
    return {
        TIMESTAMP: stamp,
        SIGNATURE: f"v1={ours}",
        STANDARD_ID: message_id,
        STANDARD_TIMESTAMP: stamp,
        STANDARD_SIGNATURE: f"v1,{base64.b64encode(standard).decode()}",
    }


def decode_key(secret: str) -> bytes:
    """Return the key of the standard signature: what follows ``whsec_``, or the text itself.  Raises ValueError."""
    if not secret.startswith(ENCODED):
        return secret.encode()
    key = base64.b64decode(secret.removeprefix(ENCODED), validate=True)
    if not key:
        raise ValueError("no key")
    return key


def find_fault(address: str, hosts: Collection[str]) -> str:
    """Return why nothing is sent to an address, without naming it; '' where there is no reason."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "holds no address"
    if parts.scheme not in ("http", "https") or not host or not address.isprintable() or " " in address:
        return "holds no address that begins with https://"
    named = {name.lower() for name in hosts} & {host, f"{host}:{port}"}
    reach = find_zone(host)
    if reach is NetworkZone.FORBIDDEN:
        return "holds the address of a host that serves the network itself"
    if parts.scheme == "http" and reach is not NetworkZone.HERE and not named:
        return "holds an address of plain http; use https, or name the host in hosts"
    return ""


def send_json(message: Message, rule: Rule, now: dt.datetime, *, is_test: bool = False) -> DeliveryAttempt:
    """Send a message to the webhook of a rule."""
    table = rule.table
    address, secret = (os.environ.get(name, "").strip() for name in (table.webhook_variable, table.secret_variable))
    for name, value in ((table.webhook_variable, address), (table.secret_variable, secret)):
        if not value:
            return fail(f"{name} is not set in the environment", not_configured=True)
    if fault := find_fault(address, table.hosts):
        return fail(f"{table.webhook_variable} {fault}", not_configured=True)
    body = render_body(message, rule, is_test=is_test)
    message_id = quote(message.message_id)  # the name of a rule may have characters that a header cannot hold
    try:
        signed = sign_body(message_id, body, secret, now)
    except ValueError:
        return fail(f"{table.secret_variable} begins with {ENCODED} and is not base64 after it", not_configured=True)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"minewatch/{__version__}",
        KEY: message_id,
        **signed,
    }
    return _post(address, body, headers)


def _post(address: str, body: bytes, headers: dict[str, str]) -> DeliveryAttempt:
    try:
        answer = send("POST", address, headers, body=body, timeout=TIMEOUT, seconds=LONGEST_ANSWER)
    except RequestError as error:
        return fail(str(error))
    answer.close()
    if answer.status == PROXY_DENIED:
        return fail(str(refuse_proxy_login(address)))
    return _interpret_status(answer.status, answer.headers.get("Retry-After"))


def _interpret_status(status: int, retry_after: str | None) -> DeliveryAttempt:
    if 200 <= status < 300:
        return SENT
    if status in REDIRECT_STATUSES:
        return fail(f"status {status}: a redirect, which is not followed; give the final address", is_refusal=True)
    is_temporary = status in TEMPORARY or status >= 500
    wait = parse_retry_after(retry_after, LONGEST_WAIT.total_seconds())
    return fail(f"status {status}", is_refusal=not is_temporary, wait=wait)
