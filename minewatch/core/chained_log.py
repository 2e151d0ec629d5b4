"""Logs of JSON lines to which lines are only added, each with the number and the hash of the line before.

A line that is changed no longer has the hash in the next one, and a line that is removed leaves a gap in the numbers.
What the last line is stands in a small file beside the log, its head.  The head may be one write behind: a crash came
between the two, and the lines after it are chained to it.  Any other disagreement means that the end of the log is not
known.  The next writer adds a line that says so, and that line stays: a lost end is never healed.

Lines without number and hash, which earlier versions wrote, may stand before the first line that has them.  That line has
the hash of all of them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from minewatch.core.files import make_private_folder, sync
from minewatch.core.plain_file import open_plain, open_plain_handle
from minewatch.core.text import show

FIRST_HASH = "0" * 64
"""What the first line has as the hash of the line before."""

END_UNKNOWN = "end_unknown"
"""Field of the line that a writer adds where the end of the log is not what the head says."""

LARGEST_LOG = 2**27
"""Bytes of a log; it is read line by line."""

LONGEST_LINE = 2**22
"""Bytes of a line; an outline of a hundred thousand corners has some three million."""

TAIL = 2**16
"""Bytes that are read to find the last line."""

HEAD_BYTES = 640
"""Bytes of a head.  Always the same, so that it is replaced by one write of one block."""

MOST_FAULTS = 1000
"""Faults of a log that are named; a forged one could have millions."""

CLOCK_TOLERANCE = dt.timedelta(minutes=2)
"""By how much the clocks of machines that share a folder may differ."""


@dataclass(frozen=True)
class LogKind:
    """What kind of log it is."""

    name: str
    """For sentences: custody log."""

    may_begin_unchained: bool = False
    """True if earlier versions wrote lines without number and hash."""


@dataclass(frozen=True, slots=True)
class ChainedLine:
    """A readable line."""

    at: int
    """Number of the line in the file, from 1."""

    number: int
    """From 1, without gaps; 0 for a line of an earlier version, which is not chained."""

    previous: str
    """SHA-256 of the line before, without its end."""

    when: str
    """When it was written: UTC, ISO 8601."""

    sha256: str
    """Of its bytes, without the end."""

    data: bytes
    """Its bytes, without the end."""

    fields: Mapping[str, Any]
    """All that is in it."""


@dataclass(frozen=True)
class Seal:
    """The signature of a head: it covers all lines up to the one that it names."""

    number: int
    """Of that line."""

    sha256: str
    """Of that line."""

    public_key: str
    """Base64 of the key, as the signer states it."""

    signature: str
    """In hexadecimal digits."""


@dataclass(frozen=True)
class Head:
    """What the last line is."""

    number: int
    """Of the last line; 0 = none yet."""

    sha256: str
    """Of the last line; of the lines of earlier versions where there is none yet."""

    seal: Seal | None = None
    """The latest signature, of this line or an earlier one."""


@dataclass(frozen=True)
class LogReport:
    """What a log is like."""

    exists: bool
    """True if there is a file."""

    count: int = 0
    """Chained lines."""

    unchained: int = 0
    """Lines of earlier versions before the first chained one."""

    last: tuple[int, str] = (0, FIRST_HASH)
    """Number and hash of the last line that can be read."""

    head: Head | None = None
    """None where it is missing or damaged."""

    end_fault: str = ""
    """Why the end is not known; '' where it is."""

    faults: tuple[str, ...] = ()
    """A line on each entry that was changed, added or removed, and on the end."""

    is_seal_found: bool = False
    """True if the line that the seal names is in the log."""


def make_seal_message(log: str, number: int, sha256: str) -> bytes:
    """Return the bytes that are signed: the name of the log's file, and number and hash of a line."""
    return f"minewatch {log} {number} {sha256}\n".encode()


def name_head(path: Path) -> Path:
    """Return the path of a log's head."""
    return path.with_suffix(".head")


# --- writing ---------------------------------------------------------------------------------------------------------


