"""The hashes that wait for a time stamp: a file that only grows, with a line for each hash and one for its stamp.

Nothing here is asked of anybody, so that a scan can leave hashes in no time; see :mod:`timestamps` for what asks.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minewatch.core.errors import MinewatchError, describe
from minewatch.core.files import append_lines, list_names, publish_json, read_lines
from minewatch.core.logging import log_event
from minewatch.core.workspace import EVIDENCE, Workspace
from minewatch.products.evidence.manifest import MANIFEST, STAMP
from minewatch.settings.document import read_settings

QUEUE, FAILURE = "queue.jsonl", "failure.json"
"""Below the folder of time stamps: the hashes, and when and why the authority was last asked in vain."""

_HASH = re.compile(r"[0-9a-f]{64}")

_NAME = re.compile(rf"{EVIDENCE}/\w[\w.-]*(/\w[\w.-]*)?|[a-z]+\.jsonl")
"""A folder of evidence, or an addendum in one, below the output folder; or a log."""


@dataclass(frozen=True)
class WaitingHash:
    """A hash that has no time stamp yet."""

    name: str
    """What it is of: a folder of evidence or a log, relative to the output folder."""

    sha256: str
    """Of its manifest, or of the log's last line then."""

    since: dt.datetime
    """When a hash of it began to wait, UTC."""


@dataclass(frozen=True)
class Failure:
    """The last time that an authority was asked in vain."""

    when: dt.datetime
    """UTC."""

    reason: str
    """In one line."""


@dataclass(frozen=True)
class Queue:
    """The file, read."""

    waiting: Sequence[WaitingHash] = ()
    """The oldest first; of a log only the newest hash, since it covers the earlier lines."""

    last_days: Mapping[str, dt.date] = field(default_factory=dict)
    """Name to the day of its newest hash."""


def queue_timestamps(workspace: Workspace, manifests: Mapping[str, str]) -> None:
    """Let manifests wait for a time stamp: folder of evidence (``ALERT_ID``, or ``ALERT_ID/ADDENDUM``) to SHA-256.

    Never raises: a hash that could not be noted is found by ``minewatch stamp``.  Does nothing without an authority.
    """
    try:
        if read_settings(workspace).timestamps is not None:
            append_hashes(workspace, {f"{EVIDENCE}/{folder}": sha256 for folder, sha256 in manifests.items()})
    except (MinewatchError, OSError) as error:
        for folder in manifests:
            log_event("time stamp not queued", level="warning", evidence=folder, reason=describe(error))


def append_hashes(workspace: Workspace, hashes: Mapping[str, str]) -> None:
    """Let hashes wait; ``hashes`` is name to SHA-256.  Raises OSError and WorkspaceError."""
    now = _now().isoformat(timespec="seconds")
    _append(workspace, [{"name": name, "sha256": sha256, "queued": now} for name, sha256 in hashes.items()])


def append_result(workspace: Workspace, waiting: WaitingHash, **result: str) -> None:
    """Note what became of a hash: ``stamped`` with the authority's time, or ``dropped`` with the reason.  Raises OSError."""
    _append(workspace, [{"name": waiting.name, "sha256": waiting.sha256, **result}])


def read_queue(workspace: Workspace) -> Queue:
    """Read the file; lines that are none are passed over.  Raises OSError."""
    lines, _ = read_lines(workspace.timestamps / QUEUE, _parse_line)
    waiting: dict[str, WaitingHash] = {}
    days: dict[str, dt.date] = {}
    for line in lines:
        name, sha256, queued = line["name"], line["sha256"], line.get("queued")
        if queued is not None:
            since = waiting[name].since if name in waiting else queued
            waiting[name], days[name] = WaitingHash(name, sha256, since), queued.date()
        elif name in waiting and (waiting[name].sha256 == sha256 or "dropped" in line):
            del waiting[name]
    return Queue(tuple(sorted(waiting.values(), key=lambda one: one.since)), days)


def find_unstamped(workspace: Workspace) -> dict[str, Path]:
    """Return the folders of evidence without a time stamp: name to folder."""
    found = {}
    for name in sorted(list_names(workspace.evidence)):
        folder = workspace.evidence / name
        inner = (f"{name}/{one}" for one in sorted(list_names(folder)) if (folder / one / MANIFEST).is_file())
        for path in (name, *inner):
            has_stamp = (workspace.evidence / path / STAMP).exists()
            if _NAME.fullmatch(f"{EVIDENCE}/{path}") and (workspace.evidence / path / MANIFEST).is_file() and not has_stamp:
                found[f"{EVIDENCE}/{path}"] = workspace.evidence / path
    return found


def list_logs(workspace: Workspace) -> list[Path]:
    """Return the logs whose end is stamped; one that another output folder shares is stamped where it lies."""
    return [log for log in (workspace.custody, workspace.decisions) if log.parent == workspace.output]


def read_failure(workspace: Workspace) -> Failure | None:
    """Return when and why the authority was last asked in vain; None where the last answer was good."""
    try:
        found = json.loads((workspace.timestamps / FAILURE).read_bytes())
        return Failure(dt.datetime.fromisoformat(found["when"]), str(found["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note_failure(workspace: Workspace, reason: str) -> None:
    """Keep when and why the authority was asked in vain; '' = it was not in vain.  Raises OSError and WorkspaceError."""
    path = workspace.timestamps / FAILURE
    if reason:
        publish_json(path, {"when": _now().isoformat(timespec="seconds"), "reason": reason})
    else:
        path.unlink(missing_ok=True)


def _append(workspace: Workspace, lines: Sequence[Mapping[str, str]]) -> None:
    append_lines(workspace.timestamps / QUEUE, [json.dumps(line) for line in lines])


def _parse_line(line: Any) -> dict[str, Any]:
    if not (_NAME.fullmatch(line["name"]) and _HASH.fullmatch(line["sha256"])):
        raise ValueError("no hash that waits")
    if "queued" in line:
        line["queued"] = dt.datetime.fromisoformat(line["queued"]).astimezone(dt.UTC)
    return dict(line)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
