"""The workspace's own settings, ``minewatch.toml``: where scenes come from, and where rasters go."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from minewatch.cron import check_cron
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

# When the watch scans which areas (docs/watch.md), one table each; see what follows with: minewatch schedule show
# [schedules.nightly]
# areas = ["*"]             # names, or patterns with *
# cron = "30 2 * * *"       # minute, hour, day, month, weekday: UTC
# priority = 1              # 1 goes first

# [watch]
# jitter_minutes = 10       # each schedule begins up to this much later, so that many machines do not ask at once
# heartbeat_variable = "MINEWATCH_HEARTBEAT"   # environment variable with an address that is asked after each round

# Who is told what, one table for each recipient (docs/notifications.md); check them with: minewatch notify test
# [notify.rangers]
# to_variable = "RANGERS_MAIL"            # the environment variable with the address, never the address
# areas = ["la-*"]
# events = ["confirmed", "grown", "scan-failed"]   # and provisional, closed, reviewed, unseen
# when = "at-once"                        # or daily, weekly

# How large the archive may grow; minewatch prune removes what no result rests on (docs/prune.md).
# [prune]
# keep_gb = 50

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


def check_variable(value: str) -> str:
    """Return what can be the name of an environment variable; raises ValueError for what may be a secret itself."""
    if not _VARIABLE.fullmatch(value) or _KEYLIKE.fullmatch(value):
        raise ValueError(
            "give the name of an environment variable (capitals, digits and _, such as OURS_ADDRESS), never what it holds; "
            "if a secret stands there, take it out and have it replaced"
        )
    return value


class ScheduleTable(Table):
    """``[schedules.NAME]``: which areas the watch scans, and when."""

    areas: tuple[Annotated[str, Field(min_length=1)], ...] = Field(("*",), min_length=1)
    """Names of areas, or patterns with ``*``."""

    cron: str
    """Minute, hour, day, month, weekday: UTC."""

    pipeline: str | None = Field(None, min_length=1)
    """In place of the areas' own; such scans are what-ifs, written apart, and nobody is told."""

    priority: int = Field(1, ge=1, le=99)
    """1 goes first."""

    @field_validator("cron")
    @classmethod
    def _check_cron(cls, value: str) -> str:
        return check_cron(value)


class WatchTable(Table):
    """``[watch]``: how the watch works."""

    jitter_minutes: int = Field(10, ge=0, le=360)
    """Each schedule of each machine begins up to this much later, always by the same, so that not all ask at once."""

    heartbeat_file: str | None = Field(None, min_length=1)
    """Written after each round; relative to the workspace; None = ``output/heartbeat.json``."""

    heartbeat_variable: str | None = None
    """Environment variable with an address that is asked after each round; None = no address."""

    @field_validator("heartbeat_variable")
    @classmethod
    def _check_variable(cls, value: str | None) -> str | None:
        return value if value is None else check_variable(value)


Happening = Literal["provisional", "confirmed", "grown", "closed", "reviewed", "scan-failed", "unseen"]
"""What a recipient can be told."""

_PATTERN = re.compile(r"[\w.*-]{1,64}")
"""The name of an area, or one in which * stands for any letters."""


class NotifyTable(Table):
    """``[notify.NAME]``: one recipient, and what is told there."""

    to_variable: str = ""
    """Environment variable with an address as apprise has them, such as ``mailtos://…``; this or a webhook."""

    webhook_variable: str = ""
    """Environment variable with the https address that gets JSON."""

    secret_variable: str = ""
    """Environment variable with the secret that signs what a webhook gets."""

    hosts: tuple[str, ...] = ()
    """Hosts (``name`` or ``name:port``) that a webhook may be on though it is plain http."""

    areas: tuple[str, ...]
    """Names of areas; * stands for any letters."""

    events: tuple[Happening, ...] = get_args(Happening)
    """What is told."""

    grown_ha: float = Field(0.5, ge=0)
    """An alert is told as grown once it gained this much since it was last told there."""

    unseen_days: int = Field(30, ge=1)
    """An area is told as unseen after so many days without a clear look."""

    smallest_ha: float = Field(0.0, ge=0)
    """Smaller alerts are not told."""

    legal_status: tuple[Literal["inside", "outside", "expired", "unknown"], ...] = ()
    """Which alerts are told, by where they lie; () = all."""

    coordinates: bool = True
    """Whether places may go there: latitude and longitude, map links, outlines, names of places, notes."""

    images: bool | None = None
    """Whether images may go there; None = where coordinates may."""

    when: Literal["at-once", "daily", "weekly"] = "at-once"
    """At once, or in one message for each day or week, UTC."""

    language: Literal["en", "es", "fr", "pt"] = "en"
    """Of the message."""

    @property
    def shows_images(self) -> bool:
        """Whether images may go there."""
        return self.coordinates if self.images is None else self.images

    @field_validator("to_variable", "webhook_variable", "secret_variable")
    @classmethod
    def _check_variable(cls, value: str) -> str:
        return value and check_variable(value)

    @field_validator("areas")
    @classmethod
    def _check_areas(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(_PATTERN.fullmatch(name) for name in value):
            raise ValueError('name the areas whose news go there, such as ["la-pampa"], ["la-*"] or, for all, ["*"]')
        return value

    @field_validator("events")
    @classmethod
    def _check_events(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError(f"name at least one of {', '.join(get_args(Happening))}")
        return value

    @model_validator(mode="after")
    def _check_recipient(self) -> NotifyTable:
        if bool(self.to_variable) == bool(self.webhook_variable):
            raise ValueError("give either to_variable or webhook_variable: the environment variable that holds the address")
        if bool(self.webhook_variable) != bool(self.secret_variable):
            raise ValueError("webhook_variable and secret_variable go together: what a webhook gets is always signed")
        if self.hosts and not self.webhook_variable:
            raise ValueError("hosts is for webhooks")
        return self


class PruneTable(Table):
    """``[prune]``: how large the archive may grow."""

    keep_gb: float | None = Field(None, gt=0)
    """Gigabytes (10^9 bytes) of all areas' archives together; None = no budget."""


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

    prune: PruneTable = Field(default_factory=PruneTable)
    """How large the archive may grow."""

    notify: dict[str, NotifyTable] = Field(default_factory=dict)
    """Who is told what, by the name of the rule."""

    schedules: dict[str, ScheduleTable] = Field(default_factory=dict)
    """When the watch scans which areas, by name."""

    watch: WatchTable = Field(default_factory=WatchTable)
    """How it works."""

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

    @field_validator("schedules")
    @classmethod
    def _check_schedules(cls, value: dict[str, ScheduleTable]) -> dict[str, ScheduleTable]:
        for name in value:
            try:
                check_name("a schedule", name)
            except WorkspaceError as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("notify")
    @classmethod
    def _check_rules(cls, value: dict[str, NotifyTable]) -> dict[str, NotifyTable]:
        for name in value:
            try:
                check_name("a rule", name)
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


_TABLES: Mapping[tuple[str, int], type[Table]] = {
    ("sources", 3): SourceTable,
    ("sources", 4): S3Table,
    ("imagery", 3): ImageryTable,
    ("imagery", 4): S3Table,
    ("schedules", 3): ScheduleTable,
    ("watch", 2): WatchTable,
    ("notify", 3): NotifyTable,
    ("prune", 2): PruneTable,
}
"""First part of a key, and how many parts it has, to the table that it stands in; the others stand in Settings."""


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
    table = _TABLES.get((place[0], len(place)), Settings)
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
