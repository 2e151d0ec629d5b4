"""Sends what waits in the outbox: each recipient by its own thread and in bounded time, so that none holds up another.

A try is written down before it is made, and a message leaves the outbox only once it stands in the list of those that were
delivered: whatever is cut off, a message is sent again rather than lost.
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
from minewatch.core.text import format_time
from minewatch.core.workspace import Workspace
from minewatch.operations.notify.channel import send_letter
from minewatch.operations.notify.collection import find_rules, hide_places
from minewatch.operations.notify.event import CONFIRMED, Event, name_event
from minewatch.operations.notify.images import draw_thumbnails
from minewatch.operations.notify.letter import write_letter
from minewatch.operations.notify.outbox import (
    DEAD,
    FEWER_TRIES,
    LONGEST_WAIT,
    MOST_TRIES,
    WAITING,
    DeliveryAttempt,
    Message,
    drop_message,
    fail,
    holding,
    is_due,
    list_messages,
    make_message,
    put_message,
    read_deliveries,
    record_delivery,
    wait_after,
)
from minewatch.operations.notify.rule import Rule
from minewatch.operations.notify.webhook import send_json

LONGEST = 60.0
"""Seconds for one try, whatever the other side does."""

LONGEST_ROUND = 300.0
"""Seconds in which a recipient's messages are begun; the others wait for the next round."""

MOST_THREADS = 16
"""Recipients at one time."""

Send = Callable[[Workspace, Message, Rule, dt.datetime], DeliveryAttempt]


@dataclass(frozen=True)
class Delivery:
    """What came of a round."""

    sent: int = 0
    """Messages that were delivered."""

    failed: int = 0
    """Messages that were tried, and wait for another try or are dead now."""

    waiting: int = 0
    """Messages that wait after the round."""

    dead: int = 0
    """Messages in the list of dead letters after the round."""

    notes: tuple[str, ...] = ()
    """Why messages failed, and files that are none: a line each, without addresses."""


def send_message(
    workspace: Workspace, message: Message, rule: Rule, now: dt.datetime, *, is_test: bool = False
) -> DeliveryAttempt:
    """Send one message to the recipient of a rule."""
    if rule.is_webhook:
        return send_json(message, rule, now, is_test=is_test)
    alerts = dict.fromkeys(event.alert_id for event in sorted(message.events, key=_rank) if event.alert_id)
    thumbnails = draw_thumbnails(workspace, list(alerts)) if rule.table.shows_images else []
    return send_letter(write_letter(message, rule, thumbnails, is_test=is_test), rule)


def _rank(event: object) -> float:
    return -float(getattr(event, "facts", {}).get("area_ha") or 0)


