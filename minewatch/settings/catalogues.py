"""``[sources.NAME]`` and ``[imagery.NAME]``: the workspace's own catalogues."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from minewatch.core.url_policy import NetworkZone, find_zone, is_web, name_origin
from minewatch.settings.providers import (
    BANDS,
    COLLECTION,
    REQUIRED_BANDS,
    Imagery,
    OffsetRule,
    Provider,
    S3Login,
    Signing,
    TokenLogin,
)
from minewatch.settings.tables import Table, check_address, check_variable


class S3Table(Table):
    """``[sources.NAME.s3]``: how to log in to the object store of a source."""

    endpoint: str = ""
    """Host of the store; '' = Amazon's own."""

    region: str = ""
    """Region name; '' = us-east-1."""

    key_variable: str = ""
    """Environment variable with the access key; '' where no login is required."""

    secret_variable: str = ""
    """Environment variable with the secret key."""

    session_variable: str = ""
    """Environment variable with the session token of temporary keys."""

    requester_pays: bool = False
    """True where the reader pays for the traffic."""

    @field_validator("key_variable", "secret_variable", "session_variable")
    @classmethod
    def _check_variable(cls, value: str) -> str:
        return value and check_variable(value)

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
        if not self.key_variable and (self.session_variable or self.requester_pays):
            raise ValueError("session_variable and requester_pays need a login: give key_variable and secret_variable too")
        return self


class TokenTable(Table):
    """``[sources.NAME.token]``: a key or token that goes along with requests, to the hosts of the source alone."""

    variable: str = ""
    """Environment variable with the key; left out where a token is fetched with the next three."""

    url: str = ""
    """Where tokens are fetched (OAuth 2.0, client credentials); https."""

    id_variable: str = ""
    """Environment variable with the client's id."""

    secret_variable: str = ""
    """Environment variable with the client's secret."""

    scope: str = Field("", pattern=r"^[\x21\x23-\x5b\x5d-\x7e ]{0,500}$")
    """Scope that is asked for; '' = the service's own choice."""

    header: str = Field("", pattern=r"^[A-Za-z0-9-]{0,64}$")
    """Header that holds the key, such as x-api-key; '' = Authorization: Bearer."""

    query: str = Field("", pattern=r"^[A-Za-z0-9_.-]{0,64}$")
    """Parameter of addresses that holds the key, such as access_token, in place of a header."""

    hosts: tuple[str, ...] = ()
    """Hosts (``name`` or ``name:port``) that get it besides that of ``url`` of the source: those of its files."""

    @field_validator("variable", "id_variable", "secret_variable")
    @classmethod
    def _check_variable(cls, value: str) -> str:
        return value and check_variable(value)

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        if value and not _is_safe(check_address(value)):
            raise ValueError("give the address of the login service, https://…: keys are sent over https only")
        return value

    @field_validator("hosts")
    @classmethod
    def _check_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(:\d{1,5})?", host) for host in value):
            raise ValueError("give names of hosts, such as files.example.org, without https:// and without paths")
        return value

    @model_validator(mode="after")
    def _check_kind(self) -> TokenTable:
        fetched = (self.url, self.id_variable, self.secret_variable)
        if bool(self.variable) == any(fetched) or (any(fetched) and not all(fetched)):
            raise ValueError("give either variable, or url, id_variable and secret_variable")
        if self.header and self.query:
            raise ValueError("give header or query, not both")
        return self

    def make_login(self, root: str) -> TokenLogin:
        """Return it for the catalogue at ``root``; raises ValueError where there is no host that may get it."""
        if is_web(root) and not _is_safe(root):
            raise ValueError("a key is sent over https only; give the https:// address of the source")
        named = [f"https://{host}" for host in self.hosts]
        named += [f"http://{host}" for host in self.hosts if _is_safe(f"http://{host}")]
        origins = tuple(name_origin(address) for address in ([root] if is_web(root) else []) + named)
        if not origins:
            raise ValueError("name the hosts of its files in hosts: a key belongs to no folder")
        return TokenLogin(origins, **self.model_dump(exclude={"hosts"}))


def _is_safe(address: str) -> bool:
    """True if a key may be sent to an address: by https, or on this machine."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and find_zone(parts.hostname or "") is NetworkZone.HERE)


class CatalogTable(Table):
    """The keys that sources and imagery share."""

    url: str | None = None
    """Address of a STAC API or of a static catalogue; this or a path."""

    path: str | None = Field(None, min_length=1)
    """Path of a static catalogue, relative to the workspace."""

    title: str = ""
    """For people."""

    collection: str = ""
    """The collection searched in an API; '' for a static catalogue, which is read whole."""

    signing: Signing = ""
    """Who signs the addresses of its assets."""

    s3: S3Table | None = None
    """Login for its s3:// addresses."""

    token: TokenTable | None = None
    """Key or token for its catalogue and files."""

    hosts: tuple[str, ...] = ()
    """Hosts (``name`` or ``name:port``) that its items may name although private or plain http."""

    outline: bool = False
    """True = a search sends an area's outline in place of its bounding box."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is not None and not is_web(value):
            raise ValueError("give an address that begins with https:// or http://; for a file or folder, use path")
        return value if value is None else check_address(value)

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if (self.url is None) == (self.path is None):
            raise ValueError("give either url or path")
        if self.token:
            self.token.make_login(self.url or "")
        return self

    def to_provider(self, name: str, folder: Path, collection: str) -> Provider:
        """Return it as a provider; a relative path is resolved against ``folder``."""
        root = self.url or str(folder / Path(self.path or "").expanduser())
        s3 = S3Login(**self.s3.model_dump()) if self.s3 else None
        token = self.token.make_login(root) if self.token else None
        return Provider(
            name,
            root,
            collection,
            self.title,
            signing=self.signing,
            s3=s3,
            token=token,
            hosts=self.hosts,
            outline=self.outline,
        )


class SourceTable(CatalogTable):
    """``[sources.NAME]``: a source of scenes."""

    collection: str = Field(COLLECTION, min_length=1)
    """The collection searched in an API."""

    assets: dict[str, str] | None = None
    """Band to asset name; left out = recognised from each item."""

    offset: OffsetRule = ""
    """What decides on the reflectance offset, "none" = nothing is added; '' = each item says."""

    @field_validator("assets")
    @classmethod
    def _check_assets(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        if value is not None and not set(REQUIRED_BANDS) <= set(value) <= set(BANDS):
            raise ValueError(f"name the assets of all of {', '.join(REQUIRED_BANDS)}, of green where there is one, and no other")
        return value

    def make_provider(self, name: str, folder: Path) -> Provider:
        """Return it as a provider; a relative path is resolved against ``folder``."""
        return replace(self.to_provider(name, folder, self.collection), assets=self.assets, offset=self.offset)


class ImageryTable(CatalogTable):
    """``[imagery.NAME]``: images sharper than Sentinel-2."""

    asset: str = Field("visual", min_length=1)
    """The asset that holds red, green and blue."""

    assets: tuple[str, str, str] | None = None
    """Three assets in its place, one each for red, green and blue."""

    credit: str = Field(min_length=1, max_length=200)
    """The credit that the licence requires."""

    max_cloud: float = Field(20, ge=0, le=100)
    """Largest cloud cover of an item that counts as clear, per cent."""

    def make_imagery(self, name: str, folder: Path) -> Imagery:
        """Return it as imagery; a relative path is resolved against ``folder``."""
        provider = self.to_provider(name, folder, self.collection)
        return Imagery(provider, self.assets or (self.asset,), self.credit, self.max_cloud)


BEST = "best"
"""In place of a name: the sharpest imagery that the workspace has."""
