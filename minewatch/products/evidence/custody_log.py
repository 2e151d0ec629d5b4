"""The custody log: who made, opened, exported or packed which evidence.

It is a chained log (``core/chained_log.py``).  Its lines also hold number and hash of the last decision of people, so that
decisions cannot be taken away without changing this log too.
"""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from minewatch.core.chain_check import END_UNKNOWN, ChainedLine, LogKind, LogReport, examine_log, parse_line
from minewatch.core.chained_log import append_chained
from minewatch.core.errors import EvidenceError, WorkspaceError
from minewatch.core.files import list_names
from minewatch.core.log_head import read_head
from minewatch.core.temp_files import TEMPORARY_PREFIX
from minewatch.core.workspace import DECISIONS, EVIDENCE
from minewatch.products.evidence.signing import Signer

Action = Literal["made", "extended", "opened", "exported", "packed", "reported", "received", "end-unknown"]
"""What a person or a scan did with evidence; the last is of the line that says that the end of the log was not known."""

CUSTODY_LOG = LogKind("custody log")
"""The kind of this log."""

MOST_DAMAGED = 1000
"""Lines that are no entries; a log with more is none."""

LARGEST_KEPT = 2**24
"""Bytes of the lines that are held in memory of a log of unknown origin."""


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


@dataclass(frozen=True, slots=True)
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

    sealed_by: str = ""
    """Fingerprint of the key that signed the head with this entry; '' = it was written without a key."""

    decisions: tuple[int, str] | None = None
    """Number and SHA-256 of the last decision then; None where none was chained."""

    @property
    def is_end_unknown(self) -> bool:
        """True for the entry that says that the end of the log before it was not known; it is about no alert."""
        return self.action == "end-unknown"


@dataclass(frozen=True, slots=True)
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
        """Return the lines on one alert, and those that say that the end of the log was not known, which are on every one."""
        return [line for line in self.lines if line.entry.alert_id == alert_id or line.entry.is_end_unknown]


def record_custody(
    path: Path,
    action: Action,
    alert_id: str,
    manifest: str,
    detail: str = "",
    handover: Handover | None = None,
    signer: Signer | None = None,
) -> CustodyEntry:
    """Add a line to the log, on disk when this returns; of several writers one waits for the other.

    With a signer the head of the log is signed.  Raises EvidenceError where the log cannot be written.
    """
    (entry,) = record_custody_of_all(path, action, {alert_id: manifest}, detail, handover, signer)
    return entry


def record_custody_of_all(
    path: Path,
    action: Action,
    manifests: Mapping[str, str],
    detail: str = "",
    handover: Handover | None = None,
    signer: Signer | None = None,
) -> list[CustodyEntry]:
    """Add a line for each of several alerts in one write; ``manifests`` is alert id to SHA-256 of its manifest.

    Raises EvidenceError where the log cannot be written.
    """
    facts: dict[str, Any] = {"who": current_user(), "action": action, "detail": detail}
    facts |= {name: value for name, value in (vars(handover) if handover else {}).items() if value}
    if signer:
        facts["sealed_by"] = signer.describe()["fingerprint"]
    decisions = read_head(path.parent / DECISIONS)
    if decisions and decisions.number:
        facts["decisions"] = (decisions.number, decisions.sha256)
    documents = [{**facts, "alert_id": alert_id, "manifest": manifest} for alert_id, manifest in manifests.items()]
    try:
        written = append_chained(
            path, documents, CUSTODY_LOG, lambda: bool(list_evidence_names(path.parent)), signer.seal if signer else None
        )
    except (OSError, WorkspaceError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EvidenceError(f"the log {path} cannot be written: {reason}; check its permissions") from error
    return [_parse_entry(fields) for fields in written]


def list_evidence_names(output: Path) -> list[str]:
    """Return the names in the folder of evidence of an output folder, without unfinished ones."""
    return sorted(name for name in list_names(output / EVIDENCE) if not name.startswith(TEMPORARY_PREFIX))


def read_custody(path: Path) -> CustodyLog:
    """Read the log; a missing one is empty.  Raises EvidenceError where it cannot be read."""
    return examine_custody(path)[0]


def examine_custody(path: Path, keep: Callable[[CustodyEntry], bool] | None = None) -> tuple[CustodyLog, LogReport]:
    """Read and check the log; with ``keep`` only those entries are held in memory, and no more than any log has.

    Raises EvidenceError where it cannot be read.
    """
    lines: list[CustodyLine] = []
    damaged: list[int] = []
    size = 0

    def take(line: ChainedLine) -> None:
        nonlocal size
        custody = _parse(line)
        if custody is None:
            damaged.append(line.at)
        elif keep is None or keep(custody.entry) or custody.entry.is_end_unknown:
            lines.append(custody)
            size += len(line.data)
        if (keep and size > LARGEST_KEPT) or len(damaged) > MOST_DAMAGED:
            raise EvidenceError(f"the log {path} is larger than any, or is none")

    try:
        report = examine_log(path, CUSTODY_LOG, take)
    except OSError as error:
        raise EvidenceError(f"the log {path} cannot be read: {error.strerror}; check its permissions") from error
    faults = (f"custody log, line {at}: no entry; it was changed or added" for at in damaged)
    return CustodyLog(tuple(lines), tuple(damaged)), replace(report, faults=(*report.faults, *faults))


def parse_custody(data: bytes) -> CustodyLog:
    """Return a log from its bytes."""
    lines, damaged = [], []
    for at, text in enumerate(_split(data), 1):
        line = parse_line(at, text)
        custody = _parse(line) if line else None
        if custody:
            lines.append(custody)
        else:
            damaged.append(at)
    return CustodyLog(tuple(lines), tuple(damaged))


def _split(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        yield data[start:end]
        start = end + 1


def _parse(line: ChainedLine) -> CustodyLine | None:
    try:
        return CustodyLine(line.at, _parse_entry(line.fields), line.sha256, line.data)
    except (ValueError, TypeError, KeyError):
        return None


def _parse_entry(fields: Mapping[str, Any]) -> CustodyEntry:
    """Return an entry from the fields of a line; raises ValueError, TypeError or KeyError where it is none."""
    if END_UNKNOWN in fields:
        number, previous, when = (fields[name] for name in ("number", "previous", "when"))
        return CustodyEntry(number, when, "", "end-unknown", "", "", "", previous)
    files = tuple((str(name), str(sha256), int(size)) for name, sha256, size in fields.get("files", ()))
    pinned = fields.get("decisions")
    entry = CustodyEntry(**{**fields, "files": files, "decisions": (int(pinned[0]), str(pinned[1])) if pinned else None})
    texts = (entry.when, entry.who, entry.action, entry.alert_id, entry.manifest, entry.detail, entry.previous, entry.sealed_by)
    if entry.is_end_unknown or not all(isinstance(text, str) for text in (*texts, entry.recipient, entry.sender, entry.purpose)):
        raise ValueError("not an entry")
    return entry


def check_custody(path: Path) -> list[str]:
    """Return a line on each entry that was changed, added or removed; none where the chain is whole.

    Raises EvidenceError where the log cannot be read.
    """
    return list(examine_custody(path, lambda _: False)[1].faults)


def current_user() -> str:
    """Return login and machine of whoever runs this, as the system knows them."""
    try:
        import pwd  # noqa: PLC0415 - a system without it has no such table of users

        login = pwd.getpwuid(os.getuid()).pw_name
    except ImportError:
        login = getpass.getuser()
    except KeyError:
        login = str(os.getuid())
    return f"{login}@{platform.node()}"
