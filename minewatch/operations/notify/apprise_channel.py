"""Sends a message by apprise: to mail, Slack, Teams, Telegram and others, by the address that a variable holds.

The package logs addresses with the tokens in them, so only status codes and known causes are taken from its log.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import threading
import warnings
from dataclasses import replace
from functools import cache
from typing import Any

from minewatch.core.errors import MinewatchError
from minewatch.operations.notify.mail import SECONDS, send_mail
from minewatch.operations.notify.outbox import SENT, DeliveryAttempt, fail
from minewatch.operations.notify.rendering import LONGEST_TEXT, RenderedMessage
from minewatch.operations.notify.rule import Rule

LARGEST = 8 * 2**20
"""Bytes of all attachments; where they are larger, images are left out first, then the file."""

CAUSES = (
    (r"timed? ?out", "no answer in time"),
    (r"refused|unreachable|No route", "no connection"),
    (r"Name or service|getaddrinfo|name resolution|No address", "the name of the host is not known"),
    (r"certificate|SSL|TLS|EOF occurred", "the certificate of the host is not valid, or it does not support TLS"),
    (r"Connection unexpectedly closed|reset by peer|Remote end closed|aborted", "the connection broke off"),
)
"""Pattern in a log line of the package to what is reported.

The package returns only True or False; why a message was not sent is in its log alone.
"""

SPECIAL = "special characters of a login or password are written %40 for @, %23 for #, %25 for %, %2F for /, %3A for :, %3B for ;"
"""What to do about an address that seems to hold them."""

_CODE = re.compile(r"(?:\((?=[45]\d\d, )|error=|\bcode[ =:]+|: )([345]\d\d)\b")
"""Status codes in log lines of the package."""


def _explain(lines: list[str]) -> DeliveryAttempt:
    """Explain a failure by the status code or a known cause in log lines, never by their own words."""
    codes = [int(code) for line in lines for code in _CODE.findall(line)]
    if codes:
        return fail(f"{'login refused, ' if codes[-1] in (401, 403) else ''}answer {codes[-1]}")
    causes = [cause for line in lines for pattern, cause in CAUSES if re.search(pattern, line, re.IGNORECASE)]
    return fail(causes[-1] if causes else "the service did not take it")


_CAPTURED = threading.local()
"""``lines``: what the package logs while this thread sends."""


def _capture_record(record: logging.LogRecord) -> bool:
    """Keep a record of the package from every handler; the thread that sends gets its text."""
    if hasattr(_CAPTURED, "lines"):
        _CAPTURED.lines.append(record.getMessage())
    return False


_LOADING = threading.Lock()


def _load_package() -> Any:
    """Load the package, and keep its log from every other log."""
    with _LOADING:
        return _load()


@cache
def _load() -> Any:
    log = logging.getLogger("apprise")
    log.propagate = False
    log.addHandler(logging.NullHandler())
    log.setLevel(logging.DEBUG)  # causes are logged at this level, and addresses too
    log.addFilter(_capture_record)
    try:
        with warnings.catch_warnings():  # it imports a module that later versions of Python lack
            warnings.simplefilter("ignore", DeprecationWarning)
            apprise = importlib.import_module("apprise")
            importlib.import_module("apprise.attachment.memory")
            apprise.Apprise.instantiate("json://localhost")  # loads its services
    except ImportError:
        raise MinewatchError("messages need a package that is not installed; pip install apprise") from None
    return apprise


def find_fault(address: str) -> str:
    """Return why an address cannot be used, without naming it; '' where it can."""
    apprise = _load_package()
    if re.search(r"[\s,](?=\w+://)", address):
        return "holds more than one address; make a rule for each"
    if apprise.Apprise.instantiate(address, suppress_exceptions=True):
        return ""
    is_mailbox = "://" not in address and "@" in address
    hint = "; a mailbox needs its server too: mailtos://USER:PASSWORD@HOST?to=MAILBOX" if is_mailbox else ""
    return f"holds no address that apprise knows{hint}"


def holds_raw_characters(address: str) -> bool:
    """True if login or password of an address seem to hold characters that must be written as %XX: it is then read wrongly."""
    rest = address.partition("://")[2]
    login, at, _ = rest.partition("?")[0].rpartition("@")
    is_odd = bool(at) and (login.count(":") > 1 or any(character in login for character in "@/;"))
    return is_odd or "#" in rest or re.search("%(?![0-9A-Fa-f]{2})", rest) is not None


def send_by_apprise(message: RenderedMessage, rule: Rule) -> DeliveryAttempt:
    """Send a message to the recipient of a rule; where its address seems to be written wrongly, a failure says so."""
    attempt = _send_to(message, rule)
    if attempt.sent or not holds_raw_characters(os.environ.get(rule.table.to_variable, "")):
        return attempt
    return replace(attempt, reason=f"{attempt.reason}; {SPECIAL}")


def _send_to(message: RenderedMessage, rule: Rule) -> DeliveryAttempt:
    variable = rule.table.to_variable
    address = os.environ.get(variable, "").strip()
    if not address:
        return fail(f"{variable} is not set in the environment", not_configured=True)
    apprise = _load_package()
    if fault := find_fault(address):
        return fail(f"{variable} {fault}", not_configured=True)
    # In this thread, which is abandoned after a time; threads of the package could not be ended, nor their log captured.
    asset = apprise.AppriseAsset(app_id="minewatch", app_desc="minewatch", app_url="", async_mode=False, service_timeout=0)
    service = apprise.Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
    if type(service).__name__ == "NotifyEmail" and service.pgp_mode == "no":
        return send_mail(service, _limit(message))
    return _send(apprise, service, _limit(message))


def _send(apprise: Any, service: Any, message: RenderedMessage) -> DeliveryAttempt:
    """Send a message as plain text through one of the package's services."""
    service.redirects = False
    service.socket_connect_timeout = service.socket_read_timeout = SECONDS
    box = apprise.Apprise(asset=service.asset)
    box.add(service)
    body = message.render_text(min(service.body_maxlen, LONGEST_TEXT))
    attached = apprise.AppriseAttachment()
    for file in (*message.files, *message.images):
        attached.add(apprise.attachment.memory.AttachMemory(content=file.data, name=file.name, mimetype=file.kind))
    _CAPTURED.lines = []
    try:
        format_ = apprise.NotifyFormat.TEXT
        done = box.notify(body=body, title=message.subject, body_format=format_, attach=attached if len(attached) else None)
        return SENT if bool(done) else _explain(_CAPTURED.lines)
    except Exception as error:  # noqa: BLE001 - a service may raise anything, and its text may hold the address
        return fail(f"the service could not be used ({type(error).__name__})")
    finally:
        del _CAPTURED.lines


def _limit(message: RenderedMessage) -> RenderedMessage:
    """Leave out attachments that would make a message too large, images first."""
    images, files = message.images, message.files
    while sum(len(file.data) for file in (*images, *files)) > LARGEST:
        images, files = (images[:-1], files) if images else (images, files[:-1])
    return replace(message, images=images, files=files)
