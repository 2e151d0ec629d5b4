"""The files of areas by their names; what is in them stays unread."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

from minewatch.core.errors import AoiError, WorkspaceError
from minewatch.core.text import find_nearest, suggest
from minewatch.core.workspace import Workspace, check_name

MOST_BYTES = 200
"""Of a name, since the names of the area's files begin with it, and disks take 255."""

FORMER = "former"
"""Folder beside the areas with the files as they were before each edit; what is in it is no area."""

_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices, with any ending (Microsoft, Naming Files, Paths, and Namespaces)."""


def aoi_path(workspace: Workspace, name: str) -> Path:
    """Return the file of an area; raises AoiError where the name cannot be a file's."""
    try:
        return workspace.aois / f"{check_name('an area', name)}.geojson"
    except WorkspaceError as error:
        raise AoiError(str(error)) from error


def refuse_taken(workspace: Workspace, name: str) -> Path:
    """Return the file of a new area; raises AoiError where the name is taken, or would not do on every disk."""
    _check_portable(name)
    path = aoi_path(workspace, name)
    if path.exists():
        raise AoiError(f"area {name!r} exists already ({path}); change it with minewatch aoi edit, or take another name")
    if twin := next((known for known in list_aois(workspace) if fold_name(known) == fold_name(name)), None):
        raise AoiError(f"area {name!r} would be the same file as area {twin!r} on many disks; take another name")
    return path


def _check_portable(name: str) -> None:
    """Raise AoiError for a name that another system reads as something else, or cannot store."""
    if _RESERVED.fullmatch(name):
        raise AoiError(f"{name!r} cannot be the name of an area: Windows keeps it for a device; take another name")
    if name.endswith("."):
        raise AoiError(f"{name!r} cannot be the name of an area: Windows drops the dot at its end; leave it out")
    if unicodedata.normalize("NFC", name) != name:
        raise AoiError(
            f"{name!r} cannot be the name of an area: its accents are characters of their own (Unicode NFD), which other systems "
            "write as one with the letter; type it anew, or leave them out"
        )
    if len(name.encode()) > MOST_BYTES:
        raise AoiError(f"{name!r} cannot be the name of an area: it takes more than {MOST_BYTES} bytes; take a shorter one")


def fold_name(name: str) -> str:
    """Return what the names have in common that are one file on disks blind to case or to forms of Unicode."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def list_aois(workspace: Workspace) -> list[str]:
    """Return the names of the workspace's areas in alphabetical order."""
    return sorted(path.stem for path in workspace.aois.glob("*.geojson") if not path.name.startswith("."))


def explain_no_area(workspace: Workspace) -> str:
    """Return what to say where a workspace has no area yet."""
    return f"there is no area in {workspace.aois}; add one with: minewatch aoi add NAME FILE"


def explain_unmatched(patterns: Sequence[str], known: Collection[str]) -> str:
    """Return that no area has these names, or fits these patterns, and which one was probably meant; '' without any."""
    if not patterns:
        return ""
    near = {name: find_nearest(name, known) for name in patterns if "*" not in name}
    if len(patterns) == 1 and (meant := near.get(patterns[0])):
        return f"no area is called {patterns[0]!r}; did you mean {meant!r}?"
    names = (repr(name) + (f" (did you mean {near[name]!r}?)" if near.get(name) else "") for name in patterns)
    return f"no area is called {', '.join(names)}; see: minewatch aoi list"


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
