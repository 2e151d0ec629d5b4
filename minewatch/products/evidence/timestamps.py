"""Works off the hashes that wait for a time stamp.

A scan never waits for an authority longer than SCAN_SECONDS in all, and nothing that one answers can stop it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minewatch.core.errors import EvidenceError, MinewatchError, WorkspaceError, describe
from minewatch.core.file_lock import lock_handle
from minewatch.core.files import make_private_folder, publish_bytes, sync
from minewatch.core.plain_file import open_plain_handle, read_plain
from minewatch.core.text import count_of, format_time
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.evidence_files import LARGEST_TEXT
from minewatch.products.evidence.manifest import MANIFEST, STAMP, STAMP_CHAIN
from minewatch.products.evidence.timestamp_checks import hash_log_lines, name_log_stamp
from minewatch.products.evidence.timestamp_client import Authority, open_authority, request_timestamp
from minewatch.products.evidence.timestamp_queue import (
    Queue,
    WaitingHash,
    append_hashes,
    append_result,
    find_unstamped,
    list_logs,
    note_failure,
    read_failure,
    read_queue,
)
from minewatch.products.evidence.timestamp_token import TimestampCheck, join_certificates
from minewatch.settings.document import read_settings
from minewatch.settings.timestamps import TimestampsTable

SCAN_SECONDS = 10.0
"""The longest that a scan, or a cycle of the watch, asks for time stamps."""

ANSWER_SECONDS = 5.0
"""The longest wait for one answer; those of authorities take less than one second."""

LEAST_SECONDS = 0.5
"""With less left, no other answer is waited for."""

PAUSE = dt.timedelta(minutes=10)
"""After an authority was asked in vain, scans and the watch leave it alone so long."""

LATE = dt.timedelta(days=2)
"""A hash that waits longer than this needs somebody's attention."""

CLOCK_DIFFERENCE = dt.timedelta(minutes=5)
"""From which the clocks of the machine and of the authority are said to differ."""


@dataclass(frozen=True)
class StampRound:
    """What was stamped, and what waits."""

    stamped: int = 0
    """Hashes that got a time stamp now."""

    waiting: int = 0
    """Hashes that wait."""

    since: dt.datetime | None = None
    """When the first of them began to wait, UTC; None where none waits."""

    reason: str = ""
    """Why they wait; '' where none does or nobody was asked yet."""

    notes: tuple[str, ...] = ()
    """Lines a person should read."""

    def describe(self) -> str:
        """Return what waits as a sentence; '' where nothing does."""
        if self.since is None:
            return ""
        verb = "is" if self.waiting == 1 else "are"
        text = f"{count_of(self.waiting, 'time stamp')} {verb} missing since {format_time(self.since)}"
        return f"{text}: {self.reason}" if self.reason else text


class _LostError(EvidenceError):
    """What a hash was of is gone, or was changed."""


# --- working off ------------------------------------------------------------------------------------------------------


def find_waiting(workspace: Workspace) -> StampRound:
    """Return what waits, without asking anybody; what cannot be read is a note."""
    try:
        queue, failure = read_queue(workspace), read_failure(workspace)
    except OSError as error:
        return StampRound(notes=(f"the hashes that wait for a time stamp cannot be read: {error.strerror}",))
    since = queue.waiting[0].since if queue.waiting else None
    reason = f"asked in vain on {format_time(failure.when)}: {failure.reason}" if failure and queue.waiting else ""
    return StampRound(0, len(queue.waiting), since, reason)


def describe_stamps(found: StampRound) -> dict[str, Any]:
    """Return a result as plain data, for ``--json``."""
    since = found.since and found.since.isoformat()
    return {"stamped": found.stamped, "waiting": found.waiting, "since": since, "reason": found.reason, "notes": [*found.notes]}


def is_late(found: StampRound, now: dt.datetime) -> bool:
    """True if a hash waits for so long that somebody should see to it."""
    return found.since is not None and now - found.since > LATE


def stamp_in_passing(workspace: Workspace) -> StampRound:
    """Ask for the time stamps that wait, for SCAN_SECONDS at most; whatever fails is in the result and waits."""
    try:
        failure = read_failure(workspace)
        if failure is not None and dt.timedelta(0) <= dt.datetime.now(dt.UTC) - failure.when < PAUSE:
            return find_waiting(workspace)
        return stamp_waiting(workspace, SCAN_SECONDS)
    except Exception as error:  # noqa: BLE001  time stamps never stop a scan
        reason = describe(error) if isinstance(error, MinewatchError) else f"{type(error).__name__}: {describe(error)}"
        return StampRound(notes=(f"time stamps could not be asked for: {reason}",))


def stamp_waiting(workspace: Workspace, seconds: float | None = None, *, everything: bool = False) -> StampRound:
    """Ask for the time stamps that wait, within ``seconds`` in all; stops at the first answer that is none.

    With ``everything`` also for older evidence that has none, and for what the logs got since today's stamp.  Does nothing
    without an authority in the settings.  Raises WorkspaceError where the queue cannot be used.
    """
    table = read_settings(workspace).timestamps
    if table is None:
        return StampRound()
    try:
        return _work_off(workspace, table, seconds, everything=everything)
    except OSError as error:
        raise WorkspaceError(f"{workspace.timestamps} cannot be used: {error.strerror}; check its permissions") from error


