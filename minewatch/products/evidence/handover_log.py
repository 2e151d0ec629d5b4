"""Records in the custody log which files left the workspace, for whom, and why."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from minewatch.core.errors import AlertsError, EvidenceError, MinewatchError, describe
from minewatch.core.text import count_of
from minewatch.core.workspace import Workspace
from minewatch.products.evidence.custody_log import Action, CustodyLine, Handover, read_custody, record_custody_of_all
from minewatch.products.evidence.lookup import find_evidence_of, list_evidence
from minewatch.products.evidence.manifest import MANIFEST

NO_EVIDENCE = ""
"""Name in the log of what left without evidence: areas, and alerts that are not confirmed."""


def log_handover(
    workspace: Workspace,
    action: Action,
    alert_ids: Iterable[str],
    paths: Sequence[Path],
    detail: str,
    handover: Handover | None = None,
) -> list[str]:
    """Record files that were written: a line for each alert with evidence, and one for all that has none.

    The files are out by then, so a log that cannot be written is no error: return what a person should read about it.
    """
    ids = set(alert_ids)
    try:
        out = replace(handover or Handover(), files=tuple(map(describe_file, paths)))
        folders = find_evidence_of(workspace, ids)
        manifests = {name: _hash_manifest(workspace.evidence / name) for name in folders}
        record_custody_of_all(workspace.custody, action, manifests, detail, out)
        if rest := ids - set(folders.values()):
            detail += f"; {count_of(len(rest), 'alert')} without evidence"
        if rest or not ids:
            record_custody_of_all(workspace.custody, action, {NO_EVIDENCE: ""}, detail, out)
    except MinewatchError as error:
        what = "report" if action == "reported" else "export"
        return [f"the {what} is not in the custody log: {describe(error)}"]
    return []


def find_replaced(workspace: Workspace, paths: Iterable[Path], *, overwrite: bool) -> dict[Path, dt.datetime]:
    """Return the files that an export would replace, with the time of each, UTC.

    Raises AlertsError where one is not as an export from this workspace wrote it: somebody may have worked in it.
    """
    there = {path: path.stat() for path in paths if path.exists()}
    if there and not overwrite:
        lines: Sequence[CustodyLine] = ()
        with contextlib.suppress(EvidenceError):  # a log that cannot be read knows of none
            lines = read_custody(workspace.custody).lines
        own = {digest for line in lines for _, digest, _ in line.entry.files}
        for path in there:
            if describe_file(path)[1] not in own:
                raise AlertsError(
                    f"{path} is no export as it was written: somebody may have worked in it; "
                    "move it away, choose another folder with -o, or replace it with --overwrite"
                )
    return {path: dt.datetime.fromtimestamp(status.st_mtime, dt.UTC) for path, status in there.items()}


def log_image(workspace: Workspace, target: str, paths: Sequence[Path], handover: Handover | None = None) -> list[str]:
    """Record an image or animation of an alert or area, unless it stays in the workspace's own folder of images."""
    left = [path for path in paths if not path.resolve().is_relative_to(workspace.images.resolve())]
    known = {target} & list_evidence(workspace)
    detail = f"image {', '.join(path.name for path in left)} of {target}"
    return log_handover(workspace, "exported", known, left, detail, handover) if left else []


def describe_file(path: Path) -> tuple[str, str, int]:
    """Return name, SHA-256 and size of a file; raises EvidenceError where it cannot be read."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return path.name, digest, file.tell()
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}") from error


def _hash_manifest(folder: Path) -> str:
    """Return the SHA-256 of a manifest; '' where it cannot be read, which ``minewatch verify`` reports."""
    try:
        return describe_file(folder / MANIFEST)[1]
    except EvidenceError:
        return ""
