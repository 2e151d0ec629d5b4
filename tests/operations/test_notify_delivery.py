"""Messages arrive, or wait: a real mail server and a real web server that fail in every way, and an outbox that keeps all."""

from __future__ import annotations

import base64
import datetime as dt
import errno
import hashlib
import hmac
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from minewatch.areas.aoi import Aoi, write_aoi
from minewatch.core.errors import WorkspaceError
from minewatch.core.logging import close_log, find_secrets, start_log
from minewatch.core.workspace import Workspace
from minewatch.operations.notify import apprise_channel
from minewatch.operations.notify import delivery as delivery_module
from minewatch.operations.notify.delivery import Delivery, deliver, retry, send_test_message
from minewatch.operations.notify.enqueue import enqueue_messages
from minewatch.operations.notify.event_store import read_events
from minewatch.operations.notify.outbox import (
    DEAD,
    FEWER_TRIES,
    LONGEST_WAIT,
    MOST_TRIES,
    SPREAD,
    WAITING,
    list_messages,
    read_deliveries,
    record_delivery,
)
from minewatch.operations.notify.rule import find_rules
from minewatch.operations.notify.webhook import find_fault
from minewatch.settings.document import init_workspace, read_settings
from tests.helpers.outbox import HOOK, SECRET, name, one_rule, set_rules, waiting, waiting_all
from tests.helpers.places import ROOT
from tests.helpers.receivers import PASSWORD, Hook, Mailbox, serve_hook, serve_mail
from tests.helpers.small import plain_environment
from tests.helpers.tables import make_alert, put

NOW = dt.datetime(2025, 1, 1, 3, tzinfo=dt.UTC)
TOKEN = "tok-5e3f9a77c1"  # noqa: S105 - likewise


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "127.0.0.1")
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    made = init_workspace(tmp_path / "watch")
    put(made.alerts, make_alert(0))
    return made


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with serve_mail() as box:
        monkeypatch.setenv("RANGERS_MAIL", box.url)
        yield box


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    with serve_hook() as made:
        monkeypatch.setenv("HOOK_URL", made.url)
        yield made


def send_all(workspace: Workspace, start: dt.datetime = NOW, most: int = 60) -> tuple[list[dt.datetime], Delivery]:
    """Deliver again and again, as soon as anything is due; give the times of the tries."""
    tries, now = [], start
    for _ in range(most):
        before = sum(message.attempts for message in waiting_all(workspace))
        done = deliver(workspace, now)
        tries += [now] if done.sent or done.failed or sum(m.attempts for m in waiting_all(workspace)) > before else []
        left = waiting_all(workspace)
        if not left:
            return tries, done
        now = max(now, *(dt.datetime.fromisoformat(m.next_try) if m.next_try else now for m in left))
    return tries, done


def dead(workspace: Workspace) -> list[Any]:
    return list_messages(workspace.outbox, DEAD)[0]


# --- mail ------------------------------------------------------------------------------------------------------------


def test_a_mail_arrives_with_text_page_and_file(workspace: Workspace, mailbox: Mailbox) -> None:
    one_rule(workspace)
    enqueue_messages(workspace, NOW)
    assert deliver(workspace, NOW) == Delivery(sent=1)
    mail = mailbox.mails[0]
    assert mail["Subject"] == "minewatch: pampa: 1 confirmed by the method"
    assert mail["To"] == "post@example.org"
    kinds = [part.get_content_type() for part in mail.walk() if not part.is_multipart()]
    assert kinds == ["text/plain", "text/html", "application/geo+json"]
    plain, page = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert page is not None
    assert "https://www.openstreetmap.org/?mlat=-12.949500" in plain.get_content()
    assert name(0) in page.get_content()
    file = next(mail.iter_attachments())
    assert file.get_filename() == "alerts.geojson"
    assert json.loads(file.get_payload(decode=True))["features"][0]["id"] == name(0)  # type: ignore[arg-type]
    assert waiting_all(workspace) == []
    assert [line.event_ids for line in read_deliveries(workspace.outbox)]


