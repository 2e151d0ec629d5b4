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
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minewatch.core.chain_check import END_UNKNOWN, LONGEST_LINE, LogKind, LogReport, examine, hash_line
from minewatch.core.files import make_private_folder, sync
from minewatch.core.log_head import HEAD_BYTES, Head, Seal, lock_head, make_seal_message, parse_head, write_head
from minewatch.core.plain_file import open_plain, open_plain_handle

TAIL = 2**16
"""Bytes that are read to find the last line."""


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
    with lock_head(path, os.O_RDWR | os.O_CREAT) as handle:
        head = parse_head(os.pread(handle, HEAD_BYTES + 1, 0))
        end = _find_end(path, head, kind)
        when = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        new = list(documents)
        is_first = end.last[0] == end.unchained == (head.number if head else 0) == 0
        if end.end_fault or (is_first and has_past()):
            new.insert(0, {END_UNKNOWN: _describe_end(end)})
        elif head is None or head.number != end.last[0]:  # the first line of all, or a crash came before this could be written
            write_head(handle, Head(*end.last, head.seal if head else None))
        number, previous = max(end.last[0], head.number if head else 0), end.last[1]
        written, texts = [], []
        for number, document in enumerate(new, number + 1):  # noqa: B020  # counts on from the last number
            written.append({**document, "number": number, "previous": previous, "when": when})
            texts.append(json.dumps(written[-1], ensure_ascii=True, sort_keys=True).encode())
            previous = hash_line(texts[-1])
        _append(path, texts)
        seal = Seal(number, previous, *sign(make_seal_message(path.name, number, previous))) if sign else None
        write_head(handle, Head(number, previous, seal or (head.seal if head else None)))
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
        if head and head.number and is_whole and lines[-1] == b"" and hash_line(lines[-2]) == head.sha256:
            return LogReport(True, last=(head.number, head.sha256), head=head)
    return examine(path, head, kind)


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
