"""Sends a letter by apprise: mail, Slack, Teams, Telegram and the rest, by the address that a variable holds.

The package logs addresses, and tokens in them; nothing of what it logs comes out here, but for numbers of answers.
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
from minewatch.operations.notify.letter import LONGEST_TEXT, Letter
from minewatch.operations.notify.mail import SECONDS, send_mail
from minewatch.operations.notify.outbox import SENT, DeliveryAttempt, fail
from minewatch.operations.notify.rule import Rule

LARGEST = 8 * 2**20
"""Bytes of all that is attached; images go first where it is more, and then the file."""

CAUSES = (
    (r"timed? ?out", "no answer in time"),
    (r"refused|unreachable|No route", "no connection"),
    (r"Name or service|getaddrinfo|name resolution|No address", "the name of the host is not known"),
    (r"certificate|SSL|TLS|EOF occurred", "the certificate of the host is not valid, or it does not support TLS"),
    (r"Connection unexpectedly closed|reset by peer|Remote end closed|aborted", "the connection broke off"),
)
"""What the package's errors say, and what is told of it.

The package gives True or False and keeps the exception and the answer to itself; why a message did not go is in its log only.
"""

_CODE = re.compile(r"(?:\((?=[45]\d\d, )|error=|\bcode[ =:]+|: )([345]\d\d)\b")
"""Where the package names the number of an answer."""


def _explain(lines: list[str]) -> DeliveryAttempt:
    """Say why a try failed, from what the package said: numbers and known causes, never its words."""
    codes = [int(code) for line in lines for code in _CODE.findall(line)]
    if codes:
        return fail(f"{'login refused, ' if codes[-1] in (401, 403) else ''}answer {codes[-1]}")
    causes = [told for line in lines for pattern, told in CAUSES if re.search(pattern, line, re.IGNORECASE)]
    return fail(causes[-1] if causes else "the service did not take it")


_LOADING = threading.Lock()


def _load_package() -> Any:
    """Load the package, and keep what it logs to ourselves."""
    with _LOADING:
        return _load()


@cache
def _load() -> Any:
    log = logging.getLogger("apprise")
    log.propagate = False
    log.setLevel(logging.DEBUG)  # for the ear of _send alone: the package names causes there, and addresses
    log.addHandler(logging.NullHandler())
    log.addFilter(_lets_nothing_pass)
    try:
        with warnings.catch_warnings():  # it asks for a module that later versions of Python do not have
            warnings.simplefilter("ignore", DeprecationWarning)
            apprise = importlib.import_module("apprise")
            importlib.import_module("apprise.attachment.memory")
            apprise.Apprise.instantiate("json://localhost")  # loads its services
    except ImportError:
        raise MinewatchError("messages need a package that is not installed; pip install apprise") from None
    return apprise


_EARS: dict[int, list[str]] = {}
"""What the package said, by the thread in which it did, where somebody listens."""


def _lets_nothing_pass(record: logging.LogRecord) -> bool:
    """Keep every line of the package from every log; the one who sends hears it."""
    if record.thread in _EARS:
        _EARS[record.thread].append(record.getMessage())
    return False


def find_fault(address: str) -> str:
    """Say why an address cannot be used, without naming it; '' where it can."""
    apprise = _load_package()
    if re.search(r"[\s,](?=\w+://)", address):
        return "holds more than one address; make a rule for each"
    return "" if apprise.Apprise.instantiate(address, suppress_exceptions=True) else "holds no address that apprise knows"


def send_letter(letter: Letter, rule: Rule) -> DeliveryAttempt:
    """Send a letter to the recipient of a rule."""
    variable = rule.table.to_variable
    address = os.environ.get(variable, "").strip()
    if not address:
        return fail(f"{variable} is not set in the environment", is_unset=True)
    apprise = _load_package()
    if fault := find_fault(address):
        return fail(f"{variable} {fault}", is_unset=True)
    # In this thread, which is given up where it takes too long: not in threads of the package, which nobody ends or hears.
    asset = apprise.AppriseAsset(app_id="minewatch", app_desc="minewatch", app_url="", async_mode=False, service_timeout=0)
    service = apprise.Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
    if type(service).__name__ == "NotifyEmail" and service.pgp_mode == "no":
        return send_mail(service, _limit(letter))
    return _send(apprise, service, _limit(letter))


def _send(apprise: Any, service: Any, letter: Letter) -> DeliveryAttempt:
    """Send a letter as plain text through one of the package's services."""
    service.redirects = False
    service.socket_connect_timeout = service.socket_read_timeout = SECONDS
    box = apprise.Apprise(asset=service.asset)
    box.add(service)
    body = letter.render_text(min(service.body_maxlen, LONGEST_TEXT))
    attached = apprise.AppriseAttachment()
    for file in (*letter.files, *letter.images):
        attached.add(apprise.attachment.memory.AttachMemory(content=file.data, name=file.name, mimetype=file.kind))
    heard = _EARS[threading.get_ident()] = []
    try:
        format_ = apprise.NotifyFormat.TEXT
        done = box.notify(body=body, title=letter.subject, body_format=format_, attach=attached if len(attached) else None)
        return SENT if bool(done) else _explain(heard)
    except Exception as error:  # noqa: BLE001 - a service may raise anything, and its text may hold the address
        return fail(f"the service could not be used ({type(error).__name__})")
    finally:
        del _EARS[threading.get_ident()]


def _limit(letter: Letter) -> Letter:
    """Leave out what would make a message too large, images first."""
    images, files = letter.images, letter.files
    while sum(len(file.data) for file in (*images, *files)) > LARGEST:
        images, files = (images[:-1], files) if images else (images, files[:-1])
    return replace(letter, images=images, files=files)