def test_a_mail_server_that_wants_a_login_gets_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    one_rule(workspace)
    rule = find_rules(workspace)[0]
    with serve_mail(login=True) as box:
        monkeypatch.setenv("RANGERS_MAIL", box.url)
        assert send_test_message(workspace, rule, NOW).sent
        monkeypatch.setenv("RANGERS_MAIL", box.url.replace(PASSWORD, "wrong-Kx7"))
        answer = send_test_message(workspace, rule, NOW)
    assert not answer.sent
    assert "login refused, the mail server answered 535" in answer.reason
    assert len(box.mails) == 1


@pytest.mark.parametrize(
    ("answer", "answer_to", "code"),
    [
        ("451 later", "250 OK", "451"),
        ("554 no", "250 OK", "554"),
        ("250 OK", "450 greylisted", "450"),
        ("250 OK", "550 nobody", "550"),
    ],
)
def test_a_mail_that_is_refused_waits_and_arrives_once_it_is_taken(
    workspace: Workspace, mailbox: Mailbox, answer: str, answer_to: str, code: str
) -> None:
    one_rule(workspace)
    enqueue_messages(workspace, NOW)
    mailbox.answer, mailbox.answer_to = answer, answer_to
    done = deliver(workspace, NOW)
    assert (done.sent, done.failed, done.waiting) == (0, 1, 1)
    assert f"the mail server answered {code}" in done.notes[0]
    assert deliver(workspace, NOW + dt.timedelta(seconds=30)) == Delivery(waiting=1)  # not yet
    mailbox.answer = mailbox.answer_to = "250 OK"
    assert deliver(workspace, NOW + dt.timedelta(minutes=2)) == Delivery(sent=1)
    assert len(mailbox.mails) == 1


