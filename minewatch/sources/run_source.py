"""The source of a scan in its run record, so that what is made of its result later reads the same scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minewatch.areas.aoi import Aoi
from minewatch.areas.area_source import choose_source
from minewatch.core.errors import RunRecordError
from minewatch.core.run_record import read_run_record
from minewatch.core.url_policy import hide_secrets, is_web
from minewatch.core.workspace import Workspace
from minewatch.settings.document import default_source, list_providers
from minewatch.sources.stac import Source


def describe_source(workspace: Workspace, source: Source) -> dict[str, str]:
    """Return what a run record says of a source: its name, and its root without secrets.

    A path in the workspace is relative to it, so that the record stays true where the workspace is moved.
    """
    root = hide_secrets(source.root)
    if not is_web(root) and Path(root).is_relative_to(workspace.root.resolve()):
        root = str(Path(root).relative_to(workspace.root.resolve()))
    return {"source": source.name, "source_root": root}


def find_run_source(workspace: Workspace, run_id: str, aoi: Aoi | None = None) -> str:
    """Return the source that a scan read for an area, as ``open_source`` takes it.

    Where no record says which, it is the area's own, else the workspace's.
    """
    try:
        record = read_run_record(workspace, run_id)
        found = _locate(workspace, _choose_record(record, aoi)) if record else ""
    except (RunRecordError, ValueError, LookupError, TypeError, AttributeError):
        found = ""
    return found or (choose_source(workspace, aoi) if aoi else default_source(workspace))


def _choose_record(record: dict[str, Any], aoi: Aoi | None) -> dict[str, Any]:
    """Return the part of a record that names the source of an area; records of earlier versions name one for all."""
    own: dict[str, Any] = record.get("sources", {}).get(aoi.name, record) if aoi else record
    return own


def _locate(workspace: Workspace, record: dict[str, Any]) -> str:
    name, root = str(record["source"]), record.get("source_root")
    if name in list_providers(workspace):  # the settings say how it is opened
        return name
    if root is None:  # records of earlier versions have the name alone, which may be a path seen from another folder
        return name if is_web(name) or (Path(name).is_absolute() and Path(name).exists()) else ""
    return str(root) if is_web(str(root)) else str(workspace.root / str(root))