def append_chained(
    path: Path,
    documents: Sequence[Mapping[str, Any]],
    kind: LogKind,
    has_past: Callable[[], bool] = lambda: False,
    sign: Callable[[bytes], tuple[str, str]] | None = None,
) -> list[dict[str, Any]]:
    """Add a line for each document, on the disk when this returns; of several writers one waits for the other.

    Each gets the fields ``number``, ``previous`` and ``when``, and is returned with them.  ``has_past`` is asked where there
    is no log and no head: True if something shows that there was one.  ``sign`` gives key and signature of the head.
    Raises OSError, and WorkspaceError where the folder cannot be made.
    """
    if not documents:
        return []
    make_private_folder(path.parent)
    with _locking_head(path, os.O_RDWR | os.O_CREAT, fcntl.LOCK_EX) as handle:
        head = _parse_head(os.pread(handle, HEAD_BYTES + 1, 0))
        end = _find_end(path, head, kind)
        when = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        new = list(documents)
        is_first = end.last[0] == end.unchained == (head.number if head else 0) == 0
        if end.end_fault or (is_first and has_past()):
            new.insert(0, {END_UNKNOWN: _describe_end(end)})
        elif head is None or head.number != end.last[0]:  # the first line of all, or a crash came before this could be written
            _write_head(handle, Head(*end.last, head.seal if head else None))
        number, previous = max(end.last[0], head.number if head else 0), end.last[1]
        written, texts = [], []
        for number, document in enumerate(new, number + 1):  # noqa: B020  # counts on from the last number
            written.append({**document, "number": number, "previous": previous, "when": when})
            texts.append(json.dumps(written[-1], ensure_ascii=True, sort_keys=True).encode())
            previous = _hash(texts[-1])
        _append(path, texts)
        seal = Seal(number, previous, *sign(make_seal_message(path.name, number, previous))) if sign else None
        _write_head(handle, Head(number, previous, seal or (head.seal if head else None)))
    return written[len(new) - len(documents) :]


def _describe_end(end: LogReport) -> dict[str, Any]:
    """Return what is known of an end that is not known."""
    head, (number, sha256) = end.head, end.last
    return {
        "head_number": head.number if head else None,
        "head_sha256": head.sha256 if head else None,
        "last_number": number,
        "last_sha256": sha256,
    }


def _find_end(path: Path, head: Head | None, kind: LogKind) -> LogReport:
    """Return the last line; the whole log is read only where it is not the one that the head names."""
    with contextlib.suppress(FileNotFoundError), open_plain(path) as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - TAIL))
        lines = file.read().split(b"\n")
        is_whole = len(lines) > 2 or (len(lines) == 2 and start == 0)
        if head and head.number and is_whole and lines[-1] == b"" and _hash(lines[-2]) == head.sha256:
            return LogReport(True, last=(head.number, head.sha256), head=head)
    return _examine(path, head, kind)


def _append(path: Path, texts: Sequence[bytes]) -> None:
    """Add lines; what a full disk cut off is taken back, and a line that a crash left incomplete is terminated first."""
    if any(len(text) > LONGEST_LINE for text in texts):
        raise OSError(errno.EFBIG, f"a line is longer than {LONGEST_LINE >> 20} MB")
    handle = open_plain_handle(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    try:
        size = os.fstat(handle).st_size
        is_incomplete = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        data = b"\n" * is_incomplete + b"".join(text + b"\n" for text in texts)
        try:
            while data:
                data = data[os.write(handle, data) :]
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)
    sync(path.parent)


# --- the head --------------------------------------------------------------------------------------------------------


def read_head(path: Path) -> Head | None:
    """Read the head of a log; None where it is missing or damaged."""
    try:
        with open_plain(name_head(path)) as file:
            return _parse_head(file.read(HEAD_BYTES + 1))
    except OSError:
        return None


@contextlib.contextmanager
def _locking_head(path: Path, flags: int, lock: int) -> Iterator[int]:
    """Hold the lock of the log, which is on its head; yield the head's file descriptor."""
    handle = open_plain_handle(name_head(path), flags)
    try:
        fcntl.flock(handle, lock)
        yield handle
    finally:
        os.close(handle)


