"""Sends what waits in the outbox: each recipient in a thread of its own and in bounded time, so that none delays another.

An attempt is recorded before it is made, and a message is deleted from the outbox only after its delivery is recorded:
wherever this is interrupted, a message is sent twice rather than lost.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from minewatch.core.errors import MinewatchError, WorkspaceError, describe
from minewatch.core.logging import log_event
from minewatch.core.progress import Reporter
from minewatch.core.text import find_nearest, format_time
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.apprise_channel import send_by_apprise
from minewatch.operations.notify.enqueue import hide_locations
from minewatch.operations.notify.event import CONFIRMED, Event, name_event
from minewatch.operations.notify.images import draw_thumbnails
from minewatch.operations.notify.outbox import (
    DEAD,
    FEWER_TRIES,
    LONGEST_WAIT,
    MOST_TRIES,
    WAITING,
    DeliveryAttempt,
    Message,
    count_messages,
    delete_message,
    fail,
    is_due,
    list_messages,
    lock_outbox,
    make_message,
    put_message,
    read_deliveries,
    record_delivery,
    wait_after,
)
from minewatch.operations.notify.rendering import render_message
from minewatch.operations.notify.rule import Rule, find_rules
from minewatch.operations.notify.webhook import send_json

LONGEST = 60.0
"""Seconds for one attempt, whatever the other side does."""

LONGEST_ROUND = dt.timedelta(minutes=5)
"""Within this time a recipient's messages are begun; the others wait for the next cycle."""

MOST_THREADS = 16
"""Recipients served at the same time."""

Clock = Callable[[], dt.datetime]
"""Returns the present time, UTC."""


@dataclass(frozen=True)
class Delivery:
    """The result of one delivery."""

    sent: int = 0
    """Messages delivered."""

    failed: int = 0
    """Messages that failed, and wait for another attempt or were given up."""

    waiting: int = 0
    """Messages that wait afterwards."""

    dead: int = 0
    """Messages that were given up, afterwards."""

    notes: tuple[str, ...] = ()
    """Why messages failed, and files that are not messages: a line each, without addresses."""


def send_message(
    workspace: Workspace, message: Message, rule: Rule, now: dt.datetime, *, is_test: bool = False
) -> DeliveryAttempt:
    """Send one message to the recipient of a rule."""
    if rule.is_webhook:
        return send_json(message, rule, now, is_test=is_test)
    by_size = sorted(message.events, key=lambda event: -float(event.facts.get("area_ha") or 0))
    alerts = dict.fromkeys(event.alert_id for event in by_size if event.alert_id)
    thumbnails = draw_thumbnails(workspace, list(alerts)) if rule.table.shows_images else []
    return send_by_apprise(render_message(message, rule, thumbnails, is_test=is_test), rule)


