"""The workspace's own settings, ``minewatch.toml``: where scenes come from, and where rasters go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from minewatch.errors import WorkspaceError
from minewatch.files import find_place
from minewatch.pipeline import Pipeline, pipeline_path, render_pipeline
from minewatch.workspace import Workspace, read_toml

TEMPLATE = """\
# A minewatch workspace.  Secrets never stand here: settings name environment variables.

# Where scans look for scenes when --source is not given: a provider (earth-search), the address of a STAC API,
# or the path of a static STAC catalogue, relative to this file.
source = {source}

# Where observations and change maps go when not below output: a folder, or an object store (docs/clusters.md).
# archive = "s3://bucket/prefix/archive"
# changes = "s3://bucket/prefix/changes"

# Layers that every alert is compared with (docs/context.md), one table each; check them with: minewatch context check
# [context.concessions]
# file = "context/concessions.gpkg"
# kind = "concession"       # or protected-area, indigenous-territory, administrative-unit, river, road, airstrip, settlement
# name = "HOLDER"           # the column with the name
# valid_from = "GRANTED"    # the columns with the first and the last day of validity
# valid_to = "EXPIRES"
"""
"""What ``minewatch init`` writes."""


class Settings(BaseModel):
    """The settings of a workspace."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field("earth-search", min_length=1)
    """Provider, address or path."""

    archive: str | None = Field(None, min_length=1)
    """Folder or ``s3://bucket/prefix`` of the archive; None = ``output/archive``."""

    changes: str | None = Field(None, min_length=1)
    """Folder or ``s3://bucket/prefix`` of the change maps; None = ``output/changes``."""

    context: dict[str, Any] = Field(default_factory=dict)
    """Layers that alerts are compared with, by name; what stands in each is checked where they are read."""

    @field_validator("archive", "changes")
    @classmethod
    def _check_place(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                find_place(value, Path())
            except WorkspaceError as error:
                raise ValueError(str(error)) from None
        return value


def read_settings(workspace: Workspace) -> Settings:
    """Read ``minewatch.toml``; raises WorkspaceError where it cannot be read or has an unknown key."""
    try:
        return Settings.model_validate(read_toml(workspace.settings))
    except ValidationError as error:
        fault = error.errors()[0]
        text = fault["msg"].removeprefix("Value error, ")
        raise WorkspaceError(f"{workspace.settings}: {'.'.join(map(str, fault['loc']))}: {text}") from error


def default_source(workspace: Workspace) -> str:
    """Give the workspace's source; a relative path counts from the workspace."""
    source = read_settings(workspace).source
    local = workspace.root / source
    return str(local) if "://" not in source and local.exists() else source


def init_workspace(folder: Path, source: str = Settings.model_fields["source"].default) -> Workspace:
    """Make ``folder`` a workspace: the settings, the default pipeline, and empty ``aois`` and ``context``.

    Raises WorkspaceError where it is one already or cannot be written; existing files are never replaced.
    """
    workspace = Workspace(folder.absolute())
    if workspace.settings.exists():
        raise WorkspaceError(f"{workspace.root} is a workspace already; nothing was changed")
    default = pipeline_path(workspace, "default")
    try:
        for directory in (workspace.root, workspace.aois, workspace.pipelines, workspace.context):
            directory.mkdir(parents=True, exist_ok=True)
        if not default.exists():
            default.write_text(render_pipeline(Pipeline(), comment_defaults=True), "utf-8")
        workspace.settings.write_text(TEMPLATE.format(source=json.dumps(source, ensure_ascii=False)), "utf-8")
    except OSError as error:
        raise WorkspaceError(f"cannot make a workspace in {workspace.root}: {error.strerror}") from error
    return workspace