def test_a_repeat_of_a_mail_has_the_same_id(workspace: Workspace, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    one_rule(workspace)
    enqueue_messages(workspace, NOW)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(delivery_module, "record_delivery", fail)
        assert "No space left" in deliver(workspace, NOW).notes[0]
    assert deliver(workspace, NOW + dt.timedelta(hours=1)).sent == 1
    ids = [mail["Message-ID"] for mail in mailbox.mails]
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_a_server_that_stalls_is_given_up_in_time_and_holds_up_nobody(workspace: Workspace, mailbox: Mailbox, hook: Hook) -> None:
    tables = [f'[notify.{rule}]\nto_variable = "RANGERS_MAIL"\nareas = ["*"]\nunseen_days = 900\n' for rule in ("a", "b", "c")]
    set_rules(workspace, "\n".join([*tables, HOOK]))
    enqueue_messages(workspace, NOW)
    mailbox.stall = 8
    begun = time.monotonic()
    done = deliver(workspace, NOW, seconds=1.5)
    assert time.monotonic() - begun < 8
    assert (done.sent, done.failed, done.waiting) == (1, 3, 3)
    assert all("not finished within 1.5 seconds" in note for note in done.notes)
    assert len(hook.bodies) == 1


def test_nobody_listens(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    one_rule(workspace)
    enqueue_messages(workspace, NOW)
    monkeypatch.setenv("RANGERS_MAIL", "mailto://127.0.0.1:9/?smtp=127.0.0.1&from=a@example.org&to=b@example.org")
    assert "no connection" in deliver(workspace, NOW).notes[0]


def test_names_in_an_address_cannot_break_a_header(
    workspace: Workspace, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_rule(workspace)
    monkeypatch.setenv(
        "RANGERS_MAIL",
        mailbox.url.replace("from=", "from=W%C3%A4chter%0D%0ABcc%3A%20x%40example.org%3C").replace("&to", "%3E&to"),
    )
    send_test_message(workspace, find_rules(workspace)[0], NOW)
    assert all(mail["Bcc"] is None for mail in mailbox.mails)


# --- webhooks --------------------------------------------------------------------------------------------------------


def test_a_webhook_gets_signed_json(workspace: Workspace, hook: Hook) -> None:
    set_rules(workspace, HOOK)
    enqueue_messages(workspace, NOW)
    assert deliver(workspace, NOW).sent == 1
    headers, value = hook.headers[0], hook.values[0]
    stamp = headers["minewatch-timestamp"]
    digest = hmac.new(SECRET.encode(), f"{stamp}.".encode() + hook.bodies[0], hashlib.sha256).hexdigest()
    assert headers["minewatch-signature"] == f"v1={digest}"
    assert abs(int(stamp) - NOW.timestamp()) < 60
    assert headers["idempotency-key"] == value["message_id"]
    assert (value["version"], value["test"], value["rule"]) == (1, False, "hook")
    event = value["events"][0]
    assert (event["event"], event["area"], event["alert_id"], event["run_id"]) == ("confirmed", "pampa", name(0), "run-1")
    assert event["facts"]["map"].startswith("https://www.openstreetmap.org/?mlat=-12.949500&mlon=")
    assert event["geometry"]["type"] == "MultiPolygon"


@pytest.mark.parametrize("secret", [SECRET, "whsec_" + base64.b64encode(SECRET.encode() * 2).decode(), "a3f09c" * 10, "ñandú"])
def test_a_ready_verifier_takes_a_webhook_at_each_try(
    workspace: Workspace, hook: Hook, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    """The reference library of Standard Webhooks is the receiver."""
    monkeypatch.setenv("HOOK_SECRET", secret)
    set_rules(workspace, HOOK)
    now = dt.datetime.now(dt.UTC)
    enqueue_messages(workspace, now)
    hook.answer = lambda request, number: request.send(200 if number else 500)
    assert deliver(workspace, now).failed == 1
    assert deliver(workspace, now + dt.timedelta(minutes=2)).sent == 1
    key = secret if secret.startswith("whsec_") else f"whsec_{base64.b64encode(secret.encode()).decode()}"
    for headers, body in zip(hook.headers, hook.bodies, strict=True):
        assert Webhook(key).verify(body, headers)["message_id"] == headers["webhook-id"] == headers["idempotency-key"]
        assert headers["webhook-timestamp"] == headers["minewatch-timestamp"]
        with pytest.raises(WebhookVerificationError):
            Webhook(key).verify(body.replace(b"confirmed", b"dismissed"), headers)
    assert len({headers["webhook-id"] for headers in hook.headers}) == 1


@pytest.mark.parametrize("rule", ["ñandú", "鉱山"])
def test_a_rule_may_have_any_letters(workspace: Workspace, hook: Hook, rule: str) -> None:
    set_rules(workspace, HOOK.replace("[notify.hook]", f'[notify."{rule}"]'))
    now = dt.datetime.now(dt.UTC)
    enqueue_messages(workspace, now)
    assert deliver(workspace, now).sent == 1
    assert unquote(hook.headers[0]["webhook-id"]) == hook.values[0]["message_id"]
    assert Webhook(SECRET.encode()).verify(hook.bodies[0], hook.headers[0])


@pytest.mark.parametrize("secret", ["whsec_", "whsec_no base64", "whsec_YWJj*", "whsec_ñ"])
def test_a_secret_that_holds_no_key_waits_until_it_is_put_right(
    workspace: Workspace, hook: Hook, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    set_rules(workspace, HOOK)
    enqueue_messages(workspace, NOW)
    monkeypatch.setenv("HOOK_SECRET", secret)
    (note,) = deliver(workspace, NOW).notes
    assert "HOOK_SECRET begins with whsec_ and is not base64 after it; it waits" in note
    assert hook.bodies == []
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    assert deliver(workspace, NOW).sent == 1


def test_a_webhook_that_drops_after_reading_gets_the_same_ids_again(workspace: Workspace, hook: Hook) -> None:
    set_rules(workspace, HOOK)
    enqueue_messages(workspace, NOW)
    hook.answer = lambda request, number: request.send(200) if number == 2 else request.hang_up()
    send_all(workspace)
    assert len(hook.bodies) == 3
    assert len(set(hook.bodies)) == 1
    assert len(set(hook.event_ids)) == 1
    assert len({headers["idempotency-key"] for headers in hook.headers}) == 1


def test_retry_after_is_honoured(workspace: Workspace, hook: Hook) -> None:
    set_rules(workspace, HOOK)
    enqueue_messages(workspace, NOW)
    later = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=30), usegmt=True)
    asked = [(429, "1800"), (503, later), (429, "999999999"), (503, "soon"), (429, "0")]

    def answer(request: Any, number: int) -> None:
        if number < len(asked):
            request.send(asked[number][0], {"Retry-After": asked[number][1]})
        else:
            request.send(204)

    hook.answer = answer
    tries, _ = send_all(workspace)
    waits = [(after - before).total_seconds() / 60 for before, after in pairwise(tries)]
    assert len(waits) == 5
    assert waits[0] >= 30
    assert waits[1] >= 29
    assert waits[2] <= LONGEST_WAIT.total_seconds() / 60 + 1
    assert 8 <= waits[3] < 11
    assert 16 <= waits[4] < 21


def test_a_webhook_that_fails_for_two_days_is_given_up_and_can_be_sent_again(workspace: Workspace, hook: Hook) -> None:
    set_rules(workspace, HOOK)
    enqueue_messages(workspace, NOW)
    hook.answer = lambda request, _number: request.send(500)
    tries, done = send_all(workspace)
    assert len(tries) == len(hook.bodies) == MOST_TRIES
    assert dt.timedelta(hours=40) < tries[-1] - tries[0] < dt.timedelta(hours=60)
    assert (done.waiting, done.dead) == (0, 1)
    assert "minewatch notify retry" in done.notes[0]
    assert dead(workspace)[0].reason == "status 500"
    enqueue_messages(workspace, tries[-1])
    assert waiting_all(workspace) == []  # it is known, though nobody got it
    hook.answer = lambda request, _number: request.send(200)
    assert retry(workspace, [dead(workspace)[0].message_id]) == 1
    assert deliver(workspace, tries[-1]) == Delivery(sent=1)
    assert dead(workspace) == []


@pytest.mark.parametrize(
    ("status", "tries"), [(400, FEWER_TRIES), (404, FEWER_TRIES), (410, FEWER_TRIES), (408, MOST_TRIES), (425, MOST_TRIES)]
)
def test_refusals_that_time_does_not_change_are_given_up_sooner(
    workspace: Workspace, hook: Hook, status: int, tries: int
) -> None:
    set_rules(workspace, HOOK)
    enqueue_messages(workspace, NOW)
    hook.answer = lambda request, _number: request.send(status)
    _, done = send_all(workspace)
    assert (len(hook.bodies), done.dead) == (tries, 1)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://10.0.0.1/", "http://169.254.169.254/latest", "OTHER"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(workspace: Workspace, hook: Hook, target: str, status: int) -> None:
    set_rules(workspace, HOOK)
    enqueue_messages(workspace, NOW)
    with serve_hook() as other:
        place = other.url if target == "OTHER" else target
        hook.answer = lambda request, _number: request.send(status, {"Location": place})
        done = deliver(workspace, NOW)
        assert other.bodies == []
    assert f"status {status}: a redirect, which is not followed" in done.notes[0]
    assert done.waiting == 1


@pytest.mark.parametrize(
    ("address", "hosts", "fault"),
    [
        ("https://hooks.example.org/x", (), ""),
        ("http://127.0.0.1:8000/x", (), ""),
        ("http://localhost/x", (), ""),
        ("http://hooks.example.org/x", (), "plain http"),
        ("http://gis.lan:8080/x", ("gis.lan",), ""),
        ("http://gis.lan:8080/x", ("gis.lan:8080",), ""),
        ("http://gis.lan:8081/x", ("gis.lan:8080",), "plain http"),
        ("https://169.254.169.254/latest", (), "serves the network"),
        ("https://metadata.google.internal/x", (), "serves the network"),
        ("file:///etc/passwd", (), "no address"),
        ("ftp://example.org", (), "no address"),
        ("https://", (), "no address"),
        ("https://example.org:99999999/", (), "no address"),
        ("https://example.org/a b", (), "no address"),
        ("nonsense", (), "no address"),
    ],
)
def test_where_a_webhook_may_be(address: str, hosts: tuple[str, ...], fault: str) -> None:
    found = find_fault(address, hosts)
    assert (found == "") == (fault == "")
    assert fault in found
    assert "example" not in found


def test_a_mailbox_alone_is_no_address() -> None:
    found = apprise_channel.find_fault("rosa@example.org")
    assert "needs its server too: mailtos://" in found
    assert "rosa" not in found
    assert "mailbox" not in apprise_channel.find_fault("nonsense")


# --- the outbox ------------------------------------------------------------------------------------------------------


def test_a_variable_that_is_not_set_is_told_and_nothing_is_lost(
    workspace: Workspace, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_rules(workspace, HOOK)
    enqueue_messages(workspace, NOW)
    monkeypatch.delenv("HOOK_URL")
    for hours in range(MOST_TRIES * 2):
        done = deliver(workspace, NOW + dt.timedelta(hours=hours))
        assert "HOOK_URL is not set in the environment" in done.notes[0]
    monkeypatch.setenv("HOOK_URL", hook.url)
    assert deliver(workspace, NOW) == Delivery(sent=1)


@pytest.mark.parametrize(
    ("address", "is_told"),
    [
        ("mailto://me:p@ss#w/d%;1@127.0.0.1:9?to=x@example.org&from=y@example.org", True),
        ("mailto://127.0.0.1:9?user=me&pass=p@ss#w/d%;1&to=x@example.org&from=y@example.org", True),
        ("mailto://me:se/cret@127.0.0.1:9?to=x@example.org&from=y@example.org", True),
        ("mailto://me:se:cret@127.0.0.1:9?to=x@example.org&from=y@example.org", True),
        ("mailto://me:p%40ss%23w%2Fd%25%3B1@127.0.0.1:9?to=x@example.org&from=y@example.org", False),
        ("mailto://127.0.0.1:9/?smtp=127.0.0.1&from=a@example.org&to=b@example.org", False),
    ],
)
def test_a_password_as_people_paste_it_fails_with_a_word_on_special_characters(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, address: str, is_told: bool
) -> None:
    one_rule(workspace)
    enqueue_messages(workspace, NOW)
    monkeypatch.setenv("RANGERS_MAIL", address)
    (note,) = deliver(workspace, NOW).notes
    assert ("%40 for @" in note) == is_told
    assert not any(word in note for word in ("ss#w", "se/cret", "se:cret", "p%40ss"))


@pytest.mark.parametrize("address", ["nonsense", "mailto://", "nosuch://a/b", "slack://a@example.org json://b"])
def test_a_variable_without_an_address_is_told_without_what_it_holds(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    one_rule(workspace)
    monkeypatch.setenv("RANGERS_MAIL", address)
    enqueue_messages(workspace, NOW)
    note = deliver(workspace, NOW).notes[0]
    assert "RANGERS_MAIL holds" in note
    assert address not in note


def test_a_rule_that_is_gone_leaves_its_messages_to_the_dead(workspace: Workspace) -> None:
    one_rule(workspace)
    enqueue_messages(workspace, NOW)
    set_rules(workspace, HOOK)
    done = deliver(workspace, NOW)
    assert (done.waiting, done.dead) == (0, 1)
    assert "no longer in the settings" in done.notes[0]


@pytest.mark.usefixtures("hook")
def test_a_damaged_message_is_set_aside_and_the_others_go(workspace: Workspace) -> None:
    set_rules(workspace, HOOK)
    enqueue_messages(workspace, NOW)
    for number, text in enumerate(["", "{", "[]", '{"message_id": 1}', "\x00\xff"]):
        (workspace.outbox / WAITING / f"hook-000000{number}-x.json").write_text(text, "latin-1")
    done = deliver(workspace, NOW)
    assert done.sent == 1
    assert sum("is no message" in note for note in done.notes) == 5
    assert deliver(workspace, NOW) == Delivery()


def test_a_clock_that_is_set_back_does_not_hold_messages_for_years(workspace: Workspace, hook: Hook) -> None:
    set_rules(workspace, HOOK)
    future = NOW + dt.timedelta(days=4000)
    enqueue_messages(workspace, future)
    hook.answer = lambda request, number: request.send(500 if number == 0 else 200)
    assert deliver(workspace, future).failed == 1
    assert deliver(workspace, NOW) == Delivery(sent=1)


def test_waits_grow_to_hours_and_are_spread(workspace: Workspace, hook: Hook) -> None:
    set_rules(workspace, HOOK)
    enqueue_messages(workspace, NOW)
    hook.answer = lambda request, _number: request.send(500)
    tries, _ = send_all(workspace)
    waits = [(after - before).total_seconds() / 60 for before, after in pairwise(tries)]
    for number, wait in enumerate(waits):
        least = min(2.0**number, 360)
        assert least <= wait < least * (1 + SPREAD) + 0.2
    assert not all(wait == round(wait) for wait in waits)


def test_what_is_delivered_is_not_sent_again_though_a_crash_left_it(workspace: Workspace, hook: Hook) -> None:
    set_rules(workspace, HOOK)
    enqueue_messages(workspace, NOW)
    message = waiting_all(workspace)[0]
    record_delivery(workspace.outbox, message, NOW)
    assert deliver(workspace, NOW) == Delivery()
    assert hook.bodies == []
    enqueue_messages(workspace, NOW)
    assert waiting_all(workspace) == []


def test_two_deliveries_at_once_send_each_message_once(workspace: Workspace, hook: Hook) -> None:
    set_rules(workspace, HOOK)
    for number in range(6):
        put(workspace.alerts, *(make_alert(n) for n in range(number + 1)), run=f"run-{number}")
        enqueue_messages(workspace, NOW + dt.timedelta(minutes=number))
    turned_away = threading.Event()
    hook.answer = lambda request, _number: (turned_away.wait(10), request.send(200))

    def deliver_once(_: int) -> Delivery:
        done = deliver(workspace, NOW)
        turned_away.set()
        return done

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(deliver_once, range(4)))
    assert sum(one.sent for one in done) == len(hook.bodies) == 6
    assert any("another process is sending the messages" in note for one in done for note in one.notes)
    assert len(hook.event_ids) == len(set(hook.event_ids)) == 6
    order = [value["created"] for value in hook.values]
    assert order == sorted(order)


def test_two_collections_at_once_make_each_message_once(workspace: Workspace) -> None:
    one_rule(workspace)
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(lambda _: enqueue_messages(workspace, NOW), range(4))) == 1


def test_a_read_only_outbox_is_told_and_nothing_is_lost(
    workspace: Workspace, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_rules(workspace, HOOK)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    for place in ("minewatch.core.files.tempfile.mkstemp", "minewatch.core.files.os.open"):
        with monkeypatch.context() as patch:
            patch.setattr(place, refuse)
            with pytest.raises(WorkspaceError, match="Read-only file system"):
                enqueue_messages(workspace, NOW)
    enqueue_messages(workspace, NOW)
    with monkeypatch.context() as patch:
        patch.setattr("minewatch.core.files.tempfile.mkstemp", refuse)
        done = deliver(workspace, NOW)
    assert "Read-only file system" in done.notes[0]
    assert hook.bodies == []
    assert (done.sent, done.waiting) == (0, 1)
    assert deliver(workspace, NOW) == Delivery(sent=1)


@pytest.mark.parametrize("writes", range(12))
def test_a_disk_that_is_full_at_any_write_loses_nothing(
    workspace: Workspace, hook: Hook, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    set_rules(workspace, HOOK)
    left = writes
    real = os.fsync

    def fsync(handle: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr("minewatch.core.files.os.fsync", fsync)
        try:
            enqueue_messages(workspace, NOW)
            deliver(workspace, NOW)
        except (WorkspaceError, OSError) as error:
            assert "No space left" in str(error)  # noqa: PT017 - where the room is enough, nothing is raised
    enqueue_messages(workspace, NOW)
    deliver(workspace, NOW + dt.timedelta(hours=7))
    assert set(hook.event_ids) == {event.event_id for event in read_events(workspace.outbox).events}
    assert len(hook.bodies) <= 2
    assert waiting_all(workspace) == []


# --- secrets ---------------------------------------------------------------------------------------------------------


def test_no_secret_is_anywhere(
    workspace: Workspace,
    mailbox: Mailbox,
    hook: Hook,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After every kind of failure: no address, password, token or secret in any file, output, log or journal."""
    caplog.set_level(logging.DEBUG)
    for server in ("mail.log", "mail.debug", "asyncio"):  # these speak for the mail server of this test
        caplog.set_level(logging.CRITICAL, server)
    box = mailbox.url.replace("mailto://", f"mailto://watch:{PASSWORD}@")
    addresses = [box, box.replace("127.0.0.1:", "127.0.0.1:1"), f"json://127.0.0.1:9/{TOKEN}", f"slack://{TOKEN}/x"]
    addresses += [
        f"jsons://user:{PASSWORD}@127.0.0.1:9/{TOKEN}?+X-Api-Key={TOKEN}",
        f"nosuch://{TOKEN}",
        "tgram://123456789:abcdefg_hijklmnop-tok-5e3f9a77c1/1",
    ]
    tables = [f'[notify.r{n}]\nto_variable = "MAIL_{n}"\nareas = ["*"]\nunseen_days = 900\n' for n in range(len(addresses))]
    for number, address in enumerate(addresses):
        monkeypatch.setenv(f"MAIL_{number}", address)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nothing leaves this machine
    set_rules(workspace, "\n".join([*tables, HOOK]))
    journal = workspace.root / "journal.txt"
    with journal.open("w") as stream:
        start_log(find_secrets(read_settings(workspace).model_dump()), stream)
        try:
            enqueue_messages(workspace, NOW)
            hook.answer = lambda request, _number: request.send(302, {"Location": f"http://127.0.0.1/{TOKEN}"})
            notes = list(deliver(workspace, NOW, seconds=20).notes)
            notes += [send_test_message(workspace, rule, NOW, seconds=20).reason for rule in find_rules(workspace)]
        finally:
            close_log()
    assert len(notes) > 8
    out = "".join(capfd.readouterr()) + caplog.text + "\n".join(notes)
    texts = {str(path): path.read_bytes().decode("utf-8", "replace") for path in workspace.root.rglob("*") if path.is_file()}
    for place, text in {**texts, "output": out}.items():
        for secret in (PASSWORD, TOKEN, SECRET, "127.0.0.1", "post@example.org"):
            assert secret not in text, (place, secret)
    assert "message failed" in texts[str(journal)]


# --- the commands ----------------------------------------------------------------------------------------------------


def run(workspace: Workspace, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "minewatch", "-w", str(workspace.root), *words]
    variables = plain_environment(PYTHONPATH=str(ROOT), **environment)
    return subprocess.run(command, capture_output=True, text=True, env=variables, cwd=workspace.root, check=False)


def test_notify_test_says_what_works_and_what_does_not(workspace: Workspace, mailbox: Mailbox, hook: Hook) -> None:
    one_rule(workspace)
    unset = HOOK.replace('"*"', '"no-such"').replace("HOOK_URL", "HOOK_NOT_SET")
    workspace.settings.write_text(f"{workspace.settings.read_text()}\n{unset}")
    write_aoi(workspace, Aoi("pampa", make_alert(0).geometry.convex_hull.buffer(0.02), dt.date(2024, 1, 1)))
    done = run(workspace, "notify", "test", RANGERS_MAIL=mailbox.url)
    assert done.returncode == 1
    assert re.search(r"rangers +RANGERS_MAIL +sent", done.stdout)
    assert "failed: HOOK_NOT_SET is not set in the environment" in done.stdout
    assert "hook: no area is called 'no-such'; see: minewatch aoi list" in done.stderr
    assert mailbox.mails[0]["Subject"] == "minewatch: Test message: nothing happened"
    done = run(workspace, "notify", "test", "hook", "--json", HOOK_NOT_SET=hook.url)
    assert json.loads(done.stdout) == [{"rule": "hook", "sent": True, "reason": ""}]
    assert hook.values[0]["test"] is True
    assert not workspace.outbox.exists()
    done = run(workspace, "notify", "test", "nobody")
    assert "there is no rule 'nobody'; known: hook, rangers" in done.stderr


def test_notify_list_and_retry(workspace: Workspace, hook: Hook) -> None:
    assert "no [notify.NAME] table" in run(workspace, "notify", "list").stderr
    set_rules(workspace, HOOK)
    enqueue_messages(workspace, NOW)
    hook.answer = lambda request, _number: request.send(410)
    send_all(workspace)
    listed = json.loads(run(workspace, "notify", "list", "--dead", "--json").stdout)
    assert (listed[0]["state"], listed[0]["reason"], listed[0]["attempts"]) == ("dead", "status 410", FEWER_TRIES)
    assert listed[0]["areas"] == ["pampa"]
    text = run(workspace, "notify", "list").stdout
    assert listed[0]["message_id"] in text
    assert "status 410" in text
    hook.answer = lambda request, _number: request.send(200)
    environment = {"HOOK_URL": hook.url, "HOOK_SECRET": SECRET}
    assert "there is no message 'x'" in run(workspace, "notify", "retry", "x").stderr
    assert run(workspace, "notify", "retry").returncode == 2
    done = run(workspace, "notify", "retry", listed[0]["message_id"], **environment)
    assert done.stdout == "1 sent, 0 failed, 0 waiting, 0 given up\n"
    assert run(workspace, "notify", "retry", "--all", **environment).stdout == "0 sent, 0 failed, 0 waiting, 0 given up\n"


# --- the example of the docs -----------------------------------------------------------------------------------------


def test_the_verifier_of_the_docs_takes_what_is_signed(workspace: Workspace, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "notifications.md").read_text("utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "read_message" in block)
    names: dict[str, Any] = {}
    exec(compile(code, "verifier.py", "exec"), names)  # noqa: S102 - the example is ours
    line = next(line for line in page.splitlines() if line.startswith("secret_variable"))
    make, adapt = re.search(r"make one with: (echo .*)", line), re.search(r"`(echo \"whsec_\$\(printf .*?)`", page)
    assert make
    assert adapt
    secret = run_shell(make[1])
    for ours, theirs in ((secret, secret), (SECRET, run_shell(adapt[1], CASE_SECRET=SECRET))):
        monkeypatch.setenv("HOOK_SECRET", ours)
        set_rules(workspace, HOOK)
        answer = send_test_message(workspace, find_rules(workspace)[0], dt.datetime.now(dt.UTC))
        assert answer.reason == ""
        assert names["read_message"](hook.headers[-1], hook.bodies[-1], theirs)["test"] is True


def run_shell(line: str, **variables: str) -> str:
    return subprocess.run(
        ["bash", "-c", line], env=os.environ | variables, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_receiver_of_the_docs_takes_what_is_signed_and_each_event_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "notifications.md").read_text("utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "BaseHTTPRequestHandler" in block)
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(code, "receiver.py", "exec"), names)  # noqa: S102 - the example is ours
    server = names["make_server"](0, SECRET)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        monkeypatch.setenv("HOOK_URL", f"http://127.0.0.1:{server.server_address[1]}/")
        set_rules(workspace, HOOK)
        now = dt.datetime.now(dt.UTC)
        enqueue_messages(workspace, now)
        message = waiting(workspace, "hook")[0]
        assert deliver(workspace, now).sent == 1
        assert list(names["SEEN"]) == message.event_ids
        for when, secret, status in ((now, "wrong", 401), (now - dt.timedelta(hours=1), SECRET, 401), (now, SECRET, 0)):
            monkeypatch.setenv("HOOK_SECRET", secret)
            answer = delivery_module.send_in_time(workspace, message, find_rules(workspace)[0], when)
            assert answer.reason == (f"status {status}" if status else "")
        assert list(names["SEEN"]) == message.event_ids
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
