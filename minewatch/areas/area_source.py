"""The source of one area: what its file says where it names one, else the workspace's.

The property ``source`` of an outline often says where its coordinates are from.  So it counts where it names a source that the
settings know, or a catalogue by the path of its JSON file, and is a note otherwise; an address never counts, lest the file of a
stranger decides to whom searches of an area go.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from minewatch.areas.aoi import Aoi
from minewatch.core.errors import AoiError
from minewatch.core.workspace import Workspace
from minewatch.settings.document import default_source, list_providers, locate_source

SOURCE, NOTE = "source", "outline_source"
"""Property with an area's source, and where a note on its outline goes that stood there."""

CATALOG = ".json"
"""How the path of a catalogue ends."""

ALIKE = 0.8
"""Likeness from which a text is taken for a misspelt name (difflib)."""


def choose_source(workspace: Workspace, aoi: Aoi, source: str | None = None) -> str:
    """Return the source of an area, as ``open_source`` takes it: ``source`` where given, else its own, else the workspace's.

    Raises AoiError where its file names a source that there is not, WorkspaceError where the settings cannot be used.
    """
    return source or find_own_source(workspace, aoi) or default_source(workspace)


def find_own_source(workspace: Workspace, aoi: Aoi) -> str:
    """Return the source that an area's file names, as ``open_source`` takes it; '' where it names none."""
    text = aoi.properties.get(SOURCE)
    if not isinstance(text, str) or not text:
        return ""
    known = list_providers(workspace)
    if text in known:
        return text
    if _is_path(text):
        return locate_source(workspace, text, known)
    if near := _find_near(text, known):
        raise AoiError(f"area {aoi.name!r}: its source {text!r} is not known; did you mean {near!r}? minewatch source list")
    return ""


def _find_near(text: str, known: Iterable[str]) -> str:
    """Return the name that a text may be a misspelling of; '' for a note."""
    near = difflib.get_close_matches(text, list(known), n=1, cutoff=ALIKE)
    return near[0] if near else ""


def _is_path(text: str) -> bool:
    return "://" not in text and text.lower().endswith(CATALOG)


def set_source(properties: Mapping[str, Any], source: str, known: Collection[str]) -> dict[str, Any]:
    """Return properties that name a source, or none for ''; a note on the outline that stood there is kept as NOTE."""
    other = {key: value for key, value in properties.items() if key != SOURCE}
    before = properties.get(SOURCE)
    is_named = isinstance(before, str) and (before in known or _is_path(before) or bool(_find_near(before, known)))
    if before and not is_named:
        other[NOTE] = f"{other[NOTE]}; {before}" if other.get(NOTE) else before
    return other | ({SOURCE: source} if source else {})


def check_area_source(workspace: Workspace, text: str) -> str:
    """Return a source as an area's file may name it; raises AoiError for an address, and for what there is not."""
    if text in list_providers(workspace):
        return text
    if "://" in text:
        advice = "name it in minewatch.toml, a table [sources.NAME] with its url, and give that name"
        raise AoiError(f"the file of an area may not name the address of a source: {advice}")
    path = workspace.root / text
    path = path / "catalog.json" if path.is_dir() else path
    if not _is_path(str(path)) or not path.is_file():
        known = ", ".join(list_providers(workspace))
        raise AoiError(f"there is no source {text!r}: it is none of {known}, and no catalogue ({path})")
    root, whole = workspace.root.resolve(), path.resolve()
    return str(whole.relative_to(root) if whole.is_relative_to(root) else whole)
