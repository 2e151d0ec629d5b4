"""Names that a shell completes: what is in the workspace at the moment; where it cannot be read there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click

from minewatch.core.errors import MinewatchError
from minewatch.core.workspace import Workspace, find_workspace

Complete = Callable[[click.Context, click.Parameter, str], list[str]]


def _completing(list_names: Callable[[Workspace], Iterable[str]]) -> Complete:
    """Return what click calls for the names that begin with what was typed, from the workspace that the options name."""

    def complete(context: click.Context, _parameter: click.Parameter, typed: str) -> list[str]:
        try:
            return [name for name in list_names(find_workspace(_find_folder(context))) if name.startswith(typed)]
        except (MinewatchError, OSError):
            return []

    return complete


def _find_folder(context: click.Context | None) -> Path | None:
    """Return the workspace that is typed before what is completed."""
    while context:
        if folder := context.params.get("workspace_folder") or context.params.get("folder"):
            return Path(str(folder))
        context = context.parent
    return None


def _list_areas(workspace: Workspace) -> Iterable[str]:
    from minewatch.areas.area_files import list_aois

    return list_aois(workspace)


def _list_alerts(workspace: Workspace) -> Iterable[str]:
    from minewatch.alerts.rows import read_rows

    return [row["alert_id"] for row in read_rows(workspace.alerts)]


def _list_pipelines(workspace: Workspace) -> Iterable[str]:
    from minewatch.settings.pipeline import list_pipelines

    return list_pipelines(workspace)


def _list_sources(workspace: Workspace) -> Iterable[str]:
    from minewatch.settings.document import list_providers

    return list_providers(workspace)


complete_area = _completing(_list_areas)
complete_alert = _completing(_list_alerts)
complete_target = _completing(lambda workspace: [*_list_areas(workspace), *_list_alerts(workspace)])
complete_pipeline = _completing(_list_pipelines)
complete_source = _completing(_list_sources)