def _work_off(workspace: Workspace, table: TimestampsTable, seconds: float | None, *, everything: bool) -> StampRound:
    with _excluding_others(workspace) as is_free:
        if not is_free:
            return replace(find_waiting(workspace), reason="another process is asking for it now")
        _queue_logs(workspace, read_queue(workspace), is_again=everything)
        if everything:
            _queue_old_evidence(workspace)
        queue = read_queue(workspace)
        if not queue.waiting:
            return StampRound()
        try:
            authority = open_authority(table, workspace.root)
        except EvidenceError as error:
            note_failure(workspace, describe(error))
            return find_waiting(workspace)
        return _ask_for_all(workspace, authority, queue, seconds)


def _ask_for_all(workspace: Workspace, authority: Authority, queue: Queue, seconds: float | None) -> StampRound:
    deadline = None if seconds is None else time.monotonic() + seconds
    stamped, notes = 0, []
    for waiting in queue.waiting:
        left = ANSWER_SECONDS if deadline is None else min(ANSWER_SECONDS, deadline - time.monotonic())
        if left < LEAST_SECONDS:
            break
        try:
            if (token := _find_place(workspace, waiting)).exists():
                append_result(workspace, waiting, stamped="before")
                continue
            answer, found = request_timestamp(authority, bytes.fromhex(waiting.sha256), left)
            _store(workspace, token, answer, found)
        except _LostError as error:
            append_result(workspace, waiting, dropped=describe(error))
            notes.append(f"{waiting.name} gets no time stamp: {describe(error)}")
        except EvidenceError as error:
            note_failure(workspace, describe(error))
            break
        except (OSError, WorkspaceError) as error:
            notes.append(f"the time stamp of {waiting.name} cannot be written: {describe(error)}")
        else:
            append_result(workspace, waiting, stamped=found.time.isoformat())
            stamped += 1
            notes += _compare_clocks(found)
    else:
        note_failure(workspace, "")
    return replace(find_waiting(workspace), stamped=stamped, notes=tuple(dict.fromkeys(notes)))


def _compare_clocks(found: TimestampCheck) -> list[str]:
    ahead = dt.datetime.now(dt.UTC) - found.time
    if abs(ahead) < CLOCK_DIFFERENCE:
        return []
    which = "ahead of" if ahead > dt.timedelta(0) else "behind"
    minutes = round(abs(ahead).total_seconds() / 60)
    return [f"the clock of this machine is {count_of(minutes, 'minute')} {which} that of {found.authority}"]


def _queue_logs(workspace: Workspace, queue: Queue, *, is_again: bool) -> None:
    """Let the ends of the logs wait where they have grown: once a day, and now if that is asked for."""
    today = dt.datetime.now(dt.UTC).date()
    hashes = {}
    for log in list_logs(workspace):
        lines = hash_log_lines(log)
        is_new = bool(lines) and not name_log_stamp(log, len(lines)).exists()
        if is_new and (is_again or queue.last_days.get(log.name, dt.date.min) < today):
            hashes[log.name] = lines[len(lines)]
    if hashes:
        append_hashes(workspace, hashes)


def _queue_old_evidence(workspace: Workspace) -> None:
    queued = {one.name for one in read_queue(workspace).waiting}
    folders = {name: folder for name, folder in find_unstamped(workspace).items() if name not in queued}
    append_hashes(workspace, {name: _hash_manifest(folder) for name, folder in folders.items()})


def _find_place(workspace: Workspace, waiting: WaitingHash) -> Path:
    """Return the file of a hash's time stamp; raises _LostError where it is no longer that of its manifest or log."""
    path = workspace.output / waiting.name
    try:
        if path.suffix != ".jsonl":
            if _hash_manifest(path) == waiting.sha256:
                return path / STAMP
        elif numbers := [number for number, sha256 in hash_log_lines(path).items() if sha256 == waiting.sha256]:
            return name_log_stamp(path, numbers[-1])
    except OSError as error:
        raise _LostError(f"it cannot be read any more ({error.strerror})") from error
    raise _LostError("it is not as it was when its hash was noted; run minewatch verify")


def _store(workspace: Workspace, token: Path, answer: bytes, found: TimestampCheck) -> None:
    """Write the chain, then the token, which says that both are there."""
    chain = token.with_name(STAMP_CHAIN) if token.name == STAMP else token.with_suffix(".pem")
    for path, data in ((chain, join_certificates(found.certificates)), (token, answer)):
        # Written elsewhere: what a crash leaves in a folder of evidence would count as added.
        whole = workspace.timestamps / f"{token.parent.name}-{path.name}"
        publish_bytes(whole, data)
        whole.replace(path)
        sync(path.parent)


def _hash_manifest(folder: Path) -> str:
    return hashlib.sha256(read_plain(folder / MANIFEST, LARGEST_TEXT)).hexdigest()


@contextlib.contextmanager
def _excluding_others(workspace: Workspace) -> Iterator[bool]:
    """Yield whether no other process asks for time stamps of this workspace; none does until the block ends."""
    make_private_folder(workspace.timestamps)
    path = workspace.timestamps / ".lock"
    handle = open_plain_handle(path, os.O_RDWR | os.O_CREAT)
    try:
        is_free = True
        try:
            lock_handle(handle, path, wait=False)
        except BlockingIOError:
            is_free = False
        yield is_free
    finally:
        os.close(handle)
