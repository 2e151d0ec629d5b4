"""``minewatch.toml``: its tables, and reading it."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from minewatch.core.errors import WorkspaceError
from minewatch.core.files import parse_path
from minewatch.core.workspace import DEFAULT_PIPELINE, Workspace
from minewatch.settings.catalogues import BEST, ImageryTable, S3Table, SourceTable, TokenTable
from minewatch.settings.impact import CountryTable, ImpactTable
from minewatch.settings.pipeline import Pipeline, pipeline_path, render_pipeline
from minewatch.settings.providers import PROVIDERS, Imagery, Provider
from minewatch.settings.tables import Table, check_address, check_names
from minewatch.settings.template import TEMPLATE
from minewatch.settings.timestamps import TimestampsTable
from minewatch.settings.watching import NotifyTable, PruneTable, ScheduleTable, WatchTable

_NAMED = {"sources": "a source", "schedules": "a schedule", "notify": "a rule", "imagery": "imagery"}
"""Settings whose tables have names to what the names are of."""


class Settings(Table):
    """The settings of a workspace."""

    source: str = Field("earth-search", min_length=1)
    """Provider, address or path."""

    archive: str | None = Field(None, min_length=1)
    """Folder or ``s3://bucket/prefix`` of the archive; left out = ``output/archive``."""

    changes: str | None = Field(None, min_length=1)
    """Folder or ``s3://bucket/prefix`` of the change maps; left out = ``output/changes``."""

    signing_key: str | None = Field(None, min_length=1)
    """File with the Ed25519 key that signs evidence; relative to the workspace; never copied."""

    context: dict[str, Any] = Field(default_factory=dict)
    """Map layers that alerts are compared with, by name; each is checked where it is read."""

    sources: dict[str, SourceTable] = Field(default_factory=dict)
    """The workspace's own sources, by name."""

    timestamps: TimestampsTable | None = None
    """The authority that stamps evidence and logs with an independent time; left out = none does."""

    prune: PruneTable = Field(default_factory=PruneTable)
    """How large the archive may grow."""

    notify: dict[str, NotifyTable] = Field(default_factory=dict)
    """Who gets which messages, by the name of the rule."""

    schedules: dict[str, ScheduleTable] = Field(default_factory=dict)
    """When the watch scans which areas, by name."""

    watch: WatchTable = Field(default_factory=WatchTable)
    """How the watch works."""

    impact: ImpactTable = Field(default_factory=ImpactTable)
    """What is assumed where the cost of mining to the land is computed."""

    imagery: dict[str, ImageryTable] = Field(default_factory=dict)
    """The workspace's own sharper imagery, by name."""

    @field_validator("source")
    @classmethod
    def _check_source(cls, value: str) -> str:
        return check_address(value)

    @field_validator("sources")
    @classmethod
    def _check_sources(cls, value: dict[str, SourceTable]) -> dict[str, SourceTable]:
        for name in value:
            if name in PROVIDERS:
                raise ValueError(f"{name} is built in, and means the same everywhere; give yours another name")
        return value

    @field_validator("imagery")
    @classmethod
    def _check_imagery(cls, value: dict[str, ImageryTable]) -> dict[str, ImageryTable]:
        if BEST in value:
            raise ValueError(f"{BEST} means the sharpest of all; give yours another name")
        return value

    @field_validator("sources", "schedules", "notify", "imagery")
    @classmethod
    def _check_names(cls, value: dict[str, Table], info: ValidationInfo) -> dict[str, Table]:
        check_names(_NAMED[str(info.field_name)], value)
        return value

    @field_validator("signing_key")
    @classmethod
    def _check_key(cls, value: str | None) -> str | None:
        if value is not None and ("-----" in value or "\n" in value):
            raise ValueError("give the path of the key's file, never the key; remove it and have it replaced")
        return value

    @field_validator("archive", "changes")
    @classmethod
    def _check_place(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_path(value, Path())
            except WorkspaceError as error:
                raise ValueError(str(error)) from None
        return value


_TABLES: Mapping[tuple[str, int], type[Table]] = {
    ("sources", 3): SourceTable,
    ("sources.s3", 4): S3Table,
    ("sources.token", 4): TokenTable,
    ("imagery", 3): ImageryTable,
    ("imagery.s3", 4): S3Table,
    ("imagery.token", 4): TokenTable,
    ("schedules", 3): ScheduleTable,
    ("watch", 2): WatchTable,
    ("notify", 3): NotifyTable,
    ("prune", 2): PruneTable,
    ("timestamps", 2): TimestampsTable,
    ("impact", 2): ImpactTable,
    ("impact.countries", 4): CountryTable,
}
"""First part of a key (of four, with the third or second) and number of its parts, to the key's table; others are Settings'."""


def read_settings(workspace: Workspace) -> Settings:
    """Read ``minewatch.toml``; raises WorkspaceError where it cannot be read or has an unknown key."""
    try:
        return Settings.model_validate(workspace.read_document())
    except ValidationError as error:
        raise WorkspaceError(f"{workspace.settings}: {_explain_fault(error)}") from error


def read_impact(workspace: Workspace, overrides: Sequence[str] = ()) -> ImpactTable:
    """Return what is assumed of the cost of mining, with ``KEY=VALUE`` overrides such as ``countries.PE.ore_grade=[0.1, 0.2]``.

    Raises WorkspaceError as read_settings does, or naming the override that cannot be used.
    """
    own = read_settings(workspace).impact
    if not overrides:
        return own
    document = json.loads(json.dumps(workspace.read_document().get("impact", {})))
    for override in overrides:
        _override(document, override)
    try:
        return Settings.model_validate({"impact": document}).impact
    except ValidationError as error:
        raise WorkspaceError(f"--set: {_explain_fault(error)}") from error


def _override(table: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    *parents, name = key.strip().removeprefix("impact.").split(".")
    if not (separator and name and all(parents)):
        raise WorkspaceError(f"--set {override}: write it as KEY=VALUE, for example --set depth_m=[2,4]")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        value = text.strip()
    for parent in parents:
        inner = table.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise WorkspaceError(f"--set {override}: {parent!r} is not a table")
        table = inner
    table[name] = value


def _explain_fault(error: ValidationError) -> str:
    """Return a message about the first fault that names its key but not its value."""
    fault = error.errors(include_input=False, include_url=False)[0]
    place = tuple(map(str, fault["loc"]))
    key = ".".join(place)
    if fault["type"] == "extra_forbidden":
        return f"unknown key {key!r}{_suggest(place)}"
    if place == ("source",) and fault["type"] == "string_type":
        return f"{key}: give a name, an address or a path in quotes; the table of a source of your own is called [sources.NAME]"
    if fault["type"] == "model_type":
        return f"{key}: make it a table: [{key}], and below it one line for each key"
    return f"{key}: {fault['msg'].removeprefix('Value error, ')}"


def _suggest(place: tuple[str, ...]) -> str:
    """Return the most similar key of an unknown key's table, as a hint."""
    names = (f"{place[0]}.{place[2]}", f"{place[0]}.{place[1]}") if len(place) == 4 else (place[0],)
    table = next((_TABLES[name, len(place)] for name in names if (name, len(place)) in _TABLES), Settings)
    near = difflib.get_close_matches(place[-1], table.model_fields, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(table.model_fields)}"


def list_providers(workspace: Workspace) -> Mapping[str, Provider]:
    """Return the built-in providers and the workspace's own, by name; raises WorkspaceError as read_settings does."""
    own = read_settings(workspace).sources
    return {**PROVIDERS, **{name: table.make_provider(name, workspace.root) for name, table in own.items()}}


def list_imagery(workspace: Workspace) -> Mapping[str, Imagery]:
    """Return the workspace's own imagery, by name; raises WorkspaceError as read_settings does."""
    return {name: table.make_imagery(name, workspace.root) for name, table in read_settings(workspace).imagery.items()}


def default_source(workspace: Workspace) -> str:
    """Return the workspace's source: the name of a provider, an address, or an existing path relative to the workspace."""
    settings = read_settings(workspace)
    return locate_source(workspace, settings.source, settings.sources)


def locate_source(workspace: Workspace, text: str, own: Collection[str]) -> str:
    """Return a source of the settings as ``open_source`` takes it: an existing path relative to the workspace becomes absolute.

    ``own`` are the names of the workspace's own sources.
    """
    local = workspace.root / text
    return str(local) if "://" not in text and text not in {*PROVIDERS, *own} and local.exists() else text


def init_workspace(folder: Path | str, source: str = Settings.model_fields["source"].default) -> Workspace:
    """Make ``folder`` a workspace: settings, default pipeline, empty ``aois`` and ``context``; no file is replaced.

    ``source`` is where its scans look for scenes: a provider's name, the address of a STAC API, or the path of a catalogue.
    Raises WorkspaceError where it is one already or cannot be written.
    """
    workspace = Workspace(Path(folder).absolute())
    if workspace.settings.exists():
        raise WorkspaceError(f"{workspace.root} is a workspace already; nothing was changed")
    default = pipeline_path(workspace, DEFAULT_PIPELINE)
    try:
        for directory in (workspace.root, workspace.aois, workspace.pipelines, workspace.context):
            directory.mkdir(parents=True, exist_ok=True)
        if not default.exists():
            _write_new(default, render_pipeline(Pipeline(), comment_defaults=True))
        _write_new(workspace.settings, TEMPLATE.format(source=json.dumps(source, ensure_ascii=False)))
    except OSError as error:
        raise WorkspaceError(f"cannot make a workspace in {workspace.root}: {error.strerror}") from error
    return workspace


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there; a link in its place is an error, wherever it leads."""
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