def _parse_head(data: bytes) -> Head | None:
    try:
        document = json.loads(data)
        seal = Seal(**document["seal"]) if document.get("seal") else None
        head = Head(document["number"], document["sha256"], seal)
        stated = [(item.number, item.sha256) for item in (head, seal) if item]
        if any(type(number) is not int or number < 0 or type(sha256) is not str for number, sha256 in stated):
            return None
        if seal and not (type(seal.public_key) is type(seal.signature) is str):
            return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return head


def _write_head(handle: int, head: Head) -> None:
    document = {**vars(head), "seal": vars(head.seal) if head.seal else None}
    data = json.dumps(document).encode().ljust(HEAD_BYTES - 1) + b"\n"
    os.pwrite(handle, data, 0)
    os.ftruncate(handle, len(data))
    os.fsync(handle)


# --- reading and checking --------------------------------------------------------------------------------------------


def examine_log(path: Path, kind: LogKind, visit: Callable[[ChainedLine], None] = lambda _: None) -> LogReport:
    """Check a log and its head; ``visit`` gets each line that can be read.

    A log that does not exist is empty.  Raises OSError where one cannot be read, is no plain file, or is too large.
    """
    with contextlib.ExitStack() as stack:
        head = None
        with contextlib.suppress(OSError):  # the head may be missing, or be none
            handle = stack.enter_context(_locking_head(path, os.O_RDONLY, fcntl.LOCK_SH))
            head = _parse_head(os.pread(handle, HEAD_BYTES + 1, 0))
        return _examine(path, head, kind, visit)


def _examine(path: Path, head: Head | None, kind: LogKind, visit: Callable[[ChainedLine], None] = lambda _: None) -> LogReport:
    walk = _Walk(kind, head)
    exists = False
    with contextlib.suppress(FileNotFoundError), open_plain(path) as file:
        exists = True
        for at, text in enumerate(iterate_lines(file), 1):
            line = walk.take(at, text)
            if line:
                visit(line)
    return walk.finish(name_head(path).name, exists=exists)


