"""Messages on the disk: written before they are sent, and deleted only once their delivery is recorded."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minewatch.core.errors import WorkspaceError
from minewatch.core.file_lock import lock_handle
from minewatch.core.files import append_lines, delete_files, list_names, make_private_folder, publish_json, read_lines, sync
from minewatch.core.plain_file import open_plain_handle
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.operations.notify.event import Event, parse_event

WAITING, DEAD, DELIVERED = "waiting", "dead", "delivered.jsonl"
"""Two subfolders and a file of the outbox."""

FIRST_WAIT = dt.timedelta(minutes=1)
"""Before the second attempt; doubled each time."""

LONGEST_WAIT = dt.timedelta(hours=6)
"""Between two attempts."""

SPREAD = 0.25
"""Each wait is longer by up to this share, so that messages that failed together are not retried together."""

MOST_CRASHES = 3
"""Attempts in a row that a crash may interrupt before the message has to wait: it may be what crashes the process."""

MOST_TRIES = 16
"""Attempts for a message; the waits between them add up to 44.5 to 56 hours."""

FEWER_TRIES = 10
"""Attempts where the other side refuses the message, which rarely changes with time: 8.5 to 10.6 hours."""


@dataclass(frozen=True)
class Message:
    """What is sent to one recipient at one time."""

    message_id: str
    """Also the name of its file; made of rule and events, so that the same message has the same id."""

    rule: str
    """Name of the rule."""

    created: str
    """UTC, ISO 8601."""

    events: tuple[Event, ...]
    """With the facts as they were when each event was found."""

    kinds: tuple[str, ...]
    """What each event is for this recipient."""

    attempts: int = 0
    """Attempts so far, without those that a crash interrupted."""

    interrupted_attempts: int = 0
    """Attempts in a row that a crash interrupted; ``unended`` in the file."""

    refusals: int = 0
    """Attempts that were refused."""

    next_try: str = ""
    """UTC, ISO 8601; '' = at once."""

    reason: str = ""
    """Why the last attempt failed, without any address."""

    @property
    def event_ids(self) -> list[str]:
        """Of its events."""
        return [event.event_id for event in self.events]

    @property
    def run_ids(self) -> list[str]:
        """Scans that found its events."""
        return sorted({event.run_id for event in self.events if event.run_id})


def make_message(rule: str, events: Sequence[Event], kinds: Sequence[str], now: dt.datetime) -> Message:
    """Make a message of events."""
    digest = hashlib.sha256("\n".join([rule, *(event.event_id for event in events)]).encode()).hexdigest()[:12]
    return Message(f"{rule}-{events[0].number:07d}-{digest}", rule, now.isoformat(timespec="seconds"), (*events,), (*kinds,))


def parse_message(value: Any) -> Message:
    """Parse a message; raises KeyError, TypeError, AttributeError or ValueError where it is none."""
    texts = {name: str(value[name]) for name in ("message_id", "rule", "created", "next_try", "reason")}
    events, kinds = tuple(map(parse_event, value["events"])), tuple(map(str, value["kinds"]))
    if len(events) != len(kinds) or not events:
        raise ValueError("events")
    attempts, interrupted, refusals = (int(value[name]) for name in ("attempts", "unended", "refusals"))
    return Message(events=events, kinds=kinds, attempts=attempts, interrupted_attempts=interrupted, refusals=refusals, **texts)


def describe_message(message: Message) -> dict[str, Any]:
    """Return a message as plain data, as its file holds it."""
    facts = asdict(message)
    return facts | {"unended": facts.pop("interrupted_attempts")}


# --- when ------------------------------------------------------------------------------------------------------------


def wait_after(message: Message) -> dt.timedelta:
    """Return how long a message waits after its last attempt; one that crashed the process several times waits too."""
    steps = max(message.attempts, message.interrupted_attempts - MOST_CRASHES)
    wait = min(FIRST_WAIT * 2 ** min(steps - 1, 20), LONGEST_WAIT) if steps > 0 else dt.timedelta(0)
    spread = hashlib.sha256(f"{message.message_id} {message.attempts}".encode()).digest()[0] / 255
    return wait * (1 + SPREAD * spread)


def is_due(message: Message, now: dt.datetime) -> bool:
    """True if a message is to be sent now, also where it would wait longer than ever possible: the clock was set back."""
    if not message.next_try:
        return True
    wait = dt.datetime.fromisoformat(message.next_try) - now
    return wait <= dt.timedelta(0) or wait > LONGEST_WAIT * (1 + SPREAD)


# --- the folder ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def lock_outbox(folder: Path, name: str, *, wait: bool = True) -> Iterator[bool]:
    """Lock the outbox for one kind of work; yields False where another process holds the lock and ``wait`` is off.

    Raises WorkspaceError where the folder cannot be written.
    """
    path = make_private_folder(folder) / f".{name}.lock"
    try:
        handle = open_plain_handle(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise WorkspaceError(f"cannot use {path}: {error.strerror}; check the folder's permissions") from error
    try:
        try:
            lock_handle(handle, path, wait=wait)
        except BlockingIOError:
            yield False
        except OSError as error:
            raise WorkspaceError(f"cannot lock {path}: {error.strerror}") from error
        else:
            yield True
    finally:
        os.close(handle)


def clean_stale(folder: Path) -> None:
    """Delete temporary files of interrupted writes, unless another process works in the outbox."""
    with lock_outbox(folder, "deliver", wait=False) as alone:
        if alone:
            delete_files(path for path in folder.glob(f"*/{TEMPORARY_PREFIX}*"))


def put_message(folder: Path, message: Message, place: str = WAITING) -> None:
    """Write a message; it is on the disk when this returns.  Raises WorkspaceError."""
    path = folder / place / f"{message.message_id}.json"
    try:
        publish_json(path, describe_message(message))
        sync(path.parent)
    except OSError as error:
        raise WorkspaceError(f"cannot write in {path.parent}: {error.strerror}; the next cycle tries again") from error


def list_messages(folder: Path, place: str = WAITING) -> tuple[list[Message], list[Path]]:
    """Return the messages, oldest first, and the files that hold none.  Raises WorkspaceError."""
    found, damaged = [], []
    for name in sorted(list_names(folder / place)):
        path = folder / place / name
        if path.suffix != ".json" or name.startswith(TEMPORARY_PREFIX):
            continue
        try:
            found.append(parse_message(json.loads(path.read_bytes())))
        except FileNotFoundError:  # another process deleted it
            continue
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged.append(path)
    return sorted(found, key=lambda message: (message.created, message.message_id)), damaged


def count_messages(folder: Path) -> tuple[int, int]:
    """Return how many messages wait, and how many were given up.  Raises WorkspaceError."""
    waiting, dead = (len(list_messages(folder, place)[0]) for place in (WAITING, DEAD))
    return waiting, dead


def delete_message(folder: Path, message: Message, place: str = WAITING) -> None:
    """Delete a message's file.  Raises OSError."""
    (folder / place / f"{message.message_id}.json").unlink(missing_ok=True)


