"""``[sources.NAME]`` and ``[imagery.NAME]``: the workspace's own catalogues."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from minewatch.core.url_policy import is_web
from minewatch.settings.providers import BANDS, COLLECTION, REQUIRED_BANDS, Imagery, OffsetRule, Provider, S3Login, Signing
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

    requester_pays: bool = False
    """True where the reader pays for the traffic."""

    @field_validator("key_variable", "secret_variable")
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
        return self


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
        return self

    def to_provider(self, name: str, folder: Path, collection: str) -> Provider:
        """Return it as a provider; a relative path is resolved against ``folder``."""
        root = self.url or str(folder / Path(self.path or "").expanduser())
        s3 = S3Login(**self.s3.model_dump()) if self.s3 else None
        return Provider(name, root, collection, self.title, signing=self.signing, s3=s3, hosts=self.hosts, outline=self.outline)


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
