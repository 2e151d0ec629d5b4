"""Sends a message as mail: apprise reads recipients and login from the address, and the mail itself is built here.

So that the plain text is readable, images are inside the page, the file is attached, and a repeat has the same Message-ID.
"""

from __future__ import annotations

import contextlib
import email.policy
import hashlib
import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from minewatch.core.certificates import CertificateError, load_certificates, name_certificates
from minewatch.operations.notify.outbox import SENT, DeliveryAttempt, fail
from minewatch.operations.notify.rendering import RenderedMessage

SECONDS = 20.0
"""For a connection, and for each answer of the server."""

LOGIN = (530, 534, 535, 538)
"""Answers that refuse the login."""

HOST = "minewatch.invalid"
"""Domain of a Message-ID, so that no host name is revealed."""


def send_mail(service: Any, message: RenderedMessage) -> DeliveryAttempt:
    """Send a message to every recipient of a mail service of apprise."""
    try:
        with _connect(service) as server:
            answers = [_send(server, service, name, to, message) for name, to in service.targets]
    except smtplib.SMTPResponseException as error:
        return _explain(error.smtp_code)
    except smtplib.SMTPNotSupportedError:
        return fail("the server does not offer what the address asks for: a login, or a safe connection", is_refusal=True)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        return fail(name_cause(error))
    return next((answer for answer in answers if not answer.sent), SENT if answers else fail("the address has no recipient"))


def _connect(service: Any) -> smtplib.SMTP:
    """Connect, encrypt where the address asks for it, and log in."""
    context = ssl.create_default_context()
    load_certificates(context, name_certificates())
    if not service.verify_certificate:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    mode, place = str(getattr(service.secure_mode, "value", service.secure_mode)), (service.smtp_host, service.port)
    secure = mode == "ssl"
    server = smtplib.SMTP_SSL(*place, timeout=SECONDS, context=context) if secure else smtplib.SMTP(*place, timeout=SECONDS)
    try:
        if mode == "starttls":
            server.starttls(context=context)
        if service.user and service.password:
            server.login(service.user, service.password)
    except BaseException:
        with contextlib.suppress(smtplib.SMTPException, OSError):
            server.close()
        raise
    return server


def _send(server: smtplib.SMTP, service: Any, name: object, to: str, message: RenderedMessage) -> DeliveryAttempt:
    mail = build_mail(service, name, to, message)
    copies = (set(service.cc) | set(service.bcc)) - {to}
    try:
        refused = server.sendmail(service.from_addr[1], [to, *sorted(copies)], mail.as_bytes())
    except smtplib.SMTPRecipientsRefused as error:
        refused = error.recipients
    return _explain(next(iter(refused.values()))[0]) if refused else SENT


def _explain(code: int) -> DeliveryAttempt:
    word = "login refused, " if code in LOGIN else ""
    return fail(f"{word}the mail server answered {code}", is_refusal=code >= 500)


def name_cause(error: Exception) -> str:
    """Describe an error without its own words, which may hold an address."""
    if isinstance(error, CertificateError):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"no answer within {SECONDS:g} seconds"
    if isinstance(error, ssl.SSLError):
        return "the certificate of the host is not valid, or it does not support TLS"
    if isinstance(error, smtplib.SMTPServerDisconnected | ConnectionResetError | BrokenPipeError):
        return "the connection broke off"
    if isinstance(error, smtplib.SMTPException | ValueError):
        return f"the mail could not be handed over ({type(error).__name__})"
    return "no connection"


def build_mail(service: Any, name: object, to: str, message: RenderedMessage) -> EmailMessage:
    """Build the mail to one recipient: text, a page with its images, and the attached files."""
    mail = EmailMessage(email.policy.SMTP)
    sender, reply = service.from_addr, sorted(service.reply_to)
    mail["From"] = Address(_show_name(sender[0]) or "minewatch", addr_spec=sender[1])
    mail["To"] = Address(_show_name(name), addr_spec=to)
    copies = sorted(set(service.cc) - set(service.bcc) - {to})
    if copies:
        mail["Cc"] = [Address(_show_name(service.names.get(copy)), addr_spec=copy) for copy in copies]
    if reply:
        mail["Reply-To"] = [Address(_show_name(service.names.get(address)), addr_spec=address) for address in reply]
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(message.written)
    digest = hashlib.sha256(f"{message.message_id}\n{to}".encode()).hexdigest()[:32]
    mail["Message-ID"] = f"<{digest}@{HOST}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: asks for no automatic answer
    mail.set_content(message.render_text())
    mail.add_alternative(message.html, subtype="html")
    page: Any = mail.get_payload(1)
    for image in message.images:
        kind, subtype = image.kind.split("/")
        page.add_related(image.data, kind, subtype, cid=f"<{image.name}>", filename=image.name, disposition="inline")
    for file in message.files:
        kind, subtype = file.kind.split("/")
        mail.add_attachment(file.data, kind, subtype, filename=file.name)
    return mail


def _show_name(name: object) -> str:
    """Return a name without characters that a header cannot hold; apprise gives False where there is none."""
    text = str(name) if name else ""
    return "".join(character for character in text if character.isprintable())