def iterate_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a file without their ends; raises OSError where it is too large for a log."""
    size = 0
    while text := file.readline(LONGEST_LINE + 1):
        size += len(text)
        if size > LARGEST_LOG or len(text) > LONGEST_LINE:
            raise OSError(errno.EFBIG, "it is larger than any log")
        yield text.removesuffix(b"\n")


def parse_line(at: int, text: bytes) -> ChainedLine | None:
    """Return a line; None where it is none."""
    try:
        fields = json.loads(text) if len(text) <= LONGEST_LINE else None
        if not isinstance(fields, dict):
            return None
    except (ValueError, RecursionError):
        return None
    if not {"number", "previous"} & fields.keys():
        return ChainedLine(at, 0, "", "", _hash(text), text, fields)
    number, previous, when = (fields.get(name) for name in ("number", "previous", "when"))
    if type(number) is not int or number < 1 or not isinstance(previous, str) or not isinstance(when, str):
        return None
    return ChainedLine(at, number, previous, when, _hash(text), text, fields)


@dataclass
class _Walk:
    """The state of a check, line after line."""

    kind: LogKind
    head: Head | None
    faults: list[str] = field(default_factory=list)
    count: int = 0
    unchained: int = 0
    prefix: Any = field(default_factory=hashlib.sha256)
    number: int = 0
    sha256: str = FIRST_HASH
    when: dt.datetime | None = None
    found: set[tuple[int, str]] = field(default_factory=set)
    after: ChainedLine | None = None
    """The first line after the one that the head names."""

    is_after_whole: bool = True
    """True if it and those that follow are chained, and of one write."""

    def take(self, at: int, text: bytes) -> ChainedLine | None:
        """Check the next line; return it if it can be read."""
        line = parse_line(at, text)
        is_before = self.kind.may_begin_unchained and self.count == 0
        if is_before and (line is None or line.number == 0):
            self.unchained += bool(text.strip())
            self.prefix.update(text + b"\n")
            self.sha256 = self.prefix.hexdigest()
            return line
        if line is None:
            self.tell(f"line {at}: no entry; it was changed, added, or cut off while it was written")
            return None
        if line.number == 0:
            self.tell(f"line {at}: is not chained to the others; it was added")
            return line
        self._chain(line)
        return line

    def tell(self, fault: str) -> None:
        """Add a fault."""
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(f"{self.kind.name}, {fault}")

    def _chain(self, line: ChainedLine) -> None:
        is_next = line.number == self.number + 1
        is_chained = is_next and line.previous == self.sha256
        if self.is_at_head:
            self.after = line
        if self.after:
            self.is_after_whole &= is_chained and line.when == self.after.when
        self._tell_break(line, is_next=is_next, is_chained=is_chained)
        self._tell_time(line)
        if END_UNKNOWN in line.fields:
            self.tell(f"entry {line.number}: {describe_unknown_end(line)}")
        self.count += 1
        self.number, self.sha256 = line.number, line.sha256
        for item in (self.head, self.head.seal if self.head else None):
            if item and (item.number, item.sha256) == (line.number, line.sha256):
                self.found.add((line.number, line.sha256))

    @property
    def is_at_head(self) -> bool:
        """True if the line before is the one that the head names."""
        return self.head is not None and (self.number, self.sha256) == (self.head.number, self.head.sha256)

    def _tell_break(self, line: ChainedLine, *, is_next: bool, is_chained: bool) -> None:
        if is_chained:
            return
        if is_next and self.number == 0 and self.unchained:
            self.tell(
                f"lines 1 to {line.at - 1}: not what the first chained line is chained to; one was changed, added or removed"
            )
        elif is_next:
            self.tell(f"entry {max(self.number, 1)}: not what the next line is chained to; it was changed")
        elif line.number > self.number:
            self.tell(f"{_name_span(self.number + 1, line.number - 1)} removed or damaged before line {line.at}")
        else:
            self.tell(f"line {line.at}: entry {line.number} comes after entry {self.number}; it was added or moved")

    def _tell_time(self, line: ChainedLine) -> None:
        try:
            when = dt.datetime.fromisoformat(line.when)
            if when.tzinfo is None:
                raise ValueError("no time zone")
        except ValueError:
            self.tell(f"entry {line.number}: has no time")
            return
        if self.when and when < self.when - CLOCK_TOLERANCE:
            earlier, later = (f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}" for time in (when, self.when))
            self.tell(
                f"entry {line.number}: is dated {earlier}, but follows one of {later}; "
                "a clock was set back, or a time was made up"
            )
        self.when = when

    def finish(self, head_name: str, *, exists: bool) -> LogReport:
        """Return the report after the last line."""
        fault = self._judge_end(head_name)
        if fault:
            self.faults.append(f"{self.kind.name}{fault}")  # beyond the limit too: it is the one that matters
        seal = self.head.seal if self.head else None
        return LogReport(
            exists,
            self.count,
            self.unchained,
            (self.number, self.sha256),
            self.head,
            fault,
            tuple(self.faults),
            is_seal_found=seal is not None and (seal.number, seal.sha256) in self.found,
        )

    def _judge_end(self, head_name: str) -> str:
        """Return why the end is not known; '' where it is."""
        head = self.head
        if head is None:
            is_known = self.count == 0 and not (self.faults and not self.kind.may_begin_unchained)
            return "" if is_known else f": what its last line was is not known ({head_name} is missing or damaged)"
        if self.number < head.number:
            return f", {_name_span(self.number + 1, head.number)} removed or damaged at the end"
        if self.is_at_head or (self.after and self.is_after_whole):
            return ""
        if head.number and (head.number, head.sha256) not in self.found:
            return f", entry {head.number}: not as it was written; it was changed"
        return f": its end is not known ({head_name} names entry {head.number}, and other lines than of one write follow)"


def describe_unknown_end(line: ChainedLine) -> str:
    """Return the sentence on a line that a writer added where the end of the log was not known."""
    stated = line.fields[END_UNKNOWN]
    stated = stated if isinstance(stated, dict) else {}
    number = stated.get("head_number")
    ended = f"its head named entry {number}" if type(number) is int else "its head was missing or damaged"
    last = stated.get("last_number")
    lasted = f"the last line was entry {last}" if type(last) is int and last else "it had no lines"
    return f"the end of the log was not known on {show(line.when, 10)}: {ended}, {lasted}; lines may have been removed"


def _name_span(first: int, last: int) -> str:
    return f"entry {first}:" if first == last else f"entries {first} to {last}:"


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
