"""The workspace's own settings, ``minewatch.toml``: where scenes come from, and where rasters go."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from minewatch.errors import WorkspaceError
from minewatch.files import find_place
from minewatch.pipeline import Pipeline, pipeline_path, render_pipeline
from minewatch.provider import BANDS, COLLECTION, PROVIDERS, REQUIRED_BANDS, Imagery, OffsetRule, Provider, S3Login, Signing
from minewatch.trust import hide_secrets, is_web
from minewatch.workspace import Workspace, check_name, read_toml

TEMPLATE = """\
# A minewatch workspace.  Secrets never stand here: settings name environment variables.

# Where scans look for scenes when --source is not given: a name that `minewatch source list` shows, the address of
# a STAC API, or the path of a static STAC catalogue, relative to this file.
source = {source}

# Where observations and change maps go when not below output: a folder, or an object store (docs/clusters.md).
# archive = "s3://bucket/prefix/archive"
# changes = "s3://bucket/prefix/changes"

# The Ed25519 key that signs evidence (docs/evidence.md): the path of its file, best outside this folder.
# signing_key = "~/keys/evidence.pem"

# Layers that every alert is compared with (docs/context.md), one table each; check them with: minewatch context check
# [context.concessions]
# file = "context/concessions.gpkg"
# kind = "concession"       # or protected-area, indigenous-territory, administrative-unit, river, road, airstrip, settlement
# name = "HOLDER"           # the column with the name
# valid_from = "GRANTED"    # the columns with the first and the last day of validity
# valid_to = "EXPIRES"

# Imagery of your own that is sharper than Sentinel-2: minewatch image AREA --date DATE --imagery sharp (docs/images.md)
# [imagery.sharp]
# url = "https://archive.example.com/stac"
# collection = "ortho-rgb"
# asset = "visual"                        # red, green and blue in one file; or assets = ["red", "green", "blue"]
# credit = "(c) 2024 Example Imaging"     # what the licence wants to be told
# max_cloud = 20                          # per cent of the item; s3, signing and hosts as for sources

# Sources of your own, known by their names beside the built-in ones (docs/catalogues.md).  Tables stand last.
# [sources.ours]
# url = "https://stac.example.org/v1"     # or path = "scenes/catalog.json"
# collection = "sentinel-2-l2a"
# [sources.ours.s3]
# endpoint = "s3.example.org"
# region = "eu-1"
# key_variable = "OURS_ACCESS_KEY"        # names of environment variables, never keys
# secret_variable = "OURS_SECRET_KEY"
"""
"""What ``minewatch init`` writes."""


_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
"""The name of an environment variable."""

_KEYLIKE = re.compile(r"[A-Z0-9]{16,}")
"""What a store gives out as a key is long and without a gap; no such name is taken, lest a key stand in a file."""


class Table(BaseModel):
    """A table of the file: unknown keys are errors; errors never show a value, which may be a secret."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class S3Table(Table):
    """``[sources.NAME.s3]``: how to log in to the object store of a source."""

    endpoint: str = ""
    """Host of the store; '' = Amazon's own."""

    region: str = ""
    """As the store calls it; '' = us-east-1."""

    key_variable: str = ""
    """Environment variable that holds the access key; '' where the store wants no login."""

    secret_variable: str = ""
    """Environment variable that holds the secret key."""

    requester_pays: bool = False
    """Whoever reads pays for the traffic."""

    @field_validator("key_variable", "secret_variable")
    @classmethod
    def _check_variable(cls, value: str) -> str:
        if value and (not _VARIABLE.fullmatch(value) or _KEYLIKE.fullmatch(value)):
            raise ValueError(
                "give the name of an environment variable (capitals, digits and _, such as OURS_ACCESS_KEY), never a key; "
                "if a key stands there, take it out and have it replaced"
            )
        return value

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        if not re.fullmatch(r"((https?://)?[\w.-]+(:\d+)?)?", value, re.ASCII):
            raise ValueError("give a host, such as s3.example.org, without a path and without a login")
        return value.removeprefix("https://")

    @model_validator(mode="after")
    def _check_pair(self) -> S3Table:
        if bool(self.key_variable) != bool(self.secret_variable):
            raise ValueError("give both key_variable and secret_variable, or none of them where the store wants no login")
        return self


def _check_address(value: str) -> str:
    if hide_secrets(value) != value:
        raise ValueError("give an address without a login and without what follows a ? or #: secrets do not stand here")
    return value