def send_in_time(
    workspace: Workspace, message: Message, rule: Rule, now: dt.datetime, *, is_test: bool = False, seconds: float = LONGEST
) -> DeliveryAttempt:
    """Send one message; stops waiting after ``seconds``, though the message may still arrive, and then arrives twice."""
    answers: list[DeliveryAttempt] = []

    def run() -> None:
        silence_libraries()
        try:
            answers.append(send_message(workspace, message, rule, now, is_test=is_test))
        except MinewatchError as error:
            answers.append(fail(describe(error), not_configured=True))
        except Exception as error:  # noqa: BLE001 - one message that cannot be written must not hold up the others
            answers.append(fail(f"the message could not be made ({type(error).__name__})", is_refusal=True))

    thread = threading.Thread(target=run, name=f"{PREFIX}{rule.name}", daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else fail(f"not finished within {seconds:g} seconds")


def deliver(workspace: Workspace, now: dt.datetime, reporter: Reporter | None = None, *, seconds: float = LONGEST) -> Delivery:
    """Send what is due; ``seconds`` limit each attempt.

    Raises MinewatchError where the outbox cannot be read or written; the messages then stay there.
    """
    folder = workspace.outbox
    if not folder.exists():
        return Delivery()
    with lock_outbox(folder, "deliver", wait=False) as is_ours:
        notes = _deliver(workspace, now, seconds) if is_ours else ["another process is sending the messages"]
    sent = sum(1 for note in notes if note == "")
    failures = tuple(note for note in notes if note)
    for note in failures:
        (reporter or Reporter()).note(note)
    return Delivery(sent, len(failures) if is_ours else 0, *count_messages(folder), failures)


def _deliver(workspace: Workspace, now: dt.datetime, seconds: float) -> list[str]:
    """Send what is due; returns '' for each message that was sent, and the reason for each that was not."""
    folder, rules = workspace.outbox, {rule.name: rule for rule in find_rules(workspace)}
    delivered = {line.message_id for line in read_deliveries(folder)}
    messages, damaged = list_messages(folder)
    notes = [_set_aside(path) for path in damaged]
    queues: dict[str, list[Message]] = {}
    for message in messages:
        if message.message_id in delivered:  # a crash came between recording and deleting
            delete_message(folder, message)
        elif message.rule not in rules:
            notes.append(_move_to_dead_letters(folder, replace(message, reason="its rule is no longer in the settings")))
        elif is_due(message, now):
            queues.setdefault(message.rule, []).append(message)
    clock = _start_clock(now)
    if queues:
        with ThreadPoolExecutor(min(len(queues), MOST_THREADS), thread_name_prefix="deliver") as threads:
            jobs = [threads.submit(_send_queue, workspace, rules[name], queue, clock, seconds) for name, queue in queues.items()]
            notes += [note for job in jobs for note in job.result()]
    return notes


def _start_clock(now: dt.datetime) -> Clock:
    """Return a clock that starts at ``now`` and is never set back."""
    began = time.monotonic()
    return lambda: now + dt.timedelta(seconds=time.monotonic() - began)


def _send_queue(workspace: Workspace, rule: Rule, queue: Sequence[Message], clock: Clock, seconds: float) -> list[str]:
    """Send the messages of one recipient in their order, until one fails in a way that the others would too."""
    notes, end = [], clock() + LONGEST_ROUND
    for message in queue:
        if clock() > end:
            break
        try:
            note, goes_on = _try(workspace, rule, message, clock, seconds)
        except (WorkspaceError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else describe(error)
            note, goes_on = f"{message.message_id}: {reason}; it stays in the outbox", False
        notes.append(note)
        if not goes_on:
            break
    return notes


def _try(workspace: Workspace, rule: Rule, message: Message, clock: Clock, seconds: float) -> tuple[str, bool]:
    """Send a message once; returns why it failed, and whether the next message is worth an attempt."""
    folder = workspace.outbox
    begun = replace(message, interrupted_attempts=message.interrupted_attempts + 1, reason="the last attempt did not finish")
    begun = replace(begun, next_try=(clock() + wait_after(begun)).isoformat(timespec="seconds"))
    put_message(folder, begun)  # if this fails nothing is sent, so a full disk does not cause endless repeats
    answer = send_in_time(workspace, begun, rule, clock(), seconds=seconds)
    ended = replace(message, attempts=message.attempts + 1, interrupted_attempts=0, reason=answer.reason)
    if answer.sent:
        record_delivery(folder, ended, clock())
        log_event("message delivered", message=ended.message_id, rule=rule.name, events=ended.event_ids, runs=ended.run_ids)
        delete_message(folder, ended)
        return "", True
    log_event(
        "message failed", level="warning", message=ended.message_id, rule=rule.name, reason=answer.reason, runs=ended.run_ids
    )
    return _reschedule(folder, ended, answer, clock()), answer.is_refusal


def _reschedule(folder: Path, message: Message, answer: DeliveryAttempt, now: dt.datetime) -> str:
    """Keep a message for its next attempt, or give it up after its last."""
    if answer.not_configured:
        put_message(folder, replace(message, attempts=message.attempts - 1, next_try=""))
        return f"{message.message_id}: {answer.reason}; it waits until that is fixed"
    message = replace(message, refusals=message.refusals + answer.is_refusal)
    if message.attempts >= MOST_TRIES or message.refusals >= FEWER_TRIES:
        return _move_to_dead_letters(folder, message)
    requested = min(dt.timedelta(seconds=answer.wait or 0), LONGEST_WAIT)
    when = now + max(wait_after(message), requested)
    put_message(folder, replace(message, next_try=when.isoformat(timespec="seconds")))
    tries = f"attempt {message.attempts} of {MOST_TRIES}, the next after {format_time(when)}"
    return f"{message.message_id}: {answer.reason}; {tries}"


def _move_to_dead_letters(folder: Path, message: Message) -> str:
    """Move a message to those given up; it is written there before it is deleted where it waited."""
    put_message(folder, message, DEAD)
    delete_message(folder, message)
    again = f"minewatch notify retry {message.message_id}"
    return f"{message.message_id}: {message.reason}; it was given up, send it again with: {again}"


def _set_aside(path: Path) -> str:
    """Rename a file that is no message, so that it is reported once; nothing is deleted."""
    path.rename(path.with_suffix(".damaged"))
    return f"{path} is no message; it was renamed to {path.with_suffix('.damaged').name}"


def retry(workspace: Workspace, message_ids: Sequence[str] | None = None) -> int:
    """Make messages due at once with all their attempts, also those given up; None = all.  Returns how many.

    Raises WorkspaceError where an id is unknown, or the outbox cannot be written.
    """
    folder = workspace.outbox
    with lock_outbox(folder, "collect"), lock_outbox(folder, "deliver"):
        found = {message.message_id: (message, place) for place in (DEAD, WAITING) for message in list_messages(folder, place)[0]}
        unknown = [name for name in message_ids or () if name not in found]
        if unknown:
            near = find_nearest(unknown[0], found)
            hint = f"did you mean {near!r}?" if near else "see them with: minewatch notify list"
            raise WorkspaceError(f"there is no message {unknown[0]!r} in the outbox; {hint}")
        for name in found if message_ids is None else dict.fromkeys(message_ids):
            message, place = found[name]
            put_message(folder, replace(message, attempts=0, interrupted_attempts=0, refusals=0, next_try="", reason=""))
            if place == DEAD:
                delete_message(folder, message, DEAD)
    return len(found if message_ids is None else set(message_ids))


PREFIX = "notify-"
"""Of the names of the threads that send."""

LIBRARIES = ("urllib3", "requests", "requests_oauthlib", "oauthlib")
"""Their loggers are silenced in these threads."""


class _SilencedLogs(logging.Filter):
    """Drops records of the threads that send."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True if a record is from another thread."""
        return not (record.threadName or "").startswith(PREFIX)


_SILENCE = _SilencedLogs()


def silence_libraries() -> None:
    """Silence the loggers that exist by now; filters are not inherited by child loggers, so each needs its own."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.split(".")[0] in LIBRARIES:
            logger.addFilter(_SILENCE)


AREA = "test-area"
"""Name of an area that does not exist."""

LAT, LON = 0.0, 0.0
"""In the Atlantic, where nobody mines."""

_SIDE = 0.001
"""Degrees."""


def make_test_message(rule: Rule, now: dt.datetime) -> Message:
    """Make a message about an alert that does not exist."""
    day = now.date().isoformat()
    facts = {
        "alert_id": f"{AREA}-{day.replace('-', '')}-000000",
        "aoi": AREA,
        "status": CONFIRMED,
        "last_normal": (now.date() - dt.timedelta(days=10)).isoformat(),
        "first_seen": day,
        "confirmed_on": day,
        "last_seen": day,
        "area_ha": 1.23,
        "lat": LAT,
        "lon": LON,
        "legal_status": "unknown",
    }
    ring = [[LON, LAT], [LON + _SIDE, LAT], [LON + _SIDE, LAT + _SIDE], [LON, LAT + _SIDE], [LON, LAT]]
    outline = {"type": "MultiPolygon", "coordinates": [[ring]]}
    name, moment = name_event("test", rule.name, now.isoformat()), now.isoformat(timespec="seconds")
    event = Event(name, CONFIRMED, AREA, str(facts["alert_id"]), facts, outline, "", moment)
    return make_message(rule.name, [hide_locations(event, rule)], [CONFIRMED], now)


def send_test_message(workspace: Workspace, rule: Rule, now: dt.datetime, seconds: float = LONGEST) -> DeliveryAttempt:
    """Send a test message to the recipient of a rule."""
    return send_in_time(workspace, make_test_message(rule, now), rule, now, is_test=True, seconds=seconds)
