"""The files of areas by their names; what is in them stays unread."""

from __future__ import annotations

from pathlib import Path

from minewatch.core.errors import AoiError, WorkspaceError
from minewatch.core.text import find_nearest, suggest
from minewatch.core.workspace import Workspace, check_name


def aoi_path(workspace: Workspace, name: str) -> Path:
    """Return the file of an area; raises AoiError where the name cannot be a file's."""
    try:
        return workspace.aois / f"{check_name('an area', name)}.geojson"
    except WorkspaceError as error:
        raise AoiError(str(error)) from error


def refuse_taken(workspace: Workspace, name: str) -> Path:
    """Return the file of a new area; raises AoiError where there is one of this name."""
    path = aoi_path(workspace, name)
    if path.exists():
        raise AoiError(f"area {name!r} exists already ({path}); remove it first or take another name")
    return path


def list_aois(workspace: Workspace) -> list[str]:
    """Return the names of the workspace's areas in alphabetical order."""
    return sorted(path.stem for path in workspace.aois.glob("*.geojson") if not path.name.startswith("."))


def refuse_unknown(workspace: Workspace, name: str) -> Path:
    """Return the file of an area; raises AoiError, which names the nearest, where there is none."""
    path = aoi_path(workspace, name)
    if not path.exists():
        known = list_aois(workspace)
        advice = "" if find_nearest(name, known) else f"; add it with: minewatch aoi add {name} FILE"
        raise AoiError(f"there is no area {name!r} in {workspace.aois}{suggest(name, known, 'areas')}{advice}")
    return path


def remove_aoi(workspace: Workspace, name: str) -> Path:
    """Delete the file of an area; its archive and alerts stay.  Raises AoiError where there is none."""
    path = refuse_unknown(workspace, name)
    path.unlink()
    return path
