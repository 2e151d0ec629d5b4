"""Checks the time stamps of evidence and of logs."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from minewatch.core.errors import EvidenceError, MinewatchError, TimestampError, describe
from minewatch.core.files import list_names, read_plain_file
from minewatch.core.text import show
from minewatch.core.workspace import TIMESTAMPS, Workspace
from minewatch.products.evidence.evidence_files import EvidenceFiles
from minewatch.products.evidence.manifest import MANIFEST, TIMESTAMP, TIMESTAMP_CHAIN
from minewatch.products.evidence.timestamp_client import open_authority, read_roots
from minewatch.products.evidence.timestamp_token import (
    LARGEST_CHAIN,
    LARGEST_TOKEN,
    TimestampCheck,
    check_digest_timestamp,
    check_timestamp,
)
from minewatch.settings.document import read_settings

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
    """True where the user named them for this check: then a missing stamp, or one of another authority, is a fault."""


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
    if TIMESTAMP not in files.names:
        if trusted.is_required:
            return StampFindings((f"{TIMESTAMP}: is missing: no authority says when {MANIFEST} existed",))
        return StampFindings(notes=(f"no authority says when {MANIFEST} existed",) if trusted.roots else ())
    try:
        tsr = files.read(TIMESTAMP, LARGEST_TOKEN)
        chain = files.read(TIMESTAMP_CHAIN, LARGEST_CHAIN) if TIMESTAMP_CHAIN in files.names else b""
        return _judge(TIMESTAMP, MANIFEST, check_timestamp(manifest, tsr, chain, trusted.roots), trusted)
    except TimestampError as error:
        return StampFindings((f"{TIMESTAMP}: {error}",))
    except EvidenceError as error:
        return StampFindings(unknown=(f"{TIMESTAMP} was not checked: {error}",))


def _judge(name: str, what: str, found: TimestampCheck, trusted: TrustedAuthorities) -> StampFindings:
    if trusted.is_required and not found.is_named:
        return StampFindings((f"{name}: is not of an authority that you named, but of {found.authority}",))
    return StampFindings(notes=(f"{what} {found.describe()}",), times=(found,))


# --- logs --------------------------------------------------------------------------------------------------------------


def check_log_stamps(log: Path, lines: Mapping[int, str], trusted: TrustedAuthorities) -> StampFindings:
    """Check the time stamps of a log, in the folder beside it, against number and SHA-256 of its lines.

    A stamp outlives the line that it is of: so a log that was cut, or made anew, is found.
    """
    folder = log.parent / TIMESTAMPS
    names = [match for name in list_names(folder) if (match := _LOG_STAMP.fullmatch(name)) and match[1] == log.stem]
    faults: list[str] = []
    unknown: list[str] = []
    good: dict[int, StampFindings] = {}
    for match in sorted(names, key=lambda match: int(match[2])):
        number = int(match[2])
        found = _check_log_stamp(folder / match[0], f"{log.name}, line {number}", lines.get(number), trusted)
        faults += found.faults
        unknown += found.unknown
        if found.times:
            good[number] = found
    if trusted.is_required and not names and lines:
        faults.append(f"{log.name}: no authority says when it existed")
    last = good[max(good)] if good else StampFindings()
    times = tuple(time for found in good.values() for time in found.times)
    return StampFindings(tuple(faults), tuple(unknown), last.notes, times)


def _check_log_stamp(token: Path, what: str, sha256: str | None, trusted: TrustedAuthorities) -> StampFindings:
    name = f"{TIMESTAMPS}/{show(token.name)}"
    if sha256 is None:
        return StampFindings((f"{name}: {what}, is missing: the log was cut or made anew after an authority stamped it",))
    try:
        tsr, chain = read_plain_file(token, LARGEST_TOKEN), b""
        with contextlib.suppress(FileNotFoundError):
            chain = read_plain_file(token.with_suffix(".pem"), LARGEST_CHAIN)
        found = check_digest_timestamp(bytes.fromhex(sha256), tsr, chain, trusted.roots)
        return _judge(name, what, found, trusted)
    except TimestampError as error:
        return StampFindings((f"{name}: does not hold for {what}: {error}",))
    except (EvidenceError, OSError) as error:
        return StampFindings(unknown=(f"{name} was not checked: {describe(error)}",))


def hash_log_lines(log: Path) -> dict[int, str]:
    """Return number and SHA-256 of the whole lines of a log; none where there is no log.  Raises OSError."""
    try:
        data = read_plain_file(log, LARGEST_LOG)
    except FileNotFoundError:
        return {}
    return {at: hashlib.sha256(line).hexdigest() for at, line in enumerate(data.split(b"\n")[:-1], 1)}


def name_log_stamp(log: Path, number: int) -> Path:
    """Return the file of the time stamp of a log up to a line."""
    return log.parent / TIMESTAMPS / f"{log.stem}-line-{number}.tsr"