class CatalogTable(Table):
    """What every table of a catalogue of the workspace's own may hold."""

    url: str | None = None
    """Address of a STAC API or of a static catalogue; this or a path."""

    path: str | None = Field(None, min_length=1)
    """Path of a static catalogue; a relative one counts from the workspace."""

    title: str = ""
    """For people."""

    collection: str = ""
    """The collection searched in an API; '' for a static catalogue, which is read whole."""

    signing: Signing = ""
    """Who signs the addresses of its assets."""

    s3: S3Table | None = None
    """Login for its s3:// addresses."""

    hosts: tuple[str, ...] = ()
    """Hosts (``name`` or ``name:port``) that its items may name though they are in a private network, or plain http."""

    outline: bool = False
    """Whether a search sends the outline of an area, in place of the box around it."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is not None and not is_web(value):
            raise ValueError("give an address that begins with https:// or http://; for a file or folder, use path")
        return value if value is None else _check_address(value)

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("give either url or path")
        return self

    def describe(self, name: str, folder: Path, collection: str) -> Provider:
        """Describe it as a provider; a relative path counts from ``folder``."""
        root = self.url or str(folder / Path(self.path or "").expanduser())
        s3 = S3Login(**self.s3.model_dump()) if self.s3 else None
        return Provider(name, root, collection, self.title, signing=self.signing, s3=s3, hosts=self.hosts, outline=self.outline)


class SourceTable(CatalogTable):
    """``[sources.NAME]``: a source of the workspace's own."""

    collection: str = Field(COLLECTION, min_length=1)
    """The collection searched in an API."""

    assets: dict[str, str] | None = None
    """Band to asset name; left out = recognised from each item."""

    offset: OffsetRule = ""
    """Who applied the reflectance offset; '' = each item tells."""

    @field_validator("assets")
    @classmethod
    def _check_assets(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        if value is not None and not set(REQUIRED_BANDS) <= set(value) <= set(BANDS):
            raise ValueError(f"name the assets of all of {', '.join(REQUIRED_BANDS)}, of green where there is one, and no other")
        return value

    def make_provider(self, name: str, folder: Path) -> Provider:
        """Describe it as a provider; a relative path counts from ``folder``."""
        return replace(self.describe(name, folder, self.collection), assets=self.assets, offset=self.offset)


class ImageryTable(CatalogTable):
    """``[imagery.NAME]``: pictures of the workspace's own that are sharper than Sentinel-2."""

    asset: str = Field("visual", min_length=1)
    """The asset that holds red, green and blue."""

    assets: tuple[str, str, str] | None = None
    """In its place: three assets, one band each: red, green, blue."""

    credit: str = Field(min_length=1, max_length=200)
    """What the licence wants to be told."""

    max_cloud: float = Field(20, ge=0, le=100)
    """Per cent of an item up to which it is clear."""

    def make_imagery(self, name: str, folder: Path) -> Imagery:
        """Describe it; a relative path counts from ``folder``."""
        provider = self.describe(name, folder, self.collection)
        return Imagery(provider, self.assets or (self.asset,), self.credit, self.max_cloud)


BEST = "best"
"""In place of a name of imagery: the sharpest of all that the workspace has."""


class Settings(Table):
    """The settings of a workspace."""

    source: str = Field("earth-search", min_length=1)
    """Provider, address or path."""

    archive: str | None = Field(None, min_length=1)
    """Folder or ``s3://bucket/prefix`` of the archive; None = ``output/archive``."""

    changes: str | None = Field(None, min_length=1)
    """Folder or ``s3://bucket/prefix`` of the change maps; None = ``output/changes``."""

    signing_key: str | None = Field(None, min_length=1)
    """File with the Ed25519 key that signs evidence; relative to the workspace.  It is read there, and never copied."""

    context: dict[str, Any] = Field(default_factory=dict)
    """Layers that alerts are compared with, by name; what stands in each is checked where they are read."""
    sources: dict[str, SourceTable] = Field(default_factory=dict)
    """Sources of the workspace's own, by name."""

    imagery: dict[str, ImageryTable] = Field(default_factory=dict)
    """Sharper imagery of the workspace's own, by name."""

    @field_validator("source")
    @classmethod
    def _check_source(cls, value: str) -> str:
        return _check_address(value)

    @field_validator("sources")
    @classmethod
    def _check_sources(cls, value: dict[str, SourceTable]) -> dict[str, SourceTable]:
        for name in value:
            if name in PROVIDERS:
                raise ValueError(f"{name} is built in, and means the same everywhere; give yours another name")
            try:
                check_name("a source", name)
            except WorkspaceError as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("imagery")
    @classmethod
    def _check_imagery(cls, value: dict[str, ImageryTable]) -> dict[str, ImageryTable]:
        for name in value:
            if name == BEST:
                raise ValueError(f"{BEST} stands for the sharpest of all; give yours another name")
            try:
                check_name("imagery", name)
            except WorkspaceError as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("signing_key")
    @classmethod
    def _check_key(cls, value: str | None) -> str | None:
        if value is not None and ("-----" in value or "\n" in value):
            raise ValueError("give the path of the key's file, never the key; take it out and have it replaced")
        return value

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
        raise WorkspaceError(f"{workspace.settings}: {_explain_fault(error)}") from error


def _explain_fault(error: ValidationError) -> str:
    """Name the first fault by its key, without the value that stands there."""
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
    """Name the key that is nearest to an unknown one among those of its table."""
    own: dict[str, type[Table]] = {"sources": SourceTable, "imagery": ImageryTable}
    tables: dict[int, type[Table]] = {3: own.get(place[0], Settings), 4: S3Table}
    table = tables.get(len(place), Settings) if place[0] in own else Settings
    near = difflib.get_close_matches(place[-1], table.model_fields, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(table.model_fields)}"


def list_providers(workspace: Workspace) -> Mapping[str, Provider]:
    """Give the built-in providers and the workspace's own, by name; raises WorkspaceError as read_settings does."""
    own = read_settings(workspace).sources
    return {**PROVIDERS, **{name: table.make_provider(name, workspace.root) for name, table in own.items()}}


def list_imagery(workspace: Workspace) -> Mapping[str, Imagery]:
    """Give the workspace's own imagery, by name; raises WorkspaceError as read_settings does."""
    return {name: table.make_imagery(name, workspace.root) for name, table in read_settings(workspace).imagery.items()}


def default_source(workspace: Workspace) -> str:
    """Give the workspace's source: a provider's name before a path of that name; a relative path counts from the workspace."""
    settings = read_settings(workspace)
    local = workspace.root / settings.source
    is_path = "://" not in settings.source and settings.source not in {**PROVIDERS, **settings.sources}
    return str(local) if is_path and local.exists() else settings.source


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
