"""Reads and checks chained logs, line by line: what was changed, added or removed, and whether the end is known."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from minewatch.core.log_head import HEAD_BYTES, Head, lock_head, name_head, parse_head
from minewatch.core.plain_file import open_plain
from minewatch.core.text import show

FIRST_HASH = "0" * 64
"""What the first line has as the hash of the line before."""

END_UNKNOWN = "end_unknown"
"""Field of the line that a writer adds where the end of the log is not what the head says."""

LARGEST_LOG = 2**27
"""Bytes of a log; it is read line by line."""

LONGEST_LINE = 2**22
"""Bytes of a line; an outline of a hundred thousand corners has some three million."""

MOST_LINES = 10**6
"""Lines of a log."""

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


def examine_log(path: Path, kind: LogKind, visit: Callable[[ChainedLine], None] = lambda _: None) -> LogReport:
    """Check a log and its head; ``visit`` gets each line that can be read.

    A log that does not exist is empty.  Raises OSError where one cannot be read, is no plain file, or is too large.
    """
    with contextlib.ExitStack() as stack:
        head = None
        with contextlib.suppress(OSError):  # the head may be missing, or be none
            handle = stack.enter_context(lock_head(path, os.O_RDONLY, shared=True))
            head = parse_head(os.pread(handle, HEAD_BYTES + 1, 0))
        return examine(path, head, kind, visit)


def examine(path: Path, head: Head | None, kind: LogKind, visit: Callable[[ChainedLine], None] = lambda _: None) -> LogReport:
    """Check a log whose head was read already, and may be locked; else as :func:`examine_log`."""
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
    size = count = 0
    while text := file.readline(LONGEST_LINE + 1):
        size, count = size + len(text), count + 1
        if size > LARGEST_LOG or len(text) > LONGEST_LINE or count > MOST_LINES:
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
        return ChainedLine(at, 0, "", "", hash_line(text), text, fields)
    number, previous, when = (fields.get(name) for name in ("number", "previous", "when"))
    if type(number) is not int or number < 1 or not isinstance(previous, str) or not isinstance(when, str):
        return None
    return ChainedLine(at, number, previous, when, hash_line(text), text, fields)


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
    return f"the end of the log was not known on {show(line.when[:10])}: {ended}, {lasted}; lines may have been removed"


def _name_span(first: int, last: int) -> str:
    return f"entry {first}:" if first == last else f"entries {first} to {last}:"


def hash_line(data: bytes) -> str:
    """Return the SHA-256 of a line without its end."""
    return hashlib.sha256(data).hexdigest()
