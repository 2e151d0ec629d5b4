"""The custody log: who made, opened, exported or packed which evidence.

Each line holds the SHA-256 of the line before: a changed line no longer has the hash in the next line, and a removed one
leaves a gap in the numbers.  Number and hash of the last line are kept in a small file beside the log, its head.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import os
import platform
import pwd
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from minewatch.core.errors import EvidenceError, WorkspaceError
from minewatch.core.files import append_lines, make_private_folder

Action = Literal["made", "extended", "opened", "exported", "packed", "reported", "received"]
"""What a person or a scan did with evidence."""

LARGEST_HEAD = 1000
"""Bytes that are read of the head; it has about a hundred."""

HANDOVER_FIELDS = ("files", "recipient", "sender", "purpose")
"""Fields of an entry that only a handover has."""

FIRST_HASH = "0" * 64
"""What the first line has as the hash of the line before."""


@dataclass(frozen=True)
class Handover:
    """What left the workspace or came into it, for whom, and why."""

    files: tuple[tuple[str, str, int], ...] = ()
    """Name, SHA-256 and size of each file."""

    recipient: str = ""
    """Who receives it, as the user says; '' = not said."""

    sender: str = ""
    """Who gave what was received, as the user says; '' = not said."""

    purpose: str = ""
    """What for, as the user says; '' = not said."""


@dataclass(frozen=True)
class CustodyEntry:
    """An entry of the log."""

    number: int
    """From 1, without gaps."""

    when: str
    """UTC, ISO 8601."""

    who: str
    """Login and machine."""

    action: Action
    """What they did."""

    alert_id: str
    """Name of the evidence."""

    manifest: str
    """SHA-256 of its manifest."""

    detail: str
    """A few words on how."""

    previous: str
    """SHA-256 of the line before, without its end."""

    files: tuple[tuple[str, str, int], ...] = ()
    """Name, SHA-256 and size of each file that left or came."""

    recipient: str = ""
    """Who received them, as the user said; '' = not said."""

    sender: str = ""
    """Who gave what was received, as the user said; '' = not said."""

    purpose: str = ""
    """What for, as the user said; '' = not said."""

    @property
    def line(self) -> str:
        """The entry as its line in the log; what only a handover has is left out where it is empty."""
        fields = {name: value for name, value in vars(self).items() if value or name not in HANDOVER_FIELDS}
        return json.dumps(fields, ensure_ascii=True, sort_keys=True)


@dataclass(frozen=True)
class CustodyLine:
    """A readable line of the log."""

    number: int
    """Number of the line in the file, from 1."""

    entry: CustodyEntry
    """The entry."""

    sha256: str
    """Of its bytes, without the end."""

    data: bytes
    """Its bytes, without the end."""


@dataclass(frozen=True)
class CustodyLog:
    """A log that was read."""

    lines: tuple[CustodyLine, ...]
    """In the order of the file."""

    damaged: tuple[int, ...]
    """Numbers of the lines that are no entries."""

    def lines_of(self, alert_id: str) -> list[CustodyLine]:
        """Return the lines on one alert."""
        return [line for line in self.lines if line.entry.alert_id == alert_id]


def record_custody(
    path: Path, action: Action, alert_id: str, manifest: str, detail: str = "", handover: Handover | None = None
) -> CustodyEntry:
    """Add a line to the log, on disk when this returns; of several writers one waits for the other.

    Raises EvidenceError where the log cannot be written.
    """
    (entry,) = record_custody_of_all(path, action, {alert_id: manifest}, detail, handover)
    return entry


def record_custody_of_all(
    path: Path, action: Action, manifests: Mapping[str, str], detail: str = "", handover: Handover | None = None
) -> list[CustodyEntry]:
    """Add a line for each of several alerts in one write; ``manifests`` is alert id to SHA-256 of its manifest.

    Raises EvidenceError where the log cannot be written.
    """
    entries: list[CustodyEntry] = []
    try:
        make_private_folder(path.parent)
        with _locking_head(path) as head:
            lines = read_custody(path).lines
            number = max(lines[-1].entry.number if lines else 0, _read_head(head).get("number", 0))
            previous = lines[-1].sha256 if lines else FIRST_HASH
            when, who = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"), current_user()
            for alert_id, manifest in manifests.items():
                number += 1
                entry = CustodyEntry(number, when, who, action, alert_id, manifest, detail, previous)
                entries.append(replace(entry, **vars(handover)) if handover else entry)
                previous = _hash(entries[-1].line.encode())
            append_lines(path, [entry.line for entry in entries])
            if entries:
                _write_head(head, entries[-1])
    except (OSError, WorkspaceError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EvidenceError(f"the log {path} cannot be written: {reason}; check its permissions") from error
    return entries


def read_custody(path: Path) -> CustodyLog:
    """Read the log; a missing one is empty.  Raises EvidenceError where it cannot be read."""
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise EvidenceError(f"the log {path} cannot be read: {error.strerror}; check its permissions") from error
    return parse_custody(data)


def parse_custody(data: bytes) -> CustodyLog:
    """Return a log from its bytes."""
    lines, damaged = [], []
    for at, text in enumerate(data.removesuffix(b"\n").split(b"\n") if data else (), 1):
        try:
            lines.append(CustodyLine(at, _parse_entry(json.loads(text)), _hash(text), text))
        except (ValueError, TypeError, RecursionError):
            damaged.append(at)
    return CustodyLog(tuple(lines), tuple(damaged))


def _parse_entry(fields: Any) -> CustodyEntry:
    entry = CustodyEntry(**fields)
    texts = (entry.when, entry.who, entry.action, entry.alert_id, entry.manifest, entry.detail, entry.previous, entry.sender)
    if type(entry.number) is not int or not all(isinstance(text, str) for text in (*texts, entry.recipient, entry.purpose)):
        raise ValueError("not an entry")
    return replace(entry, files=tuple((str(name), str(sha256), int(size)) for name, sha256, size in entry.files))


def check_custody(path: Path) -> list[str]:
    """Return a line on each entry that was changed, added or removed; none where the chain is whole.

    Raises EvidenceError where the log cannot be read.
    """
    with contextlib.ExitStack() as stack:
        head = {}
        with contextlib.suppress(OSError):  # the head may be missing
            head = _read_head(stack.enter_context(_locking_head(path, os.O_RDONLY, fcntl.LOCK_SH)))
        log = read_custody(path)
    if not head and not path.exists():
        return []
    return [*check_chain(log), *_check_end(_name_head(path).name, log.lines, head)]


def check_chain(log: CustodyLog) -> list[str]:
    """Return a line on each break of the chain within a log."""
    faults = [f"custody log, line {at}: no entry; it was changed, added, or cut off while it was written" for at in log.damaged]
    number, sha256 = 0, FIRST_HASH
    for line in log.lines:
        entry = line.entry
        if entry.number == number + 1:
            if entry.previous != sha256:
                faults.append(f"custody log, entry {max(number, 1)}: not what the next line is chained to; it was changed")
        elif entry.number > number + 1:
            faults.append(f"custody log, {_name_span(number + 1, entry.number - 1)} removed or damaged before line {line.number}")
        else:
            faults.append(
                f"custody log, line {line.number}: entry {entry.number} comes after entry {number}; it was added or moved"
            )
        number, sha256 = entry.number, line.sha256
    return faults


def _check_end(name: str, lines: Sequence[CustodyLine], head: Mapping[str, Any]) -> list[str]:
    """Return what does not agree between the last line and the head."""
    last = lines[-1].entry.number if lines else 0
    if not head:
        return [f"custody log: what its last line was is not known ({name} is missing or damaged)"]
    if last < head["number"]:
        return [f"custody log, {_name_span(last + 1, head['number'])} removed or damaged at the end"]
    if not any(line.entry.number == head["number"] and line.sha256 == head["sha256"] for line in lines):
        return [f"custody log, entry {head['number']}: not as it was written; it was changed"]
    return []


def _name_span(first: int, last: int) -> str:
    return f"entry {first}:" if first == last else f"entries {first} to {last}:"


def current_user() -> str:
    """Return login and machine of whoever runs this, as the system knows them."""
    try:
        login = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        login = str(os.getuid())
    return f"{login}@{platform.node()}"


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _name_head(path: Path) -> Path:
    return path.with_suffix(".head")


@contextlib.contextmanager
def _locking_head(path: Path, flags: int = os.O_RDWR | os.O_CREAT, kind: int = fcntl.LOCK_EX) -> Iterator[int]:
    """Hold the lock of the log, which is on its head; yield the head's file descriptor.

    The log itself cannot be locked here: appending to it does that.
    """
    handle = os.open(_name_head(path), flags, 0o600)
    try:
        fcntl.flock(handle, kind)
        yield handle
    finally:
        os.close(handle)


def _read_head(handle: int) -> dict[str, Any]:
    """Read number and hash of the last line; empty where they cannot be read."""
    try:
        head = json.loads(os.pread(handle, LARGEST_HEAD, 0))
        return {"number": int(head["number"]), "sha256": str(head["sha256"])}
    except (ValueError, KeyError, TypeError):
        return {}


def _write_head(handle: int, entry: CustodyEntry) -> None:
    """Write number and hash of the last line; after a crash between line and head, the head is that of the line before."""
    data = json.dumps({"number": entry.number, "sha256": _hash(entry.line.encode())}).encode()
    os.pwrite(handle, data, 0)
    os.ftruncate(handle, len(data))
    os.fsync(handle)
