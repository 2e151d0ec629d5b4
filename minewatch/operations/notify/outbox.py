"""Messages on the disk: written before they are sent, and taken away only when that they were sent is on the disk."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minewatch.core.errors import WorkspaceError
from minewatch.core.files import append_lines, delete_files, list_names, make_private_folder, publish_json, read_lines, sync
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.operations.notify.event import Event, parse_event

WAITING, DEAD, DELIVERED = "waiting", "dead", "delivered.jsonl"
"""Two folders and a file, in the folder of the outbox."""

FIRST_WAIT = dt.timedelta(minutes=1)
"""Before the second try; doubled each time."""

LONGEST_WAIT = dt.timedelta(hours=6)
"""Between two tries."""

SPREAD = 0.25
"""Each wait is longer by up to this share of it, so that messages that failed together do not come back together."""

MOST_CRASHES = 3
"""Tries in a row that a crash may cut off before a message waits: it might be the message that brings the process down."""

MOST_TRIES = 16
"""Of a message: the waits between them make 44.5 to 56 hours."""

FEWER_TRIES = 10
"""Where the answer is a refusal that time alone seldom changes: 8.5 to 10.6 hours."""


@dataclass(frozen=True)
class Message:
    """What one recipient is told at one time."""

    message_id: str
    """Also its file's name; made of rule and events, so that the same message has the same id."""

    rule: str
    """Name of the rule."""

    created: str
    """UTC, ISO 8601."""

    events: tuple[Event, ...]
    """What is told, with what was true when it was found."""

    kinds: tuple[str, ...]
    """What each event is for this recipient."""

    attempts: int = 0
    """How often it was tried; tries that a crash cut off are not counted."""

    unended: int = 0
    """How many tries in a row a crash cut off."""

    refusals: int = 0
    """How often the answer was a refusal."""

    next_try: str = ""
    """UTC, ISO 8601; '' = at once."""

    reason: str = ""
    """Why the last try failed, without any address."""

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
    """Read a message back; raises KeyError, TypeError, AttributeError or ValueError for what is none."""
    texts = {name: str(value[name]) for name in ("message_id", "rule", "created", "next_try", "reason")}
    events, kinds = tuple(map(parse_event, value["events"])), tuple(map(str, value["kinds"]))
    if len(events) != len(kinds) or not events:
        raise ValueError("events")
    attempts, unended, refusals = (int(value[name]) for name in ("attempts", "unended", "refusals"))
    return Message(events=events, kinds=kinds, attempts=attempts, unended=unended, refusals=refusals, **texts)


# --- when ------------------------------------------------------------------------------------------------------------


def wait_after(message: Message) -> dt.timedelta:
    """Return how long a message waits after its last try; one at which the process died again and again waits too."""
    steps = max(message.attempts, message.unended - MOST_CRASHES)
    wait = min(FIRST_WAIT * 2 ** min(steps - 1, 20), LONGEST_WAIT) if steps > 0 else dt.timedelta(0)
    spread = hashlib.sha256(f"{message.message_id} {message.attempts}".encode()).digest()[0] / 255
    return wait * (1 + SPREAD * spread)


def is_due(message: Message, now: dt.datetime) -> bool:
    """True if a message is to be tried; a wait that is longer than any is the work of a clock that was set back."""
    if not message.next_try:
        return True
    wait = dt.datetime.fromisoformat(message.next_try) - now
    return wait <= dt.timedelta(0) or wait > LONGEST_WAIT * (1 + SPREAD)


# --- the folder ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def holding(folder: Path, name: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold the outbox for one kind of work; lends False where another process does that work, and ``wait`` is off.

    Raises WorkspaceError where the folder cannot be written.
    """
    path = make_private_folder(folder) / f".{name}.lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise WorkspaceError(f"cannot write in {folder}: {error.strerror}; check its permissions") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def sweep_leftovers(folder: Path) -> None:
    """Take away what writes that a crash cut off have left; only where nobody else works in the outbox."""
    with holding(folder, "deliver", wait=False) as alone:
        if alone:
            delete_files(path for path in folder.glob(f"*/{TEMPORARY_PREFIX}*"))


def put_message(folder: Path, message: Message, place: str = WAITING) -> None:
    """Write a message, at once and onto the disk.  Raises WorkspaceError."""
    path = folder / place / f"{message.message_id}.json"
    try:
        publish_json(path, asdict(message))
        sync(path.parent)
    except OSError as error:
        raise WorkspaceError(f"cannot write in {path.parent}: {error.strerror}; the next round tries again") from error


def list_messages(folder: Path, place: str = WAITING) -> tuple[list[Message], list[Path]]:
    """Return the messages in the order of their making, and the files that are none.  Raises WorkspaceError."""
    found, damaged = [], []
    for name in sorted(list_names(folder / place)):
        path = folder / place / name
        if path.suffix != ".json" or name.startswith(TEMPORARY_PREFIX):
            continue
        try:
            found.append(parse_message(json.loads(path.read_bytes())))
        except FileNotFoundError:  # another process was faster
            continue
        except OSError as error:
            raise WorkspaceError(f"{path} cannot be read: {error.strerror}; check its permissions") from error
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged.append(path)
    return sorted(found, key=lambda message: (message.created, message.message_id)), damaged


def drop_message(folder: Path, message: Message, place: str = WAITING) -> None:
    """Take a message away.  Raises OSError."""
    (folder / place / f"{message.message_id}.json").unlink(missing_ok=True)


def record_delivery(folder: Path, message: Message, now: dt.datetime) -> None:
    """Note that a message was sent; it is on the disk when this returns.  Raises OSError."""
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
    """What was told."""

    delivered: str
    """When, UTC, ISO 8601."""


def read_deliveries(folder: Path) -> list[Delivered]:
    """Return what was sent.  Raises WorkspaceError."""
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
    """What came of one try; the texts hold no address and no secret."""

    sent: bool
    """Whether the other side has it."""

    reason: str = ""
    """Why not."""

    is_refusal: bool = False
    """Whether time alone will seldom change it: the next tries are fewer."""

    is_unset: bool = False
    """Whether nothing could be tried, since a variable is not set or holds no address: such a try is not counted."""

    wait: float | None = None
    """Seconds that the other side asked to be left alone."""


SENT = DeliveryAttempt(sent=True)
"""It has it."""


def fail(reason: str, *, is_refusal: bool = False, is_unset: bool = False, wait: float | None = None) -> DeliveryAttempt:
    """Say that a try failed."""
    return DeliveryAttempt(False, reason, is_refusal, is_unset, wait)
