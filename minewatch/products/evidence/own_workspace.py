"""Finds the workspace that holds a piece of evidence, and the key with which it signs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from minewatch.core.errors import MinewatchError
from minewatch.core.plain_file import MARKER
from minewatch.core.workspace import CUSTODY, Workspace
from minewatch.products.evidence.signing import read_public_half
from minewatch.settings.document import read_settings


@dataclass(frozen=True)
class OwnWorkspace:
    """The workspace that made what is checked, by the place where that lies."""

    root: Path
    """Its folder."""

    log: Path
    """Its custody log, or that of the what-if which made it."""

    has_key: bool = False
    """True if its settings name a signing key: then its own evidence must be signed with it."""

    public_key: str = ""
    """Base64 of that key; '' where there is none or it could not be read."""

    key_fault: str = ""
    """Why the key could not be read."""


def find_own_workspace(output: Path) -> OwnWorkspace | None:
    """Return the workspace of an output folder; None where it is no workspace's.

    Only the output of a workspace and of its scheduled what-ifs count: any other folder in it may have come from elsewhere.
    """
    for root in (output.parent, *output.parents[2:3]):
        workspace = Workspace(root)
        if (root / MARKER).is_file() and (output == workspace.output or output.parent == workspace.what_ifs):
            return _read_key(workspace, output / CUSTODY)
    return None


def find_holder(path: Path) -> OwnWorkspace | None:
    """Return the nearest workspace whose output holds a path."""
    for root in path.parents:
        if (root / MARKER).is_file():
            output = Workspace(root).output
            return find_own_workspace(output) if output in path.parents else None
    return None


def _read_key(workspace: Workspace, log: Path) -> OwnWorkspace:
    try:
        stated = read_settings(workspace).signing_key
    except MinewatchError as error:
        return OwnWorkspace(workspace.root, log, has_key=True, key_fault=str(error))
    if stated is None:
        return OwnWorkspace(workspace.root, log)
    try:
        key = read_public_half(workspace.root / Path(stated).expanduser())
    except MinewatchError as error:
        return OwnWorkspace(workspace.root, log, has_key=True, key_fault=str(error))
    return OwnWorkspace(workspace.root, log, has_key=True, public_key=key)
