"""``[sources.NAME]`` and ``[imagery.NAME]``: catalogues of the workspace's own."""

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
        return value if value is None else check_address(value)

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