def send_in_time(
    workspace: Workspace, message: Message, rule: Rule, now: dt.datetime, *, is_test: bool = False, seconds: float = LONGEST
) -> DeliveryAttempt:
    """Send one message, and give it up after a time; it may arrive nevertheless, and then comes twice."""
    answers: list[DeliveryAttempt] = []

    def run() -> None:
        silence_libraries()
        try:
            answers.append(send_message(workspace, message, rule, now, is_test=is_test))
        except MinewatchError as error:
            answers.append(fail(describe(error), is_unset=True))
        except Exception as error:  # noqa: BLE001 - one message that cannot be written must not hold up the others
            answers.append(fail(f"the message could not be made ({type(error).__name__})", is_refusal=True))

    thread = threading.Thread(target=run, name=f"{PREFIX}{rule.name}", daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else fail(f"not finished within {seconds:g} seconds")


def deliver(workspace: Workspace, now: dt.datetime, reporter: Reporter | None = None, *, seconds: float = LONGEST) -> Delivery:
    """Send what is due; ``seconds`` bound each try.

    Raises MinewatchError where the outbox cannot be read or written; what is in it stays there then.
    """
    folder = workspace.outbox
    if not folder.exists():
        return Delivery()
    with holding(folder, "deliver", wait=False) as mine:
        notes = _deliver(workspace, now, seconds) if mine else ["another process is sending the messages"]
    sent = sum(1 for note in notes if note == "")
    told = tuple(note for note in notes if note)
    for note in told:
        (reporter or Reporter()).note(note)
    waiting, dead = (list_messages(folder, place)[0] for place in (WAITING, DEAD))
    return Delivery(sent, len(told) if mine else 0, len(waiting), len(dead), told)


def _deliver(workspace: Workspace, now: dt.datetime, seconds: float) -> list[str]:
    """Send what is due; gives '' for each message that was sent, and why for each that was not."""
    folder, rules = workspace.outbox, {rule.name: rule for rule in find_rules(workspace)}
    delivered = {line.message_id for line in read_deliveries(folder)}
    messages, damaged = list_messages(folder)
    notes = [_set_aside(path) for path in damaged]
    queues: dict[str, list[Message]] = {}
    for message in messages:
        if message.message_id in delivered:  # a crash came between the two
            drop_message(folder, message)
        elif message.rule not in rules:
            notes.append(_bury(folder, replace(message, reason="its rule is no longer in the settings")))
        elif is_due(message, now):
            queues.setdefault(message.rule, []).append(message)
    clock = _Clock(now)
    if queues:
        with ThreadPoolExecutor(min(len(queues), MOST_THREADS), thread_name_prefix="deliver") as threads:
            jobs = [threads.submit(_work_off, workspace, rules[name], queue, clock, seconds) for name, queue in queues.items()]
            notes += [note for job in jobs for note in job.result()]
    return notes


class _Clock:
    """Goes on from the time that a round began at."""

    def __init__(self, now: dt.datetime) -> None:
        self._now, self._start = now, time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the round began."""
        return time.monotonic() - self._start

    @property
    def now(self) -> dt.datetime:
        """The time."""
        return self._now + dt.timedelta(seconds=self.elapsed)


def _work_off(workspace: Workspace, rule: Rule, queue: Sequence[Message], clock: _Clock, seconds: float) -> list[str]:
    """Send the messages of one recipient in their order, until one fails in a way that the others would too."""
    notes = []
    for message in queue:
        if clock.elapsed > LONGEST_ROUND:
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


def _try(workspace: Workspace, rule: Rule, message: Message, clock: _Clock, seconds: float) -> tuple[str, bool]:
    """Try a message once; gives why it failed, and whether the next one is worth a try."""
    folder = workspace.outbox
    begun = replace(message, unended=message.unended + 1, reason="the last attempt did not finish")
    begun = replace(begun, next_try=(clock.now + wait_after(begun)).isoformat(timespec="seconds"))
    put_message(folder, begun)  # where this fails nothing is sent, so a full disk makes no flood of repeats
    answer = send_in_time(workspace, begun, rule, clock.now, seconds=seconds)
    ended = replace(message, attempts=message.attempts + 1, unended=0, reason=answer.reason)
    if answer.sent:
        record_delivery(folder, ended, clock.now)
        log_event("message delivered", message=ended.message_id, rule=rule.name, events=ended.event_ids, runs=ended.run_ids)
        drop_message(folder, ended)
        return "", True
    log_event(
        "message failed", level="warning", message=ended.message_id, rule=rule.name, reason=answer.reason, runs=ended.run_ids
    )
    return _put_back(folder, ended, answer, clock.now), answer.is_refusal


def _put_back(folder: Path, message: Message, answer: DeliveryAttempt, now: dt.datetime) -> str:
    """Keep a message for its next try, or among the dead after its last."""
    if answer.is_unset:
        put_message(folder, replace(message, attempts=message.attempts - 1, next_try=""))
        return f"{message.message_id}: {answer.reason}; it waits until that is fixed"
    message = replace(message, refusals=message.refusals + answer.is_refusal)
    if message.attempts >= MOST_TRIES or message.refusals >= FEWER_TRIES:
        return _bury(folder, message)
    asked = min(dt.timedelta(seconds=answer.wait or 0), LONGEST_WAIT)
    when = now + max(wait_after(message), asked)
    put_message(folder, replace(message, next_try=when.isoformat(timespec="seconds")))
    tries = f"attempt {message.attempts} of {MOST_TRIES}, the next after {format_time(when)}"
    return f"{message.message_id}: {answer.reason}; {tries}"


def _bury(folder: Path, message: Message) -> str:
    """Put a message among the dead: it is there before it is away from where it waited."""
    put_message(folder, message, DEAD)
    drop_message(folder, message)
    again = f"minewatch notify retry {message.message_id}"
    return f"{message.message_id}: {message.reason}; it was given up, send it again with: {again}"


def _set_aside(path: Path) -> str:
    """Rename a file that is no message, so that it is told once; nothing is deleted."""
    path.rename(path.with_suffix(".damaged"))
    return f"{path} is no message; it was renamed to {path.with_suffix('.damaged').name}"


def retry(workspace: Workspace, message_ids: Sequence[str] | None = None) -> int:
    """Let messages be tried at once, dead ones from the first try on; None = all.  Gives how many.

    Raises WorkspaceError where there is none of a name, or the outbox cannot be written.
    """
    folder = workspace.outbox
    with holding(folder, "collect"), holding(folder, "deliver"):
        found = {message.message_id: (message, place) for place in (DEAD, WAITING) for message in list_messages(folder, place)[0]}
        unknown = [name for name in message_ids or () if name not in found]
        if unknown:
            raise WorkspaceError(f"there is no message {unknown[0]!r} in the outbox; see them with: minewatch notify list")
        for name in found if message_ids is None else dict.fromkeys(message_ids):
            message, place = found[name]
            put_message(folder, replace(message, attempts=0, unended=0, refusals=0, next_try="", reason=""))
            if place == DEAD:
                drop_message(folder, message, DEAD)
    return len(found if message_ids is None else set(message_ids))


PREFIX = "notify-"
"""Names of the threads that send."""

LIBRARIES = ("urllib3", "requests", "requests_oauthlib", "oauthlib")
"""Whose loggers are silent in these threads."""


class _SilencedLogs(logging.Filter):
    """Lets nothing pass from a thread that sends."""

    def filter(self, record: logging.LogRecord) -> bool:
        """True if a record passes."""
        return not (record.threadName or "").startswith(PREFIX)


_HUSH = _SilencedLogs()


def silence_libraries() -> None:
    """Silence the loggers that there are by now; filters are not inherited, so each has its own."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.split(".")[0] in LIBRARIES:
            logger.addFilter(_HUSH)


AREA = "test-area"
"""Name of an area that is none."""

LAT, LON = 0.0, 0.0
"""In the Atlantic, where nobody mines."""

_SIDE = 0.001
"""Degrees."""


def make_sample(rule: Rule, now: dt.datetime) -> Message:
    """Make a message about an alert that there is not."""
    day = now.date().isoformat()
    facts = {
        "alert_id": f"{AREA}-{day.replace('-', '')}-000000",
        "aoi": AREA,
        "status": CONFIRMED,
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
    return make_message(rule.name, [hide_places(event, rule)], [CONFIRMED], now)


def send_sample(workspace: Workspace, rule: Rule, now: dt.datetime, seconds: float = LONGEST) -> DeliveryAttempt:
    """Send a test message to the recipient of a rule."""
    return send_in_time(workspace, make_sample(rule, now), rule, now, is_test=True, seconds=seconds)
