"""Checks the time stamps of evidence and of logs."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from minewatch.core.errors import EvidenceError, MinewatchError, TimestampError, describe
from minewatch.core.files import list_names
from minewatch.core.plain_file import open_plain, read_plain
from minewatch.core.text import show
from minewatch.core.workspace import TIMESTAMPS, Workspace
from minewatch.products.evidence.evidence_files import EvidenceFiles
from minewatch.products.evidence.manifest import MANIFEST, STAMP, STAMP_CHAIN
from minewatch.products.evidence.timestamp_client import open_authority, read_roots
from minewatch.products.evidence.timestamp_token import (
    LARGEST_CHAIN,
    LARGEST_TOKEN,
    TimestampCheck,
    check_digest_timestamp,
    check_timestamp,
)
from minewatch.settings.document import read_settings

MOST_STAMPS = 50
"""Stamps of a log that are checked, the newest: each covers all lines before it."""

LONGEST_LINE = 2**24
"""Bytes of a line of a log."""

LARGEST_LOG = 2**28
"""Bytes of a log that are read: half a million lines."""

_LOG_STAMP = re.compile(r"([a-z]+)-line-([1-9]\d{0,8})\.tsr", re.ASCII)
"""The stamp of a log up to a line."""


@dataclass(frozen=True)
class TrustedAuthorities:
    """The roots that a user trusts to tell the time."""

    roots: bytes | None = None
    """Their certificates; None = none."""

    is_required: bool = False
    """True where the user named them for this check: then it must be there, and of one of them."""


@dataclass(frozen=True)
class StampFindings:
    """What the time stamps of evidence or of a log say."""

    faults: tuple[str, ...] = ()
    """What is wrong."""

    unknown: tuple[str, ...] = ()
    """What could not be checked."""

    notes: tuple[str, ...] = ()
    """What is proven."""

    times: tuple[TimestampCheck, ...] = ()
    """The stamps that hold."""


def find_trusted_authorities(given: Path | None, workspace: Workspace | None) -> TrustedAuthorities:
    """Return the roots in the file that the user gave, else those of the workspace's settings.

    Raises EvidenceError where the user's file holds none.
    """
    if given is not None:
        return TrustedAuthorities(read_roots(given), is_required=True)
    with contextlib.suppress(MinewatchError):  # a scan, or minewatch stamp, reports it
        table = read_settings(workspace).timestamps if workspace else None
        if workspace is not None and table is not None:
            return TrustedAuthorities(open_authority(table, workspace.root).roots)
    return TrustedAuthorities()


def check_evidence_stamp(files: EvidenceFiles, manifest: bytes, trusted: TrustedAuthorities) -> StampFindings:
    """Check the time stamp beside a manifest, where there is one."""
    if STAMP not in files.names:
        if trusted.is_required:
            return StampFindings(unknown=(f"{STAMP} is missing: no authority says when {MANIFEST} existed",))
        return StampFindings(notes=(f"no authority says when {MANIFEST} existed",) if trusted.roots else ())
    try:
        tsr = files.read(STAMP, LARGEST_TOKEN)
        chain = files.read(STAMP_CHAIN, LARGEST_CHAIN) if STAMP_CHAIN in files.names else b""
        return _judge(STAMP, MANIFEST, check_timestamp(manifest, tsr, chain, trusted.roots), trusted)
    except TimestampError as error:
        return StampFindings((f"{STAMP}: {error}",))
    except EvidenceError as error:
        return StampFindings(unknown=(f"{STAMP} was not checked: {error}",))


def _judge(name: str, what: str, found: TimestampCheck, trusted: TrustedAuthorities) -> StampFindings:
    if trusted.is_required and not found.is_named:
        return StampFindings(unknown=(f"{name} is not of an authority that you named, but of {found.authority}",))
    return StampFindings(notes=(f"{what} {found.describe()}",), times=(found,))


# --- logs --------------------------------------------------------------------------------------------------------------


def check_log_stamps(log: Path, trusted: TrustedAuthorities) -> StampFindings:
    """Check the time stamps of a log, in the folder beside it, against the hashes of its lines.

    A stamp outlives the line that it is of: so a log that was cut, or made anew, is found.
    """
    folder = log.parent / TIMESTAMPS
    names = [match for name in list_names(folder) if (match := _LOG_STAMP.fullmatch(name)) and match[1] == log.stem]
    names = sorted(names, key=lambda match: int(match[2]))[-MOST_STAMPS:]
    wanted = {int(match[2]) for match in names}
    try:
        lines = {number: sha256 for number, sha256 in _iterate_hashes(log) if number in wanted} if names else {}
    except OSError as error:
        return StampFindings(unknown=(f"the time stamps of {log.name} were not checked: {error.strerror}",))
    faults: list[str] = []
    unknown: list[str] = []
    good: dict[int, StampFindings] = {}
    for match in names:
        number = int(match[2])
        found = _check_log_stamp(folder / match[0], f"{log.name}, line {number}", lines.get(number), trusted)
        faults += found.faults
        unknown += found.unknown
        if found.times:
            good[number] = found
    if trusted.is_required and not names and log.exists():
        unknown.append(f"{log.name} has no time stamp: no authority says when it existed")
    last = good[max(good)] if good else StampFindings()
    times = tuple(time for found in good.values() for time in found.times)
    return StampFindings(tuple(faults), tuple(unknown), last.notes, times)


def _check_log_stamp(token: Path, what: str, sha256: str | None, trusted: TrustedAuthorities) -> StampFindings:
    name = f"{TIMESTAMPS}/{show(token.name)}"
    if sha256 is None:
        return StampFindings((f"{name}: {what}, is missing: the log was cut or made anew after an authority stamped it",))
    try:
        tsr, chain = read_plain(token, LARGEST_TOKEN), b""
        with contextlib.suppress(FileNotFoundError):
            chain = read_plain(token.with_suffix(".pem"), LARGEST_CHAIN)
        found = check_digest_timestamp(bytes.fromhex(sha256), tsr, chain, trusted.roots)
        return _judge(name, what, found, trusted)
    except TimestampError as error:
        return StampFindings((f"{name}: does not hold for {what}: {error}",))
    except (EvidenceError, OSError) as error:
        return StampFindings(unknown=(f"{name} was not checked: {describe(error)}",))


def hash_log_lines(log: Path) -> dict[int, str]:
    """Return number and SHA-256 of the whole lines of a log; none where there is no log.  Raises OSError."""
    return dict(_iterate_hashes(log))


def _iterate_hashes(log: Path) -> Iterator[tuple[int, str]]:
    """Yield number and SHA-256 of each whole line; the log may be a stranger's, so that only one line is held."""
    try:
        file = open_plain(log)
    except FileNotFoundError:
        return
    with file:
        if os.fstat(file.fileno()).st_size > LARGEST_LOG:
            raise OSError(errno.EFBIG, "it is larger than any log", str(log))
        for number in itertools.count(1):
            line = file.readline(LONGEST_LINE)
            if not line.endswith(b"\n"):
                return
            yield number, hashlib.sha256(line[:-1]).hexdigest()


def name_log_stamp(log: Path, number: int) -> Path:
    """Return the file of the time stamp of a log up to a line."""
    return log.parent / TIMESTAMPS / f"{log.stem}-line-{number}.tsr"