def record_delivery(folder: Path, message: Message, now: dt.datetime) -> None:
    """Record that a message was sent; the line is on the disk when this returns.  Raises OSError."""
    line = {
        "message_id": message.message_id,
        "rule": message.rule,
        "event_ids": message.event_ids,
        "run_ids": message.run_ids,
        "delivered": now.isoformat(timespec="seconds"),
        "attempts": message.attempts,
    }
    append_lines(folder / DELIVERED, [json.dumps(line, ensure_ascii=False)])


@dataclass(frozen=True)
class Delivered:
    """A message that was sent."""

    message_id: str
    """Its id."""

    rule: str
    """Name of the rule."""

    event_ids: tuple[str, ...]
    """Of its events."""

    delivered: str
    """When, UTC, ISO 8601."""


def read_deliveries(folder: Path) -> list[Delivered]:
    """Return the messages that were sent.  Raises WorkspaceError."""
    path = folder / DELIVERED
    try:
        found, _ = read_lines(path, _parse_delivered)
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
    return found


def _parse_delivered(value: Any) -> Delivered:
    ids = tuple(map(str, value["event_ids"]))
    return Delivered(str(value["message_id"]), str(value["rule"]), ids, str(value["delivered"]))


@dataclass(frozen=True)
class DeliveryAttempt:
    """The result of one attempt; its text holds no address and no secret."""

    sent: bool
    """True if the other side accepted it."""

    reason: str = ""
    """Why it failed."""

    is_refusal: bool = False
    """True if the other side refused it, which rarely changes with time: fewer attempts are made."""

    not_configured: bool = False
    """True if nothing could be sent, since a variable is not set or holds no address: not counted as an attempt."""

    wait: float | None = None
    """Seconds that the other side asks to wait."""


SENT = DeliveryAttempt(sent=True)


def fail(reason: str, *, is_refusal: bool = False, not_configured: bool = False, wait: float | None = None) -> DeliveryAttempt:
    """Return an attempt that failed."""
    return DeliveryAttempt(False, reason, is_refusal, not_configured, wait)
